//! Events.

use std::sync::Arc;

use vinci::{Clock, Event as RuntimeEvent, EventFlags, EventStatus};

use crate::abi::{Handle, Out, need_address};
use crate::code::{
    Failure, INVALID_PARAM, RT_EVENT_TIMESTAMP_INVALID, RT_EVENT_TIMESTAMP_REVERSAL, RT_FEATURE_NOT_SUPPORT,
    Result, invalid,
};
use crate::handle::{Kind, Table};
use crate::{context, stream};

pub static EVENTS: Table<Arc<Event>> = Table::new(Kind::Event);

const SYNC: u32 = 0x01;
const CAPTURE_STREAM_PROGRESS: u32 = 0x02;
const TIME_LINE: u32 = 0x08;
const DEVICE_USE_ONLY: u32 = 0x10;
const EXTERNAL: u32 = 0x20;
const IPC: u32 = 0x40;
/// Events that a device holds at most: what CANN's devices have.
const MOST_EVENTS: usize = 65536;

/// How an event was made decides what may be asked of it.
#[derive(Clone, Copy, PartialEq)]
enum Origin {
    /// aclrtCreateEvent
    Plain,
    /// aclrtCreateEventWithFlag
    Flags,
    /// aclrtCreateEventExWithFlag
    Extended,
}

/// An event and how it was made.
pub struct Event {
    pub event: RuntimeEvent,
    flags: u32,
    origin: Origin,
}

impl Event {
    /// Streams may wait for it only if it was made for that.
    pub fn check_sync(&self) -> Result<()> {
        if self.flags & (SYNC | EXTERNAL | IPC) == 0 {
            return Err(invalid(format!(
                "the event was made with flags {:#x}, without ACL_EVENT_SYNC",
                self.flags
            )));
        }
        Ok(())
    }

    fn check_not_extended(&self) -> Result<()> {
        if self.origin == Origin::Extended {
            let text = "an event of aclrtCreateEventExWithFlag cannot be asked this";
            return Err(Failure::new(RT_FEATURE_NOT_SUPPORT, text));
        }
        Ok(())
    }
}

fn create(event: Out<Handle>, flags: u32, origin: Origin) -> Result<()> {
    let place = event.need("event")?;
    let known = SYNC | CAPTURE_STREAM_PROGRESS | TIME_LINE | DEVICE_USE_ONLY | EXTERNAL | IPC;
    if flags == 0 || flags & !known != 0 {
        return Err(Failure::new(INVALID_PARAM, format!("flag {flags:#x} is not made of ACL_EVENT_ flags")));
    }
    if flags & (EXTERNAL | IPC) != 0 && !flags.is_power_of_two() {
        let text = format!("flag {flags:#x}: ACL_EVENT_EXTERNAL and ACL_EVENT_IPC go with no other flag");
        return Err(Failure::new(INVALID_PARAM, text));
    }
    context::current()?;
    let timing = flags & TIME_LINE != 0;
    let event = RuntimeEvent::new(EventFlags { timing })?;
    place.put(EVENTS.insert(Arc::new(Event { event, flags, origin }))?);
    Ok(())
}

fn get(event: Handle) -> Result<Arc<Event>> {
    need_address(event, "event")?;
    EVENTS.get(event)
}

fn record(event: Handle, stream: Handle) -> Result<()> {
    let event = get(event)?;
    stream::named(stream)?.stream.record(&event.event)?;
    Ok(())
}

fn synchronize(event: Handle, timeout: i32) -> Result<()> {
    let timeout = stream::timeout_ms(timeout)?;
    get(event)?.event.synchronize(timeout).map_err(|error| stream::event_timeout(error.into()))
}

/// Elapsed times come from the wall clock, or with VINCI_EVENT_CLOCK=model from the chip's model.
fn clock() -> Clock {
    match std::env::var("VINCI_EVENT_CLOCK").as_deref() {
        Ok("model") => Clock::Model,
        _ => Clock::Wall,
    }
}

