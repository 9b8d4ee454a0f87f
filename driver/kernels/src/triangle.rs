//! Triangles of matrices: their elements kept or cleared, and systems of equations solved.

use vinci_hw::args::{ArgsError, ArgsView};

use crate::arith::Arith;
use crate::lane::{Lane, LaneKind, common_lane, lane_of, with_lane};
use crate::rows::Rows;
use crate::simd::{Task, vectorize};
use crate::tile::{for_each, map_ordered};
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// Tensors out, a `[.., m, n]`; attributes diagonal and whether the upper part is kept (1) or the lower one (0).
/// Elements outside the part become 0; the diagonal belongs to both.
pub fn triangle(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    let (diagonal, upper) = (args.attr_i64(0)?, args.attr(1)? != 0);
    if a.rank < 2 {
        return Err(KernelFault::Unsupported("a triangle of less than two dimensions"));
    }
    if a.count == 0 {
        return Ok(());
    }
    let (m, n) = (a.dims[a.rank - 2], a.dims[a.rank - 1]);
    if out.dtype == a.dtype && out.strides[a.rank - 1] == 1 && a.strides[a.rank - 1] == 1 {
        let (to, from) = (Rows::new(&out, |d| d == a.rank - 1), Rows::new(&a, |d| d == a.rank - 1));
        let size = a.dtype.size();
        for_each(ctx, a.count / n, a.count, &|line| {
            let kept = kept((line % m, 0, n), diagonal, upper);
            // SAFETY: columns of a line of both resolved tensors, which may be the same one.
            unsafe {
                let (to, from) = (out.at(to.others.offset(line)), a.at(from.others.offset(line)));
                std::ptr::copy(from.add(kept.start * size), to.add(kept.start * size), kept.len() * size);
                to.write_bytes(0, kept.start * size);
                to.add(kept.end * size).write_bytes(0, (n - kept.end) * size);
            }
        });
        return Ok(());
    }
    let logical_order = [0, 1, 2, 3, 4, 5, 6, 7];
    with_lane!(lane_of(a.dtype), L => {
        map_ordered::<L, 1>(ctx, &out, &logical_order, [&a], &|first, [a], out| {
            let (mut row, mut column, mut at) = (first / n % m, first % n, 0);
            while at < out.len() {
                let end = out.len().min(at + n - column);
                let kept = kept((row, column, column + end - at), diagonal, upper);
                let kept = kept.start - column + at..kept.end - column + at;
                out[at..kept.start].fill(L::ZERO);
                out[kept.clone()].copy_from_slice(&a[kept.clone()]);
                out[kept.end..end].fill(L::ZERO);
                (row, column, at) = (if row + 1 == m { 0 } else { row + 1 }, 0, end);
            }
        });
    });
    Ok(())
}

/// Which of the columns `first..end` of a row are kept.
fn kept((row, first, end): (usize, usize, usize), diagonal: i64, upper: bool) -> std::ops::Range<usize> {
    // In a type that no dimension and no attribute overflows.
    let bound = row as i128 + i128::from(diagonal) + i128::from(!upper);
    let bound = bound.clamp(first as i128, end as i128) as usize;
    if upper { bound..end } else { first..bound }
}

/// Tensors x `[.., m, n]`, a `[.., m, m]`, b `[.., m, n]`; attributes upper, transpose, unit diagonal:
/// a x = b, of a only one triangle being read.
pub fn triangular_solve(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let x = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?;
    let b = Tensor::input(ctx, args, 2)?.same_dims(&x, 2)?;
    let (upper, transpose, unit) = (args.attr(0)? != 0, args.attr(1)? != 0, args.attr(2)? != 0);
    let r = x.rank;
    if r < 2 || a.rank != r {
        return Err(KernelFault::Unsupported("a system of less than two dimensions"));
    }
    let m = x.dims[r - 2];
    if a.dims[..r - 2] != x.dims[..r - 2] || a.dims[r - 2..r] != [m, m] {
        return Err(ArgsError::BadTensor(1).into());
    }
    if x.count == 0 {
        return Ok(());
    }
    let n = x.dims[r - 1];
    let mut a = a;
    if transpose {
        a.strides.swap(r - 2, r - 1);
    }
    // Rows of the transposed triangle are columns of the other one.
    let forward = upper == transpose;
    let system = System {
        a: Rows::new(&a, |d| d == r - 1),
        b: Rows::new(&b, |d| d == r - 1),
        x: Rows::new(&x, |d| d == r - 1),
        m,
        n,
        forward,
        unit,
    };
    let batches = x.count / (m * n);
    if common_lane(a.dtype, x.dtype) == LaneKind::F64 {
        for_each(ctx, batches, x.count.saturating_mul(m), &|i| system.solve::<f64>(i));
    } else {
        for_each(ctx, batches, x.count.saturating_mul(m), &|i| system.solve::<f32>(i));
    }
    Ok(())
}

struct System {
    a: Rows,
    b: Rows,
    x: Rows,
    m: usize,
    n: usize,
    forward: bool,
    unit: bool,
}

/// y −= factor · x
struct Subtract<'a, L> {
    factor: L,
    x: &'a [L],
    y: &'a mut [L],
}

impl<L: Lane> Task for Subtract<'_, L> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let f = self.factor;
        self.y.iter_mut().zip(self.x).for_each(|(y, &x)| *y = y.sub(f.mul(x)));
    }
}

impl System {
    /// Solves system number `i`, row by row.
    fn solve<L: Lane>(&self, i: usize) {
        let (m, n) = (self.m, self.n);
        let mut solved = vec![L::ZERO; m * n];
        let mut coefficients = vec![L::ZERO; m];
        for step in 0..m {
            let row = if self.forward { step } else { m - 1 - step };
            self.a.source::<L>(i * m + row).read(0, &mut coefficients);
            let (before, rest) = solved.split_at_mut(row * n);
            let (this, after) = rest.split_at_mut(n);
            self.b.source::<L>(i * m + row).read(0, this);
            let known = if self.forward { 0..row } else { row + 1..m };
            for k in known {
                let x = if self.forward { &before[k * n..][..n] } else { &after[(k - row - 1) * n..][..n] };
                vectorize(Subtract { factor: coefficients[k], x, y: &mut *this });
            }
            if !self.unit {
                this.iter_mut().for_each(|v| *v = v.div(coefficients[row]));
            }
        }
        for row in 0..m {
            self.x.sink::<L>(i * m + row).write(0, &solved[row * n..][..n]);
        }
    }
}
