//! Distances of all pairs and their gradient, repetitions that data names, and what remains of random slopes.

use super::declare::operators;
use super::elementwise::check_shape;
use super::movement::{constant, copy, fill};
use super::pointwise::{Reduction, dense, floats, into_dense};
use super::random::{Source, uniform};
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::objects::Scalar;
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::{View, wrap_dim};

operators! {
    "pdist" { /// out = norms of order p of the differences of each two rows of self.
        aclnnPdist(self_: Tensor, p: Float, out: Out) => |p, a, order: f32, o| pdist(p, a, f64::from(order), o); }
    "cdist_backward" { /// out = gradient of aclnnCdist to x1.
        aclnnCdistBackward(grad: Tensor, x1: Tensor, x2: Tensor, cdist: Tensor, p: Float, out: Out) => |p, g, a, b, d, order: f32, o| cdist_backward(p, [g, a, b, d], f64::from(order), o); }
    "repeat_interleave" { /// out = the elements of self in order, each as often as repeats says.
        aclnnRepeatInterleave(self_: Tensor, repeats: Tensor, outputSize: Int, out: Out) => |p: &mut Program, a: View, r, n, o| {
            let a = super::layout::flat(p, &a)?;
            repeated(p, &a, r, 0, n, &o)
        };
        /// out = self with each index of dim as often as repeats says.
        aclnnRepeatInterleaveWithDim(self_: Tensor, repeats: Tensor, dim: Int, outputSize: Int, out: Out) => |p, a: View, r, d, n, o| repeated(p, &a, r, d, n, &o); }
    "repeat_interleave_grad" { /// out = gradient of aclnnRepeatInterleaveWithDim: the sums of what each index became.
        aclnnRepeatInterleaveGrad(yGrad: Tensor, repeats: Tensor, axis: Int, out: Out) => repeated_backward; }
    "multilabel_margin_loss" { /// out = how far other classes of self come near to those in target, up to its first negative one.
        aclnnMultilabelMarginLoss(self_: Tensor, target: Tensor, reduction: Int, out: Out, isTarget: Out) => multilabel; }
    "rrelu_with_noise" { /// out = self, times a random slope where it is not positive (the middle one unless training); noise = the slopes.
        aclnnRReluWithNoise(self_: Tensor, noise: Ref, lower: Scalar, upper: Scalar, training: Bool, seed: Int, offset: Int, out: Out) =>
            |p, a, n, l: Scalar, u: Scalar, t, s: i64, k: i64, o| random_slope(p, &a, n, [l.float, u.float], t, Source::Given(s as u64, k as u64), &o);
        /// As aclnnRReluWithNoise, in place.
        aclnnInplaceRReluWithNoise(selfRef: Ref, noise: Ref, lower: Scalar, upper: Scalar, training: Bool, seed: Int, offset: Int) =>
            |p, a: View, n, l: Scalar, u: Scalar, t, s: i64, k: i64| random_slope(p, &a, n, [l.float, u.float], t, Source::Given(s as u64, k as u64), &a); }
    "angle_v2" { /// out = the angle of each element: 0, or pi where it is negative.
        aclnnAngleV2(x: Tensor, out: Out) => |p, a, o| floats(p, "angle", &[&a], &[], &o); }
}

fn pdist(p: &mut Program, a: View, order: f64, out: View) -> Result<()> {
    let [n, _] = a.dims[..] else { return Err(invalid!("self has shape {:?}; two dimensions are needed", a.dims)) };
    check_shape(&out, &[n * (n - 1).max(0) / 2])?;
    let all = p.temporary(super::border::sums(&a), &[n, n]);
    super::linalg::cdist(p, a.clone(), a, order, all.clone())?;
    let mut at = 0;
    for i in 0..n - 1 {
        let rest = n - 1 - i;
        copy(p, &all.narrow(0, i, 1, 1).without(0).narrow(0, i + 1, rest, 1), &out.narrow(0, at, rest, 1))?;
        at += rest;
    }
    Ok(())
}

fn cdist_backward(p: &mut Program, all: [View; 4], order: f64, out: View) -> Result<()> {
    let [grad, a, b, distance] = all;
    check_shape(&out, &a.dims)?;
    let rank = a.rank();
    let fits = rank >= 2 && b.rank() == rank && b.dims[..rank - 2] == a.dims[..rank - 2];
    if !fits || b.dims[rank - 1] != a.dims[rank - 1] {
        return Err(invalid!("x1 has shape {:?} and x2 {:?}", a.dims, b.dims));
    }
    let pairs = [&a.dims[..rank - 1], &[b.dims[rank - 2]]].concat();
    check_shape(&grad, &pairs)?;
    check_shape(&distance, &pairs)?;
    let batch: i64 = a.dims[..rank - 2].iter().product();
    let three = |p: &mut Program, v: &View| -> Result<View> {
        Ok(dense(p, v, v.dtype)?.reshaped(&[batch, v.dims[rank - 2], v.dims[rank - 1]]))
    };
    let (g, x, y, d) = (three(p, &grad)?, three(p, &a)?, three(p, &b)?, three(p, &distance)?);
    into_dense(p, &out, out.dtype, |p, o| {
        p.launch("cdist_backward", &[&o.reshaped(&x.dims)], &[&g, &x, &y, &d], &[Float(order)])
    })
}

