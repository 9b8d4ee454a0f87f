//! Gradients of normalisations.

use std::sync::Arc;

use super::declare::operators;
use super::elementwise::check_shape;
use super::pointwise::{constant, dense};
use crate::dtype::DType;
use crate::error::{OpError, Result, invalid};
use crate::program::Attr::{Float, Int};
use crate::program::Program;
use crate::view::View;

operators! {
    "layer_norm_backward" { /// Gradients of layer norm to its input, weight and bias, as outputMask asks.
        aclnnLayerNormBackward(gradOut: Tensor, input: Tensor, normalizedShape: Ints, mean: Tensor, rstd: Tensor, weightOptional: OptTensor, biasOptional: OptTensor, outputMask: Bools, gradInputOut: OptOut, gradWeightOut: OptOut, gradBiasOut: OptOut) => layer_norm; }
    "group_norm_backward" { /// Gradients of group norm to its input, gamma and beta, as outputMask asks.
        aclnnGroupNormBackward(gradOut: Tensor, input: Tensor, mean: Tensor, rstd: Tensor, gamma: OptTensor, N: Int, C: Int, HxW: Int, group: Int, outputMask: Bools, gradInput: OptOut, gradGammaOut: OptOut, gradBetaOut: OptOut) => group_norm; }
    "batch_norm_backward" { /// Gradients of batch norm to its input, weight and bias, as outputMask asks.
        aclnnBatchNormBackward(gradOut: Tensor, input: Tensor, weight: OptTensor, runningMean: OptTensor, runningVar: OptTensor, saveMean: OptTensor, saveInvstd: OptTensor, training: Bool, eps: Double, outputMask: Bools, gradInput: OptOut, gradWeight: OptOut, gradBias: OptOut) => batch_norm; }
    "rms_norm_grad" { /// Gradients of RMS norm to its input and gamma.
        aclnnRmsNormGrad(dy: Tensor, x: Tensor, rstd: Tensor, gamma: Tensor, dxOut: Out, dgammaOut: Out) => rms_norm; }
}

/// What the gradients are made of, all in the dimensions of `x`.
struct Norm {
    grad: View,
    x: View,
    mean: View,
    rstd: View,
    weight: View,
    /// First of the dimensions that were normalised over.
    first: usize,
    /// Whether the mean was taken off.
    centred: bool,
}

impl Norm {
    fn input(&self, p: &mut Program, out: &View) -> Result<()> {
        let inputs = [&self.grad, &self.x, &self.mean, &self.rstd, &self.weight];
        p.launch("norm_backward", &[out], &inputs, &[Int(self.first as i64), Int(self.centred.into())])
    }

    /// `weight` and `bias` have 1 where the gradient is summed.
    fn parameters(&self, p: &mut Program, weight: &View, bias: &View) -> Result<()> {
        let inputs = [&self.grad, &self.x, &self.mean, &self.rstd];
        p.launch("norm_backward_parameters", &[weight, bias], &inputs, &[])
    }
}

/// The outputs that the mask asks for, which must be there.
fn asked(mask: &[bool], outs: [Option<View>; 3]) -> Result<[Option<View>; 3]> {
    if mask.len() != 3 {
        return Err(invalid!("outputMask has {} values; three are needed", mask.len()));
    }
    let names = ["gradInput", "gradWeight", "gradBias"];
    let mut checked = [None, None, None];
    for (i, out) in outs.into_iter().enumerate() {
        if mask[i] {
            checked[i] = Some(out.ok_or(OpError::Null(names[i]))?);
        }
    }
    Ok(checked)
}

/// An output or a place for what nobody asked for, in the form `shape`, dense; the second is where it goes.
fn room(p: &mut Program, out: Option<&View>, dtype: DType, shape: &[i64]) -> Result<(View, Option<View>)> {
    match out {
        Some(v) if v.elements() != shape.iter().product::<i64>() => {
            Err(invalid!("a gradient has shape {:?}; {shape:?} is needed", v.dims))
        }
        Some(v) if v.is_dense() => Ok((v.reshaped(shape), None)),
        Some(v) => {
            let made = p.temporary(dtype, shape);
            Ok((made, Some(v.clone())))
        }
        None => Ok((p.temporary(dtype, shape), None)),
    }
}

