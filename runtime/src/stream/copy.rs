//! Copies and fills in a stream, between memory of every kind.
//!
//! What the device can address goes to the device's copy engine as it is. Small pieces of pageable host
//! memory pass through pinned memory of the runtime; large ones are pinned for as long as the copy takes.

use vinci_driver::Errno;
use vinci_hw::sqe;

use super::{Stream, args};
use crate::memory::pin::Pin;
use crate::{Addr, DevicePtr, Error, HostPtr, Result};

/// Pageable memory up to here is staged, above it is pinned.
pub(crate) const STAGED: u64 = 64 << 10;
const _: () = assert!(STAGED as usize <= args::MAX);

/// The shape of a two-dimensional copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Bytes of a row.
    pub width: u64,
    /// How many rows.
    pub height: u64,
}

/// Rows and the distance between them.
#[derive(Clone, Copy, Debug)]
struct Layout {
    rows: Rows,
    pitch: u64,
}

/// An end of a copy as the device would see it.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It has a device address.
    Va(u64),
    Pageable(HostPtr),
}

impl Layout {
    fn new(op: &'static str, what: &str, pitch: u64, rows: Rows) -> Result<Layout> {
        if rows.width > pitch {
            let what = format!("rows of {} bytes are wider than the {what}'s pitch of {pitch}", rows.width);
            return Err(Error::value(op, what));
        }
        (rows.height.saturating_sub(1))
            .checked_mul(pitch)
            .and_then(|n| n.checked_add(rows.width))
            .ok_or_else(|| {
                Error::value(op, format!("{} rows of pitch {pitch} leave the address space", rows.height))
            })?;
        Ok(Layout { rows, pitch })
    }

    /// Bytes from the first to behind the last.
    fn extent(self) -> u64 {
        (self.rows.height - 1) * self.pitch + self.rows.width
    }

    fn bytes(self) -> u64 {
        self.rows.width * self.rows.height
    }

    /// The first half, where the second begins, and the second; `None` if it is not worth it.
    fn split(self) -> Option<(Layout, u64, Layout)> {
        let Rows { width, height } = self.rows;
        let of = |width, height| Layout { rows: Rows { width, height }, pitch: self.pitch };
        if self.bytes() <= STAGED {
            return None;
        }
        if height > 1 {
            let first = height / 2;
            return Some((of(width, first), first * self.pitch, of(width, height - first)));
        }
        let first = (width / 2).next_multiple_of(4096);
        Some((of(first, 1), first, of(width - first, 1)))
    }
}

impl End {
    fn after(self, bytes: u64) -> End {
        match self {
            End::Va(va) => End::Va(va + bytes),
            End::Pageable(ptr) => End::Pageable(ptr.after(bytes)),
        }
    }
}

fn copy_entry(dst: u64, to: Layout, src: u64, from: Layout) -> sqe::Sqe {
    sqe::copy_2d(dst, to.pitch, src, from.pitch, to.rows.width, to.rows.height)
}

impl Stream {
    /// Copies `bytes` from `src` to `dst`. With pageable host memory the call returns when the host memory
    /// may be used again.
    pub fn copy_async(&self, dst: Addr, src: Addr, bytes: u64) -> Result<()> {
        let rows = Rows { width: bytes, height: 1 };
        self.copy_rows("copy", dst, bytes, src, bytes, rows)
    }

    /// Copies rows; `dst_pitch` and `src_pitch` are the distances from row to row.
    pub fn copy_2d_async(
        &self,
        dst: Addr,
        dst_pitch: u64,
        src: Addr,
        src_pitch: u64,
        rows: Rows,
    ) -> Result<()> {
        self.copy_rows("copy 2d", dst, dst_pitch, src, src_pitch, rows)
    }

    fn copy_rows(
        &self,
        op: &'static str,
        dst: Addr,
        dst_pitch: u64,
        src: Addr,
        src_pitch: u64,
        rows: Rows,
    ) -> Result<()> {
        let to = Layout::new(op, "destination", dst_pitch, rows)?;
        let from = Layout::new(op, "source", src_pitch, rows)?;
        if rows.width == 0 || rows.height == 0 {
            return Ok(());
        }
        let dst = self.resolve(op, dst, to.extent())?;
        let src = self.resolve(op, src, from.extent())?;
        self.copy_ends(op, dst, to, src, from)
    }

