//! Graphs: work of streams that is recorded once and replayed at little cost.
//!
//! A stream records from [`Stream::begin_capture`] to [`Stream::end_capture`]; other streams join when they wait
//! for an event that was recorded in it, and must be joined back in the same way. Or a graph is put together
//! from streams that are bound to it ([`Graph::new`], [`Graph::bind`], [`Graph::finish`]); such a graph can
//! branch ([`Stream::switch_label`], [`Stream::switch_stream`]).
//!
//! A complete graph holds ready queue entries and, in memory of its own that the device reads, the arguments
//! they point to. A replay copies the entries into rings, in batches, and changes nothing but the values of the
//! events between its lanes.

mod blob;
mod control;
mod describe;
mod program;
mod record;
mod replay;
mod signal;
mod task;
mod update;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;

pub(crate) use replay::Lanes;
pub use task::{Condition, TaskType};
pub(crate) use update::Update;

use crate::device::Die;
use crate::driver::Driver;
use crate::error::CaptureError;
use crate::{Device, Error, Result, Stream, fork};
use blob::Blobs;
use program::Program;
use record::{Group, OpenGroup};
use signal::Signals;
use task::{Dep, Kind, Lane};

/// A graph of tasks. Clones name the same graph; it can be used from any thread.
///
/// ```
/// # use vinci::{Buffer, Device, Stream, StreamOptions};
/// let device = Device::get(0)?;
/// let stream = Stream::new(&device, StreamOptions::default())?;
/// let (a, b) = (Buffer::<u8>::new(&device, 64)?, Buffer::<u8>::new(&device, 64)?);
/// stream.begin_capture()?;
/// stream.copy_async(b.ptr().into(), a.ptr().into(), 64)?;
/// let graph = stream.end_capture()?;
/// for value in 1..4 {
///     stream.memset_async(a.ptr().into(), value, 64)?;
///     graph.replay(&stream)?;
///     stream.synchronize(None)?;
///     assert_eq!(b.to_vec()?, [value; 64]);
/// }
/// # Ok::<(), vinci::Error>(())
/// ```
#[derive(Clone)]
pub struct Graph(pub(crate) Arc<Inner>);

/// Tasks of a graph that can be exchanged: see [`Stream::begin_update`].
#[derive(Clone)]
pub struct TaskGroup {
    graph: Weak<Inner>,
    index: usize,
}

/// A place in a graph that a switch can jump to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label(u32);

/// The tasks that a graph recorded from one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneInfo {
    /// Number of the stream.
    pub stream: u32,
    /// Its tasks in order.
    pub tasks: Vec<TaskType>,
}

/// Where a graph comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Captured,
    Built,
}

pub(crate) struct Inner {
    id: u32,
    driver: &'static Driver,
    die: &'static Die,
    origin: Origin,
    /// Events that were recorded in it are its own for as long as this is set.
    recording: AtomicBool,
    state: Mutex<State>,
    /// What its lanes tell each other; made when it is complete.
    signals: OnceLock<Signals>,
    name: Mutex<String>,
}

/// How far the making of a graph is.
enum Phase {
    Recording,
    /// Spoilt, and by what.
    Invalid(String),
    Ready,
}

struct State {
    phase: Phase,
    lanes: Vec<Lane>,
    deps: Vec<Dep>,
    /// Lane and index of the tasks as they were recorded.
    order: Vec<(u32, u32)>,
    blobs: Blobs,
    groups: Vec<Group>,
    open_group: Option<OpenGroup>,
    program: Option<Program>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Graph({} on die {})", self.id, self.die.ordinal)
    }
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Debug for TaskGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TaskGroup({})", self.index)
    }
}

