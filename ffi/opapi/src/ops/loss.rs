//! Softmax and losses.

use super::elementwise::check_shape;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::program::Attr::{self, Int};
use crate::program::Program;
use crate::view::{View, wrap_dim};
use super::declare::operators;

operators! {
    "softmax" { /// out = softmax of self along dim.
        aclnnSoftmax(self_: Tensor, dim: Int, out: Out) => |p, a, d, o| softmax(p, "softmax", &a, d, &o); }
    "logsoftmax" { /// out = logarithm of the softmax of self along dim.
        aclnnLogSoftmax(self_: Tensor, dim: Int, out: Out) => |p, a, d, o| softmax(p, "log_softmax", &a, d, &o); }
    "softmax_backward" { /// out = gradient of softmax, from its output.
        aclnnSoftmaxBackward(gradOutput: Tensor, output: Tensor, dim: Int, out: Out) => |p, g, y, d, o| softmax_backward(p, "softmax_backward", &g, &y, d, &o); }
    "logsoftmax_backward" { /// out = gradient of log-softmax, from its output.
        aclnnLogSoftmaxBackward(gradOutput: Tensor, output: Tensor, dim: Int, out: Out) => |p, g, y, d, o| softmax_backward(p, "log_softmax_backward", &g, &y, d, &o); }
    "nll_loss" { /// Negative log likelihood of target; reduction 0 none, 1 mean, 2 sum.
        aclnnNLLLoss(self_: Tensor, target: Tensor, weight: Tensor, reduction: Int, ignoreIndex: Int, out: Out, totalWeightOut: Out) => nll_loss; }
    "nll_loss_backward" { /// Gradient of aclnnNLLLoss.
        aclnnNLLLossBackward(gradOutput: Tensor, self_: Tensor, target: Tensor, weight: Tensor, reduction: Int, ignoreIndex: Int, totalWeight: Tensor, out: Out) => nll_loss_backward; }
    "softmax_cross_entropy_with_logits" { /// loss = - sum of labels * log-softmax of features for each row; backprop = softmax of features - labels.
        aclnnSoftmaxCrossEntropyWithLogits(features: Tensor, labels: Ref, loss: Out, backprop: Out) => cross_entropy; }
}

/// Only floats.
pub fn need_float(name: &str, v: &View) -> Result<()> {
    if v.dtype.is_float() {
        Ok(())
    } else {
        Err(invalid!("{name} has type {:?}; a float is needed", v.dtype))
    }
}

/// Softmax or its logarithm.
pub fn softmax(p: &mut Program, k: &'static str, a: &View, dim: i64, out: &View) -> Result<()> {
    check_shape(out, &a.dims)?;
    need_float("self", a)?;
    need_float("out", out)?;
    let dim = wrap_dim(dim, a.rank())?;
    if a.rank() == 0 {
        let (a, out) = (a.unsqueeze(&[0]), out.unsqueeze(&[0]));
        return p.launch(k, &[&out], &[&a], &[Int(0)]);
    }
    p.launch(k, &[out], &[a], &[Int(dim as i64)])
}

/// The gradient of either, from its output.
pub fn softmax_backward(
    p: &mut Program,
    k: &'static str,
    grad: &View,
    y: &View,
    dim: i64,
    out: &View,
) -> Result<()> {
    check_shape(out, &y.dims)?;
    check_shape(grad, &y.dims)?;
    need_float("output", y)?;
    let dim = wrap_dim(dim, y.rank())?;
    if y.rank() == 0 {
        let up = |v: &View| v.unsqueeze(&[0]);
        return p.launch(k, &[&up(out)], &[&up(grad), &up(y)], &[Int(0)]);
    }
    p.launch(k, &[out], &[grad, y], &[Int(dim as i64)])
}

