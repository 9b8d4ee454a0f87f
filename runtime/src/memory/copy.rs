//! Synchronous copies and fills. They wait for the memory to be written and for nothing else.

use crate::{Addr, DevicePtr, Error, Result, Rows};

/// Copies `bytes` from `src` to `dst` and waits for it.
pub fn copy(_dst: Addr, _src: Addr, _bytes: u64) -> Result<()> {
    Err(Error::NotSupported("copy"))
}

/// Copies rows and waits for it.
pub fn copy_2d(_dst: Addr, _dst_pitch: u64, _src: Addr, _src_pitch: u64, _rows: Rows) -> Result<()> {
    Err(Error::NotSupported("copy_2d"))
}

/// Stores `value` into `bytes` bytes and waits for it.
pub fn memset(_dst: Addr, _value: u8, _bytes: u64) -> Result<()> {
    Err(Error::NotSupported("memset"))
}

/// Stores `value` into rows and waits for it.
pub fn memset_2d(_dst: DevicePtr, _pitch: u64, _value: u8, _rows: Rows) -> Result<()> {
    Err(Error::NotSupported("memset_2d"))
}
