//! The machine: QEMU with the kernel, the initrd and, as a PCI function, the device that `vinci device` serves.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cache::RunFolder;
use super::chroot::Chroot;

/// How long the device and QEMU may take until they listen or connect.
const START: Duration = Duration::from_secs(20);

/// How long the guest may take until its first program runs. On a machine with sixteen times the work it can do, Debian's
/// kernel took 26 s and the debug kernel 24 s.
const BOOT: Duration = Duration::from_secs(240);

/// What to boot.
pub struct Machine<'a> {
    /// Holds QEMU and its firmware.
    pub chroot: &'a Chroot,
    /// The kernel.
    pub image: &'a Path,
    /// Its root file system.
    pub initrd: &'a Path,
    /// Options of the kernel besides the usual ones.
    pub options: &'a str,
    /// Processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory: u32,
    /// When to give up.
    pub limit: Duration,
}

/// Where the guest's terminal is.
pub enum Terminal {
    /// The user's own.
    Interactive,
    /// Standard output, with nothing to read.
    Output,
    /// A file.
    Log,
}

/// Exit status of a step that could not do its work here, and has said why.
pub const SKIPPED: i32 = 77;

/// Something that the guest did.
#[derive(Debug)]
pub struct Did {
    /// Its name.
    pub name: String,
    /// Exit status; none if it did not end.
    pub status: Option<i32>,
    /// Seconds since boot.
    pub began: f64,
    /// Seconds since boot.
    pub ended: f64,
}

/// What came of a run.
#[derive(Default)]
pub struct Outcome {
    /// The guest's exit status; none if it ended without one.
    pub status: Option<i32>,
    /// The kernel's release and the seconds until its first program ran.
    pub up: Option<(String, f64)>,
    /// The steps.
    pub steps: Vec<Did>,
    /// What the kernel said.
    pub console: String,
    /// What the steps said.
    pub output: String,
    /// Whether the limit was reached.
    pub timed_out: bool,
}

/// The device's process: `vinci device`, ended when this is dropped.
pub struct Device {
    child: Child,
    /// Where it listens.
    socket: PathBuf,
    log: PathBuf,
    vinci: PathBuf,
}

