//! Pooling over windows: maxima with their places, means, and the gradients of both. Planes are `[N, C, D0, D1, D2]`.
//!
//! Windows are given by attributes kernel, stride, padding, dilation, three each, then whether they are adaptive: each
//! dimension is then cut into as many nearly equal parts as the result has elements.

use std::ops::Range;

use vinci_hw::args::{ArgsError, ArgsView};

use crate::arith::Arith;
use crate::lane::{Lane, LaneKind, common_lane};
use crate::tile::for_each;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

const SPACE: usize = 3;

struct Windows {
    kernel: [i64; SPACE],
    stride: [i64; SPACE],
    padding: [i64; SPACE],
    dilation: [i64; SPACE],
    adaptive: bool,
    size: [i64; SPACE],
    count: [i64; SPACE],
}

impl Windows {
    /// Over `image`, one for each element of `result`.
    fn new(args: &ArgsView<'_>, image: &Tensor, result: &Tensor) -> Result<Self, KernelFault> {
        if image.rank != 5 || result.rank != 5 || image.dims[..2] != result.dims[..2] {
            return Err(ArgsError::BadTensor(0).into());
        }
        let three = |first: usize| -> Result<[i64; SPACE], ArgsError> {
            Ok([args.attr_i64(first)?, args.attr_i64(first + 1)?, args.attr_i64(first + 2)?])
        };
        let [kernel, stride, padding, dilation] = [three(0)?, three(3)?, three(6)?, three(9)?];
        let bounded = |v: &[i64], low: i64| v.iter().all(|v| (low..1 << 20).contains(v));
        if !bounded(&kernel, 0) || !bounded(&stride, 1) || !bounded(&padding, 0) || !bounded(&dilation, 1) {
            return Err(KernelFault::Unsupported("a window of negative size, stride or dilation"));
        }
        let dims = |t: &Tensor| [2, 3, 4].map(|d| t.dims[d] as i64);
        let (size, count) = (dims(image), dims(result));
        if size.iter().chain(&count).any(|d| *d >= 1 << 32) {
            return Err(KernelFault::Unsupported("a plane of more than 2^32 lines"));
        }
        Ok(Self { kernel, stride, padding, dilation, adaptive: args.attr(12)? != 0, size, count })
    }

    /// Places of window `i` along dimension `d`, which may lie outside, and the step between them.
    fn span(&self, d: usize, i: i64) -> (Range<i64>, i64) {
        if self.adaptive {
            let end = ((i + 1) * self.size[d] + self.count[d] - 1) / self.count[d];
            return (i * self.size[d] / self.count[d]..end, 1);
        }
        let start = i * self.stride[d] - self.padding[d];
        (start..start + (self.kernel[d] - 1) * self.dilation[d] + 1, self.dilation[d])
    }

    /// The places of window `i` inside the image.
    fn inside(&self, d: usize, i: i64) -> impl Iterator<Item = i64> + Clone {
        let (span, step) = self.span(d, i);
        let skip = if span.start < 0 { (-span.start + step - 1) / step * step } else { 0 };
        (span.start + skip..span.end.min(self.size[d])).step_by(step as usize)
    }

    /// What a mean over window `at` is divided by.
    fn divisor(&self, at: [i64; SPACE], with_padding: bool, fixed: i64) -> f64 {
        if fixed != 0 {
            return fixed as f64;
        }
        let length = |d: usize| {
            let (span, _) = self.span(d, at[d]);
            let end = span.end.min(self.size[d] + if with_padding { self.padding[d] } else { 0 });
            (end - if with_padding { span.start } else { span.start.max(0) }) as f64
        };
        (0..SPACE).map(length).product()
    }
}

/// A plane of a tensor.
struct Plane {
    tensor: Tensor,
    first: isize,
}

impl Plane {
    fn new(t: &Tensor, plane: usize) -> Self {
        let first = (plane / t.dims[1]) as isize * t.strides[0] + (plane % t.dims[1]) as isize * t.strides[1];
        Self { tensor: *t, first }
    }

    fn read<L: Lane>(&self) -> Vec<L> {
        let (t, load) = (&self.tensor, L::loader(self.tensor.dtype));
        let mut all = vec![L::ZERO; t.dims[2] * t.dims[3] * t.dims[4]];
        for (line, row) in all.chunks_mut(t.dims[4].max(1)).enumerate() {
            // SAFETY: indices below the dimensions.
            unsafe { load(t.at(self.line(line)), t.strides[4], row) };
        }
        all
    }

    fn write<L: Lane>(&self, values: &[L]) {
        let (t, store) = (&self.tensor, L::storer(self.tensor.dtype));
        for (line, row) in values.chunks(t.dims[4].max(1)).enumerate() {
            // SAFETY: as above.
            unsafe { store(t.at(self.line(line)), t.strides[4], row) };
        }
    }

    fn line(&self, line: usize) -> isize {
        let t = &self.tensor;
        self.first + (line / t.dims[3]) as isize * t.strides[2] + (line % t.dims[3]) as isize * t.strides[3]
    }
}

/// Runs `$body` with the float lane of two tensors.
macro_rules! float_lane {
    ($a:expr, $b:expr, $L:ident => $body:expr) => {
        if common_lane($a.dtype, $b.dtype) == LaneKind::F64 {
            type $L = f64;
            $body
        } else {
            type $L = f32;
            $body
        }
    };
}

