//! A queue of the device: its ring, doorbell and fence, and the two ways to wait for an entry.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vinci_driver::{Errno, Mapping};
use vinci_hw::sqe::{self, Sqe};
use vinci_uapi::*;

use super::args::Args;
use super::ring::{Doorbell, Fence, Producer};
use crate::driver::Driver;
use crate::error::{Error, Fault, Result};
use crate::profile;

/// Entries of a ring: 128 KiB.
pub(crate) const ENTRIES: u32 = 2048;
/// Entries of a batch at most: as many as [`Queue::make_room`] makes room for.
pub(crate) const BATCH: usize = ENTRIES as usize / 4;
/// How long a waiter looks at the fence before it sleeps.
const SPIN: Duration = Duration::from_micros(20);
/// Looks at the fence between looks at the clock.
const SPINS_PER_CLOCK: u32 = 64;

/// The device side of a stream.
pub(crate) struct Queue {
    driver: &'static Driver,
    /// The driver's number for it.
    pub(crate) id: u32,
    /// The stream's number, for messages.
    stream: u32,
    die: u32,
    ring: Mapping,
    doorbell: Mapping,
    fence: Mapping,
    submit: Mutex<Submit>,
    /// What the doorbell's tail is; that page goes with the queue, and is slow to read where it is a register.
    submitted: AtomicU64,
    /// Set once the device was seen to have stopped the queue; cleared by reset.
    stopped: AtomicBool,
    /// The fault of another queue that stopped this one, as it ran a part of the same graph.
    inherited: Mutex<Option<Fault>>,
    destroyed: AtomicBool,
    /// The device lost it, and what it was to record is done: see [`Queue::take_lost_records`].
    settled_loss: AtomicBool,
}

/// What submitting changes; behind the lock.
struct Submit {
    producer: Producer,
    args: Args,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({} of stream {} on die {})", self.id, self.stream, self.die)
    }
}

impl Queue {
    pub(crate) fn create(driver: &'static Driver, die: u32, stream: u32, priority: u32) -> Result<Queue> {
        let op = "create stream";
        let made = driver.sys.queue_create(op, driver.vm, die, priority, ENTRIES)?;
        let map = |offset, len| driver.sys.mmap(op, offset, len);
        let page = driver.info.page_size;
        let maps = map(made.ring_offset, u64::from(ENTRIES) * size_of::<Sqe>() as u64)
            .and_then(|ring| Ok((ring, map(made.doorbell_offset, page)?, map(made.fence_offset, page)?)));
        let (ring, doorbell, fence) = match maps {
            Ok(maps) => maps,
            Err(e) => {
                let _ = driver.sys.queue_destroy(made.queue_id);
                return Err(e);
            }
        };
        Ok(Queue {
            driver,
            id: made.queue_id,
            stream,
            die,
            ring,
            doorbell,
            fence,
            submit: Mutex::new(Submit {
                producer: Producer::new(u64::from(ENTRIES)),
                args: Args::new(ENTRIES as usize),
            }),
            submitted: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            inherited: Mutex::new(None),
            destroyed: AtomicBool::new(false),
            settled_loss: AtomicBool::new(false),
        })
    }

    fn doorbell(&self) -> &Doorbell {
        // SAFETY: the mapping is a page that holds a doorbell (ring.rs checks the layout), lives as long as
        // `self`, and is only changed through atomics.
        unsafe { &*self.doorbell.ptr().as_ptr().cast::<Doorbell>() }
    }

    fn fence(&self) -> &Fence {
        // SAFETY: as in `doorbell`, for the fence; this side only reads.
        unsafe { &*self.fence.ptr().as_ptr().cast::<Fence>() }
    }

    fn slot(&self, index: usize) -> *mut Sqe {
        debug_assert!(index < ENTRIES as usize);
        // SAFETY: the mapping holds ENTRIES entries and callers index with a mask.
        unsafe { self.ring.ptr().as_ptr().cast::<Sqe>().add(index) }
    }

