//! Random numbers by Philox4x32-10: a block of four words is a function of a 128-bit counter and a 64-bit key, so
//! element `i` of a launch is the same whatever the tiles and threads.
//!
//! All kernels take the tensors out, counter (two 64-bit words) and then those parameters that lie in memory, one
//! element each: first, second, seed, step. Attributes: seed; first as float and as integer; second likewise; which
//! of the first three are read from tensors, as bits 0 to 2. With bit 3 there is no counter tensor: its words are
//! attributes 6 and 7. With bit 4 the step is added to the counter's high word.

use std::f32::consts::TAU;

use vinci_hw::args::{ArgsView, DType};

use crate::lane::{Lane, LaneKind, lane_of};
use crate::tile::{Source, map_ordered};
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

const ROUNDS: u32 = 10;
/// Bit of the attribute that says where parameters are.
const COUNTER_GIVEN: i64 = 8;
pub const IN_ORDER: [u8; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
/// Standard deviations beyond which a truncated normal number is drawn again.
const TRUNCATED_AT: f32 = 2.0;

/// The block of a counter under a key.
#[inline(always)]
pub fn philox(counter: u128, seed: u64) -> [u32; 4] {
    let mut c = [counter as u32, (counter >> 32) as u32, (counter >> 64) as u32, (counter >> 96) as u32];
    let (mut k0, mut k1) = (seed as u32, (seed >> 32) as u32);
    for _ in 0..ROUNDS {
        let (a, b) = (u64::from(c[0]) * 0xd251_1f53, u64::from(c[2]) * 0xcd9e_8d57);
        c = [(b >> 32) as u32 ^ c[1] ^ k0, b as u32, (a >> 32) as u32 ^ c[3] ^ k1, a as u32];
        k0 = k0.wrapping_add(0x9e37_79b9);
        k1 = k1.wrapping_add(0xbb67_ae85);
    }
    c
}

/// In [0, 1), a multiple of 2⁻⁵³.
#[inline(always)]
pub fn wide_unit(word: u64) -> f64 {
    (word >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

/// In [0, 1), a multiple of 2⁻²⁴.
#[inline(always)]
pub fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Two normal numbers from two words (Box and Muller).
#[inline(always)]
fn normal_pair(a: u32, b: u32) -> [f32; 2] {
    // 1 − u is in (0, 1]: its logarithm is finite.
    let radius = (-2.0 * (1.0 - unit(a)).ln()).sqrt();
    let (sin, cos) = (TAU * unit(b)).sin_cos();
    [radius * cos, radius * sin]
}

/// Where the numbers of a launch come from.
#[derive(Clone, Copy)]
pub struct Draw {
    seed: u64,
    counter: u128,
}

impl Draw {
    /// Block number `n` of the launch.
    #[inline(always)]
    pub fn block(&self, n: usize) -> [u32; 4] {
        philox(self.counter.wrapping_add(n as u128), self.seed)
    }

    /// Calls `element(index, word)` for a tile of 32-bit words.
    #[inline(always)]
    pub fn words(&self, first: usize, count: usize, mut element: impl FnMut(usize, u32)) {
        let mut block = [0; 4];
        for i in 0..count {
            let at = first + i;
            if i == 0 || at.is_multiple_of(4) {
                block = self.block(at / 4);
            }
            element(i, block[at % 4]);
        }
    }

    /// As [`Draw::words`], of 64 bits.
    #[inline(always)]
    pub fn wide_words(&self, first: usize, count: usize, mut element: impl FnMut(usize, u64)) {
        for i in 0..count {
            let at = first + i;
            let block = self.block(at / 2);
            let half = at % 2 * 2;
            element(i, u64::from(block[half]) | u64::from(block[half + 1]) << 32);
        }
    }

    /// A normal number that is not beyond [`TRUNCATED_AT`]. Tries live in the counter's top word.
    #[inline(always)]
    fn truncated(&self, at: usize) -> f32 {
        let mut counter = self.counter.wrapping_add(at as u128);
        loop {
            let [a, b, c, d] = philox(counter, self.seed);
            let tries = normal_pair(a, b).into_iter().chain(normal_pair(c, d));
            if let Some(number) = { tries }.find(|number| number.abs() <= TRUNCATED_AT) {
                return number;
            }
            counter = counter.wrapping_add(1 << 96);
        }
    }
}

/// The parameters of a launch, wherever they are.
pub struct Parameters<L> {
    /// The numbers.
    pub draw: Draw,
    /// Meaning by kernel.
    pub first: L,
    /// Meaning by kernel.
    pub second: L,
    /// The tensor behind those of the parameters.
    pub next: usize,
}

fn read<L: Lane>(ctx: &Ctx<'_>, args: &ArgsView<'_>, index: usize) -> Result<L, KernelFault> {
    let tensor = Tensor::input(ctx, args, index)?;
    if tensor.count != 1 {
        return Err(KernelFault::Unsupported("a parameter of more than one element"));
    }
    let mut value = [L::ZERO];
    Source::new(&tensor, &IN_ORDER).read(0, &mut value);
    Ok(value[0])
}

/// Reads the parameters of a launch.
pub fn parameters<L: Lane>(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<Parameters<L>, KernelFault> {
    let in_memory = args.attr_i64(5)?;
    let mut words = [0u64; 2];
    let mut next = 1;
    if in_memory & COUNTER_GIVEN == 0 {
        let counter = Tensor::input(ctx, args, next)?;
        if counter.count != 2 || counter.dtype.size() != 8 {
            return Err(KernelFault::Unsupported("a counter that is not two 64-bit words"));
        }
        Source::new(&counter, &IN_ORDER).read(0, &mut words);
        next += 1;
    } else {
        words = [args.attr(6)?, args.attr(7)?];
    }
    let mut place = |bit: u32| {
        let there = in_memory & 1 << bit != 0;
        next += usize::from(there);
        there.then(|| next - 1)
    };
    let given = |at: usize| Ok(L::scalar(args.attr_f64(at)?, args.attr_i64(at + 1)?));
    let first = place(0).map_or_else(|| given(1), |index| read(ctx, args, index))?;
    let second = place(1).map_or_else(|| given(3), |index| read(ctx, args, index))?;
    let seed =
        place(2).map_or_else(|| Ok(args.attr_i64(0)? as u64), |index| read::<u64>(ctx, args, index))?;
    if let Some(index) = place(4) {
        words[1] = words[1].wrapping_add(read::<u64>(ctx, args, index)?);
    }
    let counter = u128::from(words[0]) | u128::from(words[1]) << 64;
    Ok(Parameters { draw: Draw { seed, counter }, first, second, next })
}

/// Even in [first, second): floats, or integers, for which an empty range gives `first`.
pub fn uniform(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    match lane_of(out.dtype) {
        LaneKind::F32 => {
            let Parameters { draw, first: low, second: high, .. } = parameters::<f32>(ctx, args)?;
            map_ordered::<f32, 0>(ctx, &out, &IN_ORDER, [], &|at, [], out| {
                draw.words(at, out.len(), |i, word| out[i] = low + unit(word) * (high - low));
            });
        }
        _ if matches!(out.dtype, DType::I32 | DType::U32) => {
            let Parameters { draw, first: low, second: high, .. } = parameters::<i64>(ctx, args)?;
            let range = high.saturating_sub(low).clamp(0, u32::MAX.into()) as u64;
            map_ordered::<i64, 0>(ctx, &out, &IN_ORDER, [], &|at, [], out| {
                draw.words(at, out.len(), |i, word| {
                    out[i] = low.wrapping_add(((u64::from(word) * range) >> 32) as i64)
                });
            });
        }
        LaneKind::I64 => {
            let Parameters { draw, first: low, second: high, .. } = parameters::<i64>(ctx, args)?;
            let range = if high > low { high.wrapping_sub(low) as u64 } else { 0 };
            map_ordered::<i64, 0>(ctx, &out, &IN_ORDER, [], &|at, [], out| {
                draw.wide_words(at, out.len(), |i, word| {
                    out[i] = low.wrapping_add(scaled(word, range) as i64)
                });
            });
        }
        LaneKind::F64 => {
            let Parameters { draw, first: low, second: high, .. } = parameters::<f64>(ctx, args)?;
            map_ordered::<f64, 0>(ctx, &out, &IN_ORDER, [], &|at, [], out| {
                draw.wide_words(at, out.len(), |i, word| out[i] = low + wide_unit(word) * (high - low));
            });
        }
        LaneKind::U64 => {
            let Parameters { draw, first: low, second: high, .. } = parameters::<u64>(ctx, args)?;
            let range = high.saturating_sub(low);
            map_ordered::<u64, 0>(ctx, &out, &IN_ORDER, [], &|at, [], out| {
                draw.wide_words(at, out.len(), |i, word| out[i] = low + scaled(word, range));
            });
        }
        LaneKind::I32 => return Err(KernelFault::Unsupported("random numbers of this type")),
    }
    Ok(())
}

/// A word as a part of `range`.
#[inline(always)]
fn scaled(word: u64, range: u64) -> u64 {
    ((u128::from(word) * u128::from(range)) >> 64) as u64
}

/// Normal with mean `first` and standard deviation `second`.
pub fn normal(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let (out, Parameters { draw, first: mean, second: deviation, .. }) = normal_parameters(ctx, args)?;
    map_ordered::<f32, 0>(ctx, &out, &IN_ORDER, [], &|at, [], out| {
        let mut numbers = [0.0; 4];
        for (i, out) in out.iter_mut().enumerate() {
            let at = at + i;
            if i == 0 || at.is_multiple_of(4) {
                let [a, b, c, d] = draw.block(at / 4);
                let (front, back) = (normal_pair(a, b), normal_pair(c, d));
                numbers = [front[0], front[1], back[0], back[1]];
            }
            *out = mean + deviation * numbers[at % 4];
        }
    });
    Ok(())
}

/// As [`normal`], but never more than two standard deviations from the mean.
pub fn truncated_normal(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let (out, Parameters { draw, first: mean, second: deviation, .. }) = normal_parameters(ctx, args)?;
    map_ordered::<f32, 0>(ctx, &out, &IN_ORDER, [], &|at, [], out| {
        out.iter_mut().enumerate().for_each(|(i, out)| *out = mean + deviation * draw.truncated(at + i));
    });
    Ok(())
}

fn normal_parameters(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(Tensor, Parameters<f32>), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    if !out.dtype.is_float() {
        return Err(KernelFault::Unsupported("normal numbers of this type"));
    }
    Ok((out, parameters::<f32>(ctx, args)?))
}

/// Bytes of bits, the lowest first, each 0 with probability `first`.
pub fn bits(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    if out.dtype != DType::U8 {
        return Err(KernelFault::Unsupported("bits in this type"));
    }
    let Parameters { draw, first: dropped, .. } = parameters::<f32>(ctx, args)?;
    map_ordered::<i32, 0>(ctx, &out, &IN_ORDER, [], &|at, [], out| {
        for (i, byte) in out.iter_mut().enumerate() {
            let mut bits = 0;
            draw.words((at + i) * 8, 8, |bit, word| bits |= i32::from(unit(word) >= dropped) << bit);
            *byte = bits;
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use vinci_hw::args::TensorArg;

    use super::*;
    use crate::testing::{BASE, Ram};

    const COUNT: usize = 40_000;

    fn tensor(va: u64, dtype: DType, count: usize) -> TensorArg {
        TensorArg::new(va, dtype, &[count as i64], &[1]).unwrap()
    }

    fn f(v: f64) -> u64 {
        v.to_bits()
    }

    /// Draws `count` numbers with parameters given as attributes.
    fn draw(kernel: &str, dtype: DType, count: usize, seed: u64, (a, b): (f64, f64)) -> Vec<f64> {
        let ram = Ram::new(count * 8 + 64);
        let (counter, out) = (tensor(BASE, DType::U64, 2), tensor(BASE + 64, dtype, count));
        ram.write::<u64>(&counter, &[5, 0]);
        let attrs = [seed, f(a), a as i64 as u64, f(b), b as i64 as u64, 0];
        ram.launch(kernel, &[out, counter], &attrs).unwrap();
        ram.floats(&out)
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
    }

    #[test]
    fn philox_gives_the_published_blocks() {
        assert_eq!(philox(0, 0), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox(u128::MAX, u64::MAX), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let counter = 0x0370_7344_1319_8a2e_85a3_08d3_243f_6a88;
        let block = philox(counter, 0x299f_31d0_a409_3822);
        assert_eq!(block, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn uniform_numbers_fill_their_range_evenly() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let values = draw("random_uniform", dtype, COUNT, 1, (-1.0, 3.0));
            let (mean, deviation) = moments(&values);
            assert!((mean - 1.0).abs() < 0.03 && (deviation - 4.0 / 12f64.sqrt()).abs() < 0.02, "{mean}");
            assert!(values.iter().all(|v| (-1.0..=3.0).contains(v)));
        }
        for dtype in [DType::I32, DType::U32, DType::I64, DType::U64] {
            let values = draw("random_uniform", dtype, COUNT, 2, (10.0, 20.0));
            for wanted in 10..20 {
                let found = values.iter().filter(|v| **v == f64::from(wanted)).count();
                assert!(found.abs_diff(COUNT / 10) < 300, "{found} times {wanted} as {dtype:?}");
            }
            assert!(draw("random_uniform", dtype, 10, 2, (7.0, 7.0)).iter().all(|v| *v == 7.0));
        }
        assert!(draw("random_uniform", DType::I64, 1000, 2, (-9e15, 9e15)).iter().any(|v| *v < -8e15));
    }

    #[test]
    fn normal_numbers_have_their_moments() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let values = draw("random_normal", dtype, COUNT, 3, (5.0, 2.0));
            let (mean, deviation) = moments(&values);
            assert!((mean - 5.0).abs() < 0.04 && (deviation - 2.0).abs() < 0.04, "{mean} {deviation}");
            let inside = values.iter().filter(|v| (**v - 5.0).abs() < 2.0).count();
            assert!(inside.abs_diff(COUNT * 6827 / 10_000) < 400, "{inside} within one deviation");
            let values = draw("random_truncated_normal", dtype, COUNT, 3, (5.0, 2.0));
            let (mean, deviation) = moments(&values);
            assert!(
                (mean - 5.0).abs() < 0.04 && (deviation - 2.0 * 0.8796).abs() < 0.04,
                "{mean} {deviation}"
            );
            assert!(values.iter().all(|v| (v - 5.0).abs() <= 4.0));
        }
    }

    #[test]
    fn bits_are_dropped_at_their_rate() {
        for dropped in [0.0, 0.4, 1.0] {
            let bytes = draw("random_bits", DType::U8, COUNT / 8, 4, (dropped, 0.0));
            let ones: u32 = bytes.iter().map(|byte| (*byte as u8).count_ones()).sum();
            assert!((f64::from(ones) / COUNT as f64 - (1.0 - dropped)).abs() < 0.01, "{ones} ones");
        }
    }

    #[test]
    fn numbers_depend_on_seed_and_counter_only() {
        let long = draw("random_uniform", DType::F32, 1000, 9, (0.0, 1.0));
        let short = draw("random_uniform", DType::F32, 10, 9, (0.0, 1.0));
        assert_eq!(long[..10], short);
        assert_ne!(short, draw("random_uniform", DType::F32, 10, 10, (0.0, 1.0)));
    }

    #[test]
    fn parameters_can_lie_in_memory() {
        let ram = Ram::new(512);
        let (counter, out) = (tensor(BASE, DType::U64, 2), tensor(BASE + 128, DType::F32, 40));
        let [low, high, seed] = [(32, DType::F32), (40, DType::F32), (48, DType::U64)]
            .map(|(at, dtype)| tensor(BASE + at, dtype, 1));
        ram.write::<u64>(&counter, &[5, 0]);
        ram.write::<f32>(&low, &[2.0]);
        ram.write::<f32>(&high, &[4.0]);
        ram.write::<u64>(&seed, &[1]);
        ram.launch("random_uniform", &[out, counter, low, high, seed], &[0, 0, 0, 0, 0, 7]).unwrap();
        assert_eq!(ram.floats(&out), draw("random_uniform", DType::F32, 40, 1, (2.0, 4.0)));
        ram.launch("random_uniform", &[out, counter, seed], &[0, f(2.0), 0, f(4.0), 0, 4]).unwrap();
        assert_eq!(ram.floats(&out), draw("random_uniform", DType::F32, 40, 1, (2.0, 4.0)));
        assert!(ram.launch("random_uniform", &[out, counter], &[0, 0, 0, 0, 0, 1]).is_err());
        assert!(ram.launch("random_normal", &[tensor(BASE + 128, DType::I32, 4), counter], &[0; 6]).is_err());
        assert!(ram.launch("random_bits", &[out, counter], &[0; 6]).is_err());
        assert!(ram.launch("random_uniform", &[out, low], &[0; 6]).is_err());
    }
}
