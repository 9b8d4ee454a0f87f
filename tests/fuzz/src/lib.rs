//! What the targets share: a device to work on, and a queue as a runtime uses it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use vinci_device::Profile;
use vinci_driver::uapi::*;
use vinci_driver::{Embedded, Errno, Handle, Mapping};
use vinci_hw::{doorbell, sqe};

/// Entries of a [`Queue`].
pub const ENTRIES: u32 = 256;
/// How long entries may take before a target calls it a hang.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long a wait sleeps before it looks for calls, ns.
const SLICE: i64 = 500_000;
/// 1 MiB.
pub const MIB: u64 = 1 << 20;

/// A device in this process. Two dies and all there is.
pub fn device() -> Embedded {
    let profile = Profile::by_name("910c").expect("a built-in profile");
    Embedded::new(profile).expect("an embedded device")
}

/// Where a server of this process listens.
pub fn socket_path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("vinci-fuzz-{name}-{}", std::process::id()))
}

/// A file of the device, an address space, memory that may be written and memory that may only be read, and a queue.
pub struct Bench {
    /// The open file.
    pub dev: Handle,
    /// Its address space.
    pub vm: u32,
    /// [`MIB`] bytes that entries may read and write; what is behind them is not mapped.
    pub va: u64,
    /// The same memory here.
    pub memory: Mapping,
    /// [`MIB`] bytes of HBM that entries may read.
    pub constant: u64,
    ring: Mapping,
    bell: Mapping,
    queue: u32,
    tail: u64,
}

impl Bench {
    /// On a device of its own.
    pub fn new() -> Self {
        let dev = Handle::new(Arc::new(device()));
        let vm = dev.vm_create().expect("an address space");
        let va = dev.device_info().expect("the device's facts").va_base;
        let constant = va + 64 * MIB;
        let host = dev.bo_create(MIB, DRM_VINCI_PLACE_HOST, 0).expect("host memory");
        let hbm = dev.bo_create(MIB, DRM_VINCI_PLACE_HBM, 0).expect("HBM");
        dev.vm_map(vm, host.handle, 0, va, MIB, DRM_VINCI_MAP_READ | DRM_VINCI_MAP_WRITE).expect("a map");
        dev.vm_map(vm, hbm.handle, 0, constant, MIB, DRM_VINCI_MAP_READ).expect("a map");
        let memory = dev.mmap(host.mmap_offset, MIB).expect("its pages");
        let q = dev.queue_create(vm, 0, 3, ENTRIES).expect("a queue");
        let ring = dev.mmap(q.ring_offset, u64::from(ENTRIES) * 64).expect("its ring");
        let bell = dev.mmap(q.doorbell_offset, 4096).expect("its doorbell");
        Self { dev, vm, va, memory, constant, ring, bell, queue: q.queue_id, tail: 0 }
    }

    /// Writes `bytes` at `offset` of the memory.
    pub fn write(&self, offset: u64, bytes: &[u8]) {
        let room = MIB.saturating_sub(offset) as usize;
        let len = bytes.len().min(room);
        // SAFETY: inside the mapping, which the queue does not use while this is called.
        unsafe { self.memory.ptr().as_ptr().add(offset as usize).copy_from(bytes.as_ptr(), len) };
    }

    /// Puts entries into the ring, all visible at once. At most [`ENTRIES`].
    pub fn submit(&mut self, entries: &[sqe::Sqe]) {
        for entry in entries {
            let slot = (self.tail % u64::from(ENTRIES)) as usize;
            // SAFETY: a slot of the ring that the device has done with, see `settle`.
            unsafe { self.ring.ptr().cast::<sqe::Sqe>().add(slot).write_volatile(*entry) };
            self.tail += 1;
        }
        let bell = self.bell.ptr().cast::<drm_vinci_queue_doorbell>().as_ptr();
        // SAFETY: the doorbell page is mapped, and both sides use its words as atomics.
        let (tail, kick) = unsafe {
            (AtomicU64::from_ptr(&raw mut (*bell).tail), AtomicU32::from_ptr(&raw mut (*bell).need_kick))
        };
        if doorbell::ring(tail, kick, self.tail) {
            self.dev.queue_kick(self.queue).expect("the queue is there");
        }
    }

    /// Waits until the queue has done all, or says why not; then it is ready for more.
    ///
    /// # Panics
    /// When entries take longer than [`PATIENCE`], and when the device or the queue is lost: nothing that a
    /// program writes into a ring may do that.
    pub fn settle(&mut self) {
        let start = Instant::now();
        loop {
            // A queue that stands at a host call looks busy: what it asks for is in the events.
            match self.dev.wait(self.queue, self.tail, SLICE) {
                Ok(()) => break,
                Err(Errno::Io) => {
                    self.dev.queue_reset(self.queue).expect("a queue that stopped can be reset");
                    break;
                }
                Err(Errno::Time) if start.elapsed() < PATIENCE => self.answer_calls(),
                Err(e) => {
                    panic!("the queue: {e}; state {:?}", self.dev.queue_query(self.queue).map(|q| q.state))
                }
            }
        }
        // What happened is of no interest, but a full list would hide calls.
        self.answer_calls();
    }

    fn answer_calls(&self) {
        while let Ok((event, _)) = self.dev.event_read(0) {
            if event.type_ == DRM_VINCI_EVENT_HOST_CALL {
                // The queue may have been reset meanwhile.
                let _ = self.dev.queue_resume(event.queue_id, event.entry);
            }
        }
    }
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}
