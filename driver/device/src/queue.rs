//! A user queue as the device sees it: three pieces of memory that a process can change at any time, and the
//! device's own state, which it cannot.

use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use vinci_hw::admin::QueueSetup;
use vinci_hw::sqe::Sqe;
use vinci_hw::uapi::*;

use crate::clock::Engine;
use crate::code::Running;
use crate::mmu::AddressSpace;
use vinci_hw::doorbell;

/// What the queue's next entry is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing: the next entry can be fetched.
    Ready,
    /// A wait that did not hold yet, until the deadline.
    Waiting(Option<Instant>),
    /// A kernel or copy on the worker pool.
    Running,
    /// A kernel in a jail: [`Run::jailed`].
    Jailed,
    /// A host call that the host has not answered.
    HostCall,
    /// A kernel that does not end (injected), until its time is up.
    Hung(Instant),
    /// Stopped by a fault until it is reset.
    Faulted,
    /// Taken by a die or function reset.
    Lost,
}

/// Where and since when the entry at the head is timed.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Device address of its stamp.
    pub stamp: u64,
    /// Wall clock when the entry was taken.
    pub wall_start: u64,
}

/// The device's own state of a queue.
pub struct Run {
    /// Entries completed.
    pub head: u64,
    /// See [`State`].
    pub state: State,
    /// Model clock of the queue.
    pub model_ns: u64,
    /// Of the entry at the head, once it was taken.
    pub timing: Option<Timing>,
    /// It is to be destroyed as soon as its entry on the worker pool has ended, and runs no other.
    pub ending: bool,
    /// With [`State::Jailed`]: the kernel at the head and those behind it that are in the jail, too, each with its hold on
    /// the address space.
    pub(crate) jailed: VecDeque<(Box<Running>, usize)>,
}

/// A user queue.
pub struct Queue {
    /// What the driver asked for.
    pub setup: QueueSetup,
    /// Address space its entries use.
    pub vm: Arc<AddressSpace>,
    /// Vector of its completions.
    pub vector: u16,
    /// The device's own state; also what serialises everything that happens to the queue.
    pub run: Mutex<Run>,
    ring: NonNull<Sqe>,
    fence: NonNull<drm_vinci_queue_fence>,
    doorbell: NonNull<drm_vinci_queue_doorbell>,
}

// SAFETY: the pointers lead to memory that outlives the queue (the driver destroys the queue before it frees the
// ring and the fence; the doorbell page belongs to the device) and is accessed with atomics or volatile only.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Queue {
    /// A queue over memory that the caller has checked: `setup.entries` entries at `ring`, a fence page and a
    /// doorbell page, all aligned to 64 bytes.
    pub fn new(
        setup: QueueSetup,
        vm: Arc<AddressSpace>,
        vector: u16,
        ring: NonNull<u8>,
        fence: NonNull<u8>,
        doorbell: NonNull<u8>,
    ) -> Self {
        let head = setup.goes_on.unwrap_or(0);
        let run = Run {
            head,
            state: State::Ready,
            model_ns: 0,
            timing: None,
            ending: false,
            jailed: VecDeque::new(),
        };
        let mut q = Self {
            setup,
            vm,
            vector,
            run: Mutex::new(run),
            ring: ring.cast(),
            fence: fence.cast(),
            doorbell: doorbell.cast(),
        };
        if setup.goes_on.is_some() {
            q.run.get_mut().model_ns = q.shared_model_ns().load(Ordering::Relaxed);
        } else {
            q.doorbell_tail().store(0, Ordering::Relaxed);
        }
        q.need_kick().store(1, Ordering::Relaxed);
        q.wait_for().store(doorbell::NOBODY, Ordering::Relaxed);
        q.set_shared_state(DRM_VINCI_QUEUE_RUNNING);
        q.completed().store(head, Ordering::Release);
        q
    }

    /// Word that the producer advances.
    pub fn doorbell_tail(&self) -> &AtomicU64 {
        // SAFETY: aligned and alive (see the impl Send above); shared words are only ever accessed as atomics.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.doorbell.as_ptr()).tail) }
    }

    /// Word that tells the producer to kick.
    pub fn need_kick(&self) -> &AtomicU32 {
        // SAFETY: as for `doorbell_tail`.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.doorbell.as_ptr()).need_kick) }
    }

    /// The fence.
    pub fn completed(&self) -> &AtomicU64 {
        // SAFETY: as for `doorbell_tail`.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.fence.as_ptr()).completed) }
    }

    /// What the driver waits for.
    pub fn wait_for(&self) -> &AtomicU64 {
        // SAFETY: as for `doorbell_tail`.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.fence.as_ptr()).wait_for) }
    }

    fn shared_model_ns(&self) -> &AtomicU64 {
        // SAFETY: as for `doorbell_tail`.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.fence.as_ptr()).model_ns) }
    }

    /// Adds to the time that an engine worked for the queue. Under the lock of [`Queue::run`].
    pub fn charge(&self, engine: Engine, ns: u64) {
        for (engine, occupied) in engine.occupies().into_iter().enumerate() {
            if occupied {
                // SAFETY: as for `doorbell_tail`.
                let busy = unsafe { AtomicU64::from_ptr(&raw mut (*self.fence.as_ptr()).busy_ns[engine]) };
                busy.store(busy.load(Ordering::Relaxed).wrapping_add(ns), Ordering::Relaxed);
            }
        }
    }

    /// Tells the process what became of the queue.
    pub fn set_shared_state(&self, state: drm_vinci_queue_state) {
        // SAFETY: as for `doorbell_tail`.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.fence.as_ptr()).state) }.store(state, Ordering::Release);
    }

    /// Entry number `index` (from 0). Read once, since the process can change it at any time.
    pub fn fetch(&self, index: u64) -> Sqe {
        let slot = (index & u64::from(self.setup.entries - 1)) as usize;
        // SAFETY: `slot` is below the ring's length; every bit pattern is a valid entry.
        unsafe { self.ring.add(slot).read_volatile() }
    }

    /// Publishes progress; [`Queue::alert`] must follow before the device rests.
    pub fn publish(&self, run: &Run) {
        self.shared_model_ns().store(run.model_ns, Ordering::Relaxed);
        doorbell::complete(self.completed(), run.head);
    }

    /// Whether somebody waits for what has been reached; the wait is then cleared.
    pub fn alert(&self, run: &Run) -> bool {
        doorbell::alert(self.wait_for(), run.head)
    }

    /// Whether somebody waits for anything; a fault or reset ends every wait.
    pub fn alert_any(&self) -> bool {
        self.wait_for().swap(doorbell::NOBODY, Ordering::AcqRel) != doorbell::NOBODY
    }
}
