//! The logic of the Vinci driver: bring-up, admin queue, HBM, address spaces, buffer objects, queues, faults,
//! resets, and the ioctls over them.
//!
//! It runs in the kernel module and in the process, unchanged: no operating system, no allocation that cannot
//! fail, no lock. A [`Driver`] is a state machine behind `&mut self`; whoever holds it supplies the lock, the
//! memory and the sleep ([`Platform`]). Requests that wait are steps: [`Driver::wait_step`] and
//! [`Driver::event_step`] say whether to sleep, and on what.
#![no_std]

extern crate alloc;

mod admin;
mod code;
mod driver;
mod errno;
mod fallible;
mod hang;
pub mod hbm;
mod inspect;
mod ioctl;
mod memory;
mod object;
mod platform;
mod power;
mod queues;
mod reset;
mod slab;
mod space;
pub mod tree;

pub use driver::{Driver, Mapped, Step, VA_BASE, VA_SIZE};
pub use errno::{Errno, Result};
pub use hang::Cure;
pub use inspect::{QueueState, Usage};
pub use ioctl::UserCopy;
pub use object::Limits;
pub use platform::{DmaMemory, PinnedMemory, Platform};
