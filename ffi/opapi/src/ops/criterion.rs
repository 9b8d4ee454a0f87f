//! Losses that compare a prediction with a target of its shape, and their gradients.

use super::declare::operators;
use super::elementwise::check_shape;
use super::pointwise::{Reduction, common, constant, dense, floats, into_dense, launch};
use crate::dims::Dims;
use crate::error::{Result, invalid};
use crate::program::Program;
use crate::view::{View, broadcast};

operators! {
    "mse_loss" { /// Squared difference; reduction 0 none, 1 mean, 2 sum.
        aclnnMseLoss(self_: Tensor, target: Tensor, reduction: Int, out: Out) => |p, x, t, r, o| loss(p, "mse", &[&x, &t], &[], r, &o); }
    "mse_loss_backward" { /// Gradient of aclnnMseLoss.
        aclnnMseLossBackward(gradOutput: Tensor, self_: Tensor, target: Tensor, reduction: Int, out: Out) => |p, g, x, t, r, o| backward(p, "mse_backward", &g, &[&x, &t], &[], r, &o); }
    "l1_loss" { /// Absolute difference.
        aclnnL1Loss(self_: Tensor, target: Tensor, reduction: Int, out: Out) => |p, x, t, r, o| loss(p, "l1", &[&x, &t], &[], r, &o); }
    "l1_loss_backward" { /// Gradient of aclnnL1Loss.
        aclnnL1LossBackward(gradOutput: Tensor, self_: Tensor, target: Tensor, reduction: Int, gradInput: Out) => |p, g, x, t, r, o| backward(p, "l1_backward", &g, &[&x, &t], &[], r, &o); }
    "smooth_l1_loss" { /// Squared difference below beta, absolute above.
        aclnnSmoothL1Loss(self_: Tensor, target: Tensor, reduction: Int, beta: Float, result: Out) => |p, x, t, r, b: f32, o| loss(p, "smooth_l1", &[&x, &t], &[f64::from(b)], r, &o); }
    "smooth_l1_loss_backward" { /// Gradient of aclnnSmoothL1Loss.
        aclnnSmoothL1LossBackward(gradOut: Tensor, self_: Tensor, target: Tensor, reduction: Int, beta: Float, gradInput: Out) => |p, g, x, t, r, b: f32, o| backward(p, "smooth_l1_backward", &g, &[&x, &t], &[f64::from(b)], r, &o); }
    "binary_cross_entropy" { /// Cross entropy of probabilities.
        aclnnBinaryCrossEntropy(self_: Tensor, target: Tensor, weight: OptTensor, reduction: Int, out: Out) => bce; }
    "binary_cross_entropy_backward" { /// Gradient of aclnnBinaryCrossEntropy.
        aclnnBinaryCrossEntropyBackward(gradOutput: Tensor, self_: Tensor, target: Tensor, weightOptional: OptTensor, reduction: Int, out: Out) => bce_backward; }
    "binary_cross_entropy_with_logits" { /// Cross entropy of logits.
        aclnnBinaryCrossEntropyWithLogits(self_: Tensor, target: Tensor, weightOptional: OptTensor, posWeightOptional: OptTensor, reduction: Int, out: Out) => bce_logits; }
    "binary_cross_entropy_with_logits_backward" { /// Gradient of aclnnBinaryCrossEntropyWithLogits.
        aclnnBinaryCrossEntropyWithLogitsBackward(gradOutput: Tensor, self_: Tensor, target: Tensor, weightOptional: OptTensor, posWeightOptional: OptTensor, reduction: Int, out: Out) => bce_logits_backward; }
    "kl_div" { /// Kullback-Leibler divergence of a logarithm self from target, or from its logarithm.
        aclnnKlDiv(self_: Tensor, target: Tensor, reduction: Int, logTarget: Bool, out: Out) => |p, x, t, r, log, o| loss(p, if log { "kl_div_log" } else { "kl_div" }, &[&x, &t], &[], r, &o); }
    "kl_div_backward" { /// Gradient of aclnnKlDiv to self.
        aclnnKlDivBackward(gradOutput: Tensor, self_: Tensor, target: Tensor, reduction: Int, logTarget: Bool, out: Out) => |p, g, x, t, r, log, o| backward(p, if log { "kl_div_log_backward" } else { "kl_div_backward" }, &g, &[&x, &t], &[], r, &o); }
    "kl_div_target_backward" { /// Gradient of aclnnKlDiv to target.
        aclnnKlDivTargetBackward(gradOutput: Tensor, self_: Tensor, target: Tensor, reduction: Int, logTarget: Bool, gradTarget: Out) => |p, g, x, t, r, log, o| backward(p, if log { "kl_div_log_target" } else { "kl_div_target" }, &g, &[&x, &t], &[], r, &o); }
    "nll_loss2d" { /// Negative log likelihood of target, for each place of an image; reduction 0 none, 1 mean, 2 sum.
        aclnnNLLLoss2d(self_: Tensor, target: Tensor, weight: Tensor, reduction: Int, ignoreIndex: Int, out: Out, totalWeightOut: Out) => nll2d; }
    "nll_loss2d_backward" { /// Gradient of aclnnNLLLoss2d.
        aclnnNLLLoss2dBackward(gradOutput: Tensor, self_: Tensor, target: Tensor, weight: Tensor, reduction: Int, ignoreIndex: Int, totalWeight: Tensor, out: Out) => nll2d_backward; }
    "soft_margin_loss" { /// ln(1 + e to the power of -target * self).
        aclnnSoftMarginLoss(self_: Tensor, target: Tensor, reduction: Int, out: Out) => |p, x, t, r, o| loss(p, "soft_margin", &[&x, &t], &[], r, &o); }
    "soft_margin_loss_backward" { /// Gradient of aclnnSoftMarginLoss.
        aclnnSoftMarginLossBackward(gradOutput: Tensor, self_: Tensor, target: Tensor, reduction: Int, out: Out) => |p, g, x, t, r, o| backward(p, "soft_margin_backward", &g, &[&x, &t], &[], r, &o); }
}

