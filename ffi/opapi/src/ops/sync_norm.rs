//! Batch norm in parts, whose moments several devices share: sums, moments and gradients of channels, each apart.

use super::declare::operators;
use super::elementwise::check_shape;
use super::loss::need_float;
use super::movement::{copy, dense};
use super::pointwise::{constant, pointwise};
use super::reduce::reduce;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::{View, broadcast};

operators! {
    "batch_norm_stats" { /// mean and invstd = those of each channel of input.
        aclnnBatchNormStats(input: Tensor, eps: Double, mean: Out, invstd: Out) => stats; }
    "batch_norm_elemt" { /// output = (input - mean) invstd weight + bias, by channel.
        aclnnBatchNormElemt(input: Tensor, weight: OptTensor, bias: OptTensor, mean: Ref, invstd: Ref, eps: Double, output: Out) => elements; }
    "batch_norm_gather_stats_with_counts" { /// meanAll and invstdAll = the moments of all devices' elements, from those of each [devices, C] and how many it has; the running ones follow.
        aclnnBatchNormGatherStatsWithCounts(input: Tensor, mean: Tensor, invstd: Tensor, runningMean: OptRef, runningVar: OptRef, momentum: Double, eps: Double, counts: Tensor,
            meanAll: Out, invstdAll: Out) => |p, _, m, s, rm, rv, momentum, eps, n, mo, so| gather(p, m, s, [rm, rv], momentum, eps, n, [mo, so]); }
    "batch_norm_reduce" { /// sum and squareSum = the sums of each channel's elements and of their squares.
        aclnnBatchNormReduce(x: Tensor, sum: Out, squareSum: Out) => sums_of; }
    "sync_batch_norm_gather_stats" { /// batchMean and batchInvstd = the moments of all devices' elements, from the sums of each [devices, C] and how many it has; mean and variance, the running ones, follow.
        aclnnSyncBatchNormGatherStats(totalSum: Tensor, totalSquareSum: Tensor, sampleCount: Tensor, mean: Ref, variance: Ref, momentum: Float, eps: Float,
            batchMean: Out, batchInvstd: Out) => gather_sums; }
    "batch_norm_backward_reduce" { /// sumDy = the sums of gradOut by channel, sumDyXmu those of gradOut (input - mean); gradWeight = sumDyXmu invstd, gradBias = sumDy.
        aclnnBatchNormReduceBackward(gradOut: Tensor, input: Tensor, mean: Tensor, invstd: Tensor, weight: OptTensor, inputG: Bool, weightG: Bool, biasG: Bool,
            sumDy: OptOut, sumDyXmu: OptOut, gradWeight: OptOut, gradBias: OptOut) =>
            |p, g, x, m, s, _, ig: bool, wg: bool, bg: bool, sd, sx, gw, gb| sums_back(p, g, x, m, s, [ig.then_some(sd).flatten(), ig.then_some(sx).flatten(), wg.then_some(gw).flatten(), bg.then_some(gb).flatten()]); }
    "batch_norm_elemt_backward" { /// gradInput = (gradOut - sumDy / n - (input - mean) invstd^2 sumDyXmu / n) invstd weight, n being the sum of counter.
        aclnnBatchNormElemtBackward(gradOut: Tensor, input: Tensor, mean: Tensor, invstd: Tensor, weight: OptTensor, sumDy: Tensor, sumDyXmu: Tensor, counter: Ref,
            gradInput: Out) => elements_back; }
}

/// `k` of two views, broadcast, in float32.
fn op(p: &mut Program, k: &'static str, a: &View, b: &View) -> Result<View> {
    let out = p.temporary(DType::F32, &broadcast(&a.dims, &b.dims)?);
    let (a, b) = (a.expand(&out.dims)?, b.expand(&out.dims)?);
    p.launch(k, &[&out], &[&a, &b], &[Type(DType::F32), Float(1.0), Int(1)])?;
    Ok(out)
}

/// Times a number.
fn scaled(p: &mut Program, a: &View, factor: f64) -> Result<View> {
    let out = p.temporary(DType::F32, &a.dims);
    p.launch("mul_s", &[&out], &[a], &[Type(DType::F32), Float(factor), Int(0)])?;
    Ok(out)
}

/// `1 / sqrt(variance + eps)`
fn inverse_deviation(p: &mut Program, variance: &View, eps: f64) -> Result<View> {
    let out = p.temporary(DType::F32, &variance.dims);
    p.launch("add_eps_rsqrt", &[&out], &[variance], &[Type(DType::F32), Float(eps)])?;
    Ok(out)
}

fn channels(x: &View) -> Result<i64> {
    need_float("input", x)?;
    if x.rank() < 2 {
        return Err(invalid!("input has shape {:?}; at least [N, C] is needed", x.dims));
    }
    Ok(x.dims[1])
}

