//! Chip profiles: every number that describes a chip is in a file of `profiles/`.

use std::path::Path;

use serde::Deserialize;

use crate::mmu::MAX_DIES;

/// A module: one or more equal dies.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Name of the module, such as "Ascend910C".
    pub name: String,
    /// What `npu-smi` prints for the chip.
    pub product: String,
    /// Dies.
    pub dies: u32,
    /// Die-to-die bandwidth, 10^9 bytes per second; 0 with one die.
    pub link_gbps: u32,
    /// One die.
    pub die: DieProfile,
    /// Throughputs of a core, per cycle.
    pub rates: Rates,
    /// Power and temperature.
    pub thermal: Thermal,
}

/// Resources of a die.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DieProfile {
    /// What aclrtGetSocName() answers.
    pub soc_name: String,
    /// NPU architecture number.
    pub arch: u32,
    /// Cube cores.
    pub aic_cores: u32,
    /// Vector cores.
    pub aiv_cores: u32,
    /// Control cores.
    pub aicpu_cores: u32,
    /// AI-core clock.
    pub clock_mhz: u32,
    /// Memory.
    pub hbm_bytes: u64,
    /// Peak memory bandwidth, 10^9 bytes per second.
    pub hbm_gbps: u32,
    /// Shared cache.
    pub l2_bytes: u64,
    /// Per AIC.
    pub l1_bytes: u32,
    /// Per AIC.
    pub l0a_bytes: u32,
    /// Per AIC.
    pub l0b_bytes: u32,
    /// Per AIC.
    pub l0c_bytes: u32,
    /// Per AIV.
    pub ub_bytes: u32,
}

/// Work of one core in one cycle, and the cost of a launch.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// float16 multiply-adds of an AIC.
    pub cube_fp16_macs: u32,
    /// float32 multiply-adds of an AIC.
    pub cube_fp32_macs: u32,
    /// int8 multiply-adds of an AIC.
    pub cube_int8_macs: u32,
    /// float32 operations of an AIV.
    pub vector_fp32_lanes: u32,
    /// Overhead of an entry on the device, ns.
    pub launch_ns: u32,
    /// Cycles until the first byte of a transfer from or to HBM.
    pub memory_latency_cycles: u32,
    /// Cycles of a move unit for each transfer besides its bytes.
    pub transfer_cycles: u32,
    /// Cycles until the first result of a vector instruction.
    pub vector_start_cycles: u32,
    /// Cycles until the first result of a matrix instruction.
    pub cube_start_cycles: u32,
    /// Cycles of the scalar unit for an instruction to another one.
    pub issue_cycles: u32,
    /// From L1 to L0A, bytes.
    pub l1_to_l0a_bytes: u32,
    /// From L1 to L0B, bytes.
    pub l1_to_l0b_bytes: u32,
    /// Cycles until the first byte from L1.
    pub l1_latency_cycles: u32,
    /// From L0C, bytes.
    pub l0c_out_bytes: u32,
    /// What a core alone gets from HBM, bytes.
    pub hbm_core_bytes: u32,
    /// What all cores get from HBM, of [`DieProfile::hbm_gbps`], %.
    pub hbm_percent: u32,
    /// What a byte that is written back among loads costs, % of one that is loaded: the bus turns round.
    pub hbm_write_percent: u32,
    /// What an AIC alone gets from L2, bytes.
    pub l2_aic_bytes: u32,
    /// What an AIV alone gets from L2, bytes.
    pub l2_aiv_bytes: u32,
    /// What all cores get from L2, 10^9 bytes per second.
    pub l2_gbps: u32,
    /// What a core stores to global memory, bytes.
    pub store_bytes: u32,
    /// Cycles of a row of a transfer, at least.
    pub row_cycles: u32,
    /// A row that does not begin at a multiple of this takes as long as all of the pieces of this size that it touches.
    pub line_bytes: u32,
    /// Cycles of the scalar unit to load an element of local memory.
    pub scalar_load_cycles: u32,
    /// Cycles of the scalar unit to store one.
    pub scalar_store_cycles: u32,
    /// Whether each source of a vector instruction takes a cycle of its own.
    pub vector_source_cycles: bool,
}

/// Power and temperature.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thermal {
    /// Die at rest, mW.
    pub idle_mw: u32,
    /// Die with all cores busy, mW.
    pub busy_mw: u32,
    /// Air at the heat sink, millidegrees Celsius.
    pub ambient_mc: u32,
    /// Rise per watt in the steady state, millidegrees.
    pub mc_per_watt: u32,
    /// Time constant of the heat sink, ms.
    pub tau_ms: u32,
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// No such name and no such file.
    #[error("chip `{0}` is neither one of {known} nor a file that can be read ({1})", known = names().join(", "))]
    Unknown(String, std::io::Error),
    /// Not TOML, or a field is missing or unknown.
    #[error("chip profile {0}: {1}")]
    Parse(String, Box<toml::de::Error>),
    /// A number that cannot be.
    #[error("chip profile {0}: {1}")]
    Invalid(String, &'static str),
}

/// The profiles that are built in: names they are chosen by (the first is the canonical one), text.
const BUILT_IN: &[(&[&str], &str)] = &[
    (&["910c", "ascend910c"], include_str!("../profiles/910c.toml")),
    (&["910b1", "ascend910b1"], include_str!("../profiles/910b1.toml")),
    (&["910b2", "ascend910b2"], include_str!("../profiles/910b2.toml")),
    (&["910b3", "ascend910b3"], include_str!("../profiles/910b3.toml")),
    (&["910b4", "ascend910b4"], include_str!("../profiles/910b4.toml")),
    (&["950pr", "ascend950pr"], include_str!("../profiles/950pr.toml")),
    (&["950dt", "ascend950dt"], include_str!("../profiles/950dt.toml")),
];

