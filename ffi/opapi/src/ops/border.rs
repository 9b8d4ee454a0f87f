//! Gradients of borders and of windows, and what undoes pooling: elements go back to where they came from.

use std::sync::Arc;

use super::conv_gradient::{Windows, five};
use super::declare::operators;
use super::elementwise::check_shape;
use super::movement::{constant, copy, fill};
use super::pointwise::{dense, into_dense};
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::{View, wrap_dim};

operators! {
    "reflection_pad1d_backward" { /// gradInput = gradient of aclnnReflectionPad1d.
        aclnnReflectionPad1dBackward(gradOutput: Tensor, self_: Tensor, padding: Ints, gradInput: Out) => |p, g, x, d, o| pad_backward(p, g, x, d, 1, true, o); }
    "reflection_pad2d_backward" { /// gradInput = gradient of aclnnReflectionPad2d.
        aclnnReflectionPad2dBackward(gradOutput: Tensor, self_: Tensor, padding: Ints, gradInput: Out) => |p, g, x, d, o| pad_backward(p, g, x, d, 2, true, o); }
    "reflection_pad3d_backward" { /// gradInput = gradient of aclnnReflectionPad3d.
        aclnnReflectionPad3dBackward(gradOutput: Tensor, self_: Tensor, padding: Ints, gradInput: Out) => |p, g, x, d, o| pad_backward(p, g, x, d, 3, true, o); }
    "replication_pad1d_backward" { /// gradInput = gradient of aclnnReplicationPad1d.
        aclnnReplicationPad1dBackward(gradOutput: Tensor, self_: Tensor, padding: Ints, gradInput: Out) => |p, g, x, d, o| pad_backward(p, g, x, d, 1, false, o); }
    "pad2d_backward" { /// gradInput = gradient of aclnnReplicationPad2d.
        aclnnReplicationPad2dBackward(gradOutput: Tensor, self_: Tensor, padding: Ints, gradInput: Out) => |p, g, x, d, o| pad_backward(p, g, x, d, 2, false, o); }
    "replication_pad3d_backward" { /// gradInput = gradient of aclnnReplicationPad3d.
        aclnnReplicationPad3dBackward(gradOutput: Tensor, self_: Tensor, padding: Ints, gradInput: Out) => |p, g, x, d, o| pad_backward(p, g, x, d, 3, false, o); }
    "max_unpool2d" { /// out = 0 but for the elements of self, each at the place in its plane that indices tells.
        aclnnMaxUnpool2d(self_: Tensor, indices: Tensor, outputSize: Ints, out: Out) => |p, x, i, s, o| unpool(p, x, i, s, 2, o); }
    "max_unpool3d" { /// As aclnnMaxUnpool2d, in volumes.
        aclnnMaxUnpool3d(self_: Tensor, indices: Tensor, outputSize: Ints, stride: Ints, padding: Ints, outRef: Out) => |p, x, i, s, _, _, o| unpool(p, x, i, s, 3, o); }
    "max_unpool2d_backward" { /// out = gradient of aclnnMaxUnpool2d: gradOutput at the places that indices name.
        aclnnMaxUnpool2dBackward(gradOutput: Tensor, self_: Tensor, indices: Tensor, outputSize: Ints, out: Out) => |p, g, x, i, s, o| unpool_back(p, g, x, i, s, 2, o); }
    "max_unpool3d_backward" { /// As aclnnMaxUnpool2dBackward, in volumes.
        aclnnMaxUnpool3dBackward(gradOutput: Tensor, self_: Tensor, indices: Tensor, outputSize: Ints, stride: Ints, padding: Ints, out: Out) =>
            |p, g, x, i, s, _, _, o| unpool_back(p, g, x, i, s, 3, o); }
    "im2col_backward" { /// out = gradient of aclnnIm2col: the columns added up at their places in an image of inputSize.
        aclnnIm2colBackward(gradOutput: Tensor, inputSize: Ints, kernelSize: Ints, dilation: Ints, padding: Ints, stride: Ints, out: Out) => im2col_backward; }
    "unfold_grad" { /// gradIn = gradient of windows of some size along dim, step apart, which are gradOut's last dimension.
        aclnnUnfoldGrad(gradOut: Tensor, inputSizes: Ints, dim: Int, size: Int, step: Int, gradIn: Out) => unfold_gradient; }
}

