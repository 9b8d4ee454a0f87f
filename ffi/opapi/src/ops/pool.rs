//! Pooling with the places of maxima, adaptive pooling, and the gradients of pooling.

use std::sync::Arc;

use super::conv_gradient::{Windows, five};
use super::declare::operators;
use super::elementwise::check_shape;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::program::Attr::{self, Int};
use crate::program::Program;
use crate::view::View;

operators! {
    "max_pool2d_with_indices" { /// out = the maximum of each window over self; indices tells where it is in its plane.
        aclnnMaxPool2dWithIndices(self_: Tensor, kernelSize: Ints, stride: Ints, padding: Ints, dilation: Ints, ceilMode: Bool, out: Out, indices: Out) =>
            |p, x, k, s, w, d, _, o, i| max_pool(p, x, 2, [k, s, w, d], o, i); }
    "max_pool2d_with_indices_backward" { /// gradInput = gradOutput at the places of the maxima.
        aclnnMaxPool2dWithIndicesBackward(gradOutput: Tensor, self_: Tensor, indices: Tensor, kernelSize: Ints, stride: Ints, padding: Ints, dilation: Ints, ceilMode: Bool, gradInput: Out) =>
            |p, g, x: View, i, _, _, _, _, _, o| max_backward(p, g, x, i, 2, o); }
    "max_pool2d_with_indices" { /// As aclnnMaxPool2dWithIndices; indices is a mask that only aclnnMaxPool2dWithMaskBackward reads.
        aclnnMaxPool2dWithMask(self_: Tensor, kernelSize: Ints, stride: Ints, padding: Ints, dilation: Ints, ceilMode: Bool, out: Out, indices: Out) => max_pool_mask; }
    "max_pool2d_with_indices_backward" { /// gradInput = gradOutput at the places of the maxima.
        aclnnMaxPool2dWithMaskBackward(gradOutput: Tensor, self_: Tensor, indices: Tensor, kernelSize: Ints, stride: Ints, padding: Ints, dilation: Ints, ceilMode: Bool, gradInput: Out) =>
            |p, g: View, x, m: View, _, _, _, _, _, o| {
                let places = places_of(&m, &g)?;
                max_backward(p, g, x, places, 2, o)
            }; }
    "max_pool3d_with_argmax" { /// As aclnnMaxPool2dWithIndices, over volumes.
        aclnnMaxPool3dWithArgmax(self_: Tensor, kernelSize: Ints, stride: Ints, padding: Ints, dilation: Ints, ceilMode: Bool, out: Out, indices: Out) =>
            |p, x, k, s, w, d, _, o, i| max_pool(p, x, 3, [k, s, w, d], o, i); }
    "max_pool3d_with_argmax_backward" { /// gradInput = gradOutput at the places of the maxima.
        aclnnMaxPool3dWithArgmaxBackward(gradOutput: Tensor, self_: Tensor, indices: Tensor, kernelSize: Ints, stride: Ints, padding: Ints, dilation: Ints, ceilMode: Bool, gradInput: Out) =>
            |p, g, x: View, i, _, _, _, _, _, o| max_backward(p, g, x, i, 3, o); }
    "avgpool2d_backward" { /// gradInput = gradient of aclnnAvgPool2d.
        aclnnAvgPool2dBackward(gradOutput: Tensor, self_: Tensor, kernelSize: Ints, stride: Ints, padding: Ints, ceilMode: Bool, countIncludePad: Bool, divisorOverride: Int, cubeMathType: Int8, gradInput: Out) =>
            |p, g, x, k, s, w, _, c, d, _, o| mean_backward(p, g, x, 2, [k, s, w], c, d, o); }
    "avgpool3d_backward" { /// output = gradient of aclnnAvgPool3d.
        aclnnAvgPool3dBackward(gradOutput: Tensor, self_: Tensor, kernelSize: Ints, stride: Ints, padding: Ints, ceilMode: Bool, countIncludePad: Bool, divisorOverride: Int, output: Out) =>
            |p, g, x, k, s, w, _, c, d, o| mean_backward(p, g, x, 3, [k, s, w], c, d, o); }
    "adaptive_avg_pool2d" { /// out = means of self cut into outputSize parts.
        aclnnAdaptiveAvgPool2d(self_: Tensor, outputSize: Ints, out: Out) => |p, x, _, o| adaptive_mean(p, x, 2, o); }
    "adaptive_avg_pool2d_backward" { /// out = gradient of aclnnAdaptiveAvgPool2d.
        aclnnAdaptiveAvgPool2dBackward(gradOutput: Tensor, self_: Tensor, out: Out) => |p, g, x, o| adaptive_mean_backward(p, g, x, 2, o); }
    "adaptive_avg_pool3d" { /// out = means of self cut into outputSize parts.
        aclnnAdaptiveAvgPool3d(self_: Tensor, outputSize: Ints, out: Out) => |p, x, _, o| adaptive_mean(p, x, 3, o); }
    "adaptive_avg_pool3d_backward" { /// out = gradient of aclnnAdaptiveAvgPool3d.
        aclnnAdaptiveAvgPool3dBackward(gradOutput: Tensor, self_: Tensor, out: Out) => |p, g, x, o| adaptive_mean_backward(p, g, x, 3, o); }
    "adaptive_max_pool2d" { /// outputOut = maxima of self cut into outputSize parts; indicesOut tells where they are.
        aclnnAdaptiveMaxPool2d(self_: Tensor, outputSize: Ints, outputOut: Out, indicesOut: Out) => |p, x, _, o, i| adaptive_max(p, x, 2, o, i); }
    "adaptive_max_pool2d_backward" { /// gradInput = gradOutput at the places of the maxima.
        aclnnAdaptiveMaxPool2dBackward(gradOutput: Tensor, self_: Tensor, indices: Tensor, gradInput: Out) => |p, g, x, i, o| max_backward(p, g, x, i, 2, o); }
    "adaptive_max_pool3d" { /// As aclnnAdaptiveMaxPool2d, over volumes.
        aclnnAdaptiveMaxPool3d(self_: Tensor, outputSize: Ints, outputOut: Out, indicesOut: Out) => |p, x, _, o, i| adaptive_max(p, x, 3, o, i); }
    "adaptive_max_pool3d_backward" { /// gradInput = gradOutput at the places of the maxima.
        aclnnAdaptiveMaxPool3dBackward(gradOutput: Tensor, self_: Tensor, indices: Tensor, gradInput: Out) => |p, g, x, i, o| max_backward(p, g, x, i, 3, o); }
}

