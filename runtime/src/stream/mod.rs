//! Streams: work of a die, in order.

mod args;
pub(crate) mod callback;
mod copy;
pub(crate) mod lost;
pub(crate) mod queue;
pub(crate) mod record;
mod ring;
mod text;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use vinci_hw::args::ArgsView;
use vinci_hw::sqe;
use vinci_uapi::*;

pub use callback::{Blocking, Reporter};
pub use copy::Rows;
pub(crate) use copy::STAGED;

use crate::device::Die;
use crate::driver::Driver;
use crate::event::slot::Place;
use crate::{Device, DevicePtr, Error, Event, Fault, Kernel, Notify, Result, SharedEvent, fork};
use queue::Queue;

/// How long a dropped stream may stand still before its work is given up.
const STANDSTILL: Duration = Duration::from_secs(10);

/// How a stream is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamOptions {
    /// 0 (highest) to 7.
    pub priority: u32,
    /// Free for the caller's own use.
    pub flags: u32,
}

/// How a kernel is launched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaunchOptions {
    /// The stream faults if the kernel runs for longer.
    pub timeout: Option<Duration>,
    /// Cube cores that it may occupy; 0 is all of them. It takes the model's time accordingly.
    pub aic_cores: u32,
    /// Vector cores, likewise.
    pub aiv_cores: u32,
}

/// Comparison of [`Stream::wait_value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `(word - value) as i64 >= 0`
    Geq,
    /// `word == value`
    Eq,
    /// `word & value != 0`
    And,
    /// `!(word | value) != 0`
    Nor,
}

/// A stream. Clones name the same stream; it can be used from any thread.
///
/// Dropping the last clone waits for the work, as long as it makes progress.
///
/// ```
/// # use vinci::{Buffer, Device, Stream, StreamOptions};
/// let device = Device::get(0)?;
/// let stream = Stream::new(&device, StreamOptions::default())?;
/// let buffer = Buffer::<u8>::new(&device, 4096)?;
/// stream.memset_async(buffer.ptr().into(), 7, 4096)?;
/// stream.synchronize(None)?;
/// assert!(buffer.to_vec()?.iter().all(|&byte| byte == 7));
/// # Ok::<(), vinci::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stream(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    id: u32,
    driver: &'static Driver,
    die: &'static Die,
    options: StreamOptions,
    queue: OnceLock<Arc<Queue>>,
    /// Where its kernels print to, once one of them may.
    text: OnceLock<text::Text>,
    /// Held while the queue is made or the stream is destroyed.
    making: Mutex<()>,
    destroyed: AtomicBool,
    /// Where work goes instead of to the queue.
    target: Mutex<Option<record::Target>>,
    /// Whether `target` is something.
    recording: AtomicBool,
}

