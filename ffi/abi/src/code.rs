//! The error codes of CANN that these libraries return, and how the runtime's errors become them.

use vinci::{CaptureError, Error, FaultCause};

/// Why a call failed: CANN's code and a sentence.
#[derive(Debug)]
pub struct Failure {
    /// For the program.
    pub code: i32,
    /// For who reads the log.
    pub text: String,
}

/// What an entry point's body answers.
pub type Result<T> = std::result::Result<T, Failure>;

macro_rules! codes {
    ($($name:ident = $value:literal),* $(,)?) => {
        $(#[doc = concat!("`ACL_ERROR_", stringify!($name), "`")] pub const $name: i32 = $value;)*
    };
}

codes! {
    INVALID_PARAM = 100000,
    UNINITIALIZE = 100001,
    REPEAT_INITIALIZE = 100002,
    INVALID_FILE = 100003,
    WRITE_FILE = 100004,
    PARSE_FILE = 100006,
    INVALID_QUEUE_ID = 100032,
    INVALID_DUMP_CONFIG = 100009,
    REPEAT_FINALIZE = 100037,
    PROF_ALREADY_RUN = 100042,
    PROF_NOT_RUN = 100043,
    DUMP_NOT_RUN = 100045,
    PROF_REPEAT_SUBSCRIBE = 148046,
    PROF_API_CONFLICT = 148047,
    FEATURE_UNSUPPORTED = 200006,
    INTERNAL_ERROR = 500000,
    PROFILING_FAILURE = 500005,
    FAILURE = 500001,
    RT_PARAM_INVALID = 107000,
    RT_INVALID_DEVICEID = 107001,
    RT_CONTEXT_NULL = 107002,
    RT_STREAM_CONTEXT = 107003,
    RT_MODEL_CONTEXT = 107004,
    RT_STREAM_MODEL = 107005,
    RT_EVENT_TIMESTAMP_INVALID = 107006,
    RT_EVENT_TIMESTAMP_REVERSAL = 107007,
    RT_ADDR_UNALIGNED = 107008,
    RT_FILE_OPEN = 107009,
    RT_FILE_WRITE = 107010,
    RT_STREAM_SUBSCRIBE = 107011,
    RT_THREAD_SUBSCRIBE = 107012,
    RT_STREAM_NO_CB_REG = 107015,
    RT_INVALID_HANDLE = 107017,
    RT_SYSPARAMOPT_NOT_SET = 107021,
    RT_DEVICE_TASK_ABORT = 107022,
    RT_CAPTURE_DEPENDENCY = 107024,
    RT_STREAM_UNJOINED = 107025,
    RT_MODEL_CAPTURED = 107026,
    RT_STREAM_CAPTURED = 107027,
    RT_EVENT_CAPTURED = 107028,
    RT_STREAM_NOT_CAPTURED = 107029,
    RT_CAPTURE_MODE_NOT_SUPPORT = 107030,
    RT_STREAM_CAPTURE_IMPLICIT = 107031,
    STREAM_CAPTURE_CONFLICT = 107032,
    STREAM_TASK_GROUP_STATUS = 107033,
    STREAM_TASK_GROUP_INTR = 107034,
    RT_STREAM_CAPTURE_UNMATCHED = 107036,
    RT_MODEL_RUNNING = 107037,
    RT_STREAM_CAPTURE_WRONG_THREAD = 107038,
    RT_INSUFFICIENT_INPUT_ARRAY = 107039,
    RT_MODEL_UPDATE_FAILED = 107040,
    RT_CAPTURE_MODE_BLOCK_ASYNC = 107041,
    RT_FEATURE_NOT_SUPPORT = 207000,
    RT_MEMORY_ALLOCATION = 207001,
    RT_NO_DEVICE = 207004,
    RT_NO_PERMISSION = 207006,
    RT_QUEUE_EMPTY = 207013,
    RT_QUEUE_FULL = 207014,
    RT_TS_ERROR = 507001,
    RT_STREAM_NOT_COMPLETE = 507004,
    RT_MODEL_EXECUTE = 507011,
    RT_REPORT_TIMEOUT = 507012,
    RT_SYS_DMA = 507013,
    RT_AICORE_TIMEOUT = 507014,
    RT_AICORE_EXCEPTION = 507015,
    RT_STREAM_SYNC_TIMEOUT = 507046,
    RT_EVENT_SYNC_TIMEOUT = 507047,
    RT_HBM_MULTI_BIT_ECC_ERROR = 507054,
    RT_LINK_ERROR = 507056,
    RT_DRV_INTERNAL_ERROR = 507899,
    RT_STREAM_CAPTURE_INVALIDATED = 507903,
    HOST_MEMORY_ALREADY_REGISTERED = 507910,
    HOST_MEMORY_NOT_REGISTERED = 507911,
}

impl Failure {
    /// A code and a sentence.
    pub fn new(code: i32, text: impl Into<String>) -> Failure {
        Failure { code, text: text.into() }
    }

    /// The same failure under another code.
    pub fn code(self, code: i32) -> Failure {
        Failure { code, ..self }
    }
}

/// An argument that can never be right, as the layer under AscendCL reports it.
pub fn invalid(text: impl Into<String>) -> Failure {
    Failure::new(RT_PARAM_INVALID, text)
}

/// The failure of an operation on memory. An address is an argument and not a handle, so CANN calls one that names
/// nothing an invalid parameter.
pub fn of_memory(error: Error) -> Failure {
    let failure = Failure::from(error);
    if failure.code == RT_INVALID_HANDLE { failure.code(RT_PARAM_INVALID) } else { failure }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::new(code_of(&error), error.to_string())
    }
}

