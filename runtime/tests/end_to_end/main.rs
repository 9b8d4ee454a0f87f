//! The runtime against the embedded home, one area per module.

mod callbacks;
mod copies;
mod events;
mod faults;
mod graphs;
mod memory;
mod pools;
mod streams;
mod threads;
mod vmm;

use vinci::{Addr, Device, Kernel, Stream, StreamOptions};
use vinci_hw::args::{ArgsBuilder, DType, TensorArg};

fn device() -> Device {
    Device::get(0).unwrap()
}

fn stream() -> Stream {
    Stream::new(&device(), StreamOptions::default()).unwrap()
}

fn nop() -> Kernel {
    Kernel::resident("nop").unwrap()
}

/// The host source of a copy.
fn host(bytes: &[u8]) -> Addr {
    // SAFETY: the tests wait for their copies before they touch or drop the memory.
    unsafe { Addr::host(bytes.as_ptr().cast_mut()) }
}

/// The host destination of a copy.
fn host_mut(bytes: &mut [u8]) -> Addr {
    // SAFETY: as in `host`.
    unsafe { Addr::host(bytes.as_mut_ptr()) }
}

/// Bytes that differ from place to place.
fn pattern(len: usize, seed: u32) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(2654435761).wrapping_add(seed) >> 13) as u8).collect()
}

/// Arguments of the resident kernel "fill" for `len` bytes at `va`.
fn fill_args(va: u64, len: i64, value: i64) -> Vec<u8> {
    let mut builder: ArgsBuilder = ArgsBuilder::new();
    builder.tensor(&TensorArg::new(va, DType::U8, &[len], &[1]).unwrap()).unwrap();
    builder.attr_f64(value as f64).unwrap().attr_i64(value).unwrap();
    builder.finish().to_vec()
}
