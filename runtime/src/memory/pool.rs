//! Pools: allocation and freeing in the order of a stream.

use crate::{Device, DevicePtr, Error, Result, Stream};

/// What a pool holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUsage {
    /// Taken from the die.
    pub reserved: u64,
    /// The most ever taken.
    pub reserved_high: u64,
    /// Given out.
    pub used: u64,
    /// The most ever given out.
    pub used_high: u64,
}

/// Memory of a die that is given out and taken back in stream order. Clones name the same pool.
#[derive(Clone, Debug)]
pub struct Pool(());

impl Pool {
    /// An empty pool on a die.
    pub fn new(_device: &Device) -> Result<Pool> {
        Err(Error::NotSupported("Pool::new"))
    }

    /// Gives out `size` bytes, usable by work submitted to `stream` from now on.
    pub fn alloc_async(&self, _size: u64, _stream: &Stream) -> Result<DevicePtr> {
        Err(Error::NotSupported("Pool::alloc_async"))
    }

    /// Takes memory back once the work submitted to `stream` so far is done.
    pub fn free_async(&self, _ptr: DevicePtr, _stream: &Stream) -> Result<()> {
        Err(Error::NotSupported("Pool::free_async"))
    }

    /// Bytes of free memory to keep for reuse; what is above goes back to the die.
    pub fn set_threshold(&self, _bytes: u64) {}

    /// Gives free memory back until at most `bytes` of it are kept.
    pub fn trim(&self, _bytes: u64) -> Result<()> {
        Err(Error::NotSupported("Pool::trim"))
    }

    /// What it holds.
    pub fn usage(&self) -> PoolUsage {
        PoolUsage::default()
    }
}
