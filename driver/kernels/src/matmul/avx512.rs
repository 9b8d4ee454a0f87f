//! Micro-kernels for AVX-512: tiles of 14 × 32 floats, 28 of the 32 registers holding sums.

use std::arch::x86_64::*;

use vinci_hw::args::DType;

use crate::matmul::micro::{Half, Scheme, Target};
use crate::matmul::pack::{self, Operand};
use crate::simd::prefetch;

const ROWS: usize = 14;
const COLUMNS: usize = 32;

/// f32 by fused multiply-add.
#[derive(Clone, Copy)]
pub struct F32;

/// Pairs of bfloat16, multiplied and summed in f32 by one instruction.
#[derive(Clone, Copy)]
pub struct Bf16;

/// Calls `$kernel::<ROWS, VECTORS>` for the smallest tile that covers the target.
macro_rules! by_size {
    ($kernel:ident, $to:expr, $args:tt) => {
        match ($to.rows, $to.columns <= 16) {
            (9.., false) => $kernel::<14, 2> $args,
            (9.., true) => $kernel::<14, 1> $args,
            (5..=8, false) => $kernel::<8, 2> $args,
            (5..=8, true) => $kernel::<8, 1> $args,
            (3..=4, false) => $kernel::<4, 2> $args,
            (3..=4, true) => $kernel::<4, 1> $args,
            (_, false) => $kernel::<2, 2> $args,
            (_, true) => $kernel::<2, 1> $args,
        }
    };
}

impl Scheme for F32 {
    type Sum = f32;
    type Packed = f32;
    const ROWS: usize = ROWS;
    const COLUMNS: usize = COLUMNS;
    const HALVES: bool = true;

    unsafe fn pack(
        from: &Operand,
        lines: (usize, usize),
        steps: (usize, usize),
        width: usize,
        to: &mut [f32],
    ) {
        // SAFETY: the caller's promise; the scheme was chosen by what the CPU has.
        unsafe {
            match from.dtype {
                _ if from.step != 1 || from.line.unsigned_abs() <= 1 => {
                    pack::pack(from, lines, steps, width, to)
                }
                DType::F32 => pack_across::<FLOAT>(from, lines, steps, width, to),
                DType::BF16 => pack_across::<BRAIN>(from, lines, steps, width, to),
                DType::F16 => pack_across::<HALF>(from, lines, steps, width, to),
                _ => pack::pack(from, lines, steps, width, to),
            }
        }
    }

    unsafe fn tile(steps: usize, a: *const f32, b: *const f32, to: Target<f32>) {
        // SAFETY: the caller's promise.
        unsafe { by_size!(tile_f32, to, (steps, a, b, to)) }
    }
}

impl Scheme for Bf16 {
    type Sum = f32;
    type Packed = u32;
    const ROWS: usize = ROWS;
    const COLUMNS: usize = COLUMNS;
    const HALVES: bool = true;
    const FOLD: usize = 2;

    unsafe fn pack(
        from: &Operand,
        lines: (usize, usize),
        steps: (usize, usize),
        width: usize,
        to: &mut [u32],
    ) {
        // SAFETY: the caller's promise.
        unsafe { pack::pack_pairs(from, lines, steps, width, to) }
    }

    unsafe fn tile(steps: usize, a: *const u32, b: *const u32, to: Target<f32>) {
        // SAFETY: the caller's promise.
        unsafe { by_size!(tile_bf16, to, (steps, a, b, to)) }
    }
}

/// Kinds of elements that [`pack_across`] reads.
const FLOAT: u8 = 0;
const BRAIN: u8 = 1;
const HALF: u8 = 2;
/// Lines and steps of a block of [`pack_across`].
const BLOCK: usize = 16;
/// Elements from the ones that are packed to those that are called for.
const AHEAD: usize = 64;

/// [`pack::pack`] of lines whose steps lie in sequence: blocks of 16 by 16, transposed in registers.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn pack_across<const KIND: u8>(
    from: &Operand,
    (line, lines): (usize, usize),
    (step, steps): (usize, usize),
    width: usize,
    panel: &mut [f32],
) {
    let panel = &mut panel[..width * steps];
    for left in (0..width).step_by(BLOCK) {
        let columns = BLOCK.min(width - left);
        let there = lines.saturating_sub(left).min(columns);
        let stored = ((1u32 << columns) - 1) as u16;
        for first in (0..steps).step_by(BLOCK) {
            let n = BLOCK.min(steps - first);
            let mask = ((1u32 << n) - 1) as u16;
            let mut block = [_mm512_setzero_ps(); BLOCK];
            for (l, row) in block.iter_mut().enumerate().take(there) {
                // SAFETY: the caller's promise; the mask ends with the steps.
                unsafe {
                    let at = from.at(line + left + l, step + first);
                    prefetch(at.wrapping_add(AHEAD * from.dtype.size()));
                    *row = match KIND {
                        FLOAT => _mm512_maskz_loadu_ps(mask, at.cast()),
                        BRAIN => {
                            let bits = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, at.cast()));
                            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
                        }
                        _ => _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, at.cast())),
                    };
                }
            }
            let block = transpose(&block);
            for (s, v) in block.iter().enumerate().take(n) {
                let at = (first + s) * width + left;
                // SAFETY: `columns` elements of step `first + s` of the panel.
                unsafe { _mm512_mask_storeu_ps(panel.as_mut_ptr().add(at), stored, *v) };
            }
        }
    }
}

