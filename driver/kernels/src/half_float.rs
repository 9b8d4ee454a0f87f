//! Tiles of binary16: a loop over single conversions would not become the CPU's vector instruction.

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::lane::TILE;
use crate::simd::{Level, level};

/// A [`Load`](crate::lane::Load) of binary16 into `f32`.
///
/// # Safety
/// As for every `Load`.
pub unsafe fn load_f16(from: *const u8, stride: isize, out: &mut [f32]) {
    let from = from.cast::<u16>();
    #[cfg(target_arch = "x86_64")]
    if stride == 1 && level() >= Level::V4 {
        // SAFETY: `Load`'s contract; the CPU has AVX-512.
        return unsafe { avx512::widen(from, out) };
    }
    let mut bits = [f16::ZERO; TILE];
    for (c, out) in out.chunks_mut(TILE).enumerate() {
        let bits = &mut bits[..out.len()];
        for (i, b) in bits.iter_mut().enumerate() {
            let at = (c * TILE + i) as isize * stride;
            // SAFETY: `Load`'s contract.
            *b = f16::from_bits(unsafe { from.offset(at).read_unaligned() });
        }
        bits.convert_to_f32_slice(out);
    }
}

/// A [`Store`](crate::lane::Store) of `f32` as binary16.
///
/// # Safety
/// As for every `Store`.
pub unsafe fn store_f16(to: *mut u8, stride: isize, values: &[f32]) {
    let to = to.cast::<u16>();
    #[cfg(target_arch = "x86_64")]
    if stride == 1 && level() >= Level::V4 {
        // SAFETY: `Store`'s contract; the CPU has AVX-512.
        return unsafe { avx512::narrow(to, values) };
    }
    let mut bits = [f16::ZERO; TILE];
    for (c, values) in values.chunks(TILE).enumerate() {
        let bits = &mut bits[..values.len()];
        bits.convert_from_f32_slice(values);
        for (i, b) in bits.iter().enumerate() {
            let at = (c * TILE + i) as isize * stride;
            // SAFETY: `Store`'s contract.
            unsafe { to.offset(at).write_unaligned(b.to_bits()) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    /// The lanes of a vector that `left` elements fill.
    fn mask(left: usize) -> u16 {
        ((1u32 << left.min(16)) - 1) as u16
    }

    /// # Safety
    /// `out.len()` elements from `from` on may be read.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub unsafe fn widen(from: *const u16, out: &mut [f32]) {
        for (c, out) in out.chunks_mut(16).enumerate() {
            // SAFETY: the masks leave out what lies beyond the last element.
            unsafe {
                let bits = _mm256_maskz_loadu_epi16(mask(out.len()), from.add(16 * c).cast());
                _mm512_mask_storeu_ps(out.as_mut_ptr(), mask(out.len()), _mm512_cvtph_ps(bits));
            }
        }
    }

    /// # Safety
    /// `values.len()` elements from `to` on may be written.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub unsafe fn narrow(to: *mut u16, values: &[f32]) {
        for (c, values) in values.chunks(16).enumerate() {
            // SAFETY: the masks leave out what lies beyond the last element.
            unsafe {
                let v = _mm512_maskz_loadu_ps(mask(values.len()), values.as_ptr());
                let bits = _mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v);
                _mm256_mask_storeu_epi16(to.add(16 * c).cast(), mask(values.len()), bits);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_and_length_converts_as_one_by_one() {
        let all: Vec<u16> = (0..=u16::MAX).collect();
        for (start, length) in [(0, 65536), (0, 1), (0x3c00, 15), (0x7bff, 17), (0xfbf0, 33)] {
            for stride in [1, 2] {
                let mut wide = vec![0.0; length / stride];
                let mut back = vec![7u16; length];
                // SAFETY: within the vectors.
                unsafe {
                    load_f16(all[start..].as_ptr().cast(), stride as isize, &mut wide);
                    store_f16(back.as_mut_ptr().cast(), stride as isize, &wide);
                }
                for (i, &w) in wide.iter().enumerate() {
                    let (one, b) = (f16::from_bits(all[start + i * stride]), back[i * stride]);
                    assert!(w == one.to_f32() || w.is_nan() && one.is_nan());
                    assert!(b == one.to_bits() || one.is_nan() && f16::from_bits(b).is_nan());
                    assert!(stride == 1 || i * 2 + 1 >= length || back[i * 2 + 1] == 7);
                }
            }
        }
    }
}
