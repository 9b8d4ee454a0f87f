//! What can go wrong, as values: each variant names the operation, the object and the numbers.

use std::time::Duration;

use vinci_driver::Errno;
use vinci_uapi::*;

/// The result of every call of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed. `Display` is a sentence for a person; the variant is for a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A handle or address that names nothing: never made, destroyed or freed already.
    #[error("{op}: {handle:#x} is not a live {what}")]
    InvalidHandle {
        /// What was asked.
        op: &'static str,
        /// What the handle should have named.
        what: &'static str,
        /// The handle or address.
        handle: u64,
    },
    /// An argument that can never be right.
    #[error("{op}: {what}")]
    InvalidValue {
        /// What was asked.
        op: &'static str,
        /// What is wrong with it, with the numbers.
        what: String,
    },
    /// The die has no room.
    #[error("die {die} has no {asked} bytes of memory left ({free} of its bytes are free)")]
    OutOfMemory {
        /// The die.
        die: u32,
        /// Bytes asked for.
        asked: u64,
        /// Bytes free on the die.
        free: u64,
    },
    /// The time ran out before the work was done; the work goes on.
    #[error("{op}: not done after {waited:?}")]
    Timeout {
        /// What was waited for.
        op: &'static str,
        /// How long.
        waited: Duration,
    },
    /// A query found work outstanding, or an event not recorded yet.
    #[error("{op}: not ready")]
    NotReady {
        /// What was asked.
        op: &'static str,
    },
    /// The device stopped the stream.
    #[error("{0}")]
    Fault(Box<Fault>),
    /// A reset took the die, and with it the stream.
    #[error("{op}: die {die} was reset and the stream is lost")]
    DeviceLost {
        /// What was asked.
        op: &'static str,
        /// The die.
        die: u32,
    },
    /// There is no device, or none with this number.
    #[error("{0}")]
    NoDevice(String),
    /// Memory of one die was to be reached from another without leave.
    #[error("die {from} has no peer access to die {to}; enable it first")]
    PeerNotEnabled {
        /// The die that runs the work.
        from: u32,
        /// The die whose memory it names.
        to: u32,
    },
    /// Peer access is on already, or was not on.
    #[error("{op}: peer access of die {from} to die {to} is {state} already")]
    PeerState {
        /// What was asked.
        op: &'static str,
        /// The die that would access.
        from: u32,
        /// The die whose memory it is.
        to: u32,
        /// "on" or "off".
        state: &'static str,
    },
    /// Processes share what is on a device that is not their own: one that is served, or a kernel's.
    #[error("{op}: the device is part of this process; processes share one behind `vinci serve`")]
    NotShared {
        /// What was asked.
        op: &'static str,
    },
    /// The process that exported something did not do so for this one.
    #[error("{op}: the process that exported it does not let process {} have it", std::process::id())]
    NotAllowed {
        /// What was asked.
        op: &'static str,
    },
    /// Another process could not be reached, or is not to be believed.
    #[error("{op}: {what}")]
    Ipc {
        /// What was asked.
        op: &'static str,
        /// What went wrong.
        what: String,
    },
    /// Not in this version.
    #[error("{0} is not supported")]
    NotSupported(&'static str),
    /// The process forked after it opened the device; a device belongs to one process.
    #[error("the device was opened before fork(); open it in the child after exec() instead")]
    Forked,
    /// The host memory is registered already.
    #[error("register_host: {addr:#x}..{:#x} overlaps memory that is registered already", addr + bytes)]
    AlreadyRegistered {
        /// Start of the memory.
        addr: u64,
        /// Its bytes.
        bytes: u64,
    },
    /// The object is in use.
    #[error("{op}: {what} is in use")]
    Busy {
        /// What was asked.
        op: &'static str,
        /// What is in use.
        what: String,
    },
    /// Not while the work of a stream is recorded, or only then.
    #[error("{op}: {what}")]
    Capture {
        /// What was asked.
        op: &'static str,
        /// Why not.
        why: CaptureError,
        /// The sentence, with the objects.
        what: String,
    },
    /// The driver refused for a reason that none of the above covers.
    #[error("{op}: {errno}")]
    Driver {
        /// What was asked.
        op: &'static str,
        /// The driver's answer; as a number it is the errno.
        errno: Errno,
    },
}