    /// Entries ever submitted.
    pub(crate) fn submitted(&self) -> u64 {
        self.submitted.load(Ordering::Acquire)
    }

    /// [`Queue::submitted`] once a reset that is under way is over.
    pub(crate) fn settled_end(&self) -> u64 {
        self.submit.lock().producer.tail()
    }

    /// Entries ever completed.
    pub(crate) fn completed(&self) -> u64 {
        self.fence().completed.load(Ordering::Acquire)
    }

    /// [`Queue::completed`]; all entries if the device will run no more of them.
    pub(crate) fn settled(&self) -> u64 {
        let stopped = self.state() != DRM_VINCI_QUEUE_RUNNING;
        if stopped { u64::MAX } else { self.completed() }
    }

    /// True if entry `n` needs no more waiting: it is complete, or the queue will not run it.
    pub(crate) fn is_past(&self, n: u64) -> bool {
        self.completed() >= n
            || self.destroyed.load(Ordering::Acquire)
            || self.state() != DRM_VINCI_QUEUE_RUNNING
    }

    /// True if it was destroyed.
    pub(crate) fn is_gone(&self) -> bool {
        self.destroyed.load(Ordering::Acquire)
    }

    /// The die that runs it.
    pub(crate) fn die(&self) -> u32 {
        self.die
    }

    /// The number of its stream.
    pub(crate) fn stream(&self) -> u32 {
        self.stream
    }

    fn state(&self) -> u32 {
        self.fence().state.load(Ordering::Acquire)
    }

    /// Submits the entry that `make` builds. `payload` is copied to memory the device reads, whose device
    /// address `make` is given (0 if there is no payload). Answers the entry's number.
    #[inline]
    pub(crate) fn submit(
        &self,
        op: &'static str,
        payload: &[u8],
        make: impl FnOnce(u64) -> Sqe,
    ) -> Result<u64> {
        let mut submit = self.submit.lock();
        let va = loop {
            if !submit.producer.has_room() || submit.producer.is_stale() {
                submit = self.make_room(op, submit, 1)?;
            }
            if self.stopped.load(Ordering::Relaxed) {
                drop(submit);
                return Err(self.why_stopped(op));
            }
            if payload.is_empty() {
                break 0;
            }
            if let Some(va) = submit.args.put(self.driver, payload)? {
                break va;
            }
            // The lock is let go meanwhile, so the ring may be full again afterwards.
            submit = self.free_args(op, submit, payload.len())?;
        };
        let Submit { producer, args } = &mut *submit;
        let index = producer.slot();
        let mut sqe = make(va);
        if profile::is_on() {
            profile::stamp(self.driver, self, producer.tail() + 1, std::slice::from_mut(&mut sqe));
        }
        // SAFETY: the slot is in the ring and, as there is room, the device has finished with what it held.
        unsafe { self.slot(index).write(sqe) };
        args.mark(index);
        let kick = producer.publish(self.doorbell());
        let entry = producer.tail();
        self.submitted.store(entry, Ordering::Release);
        drop(submit);
        if kick {
            self.kick(op)?;
        }
        Ok(entry)
    }

