//! The Vinci NPU as software: schedulers, SDMA, AI cores, HBM, MMU, faults and telemetry.
//!
//! [`Device`] is what a driver sees: registers (BAR0), doorbell pages (BAR2) and HBM (BAR4), on a
//! [`HostBus`]. The same code stands behind the embedded home and behind a PCI function of a VM.

mod admin;
mod clock;
mod code;
mod device;
mod die;
mod events;
mod exec;
mod fault;
mod inject;
mod mmu;
mod profile;
mod queue;
mod quiesce;
mod sched;
mod sdma;
mod shared;
mod stitch;
mod telemetry;
pub mod trace;
mod window;

pub use device::{Device, DeviceError, Foreign, HostBus, QUEUES, VECTORS};
pub use inject::{InjectError, Injection};
pub use profile::{DEFAULT, DieProfile, Profile, ProfileError, Rates, Thermal, VARIABLE, names};
pub use shared::{Shared, sealed};
