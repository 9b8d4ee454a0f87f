//! Normalisation.

use super::declare::operators;
use super::elementwise::{arithmetic, check_shape};
use super::loss::need_float;
use crate::error::{Result, invalid};
use crate::program::{Attr, Program};
use crate::view::View;

operators! {
    "layer_norm" { /// out = input without its mean, by its standard deviation, times weight plus bias, over the last dimensions.
        aclnnLayerNorm(input: Tensor, normalizedShape: Ints, weightOptional: OptTensor, biasOptional: OptTensor, eps: Double, out: Out, meanOutOptional: OptOut, rstdOutOptional: OptOut) => layer_norm; }
    "rms_norm" { /// yOut = x by the root of its mean square (rstdOut its reciprocal), times gamma, over gamma's dimensions.
        aclnnRmsNorm(x: Tensor, gamma: Tensor, epsilon: Double, yOut: Tensor, rstdOut: Tensor) => |p, x, g, e, y, r| rms_norm(p, &x, &g, e, &y, &r); }
    "add_rms_norm" { /// xOut = x1 + x2; yOut and rstdOut as aclnnRmsNorm gives for it.
        aclnnAddRmsNorm(x1: Tensor, x2: Tensor, gamma: Tensor, epsilon: Double, yOut: Out, rstdOut: Out, xOut: Out) => add_rms_norm; }
    "inplace_add_rms_norm" { /// x2 = x1 + x2; x1 and rstdOut as aclnnRmsNorm gives for it.
        aclnnInplaceAddRmsNorm(x1Ref: Ref, x2Ref: Ref, gamma: Tensor, epsilon: Double, rstdOut: Tensor) =>
            |p, a: View, b: View, g, e, r| add_rms_norm(p, a.clone(), b.clone(), g, e, a, r, b); }
    "group_norm" { /// out = self normalised over groups of channels; self is [N, C, ..] with HxW elements for each channel.
        aclnnGroupNorm(self_: Tensor, gamma: OptTensor, beta: OptTensor, N: Int, C: Int, HxW: Int, group: Int, eps: Double, out: Out, meanOut: OptOut, rstdOut: OptOut) => group_norm; }
}

/// The optional tensors of a normalisation, in the order in which the kernel takes them.
#[derive(Default)]
struct Extra {
    mean: Option<View>,
    rstd: Option<View>,
    weight: Option<View>,
    bias: Option<View>,
}

/// y = normalised x over the dimensions from `split` on; all the others with x's rank.
fn normalize(
    p: &mut Program,
    k: &'static str,
    x: &View,
    split: usize,
    eps: f64,
    y: &View,
    extra: &Extra,
) -> Result<()> {
    need_float("self", x)?;
    need_float("out", y)?;
    check_shape(y, &x.dims)?;
    let there = [&extra.mean, &extra.rstd, &extra.weight, &extra.bias];
    let there = there.iter().enumerate().map(|(i, t)| i64::from(t.is_some()) << i).sum();
    let mut outputs = vec![y];
    outputs.extend(extra.mean.iter().chain(&extra.rstd));
    let mut inputs = vec![x];
    inputs.extend(extra.weight.iter().chain(&extra.bias));
    p.launch(k, &outputs, &inputs, &[Attr::Float(eps), Attr::Int(split as i64), Attr::Int(there)])
}

/// A statistic, which has 1 for each normalised dimension or leaves them out, with x's rank.
fn statistic(name: &str, t: View, x: &View, split: usize) -> Result<View> {
    let left = &x.dims[..split];
    let kept: Vec<_> = left.iter().copied().chain(std::iter::repeat_n(1, x.rank() - split)).collect();
    if t.dims == kept {
        return Ok(t);
    }
    // With some of the ones, or none.
    if t.dims.len() >= split && t.dims[..split] == *left && t.dims[split..].iter().all(|&d| d == 1) {
        let missing: Vec<_> = (t.rank()..x.rank()).collect();
        return Ok(t.unsqueeze(&missing));
    }
    // Any dense shape of as many elements.
    if t.elements() == left.iter().product::<i64>() && t.merged(0..t.rank()).is_some_and(|m| m.strides == [1]) {
        return Ok(View { strides: crate::view::dense_strides(&kept), dims: kept.into(), ..t });
    }
    Err(invalid!("{name} has shape {:?}; one for each row is needed: {left:?}", t.dims))
}

