//! Random requests, mappings, closes and kills at the driver's interface, from several processes at once. What is
//! checked: nothing crashes or hangs, nothing is left when all have ended, and nobody's memory changes but by its owner.
//!
//! `VINCI_DEVICE` or `--device` chooses the home. A run that finds something prints the seed and the last calls of
//! the worker concerned.

mod bells;
mod canary;
mod log;
mod random;
mod request;
mod scratch;
mod watch;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Parser;
use vinci_device::Profile;
use vinci_driver::{Embedded, Kernel, Node, Served, VARIABLE};

use log::Log;
use worker::{Gentle, Worker};

/// What the command line says.
#[derive(Parser, Clone)]
#[command(about = "Fuzzes the driver's interface", after_help = EXAMPLES)]
pub struct Args {
    /// Home: embedded, unix:PATH of a `vinci serve`, or /dev/accel/accelN
    #[arg(long, env = VARIABLE, default_value = "embedded", hide_env_values = true)]
    device: String,
    /// Calls of all workers together
    #[arg(long, default_value_t = 1_000_000)]
    calls: u64,
    /// Processes; of an embedded device, threads
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Repeats a run, as far as several workers allow; with one worker, call by call
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Resets of dies and of the function, too, which take everybody's queues
    #[arg(long)]
    resets: bool,
    /// Do not kill processes in the middle of a call
    #[arg(long)]
    no_kills: bool,
    /// Seconds without a call that returns, after which a worker hangs
    #[arg(long, default_value_t = 60)]
    patience: u64,
    /// A process whose descriptors are counted before and after: the server
    #[arg(long, value_name = "PID")]
    server: Option<u32>,
    /// Descriptor of the log; what the program starts itself with
    #[arg(long, hide = true)]
    log: Option<i32>,
    /// Number of the first worker
    #[arg(long, hide = true, default_value_t = 0)]
    first: usize,
}

const EXAMPLES: &str = "Examples:\n  fuzz-uapi --calls 50000000\n  fuzz-uapi --device unix:/tmp/npu.sock --workers 4\n  \
                        fuzz-uapi --device /dev/accel/accel0 --calls 1000000\n  \
                        fuzz-uapi --workers 1 --seed 77        the same calls again";

impl Args {
    fn is_embedded(&self) -> bool {
        self.device == "embedded"
    }

    fn gentle(&self) -> Gentle {
        Gentle { resets: self.resets }
    }

    /// The seed of a worker's life; a killed one has another.
    fn seed_of(&self, worker: usize, life: u64) -> u64 {
        random::Random::new(self.seed ^ (worker as u64) << 48 ^ life << 32).next()
    }
}

/// How files of a device are opened.
fn opener(device: &str) -> Result<Box<worker::Open<'static>>> {
    if device == "embedded" {
        let first = Embedded::new(Profile::from_env()?)?;
        return Ok(Box::new(move || Ok(Arc::new(first.reopen()?) as Arc<dyn Node>)));
    }
    let device = device.to_owned();
    Ok(Box::new(move || {
        Ok(match device.strip_prefix("unix:") {
            Some(path) => Arc::new(Served::connect(&PathBuf::from(path))?) as Arc<dyn Node>,
            None => Arc::new(Kernel::open(device.as_ref())?),
        })
    }))
}

/// The workers of this process, until there were `until` calls of each.
fn work(args: &Args, log: &Log, workers: usize) -> Result<()> {
    let open = opener(&args.device)?;
    // What a process of its own leaves is for the one that watches to see.
    let before = args.is_embedded().then(|| watch::Ground::of(args, &*open)).transpose()?;
    let (until, gentle) = (args.calls.div_ceil(args.workers as u64), args.gentle());
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let start = |n: usize| {
            let (open, slot) = (&*open, log.slot(args.first + n));
            let life = slot.calls.load(std::sync::atomic::Ordering::Relaxed);
            let seed = args.seed_of(args.first + n, life);
            scope.spawn(move || Worker::new(open, slot, seed, gentle)?.run(until))
        };
        let threads: Vec<_> = (0..workers).map(start).collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|_| bail!("a worker panicked"))).collect()
    });
    results.into_iter().collect::<Result<Vec<_>>>()?;
    before.map_or(Ok(()), |before| before.check(args, &*open))
}

fn main() -> Result<()> {
    let args = Args::parse();
    if args.workers == 0 || args.calls == 0 {
        bail!("at least one worker and one call");
    }
    match args.log {
        None => watch::run(&args),
        Some(fd) => {
            // SAFETY: the program that watches passes its log there, and this is the first thing that happens.
            let log = unsafe { Log::inherited(fd) }.context("the log")?;
            // A thread of the device that panics would be missed by nobody.
            std::panic::set_hook(Box::new(|panic| {
                eprintln!("{panic}");
                std::process::abort();
            }));
            bells::survive().context("a handler of SIGBUS")?;
            let workers = if args.is_embedded() { args.workers } else { 1 };
            work(&args, &log, workers)
        }
    }
}
