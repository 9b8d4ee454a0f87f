//! The safe runtime of Vinci: devices, memory, streams, events and launches, over the driver's interface.
//!
//! The driver is opened once per process, on first use ([`Driver`]). A die of the module is a [`Device`].
//!
//! # Which calls are unsafe
//! Those that hand the device host memory or device access that the borrow checker cannot see:
//! [`Addr::host`], [`memory::register_host`], [`HostBuffer::device_ptr`] and [`HostBuffer::from_raw`]. Copies
//! through [`Buffer`] and launches of resident kernels are safe; [`Stream::launch_module`], which runs the caller's own
//! kernels, is not.
#![cfg(not(loom))]
#![warn(missing_docs)]
#![deny(unsafe_op_in_unsafe_fn)]

mod clock;
mod context;
mod device;
mod driver;
mod error;
mod event;
mod fork;
pub mod graph;
pub mod ipc;
mod kernel;
pub mod memory;
mod module;
mod notify;
mod peer;
pub mod profile;
mod stream;
mod sys;

pub use clock::{Clock, ClockReading};
pub use context::Context;
pub use device::{Device, DieInfo, Health, Injection, MemInfo, Telemetry};
pub use driver::{Driver, Home, ModuleInfo, ProcessInfo};
pub use error::{CaptureError, Error, Fault, FaultCause, Result};
pub use event::{Event, EventFlags, EventStatus};
pub use fork::is_child as is_forked_child;
pub use graph::{Graph, Label, TaskGroup};
pub use ipc::SharedEvent;
pub use kernel::{CoreType, Kernel};
pub use memory::{
    Access, Addr, Allocation, AllocationKind, Buffer, DevicePtr, HostBuffer, HostPtr, PhysicalMemory, Policy,
    Pool, PoolUsage, VirtualRange,
};
pub use module::{LaunchArgs, Module, ModuleKernel};
pub use notify::Notify;
pub use stream::{Blocking, Compare, LaunchOptions, Reporter, Rows, Stream, StreamOptions};