impl PartialEq for Graph {
    fn eq(&self, other: &Graph) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Label {
    /// A label that is set nowhere yet.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Label {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Label(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Inner {
    pub(crate) fn new(die: &'static Die, origin: Origin) -> Result<Arc<Inner>> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let state = State {
            phase: Phase::Recording,
            lanes: Vec::new(),
            deps: Vec::new(),
            order: Vec::new(),
            blobs: Blobs::default(),
            groups: Vec::new(),
            open_group: None,
            program: None,
        };
        Ok(Arc::new(Inner {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            driver: Driver::get()?,
            die,
            origin,
            recording: AtomicBool::new(true),
            state: Mutex::new(state),
            signals: OnceLock::new(),
            name: Mutex::new(String::new()),
        }))
    }

    /// True while work is recorded.
    pub(crate) fn is_recording(&self) -> bool {
        self.recording.load(Ordering::Acquire)
    }

    pub(crate) fn is_valid(&self) -> bool {
        !matches!(self.state.lock().phase, Phase::Invalid(_))
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }
}

impl Graph {
    /// An empty graph on a die, to bind streams to.
    pub fn new(device: &Device) -> Result<Graph> {
        Ok(Graph(Inner::new(device.die(), Origin::Built)?))
    }

    /// Its number, unique in the process.
    pub fn id(&self) -> u32 {
        self.0.id
    }

    /// Its die.
    pub fn device(&self) -> Device {
        Device::of(self.0.die)
    }

    /// True if it was captured, false if it was put together from bound streams.
    pub fn is_captured(&self) -> bool {
        self.0.origin == Origin::Captured
    }

    /// True once it can be replayed.
    pub fn is_complete(&self) -> bool {
        matches!(self.0.state.lock().phase, Phase::Ready)
    }

    /// Free for the caller's own use.
    pub fn name(&self) -> String {
        self.0.name.lock().clone()
    }

    /// See [`Graph::name`].
    pub fn set_name(&self, name: &str) {
        *self.0.name.lock() = name.to_owned();
    }

    /// Work of `stream` becomes a lane of this graph, until [`Graph::unbind`]. With `head` the lane starts with
    /// the graph, otherwise when it is activated or switched to.
    pub fn bind(&self, stream: &Stream, head: bool) -> Result<()> {
        fork::check()?;
        let op = "bind stream";
        self.check_built(op)?;
        self.0.join(op, stream, head)
    }

    /// Work of `stream` runs again when it is submitted.
    pub fn unbind(&self, stream: &Stream) -> Result<()> {
        let op = "unbind stream";
        self.check_built(op)?;
        self.lane_of(op, stream)?;
        stream.0.release(&self.0);
        Ok(())
    }

    /// [`Graph::unbind`] for all streams.
    pub fn unbind_all(&self) {
        let sources: Vec<_> = self.0.state.lock().lanes.iter().map(|lane| lane.source.clone()).collect();
        sources.into_iter().filter_map(|source| source.upgrade()).for_each(|source| source.release(&self.0));
    }

    /// The lane of `stream` ends here.
    pub fn end_lane(&self, stream: &Stream) -> Result<()> {
        let op = "end lane";
        self.check_built(op)?;
        let lane = self.lane_of(op, stream)?;
        self.0.push_kind(lane, op, Kind::End)
    }

    /// Completes a graph that was put together from streams.
    pub fn finish(&self) -> Result<()> {
        let op = "finish graph";
        self.check_built(op)?;
        self.0.end(op)
    }

    fn check_built(&self, op: &'static str) -> Result<()> {
        match self.0.origin {
            Origin::Built => Ok(()),
            Origin::Captured => Err(Error::value(op, format!("graph {} was captured", self.0.id))),
        }
    }

    fn lane_of(&self, op: &'static str, stream: &Stream) -> Result<usize> {
        match stream.lane() {
            Some(found) if Arc::ptr_eq(&found.graph, &self.0) => Ok(found.lane),
            _ => {
                let text = format!("stream {} is not bound to graph {}", stream.id(), self.0.id);
                Err(Error::capture(op, CaptureError::NotCaptured, text))
            }
        }
    }
}

impl TaskGroup {
    /// The graph, if it is still there.
    pub fn graph(&self) -> Option<Graph> {
        self.graph.upgrade().map(Graph)
    }
}
