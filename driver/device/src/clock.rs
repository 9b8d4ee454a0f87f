//! The model clock: the time that the profile's chip would have taken.
//!
//! Each die has one timeline per engine. An entry starts when both its queue and its engine are free, and
//! takes what [`CostModel`] says. Queues therefore overlap where they use different engines, and share time
//! where they do not.

use parking_lot::Mutex;
use vinci_kernels::{CoreType, Work};

use crate::profile::Profile;

/// What an entry occupies on the chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Cube cores.
    Aic,
    /// Vector cores.
    Aiv,
    /// Both kinds of core.
    Mix,
    /// Copy engines.
    Sdma,
    /// The scheduler alone.
    None,
}

impl Engine {
    /// Whether it is, or occupies, the cube cores, the vector cores and the copy engines: the order of
    /// `drm_vinci_queue_fence::busy_ns`.
    pub const fn occupies(self) -> [bool; 3] {
        [
            matches!(self, Self::Aic | Self::Mix),
            matches!(self, Self::Aiv | Self::Mix),
            matches!(self, Self::Sdma),
        ]
    }
}

impl From<CoreType> for Engine {
    fn from(core: CoreType) -> Self {
        match core {
            CoreType::Aic => Self::Aic,
            CoreType::Aiv => Self::Aiv,
            CoreType::Mix => Self::Mix,
        }
    }
}

/// Rates of a chip, in units per ns.
#[derive(Clone, Copy, Debug)]
pub struct CostModel {
    launch_ns: f64,
    ghz: f64,
    cube_fp16_flops: f64,
    vector_fp32_ops: f64,
    hbm_bytes: f64,
    link_bytes: f64,
    cube_fp32_ratio: f64,
    cube_int8_ratio: f64,
    aic_cores: f64,
    aiv_cores: f64,
}

impl CostModel {
    /// From a profile.
    pub fn new(p: &Profile) -> Self {
        let ghz = f64::from(p.die.clock_mhz) / 1e3;
        let cube = f64::from(p.die.aic_cores) * f64::from(p.rates.cube_fp16_macs) * 2.0 * ghz;
        Self {
            launch_ns: f64::from(p.rates.launch_ns),
            ghz,
            cube_fp16_flops: cube,
            cube_fp32_ratio: f64::from(p.rates.cube_fp32_macs) / f64::from(p.rates.cube_fp16_macs),
            cube_int8_ratio: f64::from(p.rates.cube_int8_macs) / f64::from(p.rates.cube_fp16_macs),
            vector_fp32_ops: f64::from(p.die.aiv_cores) * f64::from(p.rates.vector_fp32_lanes) * ghz,
            hbm_bytes: f64::from(p.die.hbm_gbps),
            link_bytes: f64::from(p.link_gbps.max(1)),
            aic_cores: f64::from(p.die.aic_cores),
            aiv_cores: f64::from(p.die.aiv_cores),
        }
    }

    /// Cost of a kernel in ns: the slowest of cube, vector and memory, after the launch. It occupies `cores`, cube and
    /// vector; 0 is all of them.
    pub fn kernel_ns(&self, w: &Work, cores: [u32; 2]) -> u64 {
        let part = |limit: u32, all: f64| if limit == 0 { 1.0 } else { (f64::from(limit) / all).min(1.0) };
        let cube_rate = self.cube_fp16_flops
            * match w.cube_element {
                4 => self.cube_fp32_ratio,
                1 => self.cube_int8_ratio,
                _ => 1.0,
            };
        let cube = w.cube_flops as f64 / (cube_rate * part(cores[0], self.aic_cores));
        let vector = w.vector_ops as f64 / (self.vector_fp32_ops * part(cores[1], self.aiv_cores));
        let memory = (w.bytes_read + w.bytes_written) as f64 / self.hbm_bytes;
        (self.launch_ns + cube.max(vector).max(memory)) as u64
    }

    /// Cost of moving `bytes` in ns: within a die (read and write HBM), or over the link.
    pub fn copy_ns(&self, bytes: u64, over_link: bool) -> u64 {
        let b = bytes as f64;
        let memory = 2.0 * b / self.hbm_bytes;
        (self.launch_ns + if over_link { memory.max(b / self.link_bytes) } else { memory }) as u64
    }