    /// Copies in one piece; in two, one after the other, where the process may not pin that much at once.
    fn copy_ends(&self, op: &'static str, dst: End, to: Layout, src: End, from: Layout) -> Result<()> {
        let pinned = self.copy_whole(op, dst, to, src, from);
        let split = to.split().zip(from.split());
        let (Err(Error::Driver { errno: Errno::NoMem, .. }), Some((to, from))) = (&pinned, split) else {
            return pinned;
        };
        self.copy_ends(op, dst, to.0, src, from.0)?;
        self.copy_ends(op, dst.after(to.1), to.2, src.after(from.1), from.2)
    }

    fn copy_whole(&self, op: &'static str, dst: End, to: Layout, src: End, from: Layout) -> Result<()> {
        if let (End::Va(va), End::Pageable(ptr)) = (dst, src)
            && from.bytes() <= STAGED
            && to.rows.height == 1
            && self.lane().is_some_and(|lane| lane.graph.waits_outside())
        {
            // A built graph takes the bytes as they are now, as a running stream would.
            // SAFETY: `Addr::host` vouches for the memory, and it is not used after this call.
            let bytes = unsafe { std::slice::from_raw_parts(ptr.as_ptr(), to.rows.width as usize) };
            return self.submit(op, bytes, |source| sqe::copy(va, source, to.rows.width));
        }
        if matches!((dst, src), (End::Pageable(_), _) | (_, End::Pageable(_))) {
            self.check_running(op, "a copy from or to pageable host memory")?;
        }
        match (dst, src) {
            (End::Va(dst), End::Va(src)) => self.submit(op, &[], |_| copy_entry(dst, to, src, from)),
            (End::Va(dst), End::Pageable(src)) => self.copy_in(op, dst, to, src, from),
            (End::Pageable(dst), End::Va(src)) => self.copy_out(op, dst, to, src, from),
            (End::Pageable(dst), End::Pageable(src)) => {
                let (dst, src) = (self.pin(op, dst, to, false)?, self.pin(op, src, from, true)?);
                let entry = self.engine_copy(op, dst.va(), to, src.va(), from)?;
                self.queue(op)?.wait(entry, None, op)
            }
        }
    }

    /// Queues a copy between device addresses.
    fn engine_copy(&self, op: &'static str, dst: u64, to: Layout, src: u64, from: Layout) -> Result<u64> {
        self.queue(op)?.submit(op, &[], |_| copy_entry(dst, to, src, from))
    }

    /// From pageable host memory.
    fn copy_in(&self, op: &'static str, dst: u64, to: Layout, src: HostPtr, from: Layout) -> Result<()> {
        let queue = self.queue(op)?;
        let Rows { width, height } = to.rows;
        if from.bytes() > STAGED {
            let pin = self.pin(op, src, from, true)?;
            let entry = self.engine_copy(op, dst, to, pin.va(), from)?;
            return queue.wait(entry, None, op);
        }
        if height == 1 {
            // SAFETY: `Addr::host` vouches for the memory, and it is not used after this call.
            let bytes = unsafe { std::slice::from_raw_parts(src.as_ptr(), width as usize) };
            return queue.submit(op, bytes, |va| sqe::copy(dst, va, width)).map(drop);
        }
        let mut packed = Vec::with_capacity(from.bytes() as usize);
        for row in 0..height {
            // SAFETY: as above; the row lies inside the extent.
            packed.extend_from_slice(unsafe {
                std::slice::from_raw_parts(src.as_ptr().add((row * from.pitch) as usize), width as usize)
            });
        }
        queue.submit(op, &packed, |va| sqe::copy_2d(dst, to.pitch, va, width, width, height)).map(drop)
    }