impl Device {
    /// Starts it and waits until it listens.
    pub fn start(vinci: &Path, chip: &str, folder: &RunFolder) -> Result<Self> {
        let (socket, log) = (folder.file("device.sock"), folder.file("device.log"));
        let file = File::create(&log)?;
        let mut command = Command::new(vinci);
        command.args(["device", "--chip", chip, "--socket"]).arg(&socket).stdin(Stdio::null());
        let child = command.stdout(file.try_clone()?).stderr(file).spawn();
        let child = child.with_context(|| format!("could not start {}", vinci.display()))?;
        let mut device = Self { child, socket, log, vinci: vinci.to_owned() };
        let start = Instant::now();
        while !device.socket.exists() {
            if let Some(status) = device.child.try_wait()? {
                bail!("vinci device ended ({status}):\n{}", device.said());
            }
            if start.elapsed() > START {
                bail!("vinci device does not listen on {}:\n{}", device.socket.display(), device.said());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(device)
    }

    /// Does something to it, in the words of `vinci device inject`.
    fn inject(&self, what: &str) -> bool {
        let mut command = Command::new(&self.vinci);
        command.args(["device", "inject"]).args(what.split_whitespace()).arg("--socket").arg(&self.socket);
        let status = command.stdin(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// What it printed.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| status.to_string())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Machine<'_> {
    /// The program, started by the loader of its own system: neither root nor the chroot is needed to run it.
    fn program(&self) -> Command {
        let lib = self.chroot.path("usr/lib/x86_64-linux-gnu");
        let mut c = Command::new(self.chroot.path("usr/lib64/ld-linux-x86-64.so.2"));
        c.arg("--library-path").arg(&lib).arg(self.chroot.path("usr/bin/qemu-system-x86_64"));
        c.arg("-L")
            .arg(self.chroot.path("usr/share/qemu"))
            .arg("-L")
            .arg(self.chroot.path("usr/share/seabios"));
        c.env("QEMU_MODULE_DIR", lib.join("qemu"));
        c
    }

    fn command(&self, terminal: &Terminal, folder: &RunFolder, device: Option<&Device>) -> Command {
        let mut c = self.program();
        let path = |option: &str, path: &Path| {
            let mut text = OsString::from(option);
            text.push(path);
            text
        };
        // Memory that the device's process can map: without share=on no DMA works.
        c.args(["-M", "q35,memory-backend=memory", "-m", &format!("{}M", self.memory)]);
        c.arg("-object").arg(format!("memory-backend-memfd,id=memory,size={}M,share=on", self.memory));
        c.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", &self.cpus.to_string()]);
        c.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        c.arg("-chardev").arg(path("file,id=console,path=", &folder.file("console.log")));
        c.arg("-chardev").arg(match terminal {
            Terminal::Interactive | Terminal::Output => "stdio,id=terminal,signal=off".into(),
            Terminal::Log => path("file,id=terminal,path=", &folder.file("output.log")),
        });
        c.arg("-chardev").arg(path("socket,id=told,path=", &folder.file("told.sock")));
        c.args(["-serial", "chardev:console", "-serial", "chardev:terminal", "-serial", "chardev:told"]);
        c.arg("-kernel").arg(self.image).arg("-initrd").arg(self.initrd);
        // On a busy machine QEMU's timer can be too late for the check of it, which would panic.
        let always = "console=ttyS0 panic=-1 mitigations=off no_timer_check";
        c.arg("-append").arg(format!("{always} {}", self.options));
        if let Some(device) = device {
            let socket = device.socket.display();
            // Behind a port, as a card would be: errors are reported through it.
            c.args(["-device", "pcie-root-port,id=slot1,chassis=1,slot=1"]);
            c.arg("-device").arg(format!(
                r#"{{"driver":"vfio-user-pci","bus":"slot1","rombar":0,"socket":{{"type":"unix","path":"{socket}"}}}}"#
            ));
        }
        c
    }

    /// Boots, tells of each step as it ends, and waits until the guest is off. A guest that does not come up, before there
    /// is anything of ours in it, is booted once more, and this is said.
    pub fn run(
        &self,
        terminal: &Terminal,
        folder: &RunFolder,
        device: Option<&Device>,
        mut tell: impl FnMut(&Did),
    ) -> Result<Outcome> {
        let listener = UnixListener::bind(folder.file("told.sock"))?;
        let outcome = self.attempt(&listener, terminal, folder, device, &mut tell)?;
        if outcome.up.is_some() || !outcome.timed_out {
            return Ok(outcome);
        }
        eprintln!("the guest did not come up within {} s; its last words:", BOOT.as_secs());
        let last: Vec<_> = outcome.console.lines().rev().take(10).collect();
        last.iter().rev().for_each(|line| eprintln!("  {line}"));
        eprintln!("booting once more");
        self.attempt(&listener, terminal, folder, device, &mut tell)
    }

    fn attempt(
        &self,
        listener: &UnixListener,
        terminal: &Terminal,
        folder: &RunFolder,
        device: Option<&Device>,
        mut tell: impl FnMut(&Did),
    ) -> Result<Outcome> {
        let mut command = self.command(terminal, folder, device);
        if !matches!(terminal, Terminal::Interactive) {
            command.stdin(Stdio::null());
        }
        let start = Instant::now();
        let mut qemu = Kill(command.spawn().context("could not start QEMU")?);
        let Some(stream) = accept(listener, &mut qemu.0)? else {
            bail!("QEMU did not start ({})", qemu.0.wait()?);
        };
        let mut outcome = Outcome::default();
        let mut lines = BufReader::new(stream);
        loop {
            let limit = if outcome.up.is_some() { self.limit } else { self.limit.min(BOOT) };
            let left = limit.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
            lines.get_ref().set_read_timeout(Some(left))?;
            let mut line = String::new();
            match lines.read_line(&mut line) {
                Ok(0) => break,
                Ok(_) => match line.trim().strip_prefix("device ") {
                    Some(what) => {
                        let done = device.is_some_and(|device| device.inject(what));
                        lines.get_mut().write_all(if done { b"done\n" } else { b"refused\n" })?;
                    }
                    None => {
                        outcome.hear(line.trim()).map(&mut tell);
                    }
                },
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    outcome.timed_out = true;
                    break;
                }
                // Whatever a guest writes to its serial port is no reason to give up on it.
                Err(e) if e.kind() == ErrorKind::InvalidData => {}
                Err(e) => return Err(e).context("what the guest tells"),
            }
        }
        drop(qemu);
        let text = |name: &str| {
            let bytes = fs::read(folder.file(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\r', "")
        };
        (outcome.console, outcome.output) = (text("console.log"), text("output.log"));
        Ok(outcome)
    }
}

/// A process that does not outlive this.
struct Kill(Child);

impl Drop for Kill {
    fn drop(&mut self) {
        // After the guest is off, QEMU ends by itself: its last words may be on their way.
        for _ in 0..200 {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The connection that QEMU makes when it starts; none if it ends before.
fn accept(listener: &UnixListener, qemu: &mut Child) -> Result<Option<UnixStream>> {
    listener.set_nonblocking(true)?;
    let start = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(Some(stream));
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => return Err(e.into()),
        }
        if qemu.try_wait()?.is_some() || start.elapsed() > START {
            let _ = qemu.kill();
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

impl Outcome {
    /// Takes a line of guest.sh's; answers the step that ended with it.
    fn hear(&mut self, line: &str) -> Option<&Did> {
        let words: Vec<_> = line.split_whitespace().collect();
        let seconds = |text: &str| text.parse().unwrap_or(0.0);
        match words[..] {
            ["up", release, at] => self.up = Some((release.to_owned(), seconds(at))),
            ["begin", name, at] => {
                let began = seconds(at);
                self.steps.push(Did { name: name.to_owned(), status: None, began, ended: began });
            }
            ["end", name, status, at] => {
                let did = self.steps.last_mut().filter(|did| did.name == name)?;
                did.status = status.parse().ok();
                did.ended = seconds(at);
                return Some(did);
            }
            ["exit", status] => self.status = status.parse().ok(),
            _ => {}
        }
        None
    }

    /// What a step said.
    pub fn said(&self, step: &str) -> &str {
        let headline = format!("=== {step}\n");
        let Some(at) = self.output.find(&headline) else { return "" };
        let text = &self.output[at + headline.len()..];
        &text[..text.find("\n=== ").unwrap_or(text.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_tells_is_understood() {
        let mut outcome = Outcome::default();
        for line in ["up 7.3.4 2.1", "noise", "begin a 2.2"] {
            assert!(outcome.hear(line).is_none());
        }
        assert_eq!(outcome.hear("end a 1 2.5").map(|did| did.status), Some(Some(1)));
        for line in ["begin b 2.6", "end a 0 2.7", "exit 1"] {
            assert!(outcome.hear(line).is_none());
        }
        assert_eq!(outcome.status, Some(1));
        assert_eq!(outcome.up.as_ref().unwrap().0, "7.3.4");
        assert_eq!(outcome.steps[0].status, Some(1));
        assert_eq!(outcome.steps[1].status, None, "b did not end");
        outcome.output = "=== a\nx\ny\n=== b\nz\n".into();
        assert_eq!(outcome.said("a"), "x\ny");
        assert_eq!(outcome.said("b"), "z\n");
        assert_eq!(outcome.said("c"), "");
    }
}
