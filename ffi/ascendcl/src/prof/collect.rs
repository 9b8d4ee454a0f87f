//! Collecting: tasks from the runtime, calls from entry points, marks from the program.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use vinci::profile::{self, Recording, Task};

use super::{CALLS, Config, MSPROFTX, TASKS, TRAINING_TRACE};
use crate::code::Result;

/// How often complete tasks are fetched, so that their stamps can be used again.
const FETCH: Duration = Duration::from_millis(20);

/// A call of an entry point. Times are ns of CLOCK_MONOTONIC.
#[derive(Clone, Debug)]
pub struct Call {
    pub name: &'static str,
    pub thread: u32,
    pub begun: u64,
    pub ended: u64,
}

/// A mark or range of the program.
#[derive(Clone, Debug)]
pub struct Mark {
    /// What its task in a stream is labelled with.
    pub id: u64,
    /// "marker", "push/pop" or "start/end".
    pub kind: &'static str,
    pub message: String,
    pub domain: String,
    pub thread: u32,
    pub begun: u64,
    pub ended: u64,
}

/// An end of a step.
#[derive(Clone, Debug)]
pub struct Step {
    pub number: u64,
    pub device: u32,
    pub start: bool,
    pub at: u64,
}

/// What is kept for everybody who collects.
#[derive(Default)]
struct Log {
    calls: Vec<Call>,
    marks: Vec<Mark>,
    steps: Vec<Step>,
}

/// What a collection has come to.
pub struct Data {
    pub config: Arc<Config>,
    pub tasks: Vec<Task>,
    pub calls: Vec<Call>,
    pub marks: Vec<Mark>,
    pub steps: Vec<Step>,
    /// Tasks of which there is nothing to tell.
    pub lost: u64,
    /// Whether tasks were still running at the end.
    pub cut_short: bool,
    /// ns of CLOCK_MONOTONIC, and what to add to get ns since 1970.
    pub begun: u64,
    pub ended: u64,
    pub epoch: u64,
}

static LOG: Mutex<Log> = Mutex::new(Log { calls: Vec::new(), marks: Vec::new(), steps: Vec::new() });
/// Collections that want calls, and marks.
static CALL_READERS: AtomicU32 = AtomicU32::new(0);
static MARK_READERS: AtomicU32 = AtomicU32::new(0);

fn thread() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() as u32 }
}

fn observe(name: &'static str, begun: u64, ended: u64) {
    let is_own = ["vinci_", "aclprof", "mstx", "Msprof"].iter().any(|prefix| name.starts_with(prefix));
    if !is_own {
        LOG.lock().calls.push(Call { name, thread: thread(), begun, ended });
    }
}

fn want_calls(more: bool) {
    crate::observe::set(observe);
    let before = if more {
        CALL_READERS.fetch_add(1, Ordering::AcqRel)
    } else {
        CALL_READERS.fetch_sub(1, Ordering::AcqRel)
    };
    crate::observe::turn(more || before > 1);
}

/// True if somebody wants marks.
pub fn wants_marks() -> bool {
    MARK_READERS.load(Ordering::Relaxed) > 0
}

/// Keeps a mark.
pub fn keep(mark: Mark) {
    LOG.lock().marks.push(mark);
}

/// Keeps an end of a step.
pub fn keep_step(step: Step) {
    LOG.lock().steps.push(step);
}

/// The calling thread's number and the time.
pub fn here() -> (u32, u64) {
    (thread(), profile::now_ns())
}

/// True if somebody wants to know which operator launches.
pub fn wants_operators() -> bool {
    READERS.load(Ordering::Relaxed) > 0
}

/// All collections and subscriptions.
static READERS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static OPERATOR: RefCell<Option<(&'static str, u64)>> = const { RefCell::new(None) };
}

