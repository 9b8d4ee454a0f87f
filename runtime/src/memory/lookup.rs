//! Whose memory an address is, and how far it goes.

use crate::driver::Driver;
use crate::{Device, DevicePtr, Result};

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
    /// Another process's, of [`crate::ipc::import_memory`].
    Imported,
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
pub fn lookup(ptr: DevicePtr) -> Option<Allocation> {
    let driver = Driver::opened()?;
    driver.registry.find(driver, ptr.0)
}

/// The pinned or registered host memory that a host address lies in.
pub fn lookup_host(ptr: *const u8) -> Option<Allocation> {
    let driver = Driver::opened()?;
    let (_, _, base) = driver.registry.find_host(ptr as usize)?;
    driver.registry.find(driver, base)
}

/// Checks that `bytes` bytes from `ptr` on are allocated; answers the allocation.
/// [`crate::Error::InvalidHandle`] if `ptr` lies in none, [`crate::Error::InvalidValue`] if the range leaves
/// it. A range of [`Device::malloc`]'s that ends within the 512 bytes that were begun is let pass with a warning in the log: no
/// card would notice. `op` names the caller in both.
pub fn check_range(op: &'static str, ptr: DevicePtr, bytes: u64) -> Result<Allocation> {
    let driver = Driver::get()?;
    driver.registry.check(driver, op, ptr.0, bytes)
}