impl Stream {
    /// Makes a stream on a die. The device's queue is made with the first work.
    pub fn new(device: &Device, options: StreamOptions) -> Result<Stream> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let driver = Driver::get()?;
        if options.priority > 7 {
            return Err(Error::value("create stream", format!("priority {} is above 7", options.priority)));
        }
        Ok(Stream(Arc::new(Inner {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            driver,
            die: device.die(),
            options,
            queue: OnceLock::new(),
            text: OnceLock::new(),
            making: Mutex::new(()),
            destroyed: AtomicBool::new(false),
            target: Mutex::new(None),
            recording: AtomicBool::new(false),
        })))
    }

    /// Its number, unique in the process and never reused.
    pub fn id(&self) -> u32 {
        self.0.id
    }

    /// Its die.
    pub fn device(&self) -> Device {
        Device::of(self.0.die)
    }

    /// How it was made.
    pub fn options(&self) -> StreamOptions {
        self.0.options
    }

    /// Launches `kernel` on `blocks` blocks. `args` are copied; the device pads them with zeros to a
    /// multiple of 8 bytes.
    pub fn launch(&self, kernel: &Kernel, blocks: u32, args: &[u8]) -> Result<()> {
        self.launch_with_timeout(kernel, blocks, args, None)
    }

    /// As [`Stream::launch`]; the stream faults if the kernel runs for longer than `timeout`.
    pub fn launch_with_timeout(
        &self,
        kernel: &Kernel,
        blocks: u32,
        args: &[u8],
        timeout: Option<Duration>,
    ) -> Result<()> {
        self.launch_with(kernel, blocks, args, LaunchOptions { timeout, ..LaunchOptions::default() })
    }

    /// As [`Stream::launch`], with options.
    pub fn launch_with(
        &self,
        kernel: &Kernel,
        blocks: u32,
        args: &[u8],
        options: LaunchOptions,
    ) -> Result<()> {
        self.check_tensors(args)?;
        self.launch_raw("launch", kernel.id(), kernel.name(), blocks, args, options)
    }

    /// Checks that a resident kernel's tensors are in reach, so that the stream need not stop at the fault. Most
    /// programs have memory of one die only.
    #[inline]
    fn check_tensors(&self, args: &[u8]) -> Result<()> {
        let registry = &self.0.driver.registry;
        if registry.dies() & !(1 << (self.0.die.ordinal & 63)) == 0 {
            return Ok(());
        }
        // What cannot be read is the device's to refuse.
        let Ok(view) = ArgsView::new(args) else { return Ok(()) };
        (0..view.tensor_count()).filter_map(|i| view.tensor(i).ok()).try_for_each(|tensor| {
            let owner = registry.find(self.0.driver, tensor.va).and_then(|found| found.device);
            self.check_peer(owner.map(|device| device.ordinal()))
        })
    }

    /// Launches what the device knows as `id`.
    pub(crate) fn launch_raw(
        &self,
        op: &'static str,
        id: u64,
        name: &str,
        blocks: u32,
        args: &[u8],
        options: LaunchOptions,
    ) -> Result<()> {
        if args.len() > args::MAX {
            let what = format!("{} bytes of arguments are more than {}", args.len(), args::MAX);
            return Err(Error::value(op, what));
        }
        if blocks == 0 {
            return Err(Error::value(op, format!("kernel {name} on 0 blocks")));
        }
        let size = args.len().next_multiple_of(8) as u32;
        let timeout = options.timeout.map_or(0, |t| u32::try_from(millis(t)).unwrap_or(u32::MAX));
        self.submit(op, args, |va| {
            let mut entry = sqe::kernel(id, blocks, va, size, timeout);
            sqe::set_cores(&mut entry, options.aic_cores, options.aiv_cores);
            entry
        })
    }

    /// Records `event`: it completes when the work submitted so far is done.
    pub fn record(&self, event: &Event) -> Result<()> {
        if self.is_recording() {
            return self.record_in_graph(event);
        }
        event.record_on(self.queue("record event")?)
    }

    /// Later work waits for `event` as it is recorded now. An event that was never recorded is not waited
    /// for. With a timeout, the stream faults when it passes.
    pub fn wait(&self, event: &Event, timeout: Option<Duration>) -> Result<()> {
        if self.wait_in_graph(event, timeout)? {
            return Ok(());
        }
        event.wait_on(self.queue("wait for event")?, timeout.map_or(0, millis))
    }

    /// [`Stream::record`] of an event that processes share. It cannot be recorded in a graph.
    pub fn record_shared(&self, event: &SharedEvent) -> Result<()> {
        let op = "record event";
        self.check_running(op, "an event that processes share")?;
        event.record_on(self.queue(op)?)
    }

    /// [`Stream::wait`] for an event that processes share. It cannot be recorded in a graph.
    pub fn wait_shared(&self, event: &SharedEvent, timeout: Option<Duration>) -> Result<()> {
        let op = "wait for event";
        self.check_running(op, "a wait for an event that processes share")?;
        event.wait_on(self.queue(op)?, timeout.map_or(0, millis))
    }

    /// Raises `notify`.
    pub fn record_notify(&self, notify: &Notify) -> Result<()> {
        let op = "record notify";
        self.submit_for(op, notify, || sqe::notify_record(notify.va()))
    }

    /// Later work waits until `notify` is raised, and lowers it. With a timeout, the stream faults when it
    /// passes.
    pub fn wait_notify(&self, notify: &Notify, timeout: Option<Duration>) -> Result<()> {
        let op = "wait for notify";
        let timeout = timeout.map_or(0, millis);
        self.submit_for(op, notify, || sqe::notify_wait(notify.va(), timeout))
    }

    /// Later work waits until `notify` is raised, and leaves it raised.
    pub fn wait_raised(&self, notify: &Notify) -> Result<()> {
        let wait = || sqe::wait_value(notify.va(), 1, DRM_VINCI_COMPARE_EQ, 0);
        self.submit_for("wait for notify", notify, wait)
    }

    /// Lowers `notify`.
    pub fn lower_notify(&self, notify: &Notify) -> Result<()> {
        self.submit_for("lower notify", notify, || sqe::write_value(notify.va(), 0))
    }

    /// A task that does nothing: [`crate::profile`] tells when the stream got there.
    pub fn mark(&self) -> Result<()> {
        self.submit("mark", &[], |_| sqe::placeholder())
    }

    /// Stores a 64-bit value at a device address that is a multiple of 8.
    pub fn write_value(&self, addr: DevicePtr, value: u64) -> Result<()> {
        let op = "write value";
        self.check_word(op, addr)?;
        self.submit(op, &[], |_| sqe::write_value(addr.0, value))
    }

    /// Later work waits until the 64-bit word compares with `value`.
    pub fn wait_value(&self, addr: DevicePtr, value: u64, compare: Compare) -> Result<()> {
        let op = "wait for value";
        self.check_word(op, addr)?;
        let compare = match compare {
            Compare::Geq => DRM_VINCI_COMPARE_GEQ,
            Compare::Eq => DRM_VINCI_COMPARE_EQ,
            Compare::And => DRM_VINCI_COMPARE_AND,
            Compare::Nor => DRM_VINCI_COMPARE_NOR,
        };
        self.submit(op, &[], |_| sqe::wait_value(addr.0, value, compare, 0))
    }

    fn check_word(&self, op: &'static str, addr: DevicePtr) -> Result<()> {
        if !addr.0.is_multiple_of(8) {
            return Err(Error::value(op, format!("{addr} is not a multiple of 8")));
        }
        let found = self.0.driver.registry.check(self.0.driver, op, addr.0, 8)?;
        self.check_peer(found.device.map(|d| d.ordinal()))
    }

    /// Waits until all submitted work is done. `None` waits for ever.
    pub fn synchronize(&self, timeout: Option<Duration>) -> Result<()> {
        let op = "synchronize stream";
        self.check_not_captured(op)?;
        let Some(queue) = self.made(op)? else { return Ok(()) };
        queue.wait(queue.submitted(), timeout, op)?;
        queue.check(op)
    }

    /// [`Stream::synchronize`] for an operation of another name.
    pub(crate) fn wait_for(&self, op: &'static str) -> Result<()> {
        let Some(queue) = self.made(op)? else { return Ok(()) };
        queue.wait(queue.submitted(), None, op)?;
        queue.check(op)
    }

    /// True if all submitted work is done.
    pub fn query(&self) -> Result<bool> {
        let op = "query stream";
        self.check_not_captured(op)?;
        let Some(queue) = self.made(op)? else { return Ok(true) };
        if queue.completed() >= queue.submitted() {
            return Ok(true);
        }
        queue.check(op)?;
        Ok(false)
    }

    /// Tasks ever submitted and ever completed.
    pub fn progress(&self) -> (u64, u64) {
        match self.made("query stream") {
            Ok(Some(queue)) => {
                let completed = queue.completed();
                (queue.submitted(), completed)
            }
            _ => (0, 0),
        }
    }

    /// Drops work that has not run, waits for what runs, and lets the stream go on; also after a fault.
    /// Answers how many tasks were dropped. Events and notifies among them are recorded all the same, as
    /// other streams may wait for them.
    pub fn abort(&self) -> Result<u64> {
        let Some(queue) = self.made("abort stream")? else { return Ok(0) };
        queue.reset(|cookie| self.0.driver.callbacks.forget(cookie))
    }

    /// [`Stream::abort`] under the name that goes with a fault.
    pub fn reset(&self) -> Result<u64> {
        self.abort()
    }

    /// The fault that stopped the stream, if one did.
    pub fn error(&self) -> Option<Fault> {
        self.made("query stream").ok()??.fault()
    }

    /// Ends the stream for all its clones: waits for its work, or with `force` drops it. Later calls answer
    /// [`Error::InvalidHandle`].
    pub fn destroy(&self, force: bool) -> Result<()> {
        fork::check()?;
        self.check_not_captured("destroy stream")?;
        self.0.finish(force, None)
    }

    /// The queue, made if need be.
    #[inline]
    pub(crate) fn queue(&self, op: &'static str) -> Result<&Arc<Queue>> {
        fork::check()?;
        match self.0.queue.get() {
            Some(queue) => Ok(queue),
            None => self.0.make(op),
        }
    }

    /// The queue if there is one.
    fn made(&self, op: &'static str) -> Result<Option<&Arc<Queue>>> {
        fork::check()?;
        if self.0.destroyed.load(Ordering::Acquire) {
            return Err(self.0.gone(op));
        }
        Ok(self.0.queue.get())
    }

    /// The end of what was submitted so far; `None` if nothing ever was.
    pub(crate) fn place(&self, op: &'static str) -> Result<Option<Place>> {
        Ok(self.made(op)?.map(|queue| Place::new(queue, queue.submitted())))
    }

    /// Checks that work of this stream may reach memory of `die`.
    pub(crate) fn check_peer(&self, die: Option<u32>) -> Result<()> {
        match die {
            Some(to) if !self.0.die.reaches(to) => {
                Err(Error::PeerNotEnabled { from: self.0.die.ordinal, to })
            }
            _ => Ok(()),
        }
    }
}

