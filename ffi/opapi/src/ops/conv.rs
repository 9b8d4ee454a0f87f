//! Convolution, pooling and resizing of images, volumes and sequences.
//!
//! A window over a tensor is a view: dimensions for the places, then dimensions for what a window covers. So a
//! convolution is a product over such a view, and pooling a reduction; only borders are copied.

use std::sync::Arc;

use super::declare::operators;
use super::elementwise::check_shape;
use super::layout::constant_pad;
use super::loss::need_float;
use super::movement::{constant, copy, dense, fill};
use crate::dtype::{DType, promote};
use crate::error::{Result, invalid};
use crate::objects::Scalar;
use crate::program::{Attr, Program};
use crate::view::View;

operators! {
    "convolution" { /// output = input convolved with weight, over one, two or three dimensions, plus bias; transposed for the gradient's direction.
        aclnnConvolution(input: Tensor, weight: Tensor, bias: OptTensor, stride: Ints, padding: Ints, dilation: Ints, transposed: Bool, outputPadding: OptInts, groups: Int, output: Out, cubeMathType: Int8) => convolution;
        /// out = self convolved with a weight for each channel, plus bias.
        aclnnConvDepthwise2d(self_: Tensor, weight: Tensor, kernelSize: Ints, bias: OptTensor, stride: Ints, padding: Ints, dilation: Ints, out: Out, cubeMathType: Int8) =>
            |p, x: View, w: View, k: Arc<[i64]>, b, s, pad, d, o, t| {
                let groups = if x.rank() == 4 { x.dims[1] } else { 0 };
                if w.rank() != 4 || w.dims[2..] != *k {
                    return Err(invalid!("weight has shape {:?}; kernelSize is {k:?}", w.dims));
                }
                convolution(p, x, w, b, s, pad, d, false, None, groups, o, t)
            }; }
    "im2col" { /// out = for each place of a window over self, what it covers, as a column.
        aclnnIm2col(self_: Tensor, kernelSize: Ints, dilation: Ints, padding: Ints, stride: Ints, out: Tensor) => im2col; }
    "max_pool" { /// out = the largest element of each window over self; pads are before and after by dimension, autoPad 0.
        aclnnMaxPool(self_: Tensor, kernelShape: Ints, strides: Ints, autoPad: Int, pads: Ints, dilations: Ints, ceilMode: Int, out: Out) => max_pool; }
    "avgpool2d" { /// out = the mean of each window over self.
        aclnnAvgPool2d(self_: Tensor, kernelSize: Ints, strides: Ints, paddings: Ints, ceilMode: Bool, countIncludePad: Bool, divisorOverride: Int, cubeMathType: Int8, out: Out) =>
            |p, x, k, s, pad, ceil, count, d, _, o| avg_pool(p, x, 2, k, s, pad, ceil, count, d, o); }
    "avgpool3d" { /// As aclnnAvgPool2d, over volumes.
        aclnnAvgPool3d(self_: Tensor, kernelSize: Ints, stride: Ints, padding: Ints, ceilMode: Bool, countIncludePad: Bool, divisorOverride: Int, out: Out) =>
            |p, x, k, s, pad, ceil, count, d, o| avg_pool(p, x, 3, k, s, pad, ceil, count, d, o); }
    "upsample_nearest_1d" { /// out = self [N, C, L] resized to outputSize, each element from the nearest before it.
        aclnnUpsampleNearest1d(self_: Tensor, outputSize: Ints, out: Out) => |p, x, s, o| nearest(p, x, 1, s, o); }
    "upsample_nearest_2d" { /// As aclnnUpsampleNearest1d, of images.
        aclnnUpsampleNearest2d(self_: Tensor, outputSize: Ints, out: Out) => |p, x, s, o| nearest(p, x, 2, s, o); }
}

/// Numbers for each of `n` dimensions, given one by one or once for all.
fn each(name: &str, values: &[i64], n: usize, least: i64) -> Result<Vec<i64>> {
    let all = match values {
        [one] => vec![*one; n],
        _ if values.len() == n => values.to_vec(),
        _ => return Err(invalid!("{name} is {values:?}; {n} numbers are needed")),
    };
    if all.iter().any(|&v| v < least) {
        return Err(invalid!("{name} is {values:?}; at least {least} is needed"));
    }
    Ok(all)
}

/// How windows lie over the last dimensions of a tensor.
struct Windows {
    kernel: Vec<i64>,
    stride: Vec<i64>,
    dilation: Vec<i64>,
}

