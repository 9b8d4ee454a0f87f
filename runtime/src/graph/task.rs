//! What a graph records: tasks, in lanes, with dependencies between them.

use std::sync::Weak;

use vinci_hw::sqe::Sqe;
use vinci_uapi::*;

use super::blob::Blob;
use crate::stream;
use crate::{DevicePtr, Event, Notify};

/// What a task of a graph is, for those who look at one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskType {
    /// A launch.
    Kernel,
    /// A copy.
    Copy,
    /// A fill.
    Fill,
    /// The record of an event.
    EventRecord,
    /// The wait for an event.
    EventWait,
    /// Raising a notify.
    NotifyRecord,
    /// Waiting for a notify and lowering it.
    NotifyWait,
    /// Storing a value.
    ValueWrite,
    /// Waiting for a value.
    ValueWait,
    /// A label, a switch, the activation of a lane, the end of a lane.
    Control,
}

/// A task as it was recorded.
pub(crate) struct Task {
    pub(super) kind: Kind,
    /// What the device is given, for [`Kind::Device`].
    pub(super) sqe: Sqe,
    /// The arguments that `sqe` points to.
    pub(super) blob: Option<Blob>,
    /// Keeps the word that `sqe` points to.
    pub(super) _keep: Option<Notify>,
    /// A task that is off is left out.
    pub(super) off: bool,
}

pub(super) enum Kind {
    /// The entry as it is.
    Device,
    /// Start and end of a dependency between two lanes.
    Record(usize),
    Wait(usize),
    /// An event that is known outside of the graph: as it is recorded when the graph is replayed.
    RecordEvent(Event),
    WaitEvent(Event, u64),
    /// A place that a switch can jump to.
    Label(u32),
    Switch(Switch),
    /// Starts the lane of another stream, by the stream's number.
    Activate(u32),
    /// The lane ends here.
    End,
}

/// A jump that depends on memory.
#[derive(Clone, Debug)]
pub(super) enum Switch {
    /// To one of `labels`, by the 32-bit word at `index`.
    Label { index: DevicePtr, labels: Vec<u32> },
    /// To the lane of stream `to` if the two numbers compare.
    Compare { left: DevicePtr, right: DevicePtr, condition: Condition, wide: bool, to: u32 },
}

/// How [`crate::Stream::switch_stream`] compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `left == right`
    Equal,
    /// `left != right`
    NotEqual,
    /// `left > right`
    Greater,
    /// `left >= right`
    GreaterOrEqual,
    /// `left < right`
    Less,
    /// `left <= right`
    LessOrEqual,
}

impl Condition {
    pub(super) fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Condition::Equal => left == right,
            Condition::NotEqual => left != right,
            Condition::Greater => left > right,
            Condition::GreaterOrEqual => left >= right,
            Condition::Less => left < right,
            Condition::LessOrEqual => left <= right,
        }
    }
}

impl Task {
    pub(super) fn of(kind: Kind) -> Task {
        Task { kind, sqe: vinci_hw::sqe::placeholder(), blob: None, _keep: None, off: false }
    }

    pub(super) fn task_type(&self) -> TaskType {
        match &self.kind {
            Kind::Device => match u32::from(self.sqe.opcode) {
                DRM_VINCI_OP_KERNEL => TaskType::Kernel,
                DRM_VINCI_OP_COPY => TaskType::Copy,
                DRM_VINCI_OP_FILL => TaskType::Fill,
                DRM_VINCI_OP_NOTIFY_RECORD => TaskType::NotifyRecord,
                DRM_VINCI_OP_NOTIFY_WAIT => TaskType::NotifyWait,
                DRM_VINCI_OP_WRITE_VALUE => TaskType::ValueWrite,
                _ => TaskType::ValueWait,
            },
            Kind::Record(_) | Kind::RecordEvent(_) => TaskType::EventRecord,
            Kind::Wait(_) | Kind::WaitEvent(..) => TaskType::EventWait,
            Kind::Label(_) | Kind::Switch(_) | Kind::Activate(_) | Kind::End => TaskType::Control,
        }
    }

    /// Whether it decides at run time what runs next.
    pub(super) fn branches(&self) -> bool {
        matches!(self.kind, Kind::Switch(_) | Kind::Activate(_))
    }
}

/// The tasks of one stream.
pub(crate) struct Lane {
    /// The stream's number.
    pub(super) stream: u32,
    pub(super) source: Weak<stream::Inner>,
    pub(super) priority: u32,
    /// Starts with the graph, not when it is activated.
    pub(super) head: bool,
    pub(super) tasks: Vec<Task>,
}

/// A record that other lanes may wait for.
pub(super) struct Dep {
    pub(super) lane: usize,
    /// The lanes that wait.
    pub(super) waiters: Vec<usize>,
}
