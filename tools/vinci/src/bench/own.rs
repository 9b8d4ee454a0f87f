//! Rows of kernels of one's own: `kernels/bench.cpp`, compiled by `vinci cc`, loaded and launched as a program does.
//! Without clang they are skipped.

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use half::f16;
use libloading::Library;

use super::acl::{Acl, Direction, Handle};
use super::matmul::{Operands, Type, factors, rate};
use super::rows;
use super::{Effort, Samples, median, turns};
use crate::cc::clang::Clang;

/// What is measured.
const SOURCE: &str = include_str!("../../kernels/bench.cpp");
/// The peer of an addition: a loop as one writes it.
const LOOP: &str = "void add(const _Float16 *x, const _Float16 *y, _Float16 *z, unsigned long n)
{ for (unsigned long i = 0; i < n; ++i) z[i] = x[i] + y[i]; }";

/// Elements of the addition.
const SUMMANDS: usize = 16 << 20;
/// Side of the matrices of a product.
const SIDE: usize = 1024;
/// Rows and columns of a softmax.
const ROWS: usize = 4096;
const COLUMNS: usize = 1024;

/// Files of this process; they go with it.
pub struct Scratch;

fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("vinci-bench-{}", std::process::id()))
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(folder());
    }
}

/// What a row says that cannot be measured here.
fn skipped(why: &str) -> Result<(Samples, String)> {
    Ok((Samples { ours: Vec::new(), peer: Vec::new() }, format!("skipped: {why}")))
}