impl Windows {
    fn new(kernel: &[i64], stride: &[i64], dilation: &[i64], n: usize) -> Result<Self> {
        Ok(Self {
            kernel: each("kernelSize", kernel, n, 1)?,
            stride: each("stride", stride, n, 1)?,
            dilation: each("dilation", dilation, n, 1)?,
        })
    }

    /// From the first to behind the last index that a window covers.
    fn reach(&self, d: usize) -> i64 {
        (self.kernel[d] - 1).saturating_mul(self.dilation[d]).saturating_add(1)
    }

    /// Places of windows over dimension `d` of `n` indices.
    fn places(&self, d: usize, n: i64) -> i64 {
        if n < self.reach(d) { 0 } else { (n - self.reach(d)) / self.stride[d] + 1 }
    }

    /// `[.., window.., place..]` of `x`, whose last dimensions are those that the windows lie over, or with the
    /// places first.
    fn over(&self, x: &View, places: &[i64], places_first: bool) -> View {
        let first = x.rank() - self.kernel.len();
        let (mut dims, mut strides) = (x.dims[..first].to_vec(), x.strides[..first].to_vec());
        let scaled = |by: &[i64]| -> Vec<i64> {
            x.strides[first..].iter().zip(by).map(|(&s, &b)| s.wrapping_mul(b)).collect()
        };
        let window = (&self.kernel[..], scaled(&self.dilation));
        let place = (places, scaled(&self.stride));
        for (d, s) in if places_first { [&place, &window] } else { [&window, &place] } {
            dims.extend_from_slice(d);
            strides.extend_from_slice(s);
        }
        View { dims: dims.into(), strides: strides.into(), ..x.clone() }
    }
}

/// `x` with a border along its last dimensions, in the workspace unless there is none to add.
fn bordered(p: &mut Program, x: &View, border: &[(i64, i64)], value: Scalar) -> Result<View> {
    if border.iter().all(|&b| b == (0, 0)) {
        return Ok(x.clone());
    }
    let first = x.rank() - border.len();
    let mut dims = x.dims.clone();
    for (d, &(before, after)) in border.iter().enumerate() {
        dims[first + d] = (dims[first + d] + before + after).max(0);
    }
    let wide = p.temporary(x.dtype, &dims);
    let pad: Vec<_> = border.iter().rev().flat_map(|&(before, after)| [before, after]).collect();
    constant_pad(p, x, &pad, value, &wide)?;
    Ok(wide)
}

