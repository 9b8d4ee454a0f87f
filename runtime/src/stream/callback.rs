//! Host functions in a stream, and who calls them.

use std::time::Duration;

use crate::{Error, Result};

/// Whether a stream waits for a callback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blocking {
    /// Later work waits until the callback returned.
    #[default]
    Block,
    /// Later work goes on.
    NoBlock,
}

/// A place where callbacks wait for a thread of the program. Clones name the same one.
#[derive(Clone, Debug)]
pub struct Reporter(());

impl Reporter {
    /// A reporter without callbacks.
    pub fn new() -> Reporter {
        Reporter(())
    }

    /// Runs the oldest callback that is due on the calling thread; waits for one if there is none.
    /// [`Error::Timeout`] if none came in time.
    pub fn process(&self, _timeout: Option<Duration>) -> Result<()> {
        Err(Error::NotSupported("Reporter::process"))
    }
}

impl Default for Reporter {
    fn default() -> Self {
        Self::new()
    }
}