impl Error {
    pub(crate) fn capture(op: &'static str, why: CaptureError, what: impl Into<String>) -> Self {
        Self::Capture { op, why, what: what.into() }
    }

    pub(crate) fn value(op: &'static str, what: impl Into<String>) -> Self {
        Self::InvalidValue { op, what: what.into() }
    }
}

/// Why recording and asking do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CaptureError {
    /// The stream records.
    StreamCaptured,
    /// The event was recorded in a stream that records.
    EventCaptured,
    /// The graph is not complete yet.
    GraphCaptured,
    /// The stream does not record.
    NotCaptured,
    /// The stream records for a graph that was begun in another stream.
    NotOrigin,
    /// The event to wait for was not recorded in the same graph.
    Dependency,
    /// A stream that joined the recording was not joined back.
    Unjoined,
    /// Stream and event belong to different graphs.
    Conflict,
    /// An error before this one spoilt the graph.
    Invalidated,
    /// A task group is open that should not be, or the other way round.
    Group,
    /// Work for another stream while a task group is open.
    GroupInterrupted,
    /// The new tasks of a group are not of the number and types of the old.
    Mismatch,
    /// The work reads or writes pageable host memory.
    Pageable,
    /// The graph is being replayed.
    Running,
}

/// Why the device stopped a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultCause {
    /// No mapping at the address, or not for this access.
    Address,
    /// A queue entry is malformed.
    Entry,
    /// Unknown kernel, or arguments that it cannot take.
    Kernel,
    /// The kernel raised an exception.
    Exception,
    /// The kernel or a wait ran past its time.
    Timeout,
    /// Uncorrectable memory error.
    Ecc,
    /// The link between the dies is down.
    Link,
    /// Peer access was not enabled.
    Peer,
    /// A cause this version does not know.
    Other(u32),
}

/// The device's record of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Why.
    pub cause: FaultCause,
    /// Number of the stream ([`crate::Stream::id`]).
    pub stream: u32,
    /// Number of the task in the stream, from 1.
    pub task: u64,
    /// Die it happened on.
    pub die: u32,
    /// AI core, unless it was the scheduler or a copy engine.
    pub core: Option<u32>,
    /// Device address, where there is one.
    pub address: u64,
    /// Bytes of the access.
    pub size: u64,
    /// True if the access was a write.
    pub write: bool,
    /// Id of the kernel, or 0.
    pub kernel: u64,
    /// The device's wall clock when it happened.
    pub wall_ns: u64,
    /// The device's own sentence.
    pub text: String,
}

impl Fault {
    /// From the driver's record; `stream` is the runtime's number for the queue.
    pub(crate) fn from_record(raw: &drm_vinci_fault, stream: u32) -> Fault {
        Fault {
            cause: match raw.cause {
                DRM_VINCI_FAULT_ADDRESS => FaultCause::Address,
                DRM_VINCI_FAULT_ENTRY => FaultCause::Entry,
                DRM_VINCI_FAULT_KERNEL => FaultCause::Kernel,
                DRM_VINCI_FAULT_EXCEPTION => FaultCause::Exception,
                DRM_VINCI_FAULT_TIMEOUT => FaultCause::Timeout,
                DRM_VINCI_FAULT_ECC => FaultCause::Ecc,
                DRM_VINCI_FAULT_LINK => FaultCause::Link,
                DRM_VINCI_FAULT_PEER => FaultCause::Peer,
                other => FaultCause::Other(other),
            },
            stream,
            task: raw.entry,
            die: raw.die,
            core: (raw.core != u32::MAX).then_some(raw.core),
            address: raw.address,
            size: raw.size,
            write: raw.write != 0,
            kernel: raw.kernel,
            wall_ns: raw.wall_ns,
            text: crate::driver::text(&raw.text),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stream {} stopped at task {} on die {}", self.stream, self.task, self.die)?;
        if let Some(core) = self.core {
            write!(f, ", core {core}")?;
        }
        write!(f, ": {:?}", self.cause)?;
        if self.size != 0 {
            let access = if self.write { "write" } else { "read" };
            write!(f, ", {access} of {} bytes at {:#x}", self.size, self.address)?;
        }
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}
