//! The extreme and the k-th smallest value along a dimension, with their indices.

use std::cmp::Ordering;

use vinci_hw::args::{ArgsError, ArgsView, MAX_RANK};

use crate::lane::{Lane, lane_of, with_lane};
use crate::movement::dimension;
use crate::tile::{Source, for_each};
use crate::view::{Tensor, Walk};
use crate::{Ctx, KernelFault};

/// A tensor as lines along a dimension, and two results of one element for each.
struct Lines {
    values: Tensor,
    indices: Tensor,
    a: Tensor,
    n: usize,
    /// Leads from line to line, of `values`, `indices` and `a`.
    lines: [Walk; 3],
    along: Walk,
}

impl Lines {
    /// Tensors values, indices (the dimension 1), a; attribute dim.
    fn new(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<Self, KernelFault> {
        let values = Tensor::output(ctx, args, 0)?;
        let indices = Tensor::output(ctx, args, 1)?.same_dims(&values, 1)?;
        let a = Tensor::input(ctx, args, 2)?;
        if a.rank == 0 {
            return Err(ArgsError::BadTensor(2).into());
        }
        let dim = dimension(args, 0, a.rank)?;
        let mut dims = [1; MAX_RANK];
        dims[..a.rank].copy_from_slice(a.dims());
        dims[dim] = 1;
        if values.dims() != &dims[..a.rank] {
            return Err(ArgsError::BadTensor(0).into());
        }
        let n = a.dims[dim];
        if values.count > 0 && n == 0 {
            return Err(KernelFault::Unsupported("the extreme of no values"));
        }
        let mut lines = [Walk::default(); 3];
        let mut along = Walk::default();
        for d in 0..a.rank {
            if d == dim {
                along.push(a.dims[d], a.strides[d]);
            } else {
                for (walk, t) in lines.iter_mut().zip([&values, &indices, &a]) {
                    walk.push(a.dims[d], t.strides[d]);
                }
            }
        }
        Ok(Self { values, indices, a, n, lines, along })
    }

    /// Calls `pick(line)` for each line; it gives the index of the value that is wanted.
    fn run<L: Lane>(&self, ctx: &Ctx<'_>, pick: &(dyn Fn(&[L]) -> usize + Sync)) {
        let (put, place) = (L::storer(self.values.dtype), i64::storer(self.indices.dtype));
        for_each(ctx, self.values.count, self.a.count, &|line| {
            let mut all = vec![L::ZERO; self.n];
            Source::<L>::part(&self.a, self.lines[2].offset(line), &self.along).read(0, &mut all);
            let i = pick(&all);
            // SAFETY: offsets of the walks over the outputs' dimensions.
            unsafe {
                put(self.values.at(self.lines[0].offset(line)), 1, &all[i..=i]);
                place(self.indices.at(self.lines[1].offset(line)), 1, &[i as i64]);
            }
        });
    }
}

/// Tensors values, indices, a; attributes dim, whether the largest is meant: the first of equals, the first NaN.
pub fn extreme(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let lines = Lines::new(ctx, args)?;
    let largest = args.attr(1)? != 0;
    with_lane!(lane_of(lines.a.dtype), L => lines.run::<L>(ctx, &|all| {
        use crate::arith::Arith;
        let mut best = 0;
        for (i, v) in all.iter().enumerate() {
            let better = if largest { *v > all[best] } else { *v < all[best] };
            if !all[best].nan() && (better || v.nan()) {
                best = i;
            }
        }
        best
    }));
    Ok(())
}

/// NaN behind everything else, equals in order.
fn compare<L: Lane>(all: &[L], i: usize, j: usize) -> Ordering {
    let (a, b) = (all[i], all[j]);
    a.partial_cmp(&b).unwrap_or_else(|| a.nan().cmp(&b.nan())).then(i.cmp(&j))
}

/// Tensors values, indices, a; attributes dim, k (1 the smallest; 0 the lower median, or NaN if there is one; −1 the
/// lower median of what is no NaN).
pub fn kth(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let lines = Lines::new(ctx, args)?;
    let k = args.attr_i64(1)?;
    if k < -1 || k > lines.n as i64 {
        return Err(KernelFault::Exception { what: "a rank beyond the number of values", value: k });
    }
    with_lane!(lane_of(lines.a.dtype), L => lines.run::<L>(ctx, &|all| {
        use crate::arith::Arith;
        let nan = all.iter().position(|v| v.nan());
        if let (0, Some(i)) = (k, nan) {
            return i;
        }
        let known = if nan.is_some() { all.iter().filter(|v| !v.nan()).count() } else { all.len() };
        let rank = if k > 0 { k as usize - 1 } else { known.saturating_sub(1) / 2 };
        let mut order: Vec<usize> = (0..all.len()).collect();
        *order.select_nth_unstable_by(rank, |&i, &j| compare(all, i, j)).1
    }));
    Ok(())
}