    /// Cost of storing `bytes` in ns: to the die's own HBM, or over the link.
    pub fn fill_ns(&self, bytes: u64, over_link: bool) -> u64 {
        let b = bytes as f64;
        let memory = b / self.hbm_bytes;
        (self.launch_ns + if over_link { memory.max(b / self.link_bytes) } else { memory }) as u64
    }

    /// Cost of a kernel that took so many cycles of a core, ns.
    pub fn cycles_ns(&self, cycles: u64) -> u64 {
        (self.launch_ns + cycles as f64 / self.ghz) as u64
    }

    /// Cost of an entry that only the scheduler handles.
    pub fn sync_ns(&self) -> u64 {
        self.launch_ns as u64
    }
}

#[derive(Default)]
struct Lines {
    aic: u64,
    aiv: u64,
    sdma: u64,
    latest: u64,
    busy: Busy,
}

/// Model time that the engines of a die have worked, ns.
#[derive(Clone, Copy, Debug, Default)]
pub struct Busy {
    /// Cube cores.
    pub aic_ns: u64,
    /// Vector cores.
    pub aiv_ns: u64,
    /// Copy engines.
    pub sdma_ns: u64,
}

/// The engines of a die in model time.
#[derive(Default)]
pub struct Timeline(Mutex<Lines>);

impl Timeline {
    /// Charges `ns` on `engine` to a queue that is free at `ready`; returns when the entry ends.
    pub fn charge(&self, engine: Engine, ready: u64, ns: u64) -> u64 {
        let l = &mut *self.0.lock();
        let free = match engine {
            Engine::Aic => l.aic,
            Engine::Aiv => l.aiv,
            Engine::Mix => l.aic.max(l.aiv),
            Engine::Sdma => l.sdma,
            Engine::None => 0,
        };
        let end = ready.max(free).saturating_add(ns);
        let [aic, aiv, sdma] = engine.occupies();
        if aic {
            l.aic = end;
            l.busy.aic_ns = l.busy.aic_ns.saturating_add(ns);
        }
        if aiv {
            l.aiv = end;
            l.busy.aiv_ns = l.busy.aiv_ns.saturating_add(ns);
        }
        if sdma {
            l.sdma = end;
            l.busy.sdma_ns = l.busy.sdma_ns.saturating_add(ns);
        }
        l.latest = l.latest.max(end);
        end
    }

    /// The die's model clock: when the last entry charged so far ends.
    pub fn now(&self) -> u64 {
        self.0.lock().latest
    }

    /// Time the engines have worked.
    pub fn busy(&self) -> Busy {
        self.0.lock().busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_share_an_engine_and_overlap_on_others() {
        let t = Timeline::default();
        assert_eq!(t.charge(Engine::Aic, 0, 100), 100);
        assert_eq!(t.charge(Engine::Aic, 0, 50), 150, "waits for the cube cores");
        assert_eq!(t.charge(Engine::Sdma, 0, 70), 70, "copies do not");
        assert_eq!(t.charge(Engine::Mix, 0, 10), 160);
        assert_eq!(t.charge(Engine::Aiv, 0, 10), 170);
        assert_eq!(t.charge(Engine::None, 500, 1), 501);
        assert_eq!(t.now(), 501);
    }

    #[test]
    fn matmul_on_a_910b1_is_near_its_peak() {
        let m = CostModel::new(&Profile::by_name("910b1").unwrap());
        let n = 8192u64;
        let w = Work {
            cube_flops: 2 * n * n * n,
            cube_element: 2,
            bytes_read: 4 * n * n,
            bytes_written: 2 * n * n,
            ..Work::default()
        };
        let tflops = w.cube_flops as f64 / m.kernel_ns(&w, [0, 0]) as f64 / 1e3;
        assert!((340.0..364.0).contains(&tflops), "{tflops}");
        let half = m.kernel_ns(&w, [12, 0]) as f64 / m.kernel_ns(&w, [0, 0]) as f64;
        assert!((1.9..2.1).contains(&half), "half of the 24 cube cores take {half} times as long");
        assert_eq!(
            m.kernel_ns(&w, [1000, 1]),
            m.kernel_ns(&w, [0, 0]),
            "no vector work, no more cores than there are"
        );
    }
}
