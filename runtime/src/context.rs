//! Contexts: a device together with its default stream, made current per thread.

use std::time::Duration;

use crate::{Device, Error, Result, Stream, StreamOptions};

/// A device, its default stream, and the streams made in it. Clones name the same context.
#[derive(Clone, Debug)]
pub struct Context(());

impl Context {
    /// Makes a context; does not make it current.
    pub fn new(_device: &Device) -> Result<Context> {
        Err(Error::NotSupported("Context::new"))
    }

    /// Its device.
    pub fn device(&self) -> Device {
        unreachable!("no Context can be had yet")
    }

    /// The stream for work that names none; made on first use.
    pub fn default_stream(&self) -> Result<Stream> {
        Err(Error::NotSupported("Context::default_stream"))
    }

    /// Makes a stream that belongs to the context.
    pub fn create_stream(&self, _options: StreamOptions) -> Result<Stream> {
        Err(Error::NotSupported("Context::create_stream"))
    }

    /// The live streams of the context, the default one included.
    pub fn streams(&self) -> Vec<Stream> {
        Vec::new()
    }

    /// Waits until all its streams are idle.
    pub fn synchronize(&self, _timeout: Option<Duration>) -> Result<()> {
        Err(Error::NotSupported("Context::synchronize"))
    }

    /// Makes it the calling thread's current context.
    pub fn set_current(&self) {}

    /// The calling thread's current context.
    pub fn current() -> Option<Context> {
        None
    }

    /// Leaves the calling thread without one.
    pub fn clear_current() {}
}
