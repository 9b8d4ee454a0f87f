//! Host pages of the program, pinned and mapped for the device for a while.

use vinci_uapi::*;

use super::alloc::Backing;
use crate::driver::Driver;
use crate::sys::BoHandle;
use crate::{Result, fork};

/// Pinned pages. Dropping it unmaps them at once: work that still comes to them faults.
#[derive(Debug)]
pub(crate) struct Pin {
    driver: &'static Driver,
    /// Of the pages, not of the first byte.
    va: u64,
    size: u64,
    handle: BoHandle,
    /// From the start of the pages to the first byte.
    offset: u64,
}

impl Pin {
    /// Pins the pages that `bytes` bytes at `ptr` touch; the device only reads them if `read_only`.
    pub(crate) fn new(
        driver: &'static Driver,
        op: &'static str,
        ptr: *mut u8,
        bytes: u64,
        read_only: bool,
    ) -> Result<Pin> {
        let page = driver.info.page_size;
        let start = ptr as u64 & !(page - 1);
        let offset = ptr as u64 - start;
        let size = (offset + bytes).next_multiple_of(page);
        let handle = driver.sys.bo_userptr(op, start, size, read_only)?;
        let flags = if read_only { DRM_VINCI_MAP_READ } else { DRM_VINCI_MAP_READ | DRM_VINCI_MAP_WRITE };
        match driver.map_object(op, handle, size, 1, flags) {
            Ok(va) => Ok(Pin { driver, va, size, handle, offset }),
            Err(e) => {
                driver.sys.close(handle);
                Err(e)
            }
        }
    }

    /// Device address of the first byte.
    pub(crate) fn va(&self) -> u64 {
        self.va + self.offset
    }

    /// Keeps the pages pinned until the backing is released.
    pub(crate) fn into_backing(self) -> Backing {
        let pin = std::mem::ManuallyDrop::new(self);
        Backing::Object { va: pin.va, size: pin.size, objects: vec![pin.handle] }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if !fork::is_child() {
            self.driver.unmap(self.va, self.size, &[self.handle]);
        }
    }
}