/// Shapes and types that the loss and its gradient share; samples become a dimension if there is only one.
fn batch(x: &View, target: &View, weight: &View) -> Result<(View, View)> {
    need_float("self", x)?;
    if !matches!(target.dtype, DType::I64 | DType::I32 | DType::U8) {
        return Err(invalid!("target has type {:?}; I64, I32 or U8 is needed", target.dtype));
    }
    let (x, target) = match (x.rank(), target.rank()) {
        (1, 0) => (x.unsqueeze(&[0]), target.unsqueeze(&[0])),
        (1, 1) => (x.unsqueeze(&[0]), target.clone()),
        _ => (x.clone(), target.clone()),
    };
    if x.rank() != 2 || target.dims != x.dims[..1] {
        return Err(invalid!(
            "self has shape {:?} and target {:?}; [N, C] and [N] are needed",
            x.dims,
            target.dims
        ));
    }
    if weight.dims != x.dims[1..] {
        return Err(invalid!(
            "weight has shape {:?}; one per class is needed: {:?}",
            weight.dims,
            &x.dims[1..]
        ));
    }
    Ok((x, target))
}

fn check_reduction(reduction: i64) -> Result<()> {
    if (0..=2).contains(&reduction) {
        Ok(())
    } else {
        Err(invalid!("reduction {reduction}; 0 (none), 1 (mean) and 2 (sum) are known"))
    }
}

/// Negative log likelihood.
#[allow(clippy::too_many_arguments)] // CANN's
pub fn nll_loss(
    p: &mut Program,
    x: View,
    target: View,
    weight: View,
    reduction: i64,
    ignore_index: i64,
    out: View,
    total_weight: View,
) -> Result<()> {
    check_reduction(reduction)?;
    let none = if x.rank() == 1 { vec![] } else { x.dims[..1].to_vec() };
    check_loss_shape(&out, if reduction == 0 { &none } else { &[] })?;
    check_loss_shape(&total_weight, &[])?;
    let (x, target) = batch(&x, &target, &weight)?;
    let out = if reduction == 0 && out.rank() == 0 { out.unsqueeze(&[0]) } else { out };
    p.launch(
        "nll_loss",
        &[&out, &total_weight],
        &[&x, &target, &weight],
        &[Int(reduction), Int(ignore_index)],
    )
}

/// A scalar may also come as one element.
fn check_loss_shape(v: &View, dims: &[i64]) -> Result<()> {
    if dims.is_empty() && v.dims == [1] { Ok(()) } else { check_shape(v, dims) }
}

/// Its gradient.
#[allow(clippy::too_many_arguments)] // CANN's
pub fn nll_loss_backward(
    p: &mut Program,
    grad: View,
    x: View,
    target: View,
    weight: View,
    reduction: i64,
    ignore_index: i64,
    total_weight: View,
    out: View,
) -> Result<()> {
    check_reduction(reduction)?;
    check_shape(&out, &x.dims)?;
    let (x2, target) = batch(&x, &target, &weight)?;
    let out = if out.rank() == 1 { out.unsqueeze(&[0]) } else { out };
    let grad = if reduction == 0 && grad.rank() == 0 { grad.unsqueeze(&[0]) } else { grad };
    check_loss_shape(&grad, if reduction == 0 { &x2.dims[..1] } else { &[] })?;
    let inputs = [&grad, &x2, &target, &weight, &total_weight];
    p.launch("nll_loss_backward", &[&out], &inputs, &[Int(reduction), Int(ignore_index)])
}

fn cross_entropy(p: &mut Program, features: View, labels: View, loss: View, backprop: View) -> Result<()> {
    if features.rank() != 2 || labels.dims != features.dims {
        return Err(invalid!("features have shape {:?} and labels {:?}", features.dims, labels.dims));
    }
    for v in [&features, &labels, &loss, &backprop] {
        need_float("a tensor", v)?;
    }
    check_shape(&loss, &features.dims[..1])?;
    check_shape(&backprop, &features.dims)?;
    let wide = if features.dtype == DType::F64 { DType::F64 } else { DType::F32 };
    let logarithms = p.temporary(wide, &features.dims);
    let terms = p.temporary(wide, &features.dims);
    let binary = [Attr::Type(wide), Attr::Float(1.0), Int(1)];
    p.launch("log_softmax", &[&logarithms], &[&features], &[Int(1)])?;
    p.launch("mul", &[&terms], &[&logarithms, &labels], &binary)?;
    p.launch("neg", &[&terms], &[&terms], &[Attr::Type(wide)])?;
    super::reduce::reduce(p, "reduce_sum", &terms, &[1], false, Some(wide), &loss)?;
    p.launch("exp", &[&logarithms], &[&logarithms], &[Attr::Type(wide)])?;
    p.launch("sub", &[&backprop], &[&logarithms, &labels], &binary)
}
