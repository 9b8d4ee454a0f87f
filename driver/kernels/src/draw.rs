//! Kernels that draw something else than one number per element from [`crate::random`]'s numbers. The parameters are
//! those of `random`, the tensors behind them each kernel's own.

use vinci_hw::args::{ArgsError, ArgsView};

use crate::lane::TILE;
use crate::random::{IN_ORDER, Parameters, parameters, unit, wide_unit};
use crate::tile::{Sink, Source, for_each, map_ordered};
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// Whole numbers in first..second, also in floats; an empty range gives `first`.
pub fn integer(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let draw = parameters::<i64>(ctx, args)?;
    let range = if draw.second > draw.first { draw.second.wrapping_sub(draw.first) as u64 } else { 0 };
    map_ordered::<i64, 0>(ctx, &out, &IN_ORDER, [], &|at, [], out| {
        if range <= 1 << 24 {
            draw.draw.words(at, out.len(), |i, word| {
                out[i] = draw.first.wrapping_add(((u64::from(word) * range) >> 32) as i64);
            });
        } else {
            draw.draw.wide_words(at, out.len(), |i, word| {
                let part = (u128::from(word) * u128::from(range)) >> 64;
                out[i] = draw.first.wrapping_add(part as i64);
            });
        }
    });
    Ok(())
}

/// 1 with probability `first`, else 0; the tensor behind the parameters, if there is one, has a probability for each.
pub fn bernoulli(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let Parameters { draw, first, next, .. } = parameters::<f64>(ctx, args)?;
    if args.tensor_count() > next {
        let p = Tensor::input(ctx, args, next)?.same_dims(&out, next)?;
        map_ordered::<f64, 1>(ctx, &out, &IN_ORDER, [&p], &|at, [p], out| {
            draw.words(at, out.len(), |i, word| out[i] = f64::from(u8::from(f64::from(unit(word)) < p[i])));
        });
    } else {
        map_ordered::<f64, 0>(ctx, &out, &IN_ORDER, [], &|at, [], out| {
            draw.words(at, out.len(), |i, word| out[i] = f64::from(u8::from(f64::from(unit(word)) < first)));
        });
    }
    Ok(())
}

/// Exponential with rate `first`.
pub fn exponential(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let Parameters { draw, first: rate, .. } = parameters::<f64>(ctx, args)?;
    map_ordered::<f64, 0>(ctx, &out, &IN_ORDER, [], &|at, [], out| {
        // 1 − u is in (0, 1]: its logarithm is finite, and the number may be 0 but not below.
        draw.wide_words(at, out.len(), |i, word| out[i] = -(1.0 - wide_unit(word)).ln() / rate);
    });
    Ok(())
}

/// A permutation of 0..n, n being the length of `out`.
pub fn permutation(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let draw = parameters::<f64>(ctx, args)?.draw;
    if out.rank != 1 {
        return Err(ArgsError::BadTensor(0).into());
    }
    let mut numbers: Vec<i64> = (0..out.count as i64).collect();
    // Fisher and Yates; a word decides each exchange.
    for first in (1..out.count).rev().collect::<Vec<_>>().chunks(TILE) {
        let at = out.count - 1 - first[0];
        draw.wide_words(at, first.len(), |i, word| {
            let last = first[i];
            let other = ((u128::from(word) * (last as u128 + 1)) >> 64) as usize;
            numbers.swap(last, other);
        });
    }
    Sink::<i64>::new(&out, &IN_ORDER).write(0, &numbers);
    Ok(())
}

/// Tensors out `[rows, n]`, then weights `[rows, categories]`; `second` is not 0 if a category can be drawn again:
/// categories in proportion to their weights.
pub fn multinomial(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let Parameters { draw, second, next, .. } = parameters::<f64>(ctx, args)?;
    let weights = Tensor::input(ctx, args, next)?;
    if out.rank != 2 || weights.rank != 2 || out.dims[0] != weights.dims[0] {
        return Err(ArgsError::BadTensor(0).into());
    }
    let (n, categories, again) = (out.dims[1], weights.dims[1], second != 0.0);
    if out.count == 0 {
        return Ok(());
    }
    if categories == 0 || (!again && n > categories) {
        return Err(ArgsError::BadTensor(0).into());
    }
    let (source, sink) = (Source::<f64>::new(&weights, &IN_ORDER), Sink::<i64>::new(&out, &IN_ORDER));
    let wrong = std::sync::atomic::AtomicI64::new(-1);
    for_each(ctx, out.dims[0], weights.count, &|row| {
        let mut w = vec![0.0; categories];
        source.read(row * categories, &mut w);
        let total: f64 = w.iter().sum();
        let positive = w.iter().filter(|w| **w > 0.0).count();
        if !total.is_finite()
            || w.iter().any(|w| w.is_nan() || *w < 0.0)
            || positive == 0
            || (!again && positive < n)
        {
            wrong.store(row as i64, std::sync::atomic::Ordering::Relaxed);
            return;
        }
        let mut drawn = vec![0i64; n];
        if again {
            let mut sum = 0.0;
            let ends: Vec<f64> = w
                .iter()
                .map(|w| {
                    sum += w;
                    sum
                })
                .collect();
            draw.wide_words(row * n, n, |i, word| {
                let at = wide_unit(word) * sum;
                // The last category that has a weight, if rounding leads beyond the end.
                let category = ends.partition_point(|&end| end <= at).min(categories - 1);
                let category = (0..=category).rev().find(|&c| w[c] > 0.0).unwrap_or(category);
                drawn[i] = category as i64;
            });
        } else {
            // The categories arrive after exponential times whose rates are their weights.
            let mut times = vec![(f64::INFINITY, 0usize); categories];
            draw.wide_words(row * categories, categories, |c, word| {
                times[c] = (if w[c] > 0.0 { -(1.0 - wide_unit(word)).ln() / w[c] } else { f64::INFINITY }, c);
            });
            times.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
            drawn.iter_mut().zip(&times).for_each(|(d, t)| *d = t.1 as i64);
        }
        sink.write(row * n, &drawn);
    });
    match wrong.into_inner() {
        -1 => Ok(()),
        value => Err(KernelFault::Exception {
            what: "weights that are no distribution, or too few, in row",
            value,
        }),
    }
}

/// Tensors out, a, mask (bytes of bits, the lowest first); attribute scale: a · scale where the bit is set, else 0.
pub fn dropout(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    let mask = Tensor::input(ctx, args, 2)?;
    let scale = args.attr_f64(0)? as f32;
    if mask.count < out.count.div_ceil(8) || mask.dtype.size() != 1 {
        return Err(ArgsError::BadTensor(2).into());
    }
    let bits = Source::<i32>::new(&mask, &IN_ORDER);
    map_ordered::<f32, 1>(ctx, &out, &IN_ORDER, [&a], &|at, [a], out| {
        let mut bytes = [0; TILE / 8 + 2];
        let first = at / 8;
        let bytes = &mut bytes[..(at + out.len()).div_ceil(8) - first];
        bits.read(first, bytes);
        for (i, (o, &a)) in out.iter_mut().zip(a).enumerate() {
            let bit = at + i - first * 8;
            *o = if bytes[bit / 8] >> (bit % 8) & 1 != 0 { a * scale } else { 0.0 };
        }
    });
    Ok(())
}