/// Calls `each(number, place)` for the windows of a plane.
fn windows(count: [i64; SPACE], mut each: impl FnMut(usize, [i64; SPACE])) {
    let mut number = 0;
    for a in 0..count[0] {
        for b in 0..count[1] {
            for c in 0..count[2] {
                each(number, [a, b, c]);
                number += 1;
            }
        }
    }
}

/// Tensors out, places (numbers of elements in their plane), image: NaN is larger than anything.
pub fn max(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let places = Tensor::output(ctx, args, 1)?.same_dims(&out, 1)?;
    let image = Tensor::input(ctx, args, 2)?;
    let w = Windows::new(args, &image, &out)?;
    if out.count == 0 || image.count == 0 {
        return Ok(());
    }
    float_lane!(out, image, L => for_each(ctx, out.dims[0] * out.dims[1], image.count, &|plane| {
        let x = Plane::new(&image, plane).read::<L>();
        let n = (w.count[0] * w.count[1] * w.count[2]) as usize;
        let (mut best, mut at) = (vec![L::LOWEST; n], vec![0i64; n]);
        windows(w.count, |i, [a, b, c]| {
            let mut first = true;
            for p in w.inside(0, a) {
                for q in w.inside(1, b) {
                    for r in w.inside(2, c) {
                        let place = (p * w.size[1] + q) * w.size[2] + r;
                        let v = x[place as usize];
                        if first || v > best[i] || v.nan() {
                            (best[i], at[i], first) = (v, place, false);
                        }
                    }
                }
            }
        });
        Plane::new(&out, plane).write(&best);
        Plane::new(&places, plane).write(&at);
    }));
    Ok(())
}

/// Tensors grad_image, grad, places (as [`max`] gives them): each gradient goes to the place of its maximum.
pub fn max_backward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let image = Tensor::output(ctx, args, 0)?;
    let grad = Tensor::input(ctx, args, 1)?;
    let places = Tensor::input(ctx, args, 2)?.same_dims(&grad, 2)?;
    if image.rank != 5 || grad.rank != 5 || image.dims[..2] != grad.dims[..2] {
        return Err(ArgsError::BadTensor(0).into());
    }
    if image.count == 0 {
        return Ok(());
    }
    let wrong = std::sync::atomic::AtomicI64::new(-1);
    float_lane!(image, grad, L => for_each(ctx, image.dims[0] * image.dims[1], image.count, &|plane| {
        let (g, at) = (Plane::new(&grad, plane).read::<L>(), Plane::new(&places, plane).read::<i64>());
        let mut sums = vec![L::ZERO; image.dims[2] * image.dims[3] * image.dims[4]];
        for (g, at) in g.iter().zip(&at) {
            match usize::try_from(*at).ok().and_then(|at| sums.get_mut(at)) {
                Some(sum) => *sum = sum.add(*g),
                None => wrong.store(*at, std::sync::atomic::Ordering::Relaxed),
            }
        }
        Plane::new(&image, plane).write(&sums);
    }));
    match wrong.into_inner() {
        -1 => Ok(()),
        value => Err(KernelFault::Exception { what: "a maximum's place outside its plane", value }),
    }
}

/// Tensors out, image; further attributes whether padding counts, a fixed divisor or 0.
pub fn mean(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let image = Tensor::input(ctx, args, 1)?;
    let w = Windows::new(args, &image, &out)?;
    let (with_padding, fixed) = (args.attr(13)? != 0, args.attr_i64(14)?);
    if out.count == 0 || image.count == 0 {
        return Ok(());
    }
    float_lane!(out, image, L => for_each(ctx, out.dims[0] * out.dims[1], image.count, &|plane| {
        let x = Plane::new(&image, plane).read::<L>();
        let mut means = vec![L::ZERO; (w.count[0] * w.count[1] * w.count[2]) as usize];
        windows(w.count, |i, at| {
            let mut sum = L::ZERO;
            for p in w.inside(0, at[0]) {
                for q in w.inside(1, at[1]) {
                    for r in w.inside(2, at[2]) {
                        sum = sum.add(x[((p * w.size[1] + q) * w.size[2] + r) as usize]);
                    }
                }
            }
            means[i] = sum.div(L::from_f64(w.divisor(at, with_padding, fixed)));
        });
        Plane::new(&out, plane).write(&means);
    }));
    Ok(())
}

/// Tensors grad_image, grad; attributes as [`mean`].
pub fn mean_backward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let image = Tensor::output(ctx, args, 0)?;
    let grad = Tensor::input(ctx, args, 1)?;
    let w = Windows::new(args, &image, &grad)?;
    let (with_padding, fixed) = (args.attr(13)? != 0, args.attr_i64(14)?);
    if image.count == 0 {
        return Ok(());
    }
    float_lane!(image, grad, L => for_each(ctx, image.dims[0] * image.dims[1], image.count, &|plane| {
        let g = Plane::new(&grad, plane).read::<L>();
        let mut sums = vec![L::ZERO; image.dims[2] * image.dims[3] * image.dims[4]];
        windows(w.count, |i, at| {
            let part = g[i].div(L::from_f64(w.divisor(at, with_padding, fixed)));
            for p in w.inside(0, at[0]) {
                for q in w.inside(1, at[1]) {
                    for r in w.inside(2, at[2]) {
                        let sum = &mut sums[((p * w.size[1] + q) * w.size[2] + r) as usize];
                        *sum = sum.add(part);
                    }
                }
            }
        });
        Plane::new(&image, plane).write(&sums);
    }));
    Ok(())
}
