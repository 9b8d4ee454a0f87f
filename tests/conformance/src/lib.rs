//! Builds C and C++ programs against `ffi/include` and the libraries of this workspace, runs each in a process of
//! its own, and prints what came out as a table.

mod home;
mod table;
mod torch;

pub use home::{Home, conclude, homes, served};
pub use table::{Cell, Line, Verdict, report};
pub use torch::{Comparison, Torch};

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

/// How long a program may run.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Where things are.
pub struct Workspace {
    /// The repository.
    pub root: PathBuf,
    /// The headers.
    pub include: PathBuf,
    /// The libraries.
    pub lib: PathBuf,
    /// For what is built here.
    pub scratch: PathBuf,
}

/// Whether programs and libraries are to run under AddressSanitizer: `VINCI_SANITIZED` is set, by
/// `cargo xtask test asan`.
pub fn sanitized() -> bool {
    env::var_os("VINCI_SANITIZED").is_some()
}

impl Workspace {
    /// Builds libraries and tools with the profile of the running test; all at once and as `cargo xtask` does, so
    /// that nothing is built a second time with other features.
    pub fn build() -> Workspace {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = root.canonicalize().expect("the repository is there");
        // The test runs as target/<profile>/deps/<name>.
        let exe = env::current_exe().expect("a test knows its own path");
        let lib = exe.parent().and_then(Path::parent).expect("target/<profile>").to_owned();
        let profile = match lib.file_name().and_then(OsStr::to_str) {
            Some("debug") | None => "dev",
            Some(other) => other,
        };
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.current_dir(&root).args(["build", "--quiet", "--profile", profile]);
        let above = lib.parent().expect("target");
        if sanitized() {
            // One folder more: target/<triple>/<profile>. The flags come with the environment.
            cargo.arg("--target").arg(above.file_name().expect("a triple"));
            cargo.arg("--target-dir").arg(above.parent().expect("target"));
        } else {
            cargo.arg("--target-dir").arg(above);
        }
        cargo.args(["--workspace", "--exclude", "xtask"]);
        let built = cargo.status().expect("cargo runs");
        assert!(built.success(), "cargo build failed");
        let scratch = lib.join("conformance");
        fs::create_dir_all(&scratch).expect("the target folder can be written");
        Workspace { include: root.join("ffi/include"), root, lib, scratch }
    }

    /// A compiler for `source`, with the headers on its path.
    pub fn compiler(&self, source: &Path) -> Command {
        let cpp = source.extension().is_some_and(|extension| extension == "cpp");
        let (variable, default) = if cpp { ("CXX", "c++") } else { ("CC", "cc") };
        let mut compiler = Command::new(env::var_os(variable).unwrap_or(default.into()));
        compiler.arg("-I").arg(&self.include);
        if sanitized() {
            compiler.args(["-fsanitize=address", "-g"]);
        }
        compiler
    }

    /// Links with the libraries named.
    pub fn link(&self, compiler: &mut Command, libraries: &[&str]) {
        compiler.arg("-L").arg(&self.lib);
        compiler.args(libraries.iter().map(|library| format!("-l{library}")));
    }

    /// A command that finds the libraries.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", &self.lib);
        command
    }
}

/// What a program said and how it ended.
pub struct Outcome {
    /// Both streams.
    pub output: String,
    /// Why it did not pass, if it did not.
    pub failure: Option<String>,
    /// How long it ran.
    pub time: Duration,
}

/// Runs a command to its end, or ends it at [`LIMIT`].
pub fn run(command: Command) -> io::Result<Outcome> {
    run_within(command, LIMIT)
}

/// Runs a command to its end, or ends it at `limit`.
pub fn run_within(mut command: Command, limit: Duration) -> io::Result<Outcome> {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let readers = [
        child.stdout.take().map(|pipe| thread::spawn(move || text(pipe))),
        child.stderr.take().map(|pipe| thread::spawn(move || text(pipe))),
    ];
    let failure = loop {
        if let Some(status) = child.try_wait()? {
            break (!status.success()).then(|| status.to_string());
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            break Some(format!("no end after {limit:?}"));
        }
        thread::sleep(Duration::from_millis(5));
    };
    let output = readers.into_iter().flatten().map(|reader| reader.join().unwrap_or_default()).collect();
    Ok(Outcome { output, failure, time: start.elapsed() })
}

fn text(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = pipe.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Compiles; the compiler's words are the failure.
pub fn compile(mut compiler: Command) -> io::Result<Option<String>> {
    let output = compiler.output()?;
    Ok((!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned()))
}
