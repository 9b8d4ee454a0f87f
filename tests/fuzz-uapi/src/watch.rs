//! The program that starts the workers, kills some, and looks at what they leave.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use vinci_driver::{Errno, Handle};

use crate::log::Log;
use crate::random::Random;
use crate::worker::Open;
use crate::{Args, opener};

/// How long what is left may take to go.
const SETTLE: Duration = Duration::from_secs(10);

/// What there is when nobody works.
#[derive(Debug, PartialEq, Eq)]
pub struct Ground {
    hbm: Vec<u64>,
    files: usize,
    spaces: usize,
    queues: usize,
    descriptors: usize,
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

impl Ground {
    /// Looks: memory in use, open files, address spaces and queues that can be had.
    pub fn of(args: &Args, open: &Open<'_>) -> Result<Self> {
        let count = |make: &mut dyn FnMut() -> Result<(), Errno>| std::iter::from_fn(|| make().ok()).count();
        let (spaces, queues) = {
            let dev = Handle::new(open()?);
            let vm = dev.vm_create()?;
            let queues = count(&mut || dev.queue_create(vm, 0, 3, 64).map(drop));
            (count(&mut || dev.vm_create().map(drop)), queues)
        };
        let dev = Handle::new(open()?);
        let dies = dev.device_info()?.die_count;
        let hbm = (0..dies).map(|die| Ok(dev.telemetry(die)?.hbm_used)).collect::<Result<_>>()?;
        let files = (0..).take_while(|&n| dev.process(n).is_ok()).count();
        drop(dev);
        let own = args.is_embedded().then(std::process::id);
        let descriptors = args.server.or(own).map_or(0, descriptors);
        Ok(Self { hbm, files, spaces, queues, descriptors })
    }

    /// An error if what there is now is not that, nor soon will be.
    pub fn check(&self, args: &Args, open: &Open<'_>) -> Result<()> {
        let start = Instant::now();
        loop {
            let now = Self::of(args, open)?;
            // What was made once for all, such as an epoll set, may be there now.
            let near = now.descriptors <= self.descriptors + 2;
            if near && (Self { descriptors: self.descriptors, ..now }) == *self {
                return Ok(());
            }
            if start.elapsed() > SETTLE {
                bail!("something is left: {:?}, before {self:?}", Self::of(args, open)?);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Worker `first`, or all of an embedded device.
fn start(args: &Args, log: &Log, first: usize) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--log", &log.descriptor().to_string(), "--first", &first.to_string()]);
    command.args(["--device", &args.device, "--calls", &args.calls.to_string()]);
    command.args(["--workers", &args.workers.to_string(), "--seed", &args.seed.to_string()]);
    if args.resets {
        command.arg("--resets");
    }
    // SAFETY: prctl(2) is all that runs between fork and exec.
    unsafe {
        command.pre_exec(|| {
            // Nobody would end a worker whose watcher was killed.
            match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        })
    };
    command.spawn().context("this program cannot be started again")
}

/// Starts the workers and waits for their end.
pub fn run(args: &Args) -> Result<()> {
    let log = Log::new(args.workers)?;
    let began = Instant::now();
    let several = !args.is_embedded();
    let open = if several { Some(opener(&args.device)?) } else { None };
    let before = open.as_ref().map(|open| Ground::of(args, &**open)).transpose()?;
    let count = if several { args.workers } else { 1 };
    let mut running: Vec<_> = (0..count).map(|n| start(args, &log, n).map(Some)).collect::<Result<_>>()?;
    let result = watch(args, &log, &mut running);
    for child in running.iter_mut().flatten() {
        let _ = (child.kill(), child.wait());
    }
    let kills = result?;
    if let (Some(before), Some(open)) = (before, open) {
        before.check(args, &*open)?;
    }
    let sum = |of: fn(&crate::log::Slot) -> u64| (0..args.workers).map(|n| of(log.slot(n))).sum::<u64>();
    let calls = sum(|s| s.calls.load(Ordering::Relaxed));
    let good = sum(|s| s.good.load(Ordering::Relaxed));
    let seconds = began.elapsed().as_secs_f64();
    let entries = sum(|s| s.entries.load(Ordering::Relaxed));
    println!(
        "{calls} calls in {seconds:.1} s ({:.0} a second), {:.0} % of them succeeded; {entries} entries ran; {kills} processes \
         were killed; seed {}: nothing found",
        calls as f64 / seconds,
        good as f64 / calls as f64 * 100.0,
        args.seed
    );
    Ok(())
}

/// Until all have ended well; answers how many were killed on purpose.
fn watch(args: &Args, log: &Log, running: &mut [Option<Child>]) -> Result<u64> {
    let each = args.calls.div_ceil(args.workers as u64);
    let calls = |n: usize| log.slot(n).calls.load(Ordering::Relaxed);
    let mut seen: Vec<_> = (0..args.workers).map(|n| (calls(n), Instant::now())).collect();
    let (mut random, mut kills) = (Random::new(args.seed), 0);
    let mut next_kill = Instant::now() + Duration::from_millis(500);
    loop {
        for (first, child) in running.iter_mut().enumerate() {
            let Some(process) = child else { continue };
            if let Some(status) = process.try_wait()? {
                *child = None;
                if !status.success() {
                    let workers = if args.is_embedded() { 0..args.workers } else { first..first + 1 };
                    report(args, log, workers);
                    bail!("worker {first} ended: {status}");
                }
            }
        }
        if running.iter().all(Option::is_none) {
            return Ok(kills);
        }
        for (n, (last, at)) in seen.iter_mut().enumerate() {
            if calls(n) != *last || calls(n) >= each {
                (*last, *at) = (calls(n), Instant::now());
            } else if at.elapsed() > Duration::from_secs(args.patience) {
                report(args, log, n..n + 1);
                bail!("worker {n} hangs: no call for {} s", args.patience);
            }
        }
        if !args.is_embedded() && !args.no_kills && Instant::now() >= next_kill {
            next_kill = Instant::now() + Duration::from_micros(100_000 + random.below(900_000));
            let first = random.below(running.len() as u64) as usize;
            if let Some(process) = running[first].as_mut().filter(|_| calls(first) < each) {
                process.kill()?;
                process.wait()?;
                kills += 1;
                running[first] = Some(start(args, log, first)?);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How to see it again.
fn report(args: &Args, log: &Log, workers: std::ops::Range<usize>) {
    for n in workers {
        let calls = log.slot(n).calls.load(Ordering::Relaxed);
        eprintln!("worker {n} after {calls} calls; the last of them:\n{}", log.slot(n));
    }
    let (device, resets) = (&args.device, if args.resets { " --resets" } else { "" });
    eprintln!(
        "again: fuzz-uapi --device {device} --workers {} --calls {} --seed {}{resets}",
        args.workers, args.calls, args.seed
    );
}