/// `[N, C, H, W]` as `[N·H·W, C]`, and a target `[N, H, W]` as as many classes.
fn pixels(p: &mut Program, x: &View, target: &View) -> Result<(View, View)> {
    let [n, c, h, w] = x.dims[..] else {
        return Err(invalid!("self has shape {:?}; [N, C, H, W] is needed", x.dims));
    };
    if target.dims != [n, h, w] {
        return Err(invalid!("target has shape {:?}; [{n}, {h}, {w}] is needed", target.dims));
    }
    let rows = p.temporary(x.dtype, &[n, h, w, c]);
    p.launch("copy", &[&rows], &[&x.permute(&[0, 2, 3, 1])?], &[])?;
    let target = dense(p, target, target.dtype)?;
    Ok((rows.reshaped(&[n * h * w, c]), target.reshaped(&[n * h * w])))
}

#[allow(clippy::too_many_arguments)] // CANN's
fn nll2d(
    p: &mut Program,
    x: View,
    target: View,
    weight: View,
    reduction: i64,
    ignored: i64,
    out: View,
    total: View,
) -> Result<()> {
    let none = Reduction::new(reduction)? == Reduction::None;
    if none {
        check_shape(&out, &target.dims)?;
    }
    let (rows, classes) = pixels(p, &x, &target)?;
    let write = |p: &mut Program, o: &View| {
        let o = if none { o.reshaped(&classes.dims) } else { o.clone() };
        super::loss::nll_loss(p, rows, classes, weight, reduction, ignored, o, total)
    };
    if none { into_dense(p, &out, out.dtype, write) } else { write(p, &out) }
}

