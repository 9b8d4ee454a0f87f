//! Marks and ranges: stamps of `aclprof`, and `mstx` with its domains.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use vinci::profile;

use super::collect::{self, Mark};
use super::names::name_of;
use crate::abi::{Handle, In, Out, Text, call, call_or, need_address};
use crate::code::{Failure, INVALID_PARAM, PROF_NOT_RUN, PROFILING_FAILURE, Result};
use crate::handle::{Kind, Table};
use crate::stream;

const LONGEST_MESSAGE: usize = 127;
const DEFAULT_DOMAIN: &str = "default";
/// What tasks of marks are labelled with, before the mark's number.
pub const LABEL: &str = "mstx:";

/// The message of an `aclprof` stamp.
type Stamp = Arc<Mutex<String>>;

static STAMPS: Table<Stamp> = Table::new(Kind::ProfStamp);
static DOMAINS: Table<Arc<str>> = Table::new(Kind::ProfDomain);
static OPEN: Mutex<Option<HashMap<u64, Open>>> = Mutex::new(None);

/// A range that has begun.
struct Open {
    message: String,
    domain: Arc<str>,
    thread: u32,
    begun: u64,
}

thread_local! {
    /// Ranges of aclprofPush.
    static NESTED: RefCell<Vec<(String, u64)>> = const { RefCell::new(Vec::new()) };
    /// Names of aclprofRangePushEx.
    static NAMED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn stamp(handle: Handle) -> Result<String> {
    need_address(handle, "stamp")?;
    let found = STAMPS.get(handle).map_err(|failure| failure.code(INVALID_PARAM))?;
    let message = found.lock().clone();
    Ok(message)
}

/// Lets the device stamp mark `id` in a stream.
fn in_stream(id: u64, handle: Handle) -> Result<()> {
    let stream = stream::named(handle)?;
    // What a graph replays is no mark of the program.
    if stream.stream.is_recording() {
        return Ok(());
    }
    profile::label(Arc::from(format!("{LABEL}{id}")), || stream.stream.mark())?;
    Ok(())
}

/// Keeps a mark of the moment, in the stream too if there is one.
fn mark(message: String, domain: &str, handle: Handle) -> Result<()> {
    if !collect::wants_marks() {
        return Ok(());
    }
    let (id, (thread, at)) = (next(), collect::here());
    if handle != 0 {
        in_stream(id, handle)?;
    }
    let (kind, domain) = ("marker", domain.to_owned());
    collect::keep(Mark { id, kind, message, domain, thread, begun: at, ended: at });
    Ok(())
}

/// Begins a range; answers its number.
fn begin(message: String, domain: Arc<str>, handle: Handle) -> Result<u64> {
    let (id, (thread, begun)) = (next(), collect::here());
    if handle != 0 && collect::wants_marks() {
        in_stream(id, handle)?;
    }
    OPEN.lock().get_or_insert_default().insert(id, Open { message, domain, thread, begun });
    Ok(id)
}

fn end(id: u64) -> Result<()> {
    let open = OPEN.lock().as_mut().and_then(|open| open.remove(&id));
    let Open { message, domain, thread, begun } =
        open.ok_or_else(|| Failure::new(PROFILING_FAILURE, format!("no range {id} has begun")))?;
    if collect::wants_marks() {
        let ended = collect::here().1;
        collect::keep(Mark {
            id,
            kind: "start/end",
            message,
            domain: domain.to_string(),
            thread,
            begun,
            ended,
        });
    }
    Ok(())
}

entry! {
    fn aclprofSetStampTraceMessage(handle: Handle, message: In<u8>, len: u32) {
        need_address(handle, "stamp")?;
        let found = STAMPS.get(handle).map_err(|failure| failure.code(INVALID_PARAM))?;
        *found.lock() = super::text(message, len as usize, LONGEST_MESSAGE, "msg")?;
        Ok(())
    }

    fn aclprofMark(handle: Handle) {
        mark(stamp(handle)?, DEFAULT_DOMAIN, 0)
    }

    fn aclprofMarkEx(message: In<u8>, len: usize, stream: Handle) {
        need_address(stream, "stream")?;
        mark(super::text(message, len, LONGEST_MESSAGE, "msg")?, DEFAULT_DOMAIN, stream)
    }

    fn aclprofPush(handle: Handle) {
        let message = stamp(handle)?;
        NESTED.with(|nested| nested.borrow_mut().push((message, collect::here().1)));
        Ok(())
    }

    fn aclprofPop() {
        let last = NESTED.with(|nested| nested.borrow_mut().pop());
        let (message, begun) =
            last.ok_or_else(|| Failure::new(PROFILING_FAILURE, "this thread has pushed no range"))?;
        if collect::wants_marks() {
            let (thread, ended) = collect::here();
            let (id, kind, domain) = (next(), "push/pop", DEFAULT_DOMAIN.to_owned());
            collect::keep(Mark { id, kind, message, domain, thread, begun, ended });
        }
        Ok(())
    }

    fn aclprofRangeStart(handle: Handle, range: Out<u32>) {
        let message = stamp(handle)?;
        range.need("rangeId")?.put(begin(message, Arc::from(DEFAULT_DOMAIN), 0)? as u32);
        Ok(())
    }

    fn aclprofRangeStop(range: u32) {
        end(range.into())
    }

    fn aclprofRangePushEx(attributes: In<EventAttributes>) {
        const TENSORS: u32 = 0;
        let attributes = attributes.need("attr")?;
        if attributes.kind != TENSORS || attributes.tensors.is_null() {
            return Err(Failure::new(INVALID_PARAM, "attr holds no information of tensors"));
        }
        // SAFETY: the program passes the address of such information in this kind of attributes.
        let name = name_of(unsafe { attributes.tensors.read_unaligned() }.name);
        let name = name.ok_or_else(|| Failure::new(INVALID_PARAM, "opNameId is no number of aclprofStr2Id"))?;
        profile::set_label(Some(Arc::from(name.as_str())));
        NAMED.with(|named| named.borrow_mut().push(name));
        Ok(())
    }

    fn aclprofRangePop() {
        NAMED.with(|named| {
            let mut named = named.borrow_mut();
            named.pop().ok_or_else(|| Failure::new(PROFILING_FAILURE, "this thread has pushed no name"))?;
            profile::set_label(named.last().map(|name| Arc::from(name.as_str())));
            Ok(())
        })
    }
}

/// `aclprofEventAttributes`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct EventAttributes {
    version: u16,
    size: u16,
    kind: u32,
    tensors: *const TensorInfo,
}