/// Writes the source beside which the code object will be.
fn source() -> Result<PathBuf> {
    let (folder, name) = (folder(), "bench.cpp");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let path = folder.join(name);
    std::fs::write(&path, SOURCE).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// Compiles the kernels with `vinci cc`.
fn compile_to(source: &Path, code: &Path) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.arg("cc").arg(source).arg("-o").arg(code).output()?;
    if !output.status.success() {
        bail!("vinci cc: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// The code object, compiled once; or why there is none.
fn code() -> Result<Result<&'static Path, String>> {
    static CODE: OnceLock<PathBuf> = OnceLock::new();
    if let Err(e) = Clang::find(None) {
        return Ok(Err(e.to_string()));
    }
    if CODE.get().is_none() {
        let code = folder().join("bench.o");
        compile_to(&source()?, &code)?;
        let _ = CODE.set(code);
    }
    Ok(CODE.get().map(PathBuf::as_path).context("the code object").map_err(|e| e.to_string()))
}

/// The path of the code object; a row that cannot have one is skipped.
macro_rules! code_or_skip {
    () => {
        match code()? {
            Ok(code) => code,
            Err(why) => return skipped(&why),
        }
    };
}

/// A kernel of the code object that is loaded.
struct Own<'a> {
    acl: &'a Acl,
    binary: Handle,
    function: Handle,
}

impl<'a> Own<'a> {
    fn load(acl: &'a Acl, code: &Path, name: &CStr) -> Result<Self> {
        let binary = acl.load(code)?;
        Ok(Self { acl, binary, function: acl.function(binary, name)? })
    }

    fn launch(&self, blocks: u32, args: &[u64]) -> Result<()> {
        self.acl.launch_own(self.function, blocks, args)
    }

    /// Milliseconds of a launch and the wait for it: the median of as many as a turn takes.
    fn milliseconds(&self, effort: Effort, blocks: u32, args: &[u64]) -> Result<f64> {
        milliseconds(effort, || {
            self.launch(blocks, args)?;
            self.acl.synchronize()
        })
    }

    fn unload(self) -> Result<()> {
        self.acl.unload(self.binary)
    }
}

/// The median of as many runs as a turn takes.
fn milliseconds(effort: Effort, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.is_empty() || start.elapsed() < effort.turn {
        let t = Instant::now();
        run()?;
        times.push(t.elapsed().as_secs_f64() * 1e3);
    }
    median(&times).context("nothing was measured")
}

fn upload(acl: &Acl, bytes: &mut [u8]) -> Result<Handle> {
    let at = acl.malloc(bytes.len())?;
    acl.copy(at, bytes, Direction::ToDevice)?;
    Ok(at)
}

fn download(acl: &Acl, from: Handle, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    acl.copy(from, &mut bytes, Direction::ToHost)?;
    Ok(bytes)
}

fn halves(values: impl Iterator<Item = f32>) -> Vec<u8> {
    values.flat_map(|x| f16::from_f32(x).to_ne_bytes()).collect()
}

/// Launches in a second, against an empty resident kernel.
pub fn launch_rate(effort: Effort) -> Result<(Samples, String)> {
    let code = code_or_skip!();
    let acl = Acl::open()?;
    let own = Own::load(&acl, code, c"empty")?;
    let ours = || rows::rate_of(&acl, effort.turn, || own.launch(1, &[0]));
    let samples = turns(effort, ours, Some(|| rows::rate(&acl, effort.turn)))?;
    own.unload()?;
    Ok((samples, "empty resident kernel".into()))
}

/// Microseconds from a launch to its end, against an empty resident kernel.
pub fn launch_sync(effort: Effort) -> Result<(Samples, String)> {
    let code = code_or_skip!();
    let acl = Acl::open()?;
    let own = Own::load(&acl, code, c"empty")?;
    let time = effort.turn / 2;
    let ours = || rows::round_trip_of(&acl, time, || own.launch(1, &[0]));
    let samples = turns(effort, ours, Some(|| rows::round_trip(&acl, time)))?;
    own.unload()?;
    Ok((samples, "empty resident kernel".into()))
}

/// A loop of the host's over two halves of the data, each on a thread.
struct Loop {
    add: unsafe extern "C" fn(*const f16, *const f16, *mut f16, usize),
    _library: Library,
}

impl Loop {
    fn compile() -> Result<Self> {
        let (source, library) = (folder().join("loop.c"), folder().join("loop.so"));
        std::fs::write(&source, LOOP)?;
        let mut command = Command::new(Clang::find(None)?.path());
        command.args(["-O3", "-march=native", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
        let output = command.output()?;
        if !output.status.success() {
            bail!("clang: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        // SAFETY: a library of that one function, whose type is as in its source.
        unsafe {
            let library = Library::new(&library)?;
            Ok(Self { add: *library.get(b"add")?, _library: library })
        }
    }

    fn run(&self, x: &[f16], y: &[f16], z: &mut [f16]) {
        let half = z.len() / 2;
        let (low, high) = z.split_at_mut(half);
        let part = |x: &[f16], y: &[f16], z: &mut [f16]| {
            // SAFETY: the three are of one length.
            unsafe { (self.add)(x.as_ptr(), y.as_ptr(), z.as_mut_ptr(), z.len()) };
        };
        std::thread::scope(|s| {
            s.spawn(|| part(&x[half..], &y[half..], high));
            part(&x[..half], &y[..half], low);
        });
    }
}

/// An addition of 16 Mi float16, against a loop on two threads of the host.
pub fn add(effort: Effort) -> Result<(Samples, String)> {
    let code = code_or_skip!();
    let peer = Loop::compile()?;
    let acl = Acl::open()?;
    let own = Own::load(&acl, code, c"add")?;
    let values = |step: usize| (0..SUMMANDS).map(move |i| (i * step % 257) as f32 - 128.0);
    let (mut x, mut y) = (halves(values(3)), halves(values(5)));
    let z = vec![0u8; SUMMANDS * 2];
    let at = [upload(&acl, &mut x)?, upload(&acl, &mut y)?, upload(&acl, &mut z.clone())?];
    let [host_x, host_y, mut host_z] = [x, y, z].map(|bytes| from_bytes(&bytes));
    let args = [at[0] as u64, at[1] as u64, at[2] as u64, SUMMANDS as u64];
    let blocks = 32;
    let ours = || own.milliseconds(effort, blocks, &args);
    let peer = || {
        milliseconds(effort, || {
            peer.run(&host_x, &host_y, &mut host_z);
            std::hint::black_box(&mut host_z);
            Ok(())
        })
    };
    let samples = turns(effort, ours, Some(peer))?;
    if from_bytes(&download(&acl, at[2], SUMMANDS * 2)?) != host_z {
        bail!("the kernel's sums are not the host's");
    }
    at.into_iter().try_for_each(|at| acl.free(at))?;
    own.unload()?;
    Ok((samples, "2 host threads".into()))
}

fn from_bytes(bytes: &[u8]) -> Vec<f16> {
    bytes.chunks_exact(2).map(|b| f16::from_ne_bytes([b[0], b[1]])).collect()
}

/// The largest difference of two results of float16.
fn difference(a: &[u8], b: &[u8]) -> f32 {
    let pairs = from_bytes(a).into_iter().zip(from_bytes(b));
    pairs.map(|(a, b)| (a.to_f32() - b.to_f32()).abs()).fold(0.0, f32::max)
}

/// GFLOP/s of a hand-written product of float16, against aclnnMatmul.
pub fn product(effort: Effort) -> Result<(Samples, String)> {
    let code = code_or_skip!();
    let acl = Acl::open()?;
    let own = Own::load(&acl, code, c"product")?;
    let [a, b] = factors(SIDE);
    let operands = Operands::new(&acl, Type::F16, SIDE, [&a, &b])?;
    let bytes = SIDE * SIDE * 2;
    let out = acl.malloc(bytes)?;
    let args = [operands.memory[0] as u64, operands.memory[1] as u64, out as u64, SIDE as u64];
    let blocks = (SIDE / 128 * (SIDE / 256)) as u32;
    let ours = || {
        rate(effort, SIDE, || {
            own.launch(blocks, &args)?;
            acl.synchronize()
        })
    };
    let samples = turns(effort, ours, Some(|| rate(effort, SIDE, || operands.product(&acl))))?;
    let far = difference(&download(&acl, out, bytes)?, &download(&acl, operands.memory[2], bytes)?);
    // Sums of a thousand products of 1/12 on average are about 3; float16 has 11 bits.
    if far > 0.05 {
        bail!("the kernel's product differs from aclnnMatmul's by {far}");
    }
    acl.free(out)?;
    operands.free(&acl)?;
    own.unload()?;
    Ok((samples, "aclnnMatmul".into()))
}

/// A softmax over rows of float32, against aclnnSoftmax.
pub fn softmax(effort: Effort) -> Result<(Samples, String)> {
    let code = code_or_skip!();
    let acl = Acl::open()?;
    let own = Own::load(&acl, code, c"softmax")?;
    let bytes = ROWS * COLUMNS * 4;
    let mut x: Vec<u8> =
        (0..ROWS * COLUMNS).flat_map(|i| ((i * 7919 % 1009) as f32 / 100.0).to_ne_bytes()).collect();
    let at = [upload(&acl, &mut x)?, acl.malloc(bytes)?, acl.malloc(bytes)?];
    let float32 = 0;
    let [from, to] = [at[0], at[2]].map(|at| acl.matrix(float32, [ROWS as i64, COLUMNS as i64], at));
    let args = [at[0] as u64, at[1] as u64, (COLUMNS as u64) << 32 | ROWS as u64];
    let ours = || own.milliseconds(effort, 48, &args);
    let samples = turns(effort, ours, Some(|| milliseconds(effort, || acl.softmax(from, to))))?;
    let [mine, theirs] = [download(&acl, at[1], bytes)?, download(&acl, at[2], bytes)?];
    let floats = |bytes: &[u8]| -> Vec<f32> {
        bytes.chunks_exact(4).map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]])).collect()
    };
    if floats(&mine).iter().zip(floats(&theirs)).any(|(a, b)| (a - b).abs() > 1e-6) {
        bail!("the kernel's softmax is not aclnnSoftmax's");
    }
    at.into_iter().try_for_each(|at| acl.free(at))?;
    own.unload()?;
    Ok((samples, "aclnnSoftmax".into()))
}

/// Seconds that `vinci cc` takes for the kernels of this benchmark.
pub fn compile(effort: Effort) -> Result<(Samples, String)> {
    if let Err(e) = Clang::find(None) {
        return skipped(&e.to_string());
    }
    let (source, code) = (source()?, folder().join("again.o"));
    let ours = || super::seconds(|| compile_to(&source, &code));
    let samples = turns(effort, ours, Some(|| Ok(3.0)))?;
    Ok((samples, format!("the target, for {} lines", SOURCE.lines().count())))
}

/// Milliseconds to load a code object and to find a kernel in it, where the cores are up.
pub fn load(effort: Effort) -> Result<(Samples, String)> {
    let code = code_or_skip!();
    let acl = Acl::open()?;
    let other = Own::load(&acl, code, c"empty")?;
    let ours = || {
        let (start, mut times) = (Instant::now(), Vec::new());
        while times.is_empty() || start.elapsed() < effort.turn / 5 {
            let t = Instant::now();
            let own = Own::load(&acl, code, c"product")?;
            times.push(t.elapsed().as_secs_f64() * 1e3);
            own.unload()?;
        }
        median(&times).context("nothing was measured")
    };
    let samples = turns(effort, ours, Some(|| Ok(5.0)))?;
    other.unload()?;
    Ok((samples, "the target".into()))
}

/// Milliseconds of a process's first code object: loaded, its cores started, a kernel launched and waited for.
pub fn first(effort: Effort) -> Result<(Samples, String)> {
    let code = code_or_skip!();
    let exe = std::env::current_exe()?;
    let ours = || {
        let out = Command::new(&exe).args(["bench", "--first-launch"]).arg(code).output()?;
        let text = String::from_utf8_lossy(&out.stdout);
        text.trim().parse().with_context(|| format!("the child said {text:?}"))
    };
    let samples = turns(effort, ours, Some(|| Ok(20.0)))?;
    Ok((samples, "the target".into()))
}

/// The child of `first`.
pub fn first_launch(code: &Path) -> Result<()> {
    let acl = Acl::open()?;
    // The device's own threads are up, and what a first wait costs is paid.
    acl.launch()?;
    acl.synchronize()?;
    let t = Instant::now();
    let own = Own::load(&acl, code, c"empty")?;
    own.launch(1, &[0])?;
    acl.synchronize()?;
    println!("{}", t.elapsed().as_secs_f64() * 1e3);
    Ok(())
}
