//! Normalisation of rows: by mean and variance, or by the root of the mean square.

use vinci_hw::args::{ArgsError, ArgsView, DType};

use crate::lane::{Lane, LaneKind, TILE, common_lane};
use crate::reduce::{Pairwise, Sum, fold_tile};
use crate::rows::Rows;
use crate::simd::{Task, vectorize};
use crate::tile::{Source, for_each};
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// Bits of the attribute that says which optional tensors there are.
const MEAN: u64 = 1;
const RSTD: u64 = 2;
const WEIGHT: u64 = 4;
const BIAS: u64 = 8;

/// Tensors y, \[mean\], \[rstd\], x, \[weight\], \[bias\], all with x's rank: mean and rstd have 1 for the dimensions of a
/// row, weight and bias are broadcast. Attributes eps, number of dimensions before those of a row, and which of
/// the optional tensors there are. y = (x − mean) · rstd · weight + bias, rstd = 1/√(variance + eps).
pub fn layer_norm(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    normalize(ctx, args, false)
}

/// As [`layer_norm`], with a mean of 0: rstd = 1/√(mean of x² + eps).
pub fn rms_norm(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    normalize(ctx, args, true)
}

fn normalize(ctx: &Ctx<'_>, args: &ArgsView<'_>, rms: bool) -> Result<(), KernelFault> {
    let (eps, split, there) = (args.attr_f64(0)?, args.attr(1)?, args.attr(2)?);
    let mut next = 0;
    let mut at = |present: bool| {
        present.then(|| {
            next += 1;
            next - 1
        })
    };
    let (y, mean, rstd) = (at(true), at(there & MEAN != 0), at(there & RSTD != 0));
    let (x, weight, bias) = (at(true), at(there & WEIGHT != 0), at(there & BIAS != 0));
    let y = Tensor::output(ctx, args, y.unwrap_or(0))?;
    let x = Tensor::input(ctx, args, x.unwrap_or(0))?.same_dims(&y, x.unwrap_or(0))?;
    let split = usize::try_from(split).ok().filter(|&s| s <= x.rank).ok_or(ArgsError::Missing(1))?;
    let input = |i: Option<usize>| i.map(|i| Tensor::input(ctx, args, i)?.same_dims(&x, i)).transpose();
    let (weight, bias) = (input(weight)?, input(bias)?);
    let statistic = |i: Option<usize>| {
        i.map(|i| {
            let t = Tensor::output(ctx, args, i)?;
            let fits =
                t.rank == x.rank && (0..x.rank).all(|d| t.dims[d] == if d < split { x.dims[d] } else { 1 });
            if fits { Ok(t) } else { Err(KernelFault::Args(ArgsError::BadTensor(i))) }
        })
        .transpose()
    };
    let (mean, rstd) = (statistic(mean)?, statistic(rstd)?);
    if x.count == 0 {
        return match mean.or(rstd) {
            Some(t) if t.count > 0 => Err(KernelFault::Unsupported("statistics of rows of no elements")),
            _ => Ok(()),
        };
    }
    let n = x.dims[split..x.rank].iter().product::<usize>();
    let rows = x.count / n;
    let along = |t: &Tensor| Rows::new(t, |d| d >= split);
    let job = Job {
        x: along(&x),
        y: along(&y),
        weight: weight.map(|t| along(&t)),
        bias: bias.map(|t| along(&t)),
        mean: mean.map(|t| along(&t)),
        rstd: rstd.map(|t| along(&t)),
        n,
        eps,
        rms,
    };
    if common_lane(x.dtype, y.dtype) == LaneKind::F64 || x.dtype == DType::F64 {
        for_each(ctx, rows, x.count, &|r| job.row::<f64>(r));
    } else {
        for_each(ctx, rows, x.count, &|r| job.row::<f32>(r));
    }
    Ok(())
}

struct Job {
    x: Rows,
    y: Rows,
    weight: Option<Rows>,
    bias: Option<Rows>,
    mean: Option<Rows>,
    rstd: Option<Rows>,
    n: usize,
    eps: f64,
    rms: bool,
}

/// values = values − shift, squared or not.
struct Center<'a, L> {
    values: &'a mut [L],
    shift: L,
    square: bool,
}

impl<L: Lane> Task for Center<'_, L> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let shift = self.shift;
        if self.square {
            for v in self.values {
                let d = v.sub(shift);
                *v = d.mul(d);
            }
        } else {
            self.values.iter_mut().for_each(|v| *v = v.sub(shift));
        }
    }
}

/// values = values · scale · weight + bias.
struct Scale<'a, L> {
    values: &'a mut [L],
    scale: L,
    weight: Option<&'a [L]>,
    bias: Option<&'a [L]>,
}

impl<L: Lane> Task for Scale<'_, L> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let scale = self.scale;
        match self.weight {
            Some(w) => self.values.iter_mut().zip(w).for_each(|(v, &w)| *v = v.mul(scale).mul(w)),
            None => self.values.iter_mut().for_each(|v| *v = v.mul(scale)),
        }
        if let Some(b) = self.bias {
            self.values.iter_mut().zip(b).for_each(|(v, &b)| *v = v.add(b));
        }
    }
}

impl Job {
    fn row<L: Lane>(&self, row: usize) {
        let x = self.x.source::<L>(row);
        let n = L::from_f64(self.n as f64);
        let mean = if self.rms { L::ZERO } else { self.sum(&x, None).div(n) };
        let square = self.sum(&x, Some(mean)).div(n);
        let rstd = L::ONE.div(square.add(L::from_f64(self.eps)).sqrt());
        let mut tile = [L::ZERO; TILE];
        let (mut w, mut b) = ([L::ZERO; TILE], [L::ZERO; TILE]);
        let (weight, bias) = (
            self.weight.as_ref().map(|t| t.source::<L>(row)),
            self.bias.as_ref().map(|t| t.source::<L>(row)),
        );
        let y = self.y.sink::<L>(row);
        for at in (0..self.n).step_by(TILE) {
            let len = TILE.min(self.n - at);
            let values = &mut tile[..len];
            x.read(at, values);
            if !self.rms {
                vectorize(Center { values, shift: mean, square: false });
            }
            let weight = weight.as_ref().map(|s| {
                s.read(at, &mut w[..len]);
                &w[..len]
            });
            let bias = bias.as_ref().map(|s| {
                s.read(at, &mut b[..len]);
                &b[..len]
            });
            vectorize(Scale { values: &mut tile[..len], scale: rstd, weight, bias });
            y.write(at, &tile[..len]);
        }
        if let Some(t) = &self.mean {
            t.sink::<L>(row).write(0, &[mean]);
        }
        if let Some(t) = &self.rstd {
            t.sink::<L>(row).write(0, &[rstd]);
        }
    }

    /// Sum of a row, or of the squares of its distances from `center`.
    fn sum<L: Lane>(&self, x: &Source<L>, center: Option<L>) -> L {
        let mut tile = [L::ZERO; TILE];
        let mut sums = Pairwise::new();
        for at in (0..self.n).step_by(TILE) {
            let values = &mut tile[..TILE.min(self.n - at)];
            x.read(at, values);
            if let Some(shift) = center {
                vectorize(Center { values, shift, square: true });
            }
            sums.push::<Sum>(fold_tile::<Sum, L>(values));
        }
        sums.finish::<Sum>()
    }
}
