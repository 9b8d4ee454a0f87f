//! The ioctl layer: one [`Node`] trait, three homes of the driver behind it.
//!
//! - embedded: driver and device live in this process ([`Embedded`]);
//! - kernel: `/dev/accel/accelN`, ioctl(2) and mmap(2) ([`Kernel`]);
//! - served: a Unix socket, behind which a [`Server`] hosts a device for several processes ([`Served`]).
//!
//! [`open`] chooses by `VINCI_DEVICE`. Requests are the structures of `vinci_accel.h`; [`Request`] ties each to
//! its number and direction, and [`Handle`] has one method per request.

mod embedded;
mod export;
mod fork;
mod handle;
mod host;
mod kernel;
mod machine;
mod mapping;
mod memlock;
mod node;
mod served;
mod user;

pub use embedded::Embedded;
pub use fork::is_forked_child;
pub use handle::{Handle, Request};
pub use kernel::Kernel;
pub use mapping::Mapping;
pub use node::{Node, OpenError, VARIABLE, open};
pub use served::{Policy, ServeError, Served, Server, Stopper};
pub use vinci_core::{Errno, Limits};
pub use vinci_uapi as uapi;
