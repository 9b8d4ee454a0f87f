//! The copy engines: rows and fills between device addresses.

use std::ptr::NonNull;

use rayon::prelude::*;

use crate::mmu::{Access, AddressSpace, Miss};

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
pub fn copy(vm: &AddressSpace, die: u32, c: &Copy2d, parallel: bool) -> Result<(), SdmaError> {
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
    let src =
        vm.translate(die, c.src, src_span, Access::Read).map_err(|m| SdmaError::Miss(m, src_span, false))?;
    let dst =
        vm.translate(die, c.dst, dst_span, Access::Write).map_err(|m| SdmaError::Miss(m, dst_span, true))?;
    let (rows, width) = if c.height == 1 || (c.dst_pitch == c.width && c.src_pitch == c.width) {
        (1, c.bytes() as usize)
    } else {
        (c.height as usize, c.width as usize)
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

/// Stores `value` into `len` bytes at `va`.
pub fn fill(vm: &AddressSpace, die: u32, va: u64, len: u64, value: u8) -> Result<(), SdmaError> {
    if len == 0 {
        return Ok(());
    }
    let p = vm.translate(die, va, len, Access::Write).map_err(|m| SdmaError::Miss(m, len, true))?;
    // SAFETY: `len` bytes were translated for a store.
    unsafe { p.write_bytes(value, len as usize) };
    Ok(())
}
