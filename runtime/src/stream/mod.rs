//! Streams: work of a die, in order.

mod callback;

use std::time::Duration;

pub use callback::{Blocking, Reporter};

use crate::{Addr, Device, DevicePtr, Error, Event, Fault, Kernel, Notify, Result};

/// How a stream is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamOptions {
    /// 0 (highest) to 7.
    pub priority: u32,
    /// Free for the caller's own use.
    pub flags: u32,
}

/// The shape of a two-dimensional copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Bytes of a row.
    pub width: u64,
    /// How many rows.
    pub height: u64,
}

/// Comparison of [`Stream::wait_value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `(word - value) as i64 >= 0`
    Geq,
    /// `word == value`
    Eq,
    /// `word & value != 0`
    And,
    /// `!(word | value) != 0`
    Nor,
}

/// A stream. Clones name the same stream; it can be used from any thread.
#[derive(Clone, Debug)]
pub struct Stream(());

impl Stream {
    /// Makes a stream on a die. The device's queue is made with the first work.
    pub fn new(_device: &Device, _options: StreamOptions) -> Result<Stream> {
        Err(Error::NotSupported("Stream::new"))
    }

    /// Its number, unique in the process and never reused.
    pub fn id(&self) -> u32 {
        0
    }

    /// Its die.
    pub fn device(&self) -> Device {
        unreachable!("no Stream can be had yet")
    }

    /// How it was made.
    pub fn options(&self) -> StreamOptions {
        StreamOptions::default()
    }

    /// Launches `kernel` on `blocks` blocks. `args` are copied.
    pub fn launch(&self, _kernel: &Kernel, _blocks: u32, _args: &[u8]) -> Result<()> {
        Err(Error::NotSupported("Stream::launch"))
    }

    /// Copies `bytes` from `src` to `dst`. With pageable host memory the call returns when the host memory
    /// may be used again.
    pub fn copy_async(&self, _dst: Addr, _src: Addr, _bytes: u64) -> Result<()> {
        Err(Error::NotSupported("Stream::copy_async"))
    }

    /// Copies rows.
    pub fn copy_2d_async(
        &self,
        _dst: Addr,
        _dst_pitch: u64,
        _src: Addr,
        _src_pitch: u64,
        _rows: Rows,
    ) -> Result<()> {
        Err(Error::NotSupported("Stream::copy_2d_async"))
    }

    /// Stores `value` into `bytes` bytes.
    pub fn memset_async(&self, _dst: Addr, _value: u8, _bytes: u64) -> Result<()> {
        Err(Error::NotSupported("Stream::memset_async"))
    }

    /// Stores `value` into rows.
    pub fn memset_2d_async(&self, _dst: DevicePtr, _pitch: u64, _value: u8, _rows: Rows) -> Result<()> {
        Err(Error::NotSupported("Stream::memset_2d_async"))
    }

    /// Records `event`: it completes when the work submitted so far is done.
    pub fn record(&self, _event: &Event) -> Result<()> {
        Err(Error::NotSupported("Stream::record"))
    }

    /// Later work waits for `event` as it is recorded now. An event that was never recorded is not waited
    /// for. With a timeout, the stream faults when it passes.
    pub fn wait(&self, _event: &Event, _timeout: Option<Duration>) -> Result<()> {
        Err(Error::NotSupported("Stream::wait"))
    }

    /// Raises `notify`.
    pub fn record_notify(&self, _notify: &Notify) -> Result<()> {
        Err(Error::NotSupported("Stream::record_notify"))
    }

    /// Later work waits until `notify` is raised, and lowers it.
    pub fn wait_notify(&self, _notify: &Notify, _timeout: Option<Duration>) -> Result<()> {
        Err(Error::NotSupported("Stream::wait_notify"))
    }

    /// Stores a 64-bit value at a device address that is a multiple of 8.
    pub fn write_value(&self, _addr: DevicePtr, _value: u64) -> Result<()> {
        Err(Error::NotSupported("Stream::write_value"))
    }

    /// Later work waits until the 64-bit word compares with `value`.
    pub fn wait_value(&self, _addr: DevicePtr, _value: u64, _compare: Compare) -> Result<()> {
        Err(Error::NotSupported("Stream::wait_value"))
    }

    /// Calls `f` on the runtime's callback thread when the work submitted so far is done; later work waits
    /// for it.
    pub fn callback(&self, _f: impl FnOnce() + Send + 'static) -> Result<()> {
        Err(Error::NotSupported("Stream::callback"))
    }

    /// As [`Stream::callback`], on the thread that calls [`Reporter::process`].
    pub fn callback_on(
        &self,
        _reporter: &Reporter,
        _blocking: Blocking,
        _f: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        Err(Error::NotSupported("Stream::callback_on"))
    }

    /// Waits until all submitted work is done. `None` waits for ever.
    pub fn synchronize(&self, _timeout: Option<Duration>) -> Result<()> {
        Err(Error::NotSupported("Stream::synchronize"))
    }

    /// True if all submitted work is done.
    pub fn query(&self) -> Result<bool> {
        Err(Error::NotSupported("Stream::query"))
    }

    /// Tasks ever submitted and ever completed.
    pub fn progress(&self) -> (u64, u64) {
        (0, 0)
    }

    /// Drops work that has not run, waits for what runs, and lets the stream go on; also after a fault.
    /// Answers how many tasks were dropped. Events among them count as reached.
    pub fn abort(&self) -> Result<u64> {
        Err(Error::NotSupported("Stream::abort"))
    }

    /// [`Stream::abort`] under the name that goes with a fault.
    pub fn reset(&self) -> Result<u64> {
        self.abort()
    }

    /// The fault that stopped the stream, if one did.
    pub fn error(&self) -> Option<Fault> {
        None
    }

    /// Ends the stream for all its clones: waits for its work, or with `force` drops it. Later calls answer
    /// [`Error::InvalidHandle`].
    pub fn destroy(&self, _force: bool) -> Result<()> {
        Err(Error::NotSupported("Stream::destroy"))
    }
}
