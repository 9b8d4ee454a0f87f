//! What kernels did, for `vinci trace`: a line of JSON for each, appended to the file that `VINCI_TRACE` names.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use vinci_jail::Report;
use vinci_jail::layout::{PIPES, Slice, mix};

use crate::code::{Debug, Heed};

/// The environment variable that names the file.
pub const VARIABLE: &str = "VINCI_TRACE";
/// Names of the pipes, as kernels number them.
pub const PIPE_NAMES: [&str; PIPES] = ["scalar", "vec", "mac", "mte1", "mte2", "mte3", "fixpipe"];

/// A kernel that has ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct KernelTrace {
    /// Its name.
    pub name: String,
    /// Die.
    pub die: u32,
    /// Queue.
    pub queue: u32,
    /// Blocks it was launched on.
    pub blocks: u32,
    /// Clock of the cores, MHz.
    pub clock_mhz: u32,
    /// Begin on the die's model clock, ns: when the scheduler took it.
    pub start_ns: u64,
    /// End, ns.
    pub end_ns: u64,
    /// Cube cores.
    pub aic: CoresTrace,
    /// Vector cores.
    pub aiv: CoresTrace,
    /// Bytes loaded from global memory.
    pub loaded: u64,
    /// Of these, what L2 did not have.
    pub missed: u64,
    /// Bytes stored to global memory.
    pub stored: u64,
    /// Bytes that L2 wrote back to HBM to make room.
    pub written_back: u64,
    /// Accesses that nothing orders.
    pub races: Vec<String>,
    /// What the pipes of each core did.
    pub slices: Vec<SliceTrace>,
}

/// The cores of one kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CoresTrace {
    /// Cores that worked.
    pub cores: u32,
    /// Blocks that they ran.
    pub blocks: u32,
    /// Time of a core on average, cycles.
    pub cycles: f64,
    /// Time of the one that took longest, cycles.
    pub most: f64,
    /// How long each pipe of a core worked on average, cycles; as in [`PIPE_NAMES`].
    pub busy: [f64; PIPES],
}

/// A stretch of time in which a pipe worked, or paused only briefly.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SliceTrace {
    /// Core.
    pub core: u32,
    /// Whether it is a cube core.
    pub cube: bool,
    /// Block.
    pub block: u32,
    /// Pipe, as in [`PIPE_NAMES`].
    pub pipe: u32,
    /// Begin, cycles after the block's.
    pub from: f64,
    /// End.
    pub to: f64,
}

impl KernelTrace {
    /// Takes over what the jail says. Numbers that are none become 0.
    pub(crate) fn fill(&mut self, report: &Report, slices: &[Slice]) {
        let sound = |x: f64| if x.is_finite() && x > 0.0 { x } else { 0.0 };
        let [aic, aiv] = report.tally.map(|t| {
            let per_core = |x: f64| sound(x / f64::from(t.cores.max(1)));
            CoresTrace {
                cores: t.cores,
                blocks: t.blocks,
                cycles: per_core(t.sum),
                most: sound(t.most),
                busy: t.busy.map(per_core),
            }
        });
        (self.aic, self.aiv) = (aic, aiv);
        [self.loaded, self.missed, self.stored, self.written_back] = report.bytes;
        self.slices = slices
            .iter()
            .map(|s| SliceTrace {
                core: s.what >> 8 & 0xff,
                cube: s.what >> 16 & 1 != 0,
                block: s.what >> 17,
                pipe: (s.what & 0xff).min(PIPES as u32 - 1),
                from: sound(mix(s.from.map(f64::from), report.mix)),
                to: sound(mix(s.to.map(f64::from), report.mix)),
            })
            .collect();
    }
}

/// What is watched of kernels, as the environment says when the device is opened.
pub(crate) struct Watch {
    /// What becomes of races.
    pub(crate) races: Heed,
    /// The kernel that a debugger waits for, until it has come.
    pub(crate) debug: Mutex<Option<Debug>>,
    file: Option<Mutex<File>>,
    serial: AtomicU32,
}

impl Watch {
    /// What the environment asks for.
    pub(crate) fn from_env() -> Self {
        let file = env::var_os(VARIABLE).filter(|name| !name.is_empty()).and_then(|name| {
            let file = OpenOptions::new().create(true).append(true).open(&name);
            file.map_err(|e| log::error!("{VARIABLE}: {}: {e}", name.display())).ok()
        });
        Self {
            races: Heed::from_env(),
            debug: Mutex::new(Debug::from_env()),
            file: file.map(Mutex::new),
            serial: AtomicU32::new(0),
        }
    }

    /// Whether kernels are traced.
    pub(crate) fn traces(&self) -> bool {
        self.file.is_some()
    }

    /// A number for the next kernel.
    pub(crate) fn next(&self) -> u32 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Appends a kernel that took `ns` up to `end`, if kernels are traced.
    pub(crate) fn write(&self, mut kernel: KernelTrace, end: u64, ns: u64) {
        let Some(file) = &self.file else { return };
        (kernel.start_ns, kernel.end_ns) = (end.saturating_sub(ns), end);
        let written = serde_json::to_string(&kernel)
            .map_err(std::io::Error::other)
            .and_then(|line| file.lock().write_all(format!("{line}\n").as_bytes()));
        if let Err(e) = written {
            log::error!("{VARIABLE}: {e}");
        }
    }
}
