//! Capturing streams into model instances, and which calls a capture forbids.
//!
//! Calls that wait for the device at once (synchronous copies and fills, copies of pageable memory) are "unsafe":
//! a capture of mode GLOBAL forbids them to all threads of its context, one of mode THREAD_LOCAL to the thread that
//! began it. A thread can change what it allows itself.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use vinci::{Graph, TaskGroup};

use crate::abi::{Handle, Out, need_address};
use crate::code::{
    Failure, RT_CAPTURE_MODE_BLOCK_ASYNC, RT_CAPTURE_MODE_NOT_SUPPORT, RT_STREAM_CAPTURE_IMPLICIT,
    RT_STREAM_CAPTURE_UNMATCHED, RT_STREAM_CAPTURE_WRONG_THREAD, RT_STREAM_CAPTURED, RT_STREAM_NOT_CAPTURED,
    Result, invalid,
};
use crate::handle::{Kind, Table};
use crate::model::{self, MODELS};
use crate::{context, stream};

const GLOBAL: u32 = 0;
const RELAXED: u32 = 2;

const STATUS_NONE: u32 = 0;
const STATUS_ACTIVE: u32 = 1;
const STATUS_INVALIDATED: u32 = 2;

static GROUPS: Table<TaskGroup> = Table::new(Kind::TaskGroup);

/// A capture that was begun and not ended.
struct Capture {
    stream: Handle,
    model: Handle,
    context: Handle,
    mode: u32,
    thread: u64,
}

