//! Kernels whose results are as long as the data says: the caller gives room for the most there can be, and a place
//! for the number that there is.

use std::cmp::Ordering;

use vinci_hw::args::{ArgsError, ArgsView, DType, MAX_RANK};

use crate::arith::Arith;
use crate::lane::{Lane, LaneKind, TILE, common_lane, lane_of, with_lane};
use crate::tile::{Sink, Source};
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

const IN_ORDER: [u8; MAX_RANK] = [0, 1, 2, 3, 4, 5, 6, 7];

fn put_count(t: &Tensor, count: usize) {
    Sink::<i64>::new(t, &IN_ORDER).write(0, &[count as i64]);
}

/// Resolves the place of a count.
fn counter(ctx: &Ctx<'_>, args: &ArgsView<'_>, index: usize) -> Result<Tensor, KernelFault> {
    let t = Tensor::output(ctx, args, index)?;
    if t.count == 1 && t.dtype == DType::I64 { Ok(t) } else { Err(ArgsError::BadTensor(index).into()) }
}

/// Calls `each(number)` for the elements that are not zero, in order.
fn for_true(t: &Tensor, mut each: impl FnMut(usize) -> Result<(), KernelFault>) -> Result<(), KernelFault> {
    fn run<L: Lane>(
        t: &Tensor,
        each: &mut dyn FnMut(usize) -> Result<(), KernelFault>,
    ) -> Result<(), KernelFault> {
        let source = Source::<L>::new(t, &IN_ORDER);
        let mut tile = [L::ZERO; TILE];
        for start in (0..t.count).step_by(TILE) {
            let tile = &mut tile[..TILE.min(t.count - start)];
            source.read(start, tile);
            tile.iter().enumerate().filter(|(_, v)| **v != L::ZERO).try_for_each(|(i, _)| each(start + i))?;
        }
        Ok(())
    }
    match lane_of(t.dtype) {
        LaneKind::F32 | LaneKind::F64 => run::<f64>(t, &mut each),
        _ => run::<i64>(t, &mut each),
    }
}

/// Tensors out `[most · rank]`, count, a; attribute whether by columns: the indices of the elements that are not zero, as
/// `[count, rank]` or `[rank, count]`.
pub fn nonzero(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let count = counter(ctx, args, 1)?;
    let a = Tensor::input(ctx, args, 2)?;
    let by_columns = args.attr(0)? != 0;
    if out.rank != 1 || a.count.checked_mul(a.rank).is_none_or(|n| n > out.count) {
        return Err(ArgsError::BadTensor(0).into());
    }
    let mut all = 0;
    if by_columns {
        for_true(&a, |_| {
            all += 1;
            Ok(())
        })?;
    }
    let store = i64::storer(out.dtype);
    let mut found = 0;
    for_true(&a, |mut number| {
        // What others write meanwhile cannot make more of them than there is room for.
        if by_columns && found == all {
            return Ok(());
        }
        for d in (0..a.rank).rev() {
            let index = (number % a.dims[d]) as i64;
            number /= a.dims[d];
            let at = if by_columns { d * all + found } else { found * a.rank + d };
            // SAFETY: below rank times the number of elements, which there is room for.
            unsafe { store(out.at(at as isize * out.strides[0]), 1, &[index]) };
        }
        found += 1;
        Ok(())
    })?;
    put_count(&count, found);
    Ok(())
}

/// Tensors out `[most]`, count, a, mask of a's dimensions: the elements where the mask is not zero.
pub fn masked_select(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let count = counter(ctx, args, 1)?;
    let a = Tensor::input(ctx, args, 2)?;
    let mask = Tensor::input(ctx, args, 3)?.same_dims(&a, 3)?;
    if out.rank != 1 {
        return Err(ArgsError::BadTensor(0).into());
    }
    let mut found = 0;
    with_lane!(common_lane(a.dtype, out.dtype), L => {
        let (source, sink) = (Source::<L>::new(&a, &IN_ORDER), Sink::<L>::new(&out, &IN_ORDER));
        for_true(&mask, |number| {
            if found < out.count {
                let mut value = [L::ZERO];
                source.read(number, &mut value);
                sink.write(found, &value);
                found += 1;
            }
            Ok(())
        })?;
    });
    put_count(&count, found);
    Ok(())
}