/// A value for each channel over x.
fn over(name: &str, v: &View, x: &View) -> Result<View> {
    if v.dims != [x.dims[1]] {
        return Err(invalid!("{name} has shape {:?} for {} channels", v.dims, x.dims[1]));
    }
    let mut v = v.unsqueeze(&[0]);
    for d in 2..x.rank() {
        v = v.unsqueeze(&[d]);
    }
    v.expand(&x.dims)
}

/// `[C]`: the sums of each channel's elements.
fn sum(p: &mut Program, x: &View) -> Result<View> {
    let out = p.temporary(DType::F32, &[x.dims[1]]);
    let others: Vec<i64> = (0..x.rank() as i64).filter(|&d| d != 1).collect();
    reduce(p, "reduce_sum", x, &others, false, Some(DType::F32), &out)?;
    Ok(out)
}

fn put(p: &mut Program, value: &View, out: &View) -> Result<()> {
    check_shape(out, &value.dims)?;
    copy(p, value, out)
}

fn stats(p: &mut Program, x: View, eps: f64, mean: View, invstd: View) -> Result<()> {
    let n = x.elements().checked_div(channels(&x)?).unwrap_or(0) as f64;
    let total = sum(p, &x)?;
    let m = scaled(p, &total, 1.0 / n)?;
    // Around the mean: squares of large numbers would hide small deviations.
    let off = op(p, "sub", &x, &over("mean", &m, &x)?)?;
    let squares = op(p, "mul", &off, &off)?;
    let total = sum(p, &squares)?;
    let variance = scaled(p, &total, 1.0 / n)?;
    let s = inverse_deviation(p, &variance, eps)?;
    put(p, &m, &mean)?;
    put(p, &s, &invstd)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn elements(
    p: &mut Program,
    x: View,
    weight: Option<View>,
    bias: Option<View>,
    mean: View,
    invstd: View,
    _: f64,
    out: View,
) -> Result<()> {
    channels(&x)?;
    let off = op(p, "sub", &x, &over("mean", &mean, &x)?)?;
    let mut y = op(p, "mul", &off, &over("invstd", &invstd, &x)?)?;
    if let Some(weight) = weight {
        y = op(p, "mul", &y, &over("weight", &weight, &x)?)?;
    }
    if let Some(bias) = bias {
        y = op(p, "add", &y, &over("bias", &bias, &x)?)?;
    }
    put(p, &y, &out)
}

fn sums_of(p: &mut Program, x: View, total: View, squares: View) -> Result<()> {
    channels(&x)?;
    let s = sum(p, &x)?;
    let squared = op(p, "mul", &x, &x)?;
    let q = sum(p, &squared)?;
    put(p, &s, &total)?;
    put(p, &q, &squares)
}

/// `running = (1 - momentum) running + momentum now`
fn follow(p: &mut Program, running: &View, now: &View, momentum: f64) -> Result<()> {
    let (old, new) = (scaled(p, running, 1.0 - momentum)?, scaled(p, now, momentum)?);
    let next = op(p, "add", &old, &new)?;
    put(p, &next, running)
}

/// Variance as of a sample: times `n / (n - 1)`, n being a tensor of one element.
fn of_sample(p: &mut Program, variance: &View, n: &View) -> Result<View> {
    let less = plus(p, n, -1.0)?;
    let product = op(p, "mul", variance, n)?;
    op(p, "div", &product, &less)
}

fn plus(p: &mut Program, a: &View, number: f64) -> Result<View> {
    let other = constant(p, number, &a.dims)?;
    op(p, "add", a, &other)
}

/// Devices' values `[D, C]`, and `[D, 1]` how many elements each has; their sum is `[1]`.
fn by_device(p: &mut Program, values: &View, counts: &View) -> Result<(View, View)> {
    let &[devices, _] = &values.dims[..] else {
        return Err(invalid!("moments of shape {:?}; [devices, C] is needed", values.dims));
    };
    if counts.elements() != devices {
        return Err(invalid!("counts have shape {:?} for {devices} devices", counts.dims));
    }
    let n = p.temporary(DType::F32, &[devices]);
    let all = dense(p, counts)?.reshaped(&[devices]);
    copy(p, &all, &n)?;
    let total = p.temporary(DType::F32, &[1]);
    reduce(p, "reduce_sum", &n, &[0], true, Some(DType::F32), &total)?;
    Ok((n.unsqueeze(&[1]), total))
}

/// `[C]`: sums over the devices.
fn over_devices(p: &mut Program, values: &View) -> Result<View> {
    let out = p.temporary(DType::F32, &values.dims[1..]);
    reduce(p, "reduce_sum", values, &[0], false, Some(DType::F32), &out)?;
    Ok(out)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn gather(
    p: &mut Program,
    mean: View,
    invstd: View,
    running: [Option<View>; 2],
    momentum: f64,
    eps: f64,
    counts: View,
    [mean_all, invstd_all]: [View; 2],
) -> Result<()> {
    check_shape(&invstd, &mean.dims)?;
    let (n, total) = by_device(p, &mean, &counts)?;
    let weighted = op(p, "mul", &mean, &n)?;
    let sums = over_devices(p, &weighted)?;
    let m = op(p, "div", &sums, &total)?;
    // A device's variance about the mean of all: its own, and the square of its mean's distance.
    let squared = op(p, "mul", &invstd, &invstd)?;
    let variance = p.temporary(DType::F32, &squared.dims);
    pointwise(p, "reciprocal", &[&squared], &[], &variance)?;
    let own = plus(p, &variance, -eps)?;
    let off = op(p, "sub", &mean, &m)?;
    let distance = op(p, "mul", &off, &off)?;
    let about = op(p, "add", &own, &distance)?;
    let weighted = op(p, "mul", &about, &n)?;
    let sums = over_devices(p, &weighted)?;
    let variance = op(p, "div", &sums, &total)?;
    finish(p, &m, &variance, &total, running, momentum, eps, [mean_all, invstd_all])
}

#[allow(clippy::too_many_arguments)] // CANN's
fn gather_sums(
    p: &mut Program,
    sums: View,
    squares: View,
    counts: View,
    running_mean: View,
    running_var: View,
    momentum: f32,
    eps: f32,
    mean: View,
    invstd: View,
) -> Result<()> {
    check_shape(&squares, &sums.dims)?;
    let (_, total) = by_device(p, &sums, &counts)?;
    let (s, q) = (over_devices(p, &sums)?, over_devices(p, &squares)?);
    let m = op(p, "div", &s, &total)?;
    let q = op(p, "div", &q, &total)?;
    let square = op(p, "mul", &m, &m)?;
    let variance = op(p, "sub", &q, &square)?;
    let running = [Some(running_mean), Some(running_var)];
    finish(p, &m, &variance, &total, running, momentum.into(), eps.into(), [mean, invstd])
}

#[allow(clippy::too_many_arguments)] // what both ways to the moments end with
fn finish(
    p: &mut Program,
    mean: &View,
    variance: &View,
    total: &View,
    [running_mean, running_var]: [Option<View>; 2],
    momentum: f64,
    eps: f64,
    [mean_out, invstd_out]: [View; 2],
) -> Result<()> {
    if let Some(running) = running_mean {
        follow(p, &running, mean, momentum)?;
    }
    if let Some(running) = running_var {
        let sample = of_sample(p, variance, total)?;
        follow(p, &running, &sample, momentum)?;
    }
    let s = inverse_deviation(p, variance, eps)?;
    put(p, mean, &mean_out)?;
    put(p, &s, &invstd_out)
}

fn sums_back(
    p: &mut Program,
    g: View,
    x: View,
    mean: View,
    invstd: View,
    [sum_dy, sum_dy_xmu, grad_weight, grad_bias]: [Option<View>; 4],
) -> Result<()> {
    channels(&x)?;
    check_shape(&g, &x.dims)?;
    let dy = sum(p, &g)?;
    let off = op(p, "sub", &x, &over("mean", &mean, &x)?)?;
    let product = op(p, "mul", &g, &off)?;
    let xmu = sum(p, &product)?;
    let weight = op(p, "mul", &xmu, &invstd)?;
    for (value, out) in [(&dy, sum_dy), (&xmu, sum_dy_xmu), (&weight, grad_weight), (&dy, grad_bias)] {
        if let Some(out) = out {
            put(p, value, &out)?;
        }
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)] // CANN's
fn elements_back(
    p: &mut Program,
    g: View,
    x: View,
    mean: View,
    invstd: View,
    weight: Option<View>,
    sum_dy: View,
    sum_dy_xmu: View,
    counter: View,
    out: View,
) -> Result<()> {
    channels(&x)?;
    check_shape(&g, &x.dims)?;
    let n = p.temporary(DType::F32, &[1]);
    let all = dense(p, &counter)?.reshaped(&[counter.elements()]);
    reduce(p, "reduce_sum", &all, &[0], true, Some(DType::F32), &n)?;
    let dy = op(p, "div", &sum_dy, &n)?;
    let xmu = op(p, "div", &sum_dy_xmu, &n)?;
    let squared = op(p, "mul", &invstd, &invstd)?;
    let slope = op(p, "mul", &squared, &xmu)?;
    let off = op(p, "sub", &x, &over("mean", &mean, &x)?)?;
    let along = op(p, "mul", &off, &over("sumDyXmu", &slope, &x)?)?;
    let centred = op(p, "sub", &g, &over("sumDy", &dy, &x)?)?;
    let rest = op(p, "sub", &centred, &along)?;
    let mut d = op(p, "mul", &rest, &over("invstd", &invstd, &x)?)?;
    if let Some(weight) = weight {
        d = op(p, "mul", &d, &over("weight", &weight, &x)?)?;
    }
    put(p, &d, &out)
}
