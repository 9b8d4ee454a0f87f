//! Pools: allocation and freeing in the order of a stream.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use super::heap::GRANULE;
use crate::driver::Driver;
use crate::event::slot::Place;
use crate::{AllocationKind, Device, DevicePtr, Error, Policy, Result, Stream, fork};

/// A free piece is given out for a request of at least this share of it.
const FIT: u64 = 2;

/// What a pool holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUsage {
    /// Taken from the die.
    pub reserved: u64,
    /// The most ever taken.
    pub reserved_high: u64,
    /// Given out.
    pub used: u64,
    /// The most ever given out.
    pub used_high: u64,
}

/// Memory of a die that is given out and taken back in stream order. Clones name the same pool; the memory
/// goes back to the die with the last one.
///
/// ```
/// # use vinci::{Device, Pool, Stream, StreamOptions};
/// let device = Device::get(0)?;
/// let (pool, stream) = (Pool::new(&device)?, Stream::new(&device, StreamOptions::default())?);
/// let ptr = pool.alloc_async(4096, &stream)?;
/// stream.memset_async(ptr.into(), 0, 4096)?;
/// pool.free_async(ptr, &stream)?;
/// assert_eq!(pool.alloc_async(4096, &stream)?, ptr, "the same stream may have it at once");
/// # Ok::<(), vinci::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    device: Device,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Pieces that are given out, with their sizes.
    used: HashMap<u64, u64>,
    /// Free pieces by size.
    free: BTreeMap<u64, Vec<Free>>,
    usage: PoolUsage,
    threshold: u64,
}

#[derive(Debug)]
struct Free {
    ptr: u64,
    /// The end of the work that may still use it; `None`: no work.
    after: Option<Place>,
    stream: u32,
}

impl Free {
    fn is_idle(&self) -> bool {
        self.after.as_ref().is_none_or(Place::is_past)
    }
}

impl State {
    /// Takes a free piece that `stream` may use now.
    fn reuse(&mut self, size: u64, stream: u32) -> Option<(u64, u64)> {
        for (&len, pieces) in self.free.range_mut(size..=size.saturating_mul(FIT)) {
            let at = pieces
                .iter()
                .position(|piece| piece.stream == stream)
                .or_else(|| pieces.iter().position(Free::is_idle));
            if let Some(at) = at {
                let ptr = pieces.swap_remove(at).ptr;
                if pieces.is_empty() {
                    self.free.remove(&len);
                }
                return Some((ptr, len));
            }
        }
        None
    }

    /// Takes out idle pieces, the largest first, until at most `keep` free bytes are left.
    fn shed(&mut self, keep: u64) -> Vec<u64> {
        let mut left = self.usage.reserved - self.usage.used;
        let mut shed = Vec::new();
        for (&len, pieces) in self.free.iter_mut().rev() {
            pieces.retain(|piece| {
                let goes = left > keep && piece.is_idle();
                if goes {
                    left -= len;
                    shed.push(piece.ptr);
                }
                !goes
            });
        }
        self.free.retain(|_, pieces| !pieces.is_empty());
        self.usage.reserved = self.usage.used + left;
        shed
    }
}

impl Pool {
    /// An empty pool on a die.
    pub fn new(device: &Device) -> Result<Pool> {
        Driver::get()?;
        let state = State { threshold: u64::MAX, ..State::default() };
        Ok(Pool(Arc::new(Inner { device: *device, state: Mutex::new(state) })))
    }

    /// The die whose memory it is.
    pub fn device(&self) -> Device {
        self.0.device
    }

    /// Gives out `size` bytes, usable by work submitted to `stream` from now on.
    pub fn alloc_async(&self, size: u64, stream: &Stream) -> Result<DevicePtr> {
        let op = "allocate from pool";
        let driver = Driver::get()?;
        if size == 0 {
            return Err(Error::value(op, "0 bytes asked for"));
        }
        let size =
            size.checked_next_multiple_of(GRANULE).ok_or_else(|| Error::value(op, "size too large"))?;
        stream.check_running(op, "an allocation")?;
        stream.check_peer(Some(self.0.device.ordinal()))?;
        let mut state = self.0.state.lock();
        let (ptr, len) = match state.reuse(size, stream.id()) {
            Some(found) => found,
            None => {
                let malloc =
                    || driver.malloc(self.0.device.ordinal(), size, Policy::default(), AllocationKind::Pool);
                let mut made = malloc();
                if matches!(made, Err(Error::OutOfMemory { .. })) {
                    free_all(driver, state.shed(0));
                    made = malloc();
                }
                state.usage.reserved += made.as_ref().map_or(0, |_| size);
                (made?.0, size)
            }
        };
        state.used.insert(ptr, len);
        let usage = &mut state.usage;
        usage.used += len;
        usage.used_high = usage.used_high.max(usage.used);
        usage.reserved_high = usage.reserved_high.max(usage.reserved);
        Ok(DevicePtr(ptr))
    }

    /// Takes memory back once the work submitted to `stream` so far is done.
    pub fn free_async(&self, ptr: DevicePtr, stream: &Stream) -> Result<()> {
        let op = "free to pool";
        let driver = Driver::get()?;
        stream.check_running(op, "a release of memory")?;
        let after = stream.place(op)?;
        let mut state = self.0.state.lock();
        let Some(len) = state.used.remove(&ptr.0) else {
            return Err(Error::InvalidHandle { op, what: "piece of the pool", handle: ptr.0 });
        };
        state.usage.used -= len;
        state.free.entry(len).or_default().push(Free { ptr: ptr.0, after, stream: stream.id() });
        let keep = state.threshold;
        if state.usage.reserved - state.usage.used > keep {
            free_all(driver, state.shed(keep));
        }
        Ok(())
    }

    /// Bytes of free memory to keep for reuse; what is above goes back to the die. At first all is kept.
    pub fn set_threshold(&self, bytes: u64) {
        if !fork::is_child() {
            self.0.state.lock().threshold = bytes;
        }
    }

    /// Gives free memory that no stream uses back until at most `bytes` of it are kept.
    pub fn trim(&self, bytes: u64) -> Result<()> {
        let driver = Driver::get()?;
        let shed = self.0.state.lock().shed(bytes);
        free_all(driver, shed);
        Ok(())
    }

    /// What it holds.
    pub fn usage(&self) -> PoolUsage {
        if fork::is_child() { PoolUsage::default() } else { self.0.state.lock().usage }
    }
}

fn free_all(driver: &'static Driver, pieces: Vec<u64>) {
    for ptr in pieces {
        if let Err(e) = driver.free(DevicePtr(ptr), AllocationKind::Pool) {
            log::error!("pool: {e}");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let Some(driver) = Driver::opened() else { return };
        let state = self.state.get_mut();
        let free = state.free.values().flatten().map(|piece| piece.ptr);
        free_all(driver, free.chain(state.used.keys().copied()).collect());
    }
}