fn write_parameters(p: &mut Program, norm: &Norm, weight: Option<&View>, bias: Option<&View>, shape: &[i64]) -> Result<()> {
    if weight.is_none() && bias.is_none() {
        return Ok(());
    }
    let (w, w_to) = room(p, weight, DType::F32, shape)?;
    let (b, b_to) = room(p, bias, DType::F32, shape)?;
    norm.parameters(p, &w, &b)?;
    for (made, to) in [(w, w_to), (b, b_to)] {
        if let Some(to) = to {
            p.launch("copy", &[&to], &[&made.reshaped(&to.dims)], &[])?;
        }
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)] // CANN's
pub fn layer_norm(
    p: &mut Program,
    grad: View,
    x: View,
    shape: Arc<[i64]>,
    mean: View,
    rstd: View,
    weight: Option<View>,
    _bias: Option<View>,
    mask: Arc<[bool]>,
    grad_x: Option<View>,
    grad_w: Option<View>,
    grad_b: Option<View>,
) -> Result<()> {
    let [grad_x, grad_w, grad_b] = asked(&mask, [grad_x, grad_w, grad_b])?;
    let first = x.rank().checked_sub(shape.len()).filter(|&f| x.dims[f..] == *shape);
    let first = first.ok_or_else(|| invalid!("input has shape {:?}, which does not end in {shape:?}", x.dims))?;
    check_shape(&grad, &x.dims)?;
    let rows: Vec<_> = x.dims[..first].iter().copied().chain(vec![1; shape.len()]).collect();
    let row = |p: &mut Program, v: &View| -> Result<View> {
        if v.elements() != rows.iter().product::<i64>() {
            return Err(invalid!("mean or rstd has shape {:?}; {rows:?} is needed", v.dims));
        }
        dense(p, v, v.dtype)?.reshaped(&rows).expand(&x.dims)
    };
    let weight = match weight {
        Some(w) => w.expand(&x.dims)?,
        None => constant(p, 1.0, &x.dims)?,
    };
    let (mean, rstd) = (row(p, &mean)?, row(p, &rstd)?);
    let norm = Norm { grad, x: x.clone(), mean, rstd, weight, first, centred: true };
    if let Some(out) = &grad_x {
        check_shape(out, &x.dims)?;
        norm.input(p, out)?;
    }
    let kept: Vec<_> = vec![1; first].into_iter().chain(shape.iter().copied()).collect();
    write_parameters(p, &norm, grad_w.as_ref(), grad_b.as_ref(), &kept)
}

