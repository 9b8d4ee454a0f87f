//! The registry of what is allocated where: whose memory an address is, and how far it goes.

use crate::{Device, DevicePtr, Error, Result};

/// What an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocationKind {
    /// [`Device::malloc`].
    Device,
    /// A [`crate::Buffer`].
    Buffer,
    /// A [`crate::Pool`]'s.
    Pool,
    /// Physical memory mapped into a [`crate::VirtualRange`].
    Mapped,
    /// A [`crate::HostBuffer`], seen from the device or the host.
    Host,
    /// Memory of [`crate::memory::register_host`], seen from the device or the host.
    Registered,
}

/// A live allocation.
#[derive(Clone, Copy, Debug)]
pub struct Allocation {
    /// Device address of its first byte.
    pub base: DevicePtr,
    /// Its bytes, as asked for.
    pub size: u64,
    /// What made it.
    pub kind: AllocationKind,
    /// The die whose memory it is; `None` for host memory.
    pub device: Option<Device>,
    /// Host address of its first byte, for host memory.
    pub host: Option<usize>,
}

/// The allocation that a device address lies in.
pub fn lookup(_ptr: DevicePtr) -> Option<Allocation> {
    None
}

/// The pinned or registered host memory that a host address lies in.
pub fn lookup_host(_ptr: *const u8) -> Option<Allocation> {
    None
}

/// Checks that `bytes` bytes from `ptr` on are allocated; answers the allocation.
/// [`Error::InvalidHandle`] if `ptr` lies in none, [`Error::InvalidValue`] if the range leaves it.
pub fn check_range(_op: &'static str, _ptr: DevicePtr, _bytes: u64) -> Result<Allocation> {
    Err(Error::NotSupported("check_range"))
}
