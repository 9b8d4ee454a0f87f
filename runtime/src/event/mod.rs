//! Events: points in a stream that hosts and other streams wait for, with the time they were reached.

pub(crate) mod shared;
pub(crate) mod slot;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use vinci_hw::sqe;

use crate::driver::Driver;
use crate::error::CaptureError;
use crate::graph;
use crate::stream::queue::Queue;
use crate::{Clock, ClockReading, Error, Result, fork};
use slot::{Kind, Place, Slot, Until};

/// What an event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventFlags {
    /// [`Event::elapsed`] may be asked.
    pub timing: bool,
}

impl Default for EventFlags {
    fn default() -> Self {
        Self { timing: true }
    }
}

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventStatus {
    /// Never recorded, or reset since.
    Unrecorded,
    /// Recorded in a stream that has not got there yet.
    Pending,
    /// The stream got there.
    Complete,
}

/// An event. Clones name the same event; it can be used from any thread, with streams of any die. It stands
/// for its latest record; waits that were submitted before keep the record they saw.
///
/// ```
/// # use vinci::{Clock, Device, Event, EventFlags, Kernel, Stream, StreamOptions};
/// let stream = Stream::new(&Device::get(0)?, StreamOptions::default())?;
/// let (start, end) = (Event::new(EventFlags::default())?, Event::new(EventFlags::default())?);
/// stream.record(&start)?;
/// stream.launch(&Kernel::resident("nop")?, 1, &[])?;
/// stream.record(&end)?;
/// end.synchronize(None)?;
/// println!("{} ms, {} ms on the chip", end.elapsed(&start, Clock::Wall)?, end.elapsed(&start, Clock::Model)?);
/// # Ok::<(), vinci::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Event(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    driver: &'static Driver,
    flags: EventFlags,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` only while the event is dropped.
    slot: Option<Slot>,
    /// The latest record.
    record: Option<Place>,
    /// The latest wait.
    wait: Option<Place>,
    /// The graph that it was recorded in, and the number of the record there.
    mark: Option<(Weak<graph::Inner>, usize)>,
}

impl State {
    fn slot(&mut self) -> &mut Slot {
        self.slot.as_mut().expect("an event has a slot until it is dropped")
    }

    /// The graph it was recorded in, while that is not complete.
    fn live_mark(&mut self) -> Option<(Arc<graph::Inner>, usize)> {
        let (graph, dep) = self.mark.as_ref()?;
        let live = graph.upgrade().filter(|graph| graph.is_recording()).map(|graph| (graph, *dep));
        if live.is_none() {
            self.mark = None;
        }
        live
    }

    fn status(&mut self) -> EventStatus {
        if self.record.is_none() {
            return EventStatus::Unrecorded;
        }
        let slot = self.slot();
        let value = slot.value;
        if slot.reached(value) { EventStatus::Complete } else { EventStatus::Pending }
    }
}

impl Inner {
    /// Locks an event that is not a part of a graph which is being recorded.
    fn lock(&self, op: &'static str) -> Result<MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        if let Some((graph, _)) = state.live_mark() {
            let text = format!("the event was recorded in graph {}, which is not complete", graph.id());
            return Err(Error::capture(op, CaptureError::EventCaptured, text));
        }
        Ok(state)
    }
}

impl Event {
    /// Makes an event.
    pub fn new(flags: EventFlags) -> Result<Event> {
        let driver = Driver::get()?;
        let slot = Some(driver.slots.take(driver, Kind::Counter)?);
        let state = Mutex::new(State { slot, record: None, wait: None, mark: None });
        Ok(Event(Arc::new(Inner { driver, flags, state })))
    }

    /// What it was made for.
    pub fn flags(&self) -> EventFlags {
        self.0.flags
    }

    /// True if it was recorded in a graph that is not complete.
    pub fn is_captured(&self) -> bool {
        self.mark().is_some()
    }

    /// Where it stands. A fault of the stream it was recorded in is an error as long as it is pending.
    pub fn status(&self) -> Result<EventStatus> {
        fork::check()?;
        let mut state = self.0.lock("query event")?;
        let status = state.status();
        if status == EventStatus::Pending
            && let Some(queue) = state.record.as_ref().and_then(|place| place.queue.upgrade())
        {
            queue.check("query event")?;
        }
        Ok(status)
    }

    /// True unless a recorded event is still pending.
    pub fn query(&self) -> Result<bool> {
        Ok(self.status()? != EventStatus::Pending)
    }

    /// True unless the stream that last waited for the event still waits.
    pub fn query_wait(&self) -> Result<bool> {
        fork::check()?;
        Ok(self.0.lock("query event")?.wait.as_ref().is_none_or(Place::is_past))
    }

    /// Waits until the stream got there; at once if the event was never recorded.
    pub fn synchronize(&self, timeout: Option<Duration>) -> Result<()> {
        fork::check()?;
        let op = "synchronize event";
        let start = Instant::now();
        let (place, word, value) = {
            let mut state = self.0.lock(op)?;
            if state.status() != EventStatus::Pending {
                return Ok(());
            }
            let slot = state.slot();
            let (word, value) = (slot.word, slot.value);
            (state.record.clone(), word, value)
        };
        let Some(queue) = place.as_ref().and_then(|p| p.queue.upgrade()) else { return Ok(()) };
        queue.wait(place.map_or(0, |p| p.entry), timeout, op)?;
        // An aborted stream completes the entry first and stores the value right after.
        while word.value.load(Ordering::Acquire) < value {
            queue.check(op)?;
            if queue.is_gone() || start.elapsed() > timeout.unwrap_or(Duration::MAX) {
                break;
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Makes the event unrecorded.
    pub fn reset(&self) -> Result<()> {
        fork::check()?;
        let mut state = self.0.lock("reset event")?;
        if state.status() == EventStatus::Pending {
            self.0.renew(&mut state)?;
        }
        state.record = None;
        Ok(())
    }

    /// When the stream got there. [`Error::NotReady`] if it has not.
    pub fn timestamp(&self) -> Result<ClockReading> {
        fork::check()?;
        let op = "read event";
        if !self.0.flags.timing {
            return Err(Error::value(op, "the event was made without timing"));
        }
        let mut state = self.0.lock(op)?;
        match state.status() {
            EventStatus::Unrecorded => Err(Error::value(op, "the event was never recorded")),
            EventStatus::Pending => Err(Error::NotReady { op }),
            EventStatus::Complete => {
                let word = state.slot().word;
                Ok(ClockReading {
                    wall_ns: word.wall_ns.load(Ordering::Relaxed),
                    model_ns: word.model_ns.load(Ordering::Relaxed),
                })
            }
        }
    }

    /// ns from `start` to this event; negative if this one came first.
    pub fn elapsed_ns(&self, start: &Event, clock: Clock) -> Result<i64> {
        let (from, to) = (start.timestamp()?, self.timestamp()?);
        Ok(match clock {
            Clock::Wall => to.wall_ns.wrapping_sub(from.wall_ns) as i64,
            Clock::Model => to.model_ns.wrapping_sub(from.model_ns) as i64,
        })
    }

    /// ms from `start` to this event.
    pub fn elapsed(&self, start: &Event, clock: Clock) -> Result<f32> {
        Ok((self.elapsed_ns(start, clock)? as f64 / 1e6) as f32)
    }

    /// Notes that the event was recorded in a graph.
    pub(crate) fn set_mark(&self, graph: &Arc<graph::Inner>, dep: usize) {
        self.0.state.lock().mark = Some((Arc::downgrade(graph), dep));
    }

    /// The graph it was recorded in, while that is not complete.
    pub(crate) fn mark(&self) -> Option<(Arc<graph::Inner>, usize)> {
        self.0.state.lock().live_mark()
    }

    pub(crate) fn record_on(&self, queue: &Arc<Queue>) -> Result<()> {
        let mut state = self.0.lock("record event")?;
        // Two records in flight in one slot must be stored in the order they were made, which only one and
        // the same queue promises.
        let other_queue = |place: &Place| !std::ptr::eq(place.queue.as_ptr(), Arc::as_ptr(queue));
        if state.status() == EventStatus::Pending && state.record.as_ref().is_some_and(other_queue) {
            self.0.renew(&mut state)?;
        }
        let slot = state.slot();
        let (va, value) = (slot.va, slot.value + 1);
        let entry = queue.submit("record event", &[], |_| sqe::event_record(va, value))?;
        state.slot().value = value;
        state.record = Some(Place::new(queue, entry));
        Ok(())
    }

    pub(crate) fn wait_on(&self, queue: &Arc<Queue>, timeout_ms: u64) -> Result<()> {
        let mut state = self.0.state.lock();
        if state.status() != EventStatus::Pending {
            state.wait = None;
            return Ok(());
        }
        let slot = state.slot();
        let (va, value) = (slot.va, slot.value);
        let entry = queue.submit("wait for event", &[], |_| sqe::event_wait(va, value, timeout_ms))?;
        state.wait = Some(Place::new(queue, entry));
        Ok(())
    }
}

impl Inner {
    /// Takes another slot and leaves the old one to the work that still uses it.
    fn renew(&self, state: &mut State) -> Result<()> {
        let fresh = self.driver.slots.take(self.driver, Kind::Counter)?;
        if let Some(old) = state.slot.replace(fresh) {
            let until = state.record.take().map(|place| Until::Stored(place.queue));
            self.driver.slots.give(old, until);
        }
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if fork::is_child() {
            return;
        }
        let state = self.state.get_mut();
        let pending = state.status() == EventStatus::Pending;
        if let Some(slot) = state.slot.take() {
            let until = state.record.take().filter(|_| pending).map(|place| Until::Stored(place.queue));
            self.driver.slots.give(slot, until);
        }
    }
}
