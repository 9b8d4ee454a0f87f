//! The loops around the micro-kernel: blocks of B stay in the last cache, blocks of A in the second, and a panel
//! of B in the first.

use rayon::prelude::*;

use crate::Ctx;
use crate::matmul::micro::{Half, Scheme, Target};
use crate::matmul::pack::Operand;
use crate::scratch::{Scratch, Store};

/// Packed steps of a block: a panel of B is 64 KiB, a panel of A 28 KiB. Every block reads and writes the whole
/// result, which for a large one is worse than panels that leave the first cache.
const STEPS: usize = 512;
/// Columns of a block of B.
const COLUMNS: usize = 4096;
/// Rows of a block of A: 448 KiB.
const ROWS: usize = 224;
/// Products from which on it pays to wake other threads.
const PARALLEL: usize = 1 << 22;

/// `c = alpha a b`, or `c += alpha a b`; `c` has its columns in sequence.
pub struct Gemm<S: Scheme> {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: Operand,
    pub b: Operand,
    pub c: *mut S::Sum,
    /// Elements from one row of `c` to the next.
    pub row: isize,
    pub alpha: S::Sum,
    pub accumulate: bool,
    /// Where the result goes, `c` holding the sums until then.
    pub half: Option<Half>,
}

// SAFETY: addresses of device memory; the loops below give each thread rows and columns of `c` of its own.
unsafe impl<S: Scheme> Sync for Gemm<S> {}

thread_local! {
    static PANELS_A: Store = const { Store::new() };
    static PANELS_B: Store = const { Store::new() };
}

/// Part `i` of `parts` nearly equal parts of `0..total`.
fn part(i: usize, parts: usize, total: usize) -> std::ops::Range<usize> {
    i * total / parts..(i + 1) * total / parts
}

impl<S: Scheme> Gemm<S> {
    /// Whether a product of `k` steps is made in one block: nobody reads `c` then.
    pub fn in_one(k: usize) -> bool {
        k <= STEPS * S::FOLD
    }

    /// Computes it.
    ///
    /// # Safety
    /// `a` (m × k), `b` (n × k, lines being columns) and `c` must be resolved, and the CPU must have what the
    /// scheme needs.
    pub unsafe fn run(&self, ctx: &Ctx<'_>) {
        let parallel = ctx.parallel && self.m.saturating_mul(self.n).saturating_mul(self.k) >= PARALLEL;
        let threads = if parallel { rayon::current_num_threads() } else { 1 };
        let columns = self.n.min(COLUMNS).next_multiple_of(S::COLUMNS);
        let steps = self.k.div_ceil(S::FOLD).min(STEPS);
        let mut buffer = Scratch::<S::Packed>::take(&PANELS_B, columns * steps);
        for first_column in (0..self.n).step_by(COLUMNS) {
            let n = COLUMNS.min(self.n - first_column);
            for first_step in (0..self.k).step_by(STEPS * S::FOLD) {
                let k = (STEPS * S::FOLD).min(self.k - first_step);
                let block = Block { gemm: self, column: first_column, n, step: first_step, k };
                let panel = S::COLUMNS * k.div_ceil(S::FOLD);
                let panels = &mut buffer.slice()[..n.div_ceil(S::COLUMNS) * panel];
                if threads > 1 {
                    panels.par_chunks_mut(panel).enumerate().for_each(|(i, p)| block.pack_b(i, p));
                } else {
                    panels.chunks_mut(panel).enumerate().for_each(|(i, p)| block.pack_b(i, p));
                }
                block.multiply(panels, threads);
            }
        }
    }
}

/// A block of B and the part of the product that it makes.
struct Block<'a, S: Scheme> {
    gemm: &'a Gemm<S>,
    column: usize,
    n: usize,
    step: usize,
    k: usize,
}

impl<S: Scheme> Block<'_, S> {
    fn pack_b(&self, i: usize, panel: &mut [S::Packed]) {
        let first = i * S::COLUMNS;
        let lines = (self.column + first, S::COLUMNS.min(self.n - first));
        // SAFETY: `Gemm::run`'s contract.
        unsafe { S::pack(&self.gemm.b, lines, (self.step, self.k), S::COLUMNS, panel) };
    }

    /// Multiplies all rows of A with the block.
    fn multiply(&self, b: &[S::Packed], threads: usize) {
        let row_panels = self.gemm.m.div_ceil(S::ROWS);
        let column_panels = self.n.div_ceil(S::COLUMNS);
        let least = row_panels.div_ceil(ROWS / S::ROWS);
        if threads == 1 {
            (0..least).for_each(|i| self.rows(part(i, least, row_panels), 0..column_panels, b));
            return;
        }
        // Parts of equal size, a few for each thread, so that one that is late does not hold up the others.
        let wanted = threads * 4;
        let row_parts = least.next_multiple_of(threads).max(wanted).min(row_panels);
        let column_parts = wanted.div_ceil(row_parts).min(column_panels);
        (0..row_parts * column_parts).into_par_iter().for_each(|i| {
            let rows = part(i / column_parts, row_parts, row_panels);
            self.rows(rows, part(i % column_parts, column_parts, column_panels), b);
        });
    }

    /// Multiplies some panels of rows with some panels of columns.
    fn rows(&self, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>, b: &[S::Packed]) {
        let g = self.gemm;
        let steps = self.k.div_ceil(S::FOLD);
        let (a_panel, b_panel) = (S::ROWS * steps, S::COLUMNS * steps);
        let mut buffer = Scratch::<S::Packed>::take(&PANELS_A, rows.len() * a_panel);
        let a = buffer.slice();
        for (panel, i) in a.chunks_mut(a_panel).zip(rows.clone()) {
            let lines = (i * S::ROWS, S::ROWS.min(g.m - i * S::ROWS));
            // SAFETY: `Gemm::run`'s contract.
            unsafe { S::pack(&g.a, lines, (self.step, self.k), S::ROWS, panel) };
        }
        for j in columns {
            let b = &b[j * b_panel..(j + 1) * b_panel];
            for (a, i) in a.chunks(a_panel).zip(rows.clone()) {
                let column = self.column + j * S::COLUMNS;
                let row = i * S::ROWS;
                // SAFETY: row and column exist in `c`; the panels hold `steps` steps; see `Gemm::run`.
                unsafe {
                    let last = self.step + self.k == g.k;
                    let half = |h: Half| Half { base: h.base.offset(row as isize * h.row).add(column), ..h };
                    let to = Target {
                        base: g.c.wrapping_offset(row as isize * g.row).wrapping_add(column),
                        row: g.row,
                        rows: S::ROWS.min(g.m - row),
                        columns: S::COLUMNS.min(self.n - j * S::COLUMNS),
                        alpha: g.alpha,
                        accumulate: g.accumulate || self.step > 0,
                        half: g.half.filter(|_| last).map(half),
                    };
                    S::tile(steps, a.as_ptr(), b.as_ptr(), to);
                }
            }
        }
    }
}