/// The start of `aclprofTensorInfo`.
#[derive(Clone, Copy)]
#[repr(C)]
struct TensorInfo {
    name: u64,
    kind: u64,
}

#[unsafe(no_mangle)]
pub extern "C" fn aclprofCreateStamp() -> Handle {
    call_or("aclprofCreateStamp", 0, || {
        if !collect::wants_marks() {
            return Err(Failure::new(
                PROF_NOT_RUN,
                "nobody collects marks: aclprofStart with ACL_PROF_MSPROFTX",
            ));
        }
        STAMPS.insert(Arc::default())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn aclprofDestroyStamp(handle: Handle) {
    if handle != 0 {
        call("aclprofDestroyStamp", || STAMPS.remove(handle).map(drop));
    }
}

fn domain(handle: Handle) -> Result<Arc<str>> {
    need_address(handle, "handle")?;
    DOMAINS.get(handle).map_err(|failure| failure.code(INVALID_PARAM))
}

#[unsafe(no_mangle)]
pub extern "C" fn mstxMarkA(message: Text, stream: Handle) {
    call("mstxMarkA", || mark(message.need("message")?, DEFAULT_DOMAIN, stream));
}

#[unsafe(no_mangle)]
pub extern "C" fn mstxRangeStartA(message: Text, stream: Handle) -> u64 {
    call_or("mstxRangeStartA", 0, || begin(message.need("message")?, Arc::from(DEFAULT_DOMAIN), stream))
}

#[unsafe(no_mangle)]
pub extern "C" fn mstxRangeEnd(id: u64) {
    call("mstxRangeEnd", || end(id));
}

#[unsafe(no_mangle)]
pub extern "C" fn mstxDomainCreateA(name: Text) -> Handle {
    call_or("mstxDomainCreateA", 0, || DOMAINS.insert(Arc::from(name.need("name")?)))
}

#[unsafe(no_mangle)]
pub extern "C" fn mstxDomainDestroy(handle: Handle) {
    call("mstxDomainDestroy", || DOMAINS.remove(handle).map(drop));
}

#[unsafe(no_mangle)]
pub extern "C" fn mstxDomainMarkA(handle: Handle, message: Text, stream: Handle) {
    call("mstxDomainMarkA", || mark(message.need("message")?, &domain(handle)?, stream));
}

#[unsafe(no_mangle)]
pub extern "C" fn mstxDomainRangeStartA(handle: Handle, message: Text, stream: Handle) -> u64 {
    call_or("mstxDomainRangeStartA", 0, || begin(message.need("message")?, domain(handle)?, stream))
}

#[unsafe(no_mangle)]
pub extern "C" fn mstxDomainRangeEnd(handle: Handle, id: u64) {
    call("mstxDomainRangeEnd", || domain(handle).and_then(|_| end(id)));
}
