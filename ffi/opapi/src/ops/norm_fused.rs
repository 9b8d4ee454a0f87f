//! Normalisations with what language models do before and after them: additions, quantisation, activations.

use std::sync::Arc;

use super::declare::operators;
use super::elementwise::{arithmetic, check_shape};
use super::loss::need_float;
use super::movement::copy;
use super::norm::{self, rms_norm};
use super::norm_gradient as gradient;
use super::pointwise::{dense, launch};
use super::quantise::{Target, along, by_rows, scaled};
use crate::dtype::DType;
use crate::error::{OpError, Result, invalid};
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::tensor::Tensor;
use crate::view::View;

operators! {
    "gemma_rms_norm" { /// yOut = x by the root of its mean square (rstdOut its reciprocal), times 1 + gamma.
        aclnnGemmaRmsNorm(x: Tensor, gamma: Tensor, epsilon: Double, yOut: Tensor, rstdOut: Tensor) => |p: &mut Program, x: View, g: View, e, y, r| {
            let more = p.temporary(DType::F32, &g.dims);
            p.launch("add_s", &[&more], &[&g], &[Type(DType::F32), Float(1.0), Int(1)])?;
            rms_norm(p, &x, &more, e, &y, &r)
        }; }
    "add_rms_norm_cast" { /// xOut = x1 + x2; y1Out in float32, y2Out in their type, and rstdOut as aclnnRmsNorm gives for it.
        aclnnAddRmsNormCast(x1: Tensor, x2: Tensor, gamma: Tensor, epsilon: Double, y1Out: Tensor, y2Out: Tensor, rstdOut: Tensor, xOut: Tensor) =>
            |p: &mut Program, a, b, g, e, y1: View, y2: View, r, x: View| {
                arithmetic(p, "add", &a, &b, None, &x)?;
                rms_norm(p, &x, &g, e, &y1, &r)?;
                check_shape(&y2, &y1.dims)?;
                copy(p, &y1, &y2)
            }; }
    "rms_norm_quant" { /// y = (x by the root of its mean square, times gamma, plus beta) / scale + offset, rounded.
        aclnnRmsNormQuant(x: Tensor, gamma: Tensor, beta: OptTensor, scale: Tensor, offset: OptTensor, epsilon: Double, y: OutPacked) =>
            |p: &mut Program, x: View, g, b: Option<View>, s, o, e, y: Arc<Tensor>| {
                let n = normalised(p, &x, &g, b.as_ref(), e)?;
                by_scale(p, &n, Some(s), o, true, &y)
            }; }
    "add_rms_norm_quant" { /// xOut = x1 + x2; y1Out and y2Out = what aclnnRmsNorm gives for it, divided by scales (times, unless divMode), plus zeroPoints, rounded.
        aclnnAddRmsNormQuant(x1: Tensor, x2: Tensor, gamma: Tensor, scales1: Tensor, scales2Optional: OptTensor, zeroPoints1Optional: OptTensor,
            zeroPoints2Optional: OptTensor, axis: Int, epsilon: Double, divMode: Bool, y1Out: OutPacked, y2Out: OptOutPacked, xOut: Out) =>
            |p: &mut Program, a, b, g, s1, s2, z1, z2, axis, e, divide, y1, y2, x| {
                add_and_quantise(p, [a, b], g, None, e, [(Some(s1), z1), (s2, z2)], (axis, divide), [Some(y1), y2], x, None)
            }; }
    "add_rms_norm_quant_v2" { /// As aclnnAddRmsNormQuant, with beta added before; rmsNormOut = what is quantised.
        aclnnAddRmsNormQuantV2(x1: Tensor, x2: Tensor, gamma: Tensor, scales1: Tensor, scales2Optional: OptTensor, zeroPoints1Optional: OptTensor,
            zeroPoints2Optional: OptTensor, betaOptional: OptTensor, axis: Int, epsilon: Double, divMode: Bool, y1Out: OutPacked, y2Out: OptOutPacked,
            xOut: Out, rmsNormOut: OptOut) =>
            |p: &mut Program, a, b, g, s1, s2, z1, z2, beta, axis, e, divide, y1, y2, x, n| {
                add_and_quantise(p, [a, b], g, beta, e, [(Some(s1), z1), (s2, z2)], (axis, divide), [Some(y1), y2], x, n)
            }; }
    "add_rms_norm_dynamic_quant" { /// xOut = x1 + x2; y1Out and y2Out = what aclnnRmsNorm gives for it, times smoothScales, as int8 by scales that each row has.
        aclnnAddRmsNormDynamicQuant(x1: Tensor, x2: Tensor, gamma: Tensor, smoothScale1Optional: OptTensor, smoothScale2Optional: OptTensor, epsilon: Double,
            y1Out: OutPacked, y2Out: OptOutPacked, xOut: Out, scale1Out: Out, scale2Out: OptOut) =>
            |p: &mut Program, a, b, g, s1: Option<View>, s2: Option<View>, e, y1, y2, x, o1, o2| {
                let both = s1.is_some() && s2.is_some();
                add_and_quantise_rows(p, [a, b], g, None, e, [s1, s2], [true, both], [Some(y1), y2], x, [Some(o1), o2])
            }; }
    "add_rms_norm_dynamic_quant_v2" { /// As aclnnAddRmsNormDynamicQuant, with beta added before; outputMask says which of the two results are wanted.
        aclnnAddRmsNormDynamicQuantV2(x1: Tensor, x2: Tensor, gamma: Tensor, smoothScale1Optional: OptTensor, smoothScale2Optional: OptTensor,
            betaOptional: OptTensor, epsilon: Double, outputMask: OptBools, y1Out: OptOutPacked, y2Out: OptOutPacked, xOut: Out, scale1Out: OptOut,
            scale2Out: OptOut) =>
            |p: &mut Program, a, b, g, s1: Option<View>, s2: Option<View>, beta, e, mask: Option<Arc<[bool]>>, y1, y2, x, o1, o2| {
                let wanted = match mask.as_deref() {
                    None | Some([]) => [true, s1.is_some() && s2.is_some()],
                    Some(&[first, second]) => [first, second],
                    Some(m) => return Err(invalid!("outputMask has {} values; two are needed", m.len())),
                };
                add_and_quantise_rows(p, [a, b], g, beta, e, [s1, s2], wanted, [y1, y2], x, [o1, o2])
            }; }
    "rms_norm_dynamic_quant" { /// yOut = what aclnnRmsNorm gives for x, plus beta, times smoothScales, as int8 by scales that each row has.
        aclnnRmsNormDynamicQuant(x: Tensor, gamma: Tensor, smoothScalesOptional: OptTensor, betaOptional: OptTensor, epsilon: Double, dstType: Int, yOut: Packed,
            scaleOut: Tensor) =>
            |p: &mut Program, x: View, g, s, b: Option<View>, e, t, y: Arc<Tensor>, o| {
                if t != i64::from(y.dtype) {
                    return Err(invalid!("yOut has aclDataType {}; dstType is {t}", y.dtype));
                }
                let n = normalised(p, &x, &g, b.as_ref(), e)?;
                by_rows_of(p, &n, s, &y, o)
            }; }
    "add_layer_norm" { /// x = x1 + x2 + bias, which xOut gets if additionalOutput asks; yOut, meanOut and rstdOut as aclnnLayerNorm gives for it.
        aclnnAddLayerNorm(x1: Tensor, x2: Tensor, gamma: Tensor, beta: Tensor, biasOptional: OptTensor, epsilon: Double, additionalOutput: Bool, yOut: Tensor,
            meanOut: OptTensor, rstdOut: OptTensor, xOut: OptTensor) => add_layer_norm; }
    "add_layer_norm_grad" { /// Gradients of layer norm of x1 + x2 to their sum (plus dsum), gamma and beta.
        aclnnAddLayerNormGrad(dy: Tensor, x1: Tensor, x2: Tensor, rstd: Tensor, mean: Tensor, gamma: Tensor, dsumOptional: OptTensor, dxOut: Tensor,
            dgammaOut: Tensor, dbetaOut: Tensor) => add_layer_norm_gradient; }
    "deep_norm" { /// yOut, meanOut and rstdOut as aclnnLayerNorm gives for alpha * x + gx.
        aclnnDeepNorm(x: Tensor, gx: Tensor, beta: Tensor, gamma: Tensor, alpha: Double, epsilon: Double, meanOut: Tensor, rstdOut: Tensor, yOut: Tensor) =>
            |p: &mut Program, x: View, gx, beta, gamma: View, alpha, e, m, r, y| {
                let sum = weighted(p, &x, alpha, &gx)?;
                let shape = gamma.dims.clone().into();
                norm::layer_norm(p, sum, shape, Some(gamma), Some(beta), e, y, Some(m), Some(r))
            }; }
    "deep_norm_grad" { /// Gradients of aclnnDeepNorm to x, gx, beta and gamma.
        aclnnDeepNormGrad(dy: Tensor, x: Tensor, gx: Tensor, gamma: Tensor, mean: Tensor, rstd: Tensor, alpha: Double, dxOut: Tensor, dgxOut: Tensor,
            dbetaOut: Tensor, dgammaOut: Tensor) => deep_norm_gradient; }
    "group_norm_silu" { /// out = silu of what aclnnGroupNorm gives for self.
        aclnnGroupNormSilu(self_: Tensor, gamma: OptTensor, beta: OptTensor, group: Int, eps: Double, out: Tensor, meanOut: Tensor, rstdOut: Tensor) =>
            |p, x, g, b, n, e, o, m, r| group_norm(p, x, g, b, n, e, Some(1.0), [o, m, r]);
        /// As aclnnGroupNormSilu; without silu unless activateSilu.
        aclnnGroupNormSiluV2(self_: Tensor, gamma: OptTensor, beta: OptTensor, group: Int, eps: Double, activateSilu: Bool, out: Tensor, meanOut: Tensor,
            rstdOut: Tensor) =>
            |p, x, g, b, n, e, silu: bool, o, m, r| group_norm(p, x, g, b, n, e, silu.then_some(1.0), [o, m, r]); }
    "group_norm_swish" { /// yOut = what aclnnGroupNorm gives for x; if activateSwish, times sigmoid of swishScale times it.
        aclnnGroupNormSwish(x: Tensor, gamma: Tensor, beta: Tensor, numGroups: Int, dataFormatOptional: Text, eps: Double, activateSwish: Bool,
            swishScale: Double, yOut: Tensor, meanOut: Tensor, rstdOut: Tensor) =>
            |p: &mut Program, x, g, b, n, format: String, e, swish: bool, scale, o, m, r| {
                need_channels_first(&format)?;
                group_norm(p, x, Some(g), Some(b), n, e, swish.then_some(scale), [o, m, r])
            }; }
    "group_norm_swish_grad" { /// Gradients of aclnnGroupNormSwish with activateSwish to x, gamma and beta.
        aclnnGroupNormSwishGrad(dy: Tensor, mean: Tensor, rstd: Tensor, x: Tensor, gamma: Tensor, beta: Tensor, numGroups: Int, dataFormatOptional: Text,
            swishScale: Double, dgammaIsRequire: Bool, dbetaIsRequire: Bool, dxOut: Tensor, dgammaOut: OptTensor, dbetaOut: OptTensor) =>
            |p: &mut Program, dy, m, r, x, g, b, n, format: String, scale, wants_g, wants_b, dx, dg, db| {
                need_channels_first(&format)?;
                group_norm_gradient(p, dy, [m, r], x, [g, b], n, scale, [wants_g, wants_b], dx, [dg, db])
            }; }
}

