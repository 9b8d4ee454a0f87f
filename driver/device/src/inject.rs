//! Errors that are made to happen: by the driver's command, or by whoever holds the device.

use std::sync::atomic::Ordering;

use crate::device::{Device, Inner};
use crate::fault::Cause;
use vinci_hw::uapi::DRM_VINCI_FAULT_ECC;

/// An error to inject on a die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injection {
    /// A memory error at a device address, which was corrected: counted, and every file hears of it.
    EccSingle {
        /// Device address, or 0.
        address: u64,
    },
    /// An uncorrectable memory error in the 64 bytes around an offset into the die's HBM: work that reads them
    /// faults, until the die is reset.
    EccDouble {
        /// Bytes.
        offset: u64,
    },
    /// The next kernel does not end.
    Hang,
    /// The scheduler's firmware crashes at the next entry: its queue faults, and the others go on.
    Crash,
    /// The die reaches no other die's HBM, and none its, until the function is reset.
    LinkDown,
}

/// Why an error cannot be injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// No such die.
    #[error("inject: there is no die {die}; the module has {dies}")]
    NoDie {
        /// Which was named.
        die: u32,
        /// How many there are.
        dies: u32,
    },
    /// Not in its HBM.
    #[error("inject: offset {offset:#x} is beyond the {bytes} bytes of a die's HBM")]
    Beyond {
        /// Which was named.
        offset: u64,
        /// HBM of a die.
        bytes: u64,
    },
}

impl Inner {
    pub(crate) fn inject(&self, die: u32, what: Injection) -> Result<(), InjectError> {
        let dies = self.profile.dies;
        let at = self.dies.get(die as usize).ok_or(InjectError::NoDie { die, dies })?;
        match what {
            Injection::EccSingle { address } => {
                at.ecc_single.fetch_add(1, Ordering::Relaxed);
                let cause =
                    Cause { address, ..Cause::new(DRM_VINCI_FAULT_ECC, "a memory error was corrected") };
                self.post_ras(cause.record(0, die, 0, &vinci_hw::sqe::placeholder(), self.wall_ns()));
            }
            Injection::EccDouble { offset } => {
                let bytes = self.profile.die.hbm_bytes;
                if offset >= bytes {
                    return Err(InjectError::Beyond { offset, bytes });
                }
                self.health.poison(die, offset);
            }
            Injection::Hang => at.hang_next.store(true, Ordering::Release),
            Injection::Crash => at.crash_next.store(true, Ordering::Release),
            Injection::LinkDown => self.health.link_down(die),
        }
        Ok(())
    }
}

impl Device {
    /// Makes an error happen on a die, as the driver's own command can.
    pub fn inject(&self, die: u32, what: Injection) -> Result<(), InjectError> {
        self.inner.inject(die, what)
    }
}
