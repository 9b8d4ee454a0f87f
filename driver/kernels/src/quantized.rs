//! Numbers of a byte and less: packed pairs, and floats that become and were such numbers.

use vinci_hw::args::{ArgsError, ArgsView, DType};

use crate::arith::Arith;
use crate::lane::{Lane, TILE};
use crate::pointwise::{Pointwise, SCALARS, c, pointwise_ops};
use crate::rows::Rows;
use crate::simd::{Task, vectorize};
use crate::tile::{Sink, Source, for_each, map_ordered};
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// The first and the second elements of pairs `[.., 2]`, which bytes `[..]` hold.
fn halves(packed: &Tensor, pairs: &Tensor) -> Result<[Tensor; 2], ArgsError> {
    let fits = packed.rank + 1 == pairs.rank
        && pairs.dims[..packed.rank] == packed.dims[..packed.rank]
        && pairs.dims[packed.rank] == 2;
    if !fits || !matches!(packed.dtype, DType::I8 | DType::U8) {
        return Err(ArgsError::BadTensor(1));
    }
    Ok([0, 1].map(|half| {
        let mut t = pairs.shifted(half * pairs.strides[packed.rank]);
        (t.rank, t.count) = (packed.rank, packed.count);
        t.dims[packed.rank] = 1;
        t
    }))
}

/// Tensors out `[.., 2]`, packed `[..]` of bytes: each byte holds two signed numbers of 4 bits, the first in its low
/// half.
pub fn unpack_int4(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let packed = Tensor::input(ctx, args, 1)?;
    // Each half of the bytes goes to every second element.
    for (half, to) in halves(&packed, &out)?.into_iter().enumerate() {
        map_ordered::<i32, 1>(ctx, &to, &packed.order(), [&packed], &|_, [a], out| {
            for (o, &v) in out.iter_mut().zip(a) {
                *o = (v >> (4 * half)) << 28 >> 28;
            }
        });
    }
    Ok(())
}

/// Tensors packed `[..]` of bytes, a `[.., 2]`: the way back of [`unpack_int4`].
pub fn pack_int4(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let packed = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?;
    let [low, high] = halves(&packed, &a)?;
    map_ordered::<i32, 2>(ctx, &packed, &packed.order(), [&low, &high], &|_, [low, high], out| {
        for ((o, &low), &high) in out.iter_mut().zip(low).zip(high) {
            *o = low & 15 | high << 4;
        }
    });
    Ok(())
}

pointwise_ops! {
    /// x · scale + offset, or x / scale + offset if `divide`, limited to low..=high. What rounds it comes before or after.
    Scaled = |x, scale, offset; divide, low, high| {
        let scaled = if divide != L::ZERO { x.div(scale) } else { x.mul(scale) };
        scaled.add(offset).larger(low).smaller(high)
    };
    /// As [`Scaled`], rounded to the nearest, ties to even
    Quantise = |x, scale, offset; divide, low, high| {
        let scaled = if divide != L::ZERO { x.div(scale) } else { x.mul(scale) };
        scaled.add(offset).round().larger(low).smaller(high)
    };
    /// a sum of products of integers as a float: times the scales of its column and its row, plus a bias
    Dequantise = |sum, column, row, bias| sum.mul(column).mul(row).add(bias);
    /// x by a step and a zero point, to the next number of low..=high, and back
    FakeQuantise = |x, scale, zero; low, high| {
        let q = x.mul(L::ONE.div(scale)).round().add(zero.round()).larger(low).smaller(high);
        q.sub(zero.round()).mul(scale)
    };
    /// Whether [`FakeQuantise`] keeps x within low..=high
    FakeQuantiseKept = |x, scale, zero; low, high| {
        let q = x.mul(L::ONE.div(scale)).round().add(zero.round());
        if q >= low && q <= high { L::ONE } else { c(0.0) }
    };
}

/// Largest, smallest of a row, times a factor each if there are some.
struct Extremes<'a> {
    row: &'a mut [f32],
    smooth: Option<&'a [f32]>,
}

impl Task for Extremes<'_> {
    type Output = (f32, f32);
    #[inline(always)]
    fn call(self) -> (f32, f32) {
        if let Some(smooth) = self.smooth {
            self.row.iter_mut().zip(smooth).for_each(|(v, &s)| *v *= s);
        }
        let first = self.row.first().copied().unwrap_or(0.0);
        self.row.iter().fold((first, first), |(high, low), &v| (high.larger(v), low.smaller(v)))
    }
}

