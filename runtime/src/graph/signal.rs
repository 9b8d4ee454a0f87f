//! The words through which the lanes of a graph wait for each other, and how a lane that faults takes the
//! others with it.
//!
//! Each word counts replays: in replay `n` its record stores its base plus `n`. Behind each wait between lanes
//! stands a check of one more word, which is 0 until a lane faults; then the words are stored from here, and
//! whoever waited stops at its check.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vinci_hw::sqe::{self, Sqe};
use vinci_uapi::DRM_VINCI_COMPARE_EQ;

use crate::driver::Driver;
use crate::error::Fault;
use crate::event::slot::{Kind, Place, Slot};
use crate::stream::queue::Queue;
use crate::{Error, Result};

/// Time after which a check that fails stops its queue.
const CHECK_MS: u64 = 1;
/// How long a replay waits for the end of one that failed.
const PATIENCE: Duration = Duration::from_secs(1);

/// The words of one graph.
pub(super) struct Signals {
    driver: &'static Driver,
    /// The latest replay has passed its end.
    pub(super) finished: Word,
    /// The stream that replays has got to the graph.
    pub(super) start: Word,
    /// Ends of dependencies and of lanes.
    pub(super) words: Vec<Word>,
    failed: Option<Slot>,
    /// Replays ever begun.
    epoch: AtomicU64,
    /// The queues that replays were submitted to, and the last entry of each there.
    users: Mutex<Vec<Place>>,
}

/// One word.
pub(super) struct Word(Option<Slot>);

impl Word {
    fn take(driver: &'static Driver) -> Result<Word> {
        let slot = driver.slots.take(driver, Kind::Counter)?;
        // Its last record may not have been stored, if its queue is gone; here the first wait is for the base.
        slot.word.value.fetch_max(slot.value, Ordering::AcqRel);
        Ok(Word(Some(slot)))
    }

    fn slot(&self) -> &Slot {
        self.0.as_ref().expect("a word has a slot until it is dropped")
    }

    pub(super) fn va(&self) -> u64 {
        self.slot().va
    }

    /// What the word is before the first replay.
    pub(super) fn base(&self) -> u64 {
        self.slot().value
    }

    /// Stores that replay `epoch` got here.
    fn store(&self, epoch: u64) {
        self.slot().word.value.fetch_max(self.base() + epoch, Ordering::AcqRel);
    }

    fn reached(&self, epoch: u64) -> bool {
        self.slot().reached(self.base() + epoch)
    }
}

impl Signals {
    pub(super) fn new(driver: &'static Driver, words: usize) -> Result<Signals> {
        let failed = driver.slots.take(driver, Kind::Flag)?;
        Ok(Signals {
            driver,
            finished: Word::take(driver)?,
            start: Word::take(driver)?,
            words: (0..words).map(|_| Word::take(driver)).collect::<Result<_>>()?,
            failed: Some(failed),
            epoch: AtomicU64::new(0),
            users: Mutex::default(),
        })
    }

    fn failed_slot(&self) -> &Slot {
        self.failed.as_ref().expect("the slot is there until the signals are dropped")
    }

    /// An entry that stops its queue if a lane of the graph has faulted.
    pub(super) fn check(&self) -> Sqe {
        sqe::wait_value(self.failed_slot().va, 0, DRM_VINCI_COMPARE_EQ, CHECK_MS)
    }

    /// Begins a replay on a queue; answers its number.
    pub(super) fn begin(&self, queue: &Arc<Queue>) -> u64 {
        let mut users = self.users.lock();
        if !users.iter().any(|user| std::ptr::eq(user.queue.as_ptr(), Arc::as_ptr(queue))) {
            users.retain(|user| user.queue.strong_count() > 0);
            users.push(Place::new(queue, 0));
        }
        self.epoch.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Notes the last entry of a replay, as [`Signals::begin`] knows its queue.
    pub(super) fn submitted(&self, queue: &Queue, entry: u64) {
        let mut users = self.users.lock();
        if let Some(user) = users.iter_mut().find(|user| std::ptr::eq(user.queue.as_ptr(), queue)) {
            user.entry = entry;
        }
    }

    /// True once no queue has an entry of a replay before it.
    fn is_quiet(&self) -> bool {
        self.users
            .lock()
            .iter()
            .all(|user| user.queue.upgrade().is_none_or(|queue| queue.is_past(user.entry)))
    }

    /// Replays ever begun.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Replays known to be over.
    pub(super) fn done(&self) -> u64 {
        let slot = self.finished.slot();
        slot.word.value.load(Ordering::Acquire).saturating_sub(slot.value)
    }

    pub(super) fn is_done(&self) -> bool {
        self.finished.reached(self.epoch())
    }

    /// True after [`Signals::fail`].
    pub(super) fn has_failed(&self) -> bool {
        self.failed_slot().word.value.load(Ordering::Acquire) != 0
    }

    /// Stops every queue that waits for a lane of this graph. `fault` is what they say about it.
    pub(super) fn fail(&self, fault: Option<&Fault>) {
        if self.failed_slot().word.value.swap(1, Ordering::AcqRel) != 0 {
            return;
        }
        if let Some(fault) = fault {
            self.queues().iter().for_each(|queue| queue.inherit(fault));
        }
        let epoch = self.epoch();
        self.words.iter().for_each(|word| word.store(epoch));
        self.wake();
    }

    /// Stores that replay `epoch` got to a word, and has those who wait for it look.
    pub(super) fn release(&self, word: usize, epoch: u64) {
        self.words[word].store(epoch);
        self.wake();
    }

    /// The schedulers look at their waits again.
    fn wake(&self) {
        for queue in self.queues() {
            if let Err(e) = self.driver.sys.queue_kick("wake graph", queue.id) {
                log::debug!("graph: {e}");
            }
        }
    }

    fn queues(&self) -> Vec<Arc<Queue>> {
        self.users.lock().iter().filter_map(|user| user.queue.upgrade()).collect()
    }

    /// Makes replays possible again. Nothing of an earlier one is in any lane; the streams that replayed are
    /// waited for, as long as it takes them to get to the check that stops them.
    pub(super) fn recover(&self, op: &'static str) -> Result<()> {
        let start = Instant::now();
        while !self.is_quiet() {
            if start.elapsed() > PATIENCE {
                let what = "a graph that failed, and that another stream has still to get to,";
                return Err(Error::Busy { op, what: what.into() });
            }
            std::thread::yield_now();
        }
        self.finished.store(self.epoch());
        self.failed_slot().word.value.store(0, Ordering::Release);
        Ok(())
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        if crate::fork::is_child() {
            return;
        }
        let epoch = self.epoch();
        let words = self.words.iter_mut().chain([&mut self.finished, &mut self.start]);
        let slots =
            words.filter_map(|word| word.0.take()).map(|slot| Slot { value: slot.value + epoch, ..slot });
        for slot in slots.chain(self.failed.take()) {
            self.driver.slots.give_shared(self.driver, slot);
        }
    }
}
