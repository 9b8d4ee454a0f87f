//! AscendCL, the C interface of CANN's runtime, over the Rust runtime `vinci`: this is `libascendcl.so`.
//!
//! One file per noun. Each entry point is declared with `entry!`, which catches panics, turns errors into
//! CANN's codes and keeps the sentence for `aclGetRecentErrMsg`. What a C program passes is an allegation until
//! it is checked: handles are looked up in `handle::Table`, never followed; pointers to results come in as
//! `abi::Out`; device addresses are plain numbers.
//!
//! This library holds the runtime's state for the whole process. `libacl_rt.so` forwards to it, `libopapi.so`
//! launches through the `vinci_` symbols of `link.rs`.
#![allow(non_snake_case)]
#![deny(unsafe_op_in_unsafe_fn)]

#[macro_use]
extern crate vinci_abi;

mod allocator;
mod base;
mod callback;
mod capture;
mod context;
mod copy;
mod device;
mod dump;
mod error;
mod event;
mod exception;
mod host;
mod kernel;
mod label;
mod link;
mod memory;
mod model;
mod model_task;
mod notify;
mod op_attr;
mod pool;
mod prof;
mod random;
mod reduce;
mod report;
mod share;
mod stream;
mod system;
mod tensor_desc;
mod unsupported;
mod vmm;

use vinci_abi::{abi, code, handle, observe};