#[allow(clippy::too_many_arguments)] // CANN's
pub fn group_norm(
    p: &mut Program,
    grad: View,
    x: View,
    mean: View,
    rstd: View,
    gamma: Option<View>,
    n: i64,
    c: i64,
    hw: i64,
    group: i64,
    mask: Arc<[bool]>,
    grad_x: Option<View>,
    grad_w: Option<View>,
    grad_b: Option<View>,
) -> Result<()> {
    let [grad_x, grad_w, grad_b] = asked(&mask, [grad_x, grad_w, grad_b])?;
    if group <= 0 || c % group != 0 || x.elements() != n * c * hw {
        return Err(invalid!("{group} groups of {c} channels; input has shape {:?}", x.dims));
    }
    check_shape(&grad, &x.dims)?;
    let dims = [n, group, c / group, hw];
    let x = dense(p, &x, x.dtype)?.reshaped(&dims);
    let grad = dense(p, &grad, grad.dtype)?.reshaped(&dims);
    let row = |p: &mut Program, v: &View| -> Result<View> {
        if v.elements() != n * group {
            return Err(invalid!("mean or rstd has shape {:?}; [{n}, {group}] is needed", v.dims));
        }
        dense(p, v, v.dtype)?.reshaped(&[n, group, 1, 1]).expand(&dims)
    };
    let (mean, rstd) = (row(p, &mean)?, row(p, &rstd)?);
    let kept = [1, group, c / group, 1];
    let weight = match gamma {
        Some(w) if w.elements() == c => dense(p, &w, w.dtype)?.reshaped(&kept).expand(&dims)?,
        Some(w) => return Err(invalid!("gamma has shape {:?}; [{c}] is needed", w.dims)),
        None => constant(p, 1.0, &dims)?,
    };
    let norm = Norm { grad, x, mean, rstd, weight, first: 2, centred: true };
    if let Some(out) = &grad_x {
        let (made, to) = room(p, Some(out), out.dtype, &dims)?;
        norm.input(p, &made)?;
        if let Some(to) = to {
            p.launch("copy", &[&to], &[&made.reshaped(&to.dims)], &[])?;
        }
    }
    write_parameters(p, &norm, grad_w.as_ref(), grad_b.as_ref(), &kept)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn batch_norm(
    p: &mut Program,
    grad: View,
    x: View,
    weight: Option<View>,
    running_mean: Option<View>,
    running_var: Option<View>,
    mean: Option<View>,
    rstd: Option<View>,
    training: bool,
    eps: f64,
    mask: Arc<[bool]>,
    grad_x: Option<View>,
    grad_w: Option<View>,
    grad_b: Option<View>,
) -> Result<()> {
    let [grad_x, grad_w, grad_b] = asked(&mask, [grad_x, grad_w, grad_b])?;
    if x.rank() < 2 {
        return Err(invalid!("input has shape {:?}; at least [N, C] is needed", x.dims));
    }
    check_shape(&grad, &x.dims)?;
    // Channels first: what is normalised over are the other dimensions.
    let order: Vec<i64> = [1, 0].into_iter().chain(2..x.rank() as i64).collect();
    let (x, grad) = (x.permute(&order)?, grad.permute(&order)?);
    let c = x.dims[0];
    let shape: Vec<i64> = [c].into_iter().chain(vec![1; x.rank() - 1]).collect();
    let channel = |p: &mut Program, v: &View, name: &str| -> Result<View> {
        if v.elements() != c {
            return Err(invalid!("{name} has shape {:?}; [{c}] is needed", v.dims));
        }
        dense(p, v, v.dtype)?.reshaped(&shape).expand(&x.dims)
    };
    let (mean, rstd) = if training {
        (mean.ok_or(OpError::Null("saveMean"))?, rstd.ok_or(OpError::Null("saveInvstd"))?)
    } else {
        let var = running_var.ok_or(OpError::Null("runningVar"))?;
        let rstd = p.temporary(DType::F32, &[c]);
        p.launch("add_eps_rsqrt", &[&rstd], &[&var], &[crate::program::Attr::Type(DType::F32), Float(eps)])?;
        (running_mean.ok_or(OpError::Null("runningMean"))?, rstd)
    };
    let (mean, rstd) = (channel(p, &mean, "the mean")?, channel(p, &rstd, "the deviation")?);
    let weight = match weight {
        Some(w) => channel(p, &w, "weight")?,
        None => constant(p, 1.0, &x.dims)?,
    };
    let norm = Norm { grad, x, mean, rstd, weight, first: 1, centred: true };
    if let Some(out) = &grad_x {
        let out = out.permute(&order)?;
        check_shape(&out, &norm.x.dims)?;
        if training {
            norm.input(p, &out)?;
        } else {
            super::pointwise::launch(p, "product3", &[&norm.grad, &norm.rstd, &norm.weight], &[], &out)?;
        }
    }
    write_parameters(p, &norm, grad_w.as_ref(), grad_b.as_ref(), &shape)
}

pub fn rms_norm(p: &mut Program, grad: View, x: View, rstd: View, gamma: View, grad_x: View, grad_w: View) -> Result<()> {
    check_shape(&grad, &x.dims)?;
    check_shape(&grad_x, &x.dims)?;
    let first = x.rank().checked_sub(gamma.rank()).filter(|&f| x.dims[f..] == gamma.dims);
    let first = first.ok_or_else(|| invalid!("x has shape {:?}, which does not end in {:?}", x.dims, gamma.dims))?;
    let rows: Vec<_> = x.dims[..first].iter().copied().chain(vec![1; gamma.rank()]).collect();
    if rstd.elements() != rows.iter().product::<i64>() {
        return Err(invalid!("rstd has shape {:?}; {rows:?} is needed", rstd.dims));
    }
    let rstd = dense(p, &rstd, rstd.dtype)?.reshaped(&rows).expand(&x.dims)?;
    let mean = constant(p, 0.0, &x.dims)?;
    let kept: Vec<_> = vec![1; first].into_iter().chain(gamma.dims.iter().copied()).collect();
    let weight = gamma.expand(&x.dims)?;
    let norm = Norm { grad, x, mean, rstd, weight, first, centred: false };
    norm.input(p, &grad_x)?;
    write_parameters(p, &norm, Some(&grad_w), None, &kept)
}
