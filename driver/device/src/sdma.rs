//! The copy engines: rows and fills between device addresses.

use std::ptr::NonNull;

use rayon::prelude::*;

use crate::device::HostBus;
use crate::mmu::{Access, AddressSpace, Miss};
use crate::window::Span;

/// A piece that one worker copies at a time.
const PIECE: usize = 4 << 20;

/// Why an entry did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdmaError {
    /// An address could not be used; bytes of the access, whether it was a store.
    Miss(Miss, u64, bool),
    /// Sizes that cannot be.
    Malformed(&'static str),
}

/// Rows from `src` to `dst`.
#[derive(Clone, Copy, Debug)]
pub struct Copy2d {
    /// Device address.
    pub dst: u64,
    /// Device address.
    pub src: u64,
    /// Bytes of a row.
    pub width: u64,
    /// Rows.
    pub height: u64,
    /// Bytes from row to row.
    pub dst_pitch: u64,
    /// Bytes from row to row.
    pub src_pitch: u64,
}

impl Copy2d {
    /// From the payload words of an entry.
    pub fn unpack(w: &[u64; 7]) -> Self {
        Self { dst: w[0], src: w[1], width: w[2], height: w[3], dst_pitch: w[4], src_pitch: w[5] }
    }

    /// Bytes moved.
    pub fn bytes(&self) -> u64 {
        self.width.saturating_mul(self.height)
    }

    fn span(&self, pitch: u64) -> Option<u64> {
        pitch.checked_mul(self.height.checked_sub(1)?)?.checked_add(self.width)
    }
}

#[derive(Clone, Copy)]
struct Raw(NonNull<u8>);
// SAFETY: only carried to worker threads that copy disjoint pieces; the memory outlives the entry.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

/// Copies rows. With `parallel`, large copies are split over the worker pool. Overlapping single rows are
/// copied as memmove does; the order of overlapping rows is that of their addresses.
pub fn copy(
    vm: &AddressSpace,
    host: &dyn HostBus,
    die: u32,
    c: &Copy2d,
    parallel: bool,
) -> Result<(), SdmaError> {
    if c.width == 0 || c.height == 0 {
        return Ok(());
    }
    if c.height > 1 && (c.dst_pitch < c.width || c.src_pitch < c.width) {
        return Err(SdmaError::Malformed("a pitch is smaller than the row"));
    }
    let (dst_span, src_span) = c
        .span(c.dst_pitch)
        .zip(c.span(c.src_pitch))
        .ok_or(SdmaError::Malformed("the copy leaves the address space"))?;
    // Pieces that overlap would be copied in no sensible order.
    let apart = c.src.abs_diff(c.dst) >= dst_span.max(src_span);
    let find = if apart { Span::find_pieces } else { Span::find };
    let src = find(vm, host, die, c.src, src_span, Access::Read)
        .map_err(|m| SdmaError::Miss(m, src_span, false))?;
    let dst = find(vm, host, die, c.dst, dst_span, Access::Write)
        .map_err(|m| SdmaError::Miss(m, dst_span, true))?;
    let (rows, width) = if c.height == 1 || (c.dst_pitch == c.width && c.src_pitch == c.width) {
        (1, c.bytes() as usize)
    } else {
        (c.height as usize, c.width as usize)
    };
    let (&Span::Here(src), &Span::Here(dst)) = (&src, &dst) else {
        return copy_foreign(c, &dst, &src, rows, width, parallel);
    };
    let overlap = (src.as_ptr() as usize) < dst.as_ptr() as usize + dst_span as usize
        && (dst.as_ptr() as usize) < src.as_ptr() as usize + src_span as usize;
    let (dst_pitch, src_pitch) = (c.dst_pitch as usize, c.src_pitch as usize);
    let (dst, src) = (Raw(dst), Raw(src));
    let row = move |i: usize, at: usize, len: usize| {
        let (dst, src) = ({ dst }, { src });
        // SAFETY: row `i` and the bytes [at, at + len) of it lie inside the two spans that were translated for
        // this access; `copy` allows overlap; others may race with it, as on the chip.
        unsafe {
            std::ptr::copy(
                src.0.add(i * src_pitch + at).as_ptr(),
                dst.0.add(i * dst_pitch + at).as_ptr(),
                len,
            )
        };
    };
    if !parallel || overlap {
        let backwards = overlap && (dst.0.as_ptr() as usize) > src.0.as_ptr() as usize;
        (0..rows).for_each(|i| row(if backwards { rows - 1 - i } else { i }, 0, width));
    } else if rows == 1 {
        let pieces = width.div_ceil(PIECE);
        (0..pieces).into_par_iter().for_each(|p| row(0, p * PIECE, PIECE.min(width - p * PIECE)));
    } else {
        (0..rows).into_par_iter().with_min_len((PIECE / width).max(1)).for_each(|i| row(i, 0, width));
    }
    Ok(())
}

/// Copies rows of which one side at least is another process's memory, or in pieces.
fn copy_foreign(
    c: &Copy2d,
    dst: &Span,
    src: &Span,
    rows: usize,
    width: usize,
    parallel: bool,
) -> Result<(), SdmaError> {
    let (dst_pitch, src_pitch) = (c.dst_pitch as usize, c.src_pitch as usize);
    let pieces = width.div_ceil(PIECE);
    let piece = |n: usize| {
        let (i, at) = (n / pieces, n % pieces * PIECE);
        let len = PIECE.min(width - at);
        // SAFETY: row `i` and the bytes [at, at + len) of it lie inside the two spans.
        unsafe { dst.copy_from(i * dst_pitch + at, src, i * src_pitch + at, len) }
    };
    let all = rows * pieces;
    let done = if parallel { (0..all).into_par_iter().all(piece) } else { (0..all).all(piece) };
    // Which side went away is not known; both belong to the process whose fault it is.
    if done { Ok(()) } else { Err(SdmaError::Miss(Miss::Unmapped(c.src), c.bytes(), false)) }
}

/// Stores `value` into `len` bytes at `va`.
pub fn fill(
    vm: &AddressSpace,
    host: &dyn HostBus,
    die: u32,
    va: u64,
    len: u64,
    value: u8,
) -> Result<(), SdmaError> {
    if len == 0 {
        return Ok(());
    }
    let missed = |m| SdmaError::Miss(m, len, true);
    let p = match Span::find_pieces(vm, host, die, va, len, Access::Write).map_err(missed)? {
        Span::Here(p) => p,
        to => {
            let pattern = vec![value; PIECE.min(len as usize)];
            let from = Span::Here(NonNull::from(&pattern[..]).cast());
            let stored = (0..len as usize).step_by(PIECE).all(|at| {
                // SAFETY: the piece lies inside the span and is no longer than the pattern, which is only read.
                unsafe { to.copy_from(at, &from, 0, PIECE.min(len as usize - at)) }
            });
            return if stored { Ok(()) } else { Err(missed(Miss::Unmapped(va))) };
        }
    };
    // SAFETY: `len` bytes were translated for a store.
    unsafe { p.write_bytes(value, len as usize) };
    Ok(())
}
