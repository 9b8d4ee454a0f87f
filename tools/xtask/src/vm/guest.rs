//! What the guest has and does: Vinci's libraries, tools and tests, the module, and a script of steps.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Work;
use super::chroot::Chroot;
use super::initrd::Archive;
use crate::{build, install};

const INIT: &str = include_str!("guest.sh");
const LIES: &str = include_str!("lies.sh");
const HOME: &str = "/opt/vinci";

/// The programs of tests/conformance, and the digits demo, compiled against the release libraries.
struct Programs {
    digits: PathBuf,
    conformance: Vec<PathBuf>,
    /// Of tests/vm.
    module: Vec<PathBuf>,
}

impl Programs {
    /// Compiles those that are older than their source or the headers' folder.
    fn build(prefix: &Path) -> Result<Self> {
        let root = build::root();
        let folder = build::target().join("vm");
        fs::create_dir_all(&folder)?;
        let digits = compile(&root.join("tests/digits/digits.c"), &folder, prefix)?;
        let conformance = sources(&root.join("tests/conformance/c"))?;
        let conformance =
            conformance.iter().map(|source| compile(source, &folder, prefix)).collect::<Result<_>>()?;
        Ok(Self { digits, conformance, module: Self::of_the_module()? })
    }

    /// Those that know nothing but the interface of the module.
    fn of_the_module() -> Result<Vec<PathBuf>> {
        let (root, folder) = (build::root(), build::target().join("vm/module"));
        fs::create_dir_all(&folder)?;
        let interface = root.join("driver/uapi/include");
        let compile = |source: &PathBuf| {
            let program = folder.join(source.file_stem().context("a source has a name")?);
            let shared = [source.with_file_name("vm.h"), interface.join("drm/vinci_accel.h")];
            if !is_newer(&program, shared.iter().chain([source])) {
                let mut cc = build::command("cc", &["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]);
                cc.args(["-Wno-missing-field-initializers", "-I/usr/include/libdrm", "-I"]).arg(&interface);
                build::check(cc.arg("-o").arg(&program).arg(source).args(["-ldl"]))?;
            }
            Ok(program)
        };
        sources(&root.join("tests/vm"))?.iter().map(compile).collect()
    }
}

/// The C files of a folder, by name.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let files = entries.flatten().map(|entry| entry.path());
    let mut sources: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "c")).collect();
    sources.sort();
    Ok(sources)
}

/// Whether `made` is there and no older than any of `from`.
fn is_newer<'a>(made: &Path, from: impl IntoIterator<Item = &'a PathBuf>) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
    modified(made).is_some() && modified(made) >= from.into_iter().filter_map(|path| modified(path)).max()
}

fn compile(source: &Path, folder: &Path, prefix: &Path) -> Result<PathBuf> {
    let program = folder.join(source.file_stem().context("a source has a name")?);
    if is_newer(&program, [&source.to_owned(), &source.with_file_name("check.h")]) {
        return Ok(program);
    }
    let mut cc = build::command("cc", &["-std=gnu11", "-O2", "-pthread", "-o"]);
    cc.arg(&program).arg(source).arg("-I").arg(prefix.join("include")).arg("-L").arg(prefix.join("lib64"));
    build::check(cc.args([
        "-lascendcl",
        "-lopapi",
        "-lacl_op_compiler",
        "-lacl_tdt_channel",
        "-lacl_tdt_queue",
        "-ldl",
        "-lm",
    ]))?;
    Ok(program)
}

/// The root file system for `work`, with the libraries and tools in the folder `built`, `modules` to insert in order,
/// and `with` more programs in /opt/vinci/bin.
pub fn image(
    chroot: &Chroot,
    built: &Path,
    modules: &[PathBuf],
    with: &[PathBuf],
    work: &Work,
) -> Result<Vec<u8>> {
    let prefix = build::target().join("cann");
    install::lay_out(&prefix, built)?;
    let own = prefix.join("lib64");
    let mut archive = Archive::default();
    for folder in ["/dev", "/proc", "/sys", "/tmp", "/run", "/root"] {
        archive.folder(folder)?;
    }
    archive.device("/dev/console", 5, 1)?;
    archive.copy(&chroot.path("usr/bin/busybox"), "/bin/busybox")?;
    archive.link("/bin/sh", "busybox")?;
    archive.file(
        "/etc/passwd",
        0o644,
        b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    )?;
    archive.file("/etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n")?;
    archive.file("/init", 0o755, INIT.as_bytes())?;
    for module in modules {
        archive.copy(module, &format!("/modules/{}", name(module)))?;
    }
    for entry in fs::read_dir(&own)?.flatten() {
        archive.program(&entry.path(), &format!("{HOME}/lib64/{}", name(&entry.path())), &own)?;
    }
    for tool in
        fs::read_dir(prefix.join("bin"))?.flatten().map(|entry| entry.path()).chain(with.iter().cloned())
    {
        archive.program(&tool, &format!("{HOME}/bin/{}", name(&tool)), &own)?;
    }
    let script = match work {
        Work::Suite | Work::Smoke | Work::Lies => {
            let programs = Programs::build(&prefix)?;
            archive.program(&programs.digits, &format!("{HOME}/tests/digits"), &own)?;
            let data = build::root().join("tests/data/digits/digits.csv");
            archive.copy(&data, &format!("{HOME}/tests/digits.csv"))?;
            for program in programs.conformance.iter().filter(|_| !matches!(work, Work::Smoke)) {
                archive.program(program, &format!("{HOME}/tests/conformance/{}", name(program)), &own)?;
            }
            copy_module_tests(&mut archive, built, &programs.module, &own)?;
            match work {
                Work::Lies => LIES.into(),
                Work::Smoke => [BEGIN, "step vm/node 60 /opt/vinci/tests/vm/node\n", END].concat(),
                _ => [BEGIN, SUITE].concat(),
            }
        }
        Work::Fuzz(calls) => {
            copy_module_tests(&mut archive, built, &Programs::of_the_module()?, &own)?;
            FUZZ.replace("@CALLS@", &calls.to_string())
        }
        Work::Shell => format!("{}{SHELL}", terminal_size()),
        Work::Command(words) => format!("{COMMAND}set -- {}\n{RUN}", quoted(words)),
    };
    archive.file("/work.sh", 0o755, script.as_bytes())?;
    archive.finish()
}