/// `[N, C, D0, D1, D2]` of `rank` spatial dimensions, with or without N.
fn planes(name: &str, v: &View, rank: usize) -> Result<View> {
    match v.rank().checked_sub(rank) {
        Some(1) => five(name, &v.unsqueeze(&[0])),
        Some(2) => five(name, v),
        _ => Err(invalid!("{name} has shape {:?}; {} or {} dimensions are needed", v.dims, rank + 1, rank + 2)),
    }
}

fn attrs(w: &Windows, adaptive: bool) -> Vec<Attr> {
    let mut all = w.attrs();
    all.push(Int(adaptive.into()));
    all
}

const ADAPTIVE: Windows = Windows { kernel: [1; 3], stride: [1; 3], padding: [0; 3], dilation: [1; 3] };

/// Windows from kernel, stride (the kernel's size if empty) and padding.
fn windows(k: &[i64], s: &[i64], padding: &[i64], dilation: &[i64], rank: usize) -> Result<Windows> {
    if k.iter().any(|&k| k < 1) {
        return Err(invalid!("a kernel of size {k:?}"));
    }
    let (one, none) = ([1], [0]);
    let dilation = if dilation.is_empty() { &one } else { dilation };
    let padding = if padding.is_empty() { &none } else { padding };
    Windows::new(k, if s.is_empty() { k } else { s }, padding, dilation, rank)
}

fn check_places(indices: &View, out: &View) -> Result<()> {
    check_shape(indices, &out.dims)?;
    match indices.dtype {
        DType::I32 | DType::I64 => Ok(()),
        other => Err(invalid!("indices have type {other:?}; I64 or I32 is needed")),
    }
}

