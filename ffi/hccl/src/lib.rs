//! `libhccl.so`: CANN's collectives, for a communicator of one rank: each is a copy on the stream, or nothing.
//!
//! A communicator of more ranks, and what only makes sense between ranks, answers HCCL_E_NOT_SUPPORT and names
//! itself in the log, once.
#![allow(non_snake_case)]

#[macro_use]
extern crate vinci_abi;

mod collective;
mod comm;
mod unsupported;

/// `HcclResult`
mod code {
    pub const PARA: i32 = 1;
    pub const PTR: i32 = 2;
    pub const NOT_SUPPORT: i32 = 5;
    pub const NOT_FOUND: i32 = 6;
    pub const RUNTIME: i32 = 15;
}