/// The module's own tests, the fuzzer of the interface, and the library by which programs for DRM speak to a driver.
fn copy_module_tests(archive: &mut Archive, built: &Path, programs: &[PathBuf], own: &Path) -> Result<()> {
    archive.program(&built.join("fuzz-uapi"), &format!("{HOME}/tests/fuzz-uapi"), own)?;
    for program in programs {
        archive.program(program, &format!("{HOME}/tests/vm/{}", name(program)), own)?;
    }
    let libdrm = format!("/usr/lib/{}-linux-gnu/libdrm.so.2", std::env::consts::ARCH);
    archive.program(Path::new(&libdrm), &format!("{HOME}/lib64/libdrm.so.2"), own)
}

/// The module goes in, its node is there, tools and a program work.
const BEGIN: &str = "load || exit_now
step node 10 test -c /dev/accel/accel0
step npu-smi 60 npu-smi info
step digits 120 /opt/vinci/tests/digits --data /opt/vinci/tests/digits.csv
";

/// It goes out.
const END: &str = "step unload 30 rmmod \"${plain%.ko}\"\n";

/// Everything else once; it goes out, nothing leaks.
const SUITE: &str = r#"for program in /opt/vinci/tests/conformance/*; do
    step conformance/${program##*/} 120 $program
done
# Where leaks are looked for, several times: one scan does not find all.
rounds=1
[ ! -e $kmemleak ] || rounds=3
for round in $(seq $rounds); do
    for program in /opt/vinci/tests/vm/*; do
        case ${program##*/} in
        # One wants a watchdog that is quick; the failures of the other switch the kernel's check of DMA off.
        hang|fail) ;;
        *) step vm/${program##*/}${round#1} 400 $program ;;
        esac
    done
done
step unload 30 rmmod "${plain%.ko}"
step reload 30 insmod "$module" hang_timeout_ms=1500
step vm/hang 120 /opt/vinci/tests/vm/hang
fuzz_uapi 600 20000
for round in $(seq $rounds); do
    step vm/fail${round#1} 400 /opt/vinci/tests/vm/fail
done
step unload-again 30 rmmod "${plain%.ko}"
step leaks 0 leaks
"#;

/// Random requests, then what a driver must still be able to do.
const FUZZ: &str = r#"load || exit_now
fuzz_uapi 7200 @CALLS@
step vm/node 400 /opt/vinci/tests/vm/node
step unload 30 rmmod "${plain%.ko}"
step leaks 0 leaks
"#;

const SHELL: &str = r#"load
echo "VINCI_DEVICE=$VINCI_DEVICE; leave with exit or ^D" > /dev/ttyS1
stty -F /dev/ttyS1 sane
setsid -c sh < /dev/ttyS1 > /dev/ttyS1 2>&1
status=$?
"#;

const COMMAND: &str = "headlines=no\nload || exit_now\n";
const RUN: &str = r#""$@" < /dev/null > /dev/ttyS1 2>&1
status=$?
"#;

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect::<Vec<_>>().join(" ")
}

/// The shell's lines are as long as the user's terminal.
fn terminal_size() -> String {
    let out = Command::new("stty").arg("size").stdin(Stdio::inherit()).stderr(Stdio::null()).output();
    let text = out.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    match text.split_whitespace().collect::<Vec<_>>()[..] {
        [rows, columns] if rows != "0" => format!("stty -F /dev/ttyS1 rows {rows} cols {columns}\n"),
        _ => String::new(),
    }
}

/// Checks before any work is done that what the user wants to take along is there.
pub fn check(with: &[PathBuf]) -> Result<()> {
    match with.iter().find(|path| !path.is_file()) {
        Some(path) => bail!("--with {}: there is no such file", path.display()),
        None => Ok(()),
    }
}
