//! Accesses of a kernel's pipes to local memory that nothing orders, in sentences.

use std::env;

use vinci_code::CodeObject;
use vinci_jail::layout::*;

use super::explain::pipe;

/// The environment variable that says what becomes of them.
pub const VARIABLE: &str = "VINCI_RACES";

/// What becomes of races.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Heed {
    /// Nobody looks for them.
    Off,
    /// They are looked for in the first blocks of a kernel's first launches, and warned of in the log.
    #[default]
    Some,
    /// In all blocks of all launches.
    All,
    /// As with `All`, and the launch fails.
    Error,
}

/// Launches of a kernel that are looked at with [`Heed::Some`].
const FIRST: u32 = 4;

impl Heed {
    /// What [`VARIABLE`] says.
    pub(crate) fn from_env() -> Self {
        match env::var(VARIABLE).as_deref() {
            Ok("off" | "0") => Self::Off,
            Ok("all") => Self::All,
            Ok("error") => Self::Error,
            Ok("warn" | "") | Err(_) => Self::Some,
            Ok(other) => {
                log::warn!("{VARIABLE} is off, warn, all or error, not {other}; taking warn");
                Self::Some
            }
        }
    }

    /// Bits for a launch before which there were so many of the kernel.
    pub(crate) fn mode(self, launches: u32) -> u32 {
        match self {
            Self::Off => 0,
            Self::Some if launches < FIRST => MODE_RACES | MODE_SOME,
            Self::Some => 0,
            Self::All | Self::Error => MODE_RACES,
        }
    }
}

/// What a race is: which memory, which pipes, which lines.
pub(super) fn sentence(object: &CodeObject, race: &Race) -> String {
    let side = |i: usize| {
        let (low, high) = (race.low[i], race.high[i]);
        let offset = low.wrapping_sub(CORES_BASE) % CORE_STRIDE;
        let memory = LOCALS.iter().rev().find(|(_, at)| *at <= offset);
        let (name, at) = memory.map_or(("?", 0), |&(name, at)| (name, offset - at));
        let places = race.places[i];
        let line = object.line(places.iter().take_while(|pc| **pc != 0).map(|pc| pc - 1));
        let line = line.unwrap_or_else(|| format!("code offset {:#x}", places[0] & (CODE_STRIDE - 1)));
        let does = if race.write[i] != 0 { "stores to" } else { "loads from" };
        let pipe = pipe(race.pipe[i].into());
        format!("{pipe} {does} {name}+{at:#x}, {} bytes, {line}", high.wrapping_sub(low) & 0xff_ffff)
    };
    let [a, b] = [0, 1].map(|i| pipe(race.pipe[i].into()));
    format!("{}; then {}: no flag from {a} to {b} orders them (block {})", side(0), side(1), race.block)
}
