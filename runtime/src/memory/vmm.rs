//! Virtual memory by hand: address ranges and physical memory, put together and taken apart.

use crate::{Device, DevicePtr, Error, Result};

/// What work on a device may do with a mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    Read,
    /// Read and write.
    #[default]
    ReadWrite,
}

/// Memory of a die without an address.
#[derive(Clone, Debug)]
pub struct PhysicalMemory(());

impl PhysicalMemory {
    /// What sizes and offsets are multiples of.
    pub fn granularity(_device: &Device) -> Result<u64> {
        Err(Error::NotSupported("PhysicalMemory::granularity"))
    }

    /// Takes `size` bytes of the die, a multiple of the granularity.
    pub fn create(_device: &Device, _size: u64) -> Result<PhysicalMemory> {
        Err(Error::NotSupported("PhysicalMemory::create"))
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        0
    }

    /// The die whose memory it is.
    pub fn device(&self) -> Device {
        unreachable!("no PhysicalMemory can be had yet")
    }
}

/// A reserved range of device addresses.
#[derive(Debug)]
pub struct VirtualRange {
    base: DevicePtr,
    size: u64,
}

impl VirtualRange {
    /// Reserves `size` bytes, at `hint` if that is free and not null.
    pub fn reserve(_size: u64, _align: u64, _hint: DevicePtr) -> Result<VirtualRange> {
        Err(Error::NotSupported("VirtualRange::reserve"))
    }

    /// Its first address.
    pub fn base(&self) -> DevicePtr {
        self.base
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Maps `size` bytes of `memory` from `memory_offset` on at `offset` of the range.
    pub fn map(
        &self,
        _offset: u64,
        _size: u64,
        _memory: &PhysicalMemory,
        _memory_offset: u64,
        _access: Access,
    ) -> Result<DevicePtr> {
        Err(Error::NotSupported("VirtualRange::map"))
    }

    /// Changes what may be done with the mapping at `offset`.
    pub fn set_access(&self, _offset: u64, _access: Access) -> Result<()> {
        Err(Error::NotSupported("VirtualRange::set_access"))
    }

    /// Removes the mapping that [`VirtualRange::map`] made at `offset`.
    pub fn unmap(&self, _offset: u64) -> Result<()> {
        Err(Error::NotSupported("VirtualRange::unmap"))
    }
}
