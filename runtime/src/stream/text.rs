//! What kernels print: text in device memory, which the host reads once the stream has been waited for.

use std::sync::atomic::{AtomicU64, Ordering};

use vinci_driver::Mapping;
use vinci_uapi::*;

use super::Stream;
use crate::Result;
use crate::driver::Driver;
use crate::sys::BoHandle;

/// Bytes for the text of one stream between two waits, with their head.
const SIZE: u64 = 1 << 20;
/// The head: bytes used, and bytes there are.
const HEAD: u64 = 16;

/// The memory of one stream.
pub(super) struct Text {
    driver: &'static Driver,
    map: Mapping,
    va: u64,
    handle: BoHandle,
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Text({:#x})", self.va)
    }
}

impl Text {
    fn new(driver: &'static Driver, die: u32) -> Result<Text> {
        let op = "launch";
        let bo = driver.sys.bo_create(op, DRM_VINCI_PLACE_HBM, die, SIZE)?;
        let flags = DRM_VINCI_MAP_READ | DRM_VINCI_MAP_WRITE;
        let va = driver
            .map_object(op, bo.handle, bo.size, SIZE, flags)
            .inspect_err(|_| driver.sys.close(bo.handle))?;
        let map = driver
            .sys
            .mmap(op, bo.mmap_offset, bo.size)
            .inspect_err(|_| driver.unmap(va, bo.size, &[bo.handle]))?;
        let text = Text { driver, map, va, handle: bo.handle };
        text.word(0).store(0, Ordering::Relaxed);
        text.word(1).store(SIZE - HEAD, Ordering::Release);
        Ok(text)
    }

    fn word(&self, i: usize) -> &AtomicU64 {
        // SAFETY: inside the mapping, which is aligned to pages and lives as long as `self`.
        unsafe { &*self.map.ptr().as_ptr().cast::<AtomicU64>().add(i) }
    }

    fn take(&self) -> Vec<u8> {
        let wanted = self.word(0).swap(0, Ordering::AcqRel);
        let used = wanted.min(SIZE - HEAD) as usize;
        let mut bytes = vec![0; used];
        // SAFETY: inside the mapping; the kernels that wrote it have ended.
        unsafe {
            let from = self.map.ptr().as_ptr().add(HEAD as usize);
            std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), used);
        }
        if wanted as usize > used {
            bytes.extend(format!("\n[{} bytes of text were lost]\n", wanted as usize - used).into_bytes());
        }
        bytes
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if !crate::fork::is_child() {
            self.driver.unmap(self.va, SIZE, &[self.handle]);
        }
    }
}

impl Stream {
    /// Where kernels print to.
    pub(crate) fn text_address(&self) -> Result<u64> {
        if let Some(text) = self.0.text.get() {
            return Ok(text.va);
        }
        let _guard = self.0.making.lock();
        if self.0.text.get().is_none() {
            let _ = self.0.text.set(Text::new(self.0.driver, self.0.die.ordinal)?);
        }
        Ok(self.0.text.get().map_or(0, |text| text.va))
    }

    /// Whether a kernel that may print was launched on the stream.
    pub fn prints(&self) -> bool {
        self.0.text.get().is_some()
    }

    /// What kernels of the stream have printed since the last call; for the time after [`Stream::synchronize`].
    pub fn take_text(&self) -> Vec<u8> {
        self.0.text.get().map(Text::take).unwrap_or_default()
    }
}
