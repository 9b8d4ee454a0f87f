//! Softmax and its logarithm along one dimension, forward and backward.

use vinci_hw::args::{ArgsView, MAX_RANK};

use crate::lane::{Lane, LaneKind, TILE, common_lane};
use crate::movement::dimension;
use crate::reduce::{Max, fold_tile};
use crate::rows::Rows;
use crate::simd::{Task, vectorize};
use crate::tile::{Sink, Source, for_each};
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// Tensors out, a; attribute dim.
pub fn softmax(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    forward(ctx, args, false)
}

/// Tensors out, a; attribute dim.
pub fn log_softmax(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    forward(ctx, args, true)
}

/// Tensors grad_in, grad_out, out; attribute dim: out · (grad − Σ grad · out).
pub fn softmax_backward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    backward(ctx, args, false)
}

/// Tensors grad_in, grad_out, out; attribute dim: grad − e^out · Σ grad.
pub fn log_softmax_backward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    backward(ctx, args, true)
}

/// The dimension of attribute 0, none for a scalar; its length and the number of rows.
fn shape(args: &ArgsView<'_>, t: &Tensor) -> Result<(Option<usize>, usize, usize), KernelFault> {
    debug_assert!(t.rank <= MAX_RANK);
    let dim = if t.rank == 0 { None } else { Some(dimension(args, 0, t.rank)?) };
    let n = dim.map_or(1, |d| t.dims[d]);
    Ok((dim, n, t.count.checked_div(n).unwrap_or(0)))
}

/// Runs `f` with the lane for these types: f64 if one of them is, else f32.
macro_rules! float_lane {
    ($a:expr, $b:expr, $L:ident => $body:expr) => {
        if common_lane($a.dtype, $b.dtype) == LaneKind::F64 {
            type $L = f64;
            $body
        } else {
            type $L = f32;
            $body
        }
    };
}

fn forward(ctx: &Ctx<'_>, args: &ArgsView<'_>, log: bool) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    let (dim, n, rows) = shape(args, &a)?;
    let (from, to) = (Rows::new(&a, |d| Some(d) == dim), Rows::new(&out, |d| Some(d) == dim));
    float_lane!(out, a, L => for_each(ctx, rows, a.count, &|r| {
        forward_row::<L>(&from.source(r), &to.sink(r), n, log);
    }));
    Ok(())
}

/// Widest vector of the lanes: loops over whole ones have no remainder.
const VECTOR: usize = 16;

/// e^(v − max) in place; its sum.
struct ExpSum<'a, L> {
    values: &'a mut [[L; VECTOR]],
    max: L,
}

impl<L: Lane> Task for ExpSum<'_, L> {
    type Output = L;
    #[inline(always)]
    fn call(self) -> L {
        let mut parts = [L::ZERO; VECTOR];
        for v in self.values {
            for (p, v) in parts.iter_mut().zip(v) {
                *v = v.sub(self.max).exp();
                *p = p.add(*v);
            }
        }
        parts.iter().fold(L::ZERO, |sum, &p| sum.add(p))
    }
}

/// [`ExpSum`] of the first `width` values of a tile; those behind them are overwritten.
fn exp_sum<L: Lane>(tile: &mut [L; TILE], width: usize, max: L) -> f64 {
    let padded = width.next_multiple_of(VECTOR);
    tile[width..padded].fill(L::LOWEST);
    let sum = vectorize(ExpSum { values: tile[..padded].as_chunks_mut().0, max });
    sum.to_f64()
}

fn forward_row<L: Lane>(from: &Source<L>, to: &Sink<L>, n: usize, log: bool) {
    let mut tile = [L::ZERO; TILE];
    let mut max = L::LOWEST;
    for at in (0..n).step_by(TILE) {
        let width = TILE.min(n - at);
        from.read(at, &mut tile[..width]);
        max = max.larger(fold_tile::<Max, L>(&tile[..width]));
    }
    // In f64 from tile to tile: rows may be long.
    let mut sum = 0.0;
    for at in (0..n).step_by(TILE) {
        let width = TILE.min(n - at);
        from.read(at, &mut tile[..width]);
        sum += exp_sum(&mut tile, width, max);
    }
    // max + ln Σ in two steps: their sum would lose what is small beside a large maximum.
    let (scale, shift) = (L::from_f64(1.0 / sum), L::from_f64(sum.ln()));
    for at in (0..n).step_by(TILE) {
        let width = TILE.min(n - at);
        if log || n > TILE {
            from.read(at, &mut tile[..width]);
        }
        if log {
            tile[..width].iter_mut().for_each(|v| *v = v.sub(max).sub(shift));
        } else {
            if n > TILE {
                exp_sum(&mut tile, width, max);
            }
            tile[..width].iter_mut().for_each(|v| *v = v.mul(scale));
        }
        to.write(at, &tile[..width]);
    }
}

fn backward(ctx: &Ctx<'_>, args: &ArgsView<'_>, log: bool) -> Result<(), KernelFault> {
    let grad_in = Tensor::output(ctx, args, 0)?;
    let grad_out = Tensor::input(ctx, args, 1)?.same_dims(&grad_in, 1)?;
    let out = Tensor::input(ctx, args, 2)?.same_dims(&grad_in, 2)?;
    let (dim, n, rows) = shape(args, &out)?;
    let [to, from, result] = [grad_in, grad_out, out].map(|t| Rows::new(&t, |d| Some(d) == dim));
    float_lane!(grad_out, out, L => for_each(ctx, rows, out.count, &|r| {
        backward_row::<L>(&from.source(r), &result.source(r), &to.sink(r), n, log);
    }));
    Ok(())
}

/// The gradient of a tile, in place of `grad`.
struct Gradient<'a, L> {
    grad: &'a mut [L],
    out: &'a [L],
    sum: L,
    log: bool,
}

impl<L: Lane> Task for Gradient<'_, L> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let (sum, pairs) = (self.sum, self.grad.iter_mut().zip(self.out));
        if self.log {
            pairs.for_each(|(g, &o)| *g = g.sub(o.exp().mul(sum)));
        } else {
            pairs.for_each(|(g, &o)| *g = g.sub(sum).mul(o));
        }
    }
}

fn backward_row<L: Lane>(grad: &Source<L>, out: &Source<L>, to: &Sink<L>, n: usize, log: bool) {
    let (mut g, mut o) = ([L::ZERO; TILE], [L::ZERO; TILE]);
    let mut sum = 0.0;
    for at in (0..n).step_by(TILE) {
        let width = TILE.min(n - at);
        grad.read(at, &mut g[..width]);
        out.read(at, &mut o[..width]);
        let terms = g[..width].iter().zip(&o[..width]);
        sum += terms.map(|(g, o)| if log { g.to_f64() } else { g.to_f64() * o.to_f64() }).sum::<f64>();
    }
    let sum = L::from_f64(sum);
    for at in (0..n).step_by(TILE) {
        let width = TILE.min(n - at);
        if n > TILE {
            grad.read(at, &mut g[..width]);
            out.read(at, &mut o[..width]);
        }
        vectorize(Gradient { grad: &mut g[..width], out: &o[..width], sum, log });
        to.write(at, &g[..width]);
    }
}
