//! Host functions in a stream, and who calls them.
//!
//! A thread reads the driver's events. A host function that is due goes to the callback thread, or to a
//! [`Reporter`], where a thread of the program takes it.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use vinci_hw::sqe;
use vinci_uapi::*;

use super::Stream;
use super::lost;
use super::queue::Queue;
use crate::driver::Driver;
use crate::error::Fault;
use crate::{Error, Result, fork};

/// Whether a stream waits for a callback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blocking {
    /// Later work waits until the callback returned.
    #[default]
    Block,
    /// Later work goes on.
    NoBlock,
}

type Function = Box<dyn FnOnce() + Send>;

/// A host function that is due.
struct Job {
    function: Function,
    /// Lets the stream go on when it is dropped.
    _resume: Option<Resume>,
}

/// A host call of the device that wants an answer: given when this is dropped, so that no path, a panic
/// included, leaves the stream waiting.
struct Resume {
    driver: &'static Driver,
    queue: u32,
    entry: u64,
}

impl Drop for Resume {
    fn drop(&mut self) {
        if fork::is_child() {
            return;
        }
        if let Err(e) = self.driver.sys.queue_resume(self.queue, self.entry) {
            // The stream was reset or destroyed meanwhile.
            log::debug!("resume of queue {} after entry {}: {e}", self.queue, self.entry);
        }
    }
}

impl Job {
    fn run(self) {
        IN_CALLBACK.set(true);
        if catch_unwind(AssertUnwindSafe(self.function)).is_err() {
            log::error!("a stream callback panicked; the stream goes on");
        }
        IN_CALLBACK.set(false);
    }
}

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// True inside a callback: nothing may be waited for that its stream does later.
pub(crate) fn on_callback_thread() -> bool {
    IN_CALLBACK.get()
}

#[derive(Default)]
struct Jobs {
    queue: Mutex<VecDeque<Job>>,
    due: Condvar,
}

impl Jobs {
    fn push(&self, job: Job) {
        self.queue.lock().push_back(job);
        self.due.notify_one();
    }

    fn pop(&self, timeout: Option<Duration>) -> Option<Job> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        let mut queue = self.queue.lock();
        loop {
            if let Some(job) = queue.pop_front() {
                return Some(job);
            }
            match deadline {
                None => self.due.wait(&mut queue),
                Some(deadline) => {
                    if self.due.wait_until(&mut queue, deadline).timed_out() {
                        return queue.pop_front();
                    }
                }
            }
        }
    }
}

/// A place where callbacks wait for a thread of the program. Clones name the same one.
///
/// ```
/// # use std::time::Duration;
/// # use vinci::{Blocking, Device, Reporter, Stream, StreamOptions};
/// let stream = Stream::new(&Device::get(0)?, StreamOptions::default())?;
/// let reporter = Reporter::new();
/// stream.callback_on(&reporter, Blocking::Block, || println!("on the thread of main()"))?;
/// reporter.process(Some(Duration::from_secs(5)))?;
/// stream.synchronize(None)?;
/// # Ok::<(), vinci::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Reporter(Arc<Jobs>);

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}

impl Reporter {
    /// A reporter without callbacks.
    pub fn new() -> Reporter {
        Reporter::default()
    }

    /// Runs the oldest callback that is due on the calling thread; waits for one if there is none.
    /// [`Error::Timeout`] if none came in time. `None` waits for ever.
    pub fn process(&self, timeout: Option<Duration>) -> Result<()> {
        fork::check()?;
        let job = self
            .0
            .pop(timeout)
            .ok_or(Error::Timeout { op: "process callbacks", waited: timeout.unwrap_or_default() })?;
        job.run();
        Ok(())
    }
}

/// A host function that is not due yet.
struct Pending {
    function: Function,
    blocking: Blocking,
    /// `None`: the callback thread's.
    jobs: Option<Arc<Jobs>>,
}

/// The process's host functions.
#[derive(Default)]
pub(crate) struct Callbacks {
    next: AtomicU64,
    pending: Mutex<HashMap<u64, Pending>>,
    jobs: Arc<Jobs>,
    /// The runtime's own: they wait for no function of a program.
    control: Arc<Jobs>,
    events: OnceLock<()>,
    runner: OnceLock<()>,
    controller: OnceLock<()>,
}

impl std::fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callbacks").field("pending", &self.pending.lock().len()).finish()
    }
}

impl Callbacks {
    /// Starts the thread that reads the driver's events.
    pub(crate) fn start(&self, driver: &'static Driver) {
        self.events.get_or_init(|| spawn("vinci-events", move || read_events(driver)));
    }

    fn start_runner(&self) {
        self.runner.get_or_init(|| run_all("vinci-callback", self.jobs.clone()));
    }