fn max_pool(p: &mut Program, x: View, rank: usize, sizes: [Arc<[i64]>; 4], out: View, indices: View) -> Result<()> {
    check_places(&indices, &out)?;
    let [k, s, padding, dilation] = &sizes;
    let w = windows(k, s, padding, dilation, rank)?;
    let (x, out, indices) = (planes("self", &x, rank)?, planes("out", &out, rank)?, planes("indices", &indices, rank)?);
    p.launch("max_pool", &[&out, &indices], &[&x], &attrs(&w, false))
}

/// The places of maxima in the memory of a mask, whose form is the hardware's: 32-bit numbers, one for each.
fn places_of(mask: &View, like: &View) -> Result<View> {
    let bytes = mask.elements() * mask.dtype.size() as i64;
    if !mask.is_dense() || bytes < like.elements() * 4 {
        return Err(invalid!("the mask has {bytes} bytes for {} maxima; four for each are needed", like.elements()));
    }
    Ok(View { dtype: DType::I32, strides: crate::view::dense_strides(&like.dims), dims: like.dims.clone(), ..mask.clone() })
}

#[allow(clippy::too_many_arguments)] // CANN's
fn max_pool_mask(
    p: &mut Program,
    x: View,
    kernel: Arc<[i64]>,
    stride: Arc<[i64]>,
    padding: Arc<[i64]>,
    dilation: Arc<[i64]>,
    _ceil: bool,
    out: View,
    mask: View,
) -> Result<()> {
    let places = places_of(&mask, &out)?;
    max_pool(p, x, 2, [kernel, stride, padding, dilation], out, places)
}

fn max_backward(p: &mut Program, grad: View, x: View, indices: View, rank: usize, out: View) -> Result<()> {
    check_shape(&out, &x.dims)?;
    check_places(&indices, &grad)?;
    let [out, grad, indices] =
        [("gradInput", &out), ("gradOutput", &grad), ("indices", &indices)].map(|(name, v)| planes(name, v, rank));
    p.launch("max_pool_backward", &[&out?], &[&grad?, &indices?], &[])
}

#[allow(clippy::too_many_arguments)]
fn mean_backward(
    p: &mut Program,
    grad: View,
    x: View,
    rank: usize,
    [kernel, stride, padding]: [Arc<[i64]>; 3],
    with_padding: bool,
    divisor: i64,
    out: View,
) -> Result<()> {
    check_shape(&out, &x.dims)?;
    let w = windows(&kernel, &stride, &padding, &[], rank)?;
    let mut all = attrs(&w, false);
    all.extend([Int(with_padding.into()), Int(divisor)]);
    p.launch("mean_pool_backward", &[&planes("gradInput", &out, rank)?], &[&planes("gradOutput", &grad, rank)?], &all)
}

fn adaptive_mean(p: &mut Program, x: View, rank: usize, out: View) -> Result<()> {
    let mut all = attrs(&ADAPTIVE, true);
    all.extend([Int(0), Int(0)]);
    p.launch("mean_pool", &[&planes("out", &out, rank)?], &[&planes("self", &x, rank)?], &all)
}

fn adaptive_mean_backward(p: &mut Program, grad: View, x: View, rank: usize, out: View) -> Result<()> {
    check_shape(&out, &x.dims)?;
    let mut all = attrs(&ADAPTIVE, true);
    all.extend([Int(0), Int(0)]);
    p.launch("mean_pool_backward", &[&planes("out", &out, rank)?], &[&planes("gradOutput", &grad, rank)?], &all)
}

fn adaptive_max(p: &mut Program, x: View, rank: usize, out: View, indices: View) -> Result<()> {
    check_places(&indices, &out)?;
    let outs = (planes("outputOut", &out, rank)?, planes("indicesOut", &indices, rank)?);
    p.launch("max_pool", &[&outs.0, &outs.1], &[&planes("self", &x, rank)?], &attrs(&ADAPTIVE, true))
}
