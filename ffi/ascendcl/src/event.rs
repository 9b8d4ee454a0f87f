//! Events.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use vinci::ipc::{self, Export};
use vinci::{Clock, Event as RuntimeEvent, EventFlags, EventStatus, Notify, SharedEvent};

use crate::abi::{Handle, Out, need_address};
use crate::code::{
    Failure, INVALID_PARAM, RT_EVENT_TIMESTAMP_INVALID, RT_EVENT_TIMESTAMP_REVERSAL, RT_FEATURE_NOT_SUPPORT,
    RT_STREAM_NOT_CAPTURED, Result, invalid,
};
use crate::handle::{Kind, Table};
use crate::stream::{self, Stream};
use crate::{capture, context, device};

pub static EVENTS: Table<Arc<Event>> = Table::new(Kind::Event);

const SYNC: u32 = 0x01;
const CAPTURE_STREAM_PROGRESS: u32 = 0x02;
const TIME_LINE: u32 = 0x08;
const DEVICE_USE_ONLY: u32 = 0x10;
const EXTERNAL: u32 = 0x20;
const IPC: u32 = 0x40;
const EXTERNAL_RECORD: u32 = 1;
pub const EXTERNAL_WAIT: u32 = 1;
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
    /// aclrtIpcOpenEventHandle
    Opened,
}

/// `aclrtIpcEventHandle`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IpcHandle([u8; 64]);

/// What stands behind an event.
enum Made {
    /// Of this process.
    Own(RuntimeEvent),
    /// Of several processes; and the key that this one gave away.
    Shared(SharedEvent, Mutex<Option<Export>>),
}

/// An event and how it was made.
pub struct Event {
    made: Made,
    flags: u32,
    origin: Origin,
    /// Raised by records and lowered by resets, for an event made with ACL_EVENT_EXTERNAL: model instances wait
    /// for it, whatever comes first.
    flag: Option<Notify>,
}

impl Event {
    /// The event, if it is this process's alone.
    fn own(&self) -> Result<&RuntimeEvent> {
        match &self.made {
            Made::Own(event) => Ok(event),
            Made::Shared(..) => {
                let text = "an event made with ACL_EVENT_IPC can be recorded, waited for and destroyed only";
                Err(Failure::new(RT_FEATURE_NOT_SUPPORT, text))
            }
        }
    }

    /// The event if several processes have it.
    fn shared(&self) -> Option<&SharedEvent> {
        match &self.made {
            Made::Own(_) => None,
            Made::Shared(event, _) => Some(event),
        }
    }

    fn status(&self) -> Result<EventStatus> {
        Ok(match &self.made {
            Made::Own(event) => event.status()?,
            Made::Shared(event, _) => event.status()?,
        })
    }

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

    /// Fails if the event cannot take part in the graph that `stream` records for. False if its records mean
    /// nothing there.
    fn check_recordable(&self, stream: &Stream) -> Result<bool> {
        let captured = stream.stream.capture().is_some();
        if captured != (self.origin == Origin::Extended) {
            let text = "a stream that is captured takes events of aclrtCreateEventExWithFlag or with \
                        ACL_EVENT_EXTERNAL, one that is bound to a model instance all others";
            return Err(Failure::new(RT_FEATURE_NOT_SUPPORT, text));
        }
        Ok(self.flags & SYNC != 0)
    }