#[allow(clippy::too_many_arguments)] // CANN's
fn nll2d_backward(
    p: &mut Program,
    grad: View,
    x: View,
    target: View,
    weight: View,
    reduction: i64,
    ignored: i64,
    total: View,
    out: View,
) -> Result<()> {
    check_shape(&out, &x.dims)?;
    let (rows, classes) = pixels(p, &x, &target)?;
    let grad = if Reduction::new(reduction)? == Reduction::None {
        check_shape(&grad, &target.dims)?;
        dense(p, &grad, grad.dtype)?.reshaped(&classes.dims)
    } else {
        grad
    };
    let made = p.temporary(out.dtype, &rows.dims);
    let order = out.permute(&[0, 2, 3, 1])?;
    super::loss::nll_loss_backward(p, grad, rows, classes, weight, reduction, ignored, total, made.clone())?;
    p.launch("copy", &[&order], &[&made.reshaped(&order.dims)], &[])
}

/// out = f(inputs), reduced.
fn loss(
    p: &mut Program,
    k: &'static str,
    inputs: &[&View],
    scalars: &[f64],
    reduction: i64,
    out: &View,
) -> Result<()> {
    let dims = inputs.iter().try_fold(Dims::new(), |dims, v| broadcast(&dims, &v.dims))?;
    let kind = common(inputs);
    Reduction::new(reduction)?.reduce(p, kind, &dims, out, |p, terms| floats(p, k, inputs, scalars, terms))
}

/// out = gradient of f(inputs), whose gradient is `grad`. A reduced loss has one gradient for all elements.
fn backward(
    p: &mut Program,
    k: &'static str,
    grad: &View,
    inputs: &[&View],
    scalars: &[f64],
    reduction: i64,
    out: &View,
) -> Result<()> {
    let dims = inputs.iter().try_fold(Dims::new(), |dims, v| broadcast(&dims, &v.dims))?;
    check_shape(out, &dims)?;
    let scale = Reduction::new(reduction)?.scale(dims.iter().product());
    let grad = if grad.elements() == 1 { grad.one().expand(&dims)? } else { grad.expand(&dims)? };
    let inputs: Vec<_> = [&grad].into_iter().chain(inputs.iter().copied()).collect();
    let scalars: Vec<_> = scalars.iter().copied().chain([scale]).collect();
    launch(p, k, &inputs, &scalars, out)
}

/// The weight, or 1.
fn weight(p: &mut Program, weight: Option<View>, dims: &[i64]) -> Result<View> {
    match weight {
        Some(w) => w.expand(dims),
        None => constant(p, 1.0, dims),
    }
}

fn bce(p: &mut Program, x: View, t: View, w: Option<View>, reduction: i64, out: View) -> Result<()> {
    let w = weight(p, w, &x.dims)?;
    loss(p, "bce", &[&x, &t, &w], &[], reduction, &out)
}

fn bce_backward(
    p: &mut Program,
    grad: View,
    x: View,
    t: View,
    w: Option<View>,
    reduction: i64,
    out: View,
) -> Result<()> {
    let w = weight(p, w, &x.dims)?;
    backward(p, "bce_backward", &grad, &[&x, &t, &w], &[], reduction, &out)
}

fn bce_logits(
    p: &mut Program,
    x: View,
    t: View,
    w: Option<View>,
    positive: Option<View>,
    reduction: i64,
    out: View,
) -> Result<()> {
    let dims = broadcast(&x.dims, &t.dims)?;
    let (w, positive) = (weight(p, w, &dims)?, weight(p, positive, &dims)?);
    loss(p, "bce_logits", &[&x, &t, &w, &positive], &[], reduction, &out)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn bce_logits_backward(
    p: &mut Program,
    grad: View,
    x: View,
    t: View,
    w: Option<View>,
    positive: Option<View>,
    reduction: i64,
    out: View,
) -> Result<()> {
    let dims = broadcast(&x.dims, &t.dims)?;
    let (w, positive) = (weight(p, w, &dims)?, weight(p, positive, &dims)?);
    backward(p, "bce_logits_backward", &grad, &[&x, &t, &w, &positive], &[], reduction, &out)
}
