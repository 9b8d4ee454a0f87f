//! Pinned pieces of host memory that small copies to pageable memory pass through.

use parking_lot::Mutex;
use vinci_driver::Mapping;

use super::alloc::Backing;
use super::host::map_host;
use crate::driver::Driver;
use crate::stream::STAGED;
use crate::sys::BoHandle;
use crate::{Result, fork};

/// A piece of [`STAGED`] bytes. Dropped, it goes back to the host once no stream uses it any more.
#[derive(Debug)]
pub(crate) struct Stage {
    driver: &'static Driver,
    /// `None` once it was taken apart.
    map: Option<Mapping>,
    va: u64,
    size: u64,
    handle: BoHandle,
}

impl Stage {
    /// First byte.
    pub(crate) fn ptr(&self) -> *const u8 {
        self.map.as_ref().map_or(std::ptr::null(), |map| map.ptr().as_ptr().cast_const())
    }

    /// Device address of the first byte.
    pub(crate) fn va(&self) -> u64 {
        self.va
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(map) = self.map.take().filter(|_| !fork::is_child()) {
            self.driver.retire(Backing::Host { va: self.va, size: self.size, handle: self.handle, map });
        }
    }
}

/// Stages that are not in use: as many as copies ever ran at once.
#[derive(Debug, Default)]
pub(crate) struct StagePool(Mutex<Vec<Stage>>);

impl StagePool {
    pub(crate) fn take(&self, driver: &'static Driver) -> Result<Stage> {
        if let Some(stage) = self.0.lock().pop() {
            return Ok(stage);
        }
        let (map, va, size, handle) = map_host(driver, "copy", STAGED)?;
        Ok(Stage { driver, map: Some(map), va, size, handle })
    }

    /// Takes back a stage that no work uses.
    pub(crate) fn give(&self, stage: Stage) {
        self.0.lock().push(stage);
    }
}
