//! Host memory that the device reaches: made here (pinned), or the program's own (registered).

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use vinci_driver::Mapping;
use vinci_uapi::*;

use super::alloc::Backing;
use super::pin::Pin;
use super::registry::Record;
use super::{AllocationKind, DevicePtr};
use crate::driver::Driver;
use crate::sys::BoHandle;
use crate::{Error, Result, fork};

/// How long [`unregister_host`] waits for work that may use the memory before it takes it away.
const PATIENCE: Duration = Duration::from_secs(1);

/// Makes host memory and maps it for process and device: mapping, device address, size, object.
pub(crate) fn map_host(
    driver: &'static Driver,
    op: &'static str,
    bytes: u64,
) -> Result<(Mapping, u64, u64, BoHandle)> {
    let bo = driver.sys.bo_create(op, DRM_VINCI_PLACE_HOST, 0, bytes)?;
    let flags = DRM_VINCI_MAP_READ | DRM_VINCI_MAP_WRITE;
    let mapped = driver
        .sys
        .mmap(op, bo.mmap_offset, bo.size)
        .and_then(|map| Ok((map, driver.map_object(op, bo.handle, bo.size, 1, flags)?)));
    match mapped {
        Ok((map, va)) => Ok((map, va, bo.size, bo.handle)),
        Err(e) => {
            driver.sys.close(bo.handle);
            Err(e)
        }
    }
}

/// The same for host memory of another process, of at least `bytes` bytes.
pub(crate) fn map_imported(
    driver: &'static Driver,
    op: &'static str,
    fd: &OwnedFd,
    bytes: u64,
) -> Result<(Mapping, u64, u64, BoHandle)> {
    let object = driver.sys.prime_import(op, fd)?;
    let flags = DRM_VINCI_MAP_READ | DRM_VINCI_MAP_WRITE;
    let mapped = driver.sys.bo_info(op, object).and_then(|info| {
        if info.placement != DRM_VINCI_PLACE_HOST || info.size < bytes {
            return Err(Error::value(op, "it is memory of another kind"));
        }
        let map = driver.sys.mmap(op, info.mmap_offset, info.size)?;
        Ok((map, driver.map_object(op, object, info.size, 1, flags)?, info.size))
    });
    match mapped {
        Ok((map, va, size)) => Ok((map, va, size, object)),
        Err(e) => {
            driver.sys.close(object);
            Err(e)
        }
    }
}

/// Pinned host memory, mapped for the device: copies from and to it run beside the program.
///
/// ```
/// let mut buffer = vinci::HostBuffer::new(4096)?;
/// buffer[..4].copy_from_slice(b"data");
/// # Ok::<(), vinci::Error>(())
/// ```
#[derive(Debug)]
pub struct HostBuffer {
    ptr: *mut u8,
    len: usize,
    va: u64,
}

// SAFETY: it owns its memory; slices of it are given out under the usual borrows, and device access goes
// through the unsafe `device_ptr` and `Addr::host`.
unsafe impl Send for HostBuffer {}
// SAFETY: as above; a shared reference only reads.
unsafe impl Sync for HostBuffer {}

impl HostBuffer {
    /// Allocates `bytes` bytes, zero at first, page-aligned.
    pub fn new(bytes: usize) -> Result<HostBuffer> {
        let driver = Driver::get()?;
        if bytes == 0 {
            return Err(Error::value("allocate host memory", "0 bytes asked for"));
        }
        driver.reap(true);
        let (map, va, size, handle) = map_host(driver, "allocate host memory", bytes as u64)?;
        let ptr = map.ptr().as_ptr();
        // SAFETY: the mapping is this buffer's own, writable, and at least `bytes` long.
        unsafe { ptr.write_bytes(0, bytes) };
        let backing = Backing::Host { va, size, handle, map };
        let record = Record {
            size: bytes as u64,
            kind: AllocationKind::Host,
            die: None,
            host: Some(ptr as usize),
            backing,
        };
        driver.registry.insert(va, record);
        Ok(HostBuffer { ptr, len: bytes, va })
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
        DevicePtr(self.va)
    }

