//! The Vinci NPU as a PCI function of a virtual machine: a vfio-user server, to which QEMU connects.
//!
//! Registers (BAR0) come as messages. Doorbells (BAR2) and HBM (BAR4) are memfds that QEMU maps into the guest, and
//! guest memory is mapped here: so the guest's fast path makes no exit and no message. [`Server`] gives each client a
//! [`Function`] of its own, in memory of its own; what the control socket can do to it is a [`Request`].

mod config;
mod control;
mod function;
mod interrupts;
mod lie;
mod memory;
mod server;
mod session;
pub mod wire;

pub use config::{Bar, MSIX_PENDING, MSIX_TABLE};
pub use control::{Answer, Request, Status, ask, beside};
pub use function::{Bus, Counts, Function, FunctionError, OutOfRegion, Region};
pub use interrupts::{InterruptError, Interrupts};
pub use lie::Lie;
pub use memory::{GuestMemory, MemoryError};
pub use server::{Options, ServeError, Server, Stopper};
