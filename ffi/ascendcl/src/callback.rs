//! Host functions in a stream: run by a thread of the runtime, or by the thread of the program that subscribed.

use std::collections::HashMap;

use parking_lot::Mutex;
use vinci::{Blocking, Reporter};

use crate::abi::{Address, Handle};
use crate::code::{
    Failure, INVALID_PARAM, RT_REPORT_TIMEOUT, RT_STREAM_NO_CB_REG, RT_STREAM_SUBSCRIBE,
    RT_STREAM_SYNC_TIMEOUT, RT_THREAD_SUBSCRIBE, Result,
};
use crate::stream::{self, Stream, timeout_ms};

/// `aclrtCallback` and `aclrtHostFunc`.
pub type Callback = extern "C" fn(Address);

/// Threads that process callbacks, with the number of streams subscribed to each.
struct Threads(Mutex<Option<HashMap<u64, (Reporter, usize)>>>);

static REPORTS: Threads = Threads(Mutex::new(None));
static HOST_FUNCTIONS: Threads = Threads(Mutex::new(None));

impl Threads {
    /// Binds `slot` of a stream to the reporter of a thread.
    fn subscribe(&self, thread: u64, slot: &Mutex<Option<(u64, Reporter)>>) -> Result<()> {
        let mut slot = slot.lock();
        if let Some((other, _)) = &*slot {
            let text = format!("the stream is subscribed to thread {other:#x} already");
            return Err(Failure::new(RT_STREAM_SUBSCRIBE, text));
        }
        let mut threads = self.0.lock();
        let (reporter, streams) =
            threads.get_or_insert_default().entry(thread).or_insert_with(|| (Reporter::new(), 0));
        *streams += 1;
        *slot = Some((thread, reporter.clone()));
        Ok(())
    }

    fn unsubscribe(&self, thread: u64, slot: &Mutex<Option<(u64, Reporter)>>) -> Result<()> {
        let mut slot = slot.lock();
        if slot.as_ref().is_none_or(|(bound, _)| *bound != thread) {
            let text = format!("the stream is not subscribed to thread {thread:#x}");
            return Err(Failure::new(RT_THREAD_SUBSCRIBE, text));
        }
        *slot = None;
        let mut threads = self.0.lock();
        let threads = threads.get_or_insert_default();
        if let Some((_, streams)) = threads.get_mut(&thread) {
            *streams -= 1;
            if *streams == 0 {
                threads.remove(&thread);
            }
        }
        Ok(())
    }

    fn process(&self, timeout: i32) -> Result<()> {
        let timeout = timeout_ms(timeout)?;
        // SAFETY: pthread_self has no conditions.
        let thread = unsafe { libc::pthread_self() } as u64;
        let reporter = self.0.lock().as_ref().and_then(|threads| threads.get(&thread).map(|t| t.0.clone()));
        let reporter = reporter.ok_or_else(|| {
            Failure::new(RT_THREAD_SUBSCRIBE, format!("no stream is subscribed to thread {thread:#x}"))
        })?;
        reporter.process(timeout).map_err(|error| {
            let failure = Failure::from(error);
            if failure.code == RT_STREAM_SYNC_TIMEOUT { failure.code(RT_REPORT_TIMEOUT) } else { failure }
        })
    }
}

fn launch(
    stream: &Stream,
    slot: &Mutex<Option<(u64, Reporter)>>,
    f: Callback,
    data: Address,
    block: u32,
) -> Result<()> {
    let reporter = slot.lock().as_ref().map(|(_, reporter)| reporter.clone());
    let reporter = reporter
        .ok_or_else(|| Failure::new(RT_STREAM_NO_CB_REG, "no thread processes callbacks of the stream"))?;
    let blocking = match block {
        0 => Blocking::NoBlock,
        1 => Blocking::Block,
        _ => {
            return Err(Failure::new(
                INVALID_PARAM,
                format!("blockType {block} is not an aclrtCallbackBlockType"),
            ));
        }
    };
    Ok(stream.stream.callback_on(&reporter, blocking, move || f(data))?)
}

entry! {
    fn aclrtSubscribeReport(thread: u64, stream: Handle) {
        REPORTS.subscribe(thread, &stream::named(stream)?.reports)
    }

    fn aclrtUnSubscribeReport(thread: u64, stream: Handle) {
        REPORTS.unsubscribe(thread, &stream::named(stream)?.reports)
    }

    fn aclrtProcessReport(timeout: i32) {
        REPORTS.process(timeout)
    }

    fn aclrtLaunchCallback(f: Option<Callback>, data: Address, block: u32, stream: Handle) {
        let f = f.ok_or_else(|| crate::abi::null("fn"))?;
        let stream = stream::named(stream)?;
        launch(&stream, &stream.reports, f, data, block)
    }

    fn aclrtSubscribeHostFunc(thread: u64, stream: Handle) {
        HOST_FUNCTIONS.subscribe(thread, &stream::named(stream)?.host_functions)
    }

    fn aclrtUnSubscribeHostFunc(thread: u64, stream: Handle) {
        HOST_FUNCTIONS.unsubscribe(thread, &stream::named(stream)?.host_functions)
    }

    fn aclrtProcessHostFunc(timeout: i32) {
        HOST_FUNCTIONS.process(timeout)
    }

    /// On the subscribed thread if there is one, else on a thread of the runtime.
    fn aclrtLaunchHostFunc(stream: Handle, f: Option<Callback>, data: Address) {
        const BLOCK: u32 = 1;
        let f = f.ok_or_else(|| crate::abi::null("fn"))?;
        let stream = stream::named(stream)?;
        if stream.host_functions.lock().is_some() {
            return launch(&stream, &stream.host_functions, f, data, BLOCK);
        }
        Ok(stream.stream.callback(move || f(data))?)
    }
}
