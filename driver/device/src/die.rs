//! One die: its queues, its scheduler's sleep and wake, its counters.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::thread::Thread;

use parking_lot::{Mutex, RwLock};

use crate::clock::Timeline;
use crate::queue::Queue;
use crate::telemetry::Sensors;

/// State of a die that its scheduler, the workers and the driver's commands share.
#[derive(Default)]
pub struct Die {
    /// Number of the die.
    pub index: u32,
    /// Queues by priority, then by age.
    pub queues: RwLock<Vec<Arc<Queue>>>,
    /// Changes whenever `queues` does.
    pub queues_version: AtomicU64,
    /// Engines in model time.
    pub timeline: Timeline,
    /// Entries completed.
    pub tasks: AtomicU64,
    /// Corrected memory errors.
    pub ecc_single: AtomicU64,
    /// Uncorrectable memory errors.
    pub ecc_double: AtomicU64,
    /// Injected: the next kernel does not end.
    pub hang_next: AtomicBool,
    /// Injected: the scheduler crashes at the next entry.
    pub crash_next: AtomicBool,
    /// Clock limit in MHz, 0 for the profile's.
    pub clock_limit: AtomicU64,
    /// Temperature and power.
    pub sensors: Mutex<Sensors>,
    /// The scheduler has announced that it sleeps.
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Die {
    /// An idle die.
    pub fn new(index: u32) -> Self {
        Self { index, ..Self::default() }
    }

    /// The scheduler thread, which starts with the die's first queue.
    pub fn set_thread(&self, thread: Thread) {
        // A second start cannot happen: the caller holds the device's start lock.
        let _ = self.thread.set(thread);
    }

    /// Whether the scheduler runs.
    pub fn has_thread(&self) -> bool {
        self.thread.get().is_some()
    }

    /// Makes the scheduler look at everything again. A system call only if it sleeps.
    pub fn wake(&self) {
        if let Some(t) = self.thread.get() {
            t.unpark();
        }
    }

    /// As [`Die::wake`], for a store that a waiting entry of this die may have been waiting for.
    pub fn wake_if_asleep(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    /// Scheduler: announces sleep (`true`; everything must be looked at once more) or its end.
    pub fn set_asleep(&self, asleep: bool) {
        self.asleep.store(asleep, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Adds a queue in its priority's place.
    pub fn add_queue(&self, queue: Arc<Queue>) {
        let mut queues = self.queues.write();
        let at = queues.partition_point(|q| q.setup.priority <= queue.setup.priority);
        queues.insert(at, queue);
        self.queues_version.fetch_add(1, Ordering::Release);
    }

    /// Takes a queue out.
    pub fn remove_queue(&self, id: u32) {
        self.queues.write().retain(|q| q.setup.queue != id);
        self.queues_version.fetch_add(1, Ordering::Release);
    }
}