/// Tensors out, mask of its dimensions, source: the elements of the source, in order, where the mask is not zero.
pub fn masked_scatter(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let mask = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    let from = Tensor::input(ctx, args, 2)?;
    let mut used = 0;
    with_lane!(common_lane(from.dtype, out.dtype), L => {
        let (source, sink) = (Source::<L>::new(&from, &IN_ORDER), Sink::<L>::new(&out, &IN_ORDER));
        for_true(&mask, |number| {
            if used == from.count {
                let what = "the mask names more elements than the source has";
                return Err(KernelFault::Exception { what, value: used as i64 });
            }
            let mut value = [L::ZERO];
            source.read(used, &mut value);
            sink.write(number, &value);
            used += 1;
            Ok(())
        })?;
    });
    Ok(())
}

/// NaN behind everything else.
fn compare<L: Lane>(a: &L, b: &L) -> Ordering {
    a.partial_cmp(b).unwrap_or_else(|| a.nan().cmp(&b.nan()))
}

/// Tensors values `[n · before · after]`, inverse `[n]`, counts `[n]`, count, a `[n, before, after]`; attribute whether
/// only neighbours are compared: the distinct slices of `a`, sorted unless it is set, as `[before, count, after]`,
/// where each of `a` went, and how often each occurs. A NaN is equal to nothing.
pub fn unique(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let values = Tensor::output(ctx, args, 0)?;
    let inverse = Tensor::output(ctx, args, 1)?;
    let counts = Tensor::output(ctx, args, 2)?;
    let count = counter(ctx, args, 3)?;
    let a = Tensor::input(ctx, args, 4)?;
    let consecutive = args.attr(0)? != 0;
    if a.rank != 3 || values.count < a.count {
        return Err(ArgsError::BadTensor(0).into());
    }
    let [n, before, after] = [a.dims[0], a.dims[1], a.dims[2]];
    if inverse.count != n || counts.count < n {
        return Err(ArgsError::BadTensor(1).into());
    }
    if n > 1 << 32 {
        return Err(KernelFault::Unsupported("more than 2^32 slices"));
    }
    with_lane!(lane_of(a.dtype), L => {
        let width = before * after;
        let mut all = vec![L::ZERO; a.count];
        Source::<L>::new(&a, &IN_ORDER).read(0, &mut all);
        let row = |i: usize| &all[i * width..(i + 1) * width];
        let order = |i: usize, j: usize| {
            row(i).iter().zip(row(j)).map(|(a, b)| compare(a, b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
        };
        let mut sorted: Vec<usize> = (0..n).collect();
        if !consecutive {
            sorted.sort_by(|&i, &j| order(i, j));
        }
        let mut places = vec![0i64; n];
        let (mut distinct, mut times): (Vec<usize>, Vec<i64>) = (Vec::new(), Vec::new());
        for (at, &i) in sorted.iter().enumerate() {
            if at > 0 && row(i) == row(sorted[at - 1]) {
                times.last_mut().into_iter().for_each(|t| *t += 1);
            } else {
                distinct.push(i);
                times.push(1);
            }
            places[i] = distinct.len() as i64 - 1;
        }
        let values = Sink::<L>::new(&values, &IN_ORDER);
        for (f, &i) in distinct.iter().enumerate() {
            for (b, part) in row(i).chunks(after.max(1)).enumerate() {
                values.write((b * distinct.len() + f) * after, part);
            }
        }
        Sink::<i64>::new(&inverse, &IN_ORDER).write(0, &places);
        Sink::<i64>::new(&counts, &IN_ORDER).write(0, &times);
        put_count(&count, distinct.len());
    });
    Ok(())
}
