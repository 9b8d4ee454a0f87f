//! The Python environment in which PyTorch meets torch_npu: the published wheels in a folder of the user's cache.
//!
//! The wheel of torch for x86-64 is the CUDA build. Its libraries need CUDA's to be loaded but not to be there: stand-ins
//! with the same names and symbols, whose functions answer "no device", take the place of 4 GB of packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::build;

/// The pair that is tested.
const TORCH: &str = "torch==2.7.1";
const TORCH_NPU: &str = "torch-npu==2.7.1.post4";
/// What both need, and torch's own tests.
const OTHERS: &[&str] = &[
    "filelock",
    "typing-extensions",
    "sympy",
    "networkx",
    "jinja2",
    "fsspec",
    "numpy",
    "pyyaml",
    "setuptools",
    "decorator",
    "attrs",
    "psutil",
    "scipy",
    "cloudpickle",
    "expecttest",
    // Models from a configuration, with random weights.
    "transformers==4.53.3",
    // Which transformers wants where there is an NPU.
    "einops",
];

/// The command that runs the tests in tests/torch.
pub fn command(full: bool) -> Result<Command> {
    let python = environment()?;
    let vinci = build::release().join("vinci");
    let mut c = build::command(&vinci.to_string_lossy(), &["run", "--"]);
    c.arg(python).arg(build::root().join("tests/torch/run.py"));
    if full {
        c.arg("--full");
    }
    Ok(c)
}

/// Makes the environment if it is not there; its Python.
fn environment() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let venv = cache.context("neither HOME nor XDG_CACHE_HOME is set")?.join("vinci/torch-venv-2.7.1");
    // The mark of a complete environment names what is in it.
    let (python, done) = (venv.join("bin/python"), venv.join("complete"));
    let contents = [&[TORCH, TORCH_NPU], OTHERS].concat().join("\n");
    if fs::read_to_string(&done).is_ok_and(|there| there == contents) {
        return Ok(python);
    }
    println!("making {}: {TORCH}, {TORCH_NPU} (about 1.7 GB)", venv.display());
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let install = |args: &[&str]| {
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(args))
    };
    install(&["--no-deps", TORCH, TORCH_NPU])?;
    install(OTHERS)?;
    stand_ins(&site_packages(&python)?)?;
    fs::write(&done, contents)?;
    Ok(python)
}

fn run(c: &mut Command) -> Result<()> {
    let output = c.output().with_context(|| format!("could not start {:?}", c.get_program()))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("{c:?}: {}", text.lines().last().unwrap_or("it failed"));
    }
    Ok(())
}

fn text(c: &mut Command) -> Result<String> {
    let output = c.output().with_context(|| format!("could not start {:?}", c.get_program()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn site_packages(python: &Path) -> Result<PathBuf> {
    let code = "import sysconfig; print(sysconfig.get_paths()['purelib'])";
    Ok(text(Command::new(python).args(["-c", code]))?.trim().into())
}

/// Whether a library is one of CUDA's.
fn is_cuda(name: &str) -> bool {
    ["libcu", "libnccl", "libnv"].iter().any(|prefix| name.starts_with(prefix))
}

/// Makes the stand-ins where the libraries of torch look for CUDA's.
fn stand_ins(packages: &Path) -> Result<()> {
    let folder = packages.join("nvidia/cuda_runtime/lib");
    fs::create_dir_all(&folder)?;
    let mut libraries: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    // Of no version: some library has to have them, whichever.
    let mut loose = BTreeSet::new();
    for entry in fs::read_dir(packages.join("torch/lib")).context("torch is not where it was installed")? {
        let path = entry?.path();
        if !path.file_name().is_some_and(|n| n.to_string_lossy().contains(".so")) {
            continue;
        }
        let needed = text(Command::new("readelf").arg("-d").arg(&path))?;
        let needed = needed.lines().filter_map(|line| line.split_once("library: [")?.1.strip_suffix(']'));
        needed.filter(|n| is_cuda(n)).for_each(|n| {
            libraries.entry(n.into()).or_default();
        });
        for line in text(Command::new("nm").args(["-D", "--undefined-only"]).arg(&path))?.lines() {
            let Some(symbol) = line.split_whitespace().last() else { continue };
            match symbol.split_once('@') {
                Some((name, library)) if is_cuda(library) => {
                    libraries.entry(library.into()).or_default().insert(name.into());
                }
                None if ["cu", "nccl", "nvrtc"].iter().any(|p| symbol.starts_with(p)) => {
                    loose.insert(symbol.to_owned());
                }
                _ => {}
            }
        }
    }
    let first = libraries.keys().find(|name| name.starts_with("libnccl")).cloned();
    for (name, symbols) in &mut libraries {
        let versioned = first.as_ref() != Some(name);
        if !versioned {
            symbols.append(&mut loose);
        }
        stand_in(&folder, name, symbols, versioned)?;
    }
    Ok(())
}

fn stand_in(folder: &Path, name: &str, symbols: &BTreeSet<String>, versioned: bool) -> Result<()> {
    /// cudaErrorNoDevice
    const NO_DEVICE: u32 = 100;
    let mut source = String::new();
    for symbol in symbols {
        if symbol.contains("Error") && (symbol.contains("String") || symbol.contains("Name")) {
            writeln!(source, "const char *{symbol}(void) {{ return \"no CUDA\"; }}")?;
        } else {
            writeln!(source, "long {symbol}(void) {{ return {NO_DEVICE}; }}")?;
        }
    }
    let (code, map) = (folder.join("stand_in.c"), folder.join("stand_in.map"));
    fs::write(&code, source)?;
    fs::write(
        &map,
        if versioned { format!("{name} {{ global: *; }};\n") } else { "{ global: *; };\n".into() },
    )?;
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-fno-builtin", "-w"]).arg(format!("-Wl,-soname,{name}"));
    cc.arg(format!("-Wl,--version-script={}", map.display())).arg("-o").arg(folder.join(name)).arg(&code);
    run(&mut cc)?;
    fs::remove_file(code)?;
    fs::remove_file(map)?;
    Ok(())
}
