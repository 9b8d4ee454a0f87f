//! PyTorch on the CPU, which says whether records of operators are right: `tests/torch/records.py --serve`, in the
//! Python environment that `cargo xtask test torch` makes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::{env, io};

/// What records came to.
#[derive(Default)]
pub struct Comparison {
    /// By verdict: equal, different, random (of which only the range is known), without (a counterpart), refused.
    pub counts: BTreeMap<String, usize>,
    /// Sentences about those that differ.
    pub different: Vec<String>,
    /// Operators without a counterpart.
    pub without: BTreeSet<String>,
}

impl Comparison {
    /// Adds another's.
    pub fn add(&mut self, other: Comparison) {
        other.counts.into_iter().for_each(|(verdict, n)| *self.counts.entry(verdict).or_default() += n);
        self.different.extend(other.different);
        self.without.extend(other.without);
    }

    /// How many records have a verdict.
    pub fn count(&self, verdict: &str) -> usize {
        self.counts.get(verdict).copied().unwrap_or(0)
    }
}

/// A process that compares.
pub struct Torch {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// The Python of the environment, if it was made.
fn python() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    let venv = cache.join("vinci/torch-venv-2.7.1");
    venv.join("complete").is_file().then(|| venv.join("bin/python"))
}

impl Torch {
    /// Starts one; `None` without the environment.
    pub fn start(root: &Path) -> io::Result<Option<Torch>> {
        let Some(python) = python() else { return Ok(None) };
        let mut command = Command::new(python);
        command.arg(root.join("tests/torch/records.py")).arg("--serve").env("PYTHONDONTWRITEBYTECODE", "1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("no pipes"));
        };
        Ok(Some(Torch { child, to, from: BufReader::new(from) }))
    }

    /// Compares the records in a folder.
    pub fn compare(&mut self, folder: &Path) -> io::Result<Comparison> {
        writeln!(self.to, "{}", folder.display())?;
        self.to.flush()?;
        let mut comparison = Comparison::default();
        loop {
            let mut line = String::new();
            if self.from.read_line(&mut line)? == 0 {
                return Err(io::Error::other("records.py has ended"));
            }
            let line = line.trim_end_matches('\n');
            if line.is_empty() {
                return Ok(comparison);
            }
            let mut fields = line.split('\t');
            let mut field = || fields.next().unwrap_or_default().to_owned();
            let (verdict, operator, file, sentence) = (field(), field(), field(), field());
            match &verdict[..] {
                "different" => comparison.different.push(format!("{operator} ({file}): {sentence}")),
                "without" => drop(comparison.without.insert(operator)),
                _ => {}
            }
            *comparison.counts.entry(verdict).or_default() += 1;
        }
    }
}

impl Drop for Torch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
