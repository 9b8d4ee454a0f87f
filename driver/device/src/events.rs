//! What the device tells the driver besides completions: a ring of [`drm_vinci_event`] in host memory.
//!
//! The device writes entries and advances its head, the driver reads them and advances its tail. What does
//! not fit waits inside the device.

use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use vinci_hw::regs::EVENT_RING_ENTRIES;
use vinci_hw::uapi::drm_vinci_event;

/// Events that wait inside the device at most; older ones are dropped.
const BACKLOG: usize = 4096;

#[derive(Default)]
struct Inner {
    ring: Option<NonNull<drm_vinci_event>>,
    head: u64,
    backlog: VecDeque<drm_vinci_event>,
}

// SAFETY: the pointer leads to host memory that the driver keeps until it disables the device.
unsafe impl Send for Inner {}

/// See the module.
#[derive(Default)]
pub struct Events {
    inner: Mutex<Inner>,
    tail: AtomicU64,
}

impl Events {
    /// Starts with an empty ring (`None`: events wait inside).
    pub fn set_ring(&self, ring: Option<NonNull<u8>>) {
        *self.inner.lock() = Inner { ring: ring.map(NonNull::cast), ..Inner::default() };
        self.tail.store(0, Ordering::Release);
    }

    /// Appends an event. The caller raises the vector.
    pub fn post(&self, event: drm_vinci_event) {
        let inner = &mut *self.inner.lock();
        if inner.backlog.len() == BACKLOG {
            inner.backlog.pop_front();
        }
        inner.backlog.push_back(event);
        self.flush(inner);
    }

    /// The driver has read up to `tail`; true if that made room for events that waited.
    pub fn set_tail(&self, tail: u64) -> bool {
        self.tail.store(tail, Ordering::Release);
        let inner = &mut *self.inner.lock();
        let before = inner.head;
        self.flush(inner);
        inner.head != before
    }

    /// Entries ever written.
    pub fn head(&self) -> u64 {
        self.inner.lock().head
    }

    /// What [`Events::set_tail`] stored.
    pub fn tail(&self) -> u64 {
        self.tail.load(Ordering::Acquire)
    }

    fn flush(&self, inner: &mut Inner) {
        let Some(ring) = inner.ring else { return };
        while inner.head.wrapping_sub(self.tail()) < EVENT_RING_ENTRIES {
            let Some(event) = inner.backlog.pop_front() else { return };
            let slot = (inner.head % EVENT_RING_ENTRIES) as usize;
            // SAFETY: the slot is inside the ring, whose bus address was translated for its full length.
            unsafe { ring.add(slot).write_volatile(event) };
            inner.head += 1;
        }
    }
}