    /// Submits prepared entries, at most [`BATCH`], with one ring of the doorbell and nobody else's entry
    /// between them. Answers the number of the last.
    pub(crate) fn submit_batch(&self, op: &'static str, entries: &[Sqe]) -> Result<u64> {
        debug_assert!(entries.len() <= BATCH);
        let count = entries.len() as u64;
        let mut submit = self.submit.lock();
        loop {
            if !submit.producer.has_room_for(count) {
                submit = self.make_room(op, submit, count)?;
            }
            if self.stopped.load(Ordering::Relaxed) {
                drop(submit);
                return Err(self.why_stopped(op));
            }
            if submit.producer.has_room_for(count) {
                break;
            }
        }
        let Submit { producer, args } = &mut *submit;
        let stamped = profile::is_on().then(|| {
            let mut stamped = entries.to_vec();
            profile::stamp(self.driver, self, producer.tail() + 1, &mut stamped);
            stamped
        });
        let entries = stamped.as_deref().unwrap_or(entries);
        let start = producer.slot();
        let first = entries.len().min(ENTRIES as usize - start);
        // SAFETY: `start + first` is at most the ring's length and the rest is less than `start`; as there is
        // room, the device has finished with what these slots held.
        unsafe {
            std::ptr::copy_nonoverlapping(entries.as_ptr(), self.slot(start), first);
            let rest = entries.len() - first;
            std::ptr::copy_nonoverlapping(entries.as_ptr().add(first), self.slot(0), rest);
        }
        args.mark_many(start, entries.len());
        let kick = producer.publish_many(self.doorbell(), count);
        let last = producer.tail();
        self.submitted.store(last, Ordering::Release);
        drop(submit);
        if kick {
            self.kick(op)?;
        }
        Ok(last)
    }

    /// Replaces entry `n`, if it is still `old` and has not completed. The device may be reading it: what it
    /// makes of an entry that is half one and half the other is the caller's to prevent.
    pub(crate) fn replace(&self, n: u64, old: &Sqe, new: &Sqe) -> bool {
        let submit = self.submit.lock();
        let in_ring = n <= submit.producer.tail() && n + u64::from(ENTRIES) > submit.producer.tail();
        if n == 0 || !in_ring || self.completed() >= n {
            return false;
        }
        let slot = self.slot(submit.producer.slot_of(n));
        // SAFETY: in the ring; entries are plain data that this side wrote, and the lock keeps writers out.
        let mut now = unsafe { slot.read_volatile() };
        let mut new = *new;
        if now.flags != 0 {
            sqe::set_stamp(&mut new, sqe::words(&now)[6]);
            sqe::clear_stamp(&mut now);
        }
        if !same(&now, old) {
            return false;
        }
        // SAFETY: as above; the device reads entries as memory that may change at any time.
        unsafe { slot.write_volatile(new) };
        true
    }

    /// Says which fault of another queue is behind the one that stops, or will stop, this queue.
    pub(crate) fn inherit(&self, fault: &Fault) {
        *self.inherited.lock() = Some(fault.clone());
    }

    #[cold]
    fn kick(&self, op: &'static str) -> Result<()> {
        self.driver.sys.queue_kick(op, self.id).map_err(|e| self.translate(op, e))
    }

