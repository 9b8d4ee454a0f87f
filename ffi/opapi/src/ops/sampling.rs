//! Sampling at places that data names: grids over images, bags of embeddings, bins, connectionist temporal
//! classification.

use std::sync::Arc;

use super::conv_gradient::five;
use super::declare::operators;
use super::elementwise::check_shape;
use super::movement::copy;
use super::pointwise::dense;
use super::selection::scalar_view;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::objects::Scalar;
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::View;

operators! {
    "affine_grid" { /// out = where theta [N, 2, 3] or [N, 3, 4] puts the places, in -1..1, of the elements of an image or a volume of some size.
        aclnnAffineGrid(theta: Tensor, size: Ints, alignCorners: Bool, out: Out) => affine_grid; }
    "grid_sampler2d" { /// out = input at the places in -1..1 that grid names: 0 linearly, 1 the nearest, 2 on cubic curves; beyond the edge 0 zeros, 1 the edge, 2 mirrored.
        aclnnGridSampler2D(input: Tensor, grid: Tensor, interpolationMode: Int, paddingMode: Int, alignCorners: Bool, out: Out) => |p, x, g, m, b, c, o| sample(p, x, g, 2, [m, b, i64::from(c)], o); }
    "grid_sampler3d" { /// As aclnnGridSampler2D, in volumes; not on cubic curves.
        aclnnGridSampler3D(input: Tensor, grid: Tensor, interpolationMode: Int, paddingMode: Int, alignCorners: Bool, out: Out) => |p, x, g, m, b, c, o| sample(p, x, g, 3, [m, b, i64::from(c)], o); }
    "grid_sampler2d_backward" { /// Gradients of aclnnGridSampler2D to input and grid, as outputMask asks.
        aclnnGridSampler2DBackward(gradOutput: Tensor, input: Tensor, grid: Tensor, interpolationMode: Int, paddingMode: Int, alignCorners: Bool, outputMask: Bools, inputGrad: OptOut, gridGrad: OptOut) =>
            |p, d, x, g, m, b, c, k, i, o| grid_backward(p, d, x, g, 2, [m, b, i64::from(c)], k, i, o); }
    "grid_sampler3d_backward" { /// Gradients of aclnnGridSampler3D to input and grid, as outputMask asks.
        aclnnGridSampler3DBackward(gradOutput: Tensor, input: Tensor, grid: Tensor, interpolationMode: Int, paddingMode: Int, alignCorners: Bool, outputMask: Bools, inputGrad: OptOut, gridGrad: OptOut) =>
            |p, d, x, g, m, b, c, k, i, o| grid_backward(p, d, x, g, 3, [m, b, i64::from(c)], k, i, o); }
    "embedding_bag" { /// output = for each bag of indices 0 the sum, 1 the mean, 2 the maximum of the rows of weight that they name.
        aclnnEmbeddingBag(weight: Tensor, indices: Tensor, offsets: Tensor, scaleGradByFreq: Bool, mode: Int, sparse: Bool, perSampleWeights: OptTensor, includeLastOffset: Bool, paddingIdx: Int, output: Out, offset2bag: OptOut, bagSize: OptOut, maxIndices: OptOut) =>
            |p, w, i, o, _, m, _, f, last, n, y, b, s, x| bag(p, [w, i, o], f, [m, i64::from(last), n], y, [b, s, x]); }
    "bincount" { /// out = how often each number occurs in self, or the sum of its weights.
        aclnnBincount(self_: Tensor, weights: OptTensor, minlength: Int, out: Out) => bincount; }
    "histc" { /// out = how many elements of self lie in each of bins equal parts of min..max, or of self's extremes if both are the same.
        aclnnHistc(self_: Tensor, bins: Int, min: Scalar, max: Scalar, out: Out) => histc; }
    "searchsorted" { /// out = where each element of self belongs in its row of sortedSequence, behind (right) or before its equals.
        aclnnSearchSorted(sortedSequence: Tensor, self_: Tensor, outInt32: Bool, right: Bool, sorter: OptTensor, out: Out) => |p, s, x, _, r, k, o| search(p, s, x, r, k, o); }
    "searchsorted" { /// As aclnnSearchSorted, of a scalar.
        aclnnSearchSorteds(sortedSequence: Tensor, self_: Scalar, outInt32: Bool, right: Bool, sorter: OptTensor, out: Out) => |p: &mut Program, s: View, x, _, r, k, o| {
            let x = scalar_view(p, x, s.dtype, &[])?;
            search(p, s, x, r, k, super::elementwise::single("out", &o)?)
        }; }
    "bucketize" { /// out = where each element of self belongs in boundaries.
        aclnnBucketize(self_: Tensor, boundaries: Tensor, outInt32: Bool, right: Bool, out: Out) => |p, x, s, _, r, o| search(p, s, x, r, None, o); }
    "ctc_loss" { /// negLogLikelihoodOut = how unlikely each text of targets is under logProbs [T, N, C], with blanks between labels.
        aclnnCtcLoss(logProbs: Tensor, targets: Tensor, inputLengths: Ints, targetlengths: Ints, blank: Int, zeroInfinity: Bool, negLogLikelihoodOut: Out, logAlphaOut: Out) => ctc; }
    "ctc_loss_backward" { /// out = gradient of aclnnCtcLoss to logProbs.
        aclnnCtcLossBackward(gradOut: Tensor, logProbs: Tensor, targets: Tensor, inputLengths: Ints, targetLengths: Ints, negLogLikelihood: Tensor, logAlpha: Tensor, blank: Int, zeroInfinity: Bool, out: Out) =>
            |p, g, l, t, n, m, _, _, b, z, o| ctc_backward(p, g, l, t, [n, m], b, z, o); }
}

