//! Contexts: a device together with its streams, made current per thread.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::driver::Driver;
use crate::stream::Inner as StreamInner;
use crate::{Device, Error, Result, Stream, StreamOptions, fork};

/// A device, its default stream, and the streams made in it. Clones name the same context.
///
/// ```
/// # use vinci::{Context, Device, StreamOptions};
/// let context = Context::new(&Device::get(0)?)?;
/// context.set_current();
/// let stream = Context::current().unwrap().create_stream(StreamOptions::default())?;
/// assert_eq!(stream.device().ordinal(), 0);
/// # Ok::<(), vinci::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Context(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    device: Device,
    streams: Mutex<Streams>,
}

#[derive(Debug, Default)]
struct Streams {
    default: Option<Stream>,
    others: Vec<Weak<StreamInner>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

impl Context {
    /// Makes a context; does not make it current.
    pub fn new(device: &Device) -> Result<Context> {
        Driver::get()?;
        Ok(Context(Arc::new(Inner { device: *device, streams: Mutex::default() })))
    }

    /// Its device.
    pub fn device(&self) -> Device {
        self.0.device
    }

    /// The stream for work that names none; made on first use.
    pub fn default_stream(&self) -> Result<Stream> {
        fork::check()?;
        let mut streams = self.0.streams.lock();
        match &streams.default {
            Some(stream) => Ok(stream.clone()),
            None => {
                let stream = Stream::new(&self.0.device, StreamOptions::default())?;
                Ok(streams.default.insert(stream).clone())
            }
        }
    }

    /// Makes a stream that belongs to the context.
    pub fn create_stream(&self, options: StreamOptions) -> Result<Stream> {
        fork::check()?;
        let stream = Stream::new(&self.0.device, options)?;
        let mut streams = self.0.streams.lock();
        streams.others.retain(|other| other.strong_count() > 0);
        streams.others.push(Arc::downgrade(&stream.0));
        Ok(stream)
    }

    /// The live streams of the context, the default one included.
    pub fn streams(&self) -> Vec<Stream> {
        if fork::is_child() {
            return Vec::new();
        }
        let streams = self.0.streams.lock();
        let others = streams.others.iter().filter_map(Weak::upgrade).map(Stream);
        streams.default.iter().cloned().chain(others).collect()
    }

    /// Waits until all its streams are idle.
    pub fn synchronize(&self, timeout: Option<Duration>) -> Result<()> {
        fork::check()?;
        let start = Instant::now();
        for stream in self.streams() {
            let left = timeout.map(|t| t.saturating_sub(start.elapsed()));
            match stream.synchronize(left) {
                // Destroyed since the list was made.
                Err(Error::InvalidHandle { .. }) => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Makes it the calling thread's current context.
    pub fn set_current(&self) {
        CURRENT.set(Some(self.clone()));
    }

    /// The calling thread's current context.
    pub fn current() -> Option<Context> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Leaves the calling thread without one.
    pub fn clear_current() {
        CURRENT.set(None);
    }
}

impl PartialEq for Context {
    fn eq(&self, other: &Context) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Context {}
