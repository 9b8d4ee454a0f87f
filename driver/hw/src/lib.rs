//! What a Vinci device looks like to its driver: registers ([`regs`]), the admin queue ([`admin`]) and the
//! entries of user queues ([`sqe`]) with the arguments of resident kernels ([`args`]) and the handshakes of both sides ([`doorbell`]). Both the driver's logic (vinci-core) and the device
//! (vinci-device) are written against this crate, so the two cannot disagree.
#![cfg_attr(not(all(loom, test)), no_std)]

pub mod admin;
pub mod args;
pub mod doorbell;
pub mod regs;
pub mod sqe;

pub use vinci_uapi as uapi;