/// The type in which gradients are added up.
pub fn sums(v: &View) -> DType {
    if v.dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

/// to += from, which are different elements.
fn add(p: &mut Program, to: &View, from: &View) -> Result<()> {
    p.launch("add", &[to], &[to, from], &[Type(to.dtype), Float(1.0), Int(1)])
}

fn pad_backward(
    p: &mut Program,
    grad: View,
    x: View,
    pad: Arc<[i64]>,
    along: usize,
    reflect: bool,
    out: View,
) -> Result<()> {
    check_shape(&out, &x.dims)?;
    let rank = x.rank();
    if pad.len() != 2 * along || rank < along || grad.rank() != rank {
        return Err(invalid!("{} numbers pad shape {:?} to {:?}", pad.len(), x.dims, grad.dims));
    }
    let mut borders = vec![(0, 0); rank];
    for (i, pair) in pad.chunks(2).enumerate() {
        borders[rank - 1 - i] = (pair[0], pair[1]);
    }
    let shape: Vec<i64> = x.dims.iter().zip(&borders).map(|(&d, b)| d.saturating_add(b.0).saturating_add(b.1)).collect();
    check_shape(&grad, &shape)?;
    fill(p, out.clone(), constant(0))?;
    if grad.elements() == 0 {
        return Ok(());
    }
    // What the forward pass cut off has no gradient.
    let mut kept = out.clone();
    for (d, (before, after)) in borders.iter_mut().enumerate() {
        let (first, last) = ((-*before).max(0), (-*after).max(0));
        if !reflect && kept.dims[d] > 0 && first.max(last) >= kept.dims[d] {
            // All was cut off, and the edge that was cut last repeated.
            kept = kept.narrow(d, if first > 0 { kept.dims[d] - 1 } else { 0 }, 1, 1);
            (*before, *after) = (grad.dims[d] - 1, 0);
            continue;
        }
        (*before, *after) = ((*before).max(0), (*after).max(0));
        let n = kept.dims[d] - first - last;
        let most = if reflect { n - 1 } else { i64::MAX };
        if n < 1 || *before > most || *after > most {
            return Err(invalid!("dimension {d} of shape {:?} cannot be padded by {before} and {after}", x.dims));
        }
        kept = kept.narrow(d, first, n, 1);
    }
    let mut whole = p.temporary(sums(&grad), &grad.dims);
    p.launch("copy", &[&whole], &[&grad], &[])?;
    for (d, &(before, after)) in borders.iter().enumerate() {
        let (n, edge) = (kept.dims[d], before + kept.dims[d] - 1);
        let (low, high) = (whole.narrow(d, 0, before, 1), whole.narrow(d, edge + 1, after, 1));
        if reflect {
            add(p, &whole.narrow(d, 2 * before, before, -1), &low)?;
            add(p, &whole.narrow(d, edge - 1, after, -1), &high)?;
        } else {
            for (border, at) in [(low, before), (high, edge)].into_iter().filter(|(b, _)| b.dims[d] > 0) {
                let mut dims = border.dims.clone();
                dims[d] = 1;
                let sum = p.temporary(whole.dtype, &dims);
                p.launch("reduce_sum", &[&sum], &[&border], &[Type(whole.dtype)])?;
                add(p, &whole.narrow(d, at, 1, 1), &sum)?;
            }
        }
        whole = whole.narrow(d, before, n, 1);
    }
    copy(p, &whole, &kept)
}

fn unpool(p: &mut Program, x: View, indices: View, size: Arc<[i64]>, along: usize, out: View) -> Result<()> {
    check_shape(&indices, &x.dims)?;
    let planes = x.rank().checked_sub(along).filter(|&n| (1..=2).contains(&n) && size.len() == along);
    let planes = planes.ok_or_else(|| invalid!("self has shape {:?} and outputSize is {size:?}", x.dims))?;
    if !matches!(indices.dtype, DType::I64 | DType::I32) {
        return Err(invalid!("indices have type {:?}; I64 or I32 is needed", indices.dtype));
    }
    check_shape(&out, &[&x.dims[..planes], &size].concat())?;
    let n: i64 = x.dims[..planes].iter().product();
    let (x, indices) = (dense(p, &x, out.dtype)?, dense(p, &indices, indices.dtype)?);
    into_dense(p, &out, out.dtype, |p, o| {
        fill(p, o.clone(), constant(0))?;
        if x.elements() == 0 {
            return Ok(());
        }
        let flat = |v: &View| v.reshaped(&[n, v.elements() / n]);
        p.launch("scatter", &[&flat(o)], &[&flat(&indices), &flat(&x)], &[Int(1), Int(0)])
    })
}

fn unpool_back(p: &mut Program, g: View, x: View, indices: View, size: Arc<[i64]>, along: usize, out: View) -> Result<()> {
    check_shape(&indices, &x.dims)?;
    check_shape(&out, &x.dims)?;
    let planes = x.rank().checked_sub(along).filter(|&n| (1..=2).contains(&n) && size.len() == along);
    let planes = planes.ok_or_else(|| invalid!("self has shape {:?} and outputSize is {size:?}", x.dims))?;
    check_shape(&g, &[&x.dims[..planes], &size].concat())?;
    if x.elements() == 0 {
        return Ok(());
    }
    let n: i64 = x.dims[..planes].iter().product();
    let (g, indices) = (dense(p, &g, out.dtype)?, dense(p, &indices, indices.dtype)?);
    let flat = |v: &View| v.reshaped(&[n, v.elements() / n]);
    into_dense(p, &out, out.dtype, |p, o| p.launch("gather", &[&flat(o)], &[&flat(&g), &flat(&indices)], &[Int(1)]))
}

#[allow(clippy::too_many_arguments)] // CANN's
fn im2col_backward(
    p: &mut Program,
    grad: View,
    size: Arc<[i64]>,
    kernel: Arc<[i64]>,
    dilation: Arc<[i64]>,
    padding: Arc<[i64]>,
    stride: Arc<[i64]>,
    out: View,
) -> Result<()> {
    if grad.rank() == 2 && out.rank() == 3 {
        let (grad, out) = (grad.unsqueeze(&[0]), out.unsqueeze(&[0]));
        return im2col_backward(p, grad, size, kernel, dilation, padding, stride, out);
    }
    if grad.rank() != 3 || out.rank() != 4 || size.len() != 2 {
        return Err(invalid!("gradOutput has shape {:?} and out {:?}; [N, C K, L] and [N, C, H, W] are needed", grad.dims, out.dims));
    }
    let w = Windows::new(&kernel, &stride, &padding, &dilation, 2)?;
    let places: Vec<i64> = (0..2)
        .map(|d| (size[d] + 2 * w.padding[d + 1] - w.dilation[d + 1] * (w.kernel[d + 1] - 1) - 1).div_euclid(w.stride[d + 1]) + 1)
        .collect();
    let (n, c) = (out.dims[0], out.dims[1]);
    check_shape(&out, &[n, c, size[0], size[1]])?;
    let window = w.kernel.iter().product::<i64>();
    if grad.dims != [n, c * window, places[0] * places[1]] {
        return Err(invalid!("gradOutput has shape {:?}; {window} elements of {places:?} windows are needed", grad.dims));
    }
    let eight = grad.split(2, &[1, places[0], places[1]]).split(1, &[c, 1, w.kernel[1], w.kernel[2]]);
    if out.elements() == 0 {
        return Ok(());
    }
    let made = p.temporary(sums(&grad), &out.dims);
    w.fold(p, &five("out", &made)?, &eight)?;
    copy(p, &made, &out)
}

fn unfold_gradient(p: &mut Program, grad: View, sizes: Arc<[i64]>, dim: i64, size: i64, step: i64, out: View) -> Result<()> {
    check_shape(&out, &sizes)?;
    let (grad, out) = if out.rank() == 0 { (grad.unsqueeze(&[0]), out.unsqueeze(&[0])) } else { (grad, out) };
    let d = wrap_dim(dim, out.rank())?;
    if step < 1 || size < 0 || size > out.dims[d] {
        return Err(invalid!("windows of {size} with step {step} of dimension {dim} of shape {:?}", out.dims));
    }
    let windows = (out.dims[d] - size) / step + 1;
    let mut shape = out.dims.clone();
    shape[d] = windows;
    shape.push(size);
    if grad.dims != shape {
        return Err(invalid!("gradOut has shape {:?}; {shape:?} is needed", grad.dims));
    }
    let sum = p.temporary(sums(&grad), &out.dims);
    fill(p, sum.clone(), constant(0))?;
    let last = grad.rank() - 1;
    // One launch for each element of a window, or one for each window.
    for i in 0..size.min(windows) {
        let (to, from) = if size <= windows {
            (sum.narrow(d, i, windows, step), grad.narrow(last, i, 1, 1).without(last))
        } else {
            let turned = grad.narrow(d, i, 1, 1).transposed(d, last);
            (sum.narrow(d, i * step, size, 1), turned.without(last))
        };
        add(p, &to, &from)?;
    }
    copy(p, &sum, &out)
}