/// x by the root of its mean square, times gamma, plus beta, in float32.
fn normalised(p: &mut Program, x: &View, gamma: &View, beta: Option<&View>, eps: f64) -> Result<View> {
    // A gamma of [1, n] is one of [n].
    let ones = gamma.dims.iter().take_while(|d| **d == 1).count().min(gamma.rank().saturating_sub(1));
    let flat = |v: &View| View { dims: v.dims[ones..].into(), strides: v.strides[ones..].into(), ..v.clone() };
    let gamma = flat(gamma);
    let y = p.temporary(DType::F32, &x.dims);
    let rows = x.dims[..x.rank().saturating_sub(gamma.rank())].to_vec();
    let rstd = p.temporary(DType::F32, &rows);
    rms_norm(p, x, &gamma, eps, &y, &rstd)?;
    if let Some(beta) = beta {
        arithmetic(p, "add", &y, &beta.expand(&x.dims)?, None, &y)?;
    }
    Ok(y)
}

/// y = x / scale + offset, or x · scale + offset, rounded.
fn by_scale(p: &mut Program, x: &View, scale: Option<View>, offset: Option<View>, divide: bool, y: &Tensor) -> Result<()> {
    let target = Target::new("y", y, &x.dims)?;
    let last = x.rank().saturating_sub(1);
    let scale = along("scale", &scale.ok_or(OpError::Null("scale"))?, &x.dims, last)?;
    let offset = offset.map(|o| along("offset", &o, &x.dims, last)).transpose()?;
    let most = target.most();
    target.write(p, |p, q| scaled(p, x, (&scale, offset.as_ref()), divide, "round", (-most - 1.0, most), q))
}