#[allow(clippy::too_many_arguments)] // CANN's
pub fn layer_norm(
    p: &mut Program,
    x: View,
    shape: std::sync::Arc<[i64]>,
    weight: Option<View>,
    bias: Option<View>,
    eps: f64,
    out: View,
    mean: Option<View>,
    rstd: Option<View>,
) -> Result<()> {
    let split = x.rank().checked_sub(shape.len()).filter(|&s| x.dims[s..] == *shape);
    let split = split.ok_or_else(|| invalid!("shape {:?} does not end with {shape:?}", x.dims))?;
    let affine = |name: &str, t: Option<View>| match t {
        Some(t) if t.dims != *shape => Err(invalid!("{name} has shape {:?}; {shape:?} is needed", t.dims)),
        Some(t) => t.expand(&x.dims).map(Some),
        None => Ok(None),
    };
    let extra = Extra {
        weight: affine("weight", weight)?,
        bias: affine("bias", bias)?,
        mean: mean.map(|t| statistic("meanOut", t, &x, split)).transpose()?,
        rstd: rstd.map(|t| statistic("rstdOut", t, &x, split)).transpose()?,
    };
    normalize(p, "layer_norm", &x, split, eps, &out, &extra)
}

pub fn rms_norm(p: &mut Program, x: &View, gamma: &View, eps: f64, y: &View, rstd: &View) -> Result<()> {
    let split = x.rank().checked_sub(gamma.rank()).filter(|&s| x.dims[s..] == gamma.dims);
    let split = split.ok_or_else(|| invalid!("shape {:?} does not end with gamma's {:?}", x.dims, gamma.dims))?;
    let extra = Extra {
        weight: Some(gamma.expand(&x.dims)?),
        rstd: Some(statistic("rstdOut", rstd.clone(), x, split)?),
        ..Extra::default()
    };
    normalize(p, "rms_norm", x, split, eps, y, &extra)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn add_rms_norm(
    p: &mut Program,
    x1: View,
    x2: View,
    gamma: View,
    eps: f64,
    y: View,
    rstd: View,
    x: View,
) -> Result<()> {
    arithmetic(p, "add", &x1, &x2, None, &x)?;
    rms_norm(p, &x, &gamma, eps, &y, &rstd)
}

#[allow(clippy::too_many_arguments)] // CANN's
pub fn group_norm(
    p: &mut Program,
    x: View,
    gamma: Option<View>,
    beta: Option<View>,
    n: i64,
    c: i64,
    hw: i64,
    group: i64,
    eps: f64,
    out: View,
    mean: Option<View>,
    rstd: Option<View>,
) -> Result<()> {
    let fits = x.rank() >= 2 && x.dims[..2] == [n, c] && x.dims[2..].iter().product::<i64>() == hw;
    if !fits || group <= 0 || c % group != 0 {
        return Err(invalid!("{group} groups of shape {:?} with N {n}, C {c} and {hw} elements each", x.dims));
    }
    check_shape(&out, &x.dims)?;
    if x.rank() == vinci_hw::args::MAX_RANK {
        return Err(invalid!("{} dimensions; at most 7", x.rank()));
    }
    let parts = [group, c / group];
    let grouped = x.split(1, &parts);
    let affine = |name: &str, t: Option<View>| match t {
        Some(t) if t.dims != [c] => Err(invalid!("{name} has shape {:?}; [{c}] is needed", t.dims)),
        Some(t) => {
            let behind: Vec<_> = (1..x.rank() - 1).collect();
            t.unsqueeze(&behind).split(0, &parts).expand(&grouped.dims).map(Some)
        }
        None => Ok(None),
    };
    let extra = Extra {
        weight: affine("gamma", gamma)?,
        bias: affine("beta", beta)?,
        mean: mean.map(|t| statistic("meanOut", t, &grouped, 2)).transpose()?,
        rstd: rstd.map(|t| statistic("rstdOut", t, &grouped, 2)).transpose()?,
    };
    normalize(p, "layer_norm", &grouped, 2, eps, &out.split(1, &parts), &extra)
}