/// An image and a grid as the kernels take them, with three spatial dimensions.
fn volumes(image: &View, grid: &View, along: usize) -> Result<(View, View)> {
    if image.rank() != along + 2 || grid.rank() != along + 2 || grid.dims[along + 1] != along as i64 {
        return Err(invalid!("input has shape {:?} and grid {:?}; {} dimensions, and places of {along} numbers, are needed", image.dims, grid.dims, along + 2));
    }
    if image.dims[2..].contains(&0) {
        return Err(invalid!("input has shape {:?}; there is nothing to sample", image.dims));
    }
    Ok((five("input", image)?, if along == 2 { grid.unsqueeze(&[1]) } else { grid.clone() }))
}

fn sampling(along: usize, attrs: [i64; 3]) -> Result<[crate::program::Attr; 3]> {
    let [mode, padding, aligned] = attrs;
    if !(0..=2).contains(&mode) || !(0..=2).contains(&padding) || mode == 2 && along == 3 {
        return Err(invalid!("interpolationMode {mode} and paddingMode {padding} in {along} dimensions"));
    }
    Ok([Int(mode), Int(padding), Int(aligned)])
}

fn sample(p: &mut Program, image: View, grid: View, along: usize, attrs: [i64; 3], out: View) -> Result<()> {
    let attrs = sampling(along, attrs)?;
    let shape = [&image.dims[..2.min(image.rank())], &grid.dims[1.min(grid.rank())..grid.rank().max(1) - 1]].concat();
    let (image, grid) = volumes(&image, &grid, along)?;
    check_shape(&out, &shape)?;
    p.launch("grid_sample", &[&five("out", &out)?], &[&image, &grid], &attrs)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn grid_backward(
    p: &mut Program,
    grad: View,
    image: View,
    grid: View,
    along: usize,
    attrs: [i64; 3],
    mask: Arc<[bool]>,
    image_grad: Option<View>,
    grid_grad: Option<View>,
) -> Result<()> {
    let attrs = sampling(along, attrs)?;
    let [of_image, of_grid] = mask[..] else { return Err(invalid!("outputMask has {} values; two are needed", mask.len())) };
    let kind = if image.dtype == DType::F64 { DType::F64 } else { DType::F32 };
    let made = [p.temporary(kind, &image.dims), p.temporary(kind, &grid.dims)];
    let ((wide, places), (image5, grid5)) = (volumes(&made[0], &made[1], along)?, volumes(&image, &grid, along)?);
    let shape = [&image.dims[..2], &grid.dims[1..=along]].concat();
    check_shape(&grad, &shape)?;
    p.launch("grid_sample_backward", &[&wide, &places], &[&five("gradOutput", &grad)?, &image5, &grid5], &attrs)?;
    for (wanted, made, out) in [(of_image, &made[0], image_grad), (of_grid, &made[1], grid_grad)] {
        if let Some(out) = out.filter(|_| wanted) {
            check_shape(&out, &made.dims)?;
            copy(p, made, &out)?;
        }
    }
    Ok(())
}

fn need_integers(name: &str, v: &View) -> Result<()> {
    match v.dtype {
        DType::I64 | DType::I32 => Ok(()),
        other => Err(invalid!("{name} has type {other:?}; I64 or I32 is needed")),
    }
}

fn bag(
    p: &mut Program,
    [weight, indices, offsets]: [View; 3],
    factors: Option<View>,
    [mode, last, padding]: [i64; 3],
    out: View,
    [bag_of, sizes, places]: [Option<View>; 3],
) -> Result<()> {
    need_integers("indices", &indices)?;
    need_integers("offsets", &offsets)?;
    if weight.rank() != 2 || indices.rank() != 1 || offsets.rank() != 1 || !(0..=2).contains(&mode) {
        return Err(invalid!(
            "mode {mode}, and weight, indices, offsets of shapes {:?}, {:?}, {:?}; a table and two vectors are needed",
            weight.dims, indices.dims, offsets.dims
        ));
    }
    if factors.is_some() && mode != 0 {
        return Err(invalid!("perSampleWeights go with mode 0, not {mode}"));
    }
    let (n, bags) = (indices.dims[0], offsets.dims[0] - last);
    check_shape(&out, &[bags, weight.dims[1]])?;
    // Outputs that nobody reads have other shapes, or none.
    let shapes = [vec![n], vec![bags], out.dims.to_vec()];
    let mut made = vec![];
    for (asked, dims) in [&bag_of, &sizes, &places].into_iter().zip(&shapes) {
        let fits = asked.as_ref().filter(|v| v.dims == *dims);
        made.push(fits.cloned().unwrap_or_else(|| p.temporary(DType::I64, dims)));
    }
    if let Some(places) = places.filter(|v| v.dims != shapes[2] && mode != 2) {
        super::movement::fill(p, places, super::movement::constant(0))?;
    }
    let outputs: Vec<_> = [&out].into_iter().chain(&made).collect();
    let inputs: Vec<_> = [&weight, &indices, &offsets].into_iter().chain(&factors).collect();
    p.launch("embedding_bag", &outputs, &inputs, &[Int(mode), Int(last), Int(padding)])
}

fn bincount(p: &mut Program, a: View, weights: Option<View>, minimum: i64, out: View) -> Result<()> {
    if a.dtype.is_float() || a.rank() != 1 || out.rank() != 1 {
        return Err(invalid!("self has type {:?} and shape {:?}; a vector of integers is needed", a.dtype, a.dims));
    }
    if minimum > out.dims[0] {
        return Err(invalid!("out has shape {:?} and minlength is {minimum}", out.dims));
    }
    if let Some(weights) = &weights {
        check_shape(weights, &a.dims)?;
    }
    let inputs: Vec<_> = [&a].into_iter().chain(&weights).collect();
    p.launch("bin_count", &[&out], &inputs, &[])
}

fn histc(p: &mut Program, a: View, bins: i64, min: Scalar, max: Scalar, out: View) -> Result<()> {
    check_shape(&out, &[bins])?;
    if bins < 1 || min.float > max.float {
        return Err(invalid!("{bins} bins of {}..{}", min.float, max.float));
    }
    p.launch("histogram", &[&out], &[&a], &[Float(min.float), Float(max.float)])
}

fn search(p: &mut Program, sequence: View, values: View, right: bool, order: Option<View>, out: View) -> Result<()> {
    need_integers("out", &out)?;
    check_shape(&out, &values.dims)?;
    if sequence.rank() == 0 {
        return Err(invalid!("sortedSequence is a scalar"));
    }
    let row = |v: &View| if v.rank() == 0 { v.unsqueeze(&[0]) } else { v.clone() };
    let (values, out) = (row(&values), row(&out));
    let last = values.rank() - 1;
    let expanded = |v: &View| -> Result<View> {
        let mut dims = values.dims.clone();
        dims[last] = v.dims[v.rank() - 1];
        if v.rank() != 1 && v.dims != dims {
            return Err(invalid!("sortedSequence has shape {:?} and self {:?}", v.dims, values.dims));
        }
        v.expand(&dims)
    };
    let sequence = expanded(&sequence)?;
    let order = order.map(|o| need_integers("sorter", &o).and_then(|()| expanded(&o))).transpose()?;
    let inputs: Vec<_> = [&sequence, &values].into_iter().chain(&order).collect();
    p.launch("search_sorted", &[&out], &inputs, &[Int(right.into())])
}

/// Numbers that are known now, as a vector in the workspace.
fn vector(p: &mut Program, values: &[i64]) -> Result<View> {
    let all = p.temporary(DType::I64, &[values.len() as i64]);
    for (i, &v) in values.iter().enumerate() {
        super::movement::fill(p, all.narrow(0, i as i64, 1, 1), super::movement::constant(v))?;
    }
    Ok(all)
}

/// The inputs of the kernels: logProbs `[T, N, C]`, targets, lengths.
fn sequences(p: &mut Program, log_probs: &View, targets: &View, lengths: [Arc<[i64]>; 2]) -> Result<[View; 4]> {
    need_integers("targets", targets)?;
    let n = log_probs.dims.get(1).copied().unwrap_or(0);
    if log_probs.rank() != 3 || !(1..=2).contains(&targets.rank()) || lengths.iter().any(|l| l.len() as i64 != n) {
        return Err(invalid!(
            "logProbs has shape {:?}, targets {:?}, and there are {} and {} lengths",
            log_probs.dims, targets.dims, lengths[0].len(), lengths[1].len()
        ));
    }
    let [steps, labels] = lengths;
    Ok([log_probs.clone(), dense(p, targets, targets.dtype)?, vector(p, &steps)?, vector(p, &labels)?])
}

#[allow(clippy::too_many_arguments)] // CANN's
fn ctc(
    p: &mut Program,
    log_probs: View,
    targets: View,
    steps: Arc<[i64]>,
    labels: Arc<[i64]>,
    blank: i64,
    zero: bool,
    loss: View,
    alpha: View,
) -> Result<()> {
    let inputs = sequences(p, &log_probs, &targets, [steps, labels])?;
    check_shape(&loss, &[log_probs.dims[1]])?;
    p.launch("ctc_loss", &[&loss, &alpha], &inputs.iter().collect::<Vec<_>>(), &[Int(blank), Int(zero.into())])
}

/// What the forward pass found is found again: it may be kept in a narrower type.
#[allow(clippy::too_many_arguments)]
fn ctc_backward(
    p: &mut Program,
    grad: View,
    log_probs: View,
    targets: View,
    lengths: [Arc<[i64]>; 2],
    blank: i64,
    zero: bool,
    out: View,
) -> Result<()> {
    check_shape(&out, &log_probs.dims)?;
    let [a, b, c, d] = sequences(p, &log_probs, &targets, lengths)?;
    let grad = grad.expand(&[log_probs.dims[1]])?;
    p.launch("ctc_loss_backward", &[&out], &[&a, &b, &c, &d, &grad], &[Int(blank), Int(zero.into())])
}

/// Places along a dimension of an affine grid.
fn places(p: &mut Program, n: i64, aligned: bool) -> Result<View> {
    let steps = n as f64;
    let (first, step) = match (n, aligned) {
        (..=1, _) => (0.0, 0.0),
        (_, true) => (-1.0, 2.0 / (steps - 1.0)),
        (_, false) => (1.0 / steps - 1.0, 2.0 / steps),
    };
    let all = p.temporary(DType::F32, &[n]);
    p.launch("arange", &[&all], &[], &[Float(first), Float(step), Int(0), Int(0)])?;
    Ok(all)
}

fn affine_grid(p: &mut Program, theta: View, size: Arc<[i64]>, aligned: bool, out: View) -> Result<()> {
    let along = size.len().checked_sub(2).filter(|n| (2..=3).contains(n));
    let along = along.ok_or_else(|| invalid!("size {size:?}; [N, C, H, W] or [N, C, D, H, W] is needed"))?;
    let k = along as i64;
    if theta.dims != [size[0], k, k + 1] {
        return Err(invalid!("theta has shape {:?} for size {size:?}", theta.dims));
    }
    let shape = [&[size[0]], &size[2..], &[k]].concat();
    check_shape(&out, &shape)?;
    // A column of theta over the grid.
    let column = |c: i64| -> Result<View> {
        let mut v = theta.narrow(2, c, 1, 1).without(2);
        for d in 1..=along {
            v = v.unsqueeze(&[d]);
        }
        v.expand(&shape)
    };
    let (sum, part) = (p.temporary(DType::F32, &shape), p.temporary(DType::F32, &shape));
    let kind = [Type(DType::F32), Float(1.0), Int(1)];
    p.launch("copy", &[&sum], &[&column(k)?], &[])?;
    for c in 0..along {
        // The first column is for the last dimension.
        let d = along - c;
        let mut at = places(p, size[d + 1], aligned)?;
        for _ in d..=along {
            at = at.unsqueeze(&[at.rank()]);
        }
        p.launch("mul", &[&part], &[&at.expand(&shape)?, &column(c as i64)?], &kind)?;
        p.launch("add", &[&sum], &[&sum, &part], &kind)?;
    }
    p.launch("copy", &[&out], &[&sum], &[])
}
