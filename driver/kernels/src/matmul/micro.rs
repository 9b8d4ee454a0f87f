//! Micro-kernels: one tile of the result in registers, over the steps of two packed panels.

use std::marker::PhantomData;

use crate::arith::Arith;
use crate::lane::Lane;
use crate::matmul::pack::{self, Operand};
use crate::scratch::Plain;
use crate::simd::{Task, vectorize};

/// Where a tile of the result goes: rows `row` elements apart, columns in sequence.
#[derive(Clone, Copy)]
pub struct Target<L> {
    /// Element (0, 0) of the tile.
    pub base: *mut L,
    /// Elements from one row to the next.
    pub row: isize,
    /// Rows that exist.
    pub rows: usize,
    /// Columns that exist.
    pub columns: usize,
    /// Factor of the product.
    pub alpha: L,
    /// Whether the product is added to what is there.
    pub accumulate: bool,
    /// Where the result goes instead, if it is that of the last steps and narrower than its sums.
    pub half: Option<Half>,
}

/// Where a tile of 16-bit floats goes.
#[derive(Clone, Copy)]
pub struct Half {
    /// Element (0, 0).
    pub base: *mut u16,
    /// Elements from one row to the next.
    pub row: isize,
    /// bfloat16; else float16.
    pub brain: bool,
}

// SAFETY: an address of device memory; see `Tensor`.
unsafe impl Send for Half {}
// SAFETY: as above.
unsafe impl Sync for Half {}

/// A way to multiply: types, tile size and the micro-kernel.
pub trait Scheme: Copy + Sync {
    /// Element of the result and of its sums.
    type Sum: Lane;
    /// Element of a packed panel.
    type Packed: Plain + Default + Send + Sync;
    /// Rows of a tile.
    const ROWS: usize;
    /// Columns of a tile.
    const COLUMNS: usize;
    /// Steps along `k` that a packed element holds.
    const FOLD: usize = 1;
    /// Whether `tile` obeys [`Target::half`].
    const HALVES: bool = false;

    /// Packs lines of an operand.
    ///
    /// # Safety
    /// As for [`pack::pack`].
    unsafe fn pack(
        from: &Operand,
        lines: (usize, usize),
        steps: (usize, usize),
        width: usize,
        to: &mut [Self::Packed],
    );

    /// Multiplies two panels into a tile.
    ///
    /// # Safety
    /// The target's rows and columns must be writable, `a` and `b` hold `ROWS` and `COLUMNS` elements for each
    /// of `steps` packed steps, and the CPU must have what the scheme needs.
    unsafe fn tile(steps: usize, a: *const Self::Packed, b: *const Self::Packed, to: Target<Self::Sum>);
}

/// Any lane, on any CPU.
#[derive(Clone, Copy)]
pub struct Portable<L>(PhantomData<L>);

impl<L> Portable<L> {
    /// The scheme.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<L: Lane> Scheme for Portable<L> {
    type Sum = L;
    type Packed = L;
    const ROWS: usize = 4;
    const COLUMNS: usize = 16;

    unsafe fn pack(from: &Operand, lines: (usize, usize), steps: (usize, usize), width: usize, to: &mut [L]) {
        // SAFETY: the caller's promise.
        unsafe { pack::pack(from, lines, steps, width, to) }
    }

    unsafe fn tile(steps: usize, a: *const L, b: *const L, to: Target<L>) {
        // SAFETY: the panels hold that many elements, and nobody writes them now.
        let (a, b) =
            unsafe { (std::slice::from_raw_parts(a, steps * 4), std::slice::from_raw_parts(b, steps * 16)) };
        let tile = vectorize(PortableTile { a: a.as_chunks::<4>().0, b: b.as_chunks::<16>().0 });
        for (r, row) in tile.iter().enumerate().take(to.rows) {
            for (c, &v) in row.iter().enumerate().take(to.columns) {
                // SAFETY: a row and column of the target.
                unsafe {
                    let at = to.base.offset(r as isize * to.row).add(c);
                    let v = v.mul(to.alpha);
                    at.write_unaligned(if to.accumulate { at.read_unaligned().add(v) } else { v });
                }
            }
        }
    }
}

struct PortableTile<'a, L> {
    a: &'a [[L; 4]],
    b: &'a [[L; 16]],
}

impl<L: Lane> Task for PortableTile<'_, L> {
    type Output = [[L; 16]; 4];
    #[inline(always)]
    fn call(self) -> Self::Output {
        let mut sums = [[L::ZERO; 16]; 4];
        for (a, b) in self.a.iter().zip(self.b) {
            for (sum, &x) in sums.iter_mut().zip(a) {
                for (s, &y) in sum.iter_mut().zip(b) {
                    *s = Arith::add(*s, x.mul(y));
                }
            }
        }
        sums
    }
}
