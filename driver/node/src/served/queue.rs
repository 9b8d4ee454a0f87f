//! A queue as the process that made it waits for it: on the fence page, without asking the server.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use vinci_core::Errno;
use vinci_hw::doorbell;
use vinci_uapi::*;

use crate::mapping::Mapping;
use crate::served::sleep::{Alarm, IN_FENCE_PAGE};

/// See the module.
pub(crate) struct QueueEnd {
    fence: Mapping,
    gone: AtomicBool,
}

impl QueueEnd {
    pub(crate) fn new(fence: Mapping) -> Self {
        Self { fence, gone: AtomicBool::new(false) }
    }

    fn page(&self) -> *mut drm_vinci_queue_fence {
        self.fence.ptr().cast().as_ptr()
    }

    fn completed(&self) -> &AtomicU64 {
        // SAFETY: the page is mapped as long as `self` lives; shared words are only accessed as atomics.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.page()).completed) }
    }

    fn wait_for(&self) -> &AtomicU64 {
        // SAFETY: as for `completed`.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.page()).wait_for) }
    }

    fn state(&self) -> &AtomicU32 {
        // SAFETY: as for `completed`.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.page()).state) }
    }

    fn alarm(&self) -> &Alarm {
        // SAFETY: the page is mapped as long as `self` lives, and the alarm lies in it.
        unsafe { Alarm::at(self.fence.ptr(), IN_FENCE_PAGE) }
    }

    /// Sleeps until the fence reaches `value`.
    pub(crate) fn wait(&self, value: u64, deadline: Option<Instant>) -> Result<(), Errno> {
        loop {
            let heard = self.alarm().heard();
            if doorbell::wait_for(self.completed(), self.wait_for(), value) {
                return Ok(());
            }
            if self.gone.load(Ordering::Acquire) {
                return Err(Errno::NoEnt);
            }
            match self.state().load(Ordering::Acquire) {
                DRM_VINCI_QUEUE_RUNNING => {}
                DRM_VINCI_QUEUE_FAULTED => return Err(Errno::Io),
                _ => return Err(Errno::NoDev),
            }
            if !self.alarm().wait(heard, deadline) {
                let reached = self.completed().load(Ordering::Acquire) >= value;
                return if reached { Ok(()) } else { Err(Errno::Time) };
            }
        }
    }

    /// Nobody needs to wait for it any more.
    pub(crate) fn destroyed(&self) {
        self.gone.store(true, Ordering::Release);
        self.alarm().ring();
    }

    /// The server is gone, and the device with it.
    pub(crate) fn lost(&self) {
        self.state().store(DRM_VINCI_QUEUE_LOST, Ordering::Release);
        self.alarm().ring();
    }
}
