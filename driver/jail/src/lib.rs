//! The jail: a process without files in which the kernels that a program brings along run.
//!
//! The device makes one per address space and die that launches such a kernel. The program in it ([`PROGRAM`]) is
//! embedded here and started from a memfd, so the driver needs no file beside the library that it is part of. Work
//! goes over in shared memory; memory is mapped when a kernel first touches it ([`Backing`]). What the jail writes
//! is an allegation: every number read back is checked where it is used.

mod jail;
#[allow(missing_docs)]
pub mod layout;
mod spawn;
mod thread;

pub use jail::{Backing, Ended, Found, Jail, Launch, Report};

/// The program that runs in the jail: a static executable, or nothing where it has not been ported to.
pub static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/jail"));