fn complete(event: &Event) -> Result<()> {
    if event.flags & TIME_LINE == 0 {
        let text = format!("the event was made with flags {:#x}, without ACL_EVENT_TIME_LINE", event.flags);
        return Err(Failure::new(RT_EVENT_TIMESTAMP_INVALID, text));
    }
    match event.event.status()? {
        EventStatus::Complete => Ok(()),
        status => {
            let text = format!("the event has no time yet: it is {status:?}").to_lowercase();
            Err(Failure::new(RT_EVENT_TIMESTAMP_INVALID, text))
        }
    }
}

entry! {
    fn aclrtCreateEvent(event: Out<Handle>) {
        create(event, SYNC | TIME_LINE | CAPTURE_STREAM_PROGRESS, Origin::Plain)
    }

    fn aclrtCreateEventWithFlag(event: Out<Handle>, flag: u32) {
        create(event, flag, Origin::Flags)
    }

    fn aclrtCreateEventExWithFlag(event: Out<Handle>, flag: u32) {
        create(event, flag, Origin::Extended)
    }

    fn aclrtDestroyEvent(event: Handle) {
        need_address(event, "event")?;
        EVENTS.remove(event).map(drop)
    }

    fn aclrtRecordEvent(event: Handle, stream: Handle) {
        record(event, stream)
    }

    fn aclrtRecordEventWithFlag(event: Handle, stream: Handle, flag: u32) {
        if flag > 1 {
            return Err(invalid(format!("flag {flag:#x} is not an ACL_EVENT_RECORD_ flag")));
        }
        record(event, stream)
    }

    /// A wait takes the event as it is recorded when the wait is submitted, so work that was submitted before
    /// is not touched when the event is made unrecorded at once.
    fn aclrtResetEvent(event: Handle, stream: Handle) {
        let event = get(event)?;
        event.check_not_extended()?;
        event.check_sync()?;
        stream::named(stream)?;
        event.event.reset()?;
        Ok(())
    }

    fn aclrtQueryEvent(event: Handle, status: Out<u32>) {
        let place = status.need("status")?;
        let event = get(event)?;
        event.check_not_extended()?;
        place.put(u32::from(!event.event.query()?));
        Ok(())
    }

    fn aclrtQueryEventStatus(event: Handle, status: Out<u32>) {
        let place = status.need("status")?;
        let event = get(event)?;
        place.put(u32::from(match event.event.status()? {
            EventStatus::Complete => true,
            EventStatus::Pending => false,
            EventStatus::Unrecorded => event.origin != Origin::Flags,
        }));
        Ok(())
    }

    fn aclrtQueryEventWaitStatus(event: Handle, status: Out<u32>) {
        let place = status.need("status")?;
        let event = get(event)?;
        event.check_not_extended()?;
        place.put(u32::from(!event.event.query_wait()?));
        Ok(())
    }

    fn aclrtSynchronizeEvent(event: Handle) {
        synchronize(event, -1)
    }

    fn aclrtSynchronizeEventWithTimeout(event: Handle, timeout: i32) {
        synchronize(event, timeout)
    }

    fn aclrtEventElapsedTime(ms: Out<f32>, start: Handle, end: Handle) {
        let place = ms.need("ms")?;
        let (start, end) = (get(start)?, get(end)?);
        complete(&start)?;
        complete(&end)?;
        let ns = end.event.elapsed_ns(&start.event, clock())?;
        if ns < 0 {
            let text = format!("the end event was reached {} ns before the start event", -ns);
            return Err(Failure::new(RT_EVENT_TIMESTAMP_REVERSAL, text));
        }
        place.put((ns as f64 / 1e6) as f32);
        Ok(())
    }

    fn aclrtEventGetTimestamp(event: Handle, timestamp: Out<u64>) {
        let place = timestamp.need("timestamp")?;
        let event = get(event)?;
        complete(&event)?;
        let reading = event.event.timestamp()?;
        let ns = if clock() == Clock::Model { reading.model_ns } else { reading.wall_ns };
        place.put(ns / 1000);
        Ok(())
    }

    fn aclrtGetEventId(event: Handle, event_id: Out<u32>) {
        let place = event_id.need("eventId")?;
        get(event)?;
        place.put((event & 0xff_ffff) as u32);
        Ok(())
    }

    fn aclrtGetEventAvailNum(count: Out<u32>) {
        let place = count.need("eventCount")?;
        context::current()?;
        place.put(MOST_EVENTS.saturating_sub(EVENTS.all().len()) as u32);
        Ok(())
    }
}
