//! Sensors: what `npu-smi` shows. Power follows the model utilisation, temperature follows power through a
//! heat sink of one time constant; both numbers come from the profile.

use std::time::Instant;

use crate::clock::Busy;
use crate::profile::Profile;

/// Shortest window over which utilisation is measured.
const WINDOW_NS: u64 = 1_000_000_000;

#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    busy: Busy,
}

/// Filtered readings of a die.
#[derive(Default)]
pub struct Sensors {
    last: Option<Sample>,
    reading: Reading,
    temperature_mc: Option<f64>,
}

/// What the sensors say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Per mille of the last window that the cube cores worked, in model time.
    pub aic_util: u32,
    /// Per mille for the vector cores.
    pub aiv_util: u32,
    /// Per mille for the copy engines, the larger part of HBM traffic that is not kernels'.
    pub hbm_util: u32,
    /// Power.
    pub power_mw: u32,
    /// Temperature.
    pub temperature_mc: u32,
}

impl Sensors {
    /// Reads at `now`, when the engines have worked `busy` in all.
    pub fn read(&mut self, p: &Profile, now: Instant, busy: Busy) -> Reading {
        let t = &p.thermal;
        let last = *self.last.get_or_insert(Sample { at: now, busy: Busy::default() });
        let dt_ns = now.duration_since(last.at).as_nanos() as u64;
        let first = self.temperature_mc.is_none();
        if dt_ns >= WINDOW_NS || first {
            // Model time can run ahead of wall time: a busy chip is at most fully busy.
            let window = dt_ns.max(WINDOW_NS);
            let permille = |a: u64, b: u64| ((a - b).saturating_mul(1000) / window).min(1000) as u32;
            self.reading.aic_util = permille(busy.aic_ns, last.busy.aic_ns);
            self.reading.aiv_util = permille(busy.aiv_ns, last.busy.aiv_ns);
            self.reading.hbm_util = permille(busy.sdma_ns, last.busy.sdma_ns);
            let load = self.reading.aic_util.max(self.reading.aiv_util / 2).max(self.reading.hbm_util / 4);
            self.reading.power_mw =
                t.idle_mw + ((t.busy_mw - t.idle_mw) as u64 * u64::from(load) / 1000) as u32;
            let target =
                f64::from(t.ambient_mc) + f64::from(self.reading.power_mw) / 1e3 * f64::from(t.mc_per_watt);
            let idle = f64::from(t.ambient_mc) + f64::from(t.idle_mw) / 1e3 * f64::from(t.mc_per_watt);
            let was = self.temperature_mc.unwrap_or(idle);
            let pull = 1.0 - (-(dt_ns as f64) / 1e6 / f64::from(t.tau_ms)).exp();
            let is = was + (target - was) * pull;
            self.temperature_mc = Some(is);
            self.reading.temperature_mc = is as u32;
            self.last = Some(Sample { at: now, busy });
        }
        self.reading
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_busy_die_draws_power_and_warms_up() {
        let p = Profile::by_name("910c").unwrap();
        let mut s = Sensors::default();
        let t0 = Instant::now();
        let cold = s.read(&p, t0, Busy::default());
        assert_eq!((cold.aic_util, cold.power_mw), (0, p.thermal.idle_mw));
        let mut busy = Busy::default();
        for i in 1..=60 {
            busy.aic_ns += 1_000_000_000;
            s.read(&p, t0 + Duration::from_secs(i), busy);
        }
        let hot = s.read(&p, t0 + Duration::from_secs(60), busy);
        assert_eq!((hot.aic_util, hot.power_mw), (1000, p.thermal.busy_mw));
        let steady = p.thermal.ambient_mc + p.thermal.busy_mw / 1000 * p.thermal.mc_per_watt;
        assert!(
            hot.temperature_mc > cold.temperature_mc && hot.temperature_mc.abs_diff(steady) < 500,
            "{hot:?}"
        );
    }
}