/// Names of operators, which live as long as the process: there are as many as functions.
fn intern(name: &str) -> (&'static str, Arc<str>) {
    static NAMES: Mutex<Vec<(&'static str, Arc<str>)>> = Mutex::new(Vec::new());
    let mut names = NAMES.lock();
    if let Some(found) = names.iter().find(|known| known.0 == name) {
        return found.clone();
    }
    let new = (&*String::from(name).leak(), Arc::from(name));
    names.push(new);
    names[names.len() - 1].clone()
}

/// Launches of this thread are the operator's from here on.
pub fn operator_begin(name: &str) {
    let (name, label) = intern(name);
    profile::set_label(Some(label));
    OPERATOR.with(|own| *own.borrow_mut() = Some((name, profile::now_ns())));
}

/// The operator has launched everything.
pub fn operator_end() {
    profile::set_label(None);
    if let Some((name, begun)) = OPERATOR.with(|own| own.borrow_mut().take())
        && CALL_READERS.load(Ordering::Relaxed) > 0
    {
        observe(name, begun, profile::now_ns());
    }
}

/// Fetches tasks until it is dropped.
pub struct Fetcher {
    recording: Arc<Recording>,
    tasks: Arc<Mutex<Vec<Task>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Fetcher {
    /// `each` sees what comes before it is kept.
    pub fn start(mut each: impl FnMut(Vec<Task>) -> Vec<Task> + Send + 'static) -> Result<Fetcher> {
        let recording = Arc::new(Recording::start()?);
        let (tasks, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (from, to, stopped) = (recording.clone(), tasks.clone(), stop.clone());
        let fetch = move || {
            loop {
                let last = stopped.load(Ordering::Acquire);
                to.lock().append(&mut each(from.take()));
                if last {
                    return;
                }
                std::thread::park_timeout(FETCH);
            }
        };
        let thread = std::thread::Builder::new().name("vinci-prof".into()).spawn(fetch);
        let thread = thread.map_err(|e| crate::code::Failure::new(crate::code::FAILURE, e.to_string()))?;
        READERS.fetch_add(1, Ordering::AcqRel);
        Ok(Fetcher { recording, tasks, stop, thread: Some(thread) })
    }

    /// Waits for what was submitted; the tasks, how many are lost, and whether some still run.
    pub fn finish(mut self, limit: Duration) -> (Vec<Task>, u64, bool) {
        let all = self.recording.drain(limit);
        self.end();
        (std::mem::take(&mut *self.tasks.lock()), self.recording.lost(), !all)
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            READERS.fetch_sub(1, Ordering::AcqRel);
            self.stop.store(true, Ordering::Release);
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.end();
    }
}

/// From aclprofStart to aclprofStop.
pub struct Collection {
    pub config: Arc<Config>,
    fetcher: Fetcher,
    begun: u64,
    epoch: u64,
}

impl Collection {
    pub fn start(config: Arc<Config>) -> Result<Collection> {
        let fetcher = Fetcher::start(|tasks| tasks)?;
        if config.data & CALLS != 0 {
            want_calls(true);
        }
        if config.data & (MSPROFTX | TRAINING_TRACE) != 0 {
            MARK_READERS.fetch_add(1, Ordering::AcqRel);
        }
        let begun = profile::now_ns();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let epoch = (now.unwrap_or_default().as_nanos() as u64).saturating_sub(begun);
        Ok(Collection { config, fetcher, begun, epoch })
    }

    /// Ends it, after the tasks that were submitted.
    pub fn finish(self, limit: Duration) -> Data {
        let Collection { config, fetcher, begun, epoch } = self;
        let (mut tasks, lost, cut_short) = fetcher.finish(limit);
        let ended = profile::now_ns();
        if config.data & CALLS != 0 {
            want_calls(false);
        }
        if config.data & (MSPROFTX | TRAINING_TRACE) != 0 {
            MARK_READERS.fetch_sub(1, Ordering::AcqRel);
        }
        tasks.retain(|task| config.devices.contains(&task.die));
        if config.data & (TASKS | MSPROFTX) == 0 {
            tasks.clear();
        }
        let mut log = LOG.lock();
        let within = |at: u64| begun <= at && at <= ended;
        let data = Data {
            calls: log
                .calls
                .iter()
                .filter(|c| config.data & CALLS != 0 && within(c.begun))
                .cloned()
                .collect(),
            marks: log
                .marks
                .iter()
                .filter(|m| config.data & MSPROFTX != 0 && within(m.begun))
                .cloned()
                .collect(),
            steps: log.steps.iter().filter(|s| within(s.at)).cloned().collect(),
            config,
            tasks,
            lost,
            cut_short,
            begun,
            ended,
            epoch,
        };
        if READERS.load(Ordering::Acquire) == 0 {
            *log = Log::default();
        }
        data
    }
}
