//! Running results along one dimension.

use vinci_hw::args::{ArgsView, DType};

use crate::arith::Arith;
use crate::lane::{LaneKind, TILE, lane_of, with_lane};
use crate::movement::dimension;
use crate::rows::Rows;
use crate::tile::for_each;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// Tensors out, a; attributes compute type, dim: out = sums of a's elements up to here.
pub fn cumsum(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    scan(ctx, args, false)
}

/// As [`cumsum`], of products.
pub fn cumprod(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    scan(ctx, args, true)
}

fn scan(ctx: &Ctx<'_>, args: &ArgsView<'_>, product: bool) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    // The running result is kept wide: it must not lose accuracy with length.
    let kind = match lane_of(args.attr_dtype(0)?) {
        LaneKind::F32 | LaneKind::F64 => LaneKind::F64,
        LaneKind::I32 => LaneKind::I64,
        kind => kind,
    };
    let dim = if a.rank == 0 { None } else { Some(dimension(args, 1, a.rank)?) };
    if a.count == 0 {
        return Ok(());
    }
    let n = dim.map_or(1, |d| a.dims[d]);
    let [from, to] = [&a, &out].map(|t| Rows::new(t, |d| Some(d) == dim));
    with_lane!(kind, L => for_each(ctx, a.count / n, a.count, &|row| {
        let (source, sink) = (from.source::<L>(row), to.sink::<L>(row));
        let mut tile = [L::ZERO; TILE];
        let mut running = if product { L::ONE } else { L::ZERO };
        for at in (0..n).step_by(TILE) {
            let tile = &mut tile[..TILE.min(n - at)];
            source.read(at, tile);
            for v in tile.iter_mut() {
                running = if product { running.mul(*v) } else { running.add(*v) };
                *v = running;
            }
            sink.write(at, tile);
        }
    }));
    Ok(())
}

/// Tensors out, indices, a; attributes dim, whether the largest (1) or the smallest (0): the extreme of a's
/// elements up to here and where it is; of equal ones the last, and NaN wins for good.
pub fn cumulative_extreme(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let indices = Tensor::output(ctx, args, 1)?.same_dims(&out, 1)?;
    let a = Tensor::input(ctx, args, 2)?.same_dims(&out, 2)?;
    if !matches!(indices.dtype, DType::I64 | DType::I32) {
        return Err(KernelFault::Unsupported("an index that is neither int64 nor int32"));
    }
    let dim = if a.rank == 0 { None } else { Some(dimension(args, 0, a.rank)?) };
    let largest = args.attr(1)? != 0;
    if a.count == 0 {
        return Ok(());
    }
    let n = dim.map_or(1, |d| a.dims[d]);
    let [from, to, at] = [&a, &out, &indices].map(|t| Rows::new(t, |d| Some(d) == dim));
    with_lane!(lane_of(a.dtype), L => for_each(ctx, a.count / n, a.count, &|row| {
        let (source, sink, places) = (from.source::<L>(row), to.sink::<L>(row), at.sink::<i64>(row));
        let mut tile = [L::ZERO; TILE];
        let mut found = [0i64; TILE];
        let (mut best, mut place) = (L::ZERO, 0);
        for first in (0..n).step_by(TILE) {
            let len = TILE.min(n - first);
            source.read(first, &mut tile[..len]);
            for (i, (v, found)) in tile[..len].iter_mut().zip(&mut found).enumerate() {
                let better = if largest { *v >= best } else { *v <= best };
                if first + i == 0 || v.nan() || better && !best.nan() {
                    (best, place) = (*v, (first + i) as i64);
                }
                (*v, *found) = (best, place);
            }
            sink.write(first, &tile[..len]);
            places.write(first, &found[..len]);
        }
    }));
    Ok(())
}
