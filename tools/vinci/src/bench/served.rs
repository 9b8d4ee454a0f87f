//! Launches through a device that another process serves, beside launches in a process that embeds it. Both are made
//! by this program again, since a process has one device.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::acl::Acl;
use super::rows::{rate, round_trip};
use super::{Effort, Samples, turns};

/// How long a server may take to listen.
const LIMIT: Duration = Duration::from_secs(20);

/// A process that ends with its owner.
struct Process(Child);

impl Process {
    fn start(args: &[&str], device: &str, to: Stdio, from: Stdio) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(args).env("VINCI_DEVICE", device).stdin(to).stdout(from).stderr(Stdio::null());
        Ok(Self(command.spawn().context("this program cannot be started again")?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `vinci serve` on a socket of its own.
struct Server {
    _process: Process,
    socket: PathBuf,
}

impl Server {
    fn start() -> Result<Self> {
        let socket = std::env::temp_dir().join(format!("vinci-bench-{}.sock", std::process::id()));
        let path = socket.to_str().context("the folder for temporary files is not UTF-8")?;
        let mut process = Process::start(&["serve", "--socket", path], "", Stdio::null(), Stdio::null())?;
        let start = Instant::now();
        while !socket.exists() {
            if let Some(status) = process.0.try_wait()? {
                bail!("vinci serve ended: {status}");
            }
            if start.elapsed() > LIMIT {
                bail!("vinci serve does not listen at {path}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Self { _process: process, socket })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let lock = format!("{}.lock", self.socket.display());
        let _ = (std::fs::remove_file(&self.socket), std::fs::remove_file(lock));
    }
}

/// A process that launches when it is told to.
struct Launcher {
    _process: Process,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Launcher {
    fn start(device: &str) -> Result<Self> {
        let mut process =
            Process::start(&["bench", "--launch-when-told"], device, Stdio::piped(), Stdio::piped())?;
        let (to, from) = (process.0.stdin.take(), process.0.stdout.take());
        let (to, from) = to.zip(from).context("no pipes")?;
        Ok(Self { _process: process, to, from: BufReader::new(from) })
    }

    fn ask(&mut self, what: &str, time: Duration) -> Result<f64> {
        writeln!(self.to, "{what} {}", time.as_micros())?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        line.trim().parse().with_context(|| format!("the process that launches said {line:?}"))
    }
}

/// Measures `rate` or `sync` in both homes, for `part` of a turn.
pub fn measure(effort: Effort, what: &str, part: f64) -> Result<(Samples, String)> {
    let server = Server::start()?;
    let mut served = Launcher::start(&format!("unix:{}", server.socket.display()))?;
    let mut embedded = Launcher::start("embedded")?;
    let time = effort.turn.mul_f64(part);
    let samples = turns(effort, || served.ask(what, time), Some(|| embedded.ask(what, time)))?;
    Ok((samples, "embedded home".into()))
}

/// The process that launches: answers each line on its input with a number.
pub fn launch_when_told() -> Result<()> {
    let acl = Acl::open()?;
    for line in std::io::stdin().lines() {
        let line = line?;
        let (what, micros) = line.split_once(' ').context("no time")?;
        let time = Duration::from_micros(micros.parse()?);
        let value = match what {
            "rate" => rate(&acl, time)?,
            "sync" => round_trip(&acl, time)?,
            other => bail!("{other} cannot be measured"),
        };
        println!("{value}");
    }
    Ok(())
}