/// y = x · smooth as numbers by a scale that each row has.
fn by_rows_of(p: &mut Program, x: &View, smooth: Option<View>, y: &Tensor, scale: View) -> Result<()> {
    let target = Target::new("y", y, &x.dims)?;
    let last = x.rank() - 1;
    let smooth = smooth.map(|s| along("smoothScale", &s, &x.dims, last)).transpose()?;
    if scale.dims != x.dims[..last] || !scale.dtype.is_float() {
        return Err(invalid!("the rows' scale has shape {:?} and type {:?} for {:?}", scale.dims, scale.dtype, x.dims));
    }
    let most = target.most();
    target.write(p, |p, q| by_rows(p, x, smooth.as_ref(), most, q, &scale.unsqueeze(&[last]), None))
}

#[allow(clippy::too_many_arguments)] // CANN's
fn add_and_quantise(
    p: &mut Program,
    [a, b]: [View; 2],
    gamma: View,
    beta: Option<View>,
    eps: f64,
    scales: [(Option<View>, Option<View>); 2],
    (axis, divide): (i64, bool),
    outs: [Option<Arc<Tensor>>; 2],
    x: View,
    plain: Option<View>,
) -> Result<()> {
    if axis != -1 && axis != x.rank() as i64 - 1 {
        return Err(invalid!("axis {axis}; the last one is supported"));
    }
    arithmetic(p, "add", &a, &b, None, &x)?;
    let n = normalised(p, &x, &gamma, beta.as_ref(), eps)?;
    if let Some(plain) = plain {
        check_shape(&plain, &n.dims)?;
        copy(p, &n, &plain)?;
    }
    for ((scale, zero), out) in scales.into_iter().zip(outs) {
        match (scale, out) {
            (Some(scale), Some(out)) => by_scale(p, &n, Some(scale), zero, divide, &out)?,
            (Some(_), None) => return Err(OpError::Null("y2Out")),
            (None, _) => {}
        }
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)] // CANN's
fn add_and_quantise_rows(
    p: &mut Program,
    [a, b]: [View; 2],
    gamma: View,
    beta: Option<View>,
    eps: f64,
    smooth: [Option<View>; 2],
    wanted: [bool; 2],
    outs: [Option<Arc<Tensor>>; 2],
    x: View,
    scales: [Option<View>; 2],
) -> Result<()> {
    arithmetic(p, "add", &a, &b, None, &x)?;
    let n = normalised(p, &x, &gamma, beta.as_ref(), eps)?;
    for (((smooth, out), scale), wanted) in smooth.into_iter().zip(outs).zip(scales).zip(wanted) {
        if wanted {
            let out = out.ok_or(OpError::Null("y1Out or y2Out"))?;
            by_rows_of(p, &n, smooth, &out, scale.ok_or(OpError::Null("scale1Out or scale2Out"))?)?;
        }
    }
    Ok(())
}

