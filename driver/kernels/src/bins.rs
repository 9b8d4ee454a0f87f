//! Values sorted into bins: counts, histograms, and places in a sorted sequence.

use vinci_hw::args::{ArgsError, ArgsView, DType};

use crate::arith::Arith;
use crate::lane::{Lane, LaneKind, common_lane, with_lane};
use crate::rows::Rows;
use crate::tile::{Source, for_each};
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

const IN_ORDER: [u8; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

/// Tensors out (integers), sequence, values (as out), perhaps an order of the sequence; attribute right. All are rows
/// along the last dimension: where each value belongs in its sequence, behind (right) or before its equals.
pub fn search(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let sequence = Tensor::input(ctx, args, 1)?;
    let values = Tensor::input(ctx, args, 2)?.same_dims(&out, 2)?;
    let order = if args.tensor_count() > 3 { Some(Tensor::input(ctx, args, 3)?) } else { None };
    let right = args.attr(0)? != 0;
    let Some(last) = out.rank.checked_sub(1) else { return Err(ArgsError::BadTensor(0).into()) };
    let rows_agree = |t: &Tensor| t.rank == out.rank && t.dims[..last] == out.dims[..last];
    if !rows_agree(&sequence) || order.as_ref().is_some_and(|o| o.dims() != sequence.dims()) {
        return Err(ArgsError::BadTensor(1).into());
    }
    if out.count == 0 {
        return Ok(());
    }
    let (n, k) = (sequence.dims[last], out.dims[last]);
    let rows = |t: &Tensor| Rows::new(t, |d| d == last);
    let (to, from, wanted, order) = (rows(&out), rows(&sequence), rows(&values), order.as_ref().map(rows));
    with_lane!(common_lane(sequence.dtype, values.dtype), L => for_each(ctx, out.count / k, out.count, &|row| {
        let (mut sequence, mut values) = (vec![L::ZERO; n], vec![L::ZERO; k]);
        from.source::<L>(row).read(0, &mut sequence);
        wanted.source::<L>(row).read(0, &mut values);
        if let Some(order) = &order {
            let mut places = vec![0i64; n];
            order.source::<i64>(row).read(0, &mut places);
            let at = |&p: &i64| usize::try_from(p).ok().and_then(|p| sequence.get(p)).copied();
            sequence = places.iter().map(|p| at(p).unwrap_or(L::ZERO)).collect();
        }
        // NaN is behind everything, as no comparison with it holds.
        let before = |v: L| move |s: &L| if right { s.partial_cmp(&v).is_none_or(|o| o.is_le()) } else { s.partial_cmp(&v).is_none_or(|o| o.is_lt()) };
        let found: Vec<i64> = values.iter().map(|&v| sequence.partition_point(before(v)) as i64).collect();
        to.sink::<i64>(row).write(0, &found);
    }));
    Ok(())
}

/// Tensors out (a vector), a (integers), perhaps weights (as a): how often each number occurs, or the sum of its weights.
pub fn count(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?;
    let weights =
        if args.tensor_count() > 2 { Some(Tensor::input(ctx, args, 2)?.same_dims(&a, 2)?) } else { None };
    if out.rank != 1 || a.dtype.is_float() {
        return Err(ArgsError::BadTensor(0).into());
    }
    let mut numbers = vec![0i64; a.count];
    Source::new(&a, &IN_ORDER).read(0, &mut numbers);
    if let Some(&value) = numbers.iter().find(|&&v| v < 0 || v >= out.dims[0] as i64) {
        return Err(KernelFault::Exception { what: "a number that has no bin", value });
    }
    let mut sums = vec![0.0f64; out.dims[0]];
    let mut terms = vec![1.0f64; a.count];
    if let Some(weights) = weights {
        Source::new(&weights, &IN_ORDER).read(0, &mut terms);
    }
    numbers.iter().zip(&terms).for_each(|(&n, t)| sums[n as usize] += t);
    crate::tile::Sink::new(&out, &IN_ORDER).write(0, &sums);
    Ok(())
}

/// Tensors out (a vector), a; attributes low, high (both zero: the extremes of a): how many values lie in each of
/// equally wide bins; the last includes its end.
pub fn histogram(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?;
    let (low, high) = (args.attr_f64(0)?, args.attr_f64(1)?);
    if out.rank != 1 || out.count == 0 {
        return Err(ArgsError::BadTensor(0).into());
    }
    match common_lane(a.dtype, if a.dtype.is_float() { a.dtype } else { DType::F32 }) {
        LaneKind::F64 => histogram_in::<f64>(&out, &a, low, high),
        _ => histogram_in::<f32>(&out, &a, low, high),
    }
}

fn histogram_in<L: Lane>(out: &Tensor, a: &Tensor, low: f64, high: f64) -> Result<(), KernelFault> {
    let bins = out.count;
    let mut values = vec![L::ZERO; a.count];
    Source::new(a, &IN_ORDER).read(0, &mut values);
    let (mut low, mut high) = (L::from_f64(low), L::from_f64(high));
    if low == high && !values.is_empty() {
        (low, high) = values.iter().fold((values[0], values[0]), |(l, h), &v| (l.smaller(v), h.larger(v)));
    }
    if low == high {
        (low, high) = (low.sub(L::ONE), high.add(L::ONE));
    }
    if !low.to_f64().is_finite() || !high.to_f64().is_finite() || low > high {
        return Err(KernelFault::Exception { what: "a range that is not finite", value: 0 });
    }
    // The edges count, not the quotient, whose rounding may lead to a neighbour.
    let count = L::from_f64(bins as f64);
    let step = high.sub(low).div(count);
    let edge = |i: usize| {
        let by = |n: usize| step.mul(L::from_f64(n as f64));
        if i < bins.div_ceil(2) { low.add(by(i)) } else { high.sub(by(bins - i)) }
    };
    let mut counts = vec![0.0f64; bins];
    for &v in values.iter().filter(|&&v| v >= low && v <= high) {
        let guess = v.sub(low).mul(count).div(high.sub(low)).to_f64() as usize;
        let (first, end) = (guess.min(bins).saturating_sub(1), (guess + 2).min(bins + 1));
        let at = (first..end).take_while(|&i| edge(i) <= v).last().unwrap_or(first);
        counts[at.min(bins - 1)] += 1.0;
    }
    crate::tile::Sink::new(out, &IN_ORDER).write(0, &counts);
    Ok(())
}