    /// Looks how far the device is; if the ring has no room for `need` entries, waits until a quarter of it
    /// is free. The lock is not held while waiting, so that the stream can be aborted.
    #[cold]
    fn make_room<'a>(
        &'a self,
        op: &'static str,
        mut submit: parking_lot::MutexGuard<'a, Submit>,
        need: u64,
    ) -> Result<parking_lot::MutexGuard<'a, Submit>> {
        loop {
            submit.producer.refresh(self.fence());
            if self.state() != DRM_VINCI_QUEUE_RUNNING {
                self.stopped.store(true, Ordering::Relaxed);
                return Ok(submit);
            }
            if submit.producer.has_room_for(need) {
                return Ok(submit);
            }
            let target = submit.producer.room_at();
            drop(submit);
            self.wait(target, None, op)?;
            submit = self.submit.lock();
        }
    }

    /// Waits until the arguments of older entries make room for `bytes` more.
    #[cold]
    fn free_args<'a>(
        &'a self,
        op: &'static str,
        submit: parking_lot::MutexGuard<'a, Submit>,
        bytes: usize,
    ) -> Result<parking_lot::MutexGuard<'a, Submit>> {
        let target = submit.args.room_at(&submit.producer, self.completed(), bytes);
        drop(submit);
        self.wait(target, None, op)?;
        let mut submit = self.submit.lock();
        let Submit { producer, args } = &mut *submit;
        let completed = producer.refresh(self.fence());
        if completed == producer.tail() {
            args.clear();
        } else {
            args.reclaim(producer, completed);
        }
        Ok(submit)
    }

    /// Waits until entry `n` is complete: looks for a while, then sleeps.
    pub(crate) fn wait(&self, n: u64, timeout: Option<Duration>, op: &'static str) -> Result<()> {
        let fence = self.fence();
        let done = || fence.completed.load(Ordering::Acquire) >= n;
        if done() {
            return Ok(());
        }
        let start = Instant::now();
        let spin = timeout.map_or(SPIN, |t| t.min(SPIN));
        loop {
            for _ in 0..SPINS_PER_CLOCK {
                if done() {
                    return Ok(());
                }
                std::hint::spin_loop();
            }
            if self.state() != DRM_VINCI_QUEUE_RUNNING || start.elapsed() >= spin {
                break;
            }
            // The device's thread may be waiting for this very core.
            std::thread::yield_now();
        }
        self.sleep(n, start, timeout, op)
    }

    #[cold]
    fn sleep(&self, n: u64, start: Instant, timeout: Option<Duration>, op: &'static str) -> Result<()> {
        loop {
            if self.destroyed.load(Ordering::Acquire) {
                return Err(self.gone(op));
            }
            let left = match timeout {
                None => -1,
                Some(t) => i64::try_from(t.saturating_sub(start.elapsed()).as_nanos()).unwrap_or(i64::MAX),
            };
            match self.driver.sys.wait(self.id, n, left) {
                Ok(()) => return Ok(()),
                Err(Errno::Intr) => {}
                Err(_) if self.completed() >= n => return Ok(()),
                Err(Errno::Time) => return Err(Error::Timeout { op, waited: start.elapsed() }),
                Err(Errno::Io | Errno::NoDev) => {
                    self.stopped.store(true, Ordering::Relaxed);
                    return Err(self.why_stopped(op));
                }
                Err(errno) => return Err(self.translate(op, Error::Driver { op, errno })),
            }
        }
    }

    fn gone(&self, op: &'static str) -> Error {
        Error::InvalidHandle { op, what: "stream", handle: self.stream.into() }
    }

    /// A refusal by the driver, in the light of what happened to the queue.
    fn translate(&self, op: &'static str, e: Error) -> Error {
        if self.destroyed.load(Ordering::Acquire) {
            return self.gone(op);
        }
        match self.state() {
            DRM_VINCI_QUEUE_RUNNING => e,
            _ => self.why_stopped(op),
        }
    }

    /// The fault that stopped the queue, as the driver recorded it.
    pub(crate) fn fault(&self) -> Option<Fault> {
        if self.state() != DRM_VINCI_QUEUE_FAULTED || self.destroyed.load(Ordering::Acquire) {
            return None;
        }
        if let Some(fault) = &*self.inherited.lock() {
            return Some(fault.clone());
        }
        let answer = self.driver.sys.queue_query(self.id).ok()?;
        (answer.state == DRM_VINCI_QUEUE_FAULTED).then(|| Fault::from_record(&answer.fault, self.stream))
    }

    #[cold]
    fn why_stopped(&self, op: &'static str) -> Error {
        if self.destroyed.load(Ordering::Acquire) {
            return self.gone(op);
        }
        match self.fault() {
            Some(fault) => Error::Fault(Box::new(fault)),
            None => Error::DeviceLost { op, die: self.die },
        }
    }

    /// An error if the device stopped the queue.
    pub(crate) fn check(&self, op: &'static str) -> Result<()> {
        if self.state() == DRM_VINCI_QUEUE_RUNNING {
            return Ok(());
        }
        self.stopped.store(true, Ordering::Relaxed);
        Err(self.why_stopped(op))
    }

    /// Drops what has not run, and lets the queue go on. Event and notify records that were dropped are
    /// submitted anew: other streams may wait for them. `dropped_call` gets the cookies of dropped host
    /// calls. Answers how many entries were dropped.
    pub(crate) fn reset(&self, dropped_call: impl Fn(u64)) -> Result<u64> {
        let mut submit = self.submit.lock();
        if self.destroyed.load(Ordering::Acquire) {
            return Err(self.gone("reset stream"));
        }
        let dropped = self.driver.sys.queue_reset(self.id).map_err(|e| self.translate("reset stream", e))?;
        self.stopped.store(false, Ordering::Relaxed);
        *self.inherited.lock() = None;
        let Submit { producer, args } = &mut *submit;
        let dropped_from = producer.tail().saturating_sub(dropped.min(u64::from(ENTRIES)));
        producer.refresh(self.fence());
        args.clear();
        let mut kick = false;
        let again = self.records(producer, dropped_from, dropped_call);
        for sqe in again {
            let index = producer.slot();
            // SAFETY: the ring was emptied above and takes all its entries again.
            unsafe { self.slot(index).write(sqe) };
            args.mark(index);
            kick |= producer.publish(self.doorbell());
        }
        self.submitted.store(producer.tail(), Ordering::Release);
        drop(submit);
        if kick {
            self.kick("reset stream")?;
        }
        Ok(dropped)
    }

    /// The event and notify records among the entries from `from` on, counted from 0, without stamps. `call` gets the
    /// cookies of host calls.
    fn records(&self, producer: &Producer, from: u64, call: impl Fn(u64)) -> Vec<Sqe> {
        let mut records = Vec::new();
        for n in from..producer.tail() {
            // SAFETY: in the ring; entries are plain data that this side wrote, and the lock keeps writers out.
            let mut sqe = unsafe { self.slot(producer.slot_of(n + 1)).read() };
            sqe::clear_stamp(&mut sqe);
            match u32::from(sqe.opcode) {
                DRM_VINCI_OP_EVENT_RECORD | DRM_VINCI_OP_NOTIFY_RECORD => records.push(sqe),
                DRM_VINCI_OP_HOST_CALL => call(sqe::words(&sqe)[0]),
                _ => {}
            }
        }
        records
    }

    /// True if a reset, or the driver's watchdog, took it.
    pub(crate) fn is_lost(&self) -> bool {
        self.state() == DRM_VINCI_QUEUE_LOST
    }

    /// Of a lost queue, once: the records that it did not come to, which others may wait for. It takes no more entries.
    /// `dropped_call` gets the cookies of dropped host calls.
    pub(crate) fn take_lost_records(&self, dropped_call: impl Fn(u64)) -> Vec<Sqe> {
        let submit = self.submit.lock();
        if !self.is_lost() || self.settled_loss.swap(true, Ordering::AcqRel) {
            return Vec::new();
        }
        self.stopped.store(true, Ordering::Relaxed);
        // A fence that cannot be (a device that lies) names no more than the ring holds.
        let tail = submit.producer.tail();
        let from = self.completed().min(tail).max(tail.saturating_sub(u64::from(ENTRIES)));
        self.records(&submit.producer, from, dropped_call)
    }

    /// Gives the queue back to the driver. Waiters and later callers get an error.
    pub(crate) fn destroy(&self) -> Result<()> {
        let mut submit = self.submit.lock();
        if self.destroyed.swap(true, Ordering::AcqRel) {
            return Err(self.gone("destroy stream"));
        }
        self.stopped.store(true, Ordering::Relaxed);
        let result = self.driver.sys.queue_destroy(self.id);
        submit.args.release(self.driver);
        result
    }
}

/// Whether two entries are the same, bit by bit.
fn same(a: &Sqe, b: &Sqe) -> bool {
    (a.opcode, a.flags, a.compare, a.blocks) == (b.opcode, b.flags, b.compare, b.blocks)
        && sqe::words(a) == sqe::words(b)
}
