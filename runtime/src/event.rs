//! Events: points in a stream that hosts and other streams wait for, with the time they were reached.

use std::time::Duration;

use crate::{Clock, ClockReading, Error, Result};

/// What an event is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventFlags {
    /// [`Event::elapsed`] may be asked.
    pub timing: bool,
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

/// An event. Clones name the same event.
#[derive(Clone, Debug)]
pub struct Event(());

impl Event {
    /// Makes an event.
    pub fn new(_flags: EventFlags) -> Result<Event> {
        Err(Error::NotSupported("Event::new"))
    }

    /// What it was made for.
    pub fn flags(&self) -> EventFlags {
        EventFlags::default()
    }

    /// Where it stands.
    pub fn status(&self) -> Result<EventStatus> {
        Err(Error::NotSupported("Event::status"))
    }

    /// True unless a recorded event is still pending.
    pub fn query(&self) -> Result<bool> {
        Err(Error::NotSupported("Event::query"))
    }

    /// True unless a stream still waits for the event.
    pub fn query_wait(&self) -> Result<bool> {
        Err(Error::NotSupported("Event::query_wait"))
    }

    /// Waits until the stream got there; at once if the event was never recorded.
    pub fn synchronize(&self, _timeout: Option<Duration>) -> Result<()> {
        Err(Error::NotSupported("Event::synchronize"))
    }

    /// Makes the event unrecorded.
    pub fn reset(&self) -> Result<()> {
        Err(Error::NotSupported("Event::reset"))
    }

    /// When the stream got there.
    pub fn timestamp(&self) -> Result<ClockReading> {
        Err(Error::NotSupported("Event::timestamp"))
    }

    /// ns from `start` to this event; negative if this one came first.
    pub fn elapsed_ns(&self, _start: &Event, _clock: Clock) -> Result<i64> {
        Err(Error::NotSupported("Event::elapsed_ns"))
    }

    /// ms from `start` to this event.
    pub fn elapsed(&self, start: &Event, clock: Clock) -> Result<f32> {
        Ok((self.elapsed_ns(start, clock)? as f64 / 1e6) as f32)
    }
}
