//! The ioctl layer: one [`Node`] trait, three homes of the driver behind it.
//!
//! - embedded: driver and device live in this process ([`Embedded`]);
//! - kernel: `/dev/accel/accelN`, ioctl(2) and mmap(2) ([`Kernel`]);
//! - served: a Unix socket. It is not there yet; `VINCI_DEVICE=unix:PATH` says so.
//!
//! [`open`] chooses by `VINCI_DEVICE`. Requests are the structures of `vinci_accel.h`; [`Request`] ties each to
//! its number and direction, and [`Handle`] has one method per request.

mod embedded;
mod fork;
mod handle;
mod host;
mod kernel;
mod mapping;
mod node;
mod user;

pub use embedded::Embedded;
pub use fork::is_forked_child;
pub use handle::{Handle, Request};
pub use kernel::Kernel;
pub use mapping::Mapping;
pub use node::{Node, OpenError, VARIABLE, open};
pub use vinci_core::Errno;
pub use vinci_uapi as uapi;
