//! Profiling: when the device ran what streams were given, as the device itself stamps it.
//!
//! While a [`Recording`] lives, entries that are submitted ask the device for a stamp (`DRM_VINCI_SQE_TIMED`).
//! Nothing is added to a queue, so its order and its model time stay what they are.

mod book;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vinci_hw::sqe::Sqe;

pub(crate) use book::is_on;

use crate::driver::Driver;
use crate::stream::queue::Queue;
use crate::{CoreType, Result, fork};
use book::BOOK;

/// Where a copy goes from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the host to a die.
    HostToDevice,
    /// From a die to the host.
    DeviceToHost,
    /// Within a die, or from one to the other.
    DeviceToDevice,
    /// Between two places of the host.
    HostToHost,
}

/// What a task was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// A kernel.
    Kernel {
        /// Its name.
        name: Arc<str>,
        /// The cores it runs on.
        core: CoreType,
        /// Blocks.
        blocks: u32,
    },
    /// A copy by the SDMA.
    Copy {
        /// Where it went.
        direction: Direction,
        /// Bytes moved.
        bytes: u64,
    },
    /// A fill by the SDMA.
    Fill {
        /// Bytes written.
        bytes: u64,
    },
    /// An event was recorded.
    EventRecord,
    /// An event was waited for.
    EventWait,
    /// A notify was raised.
    NotifyRecord,
    /// A notify was waited for.
    NotifyWait,
    /// A word was written.
    WriteValue,
    /// A word was waited for.
    WaitValue,
    /// A function of the program was called.
    HostCall,
    /// Nothing was to be done.
    Placeholder,
}

/// A task that is complete. Wall times are ns of the host's CLOCK_MONOTONIC.
#[derive(Clone, Debug)]
pub struct Task {
    /// Number of its stream.
    pub stream: u32,
    /// Its die.
    pub die: u32,
    /// Its number in its stream, from 1.
    pub entry: u64,
    /// What it was.
    pub work: Work,
    /// The [`label`] of the thread that submitted it.
    pub label: Option<Arc<str>>,
    /// The kernel's number of that thread.
    pub thread: u32,
    /// When it was submitted.
    pub submitted_ns: u64,
    /// When the scheduler took it.
    pub start_ns: u64,
    /// When it was complete.
    pub end_ns: u64,
    /// When its engine began with it, ns of the die's model clock.
    pub model_start_ns: u64,
    /// When its engine was through, ns of the die's model clock.
    pub model_end_ns: u64,
}

/// Records the tasks that are submitted from its start to its end. Several can live at once.
///
/// ```
/// # use vinci::{Device, Kernel, Stream, StreamOptions, profile::{Recording, Work}};
/// # use std::time::Duration;
/// let device = Device::get(0)?;
/// let stream = Stream::new(&device, StreamOptions::default())?;
/// let recording = Recording::start()?;
/// stream.launch(&Kernel::resident("nop")?, 1, &[])?;
/// recording.drain(Duration::from_secs(1));
/// let tasks = recording.take();
/// assert!(matches!(&tasks[0].work, Work::Kernel { name, .. } if &**name == "nop"));
/// assert!(tasks[0].submitted_ns <= tasks[0].end_ns);
/// # Ok::<(), vinci::Error>(())
/// ```
#[derive(Debug)]
pub struct Recording(u64);

impl Recording {
    /// Begins.
    pub fn start() -> Result<Recording> {
        let driver = Driver::get()?;
        let offset = clock_offset(driver)?;
        Ok(Recording(BOOK.lock().begin(offset)))
    }

    /// The tasks that became complete since the last call, in the order in which they were submitted to their
    /// streams.
    pub fn take(&self) -> Vec<Task> {
        let mut book = BOOK.lock();
        book.sweep();
        book.take(self.0)
    }

    /// Waits until all tasks submitted so far are complete or dropped, at most for `limit`; whether they are.
    pub fn drain(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        loop {
            {
                let mut book = BOOK.lock();
                book.sweep();
                if !book.is_pending() {
                    return true;
                }
            }
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Tasks that were submitted since the start and of which there is nothing to tell: they were dropped, their
    /// stream faulted, or there was no memory for their stamps.
    pub fn lost(&self) -> u64 {
        BOOK.lock().lost(self.0)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !fork::is_child() {
            BOOK.lock().end(self.0);
        }
    }
}

thread_local! {
    static LABEL: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

/// Runs `work`; tasks that it submits on this thread carry `label`.
pub fn label<R>(label: Arc<str>, work: impl FnOnce() -> R) -> R {
    set_label(Some(label));
    let result = work();
    set_label(None);
    result
}

/// Makes `label` what later tasks of this thread carry.
pub fn set_label(label: Option<Arc<str>>) {
    LABEL.with(|own| *own.borrow_mut() = label);
}

fn current_label() -> Option<Arc<str>> {
    LABEL.with(|own| own.borrow().clone())
}

/// The host's CLOCK_MONOTONIC in ns: what wall times of tasks are given in.
pub fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// ns to add to the device's wall clock to get the host's; as exact as the quickest of some questions.
fn clock_offset(driver: &'static Driver) -> Result<i64> {
    let mut best = (u64::MAX, 0);
    for _ in 0..16 {
        let before = now_ns();
        let device = driver.sys.clock(0)?.wall_ns;
        let after = now_ns();
        let middle = before + (after - before) / 2;
        best = best.min((after - before, middle as i64 - device as i64));
    }
    Ok(best.1)
}

/// Asks for stamps of entries that are about to be submitted to `queue`, the first of them as number `first`.
#[cold]
pub(crate) fn stamp(driver: &'static Driver, queue: &Queue, first: u64, entries: &mut [Sqe]) {
    let (submitted_ns, label) = (now_ns(), current_label());
    // SAFETY: takes nothing and cannot fail.
    let thread = unsafe { libc::gettid() } as u32;
    for (n, sqe) in entries.iter_mut().enumerate() {
        let task = Task {
            stream: queue.stream(),
            die: queue.die(),
            entry: first + n as u64,
            work: book::work_of(driver, sqe, |id| kernel_name(driver, id)),
            label: label.clone(),
            thread,
            submitted_ns,
            start_ns: 0,
            end_ns: 0,
            model_start_ns: 0,
            model_end_ns: 0,
        };
        BOOK.lock().enter(driver, sqe, task);
    }
}

fn kernel_name(driver: &'static Driver, id: u64) -> Option<(Arc<str>, CoreType)> {
    static NAMES: Mutex<BTreeMap<u64, (Arc<str>, CoreType)>> = Mutex::new(BTreeMap::new());
    let mut names = NAMES.lock();
    if let Some(found) = names.get(&id) {
        return Some(found.clone());
    }
    let found = driver.kernels.read().values().find(|kernel| kernel.id() == id)?.describe();
    Some(names.entry(id).or_insert(found).clone())
}
