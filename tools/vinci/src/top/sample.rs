//! What there is to see: dies and processes at one moment, and what changed since the moment before.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;
use vinci::{Device, Driver, Health};

/// A moment.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Name of the module.
    pub module: String,
    /// Where its driver runs.
    pub home: String,
    /// Its dies.
    pub dies: Vec<Die>,
    /// Processes that have memory or queues there.
    pub processes: Vec<Process>,
    /// Queues of all of them.
    pub queues: u32,
}

/// A die.
#[derive(Clone, Debug, Serialize)]
pub struct Die {
    /// Its number, which is that of the device in AscendCL.
    pub device: u32,
    /// OK, Warning, Alarm or Critical.
    pub health: String,
    /// Share of the last second that cube cores worked.
    pub aic_util: f32,
    /// The same of vector cores.
    pub aiv_util: f32,
    /// Share of the memory's peak bandwidth.
    pub hbm_util: f32,
    /// Bytes allocated.
    pub hbm_used: u64,
    /// Bytes.
    pub hbm_total: u64,
    /// Degrees Celsius.
    pub temperature_c: f32,
    /// Watts.
    pub power_w: f32,
    /// Clock of the AI cores.
    pub clock_mhz: u32,
    /// Corrected and uncorrectable memory errors.
    pub ecc: (u64, u64),
    /// Entries of queues completed since the device came up.
    pub tasks: u64,
    /// Entries per second since the moment before.
    pub tasks_per_s: f64,
}

/// A process.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its command.
    pub name: String,
    /// Bytes it holds on each die.
    pub hbm: Vec<u64>,
    /// Its queues.
    pub queues: u32,
    /// Dies where it has memory or queues.
    pub dies: Vec<u32>,
}

impl Process {
    /// Bytes on all dies.
    pub fn memory(&self) -> u64 {
        self.hbm.iter().sum()
    }
}

/// Takes samples.
pub struct Sampler {
    driver: &'static Driver,
    before: Option<(Instant, Vec<u64>)>,
}

impl Sampler {
    /// Opens the device.
    pub fn new() -> Result<Self> {
        Ok(Self { driver: Driver::get()?, before: None })
    }

    /// This moment.
    pub fn take(&mut self) -> Result<Sample> {
        let info = self.driver.info();
        let now = Instant::now();
        let mut dies = Vec::new();
        for device in 0..info.die_count {
            let t = Device::get(device)?.telemetry()?;
            let before = self.before.as_ref().and_then(|(at, tasks)| Some((at, tasks.get(device as usize)?)));
            let rate = before.map_or(0.0, |(at, tasks)| {
                t.tasks.saturating_sub(*tasks) as f64 / now.duration_since(*at).as_secs_f64().max(1e-6)
            });
            dies.push(Die {
                device,
                health: if t.health == Health::Ok { "OK".into() } else { format!("{:?}", t.health) },
                aic_util: t.aic_util,
                aiv_util: t.aiv_util,
                hbm_util: t.hbm_util,
                hbm_used: t.hbm_used,
                hbm_total: t.hbm_total,
                temperature_c: t.temperature_c,
                power_w: t.power_w,
                clock_mhz: t.clock_mhz,
                ecc: (t.ecc_single, t.ecc_double),
                tasks: t.tasks,
                tasks_per_s: rate,
            });
        }
        self.before = Some((now, dies.iter().map(|d| d.tasks).collect()));
        let processes = self.processes()?;
        let queues = processes.iter().map(|p| p.queues).sum();
        let home = format!("{:?}", info.home).to_lowercase();
        Ok(Sample { module: info.name.clone(), home, dies, processes, queues })
    }

    /// A process may have opened the device several times. Those that only look are left out, this one too.
    fn processes(&self) -> Result<Vec<Process>> {
        let mut found: BTreeMap<u32, Process> = BTreeMap::new();
        for p in self.driver.processes()?.into_iter().filter(|p| p.die_mask != 0) {
            let dies = (0..32).filter(|die| p.die_mask & 1 << die != 0);
            let one = found.entry(p.pid).or_insert_with(|| Process {
                pid: p.pid,
                name: p.name.clone(),
                hbm: vec![0; p.hbm_die.len()],
                queues: 0,
                dies: Vec::new(),
            });
            one.hbm.iter_mut().zip(&p.hbm_die).for_each(|(sum, bytes)| *sum += bytes);
            one.queues += p.queues;
            one.dies.extend(dies);
            one.dies.sort_unstable();
            one.dies.dedup();
        }
        let mut all: Vec<_> = found.into_values().collect();
        all.sort_by_key(|p| (std::cmp::Reverse(p.memory()), p.pid));
        Ok(all)
    }
}
