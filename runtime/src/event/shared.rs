//! Events that several processes record and wait for.
//!
//! Such an event is a page of its own that all of them map: how often it was recorded, and a ring of words. The
//! n-th record stores n into the word n modulo the ring's length, so that records of different streams which
//! complete in any order do not take each other's places.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vinci_driver::Mapping;
use vinci_hw::sqe;

use super::slot::{Place, Word};
use crate::driver::Driver;
use crate::memory::alloc::Backing;
use crate::memory::host::{map_host, map_imported};
use crate::stream::queue::Queue;
use crate::sys::BoHandle;
use crate::{Error, EventStatus, Result, fork};

/// Bytes of an event.
const PAGE: u64 = 4096;
/// Words for records; the first of the page counts them.
const RING: u64 = PAGE / size_of::<Word>() as u64 - 1;
/// How long a wait for another process's record spins before it sleeps.
const SPIN: Duration = Duration::from_micros(50);
/// How often such a wait makes sure that the device is still there.
const LOOK: Duration = Duration::from_millis(100);

/// An event of several processes: see [`crate::ipc::Export::event`]. Clones name the same one.
///
/// A wait takes the latest record, of whatever process, at the time when it is submitted. The record of a process
/// that dies before its stream gets there is never reached.
#[derive(Clone, Debug)]
pub struct SharedEvent(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    driver: &'static Driver,
    /// `None` only while the event is dropped.
    map: Option<Mapping>,
    va: u64,
    size: u64,
    object: BoHandle,
    /// This process's latest record: its number, and where it was submitted.
    record: Mutex<Option<(u64, Place)>>,
}

impl SharedEvent {
    /// Makes an event.
    pub fn new() -> Result<SharedEvent> {
        let driver = Driver::get()?;
        let (map, va, size, object) = map_host(driver, "create event", PAGE)?;
        Ok(Self::of(driver, map, va, size, object))
    }

    pub(crate) fn import(driver: &'static Driver, op: &'static str, fd: &OwnedFd) -> Result<SharedEvent> {
        let (map, va, size, object) = map_imported(driver, op, fd, PAGE)?;
        Ok(Self::of(driver, map, va, size, object))
    }

    fn of(driver: &'static Driver, map: Mapping, va: u64, size: u64, object: BoHandle) -> SharedEvent {
        SharedEvent(Arc::new(Inner { driver, map: Some(map), va, size, object, record: Mutex::new(None) }))
    }

    pub(crate) fn object(&self) -> BoHandle {
        self.0.object
    }

    /// The word of a record, and its device address.
    fn word(&self, record: u64) -> (&AtomicU64, u64) {
        let at = (record % RING + 1) * size_of::<Word>() as u64;
        (self.0.at(at), self.0.va + at)
    }

    /// How often it was recorded.
    fn records(&self) -> &AtomicU64 {
        self.0.at(0)
    }

    fn reached(&self, record: u64) -> bool {
        self.word(record).0.load(Ordering::Acquire) >= record
    }

    /// Where the latest record stands.
    pub fn status(&self) -> Result<EventStatus> {
        fork::check()?;
        Ok(match self.records().load(Ordering::Acquire) {
            0 => EventStatus::Unrecorded,
            record if self.reached(record) => EventStatus::Complete,
            _ => EventStatus::Pending,
        })
    }

    /// Waits until the latest record is reached; at once if there is none.
    pub fn synchronize(&self, timeout: Option<Duration>) -> Result<()> {
        fork::check()?;
        let op = "synchronize event";
        let (start, record) = (Instant::now(), self.records().load(Ordering::Acquire));
        let own =
            self.0.record.lock().as_ref().filter(|(own, _)| *own == record).map(|(_, place)| place.clone());
        if let Some((queue, entry)) = own.and_then(|place| Some((place.queue.upgrade()?, place.entry))) {
            queue.wait(entry, timeout, op)?;
        }
        let mut looked = start;
        while record != 0 && !self.reached(record) {
            let waited = start.elapsed();
            if timeout.is_some_and(|limit| waited >= limit) {
                return Err(Error::Timeout { op, waited });
            }
            if waited < SPIN {
                std::thread::yield_now();
                continue;
            }
            std::thread::sleep(Duration::from_micros(200));
            if looked.elapsed() > LOOK {
                looked = Instant::now();
                self.0.driver.sys.clock(0)?;
            }
        }
        Ok(())
    }

    pub(crate) fn record_on(&self, queue: &Arc<Queue>) -> Result<()> {
        let op = "record event";
        let mut last = self.0.record.lock();
        let record = self.records().fetch_add(1, Ordering::AcqRel) + 1;
        let (_, va) = self.word(record);
        let before = record.saturating_sub(RING);
        let waited = match before {
            0 => Ok(()),
            // The word is that of an older record, which must be stored first.
            _ if self.reached(before) => Ok(()),
            _ => queue.submit(op, &[], |_| sqe::event_wait(va, before, 0)).map(drop),
        };
        match waited.and_then(|()| queue.submit(op, &[], |_| sqe::event_record(va, record))) {
            Ok(entry) => {
                *last = Some((record, Place::new(queue, entry)));
                Ok(())
            }
            Err(e) => {
                // Nobody is to wait for a record that was not made.
                let undone = (record, record - 1);
                let taken_back =
                    self.records().compare_exchange(undone.0, undone.1, Ordering::AcqRel, Ordering::Relaxed);
                if taken_back.is_err() {
                    self.word(record).0.fetch_max(record, Ordering::AcqRel);
                }
                Err(e)
            }
        }
    }

    pub(crate) fn wait_on(&self, queue: &Arc<Queue>, timeout_ms: u64) -> Result<()> {
        let record = self.records().load(Ordering::Acquire);
        if record == 0 || self.reached(record) {
            return Ok(());
        }
        let (_, va) = self.word(record);
        queue.submit("wait for event", &[], |_| sqe::event_wait(va, record, timeout_ms)).map(drop)
    }
}

impl Inner {
    /// The word at an offset of the page.
    fn at(&self, offset: u64) -> &AtomicU64 {
        let map = self.map.as_ref().expect("an event has its page until it is dropped");
        debug_assert!(offset + 8 <= PAGE && offset.is_multiple_of(8));
        // SAFETY: inside the page, which is mapped as long as `self` lives; shared words are only accessed as atomics.
        unsafe { AtomicU64::from_ptr(map.ptr().as_ptr().add(offset as usize).cast()) }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(map) = self.map.take().filter(|_| !fork::is_child()) {
            // Streams may still record it or wait for it.
            let backing = Backing::Host { va: self.va, size: self.size, handle: self.object, map };
            self.driver.retire(backing);
        }
    }
}