/// For each of `size` results, which of the `n` indices it repeats.
fn origins(p: &mut Program, repeats: &View, n: i64, size: i64) -> Result<View> {
    if !matches!(repeats.dtype, DType::I64 | DType::I32) || repeats.rank() > 1 || ![1, n].contains(&repeats.elements()) {
        return Err(invalid!("repeats has type {:?} and shape {:?}; {n} integers are needed", repeats.dtype, repeats.dims));
    }
    let row = if repeats.rank() == 0 { repeats.unsqueeze(&[0]) } else { repeats.clone() };
    let (ends, places) = (p.temporary(DType::I64, &[n]), p.temporary(DType::I64, &[size]));
    p.launch("cumsum", &[&ends], &[&row.expand(&[n])?], &[Type(DType::I64), Int(0)])?;
    p.launch("arange", &[&places], &[], &[Float(0.0), Float(1.0), Int(0), Int(1)])?;
    let found = p.temporary(DType::I64, &[size]);
    p.launch("search_sorted", &[&found], &[&ends, &places], &[Int(1)])?;
    Ok(found)
}

fn repeated(p: &mut Program, a: &View, repeats: View, dim: i64, size: i64, out: &View) -> Result<()> {
    let d = wrap_dim(dim, a.rank())?;
    let a = if a.rank() == 0 { a.unsqueeze(&[0]) } else { a.clone() };
    let mut shape = a.dims.clone();
    shape[d] = size;
    check_shape(out, &shape)?;
    if out.elements() == 0 {
        return Ok(());
    }
    let origins = origins(p, &repeats, a.dims[d], size)?;
    into_dense(p, out, a.dtype, |p, o| p.launch("index_select", &[o], &[&a, &origins], &[Int(d as i64)]))
}

fn repeated_backward(p: &mut Program, grad: View, repeats: View, axis: i64, out: View) -> Result<()> {
    let d = wrap_dim(axis, out.rank())?;
    let (grad, out) = if out.rank() == 0 { (grad, out.unsqueeze(&[0])) } else { (grad, out) };
    let mut shape = out.dims.clone();
    shape[d] = grad.dims.get(d).copied().unwrap_or(0);
    check_shape(&grad, &shape)?;
    let sums = p.temporary(super::border::sums(&grad), &out.dims);
    fill(p, sums.clone(), constant(0))?;
    if grad.elements() > 0 {
        let origins = origins(p, &repeats, out.dims[d], shape[d])?;
        p.launch("index_put", &[&sums], &[&origins, &grad], &[Int(d as i64), Int(1), Float(1.0)])?;
    }
    copy(p, &sums, &out)
}

fn multilabel(p: &mut Program, x: View, target: View, reduction: i64, out: View, is_target: View) -> Result<()> {
    check_shape(&target, &x.dims)?;
    if x.rank() > 2 || !matches!(target.dtype, DType::I64 | DType::I32) {
        return Err(invalid!("self has shape {:?} and target type {:?}", x.dims, target.dtype));
    }
    let reduction = Reduction::new(reduction)?;
    let rows = |v: &View| match v.rank() {
        0 => v.unsqueeze(&[0, 1]),
        1 => v.unsqueeze(&[0]),
        _ => v.clone(),
    };
    let (x2, target) = (rows(&x), rows(&target));
    let is_target = if is_target.dims == x.dims { rows(&is_target) } else { p.temporary(DType::F32, &x2.dims) };
    let one = if x.rank() < 2 { Reduction::Sum } else { reduction };
    one.reduce(p, x.dtype, &[x2.dims[0]], &out, |p, o| {
        p.launch("multilabel_margin", &[o, &is_target], &[&x2, &target], &[])
    })
}

fn random_slope(
    p: &mut Program,
    a: &View,
    noise: View,
    [low, high]: [f64; 2],
    training: bool,
    source: Source,
    out: &View,
) -> Result<()> {
    check_shape(out, &a.dims)?;
    if !training {
        return p.launch("leaky_relu", &[out], &[a], &[Float((low + high) / 2.0)]);
    }
    check_shape(&noise, &a.dims)?;
    let above = p.temporary(DType::Bool, &a.dims);
    super::elementwise::compare_scalar(p, "gt_s", a, constant(0), &above)?;
    let slopes = p.temporary(DType::F32, &a.dims);
    uniform(p, &slopes, low, high, source)?;
    let one = super::pointwise::constant(p, 1.0, &a.dims)?;
    p.launch("where", &[&noise], &[&above, &one, &slopes], &[])?;
    p.launch("mul", &[out], &[a, &noise], &[Type(a.dtype), Float(1.0), Int(1)])
}