fn code_of(error: &Error) -> i32 {
    match error {
        Error::InvalidHandle { .. } => RT_INVALID_HANDLE,
        Error::InvalidValue { .. } | Error::PeerState { .. } | Error::Busy { .. } => RT_PARAM_INVALID,
        Error::OutOfMemory { .. } => RT_MEMORY_ALLOCATION,
        Error::Timeout { .. } => RT_STREAM_SYNC_TIMEOUT,
        Error::NotReady { .. } => RT_STREAM_NOT_COMPLETE,
        Error::Fault(fault) => fault_code(fault),
        Error::DeviceLost { .. } => RT_DEVICE_TASK_ABORT,
        Error::NoDevice(_) => RT_NO_DEVICE,
        Error::PeerNotEnabled { .. } | Error::NotAllowed { .. } => RT_NO_PERMISSION,
        Error::NotSupported(_) | Error::NotShared { .. } => RT_FEATURE_NOT_SUPPORT,
        Error::AlreadyRegistered { .. } => HOST_MEMORY_ALREADY_REGISTERED,
        Error::Capture { why, .. } => capture_code(*why),
        Error::Forked | Error::Driver { .. } | Error::Ipc { .. } => RT_DRV_INTERNAL_ERROR,
    }
}

fn capture_code(why: CaptureError) -> i32 {
    match why {
        CaptureError::StreamCaptured => RT_STREAM_CAPTURED,
        CaptureError::EventCaptured => RT_EVENT_CAPTURED,
        CaptureError::GraphCaptured => RT_MODEL_CAPTURED,
        CaptureError::NotCaptured => RT_STREAM_NOT_CAPTURED,
        CaptureError::NotOrigin => RT_STREAM_CAPTURE_UNMATCHED,
        CaptureError::Dependency => RT_CAPTURE_DEPENDENCY,
        CaptureError::Unjoined => RT_STREAM_UNJOINED,
        CaptureError::Conflict => STREAM_CAPTURE_CONFLICT,
        CaptureError::Invalidated => RT_STREAM_CAPTURE_INVALIDATED,
        CaptureError::Group => STREAM_TASK_GROUP_STATUS,
        CaptureError::GroupInterrupted => STREAM_TASK_GROUP_INTR,
        CaptureError::Mismatch => RT_MODEL_UPDATE_FAILED,
        CaptureError::Running => RT_MODEL_RUNNING,
        _ => RT_PARAM_INVALID,
    }
}

/// What CANN calls a fault. Without a kernel it was a copy engine or the scheduler.
pub fn fault_code(fault: &vinci::Fault) -> i32 {
    match fault.cause {
        FaultCause::Ecc => RT_HBM_MULTI_BIT_ECC_ERROR,
        FaultCause::Link => RT_LINK_ERROR,
        FaultCause::Timeout => RT_AICORE_TIMEOUT,
        FaultCause::Kernel | FaultCause::Exception => RT_AICORE_EXCEPTION,
        FaultCause::Address if fault.kernel != 0 || fault.core.is_some() => RT_AICORE_EXCEPTION,
        FaultCause::Address | FaultCause::Peer => RT_SYS_DMA,
        _ => RT_TS_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_keep_their_sentence() {
        let failure = Failure::from(Error::OutOfMemory { die: 1, asked: 10, free: 5 });
        assert_eq!(failure.code, 207001);
        assert!(failure.text.contains("die 1") && failure.text.contains("10"), "{}", failure.text);
    }
}