/// The name of the profile that is used when none is asked for.
pub const DEFAULT: &str = "910c";
/// The environment variable that chooses a profile.
pub const VARIABLE: &str = "VINCI_CHIP";

/// Canonical names of the built-in profiles.
pub fn names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(names, _)| names[0]).collect()
}

impl Profile {
    /// The one that `VINCI_CHIP` names, or the default.
    pub fn from_env() -> Result<Self, ProfileError> {
        match std::env::var(VARIABLE) {
            Ok(name) if !name.is_empty() => Self::by_name(&name),
            _ => Self::by_name(DEFAULT),
        }
    }

    /// A built-in profile by name in any case, or a file by path. `920`, the announced name, selects the
    /// 950PR as which it is sold, and says so in the log.
    pub fn by_name(name: &str) -> Result<Self, ProfileError> {
        let wanted = name.to_ascii_lowercase();
        let wanted = match wanted.trim_start_matches("ascend") {
            "920" => {
                log::warn!(
                    "chip 920 was announced under that name and is sold as 950PR: using the Ascend 950PR"
                );
                "950pr"
            }
            "910b" => "910b1",
            "950" => "950pr",
            _ => &wanted,
        };
        match BUILT_IN.iter().find(|(names, _)| names.contains(&wanted)) {
            Some((_, text)) => Self::parse(name, text),
            None => Self::from_file(Path::new(name)),
        }
    }

    /// From a file.
    pub fn from_file(path: &Path) -> Result<Self, ProfileError> {
        let shown = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&shown, &text),
            Err(e) => Err(ProfileError::Unknown(shown, e)),
        }
    }

    /// Bytes per cycle that all cores of a die together get from HBM.
    pub fn hbm_cycle_bytes(&self) -> f64 {
        let gbps = f64::from(self.die.hbm_gbps) * f64::from(self.rates.hbm_percent) / 100.0;
        (gbps * 1e3 / f64::from(self.die.clock_mhz.max(1))).max(1.0)
    }

    fn parse(source: &str, text: &str) -> Result<Self, ProfileError> {
        let p: Self = toml::from_str(text).map_err(|e| ProfileError::Parse(source.into(), Box::new(e)))?;
        let d = &p.die;
        let checks = [
            (p.dies == 0 || p.dies as usize > MAX_DIES, "dies must be 1 to 8"),
            (p.dies > 1 && p.link_gbps == 0, "a module of several dies needs link_gbps"),
            (
                p.name.is_empty() || p.name.len() > 31 || d.soc_name.is_empty() || d.soc_name.len() > 31,
                "names must have 1 to 31 bytes",
            ),
            (d.aic_cores == 0 || d.aiv_cores == 0, "a die needs AIC and AIV cores"),
            (d.clock_mhz == 0 || d.hbm_gbps == 0, "clock_mhz and hbm_gbps must not be 0"),
            (
                !(2 << 20..=1 << 40).contains(&d.hbm_bytes) || !d.hbm_bytes.is_multiple_of(2 << 20),
                "hbm_bytes must be a multiple of 2 MiB up to 1 TiB",
            ),
            (
                p.rates.cube_fp16_macs == 0 || p.rates.cube_fp32_macs == 0 || p.rates.cube_int8_macs == 0,
                "cube rates must not be 0",
            ),
            (p.rates.vector_fp32_lanes == 0, "vector_fp32_lanes must not be 0"),
            (
                [
                    p.rates.hbm_core_bytes,
                    p.rates.hbm_percent,
                    p.rates.hbm_write_percent,
                    p.rates.l2_aic_bytes,
                    p.rates.l2_aiv_bytes,
                    p.rates.l2_gbps,
                ]
                .contains(&0)
                    || p.rates.store_bytes == 0,
                "rates of memory must not be 0",
            ),
            (p.thermal.tau_ms == 0 || p.thermal.busy_mw < p.thermal.idle_mw, "thermal numbers cannot be"),
        ];
        match checks.iter().find(|(bad, _)| *bad) {
            Some(&(_, why)) => Err(ProfileError::Invalid(source.into(), why)),
            None => Ok(p),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_is_sound() {
        for (names, _) in BUILT_IN {
            let p = Profile::by_name(names[0]).unwrap();
            assert!(p.die.soc_name.starts_with("Ascend9"), "{}", p.die.soc_name);
        }
    }

    #[test]
    fn announced_and_short_names_select_a_chip() {
        assert_eq!(Profile::by_name("920").unwrap().name, "Ascend950PR");
        assert_eq!(Profile::by_name("Ascend920").unwrap().name, "Ascend950PR");
        assert_eq!(Profile::by_name("910B").unwrap().die.soc_name, "Ascend910B1");
        assert_eq!(Profile::by_name("910C").unwrap().dies, 2);
    }

    #[test]
    fn bad_profiles_say_why() {
        let e = Profile::by_name("910x").unwrap_err().to_string();
        assert!(e.contains("910x") && e.contains("910c, 910b1"), "{e}");
        let text = BUILT_IN[0].1;
        assert!(matches!(Profile::parse("t", "dies = 2"), Err(ProfileError::Parse(..))));
        let e = Profile::parse("t", &text.replace("dies = 2", "dies = 99")).unwrap_err().to_string();
        assert!(e.contains("dies must be 1 to 8"), "{e}");
    }
}
