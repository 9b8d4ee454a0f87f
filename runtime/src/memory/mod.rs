//! Device memory, host memory the device can reach, and the addresses of both.

pub(crate) mod alloc;
mod buffer;
mod copy;
mod heap;
pub(crate) mod host;
pub(crate) mod limbo;
mod lookup;
pub(crate) mod pin;
mod pool;
pub(crate) mod registry;
pub(crate) mod stage;
pub(crate) mod va;
mod vmm;

use std::fmt;

pub use buffer::Buffer;
pub use copy::{copy, copy_2d, memset, memset_2d};
pub use host::{HostBuffer, host_device_ptr, register_host, unregister_host};
pub use lookup::{Allocation, AllocationKind, check_range, lookup, lookup_host};
pub use pool::{Pool, PoolUsage};
pub use vmm::{Access, PhysicalMemory, VirtualRange};

/// A device address. It can be calculated with but not dereferenced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct DevicePtr(pub u64);

impl DevicePtr {
    /// The address that names nothing.
    pub const NULL: DevicePtr = DevicePtr(0);

    /// The number.
    pub const fn addr(self) -> u64 {
        self.0
    }

    /// True for [`DevicePtr::NULL`].
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The address `bytes` further.
    pub const fn offset(self, bytes: u64) -> DevicePtr {
        DevicePtr(self.0.wrapping_add(bytes))
    }
}

impl fmt::Display for DevicePtr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// An end of a copy: device memory or host memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addr {
    /// Device address.
    Device(DevicePtr),
    /// Host address.
    Host(HostPtr),
}

/// A host address that somebody vouched for: see [`Addr::host`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPtr(*mut u8);

// SAFETY: the promise that made it (`Addr::host`) is about the memory and not about a thread.
unsafe impl Send for HostPtr {}
// SAFETY: as above.
unsafe impl Sync for HostPtr {}

impl HostPtr {
    /// The address `bytes` further, in the same memory.
    pub(crate) fn after(self, bytes: u64) -> HostPtr {
        HostPtr(self.0.wrapping_add(bytes as usize))
    }

    /// The pointer.
    pub fn as_ptr(self) -> *mut u8 {
        self.0
    }
}

impl Addr {
    /// A device address.
    pub const fn device(ptr: DevicePtr) -> Addr {
        Addr::Device(ptr)
    }

    /// A host address, pageable or pinned.
    ///
    /// # Safety
    /// For every operation it is used in, and until that operation is done: what the operation covers is
    /// valid memory for reads (as a source) or writes (as a destination), and nothing else writes it, nor,
    /// for a destination, reads it.
    pub const unsafe fn host(ptr: *mut u8) -> Addr {
        Addr::Host(HostPtr(ptr))
    }
}

impl From<DevicePtr> for Addr {
    fn from(ptr: DevicePtr) -> Addr {
        Addr::Device(ptr)
    }
}

/// Which pages an allocation should have. The device's pages are all of one size, so it only decides how an
/// address is aligned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Aligned to 512 bytes.
    #[default]
    HugeFirst,
    /// Aligned to 2 MiB.
    HugeOnly,
    /// Aligned to 512 bytes.
    NormalOnly,
}
