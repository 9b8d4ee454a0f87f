//! Stock clang as the compiler: which one, and how its two passes are called.
//!
//! clang's frontend is called as for HIP, whose launches Ascend C's are, with the host's own target for the device. The
//! driver itself works out the frontend's options (`-###`), so folders of headers come from where they always do.

use std::ffi::OsString;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Oldest release that can compile both halves.
const OLDEST: u32 = 16;
/// The release that is tested.
const TESTED: u32 = 19;

/// A clang.
pub struct Clang {
    path: PathBuf,
}

impl Clang {
    /// The one that was asked for, else clang-19, else the newest that will do.
    pub fn find(wanted: Option<&Path>) -> Result<Clang> {
        if let Some(path) = wanted {
            let version = version(path).with_context(|| format!("{} is no clang", path.display()))?;
            if version < OLDEST {
                bail!("{} is clang {version}; kernels need {OLDEST} or newer", path.display());
            }
            return Ok(Clang { path: path.to_owned() });
        }
        let names = [TESTED].into_iter().chain((OLDEST..=30).rev().filter(|v| *v != TESTED));
        let names = names.map(|v| format!("clang-{v}")).chain(["clang".into()]);
        for name in names {
            let path = PathBuf::from(&name);
            match version(&path) {
                Some(found) if found >= OLDEST => {
                    if found != TESTED {
                        eprintln!(
                            "vinci cc: clang-{TESTED} is not installed (Debian: apt-get install clang-{TESTED}); compiling with {name}, which is clang {found}"
                        );
                    }
                    return Ok(Clang { path });
                }
                _ => {}
            }
        }
        bail!("no clang {OLDEST} or newer on the path; Debian: apt-get install clang-{TESTED}")
    }

    /// Where it is, or its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The frontend's options for an ordinary C++ file, without those that name the file and what is made of it.
    pub fn frontend(&self, flags: &[String], file: &Path) -> Result<Vec<OsString>> {
        let mut driver = Command::new(&self.path);
        driver.args(["-###", "-c", "-x", "c++"]).args(flags).arg(file).args(["-o", "/dev/null"]);
        let output = driver.output().with_context(|| self.path.display().to_string())?;
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().find(|line| line.contains("\"-cc1\""));
        let Some(line) = line.filter(|_| output.status.success()) else { bail!("{}", text.trim()) };
        let mut words = split(line).into_iter().skip(2).peekable();
        let mut kept = Vec::new();
        while let Some(word) = words.next() {
            match word.as_str() {
                // These take a value.
                "-o" | "-x" | "-main-file-name" | "-dumpdir" => drop(words.next()),
                "-emit-obj" | "-disable-free" | "-faddrsig" | "-clear-ast-before-backend" => {}
                _ => kept.push(word),
            }
        }
        // The last word is the file.
        if kept.last().map(Path::new) == Some(file) {
            kept.pop();
        }
        Ok(kept.into_iter().map(OsString::from).chain([OsString::from("--"), file.into()]).collect())
    }

    fn cc1(&self, frontend: &[OsString]) -> (Command, OsString) {
        let mut command = Command::new(&self.path);
        command.arg("-cc1").args(&frontend[..frontend.len() - 2]);
        command.args(["-fhip-new-launch-api", "-Wno-everything"]);
        (command, frontend[frontend.len() - 1].clone())
    }

    /// Preprocesses the file for one of the halves.
    pub fn preprocess(&self, frontend: &[OsString], device: bool, to: &Path) -> Result<()> {
        let (mut command, file) = self.cc1(frontend);
        if device {
            command.args(["-fcuda-is-device", "--hipstdpar"]);
        }
        run(command.args(["-x", "hip", "-E", "-o"]).arg(to).arg(file))
    }

    /// Compiles a preprocessed file for the device.
    pub fn compile_device(&self, frontend: &[OsString], from: &Path, to: &Path) -> Result<()> {
        let (mut command, _) = self.cc1(frontend);
        let triple = triple(frontend);
        command.args(["-fcuda-is-device", "--hipstdpar", "-aux-triple"]).arg(triple);
        command.args(["-ffunction-sections", "-fdata-sections", "-emit-obj", "-x", "hip-cpp-output", "-o"]);
        run(command.arg(to).arg(from))
    }

    /// Compiles a preprocessed file for the host, with a code object in it.
    pub fn compile_host(
        &self,
        frontend: &[OsString],
        from: &Path,
        code: Option<&Path>,
        to: &Path,
    ) -> Result<()> {
        let (mut command, file) = self.cc1(frontend);
        command.arg("--hipstdpar").arg("-aux-triple").arg(triple(frontend));
        // Goes into the name of a symbol, of which a program has one per file.
        let mut hash = std::hash::DefaultHasher::new();
        (std::path::absolute(&file).ok(), std::path::absolute(to).ok()).hash(&mut hash);
        command.arg(format!("-cuid={:x}", hash.finish()));
        if let Some(code) = code {
            command.arg("-fcuda-include-gpubinary").arg(code);
        }
        run(command.args(["-emit-obj", "-x", "hip-cpp-output", "-o"]).arg(to).arg(from))
    }

    /// Links objects of the device into a code object.
    pub fn link(&self, objects: &[PathBuf], to: &Path, debug: bool) -> Result<()> {
        let mut command = Command::new(&self.path);
        command.args([
            "-shared",
            "-nostdlib",
            "-Wl,--gc-sections,-z,now,-z,separate-code,-z,max-page-size=4096",
        ]);
        command.args(["-Wl,--build-id=none,-Bsymbolic", "-Wl,--no-undefined-version"]);
        if !debug {
            command.arg("-Wl,-s");
        }
        // Nothing is found by its name, so that what the host's half needs goes: a library's templates are visible
        // whatever the default is, and would be kept with all that they call.
        let nothing = to.with_extension("version");
        std::fs::write(&nothing, "{ local: *; };\n").with_context(|| nothing.display().to_string())?;
        command.arg(format!("-Wl,--version-script={}", nothing.display()));
        run(command.args(objects).arg("-o").arg(to))
    }
}

/// The target of the frontend's options.
fn triple(frontend: &[OsString]) -> OsString {
    let at = frontend.iter().position(|word| word == "-triple");
    at.and_then(|at| frontend.get(at + 1)).cloned().unwrap_or("x86_64-pc-linux-gnu".into())
}

/// Major version of a clang; `None` if it is none.
fn version(path: &Path) -> Option<u32> {
    let output = Command::new(path).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rest = text.split("clang version ").nth(1)?;
    rest.split('.').next()?.parse().ok()
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| command.get_program().to_string_lossy().into_owned())?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{}", text.trim());
    }
    if !text.trim().is_empty() {
        eprintln!("{}", text.trim());
    }
    Ok(())
}

/// The words of a line that `-###` printed: quoted, with backslashes.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => (quoted, any) = (!quoted, true),
            '\\' if quoted => word.extend(chars.next()),
            c if c.is_whitespace() && !quoted => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => word.push(c),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unquoted() {
        let line = r#" "/usr/bin/clang" "-cc1" "-D" "A=\"b c\"" "" plain"#;
        assert_eq!(split(line), ["/usr/bin/clang", "-cc1", "-D", "A=\"b c\"", "", "plain"]);
    }
}
