//! Packing: panels of a matrix, copied in the order in which the micro-kernel reads them.
//!
//! A panel is `width` lines (rows of A, columns of B); step after step along `k` it holds one element of each
//! line. Any type and any strides go in, so that transposed views and casts need no copy of their own.

use vinci_hw::args::DType;

use crate::lane::{Lane, TILE};
use crate::simd::prefetch;

/// Steps from the one that is read to the one that is called for.
const AHEAD: usize = 24;

/// One operand: lines along `m` or `n`, steps along `k`.
#[derive(Clone, Copy)]
pub struct Operand {
    /// Element (0, 0).
    pub base: *const u8,
    /// Type of the elements.
    pub dtype: DType,
    /// Elements from one line to the next.
    pub line: isize,
    /// Elements from one step to the next.
    pub step: isize,
}

// SAFETY: an address of device memory; see `Tensor`.
unsafe impl Send for Operand {}
// SAFETY: as above.
unsafe impl Sync for Operand {}

impl Operand {
    /// Pointer to an element.
    ///
    /// # Safety
    /// The line and the step must exist.
    pub(super) unsafe fn at(&self, line: usize, step: usize) -> *const u8 {
        let offset = line as isize * self.line + step as isize * self.step;
        // SAFETY: the caller's indices are below the operand's dimensions, which were resolved.
        unsafe { self.base.offset(offset * self.dtype.size() as isize) }
    }
}

/// Packs `lines` lines from `line`, `steps` steps from `step`, into a panel of `width` lines; missing lines
/// become zeros.
///
/// # Safety
/// The lines and steps must exist; `panel` holds `width * steps` elements.
pub unsafe fn pack<L: Lane>(
    from: &Operand,
    (line, lines): (usize, usize),
    (step, steps): (usize, usize),
    width: usize,
    panel: &mut [L],
) {
    let load = L::loader(from.dtype);
    if lines < width {
        panel[..width * steps].fill(L::ZERO);
    }
    if from.line.unsigned_abs() <= from.step.unsigned_abs() {
        for (s, out) in panel[..width * steps].chunks_exact_mut(width).enumerate() {
            // Each step lies on a page of its own, where the CPU does not see the next one coming.
            let ahead = step + (s + AHEAD).min(steps - 1);
            // SAFETY: the caller's promise.
            unsafe {
                prefetch(from.at(line, ahead));
                prefetch(from.at(line + lines - 1, ahead));
            }
            // SAFETY: the caller's promise; one step of all lines.
            unsafe { load(from.at(line, step + s), from.line, &mut out[..lines]) };
        }
        return;
    }
    let mut tile = [L::ZERO; TILE];
    for first in (0..steps).step_by(TILE) {
        let n = TILE.min(steps - first);
        for l in 0..lines {
            if from.step == 1 {
                // SAFETY: the caller's promise.
                let next = unsafe { from.at(line + (l + 1).min(lines - 1), step + first) };
                (0..n * from.dtype.size()).step_by(64).for_each(|at| prefetch(next.wrapping_add(at)));
            }
            // SAFETY: the caller's promise; some steps of one line.
            unsafe { load(from.at(line + l, step + first), from.step, &mut tile[..n]) };
            let column = panel[first * width + l..].iter_mut().step_by(width);
            column.zip(&tile[..n]).for_each(|(out, &v)| *out = v);
        }
    }
}

/// [`pack`] for bfloat16: each element of the panel is a pair of steps, the even one in the low half.
///
/// # Safety
/// As for [`pack`], `steps` counting single steps and `panel` holding `width * steps.div_ceil(2)` pairs; the
/// operand must be of 16-bit elements.
pub unsafe fn pack_pairs(
    from: &Operand,
    (line, lines): (usize, usize),
    (step, steps): (usize, usize),
    width: usize,
    panel: &mut [u32],
) {
    let pairs = steps / 2;
    if lines < width || steps % 2 == 1 {
        panel[..width * steps.div_ceil(2)].fill(0);
    }
    // SAFETY: the caller's promise.
    let get = |l: usize, s: usize| unsafe { from.at(line + l, step + s).cast::<u16>().read_unaligned() };
    let pair = |l: usize, s: usize| u32::from(get(l, s)) | u32::from(get(l, s + 1)) << 16;
    if from.step == 1 {
        for l in 0..lines {
            // SAFETY: the caller's promise; the steps of a line lie in sequence.
            let row = unsafe { from.at(line + l, step).cast::<u32>() };
            for p in 0..pairs {
                // SAFETY: as above; a pair is two steps.
                panel[p * width + l] = unsafe { row.add(p).read_unaligned() };
            }
        }
    } else if from.line == 1 {
        for (p, out) in panel.chunks_exact_mut(width).take(pairs).enumerate() {
            // SAFETY: the caller's promise; the lines of a step lie in sequence.
            let (even, odd) = unsafe {
                (from.at(line, step + 2 * p).cast::<u16>(), from.at(line, step + 2 * p + 1).cast::<u16>())
            };
            for (l, out) in out[..lines].iter_mut().enumerate() {
                // SAFETY: as above.
                let (even, odd) = unsafe { (even.add(l).read_unaligned(), odd.add(l).read_unaligned()) };
                *out = u32::from(even) | u32::from(odd) << 16;
            }
        }
    } else {
        for (p, out) in panel.chunks_exact_mut(width).take(pairs).enumerate() {
            out[..lines].iter_mut().enumerate().for_each(|(l, out)| *out = pair(l, 2 * p));
        }
    }
    if steps % 2 == 1 {
        let last = &mut panel[pairs * width..][..lines];
        last.iter_mut().enumerate().for_each(|(l, out)| *out = u32::from(get(l, steps - 1)));
    }
}