impl Inner {
    fn gone(&self, op: &'static str) -> Error {
        Error::InvalidHandle { op, what: "stream", handle: self.id.into() }
    }

    #[cold]
    fn make(&self, op: &'static str) -> Result<&Arc<Queue>> {
        let _guard = self.making.lock();
        if self.destroyed.load(Ordering::Acquire) {
            return Err(self.gone(op));
        }
        if let Some(queue) = self.queue.get() {
            return Ok(queue);
        }
        let queue = Queue::create(self.driver, self.die.ordinal, self.id, self.options.priority)?;
        let queue = Arc::new(queue);
        self.driver.queues.write().push(queue.clone());
        self.driver.callbacks.start(self.driver);
        Ok(self.queue.get_or_init(|| queue))
    }

    /// Ends the queue. Without `force` its work is waited for, with `standstill` only while it moves.
    fn finish(&self, force: bool, standstill: Option<Duration>) -> Result<()> {
        let op = "destroy stream";
        {
            let _guard = self.making.lock();
            if self.destroyed.swap(true, Ordering::AcqRel) {
                return Err(self.gone(op));
            }
        }
        let Some(queue) = self.queue.get() else { return Ok(()) };
        let drained = !force && self.drain(queue, standstill);
        let dropped = if drained {
            Ok(())
        } else {
            // The records that reset submits anew release the streams that wait for them.
            let reset = queue.reset(|cookie| self.driver.callbacks.forget(cookie)).map(drop);
            let _ = queue.wait(queue.submitted(), Some(Duration::from_secs(1)), op);
            reset
        };
        lost::make_records(self.driver, queue);
        let destroyed = queue.destroy();
        self.driver.queues.write().retain(|other| !Arc::ptr_eq(other, queue));
        match dropped {
            Err(Error::DeviceLost { .. }) | Ok(()) => destroyed,
            Err(e) => Err(e),
        }
    }

    /// True if all work was done.
    fn drain(&self, queue: &Queue, standstill: Option<Duration>) -> bool {
        loop {
            let before = queue.completed();
            match queue.wait(queue.submitted(), standstill, "destroy stream") {
                Ok(()) => return true,
                Err(Error::Timeout { .. }) if queue.completed() != before => {}
                Err(_) => return false,
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let Some(queue) = self.queue.get() else { return };
        if fork::is_child() {
            // The queue is the parent's; its mappings stay as they are.
            std::mem::forget(queue.clone());
            return;
        }
        if self.destroyed.load(Ordering::Acquire) {
            return;
        }
        let force = callback::on_callback_thread();
        if let Err(e) = self.finish(force, Some(STANDSTILL)) {
            log::error!("stream {}: {e}", self.id);
        }
    }
}

/// A timeout in whole milliseconds, at least 1: 0 means none to the device.
fn millis(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).max(1)
}
