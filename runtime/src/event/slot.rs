//! Slots: the words in host memory that events and notifies are made of.
//!
//! The value of a counter only grows, also when another event has it: a wait for an old value never comes true late,
//! and one that is still in a queue when the event is dropped comes true all the same. Words that are lowered are
//! never counters, therefore: notifies and the like have slots of their own.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use vinci_driver::Mapping;

use crate::Result;
use crate::driver::Driver;
use crate::memory::host::map_host;
use crate::stream::queue::Queue;

/// Bytes of the host memory that slots are cut from.
const PAGE: u64 = 64 << 10;

/// What EVENT_RECORD stores. A cache line of its own.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Word {
    pub(crate) value: AtomicU64,
    pub(crate) wall_ns: AtomicU64,
    pub(crate) model_ns: AtomicU64,
}

/// What a slot may be used for, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its value only grows.
    Counter,
    /// It is raised and lowered; whoever takes it finds it lowered.
    Flag,
}

/// A slot, owned by one event or notify.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) kind: Kind,
    pub(crate) word: &'static Word,
    /// Device address of the word.
    pub(crate) va: u64,
    /// The value last asked for.
    pub(crate) value: u64,
}

impl Slot {
    /// True if the device has stored `value` or a later one.
    pub(crate) fn reached(&self, value: u64) -> bool {
        self.word.value.load(Ordering::Acquire) >= value
    }
}

/// What a slot that was given back waits for.
#[derive(Debug)]
pub(crate) enum Until {
    /// Its last value; or the end of the queue that was to store it.
    Stored(Weak<Queue>),
    /// All that was submitted before, in whatever queue.
    Written(Writers),
}

/// Queues whose entries may still store to a slot. One that stopped is among them: when it is reset, it stores
/// what its dropped records would have stored.
#[derive(Debug)]
pub(crate) struct Writers(Vec<Writer>);

#[derive(Debug)]
struct Writer {
    queue: Arc<Queue>,
    /// The entry that must be complete.
    entry: u64,
    /// The end of the queue was looked at after `entry` was complete, so that a reset in between is seen.
    settled: bool,
}

impl Writers {
    pub(crate) fn of<'a>(queues: impl Iterator<Item = &'a Arc<Queue>>) -> Writers {
        let writer = |queue: &Arc<Queue>| {
            let entry = queue.submitted();
            let idle = queue.is_gone() || queue.completed() >= entry;
            (!idle).then(|| Writer { queue: queue.clone(), entry, settled: false })
        };
        Writers(queues.filter_map(writer).collect())
    }

    fn are_done(&mut self) -> bool {
        self.0.retain_mut(|writer| !writer.is_done());
        self.0.is_empty()
    }
}

impl Writer {
    fn is_done(&mut self) -> bool {
        if !self.settled && self.queue.completed() >= self.entry {
            self.entry = self.queue.settled_end();
            self.settled = true;
        }
        self.queue.is_gone() || self.settled && self.queue.completed() >= self.entry
    }
}

/// The slots of the process. Their memory is never given back.
#[derive(Debug, Default)]
pub(crate) struct SlotPool(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    /// By [`Kind`].
    free: [Vec<Slot>; 2],
    retired: VecDeque<(Slot, Until)>,
    /// Never given back, since pending work may store to a slot at any time; the pool is the driver's, which
    /// lives as long as the process.
    pages: Vec<Mapping>,
}

impl SlotPool {
    /// A slot that nothing in flight stores to; if it is a flag, nothing in flight waits for it either.
    pub(crate) fn take(&self, driver: &'static Driver, kind: Kind) -> Result<Slot> {
        let mut slots = self.0.lock();
        for _ in 0..slots.retired.len().min(8) {
            let Some((slot, mut until)) = slots.retired.pop_front() else { break };
            let done = match &mut until {
                Until::Stored(queue) => slot.reached(slot.value) || queue.strong_count() == 0,
                Until::Written(writers) => writers.are_done(),
            };
            if done {
                slots.free[slot.kind as usize].push(slot);
            } else {
                slots.retired.push_back((slot, until));
            }
        }
        if slots.free[kind as usize].is_empty() {
            let (map, va, _, _) = map_host(driver, "create event", PAGE)?;
            for n in (0..PAGE / size_of::<Word>() as u64).rev() {
                // SAFETY: inside the mapping, which `pages` keeps for ever, aligned to a cache line; zero is a valid word, and this
                // side reads it through atomics only.
                let word = unsafe { &*map.ptr().as_ptr().add(n as usize * size_of::<Word>()).cast::<Word>() };
                let value = word.value.load(Ordering::Relaxed);
                let va = va + n * size_of::<Word>() as u64;
                slots.free[kind as usize].push(Slot { kind, word, va, value });
            }
            slots.pages.push(map);
        }
        let slot = slots.free[kind as usize].pop().expect("the pool was filled above");
        if kind == Kind::Flag {
            slot.word.value.store(0, Ordering::Release);
        }
        Ok(slot)
    }

    /// Gives a slot back that any queue may still store to.
    pub(crate) fn give_shared(&self, driver: &Driver, slot: Slot) {
        let writers = Writers::of(driver.queues.read().iter());
        let until = (!writers.0.is_empty()).then_some(Until::Written(writers));
        self.give(slot, until);
    }

    /// Gives a slot back; it is used again after `until`, at once if that is `None`.
    pub(crate) fn give(&self, slot: Slot, until: Option<Until>) {
        let mut slots = self.0.lock();
        match until {
            None => slots.free[slot.kind as usize].push(slot),
            Some(until) => slots.retired.push_back((slot, until)),
        }
    }
}

/// A place in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) queue: Weak<Queue>,
    pub(crate) entry: u64,
}

impl Place {
    pub(crate) fn new(queue: &Arc<Queue>, entry: u64) -> Place {
        Place { queue: Arc::downgrade(queue), entry }
    }

    /// True if the entry is complete, or its queue is gone.
    pub(crate) fn is_past(&self) -> bool {
        self.queue.upgrade().is_none_or(|queue| queue.completed() >= self.entry)
    }
}