    /// Gives it up without freeing it; [`HostBuffer::from_raw`] takes it back.
    pub fn into_raw(self) -> *mut u8 {
        std::mem::ManuallyDrop::new(self).ptr
    }

    /// Takes back what [`HostBuffer::into_raw`] gave up; [`Error::InvalidHandle`] for any other address.
    ///
    /// # Safety
    /// No other `HostBuffer` of this address is alive: each `into_raw` is taken back once.
    pub unsafe fn from_raw(ptr: *mut u8) -> Result<HostBuffer> {
        let driver = Driver::get()?;
        let none =
            Error::InvalidHandle { op: "free host memory", what: "host allocation", handle: ptr as u64 };
        match driver.registry.find_host(ptr as usize) {
            Some((start, len, va)) if start == ptr as usize => match driver.registry.find(driver, va) {
                Some(found) if found.kind == AllocationKind::Host => {
                    Ok(HostBuffer { ptr, len: len as usize, va })
                }
                _ => Err(none),
            },
            _ => Err(none),
        }
    }
}

impl std::ops::Deref for HostBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the memory is mapped until the buffer is dropped, and initialised since it was made.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }
}

impl std::ops::DerefMut for HostBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.ptr, self.len) }
    }
}

impl Drop for HostBuffer {
    fn drop(&mut self) {
        if fork::is_child() {
            return;
        }
        let Ok(driver) = Driver::get() else { return };
        if let Some(record) = driver.registry.remove(self.va, |record| record.kind == AllocationKind::Host) {
            driver.retire(record.backing);
        }
    }
}

/// Pins `bytes` bytes of the program's memory and maps them for the device, read-only if asked.
/// [`Error::AlreadyRegistered`] if a part of them is pinned already.
///
/// # Safety
/// The memory stays valid until [`unregister_host`].
pub unsafe fn register_host(ptr: *mut u8, bytes: usize, read_only: bool) -> Result<DevicePtr> {
    let op = "register_host";
    let driver = Driver::get()?;
    if ptr.is_null() || bytes == 0 {
        return Err(Error::value(op, format!("{bytes} bytes at {ptr:?}")));
    }
    if (ptr as usize).checked_add(bytes).is_none() {
        return Err(Error::value(op, format!("{bytes} bytes at {ptr:?} leave the address space")));
    }
    let pin = Pin::new(driver, op, ptr, bytes as u64, read_only)?;
    let va = pin.va();
    if !driver.registry.claim_host(ptr as usize, bytes as u64, va) {
        return Err(Error::AlreadyRegistered { addr: ptr as u64, bytes: bytes as u64 });
    }
    let record = Record {
        size: bytes as u64,
        kind: AllocationKind::Registered,
        die: None,
        host: Some(ptr as usize),
        backing: pin.into_backing(),
    };
    driver.registry.insert(va, record);
    Ok(DevicePtr(va))
}

/// Undoes [`register_host`]; `ptr` is the address given there. Waits for the work that was submitted so far,
/// at most a second; work that comes to the memory later faults.
pub fn unregister_host(ptr: *mut u8) -> Result<()> {
    let driver = Driver::get()?;
    let none =
        || Error::InvalidHandle { op: "unregister_host", what: "registered host memory", handle: ptr as u64 };
    let (start, _, va) = driver.registry.find_host(ptr as usize).ok_or_else(none)?;
    if start != ptr as usize {
        return Err(none());
    }
    let record = driver.registry.remove(va, |r| r.kind == AllocationKind::Registered).ok_or_else(none)?;
    driver.marks().wait(Instant::now() + PATIENCE);
    driver.release(record.backing);
    Ok(())
}

/// Device address of pinned or registered host memory.
pub fn host_device_ptr(ptr: *mut u8) -> Result<DevicePtr> {
    let driver = Driver::get()?;
    let op = "host device pointer";
    match driver.host_va(op, ptr as usize, 1)? {
        Some(va) => Ok(DevicePtr(va)),
        None => Err(Error::InvalidHandle { op, what: "pinned host memory", handle: ptr as u64 }),
    }
}
