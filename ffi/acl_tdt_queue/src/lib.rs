//! `libacl_tdt_queue.so`: queues of buffers, and routes between queues.
//!
//! `state::State` is everything that queues and routes decide, behind one lock: what enters a queue goes along
//! its routes before the lock is let go, so no thread is needed to move it.
#![allow(non_snake_case)]

#[macro_use]
extern crate vinci_abi;

mod attr;
mod buffer;
mod queue;
mod route;
mod state;
#[cfg(test)]
mod tests;

use vinci_abi::abi::{Address, Handle};
use vinci_abi::code::{Failure, INVALID_PARAM, Result};
use vinci_abi::handle::Table;

fn invalid(text: impl Into<String>) -> Failure {
    Failure::new(INVALID_PARAM, text)
}

/// A handle that names nothing is a wrong parameter here.
fn named<T: Clone>(table: &Table<T>, handle: Handle) -> Result<T> {
    table.get(handle).map_err(|failure| failure.code(INVALID_PARAM))
}

/// A parameter that is passed by its address and length.
fn read<T: Copy>(len: usize, param: Address, name: &str) -> Result<T> {
    check::<T>(len, param, name)?;
    // SAFETY: the program passes an address of `len` bytes, which is the size of the type; no alignment is assumed.
    Ok(unsafe { (param as *const T).read_unaligned() })
}

/// Answers such a parameter.
fn write<T>(len: usize, param: Address, name: &str, value: T) -> Result<()> {
    check::<T>(len, param, name)?;
    // SAFETY: as in `read`.
    unsafe { (param as *mut T).write_unaligned(value) };
    Ok(())
}

fn check<T>(len: usize, param: Address, name: &str) -> Result<()> {
    vinci_abi::abi::need_address(param, name)?;
    let size = size_of::<T>();
    if len == size { Ok(()) } else { Err(invalid(format!("{name} has {len} bytes, not {size}"))) }
}