    fn check_not_extended(&self) -> Result<()> {
        if matches!(self.origin, Origin::Extended | Origin::Opened) {
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
    if flags & IPC != 0 && origin != Origin::Extended {
        let text = format!("flag {flags:#x}: ACL_EVENT_IPC is for aclrtCreateEventExWithFlag");
        return Err(Failure::new(INVALID_PARAM, text));
    }
    if flags & (EXTERNAL | IPC) != 0 && !flags.is_power_of_two() {
        let text = format!("flag {flags:#x}: ACL_EVENT_EXTERNAL and ACL_EVENT_IPC go with no other flag");
        return Err(Failure::new(INVALID_PARAM, text));
    }
    let (_, context) = context::current()?;
    let timing = flags & TIME_LINE != 0;
    let made = if flags & IPC != 0 {
        Made::Shared(SharedEvent::new()?, Mutex::new(None))
    } else {
        Made::Own(RuntimeEvent::new(EventFlags { timing })?)
    };
    let flag = if flags & EXTERNAL != 0 { Some(Notify::new(&context.device)?) } else { None };
    place.put(EVENTS.insert(Arc::new(Event { made, flags, origin, flag }))?);
    Ok(())
}

fn get(event: Handle) -> Result<Arc<Event>> {
    need_address(event, "event")?;
    EVENTS.get(event)
}

fn record(event: Handle, stream: Handle) -> Result<()> {
    let event = get(event)?;
    let stream = stream::named(stream)?;
    if let Some(shared) = event.shared() {
        return Ok(stream.stream.record_shared(shared)?);
    }
    if stream.stream.is_recording() {
        return match &event.flag {
            Some(flag) => Ok(stream.stream.record_notify(flag)?),
            None if event.check_recordable(&stream)? => Ok(stream.stream.record(event.own()?)?),
            None => Ok(()),
        };
    }
    stream.stream.record(event.own()?)?;
    if let Some(flag) = &event.flag {
        stream.stream.record_notify(flag)?;
    }
    Ok(())
}

/// Later work of a stream waits for an event.
pub fn wait(handle: Handle, event: Handle, timeout: Option<Duration>) -> Result<()> {
    let event = get(event)?;
    event.check_sync()?;
    let stream = stream::named(handle)?;
    if let Some(shared) = event.shared() {
        return Ok(stream.stream.wait_shared(shared, timeout.or_else(device::wait_timeout))?);
    }
    if stream.stream.is_recording() {
        if let Some(flag) = &event.flag {
            return Ok(stream.stream.wait_raised(flag)?);
        }
        event.check_recordable(&stream)?;
    } else if event.own()?.is_captured() {
        capture::check_not_default(handle)?;
    }
    Ok(stream.stream.wait(event.own()?, timeout.or_else(device::wait_timeout))?)
}

/// A model instance waits for an event that is recorded outside of it.
pub fn wait_external(handle: Handle, event: Handle, timeout: Option<Duration>) -> Result<()> {
    let event = get(event)?;
    event.check_sync()?;
    let stream = captured(handle)?;
    Ok(stream.stream.wait_external(event.own()?, timeout.or_else(device::wait_timeout))?)
}

/// A stream that is being captured.
fn captured(handle: Handle) -> Result<Arc<Stream>> {
    let stream = stream::named(handle)?;
    if stream.stream.capture().is_none() {
        let text = format!("stream {handle:#x} is not being captured; only model instances have an outside");
        return Err(Failure::new(RT_STREAM_NOT_CAPTURED, text));
    }
    Ok(stream)
}

fn synchronize(event: Handle, timeout: i32) -> Result<()> {
    let timeout = stream::timeout_ms(timeout)?;
    let event = get(event)?;
    let done = match &event.made {
        Made::Own(event) => event.synchronize(timeout),
        Made::Shared(event, _) => event.synchronize(timeout),
    };
    done.map_err(|error| stream::event_timeout(error.into()))
}

/// Elapsed times come from the wall clock, or with VINCI_EVENT_CLOCK=model from the chip's model.
fn clock() -> Clock {
    match std::env::var("VINCI_EVENT_CLOCK").as_deref() {
        Ok("model") => Clock::Model,
        _ => Clock::Wall,
    }
}

fn complete(event: &Event) -> Result<()> {
    event.own()?;
    if event.flags & TIME_LINE == 0 {
        let text = format!("the event was made with flags {:#x}, without ACL_EVENT_TIME_LINE", event.flags);
        return Err(Failure::new(RT_EVENT_TIMESTAMP_INVALID, text));
    }
    match event.own()?.status()? {
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
        if flag == EXTERNAL_RECORD {
            let event = get(event)?;
            return Ok(captured(stream)?.stream.record_external(event.own()?)?);
        }
        record(event, stream)
    }

    /// A wait takes the event as it is recorded when the wait is submitted, so work that was submitted before
    /// is not touched when the event is made unrecorded at once.
    fn aclrtResetEvent(event: Handle, stream: Handle) {
        let event = get(event)?;
        event.check_not_extended()?;
        event.check_sync()?;
        let stream = stream::named(stream)?;
        if let Some(flag) = &event.flag {
            stream.stream.lower_notify(flag)?;
        }
        if !stream.stream.is_recording() {
            event.own()?.reset()?;
        } else if event.flag.is_none() {
            let text = "only an event made with ACL_EVENT_EXTERNAL can be reset by a model instance";
            return Err(Failure::new(RT_FEATURE_NOT_SUPPORT, text));
        }
        Ok(())
    }

    fn aclrtQueryEvent(event: Handle, status: Out<u32>) {
        let place = status.need("status")?;
        let event = get(event)?;
        event.check_not_extended()?;
        place.put(u32::from(!event.own()?.query()?));
        Ok(())
    }

    fn aclrtQueryEventStatus(event: Handle, status: Out<u32>) {
        let place = status.need("status")?;
        let event = get(event)?;
        place.put(u32::from(match event.status()? {
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
        place.put(u32::from(!event.own()?.query_wait()?));
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
        let ns = end.own()?.elapsed_ns(start.own()?, clock())?;
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
        let reading = event.own()?.timestamp()?;
        let ns = if clock() == Clock::Model { reading.model_ns } else { reading.wall_ns };
        place.put(ns / 1000);
        Ok(())
    }

    fn aclrtGetEventId(event: Handle, event_id: Out<u32>) {
        let place = event_id.need("eventId")?;
        get(event)?.own()?;
        place.put((event & 0xff_ffff) as u32);
        Ok(())
    }

    /// The handle is the key of the export as a text.
    fn aclrtIpcGetEventHandle(event: Handle, handle: Out<IpcHandle>) {
        let place = handle.need("handle")?;
        let event = get(event)?;
        let (Made::Shared(shared, export), Origin::Extended) = (&event.made, event.origin) else {
            let text = "the event was not made by aclrtCreateEventExWithFlag with ACL_EVENT_IPC";
            return Err(invalid(text));
        };
        let mut export = export.lock();
        let export = match &mut *export {
            Some(export) => export,
            none => none.insert(Export::event(shared)?),
        };
        let mut bytes = [0; 64];
        let text = export.key().to_string();
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        place.put(IpcHandle(bytes));
        Ok(())
    }

    fn aclrtIpcOpenEventHandle(handle: IpcHandle, event: Out<Handle>) {
        let place = event.need("event")?;
        context::current()?;
        let text = handle.0.split(|&byte| byte == 0).next().unwrap_or_default();
        let shared = ipc::import_event(String::from_utf8_lossy(text).parse()?)?;
        let made = Made::Shared(shared, Mutex::new(None));
        place.put(EVENTS.insert(Arc::new(Event { made, flags: IPC, origin: Origin::Opened, flag: None }))?);
        Ok(())
    }

    fn aclrtGetEventAvailNum(count: Out<u32>) {
        let place = count.need("eventCount")?;
        context::current()?;
        place.put(MOST_EVENTS.saturating_sub(EVENTS.all().len()) as u32);
        Ok(())
    }
}
