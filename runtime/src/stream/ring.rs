//! The submission protocol of a queue: tail, full barrier, `need_kick`; and the cached view of the fence.
//!
//! Nothing here touches the driver, so that loom can drive it: `tests/loom_ring.rs` includes this file.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// `struct drm_vinci_queue_doorbell`.
#[repr(C)]
pub(crate) struct Doorbell {
    /// Entries ever submitted; written here.
    pub(crate) tail: AtomicU64,
    _pad0: [u64; 7],
    /// The device sleeps; written there.
    pub(crate) need_kick: AtomicU32,
    _pad1: [u32; 15],
}

/// `struct drm_vinci_queue_fence`.
#[repr(C)]
pub(crate) struct Fence {
    /// Entries ever completed; written by the device.
    pub(crate) completed: AtomicU64,
    /// An `enum drm_vinci_queue_state`.
    pub(crate) state: AtomicU32,
    _pad0: u32,
    /// The die's model clock at the last completion.
    pub(crate) model_ns: AtomicU64,
    _rest: [u64; 5],
}

/// The producer's side of a ring of `entries` entries. It is behind the stream's lock.
pub(crate) struct Producer {
    entries: u64,
    tail: u64,
    /// `completed` when it was last read: the device's line is touched seldom.
    seen: u64,
}

impl Producer {
    /// Of a queue that has just been made.
    pub(crate) fn new(entries: u64) -> Self {
        Self { entries, tail: 0, seen: 0 }
    }

    /// Entries ever submitted.
    pub(crate) fn tail(&self) -> u64 {
        self.tail
    }

    /// Index in the ring of the next entry.
    pub(crate) fn slot(&self) -> usize {
        (self.tail & (self.entries - 1)) as usize
    }

    /// Index in the ring of entry `n`, counted from 1.
    pub(crate) fn slot_of(&self, n: u64) -> usize {
        (n.wrapping_sub(1) & (self.entries - 1)) as usize
    }

    /// True if the next entry has a free slot. Does not look at the device's memory.
    pub(crate) fn has_room(&self) -> bool {
        self.tail - self.seen < self.entries
    }

    /// Time to look at the fence: the device is, as far as known, a quarter of the ring behind, and 64
    /// entries went by since it was last looked at.
    pub(crate) fn is_stale(&self) -> bool {
        self.tail - self.seen >= self.entries / 4 && self.tail & 63 == 0
    }

    /// Reads how far the device is.
    pub(crate) fn refresh(&mut self, device: &Fence) -> u64 {
        self.seen = device.completed.load(Ordering::Acquire);
        self.seen
    }

    /// The fence value at which a full ring has a quarter of its slots free.
    pub(crate) fn room_at(&self) -> u64 {
        (self.tail + self.entries / 4).saturating_sub(self.entries)
    }

    /// True if the next `n` entries have free slots. Does not look at the device's memory.
    pub(crate) fn has_room_for(&self, n: u64) -> bool {
        self.tail - self.seen + n <= self.entries
    }

    /// Hands the entry that was written to [`Producer::slot`] to the device. True: the device sleeps and
    /// must be kicked.
    pub(crate) fn publish(&mut self, doorbell: &Doorbell) -> bool {
        self.publish_many(doorbell, 1)
    }

    /// [`Producer::publish`] for `n` entries that were written from [`Producer::slot`] on.
    pub(crate) fn publish_many(&mut self, doorbell: &Doorbell, n: u64) -> bool {
        self.tail += n;
        // As in `vinci_hw::doorbell`: the device stores need_kick, fences, and reads tail once more before it
        // sleeps, so one of the two sides sees the other's store.
        doorbell.tail.store(self.tail, Ordering::Release);
        fence(Ordering::SeqCst);
        doorbell.need_kick.load(Ordering::Relaxed) != 0
    }
}

impl Doorbell {
    #[cfg(any(test, loom))]
    #[allow(dead_code)]
    pub(crate) fn new() -> Self {
        Self { tail: AtomicU64::new(0), _pad0: [0; 7], need_kick: AtomicU32::new(0), _pad1: [0; 15] }
    }
}

impl Fence {
    #[cfg(any(test, loom))]
    #[allow(dead_code)]
    pub(crate) fn new() -> Self {
        Self {
            completed: AtomicU64::new(0),
            state: AtomicU32::new(0),
            _pad0: 0,
            model_ns: AtomicU64::new(0),
            _rest: [0; 5],
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::mem::offset_of;

    use vinci_uapi::{drm_vinci_queue_doorbell, drm_vinci_queue_fence};

    use super::*;

    #[test]
    fn layouts_are_the_headers() {
        assert_eq!(size_of::<Doorbell>(), size_of::<drm_vinci_queue_doorbell>());
        assert_eq!(offset_of!(Doorbell, need_kick), offset_of!(drm_vinci_queue_doorbell, need_kick));
        assert_eq!(size_of::<Fence>(), size_of::<drm_vinci_queue_fence>());
        assert_eq!(offset_of!(Fence, state), offset_of!(drm_vinci_queue_fence, state));
        assert_eq!(offset_of!(Fence, model_ns), offset_of!(drm_vinci_queue_fence, model_ns));
    }

    #[test]
    fn a_full_ring_waits_for_the_fence() {
        let (doorbell, device) = (Doorbell::new(), Fence::new());
        let mut producer = Producer::new(64);
        for n in 0..64 {
            assert!(producer.has_room());
            assert_eq!(producer.slot(), n);
            producer.publish(&doorbell);
        }
        assert!(!producer.has_room());
        assert_eq!(producer.room_at(), 16);
        device.completed.store(16, Ordering::Release);
        assert_eq!(producer.refresh(&device), 16);
        assert!(producer.has_room());
        assert_eq!((producer.slot(), producer.slot_of(65), producer.slot_of(64)), (0, 0, 63));
    }

    #[test]
    fn a_sleeping_device_asks_for_a_kick() {
        let doorbell = Doorbell::new();
        let mut producer = Producer::new(64);
        assert!(!producer.publish(&doorbell));
        doorbell.need_kick.store(1, Ordering::Relaxed);
        assert!(producer.publish(&doorbell));
        assert_eq!(doorbell.tail.load(Ordering::Relaxed), 2);
    }
}