/// alpha · x + y in float32.
fn weighted(p: &mut Program, x: &View, alpha: f64, y: &View) -> Result<View> {
    need_float("x", x)?;
    let scaled = p.temporary(DType::F32, &x.dims);
    p.launch("mul_s", &[&scaled], &[x], &[Type(DType::F32), Float(alpha), Int(0)])?;
    let sum = p.temporary(DType::F32, &x.dims);
    arithmetic(p, "add", &scaled, y, None, &sum)?;
    Ok(sum)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn add_layer_norm(
    p: &mut Program,
    x1: View,
    x2: View,
    gamma: View,
    beta: View,
    bias: Option<View>,
    eps: f64,
    more: bool,
    y: View,
    mean: Option<View>,
    rstd: Option<View>,
    x: Option<View>,
) -> Result<()> {
    let mut sum = weighted(p, &x1, 1.0, &x2)?;
    if let Some(bias) = bias {
        let with = p.temporary(DType::F32, &sum.dims);
        arithmetic(p, "add", &sum, &bias, None, &with)?;
        sum = with;
    }
    if let Some(x) = x.filter(|_| more) {
        check_shape(&x, &sum.dims)?;
        copy(p, &sum, &x)?;
    }
    let shape = gamma.dims.clone().into();
    norm::layer_norm(p, sum, shape, Some(gamma), Some(beta), eps, y, mean, rstd)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn add_layer_norm_gradient(
    p: &mut Program,
    dy: View,
    x1: View,
    x2: View,
    rstd: View,
    mean: View,
    gamma: View,
    more: Option<View>,
    dx: View,
    dgamma: View,
    dbeta: View,
) -> Result<()> {
    let sum = weighted(p, &x1, 1.0, &x2)?;
    check_shape(&dx, &sum.dims)?;
    let made = p.temporary(DType::F32, &dx.dims);
    let (shape, all) = (gamma.dims.clone().into(), Arc::from([true; 3]));
    let outs = (Some(made.clone()), Some(dgamma), Some(dbeta));
    gradient::layer_norm(p, dy, sum, shape, mean, rstd, Some(gamma), None, all, outs.0, outs.1, outs.2)?;
    match more {
        Some(more) => arithmetic(p, "add", &made, &more, None, &dx),
        None => copy(p, &made, &dx),
    }
}

#[allow(clippy::too_many_arguments)] // CANN's
fn deep_norm_gradient(
    p: &mut Program,
    dy: View,
    x: View,
    gx: View,
    gamma: View,
    mean: View,
    rstd: View,
    alpha: f64,
    dx: View,
    dgx: View,
    dbeta: View,
    dgamma: View,
) -> Result<()> {
    let sum = weighted(p, &x, alpha, &gx)?;
    for out in [&dx, &dgx] {
        check_shape(out, &sum.dims)?;
        need_float("a gradient", out)?;
    }
    let made = p.temporary(DType::F32, &dx.dims);
    let (shape, all) = (gamma.dims.clone().into(), Arc::from([true; 3]));
    let outs = (Some(made.clone()), Some(dgamma), Some(dbeta));
    gradient::layer_norm(p, dy, sum, shape, mean, rstd, Some(gamma), None, all, outs.0, outs.1, outs.2)?;
    copy(p, &made, &dgx)?;
    p.launch("mul_s", &[&dx], &[&made], &[Type(DType::F32), Float(alpha), Int(0)])
}

fn need_channels_first(format: &str) -> Result<()> {
    if matches!(format, "" | "NCHW") { Ok(()) } else { Err(invalid!("dataFormat {format}; NCHW is supported")) }
}

/// N, C and the elements of a channel.
fn channels(x: &View) -> Result<(i64, i64, i64)> {
    match x.dims[..] {
        [n, c, ref rest @ ..] => Ok((n, c, rest.iter().product())),
        _ => Err(invalid!("x has shape {:?}; two dimensions or more are needed", x.dims)),
    }
}

#[allow(clippy::too_many_arguments)] // CANN's
fn group_norm(
    p: &mut Program,
    x: View,
    gamma: Option<View>,
    beta: Option<View>,
    groups: i64,
    eps: f64,
    swish: Option<f64>,
    [out, mean, rstd]: [View; 3],
) -> Result<()> {
    let (n, c, hw) = channels(&x)?;
    check_shape(&out, &x.dims)?;
    let Some(scale) = swish else {
        return norm::group_norm(p, x, gamma, beta, n, c, hw, groups, eps, out, Some(mean), Some(rstd));
    };
    let made = p.temporary(DType::F32, &x.dims);
    norm::group_norm(p, x, gamma, beta, n, c, hw, groups, eps, made.clone(), Some(mean), Some(rstd))?;
    p.launch("swish", &[&out], &[&made], &[Float(scale)])
}

#[allow(clippy::too_many_arguments)] // CANN's
fn group_norm_gradient(
    p: &mut Program,
    dy: View,
    [mean, rstd]: [View; 2],
    x: View,
    [gamma, beta]: [View; 2],
    groups: i64,
    scale: f64,
    [wants_gamma, wants_beta]: [bool; 2],
    dx: View,
    [dgamma, dbeta]: [Option<View>; 2],
) -> Result<()> {
    let (n, c, hw) = channels(&x)?;
    if groups <= 0 || c % groups != 0 || mean.elements() != n * groups || rstd.elements() != n * groups {
        return Err(invalid!("{groups} groups of {c} channels with mean of shape {:?} and rstd {:?}", mean.dims, rstd.dims));
    }
    check_shape(&dy, &x.dims)?;
    check_shape(&gamma, &[c])?;
    check_shape(&beta, &[c])?;
    // What was normalised, once more; its swish's slope makes the gradient of the normalisation's result.
    let parts = [groups, c / groups];
    let grouped = x.split(1, &parts);
    let behind = |n: usize| (n..grouped.rank()).collect::<Vec<_>>();
    let statistic = |p: &mut Program, v: &View| -> Result<View> {
        dense(p, v, DType::F32)?.reshaped(&[n, groups]).unsqueeze(&behind(2)).expand(&grouped.dims)
    };
    let (m, r) = (statistic(p, &mean)?, statistic(p, &rstd)?);
    let channel = |v: &View| v.split(0, &parts).unsqueeze(&behind(3).iter().map(|d| d - 1).collect::<Vec<_>>()).expand(&grouped.dims);
    let y = p.temporary(DType::F32, &x.dims);
    launch(p, "normalise", &[&grouped, &m, &r, &channel(&gamma)?, &channel(&beta)?], &[], &y.split(1, &parts))?;
    let slope = p.temporary(DType::F32, &x.dims);
    launch(p, "swish_backward", &[&dy, &y], &[scale], &slope)?;
    let mask = Arc::from([true, wants_gamma, wants_beta]);
    gradient::group_norm(p, slope, x, mean, rstd, Some(gamma), n, c, hw, groups, mask, Some(dx), dgamma, dbeta)
}