/// Tensors q, scale `[.., 1]`, \[offset `[.., 1]`\], x, \[smooth\], the others as x; attributes which there are (1 offset,
/// 2 smooth), the largest number of q. Rows of x · smooth become numbers of q by a scale that each row has: its
/// largest absolute value by the largest number; or, with an offset, what makes its smallest and its largest value the
/// smallest and the largest number.
pub fn dynamic_quantise(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let (there, most) = (args.attr(0)?, args.attr_f64(1)? as f32);
    let (has_offset, has_smooth) = (there & 1 != 0, there & 2 != 0);
    let q = Tensor::output(ctx, args, 0)?;
    let scale = Tensor::output(ctx, args, 1)?;
    let offset = if has_offset { Some(Tensor::output(ctx, args, 2)?) } else { None };
    let first = 2 + usize::from(has_offset);
    let x = Tensor::input(ctx, args, first)?.same_dims(&q, first)?;
    let smooth =
        if has_smooth { Some(Tensor::input(ctx, args, first + 1)?.same_dims(&q, first + 1)?) } else { None };
    let Some(last) = q.rank.checked_sub(1) else { return Err(ArgsError::BadTensor(0).into()) };
    for t in [&scale].into_iter().chain(&offset) {
        if t.rank != q.rank || t.dims[..last] != q.dims[..last] || t.dims[last] != 1 {
            return Err(ArgsError::BadTensor(1).into());
        }
    }
    let (n, count) = (q.dims[last], q.count);
    if count == 0 {
        return Ok(());
    }
    let rows = |t: &Tensor| Rows::new(t, |d| d == last);
    let (q, scale, offset, x, smooth) =
        (rows(&q), rows(&scale), offset.as_ref().map(rows), rows(&x), smooth.as_ref().map(rows));
    for_each(ctx, count / n, count.saturating_mul(4), &|r| {
        let (mut row, mut factors) = (vec![0f32; n], vec![0f32; if smooth.is_some() { n } else { 0 }]);
        x.source::<f32>(r).read(0, &mut row);
        if let Some(smooth) = &smooth {
            smooth.source::<f32>(r).read(0, &mut factors);
        }
        let smooth = smooth.is_some().then_some(&factors[..]);
        let (high, low) = vectorize(Extremes { row: &mut row, smooth });
        let (step, zero) = match &offset {
            None => (high.abs().larger(low.abs()) / most, 0.0),
            Some(_) => {
                let step = (high - low) / (2.0 * most + 1.0);
                (step, if step == 0.0 { most } else { most - high / step })
            }
        };
        for v in &mut row {
            // A row of equal values has no step; its numbers are the zero point's.
            let scaled = if step == 0.0 { 0.0 } else { *v / step };
            *v = (scaled + zero).round_ties_even().max(-most - 1.0).min(most);
        }
        q.sink::<f32>(r).write(0, &row);
        scale.sink::<f32>(r).write(0, &[step]);
        if let Some(offset) = &offset {
            offset.sink::<f32>(r).write(0, &[zero]);
        }
    });
    Ok(())
}

/// The float of 19 bits below or next to a float's bits; a number without an exponent becomes 0 when it is rounded.
fn fp19(bits: u32, round: bool) -> u32 {
    let special = bits >> 23 & 0xff;
    match (round, special) {
        (true, 0) => bits & 1 << 31,
        (true, 1..0xff) => bits.wrapping_add(0xfff + (bits >> 13 & 1)) & !0x1fff,
        _ => bits & !0x1fff,
    }
}

/// Tensors out (64 bits), scale (float32), \[offset\], all of the same dimensions; attribute whether scales are rounded: what
/// the cube's way out takes, a float of 19 bits below bit 32, a number of 9 bits at bit 37, bit 46.
pub fn pack_parameters(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let scale = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    let offset =
        if args.tensor_count() > 2 { Some(Tensor::input(ctx, args, 2)?.same_dims(&out, 2)?) } else { None };
    let round = args.attr(0)? != 0;
    let order = out.order();
    let sources = [Some(scale), offset].map(|t| t.map(|t| Source::<f32>::new(&t, &order)));
    let sink = Sink::<u64>::new(&out, &order);
    let mut values = [[0f32; TILE]; 2];
    let mut packed = [0u64; TILE];
    for start in (0..out.count).step_by(TILE) {
        let n = TILE.min(out.count - start);
        for (source, values) in sources.iter().zip(&mut values) {
            source.iter().for_each(|s| s.read(start, &mut values[..n]));
        }
        for i in 0..n {
            let offset = values[1][i].round_ties_even().clamp(-256.0, 255.0) as i64 as u64 & 0x1ff;
            packed[i] = u64::from(fp19(values[0][i].to_bits(), round)) | 1 << 46 | offset << 37;
        }
        sink.write(start, &packed[..n]);
    }
    Ok(())
}

/// Tensors scale, offset, packed: the way back of [`pack_parameters`].
pub fn unpack_parameters(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let scale = Tensor::output(ctx, args, 0)?;
    let offset = Tensor::output(ctx, args, 1)?.same_dims(&scale, 1)?;
    let packed = Tensor::input(ctx, args, 2)?.same_dims(&scale, 2)?;
    let order = scale.order();
    let source = Source::<u64>::new(&packed, &order);
    let sinks = [scale, offset].map(|t| Sink::<f32>::new(&t, &order));
    let mut bits = [0u64; TILE];
    for start in (0..scale.count).step_by(TILE) {
        let bits = &mut bits[..TILE.min(scale.count - start)];
        source.read(start, bits);
        let values = |f: &dyn Fn(u64) -> f32| bits.iter().map(|&b| f(b)).collect::<Vec<_>>();
        sinks[0].write(start, &values(&|b| f32::from_bits(b as u32)));
        sinks[1].write(start, &values(&|b| ((b << 18) as i64 >> 55) as f32));
    }
    Ok(())
}