    /// To pageable host memory: done when the call returns.
    fn copy_out(&self, op: &'static str, dst: HostPtr, to: Layout, src: u64, from: Layout) -> Result<()> {
        let queue = self.queue(op)?;
        let Rows { width, height } = to.rows;
        if to.bytes() > STAGED {
            let pin = self.pin(op, dst, to, false)?;
            let entry = self.engine_copy(op, pin.va(), to, src, from)?;
            return queue.wait(entry, None, op);
        }
        let stage = self.0.driver.stages.take(self.0.driver)?;
        let entry =
            queue.submit(op, &[], |_| sqe::copy_2d(stage.va(), width, src, from.pitch, width, height))?;
        queue.wait(entry, None, op)?;
        for row in 0..height {
            // SAFETY: the copy into the stage is complete and nobody else has the stage; `Addr::host` vouches
            // for the destination, whose extent holds the row.
            unsafe {
                let row_at = dst.as_ptr().add((row * to.pitch) as usize);
                std::ptr::copy_nonoverlapping(
                    stage.ptr().add((row * width) as usize),
                    row_at,
                    width as usize,
                );
            }
        }
        self.0.driver.stages.give(stage);
        Ok(())
    }

    fn pin(&self, op: &'static str, ptr: HostPtr, layout: Layout, read_only: bool) -> Result<Pin> {
        Pin::new(self.0.driver, op, ptr.as_ptr(), layout.extent(), read_only)
    }

    /// Checks an end of `bytes` bytes and finds out what it is.
    fn resolve(&self, op: &'static str, addr: Addr, bytes: u64) -> Result<End> {
        let driver = self.0.driver;
        match addr {
            Addr::Device(ptr) => {
                let found = driver.registry.check(driver, op, ptr.0, bytes)?;
                self.check_peer(found.device.map(|d| d.ordinal()))?;
                Ok(End::Va(ptr.0))
            }
            Addr::Host(ptr) => {
                if ptr.as_ptr().is_null() {
                    return Err(Error::value(op, "the host address is null"));
                }
                match driver.host_va(op, ptr.as_ptr() as usize, bytes)? {
                    Some(va) => Ok(End::Va(va)),
                    None => Ok(End::Pageable(ptr)),
                }
            }
        }
    }

    /// Stores `value` into `bytes` bytes.
    pub fn memset_async(&self, dst: Addr, value: u8, bytes: u64) -> Result<()> {
        let op = "memset";
        if bytes == 0 {
            return Ok(());
        }
        match self.resolve(op, dst, bytes)? {
            End::Va(va) => self.submit(op, &[], |_| sqe::fill(va, bytes, value)),
            End::Pageable(ptr) => {
                self.check_running(op, "a fill of pageable host memory")?;
                let pin = match Pin::new(self.0.driver, op, ptr.as_ptr(), bytes, false) {
                    Err(Error::Driver { errno: Errno::NoMem, .. }) => {
                        // More than the process may pin at once: the host is as good.
                        self.wait_for(op)?;
                        // SAFETY: `Addr::host` vouches for the memory.
                        unsafe { ptr.as_ptr().write_bytes(value, bytes as usize) };
                        return Ok(());
                    }
                    pin => pin?,
                };
                let va = pin.va();
                let queue = self.queue(op)?;
                let entry = queue.submit(op, &[], |_| sqe::fill(va, bytes, value))?;
                queue.wait(entry, None, op)
            }
        }
    }

    /// Stores `value` into rows.
    pub fn memset_2d_async(&self, dst: DevicePtr, pitch: u64, value: u8, rows: Rows) -> Result<()> {
        let op = "memset 2d";
        let layout = Layout::new(op, "destination", pitch, rows)?;
        if rows.width == 0 || rows.height == 0 {
            return Ok(());
        }
        let End::Va(va) = self.resolve(op, dst.into(), layout.extent())? else { return Ok(()) };
        if rows.width == pitch {
            return self.submit(op, &[], |_| sqe::fill(va, layout.extent(), value));
        }
        for row in 0..rows.height {
            self.submit(op, &[], |_| sqe::fill(va + row * pitch, rows.width, value))?;
        }
        Ok(())
    }
}

impl crate::driver::Driver {
    /// Device address of pinned or registered host memory; `None` if it is pageable. A range that starts in
    /// pinned memory must stay in it.
    pub(crate) fn host_va(&self, op: &'static str, host: usize, bytes: u64) -> Result<Option<u64>> {
        let Some((start, size, base)) = self.registry.find_host(host) else { return Ok(None) };
        let offset = (host - start) as u64;
        if bytes > size - offset {
            return Err(Error::value(
                op,
                format!(
                    "{bytes} bytes from {host:#x} on leave the pinned memory {start:#x}..{:#x}",
                    start as u64 + size
                ),
            ));
        }
        Ok(Some(base + offset))
    }
}