static CAPTURES: Mutex<Vec<Capture>> = Mutex::new(Vec::new());
/// How many there are that forbid anything: asked by every synchronous copy.
static STRICT: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// What the thread allows itself: [`GLOBAL`] nothing that any capture forbids.
    static OWN_MODE: Cell<u32> = const { Cell::new(GLOBAL) };
    static THREAD: u64 = {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// Fails if a capture forbids the calling thread to wait for the device.
pub fn check_unsafe() -> Result<()> {
    if STRICT.load(Ordering::Relaxed) == 0 { Ok(()) } else { forbidden() }
}

/// As [`check_unsafe`], for an asynchronous call that has to wait all the same.
pub fn check_blocking_async() -> Result<()> {
    check_unsafe().map_err(|failure| failure.code(RT_CAPTURE_MODE_BLOCK_ASYNC))
}

#[cold]
fn forbidden() -> Result<()> {
    let (context, thread, own) = (context::current_handle(), THREAD.with(|thread| *thread), OWN_MODE.get());
    let captures = CAPTURES.lock();
    let strict = captures.iter().filter(|capture| capture.context == context && capture.mode != RELAXED);
    let forbids = |capture: &&Capture| {
        let by_this_thread = capture.thread == thread;
        own != RELAXED && (by_this_thread || capture.mode == GLOBAL && own == GLOBAL)
    };
    match { strict }.find(forbids) {
        None => Ok(()),
        Some(capture) => {
            let mode = if capture.mode == GLOBAL { "GLOBAL" } else { "THREAD_LOCAL" };
            let text = format!(
                "stream {:#x} is being captured in mode {mode}, which forbids calls that wait for the device; \
                 aclmdlRICaptureThreadExchangeMode can allow them",
                capture.stream
            );
            Err(Failure::new(RT_CAPTURE_MODE_NOT_SUPPORT, text))
        }
    }
}

/// Fails if a stream of a context is being captured: there is nothing to wait for.
pub fn check_none(context: Handle) -> Result<()> {
    match CAPTURES.lock().iter().find(|capture| capture.context == context) {
        None => Ok(()),
        Some(capture) => {
            let text = format!("stream {:#x} of the context is being captured", capture.stream);
            Err(Failure::new(RT_STREAM_CAPTURED, text))
        }
    }
}

/// Ends the captures of a context without result.
pub fn end_all(context: Handle) {
    let ended: Vec<Capture> = {
        let mut captures = CAPTURES.lock();
        let (ended, rest) = captures.drain(..).partition(|capture| capture.context == context);
        *captures = rest;
        count(&captures);
        ended
    };
    for capture in ended {
        if let Ok(stream) = stream::STREAMS.get(capture.stream) {
            stream.stream.abandon_capture();
        }
        let _ = MODELS.remove(capture.model);
    }
}

fn count(captures: &[Capture]) {
    STRICT.store(captures.iter().filter(|capture| capture.mode != RELAXED).count() as u32, Ordering::Relaxed);
}

/// Fails for the default stream, which cannot be captured.
pub fn check_not_default(handle: Handle) -> Result<()> {
    let (current, context) = context::current()?;
    if handle == 0 || context.is_default(handle) {
        let text = format!("the default stream of context {current:#x} cannot be captured; make another");
        return Err(Failure::new(RT_STREAM_CAPTURE_IMPLICIT, text));
    }
    Ok(())
}

/// Takes the capture that was begun on a stream out of the list.
fn take(handle: Handle) -> Result<Capture> {
    let mut captures = CAPTURES.lock();
    let position = captures.iter().position(|capture| capture.stream == handle).ok_or_else(|| {
        let text = format!("the capture of stream {handle:#x} began on another stream");
        Failure::new(RT_STREAM_CAPTURE_UNMATCHED, text)
    })?;
    let capture = captures.swap_remove(position);
    count(&captures);
    Ok(capture)
}

fn end(handle: Handle) -> Result<Handle> {
    let stream = stream::named(handle)?;
    if stream.stream.capture().is_none() {
        let text = format!("stream {handle:#x} is not being captured");
        return Err(Failure::new(RT_STREAM_NOT_CAPTURED, text));
    }
    let capture = take(handle)?;
    let in_thread = capture.mode == RELAXED || capture.thread == THREAD.with(|thread| *thread);
    let result = if in_thread {
        stream.stream.end_capture().map(drop).map_err(Failure::from)
    } else {
        stream.stream.abandon_capture();
        let text = "the capture began in another thread, and its mode is not RELAXED; it is given up";
        Err(Failure::new(RT_STREAM_CAPTURE_WRONG_THREAD, text))
    };
    match result {
        Ok(()) => Ok(capture.model),
        Err(failure) => {
            let _ = MODELS.remove(capture.model);
            Err(failure)
        }
    }
}

/// The model instance that holds `graph`.
fn model_of(graph: &Graph) -> Handle {
    MODELS.all().into_iter().find(|(_, model)| model.graph == *graph).map_or(0, |(handle, _)| handle)
}

entry! {
    fn aclmdlRICaptureBegin(handle: Handle, mode: u32) {
        if mode > RELAXED {
            return Err(invalid(format!("mode {mode} is not an aclmdlRICaptureMode")));
        }
        check_not_default(handle)?;
        let stream = stream::named(handle)?;
        if stream.stream.bound_to().is_some() {
            let text = format!("stream {handle:#x} is bound to a model instance");
            return Err(Failure::new(crate::code::RT_STREAM_MODEL, text));
        }
        let graph = stream.stream.begin_capture()?;
        let model = match model::insert(graph, stream.context) {
            Ok(model) => model,
            Err(failure) => {
                stream.stream.abandon_capture();
                return Err(failure);
            }
        };
        let thread = THREAD.with(|thread| *thread);
        let mut captures = CAPTURES.lock();
        captures.push(Capture { stream: handle, model, context: stream.context, mode, thread });
        count(&captures);
        Ok(())
    }

    fn aclmdlRICaptureEnd(handle: Handle, model: Out<Handle>) {
        let place = model.need("modelRI")?;
        need_address(handle, "stream")?;
        place.put(end(handle)?);
        Ok(())
    }

    /// Programs ask all the time.
    fn aclmdlRICaptureGetInfo(handle: Handle, status: Out<u32>, model: Out<Handle>) {
        let stream = stream::named(handle)?;
        let (found, graph) = match stream.stream.capture() {
            None => (STATUS_NONE, 0),
            Some((graph, true)) => (STATUS_ACTIVE, model_of(&graph)),
            Some((graph, false)) => (STATUS_INVALIDATED, model_of(&graph)),
        };
        if let Some(place) = status.maybe() {
            place.put(found);
        }
        if let Some(place) = model.maybe() {
            place.put(graph);
        }
        Ok(())
    }

    fn aclmdlRICaptureThreadExchangeMode(mode: Out<u32>) {
        let place = mode.need("mode")?;
        let new = place.get();
        if new > RELAXED {
            return Err(invalid(format!("mode {new} is not an aclmdlRICaptureMode")));
        }
        place.put(OWN_MODE.replace(new));
        Ok(())
    }

    fn aclmdlRICaptureTaskGrpBegin(handle: Handle) {
        need_address(handle, "stream")?;
        Ok(stream::named(handle)?.stream.begin_group()?)
    }

    fn aclmdlRICaptureTaskGrpEnd(handle: Handle, group: Out<Handle>) {
        need_address(handle, "stream")?;
        let place = group.need("handle")?;
        place.put(GROUPS.insert(stream::named(handle)?.stream.end_group()?)?);
        Ok(())
    }

    fn aclmdlRICaptureTaskUpdateBegin(handle: Handle, group: Handle) {
        need_address(handle, "stream")?;
        need_address(group, "handle")?;
        let group = GROUPS.get(group)?;
        Ok(stream::named(handle)?.stream.begin_update(&group)?)
    }

    fn aclmdlRICaptureTaskUpdateEnd(handle: Handle) {
        need_address(handle, "stream")?;
        Ok(stream::named(handle)?.stream.end_update()?)
    }
}

/// Forgets the task groups of a model instance.
pub fn forget_groups(graph: &Graph) {
    for (handle, group) in GROUPS.all() {
        if group.graph().is_none_or(|of| of == *graph) {
            let _ = GROUPS.remove(handle);
        }
    }
}