/// Rows become columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn transpose(rows: &[__m512; 16]) -> [__m512; 16] {
    let mut pairs = *rows;
    for i in 0..8 {
        pairs[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
    }
    // Lane `l` of `fours[4 i + c]` is rows 4 i ..= 4 i + 3 of column 4 l + c.
    let mut fours = pairs;
    for i in 0..4 {
        for half in 0..2 {
            let [a, b] = [pairs[4 * i + half], pairs[4 * i + 2 + half]].map(|v| _mm512_castps_pd(v));
            fours[4 * i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            fours[4 * i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    let mut columns = fours;
    for c in 0..4 {
        let even = |a: usize| _mm512_shuffle_f32x4::<0x88>(fours[a + c], fours[a + 4 + c]);
        let odd = |a: usize| _mm512_shuffle_f32x4::<0xdd>(fours[a + c], fours[a + 4 + c]);
        let (even, odd) = ([even(0), even(8)], [odd(0), odd(8)]);
        columns[c] = _mm512_shuffle_f32x4::<0x88>(even[0], even[1]);
        columns[4 + c] = _mm512_shuffle_f32x4::<0x88>(odd[0], odd[1]);
        columns[8 + c] = _mm512_shuffle_f32x4::<0xdd>(even[0], even[1]);
        columns[12 + c] = _mm512_shuffle_f32x4::<0xdd>(odd[0], odd[1]);
    }
    columns
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn tile_f32<const R: usize, const V: usize>(
    steps: usize,
    mut a: *const f32,
    mut b: *const f32,
    to: Target<f32>,
) {
    fetch::<R>(&to);
    let mut sums = [[_mm512_setzero_ps(); V]; R];
    for _ in 0..steps {
        // SAFETY: the panels hold ROWS and COLUMNS elements for this step.
        unsafe {
            let columns: [__m512; V] = std::array::from_fn(|v| _mm512_loadu_ps(b.add(16 * v)));
            for (r, sum) in sums.iter_mut().enumerate() {
                let x = _mm512_set1_ps(*a.add(r));
                for (s, &y) in sum.iter_mut().zip(&columns) {
                    *s = _mm512_fmadd_ps(x, y, *s);
                }
            }
            a = a.add(ROWS);
            b = b.add(COLUMNS);
        }
    }
    // SAFETY: the caller's promise about the target.
    unsafe { finish(&sums, to) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn tile_bf16<const R: usize, const V: usize>(
    steps: usize,
    mut a: *const u32,
    mut b: *const u32,
    to: Target<f32>,
) {
    fetch::<R>(&to);
    let mut sums = [[_mm512_setzero_ps(); V]; R];
    for _ in 0..steps {
        // SAFETY: the panels hold ROWS and COLUMNS pairs for this step; a register of 16 pairs is as good an
        // `__m512bh` as an `__m512i`.
        unsafe {
            let columns: [__m512bh; V] =
                std::array::from_fn(|v| std::mem::transmute(_mm512_loadu_si512(b.add(16 * v).cast())));
            for (r, sum) in sums.iter_mut().enumerate() {
                let x: __m512bh = std::mem::transmute(_mm512_set1_epi32(*a.add(r) as i32));
                for (s, &y) in sum.iter_mut().zip(&columns) {
                    *s = _mm512_dpbf16_ps(*s, x, y);
                }
            }
            a = a.add(ROWS);
            b = b.add(COLUMNS);
        }
    }
    // SAFETY: the caller's promise about the target.
    unsafe { finish(&sums, to) }
}

/// Calls for the lines of the target while the sums are made.
#[inline(always)]
fn fetch<const R: usize>(to: &Target<f32>) {
    if to.half.is_some() && !to.accumulate {
        return;
    }
    for r in 0..R.min(to.rows) {
        let row = to.base.wrapping_offset(r as isize * to.row);
        prefetch(row.cast());
        prefetch(row.wrapping_add(to.columns - 1).cast());
    }
}

/// Scales the sums and writes those that exist.
#[inline(always)]
unsafe fn finish<const R: usize, const V: usize>(sums: &[[__m512; V]; R], to: Target<f32>) {
    // SAFETY: masks and the row limit keep the accesses inside the target; the callers have AVX-512.
    unsafe {
        let alpha = _mm512_set1_ps(to.alpha);
        for (r, sum) in sums.iter().enumerate() {
            if r >= to.rows {
                break;
            }
            let row = to.base.offset(r as isize * to.row);
            for (v, &s) in sum.iter().enumerate() {
                let left = to.columns.saturating_sub(16 * v).min(16);
                let mask = ((1u32 << left) - 1) as u16;
                let at = row.wrapping_add(16 * v);
                let old = if to.accumulate { _mm512_maskz_loadu_ps(mask, at) } else { _mm512_setzero_ps() };
                let new = _mm512_fmadd_ps(s, alpha, old);
                match &to.half {
                    None => _mm512_mask_storeu_ps(at, mask, new),
                    Some(half) => {
                        let at = half.base.offset(r as isize * half.row).wrapping_add(16 * v);
                        _mm256_mask_storeu_epi16(at.cast(), mask, narrow(new, half));
                    }
                }
            }
        }
    }
}

/// Rounds to 16 bits, to nearest, ties to even; a NaN stays one.
#[inline(always)]
unsafe fn narrow(v: __m512, half: &Half) -> __m256i {
    // SAFETY: the callers have AVX-512.
    unsafe {
        if !half.brain {
            return _mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v);
        }
        // The CPU's own conversion would flush denormals.
        let bits = _mm512_castps_si512(v);
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
        let rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
        let quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x0040_0000));
        let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(v, v);
        _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(_mm512_mask_mov_epi32(rounded, nan, quiet)))
    }
}
