//! Host memory that the device reaches: made here (pinned), or the program's own (registered).

use crate::{DevicePtr, Error, Result};

/// Pinned host memory, mapped for the device.
#[derive(Debug)]
pub struct HostBuffer {
    ptr: *mut u8,
    len: usize,
}

// SAFETY: it owns its memory; a slice of it is given out under the usual borrows.
unsafe impl Send for HostBuffer {}
// SAFETY: as above.
unsafe impl Sync for HostBuffer {}

impl HostBuffer {
    /// Allocates `bytes` bytes.
    pub fn new(_bytes: usize) -> Result<HostBuffer> {
        Err(Error::NotSupported("HostBuffer::new"))
    }

    /// Its address; the memory stays until the buffer is dropped.
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.ptr
    }

    /// Its bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Device address of its first byte.
    ///
    /// # Safety
    /// Work that is given the address must not run while a slice of the buffer is borrowed.
    pub unsafe fn device_ptr(&self) -> DevicePtr {
        DevicePtr::NULL
    }

    /// Gives it up without freeing it; [`HostBuffer::from_raw`] takes it back.
    pub fn into_raw(self) -> *mut u8 {
        self.ptr
    }

    /// Takes back what [`HostBuffer::into_raw`] gave up; [`Error::InvalidHandle`] for any other address.
    pub fn from_raw(ptr: *mut u8) -> Result<HostBuffer> {
        Err(Error::InvalidHandle { op: "free_host", what: "host allocation", handle: ptr as u64 })
    }
}

impl std::ops::Deref for HostBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &[]
    }
}

impl std::ops::DerefMut for HostBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut []
    }
}

/// Pins `bytes` bytes of the program's memory and maps them for the device.
///
/// # Safety
/// The memory stays valid until [`unregister_host`].
pub unsafe fn register_host(_ptr: *mut u8, _bytes: usize, _read_only: bool) -> Result<DevicePtr> {
    Err(Error::NotSupported("register_host"))
}

/// Undoes [`register_host`]; `ptr` is the address given there.
pub fn unregister_host(_ptr: *mut u8) -> Result<()> {
    Err(Error::NotSupported("unregister_host"))
}

/// Device address of pinned or registered host memory.
pub fn host_device_ptr(_ptr: *mut u8) -> Result<DevicePtr> {
    Err(Error::NotSupported("host_device_ptr"))
}
