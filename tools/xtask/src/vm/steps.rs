//! Long work, step by step: what is being done, how far it is, how long it took, and where its output went.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cache::Cache;

/// Something to make once.
pub struct Step<'a> {
    /// Name of its stamp and its log.
    pub name: &'static str,
    /// What the user reads.
    pub title: String,
    /// Everything that decides what it makes: when this changes, it is made again.
    pub recipe: String,
    /// How many lines it prints, about; 0 where nobody knows.
    pub lines: u32,
    /// Makes it. Called again after an interruption, so it starts by clearing up or goes on where it was.
    pub make: Make<'a>,
}

/// The work of a step.
pub type Make<'a> = Box<dyn Fn(&Log) -> Result<()> + 'a>;

/// Whether there is nothing to make.
pub fn all_done(cache: &Cache, steps: &[Step]) -> bool {
    steps.iter().all(|s| cache.done(s.name, &s.recipe))
}

/// Makes the steps that are not done yet, in order; one that is made again takes the later ones with it. Every program
/// that is started holds `lock` open: should this one be killed, the next waits for what is still running.
pub fn make(cache: &Cache, lock: &File, steps: &[Step]) -> Result<()> {
    let begin = steps.iter().position(|s| !cache.done(s.name, &s.recipe)).unwrap_or(steps.len());
    if begin == steps.len() {
        return Ok(());
    }
    eprintln!("making what the VM needs in {}", cache.root().display());
    let all = Instant::now();
    for (i, step) in steps.iter().enumerate() {
        let title = format!("[{}/{}] {}", i + 1, steps.len(), step.title);
        if i < begin {
            eprintln!("{title:58} is there");
            continue;
        }
        cache.clear(step.name)?;
        let start = Instant::now();
        let log = Log::create(cache.log(step.name), title.clone(), step.lines, lock.try_clone()?)?;
        (step.make)(&log).with_context(|| step.title.clone())?;
        cache.set_done(step.name, &step.recipe)?;
        log.erase();
        eprintln!("{title:58} {:4.0} s", start.elapsed().as_secs_f64());
    }
    eprintln!("all of it took {}", minutes(all.elapsed()));
    Ok(())
}

fn minutes(time: Duration) -> String {
    let s = time.as_secs();
    if s < 60 { format!("{s} s") } else { format!("{} min {:02} s", s / 60, s % 60) }
}

/// Where a step's programs write, and what counts their lines.
pub struct Log {
    path: PathBuf,
    file: File,
    lock: File,
    title: String,
    expected: u32,
    lines: AtomicU32,
    start: Instant,
}

impl Log {
    fn create(path: PathBuf, title: String, expected: u32, lock: File) -> Result<Self> {
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path, file, lock, title, expected, lines: AtomicU32::new(0), start: Instant::now() })
    }

    /// Runs a command to its end. Its output goes to the log; if it fails, the last of it to the user too.
    pub fn check(&self, command: &mut Command) -> Result<()> {
        let (reader, writer) = io::pipe()?;
        writeln!(&self.file, "+ {command:?}")?;
        let mut child = command
            .stdin(self.lock.try_clone()?)
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .spawn()
            .with_context(|| format!("could not start {:?}", command.get_program()))?;
        // The pipe's write ends in `command` would keep it open for ever.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let (stop, stopped) = mpsc::channel();
        let last = thread::scope(|scope| {
            scope.spawn(move || self.tell(&stopped));
            let last = self.drain(BufReader::new(reader));
            drop(stop);
            last
        })?;
        let status = child.wait()?;
        if !status.success() {
            self.erase();
            bail!("{status}; the end of {}:\n  {}", self.path.display(), last.join("\n  "));
        }
        Ok(())
    }

    /// Copies the output to the log; answers the last lines.
    fn drain(&self, mut from: impl BufRead) -> Result<Vec<String>> {
        const KEPT: usize = 15;
        let (mut last, mut line) = (Vec::new(), Vec::new());
        while from.read_until(b'\n', &mut line)? != 0 {
            (&self.file).write_all(&line)?;
            self.lines.fetch_add(1, Relaxed);
            if last.len() == KEPT {
                last.remove(0);
            }
            last.push(String::from_utf8_lossy(&line).trim_end().to_owned());
            line.clear();
        }
        Ok(last)
    }

    /// Says how far it is: on a terminal all the time, elsewhere now and then.
    fn tell(&self, stopped: &mpsc::Receiver<()>) {
        let terminal = io::stderr().is_terminal();
        let pause = Duration::from_millis(if terminal { 500 } else { 30_000 });
        loop {
            if terminal {
                eprint!("\r\x1b[K{}", self.state());
            }
            if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            if !terminal {
                eprintln!("{}", self.state());
            }
        }
    }

    fn state(&self) -> String {
        let elapsed = minutes(self.start.elapsed());
        match self.expected {
            0 => format!("{:58} {elapsed}", self.title),
            all => {
                let percent = (u64::from(self.lines.load(Relaxed)) * 100 / u64::from(all)).min(99);
                format!("{:58} about {percent} %, {elapsed}", self.title)
            }
        }
    }

    /// Takes the line that a terminal shows away.
    fn erase(&self) {
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        let path = std::env::temp_dir().join(format!("vinci-log-{:?}", thread::current().id()));
        Log::create(path, "title".into(), 4, File::open("/dev/null").unwrap()).unwrap()
    }

    #[test]
    fn a_failure_shows_the_end_of_the_output() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo fine; echo broken >&2; exit 3"]);
        let log = log();
        let text = log.check(&mut command).unwrap_err().to_string();
        assert!(text.contains("exit status: 3") && text.contains("fine\n  broken"), "{text}");
        assert!(log.state().contains("about 50 %"), "{}", log.state());
        std::fs::remove_file(&log.path).unwrap();
    }
}
