//! Errors of operators: CANN's aclnnStatus codes, each with a sentence.

use crate::link;

/// Why an operator was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// A null pointer where an object is needed.
    #[error("argument {0} is a null pointer")]
    Null(&'static str),
    /// A handle that names nothing (any more), or something of another kind.
    #[error("argument {0} is not a live {1}")]
    Handle(&'static str, &'static str),
    /// Types, shapes or values that the operator does not take.
    #[error("{0}")]
    Invalid(String),
    /// The runtime refused; its own sentence is already set.
    #[error("the runtime answered {0}")]
    Runtime(i32),
    /// A defect of this library.
    #[error("internal error: {0}")]
    Inner(String),
}

/// Result inside this library.
pub type Result<T> = std::result::Result<T, OpError>;

/// An [`OpError::Invalid`] with a formatted sentence.
macro_rules! invalid {
    ($($arg:tt)*) => { $crate::error::OpError::Invalid(format!($($arg)*)) };
}
pub(crate) use invalid;

impl OpError {
    /// CANN's number.
    pub fn code(&self) -> i32 {
        match self {
            Self::Null(_) => 161_001,
            Self::Handle(..) | Self::Invalid(_) => 161_002,
            Self::Runtime(_) => 361_001,
            Self::Inner(_) => 561_000,
        }
    }
}

/// Turns the result of `name` into a status and sets the thread's error text; a panic becomes an inner error.
pub fn status(name: &str, f: impl FnOnce() -> Result<()>) -> i32 {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f))
        .unwrap_or_else(|_| Err(OpError::Inner("a panic was caught".into())));
    match result {
        Ok(()) => 0,
        Err(e) => {
            if !matches!(e, OpError::Runtime(_)) {
                link::set_error(e.code(), &format!("{name}: {e}"));
            }
            e.code()
        }
    }
}