    /// Calls `f` on the runtime's own thread when `queue` gets here.
    pub(crate) fn control(
        &self,
        driver: &'static Driver,
        queue: &Queue,
        op: &'static str,
        blocking: Blocking,
        f: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        self.controller.get_or_init(|| run_all("vinci-control", self.control.clone()));
        let pending = Pending { function: Box::new(f), blocking, jobs: Some(self.control.clone()) };
        self.post(driver, queue, op, pending)
    }

    fn post(&self, driver: &'static Driver, queue: &Queue, op: &'static str, pending: Pending) -> Result<()> {
        self.start(driver);
        let cookie = self.enter(pending);
        queue.submit(op, &[], |_| sqe::host_call(cookie)).map(drop).inspect_err(|_| self.forget(cookie))
    }

    /// Enters a function; answers the cookie of its queue entry.
    fn enter(&self, pending: Pending) -> u64 {
        let cookie = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.pending.lock().insert(cookie, pending);
        cookie
    }

    /// The queue entry with this cookie will not come.
    pub(crate) fn forget(&self, cookie: u64) {
        let function = self.pending.lock().remove(&cookie);
        drop(function);
    }

    fn due(&self, driver: &'static Driver, event: &drm_vinci_event) {
        let resume = Resume { driver, queue: event.queue_id, entry: event.entry };
        // Without an entry the stream was reset meanwhile; `resume` is dropped then, which answers the device.
        let Some(pending) = self.pending.lock().remove(&event.cookie) else { return };
        let _resume = match pending.blocking {
            Blocking::Block => Some(resume),
            Blocking::NoBlock => {
                drop(resume);
                None
            }
        };
        pending.jobs.as_ref().unwrap_or(&self.jobs).push(Job { function: pending.function, _resume });
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) {
    // Host functions of a program run on one of them.
    let builder = std::thread::Builder::new().name(name.into()).stack_size(1 << 20);
    if let Err(e) = builder.spawn(body) {
        log::error!("no thread {name}: {e}; callbacks will not run");
    }
}

fn run_all(name: &str, jobs: Arc<Jobs>) {
    spawn(name, move || {
        while let Some(job) = jobs.pop(None) {
            job.run();
        }
    });
}

fn read_events(driver: &'static Driver) {
    loop {
        let (event, lost) = match driver.sys.event_read() {
            Ok(read) => read,
            Err(e) => {
                log::error!("{e}; no more callbacks and fault reports");
                return;
            }
        };
        if lost > 0 {
            log::error!("{lost} events of the driver were lost");
        }
        match event.type_ {
            DRM_VINCI_EVENT_HOST_CALL => driver.callbacks.due(driver, &event),
            DRM_VINCI_EVENT_FAULT => {
                let stream = driver.stream_of_queue(event.queue_id);
                let fault = Fault::from_record(&event.fault, stream);
                log::error!("{fault}");
                if let Some(graph) = driver.lanes.graph_of(stream) {
                    graph.lane_faulted(&fault);
                }
                // The driver's watchdog takes the queue, too.
                lost::make_all_records(driver);
            }
            DRM_VINCI_EVENT_RESET => {
                match event.queue_id {
                    u32::MAX => log::warn!("the device was reset"),
                    die => log::warn!("die {die} was reset"),
                }
                lost::make_all_records(driver);
            }
            DRM_VINCI_EVENT_RAS => {
                log::warn!("die {}: {}", event.fault.die, crate::driver::text(&event.fault.text));
            }
            other => log::warn!("event of unknown type {other}"),
        }
    }
}

impl Stream {
    /// Calls `f` on the runtime's callback thread when the work submitted so far is done; later work waits
    /// for it. If the stream is aborted before, `f` is dropped and not called.
    ///
    /// `f` must not wait for later work of the same stream.
    pub fn callback(&self, f: impl FnOnce() + Send + 'static) -> Result<()> {
        self.0.driver.callbacks.start_runner();
        self.post(Pending { function: Box::new(f), blocking: Blocking::Block, jobs: None })
    }

    /// As [`Stream::callback`], on the thread that calls [`Reporter::process`].
    pub fn callback_on(
        &self,
        reporter: &Reporter,
        blocking: Blocking,
        f: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        self.post(Pending { function: Box::new(f), blocking, jobs: Some(reporter.0.clone()) })
    }

    fn post(&self, pending: Pending) -> Result<()> {
        let op = "callback";
        self.check_running(op, "a host function")?;
        self.0.driver.callbacks.post(self.0.driver, self.queue(op)?, op, pending)
    }

    /// Calls `f` on the runtime's own thread when the work submitted so far is done; later work waits for it.
    pub(crate) fn control(&self, op: &'static str, f: impl FnOnce() + Send + 'static) -> Result<()> {
        self.0.driver.callbacks.control(self.0.driver, self.queue(op)?, op, Blocking::Block, f)
    }
}