/// A number as a scalar.
fn number(value: f64) -> Scalar {
    Scalar::real(DType::F64, value, value as i64)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn convolution(
    p: &mut Program,
    x: View,
    w: View,
    bias: Option<View>,
    stride: Arc<[i64]>,
    padding: Arc<[i64]>,
    dilation: Arc<[i64]>,
    transposed: bool,
    output_padding: Option<Arc<[i64]>>,
    groups: i64,
    out: View,
    _cube_math_type: i8,
) -> Result<()> {
    let n = w.rank().checked_sub(2).filter(|n| (1..=3).contains(n));
    let n = n.ok_or_else(|| invalid!("weight has shape {:?}; three to five dimensions are needed", w.dims))?;
    if x.rank() == n + 1 && out.rank() == n + 1 {
        // One sample, without its dimension.
        let (x, out) = (x.unsqueeze(&[0]), out.unsqueeze(&[0]));
        return convolution(p, x, w, bias, stride, padding, dilation, transposed, output_padding, groups, out, 0);
    }
    for (name, v) in [("input", &x), ("weight", &w), ("output", &out)] {
        need_float(name, v)?;
    }
    let c = if x.rank() == n + 2 { x.dims[1] } else { -1 };
    let (x_channels, out_channels) =
        if transposed { (w.dims[0], w.dims[1] * groups) } else { (w.dims[1] * groups, w.dims[0]) };
    if groups < 1 || c != x_channels || w.dims[0] % groups != 0 {
        return Err(invalid!("input of shape {:?} and weight of {:?} in {groups} groups", x.dims, w.dims));
    }
    let bias = match bias {
        Some(b) if b.dims != [out_channels] => {
            return Err(invalid!("bias has shape {:?}; [{out_channels}] is needed", b.dims));
        }
        b => b,
    };
    let stride = each("stride", &stride, n, 1)?;
    let dilation = each("dilation", &dilation, n, 1)?;
    let padding: Vec<(i64, i64)> = if padding.len() == 2 * n && n > 1 {
        padding.chunks(2).map(|p| (p[0], p[1])).collect()
    } else {
        each("padding", &padding, n, 0)?.into_iter().map(|p| (p, p)).collect()
    };
    let kernel = w.dims[2..].to_vec();
    if !transposed {
        let windows = Windows::new(&kernel, &stride, &dilation, n)?;
        let wide = bordered(p, &x, &padding, constant(0))?;
        let w = w.split(0, &[groups, out_channels / groups]);
        return correlate(p, &wide, &w, bias, &windows, &out);
    }
    let extra = match output_padding {
        Some(o) if !o.is_empty() => each("outputPadding", &o, n, 0)?,
        _ => vec![0; n],
    };
    // The gradient's direction: elements set `stride` apart, and windows of the turned weight over all of them.
    let windows = Windows::new(&kernel, &[1], &dilation, n)?;
    let mut spread = x.dims.clone();
    for d in 0..n {
        spread[2 + d] = (x.dims[2 + d] - 1).max(0) * stride[d] + i64::from(x.dims[2 + d] > 0);
    }
    let apart = if stride.iter().all(|&s| s == 1) {
        x.clone()
    } else {
        let apart = p.temporary(x.dtype, &spread);
        fill(p, apart.clone(), constant(0))?;
        let mut places = apart.clone();
        for (d, &step) in stride.iter().enumerate().take(n) {
            places = places.narrow(2 + d, 0, x.dims[2 + d], step);
        }
        copy(p, &x, &places)?;
        apart
    };
    let border: Vec<_> = (0..n)
        .map(|d| {
            let (before, after) = padding[d];
            (windows.reach(d) - 1 - before, windows.reach(d) - 1 - after + extra[d])
        })
        .collect();
    let wide = bordered(p, &apart, &border, constant(0))?;
    let mut w = w.split(0, &[groups, c / groups]).transposed(1, 2);
    for d in 0..n {
        w = w.flipped(3 + d);
    }
    correlate(p, &wide, &w, bias, &windows, &out)
}

/// out `[N, O, ..]` = windows over x `[N, C, ..]` times w `[G, O/G, C/G, ..]`, plus bias.
fn correlate(
    p: &mut Program,
    x: &View,
    w: &View,
    bias: Option<View>,
    windows: &Windows,
    out: &View,
) -> Result<()> {
    let n = windows.kernel.len();
    let (samples, groups, o, c) = (x.dims[0], w.dims[0], w.dims[1], w.dims[2]);
    let places: Vec<_> = (0..n).map(|d| windows.places(d, x.dims[2 + d])).collect();
    check_shape(out, &[&[samples, groups * o][..], &places].concat())?;
    if out.elements() == 0 {
        return Ok(());
    }
    let steps: i64 = c * windows.kernel.iter().product::<i64>();
    let length: i64 = places.iter().product();
    // As [samples, groups, steps, length]; a view if its dimensions merge, else a copy.
    let over = windows.over(x, &places, false);
    let merged = over.split(1, &[groups, c]).merged(3 + n..3 + 2 * n).and_then(|v| v.merged(2..3 + n));
    let columns = match merged {
        Some(columns) => columns,
        None => dense(p, &over)?.shaped(&[samples, groups, steps, length]),
    };
    let weight = match w.merged(2..w.rank()) {
        Some(weight) => weight,
        None => dense(p, w)?.shaped(&[groups, o, steps]),
    };
    let weight = weight.expand(&[samples, groups, o, steps])?;
    let target = out.split(1, &[groups, o]).merged(3..3 + n);
    let result = match &target {
        Some(t) => t.clone(),
        None => p.temporary(promote(x.dtype, out.dtype), &[samples, groups, o, length]),
    };
    let bias = match bias {
        Some(b) => Some(b.split(0, &[groups, o]).unsqueeze(&[2]).expand(&result.dims)?),
        None => None,
    };
    let there = bias.is_some();
    let attrs = [Attr::Float(1.0), Attr::Float(f64::from(u8::from(there))), Attr::Int(there.into())];
    let inputs: Vec<_> = [&weight, &columns].into_iter().chain(&bias).collect();
    p.launch("matmul", &[&result], &inputs, &attrs)?;
    if target.is_none() {
        copy(p, &result.shaped(&out.dims), out)?;
    }
    Ok(())
}

fn im2col(
    p: &mut Program,
    x: View,
    kernel: Arc<[i64]>,
    dilation: Arc<[i64]>,
    padding: Arc<[i64]>,
    stride: Arc<[i64]>,
    out: View,
) -> Result<()> {
    if x.rank() == 3 && out.rank() == 2 {
        return im2col(p, x.unsqueeze(&[0]), kernel, dilation, padding, stride, out.unsqueeze(&[0]));
    }
    if x.rank() != 4 {
        return Err(invalid!("self has shape {:?}; [N, C, H, W] or [C, H, W] is needed", x.dims));
    }
    let windows = Windows::new(&kernel, &stride, &dilation, 2)?;
    let padding: Vec<_> = each("padding", &padding, 2, 0)?.into_iter().map(|p| (p, p)).collect();
    let wide = bordered(p, &x, &padding, constant(0))?;
    let places = [windows.places(0, wide.dims[2]), windows.places(1, wide.dims[3])];
    let window = windows.kernel[0] * windows.kernel[1];
    check_shape(&out, &[x.dims[0], x.dims[1] * window, places[0] * places[1]])?;
    let columns = windows.over(&wide, &places, false);
    let out = out.split(2, &places).split(1, &[x.dims[1], windows.kernel[0], windows.kernel[1]]);
    copy(p, &columns, &out)
}

/// The border of pooling: what was asked for, and as much behind as the places in `out` need. With `ceil` the last
/// window may reach beyond the border, but not begin there.
fn pooling_border(
    x: &View,
    windows: &Windows,
    padding: &[(i64, i64)],
    ceil: bool,
) -> (Vec<i64>, Vec<(i64, i64)>) {
    let first = x.rank() - padding.len();
    let mut places = vec![];
    let mut border = padding.to_vec();
    for (d, (before, after)) in border.iter_mut().enumerate() {
        let n = x.dims[first + d];
        let room = n + *before + *after;
        let mut count = windows.places(d, room);
        if ceil && room >= windows.reach(d) {
            let next = count * windows.stride[d];
            let rest = room - windows.reach(d) - (count - 1) * windows.stride[d];
            if rest > 0 && next < n + *before {
                *after += next + windows.reach(d) - room;
                count += 1;
            }
        }
        places.push(count);
    }
    (places, border)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn max_pool(
    p: &mut Program,
    x: View,
    kernel: Arc<[i64]>,
    strides: Arc<[i64]>,
    auto_pad: i64,
    pads: Arc<[i64]>,
    dilations: Arc<[i64]>,
    ceil: i64,
    out: View,
) -> Result<()> {
    if x.rank() == 3 && out.rank() == 3 {
        let (x, out) = (x.unsqueeze(&[0]), out.unsqueeze(&[0]));
        return max_pool(p, x, kernel, strides, auto_pad, pads, dilations, ceil, out);
    }
    need_float("self", &x)?;
    if x.rank() != 4 || auto_pad != 0 {
        return Err(invalid!("self has shape {:?} and autoPad is {auto_pad}; images and 0 are needed", x.dims));
    }
    let strides = if strides.is_empty() { kernel.clone() } else { strides };
    let dilations = if dilations.is_empty() { Arc::from([1]) } else { dilations };
    let windows = Windows::new(&kernel, &strides, &dilations, 2)?;
    let padding = match pads[..] {
        [] => vec![(0, 0); 2],
        [both] => vec![(both, both); 2],
        [h, w] => vec![(h, h), (w, w)],
        [top, left, bottom, right] => vec![(top, bottom), (left, right)],
        _ => return Err(invalid!("pads is {pads:?}")),
    };
    if padding.iter().any(|&(a, b)| a < 0 || b < 0) {
        return Err(invalid!("pads is {pads:?}"));
    }
    let (places, border) = pooling_border(&x, &windows, &padding, ceil != 0);
    check_shape(&out, &[&x.dims[..2], &places].concat())?;
    let wide = bordered(p, &x, &border, number(f64::NEG_INFINITY))?;
    let over = windows.over(&wide, &places, true);
    p.launch("reduce_max", &[&out.unsqueeze(&[4, 5])], &[&over], &[Attr::Type(x.dtype)])
}

#[allow(clippy::too_many_arguments)] // CANN's
fn avg_pool(
    p: &mut Program,
    x: View,
    n: usize,
    kernel: Arc<[i64]>,
    strides: Arc<[i64]>,
    padding: Arc<[i64]>,
    ceil: bool,
    count_border: bool,
    divisor: i64,
    out: View,
) -> Result<()> {
    if x.rank() == n + 1 && out.rank() == n + 1 {
        let (x, out) = (x.unsqueeze(&[0]), out.unsqueeze(&[0]));
        return avg_pool(p, x, n, kernel, strides, padding, ceil, count_border, divisor, out);
    }
    need_float("self", &x)?;
    need_float("out", &out)?;
    if x.rank() != n + 2 {
        return Err(invalid!("self has shape {:?}; {} dimensions are needed", x.dims, n + 2));
    }
    let strides = if strides.is_empty() { kernel.clone() } else { strides };
    let windows = Windows::new(&kernel, &strides, &[1], n)?;
    let padding: Vec<_> = each("padding", &padding, n, 0)?.into_iter().map(|p| (p, p)).collect();
    let (places, border) = pooling_border(&x, &windows, &padding, ceil);
    check_shape(&out, &[&x.dims[..2], &places].concat())?;
    let wide = bordered(p, &x, &border, constant(0))?;
    let over = windows.over(&wide, &places, true);
    let behind: Vec<_> = (2 + n..2 + 2 * n).collect();
    let target = out.unsqueeze(&behind);
    let compute = if x.dtype == DType::F64 { DType::F64 } else { DType::F32 };
    let beyond = border.iter().zip(&padding).any(|(b, p)| b != p);
    let plain = divisor == 0 && !beyond && (count_border || border.iter().all(|&b| b == (0, 0)));
    if plain {
        return p.launch("reduce_mean", &[&target], &[&over], &[Attr::Type(compute)]);
    }
    let sums = p.temporary(compute, &target.dims);
    p.launch("reduce_sum", &[&sums], &[&over], &[Attr::Type(compute)])?;
    if divisor != 0 {
        let by = [Attr::Float(divisor as f64), Attr::Int(divisor)];
        return p.launch("div_s", &[&target], &[&sums], &[Attr::Type(compute), by[0], by[1]]);
    }
    // How many elements of each window count: the same sum over ones where elements count and zeros elsewhere.
    let ones = p.temporary(compute, &wide.dims[2..]);
    fill(p, ones.clone(), constant(0))?;
    let mut counted = ones.clone();
    for d in 0..n {
        let (before, after) = if count_border { padding[d] } else { (0, 0) };
        counted = counted.narrow(d, border[d].0 - before, x.dims[2 + d] + before + after, 1);
    }
    fill(p, counted, constant(1))?;
    let counts = p.temporary(compute, &[&places[..], &vec![1; n]].concat());
    p.launch("reduce_sum", &[&counts], &[&windows.over(&ones, &places, true)], &[Attr::Type(compute)])?;
    let counts = counts.expand(&target.dims)?;
    p.launch("div", &[&target], &[&sums, &counts], &[Attr::Type(compute), Attr::Float(1.0), Attr::Int(1)])
}

/// out = for each of its elements the one of `x` at ⌊index · length of x / length of out⌋.
fn nearest(p: &mut Program, x: View, n: usize, size: Arc<[i64]>, out: View) -> Result<()> {
    if x.rank() != n + 2 || size.len() != n || x.dtype != out.dtype {
        return Err(invalid!("self has shape {:?} and outputSize is {size:?}", x.dims));
    }
    check_shape(&out, &[&x.dims[..2], &size].concat())?;
    if out.elements() == 0 {
        return Ok(());
    }
    if x.elements() == 0 {
        return Err(invalid!("self of shape {:?} has nothing to resize", x.dims));
    }
    let mut from = x;
    for d in 0..n {
        let (long, short) = (size[d], from.dims[2 + d]);
        let last = d + 1 == n;
        let mut dims = from.dims.clone();
        dims[2 + d] = long;
        let to = if last { out.clone() } else { p.temporary(out.dtype, &dims) };
        if long % short == 0 {
            copy(p, &from.unsqueeze(&[3 + d]), &to.split(2 + d, &[short, long / short]))?;
        } else {
            let places = p.temporary(DType::F32, &[long]);
            let scale = f64::from(short as f32 / long as f32);
            let kind = Attr::Type(DType::F32);
            let none = Attr::Int(0);
            let numbers = [Attr::Float(0.0), Attr::Float(1.0), none, Attr::Int(1)];
            p.launch("arange", &[&places], &[], &numbers)?;
            p.launch("mul_s", &[&places], &[&places], &[kind, Attr::Float(scale), none])?;
            p.launch("minimum_s", &[&places], &[&places], &[kind, Attr::Float((short - 1) as f64), none])?;
            // The cast truncates.
            let index = p.temporary(DType::I32, &[long]);
            copy(p, &places, &index)?;
            p.launch("index_select", &[&to], &[&from, &index], &[Attr::Int(2 + d as i64)])?;
        }
        from = to;
    }
    Ok(())
}
