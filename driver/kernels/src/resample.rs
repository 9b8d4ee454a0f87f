//! Interpolation, and its gradient: each element of the gradient goes back to the places that its result was made of.

use vinci_hw::args::{ArgsError, ArgsView};

use crate::lane::{Lane, LaneKind, common_lane};
use crate::tile::for_each;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// Attribute `mode`.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Nearest,
    NearestExact,
    Linear,
    Cubic,
}

/// Where the results of one dimension come from: up to four places with weights each.
type Sources = Vec<[(usize, f64); 4]>;

/// A cubic kernel's weights (a = −0.75) at distance t behind the second of four places.
fn cubic(t: f64) -> [f64; 4] {
    const A: f64 = -0.75;
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}

fn sources(mode: Mode, size: usize, count: usize, aligned: bool, scale: f64) -> Sources {
    let step = match mode {
        Mode::Linear | Mode::Cubic if aligned => {
            if count > 1 {
                (size as f64 - 1.0) / (count as f64 - 1.0)
            } else {
                0.0
            }
        }
        // As in PyTorch, in float32.
        _ if scale > 0.0 => f64::from(1.0 / scale as f32),
        _ => f64::from(size as f32 / count as f32),
    };
    let clamp = |v: f64| v.clamp(0.0, size as f64 - 1.0) as usize;
    let one = |i: usize| match mode {
        Mode::Nearest => [(clamp((i as f64 * step).floor()), 1.0), (0, 0.0), (0, 0.0), (0, 0.0)],
        Mode::NearestExact => [(clamp(((i as f64 + 0.5) * step).floor()), 1.0), (0, 0.0), (0, 0.0), (0, 0.0)],
        Mode::Linear => {
            let at = if aligned { i as f64 * step } else { ((i as f64 + 0.5) * step - 0.5).max(0.0) };
            let low = clamp(at.floor());
            let part = (at - low as f64).clamp(0.0, 1.0);
            [(low, 1.0 - part), ((low + 1).min(size - 1), part), (0, 0.0), (0, 0.0)]
        }
        Mode::Cubic => {
            let at = if aligned { i as f64 * step } else { (i as f64 + 0.5) * step - 0.5 };
            let (low, weights) = (at.floor(), cubic(at - at.floor()));
            let place = |k: usize| (clamp(low + k as f64 - 1.0), weights[k]);
            [place(0), place(1), place(2), place(3)]
        }
    };
    (0..count).map(one).collect()
}

/// Attributes mode (0 nearest, 1 nearest exact, 2 linear, 3 cubic), whether corners are aligned, three scales (0 where
/// there is none): where each element of `result` comes from, along three dimensions.
fn all_sources(args: &ArgsView<'_>, image: &Tensor, result: &Tensor) -> Result<Vec<Sources>, KernelFault> {
    let mode = match args.attr(0)? {
        0 => Mode::Nearest,
        1 => Mode::NearestExact,
        2 => Mode::Linear,
        3 => Mode::Cubic,
        _ => return Err(KernelFault::Unsupported("an interpolation of this mode")),
    };
    let aligned = args.attr(1)? != 0;
    if image.rank != 5 || result.rank != 5 || image.dims[..2] != result.dims[..2] {
        return Err(ArgsError::BadTensor(0).into());
    }
    if image.count == 0 || result.count == 0 {
        return Ok(Vec::new());
    }
    (0..3)
        .map(|d| Ok(sources(mode, image.dims[2 + d], result.dims[2 + d], aligned, args.attr_f64(2 + d)?)))
        .collect()
}

/// Tensors out `[N, C, L0, L1, L2]`, image `[N, C, D0, D1, D2]`; attributes as [`all_sources`].
pub fn forward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let image = Tensor::input(ctx, args, 1)?;
    let from = all_sources(args, &image, &out)?;
    if from.is_empty() {
        return Ok(());
    }
    match common_lane(image.dtype, out.dtype) {
        LaneKind::F64 => forward_in::<f64>(ctx, &out, &image, &from),
        _ => forward_in::<f32>(ctx, &out, &image, &from),
    }
    Ok(())
}

fn forward_in<L: Lane>(ctx: &Ctx<'_>, out: &Tensor, image: &Tensor, from: &[Sources]) {
    let (load, store) = (L::loader(image.dtype), L::storer(out.dtype));
    let size = &image.dims[2..5];
    for_each(ctx, out.dims[0] * out.dims[1], out.count, &|plane| {
        let at = |t: &Tensor| {
            (plane / t.dims[1]) as isize * t.strides[0] + (plane % t.dims[1]) as isize * t.strides[1]
        };
        let mut row = vec![L::ZERO; size[2]];
        let mut line = vec![0.0f64; size[2]];
        let mut result = vec![L::ZERO; out.dims[4]];
        let is_used = |p: &&(usize, f64)| p.1 != 0.0;
        for (i, a) in from[0].iter().enumerate() {
            for (j, b) in from[1].iter().enumerate() {
                line.fill(0.0);
                for (p, wp) in a.iter().filter(is_used) {
                    for (q, wq) in b.iter().filter(is_used) {
                        let offset =
                            at(image) + *p as isize * image.strides[2] + *q as isize * image.strides[3];
                        // SAFETY: places below the dimensions of the image.
                        unsafe { load(image.at(offset), image.strides[4], &mut row) };
                        line.iter_mut().zip(&row).for_each(|(l, v)| *l += wp * wq * v.to_f64());
                    }
                }
                for (r, c) in result.iter_mut().zip(&from[2]) {
                    *r = L::from_f64(c.iter().filter(is_used).map(|(k, w)| w * line[*k]).sum());
                }
                let offset = at(out) + i as isize * out.strides[2] + j as isize * out.strides[3];
                // SAFETY: indices below the dimensions of the output.
                unsafe { store(out.at(offset), out.strides[4], &result) };
            }
        }
    });
}

/// Tensors grad_in `[N, C, D0, D1, D2]`, grad_out `[N, C, L0, L1, L2]`; attributes as [`all_sources`].
pub fn backward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let image = Tensor::output(ctx, args, 0)?;
    let grad = Tensor::input(ctx, args, 1)?;
    let from = all_sources(args, &image, &grad)?;
    if from.is_empty() {
        return Ok(());
    }
    match common_lane(image.dtype, grad.dtype) {
        LaneKind::F64 => backward_in::<f64>(ctx, &image, &grad, &from),
        _ => backward_in::<f32>(ctx, &image, &grad, &from),
    }
    Ok(())
}

fn backward_in<L: Lane>(ctx: &Ctx<'_>, image: &Tensor, grad: &Tensor, from: &[Sources]) {
    let (load, store) = (L::loader(grad.dtype), L::storer(image.dtype));
    let size = &image.dims[2..5];
    for_each(ctx, image.dims[0] * image.dims[1], grad.count, &|plane| {
        let at = |t: &Tensor| {
            (plane / t.dims[1]) as isize * t.strides[0] + (plane % t.dims[1]) as isize * t.strides[1]
        };
        let mut sums = vec![0.0f64; size.iter().product()];
        let mut row = vec![L::ZERO; grad.dims[4]];
        let is_used = |p: &&(usize, f64)| p.1 != 0.0;
        for (i, a) in from[0].iter().enumerate() {
            for (j, b) in from[1].iter().enumerate() {
                let offset = at(grad) + i as isize * grad.strides[2] + j as isize * grad.strides[3];
                // SAFETY: indices below the dimensions of the gradient.
                unsafe { load(grad.at(offset), grad.strides[4], &mut row) };
                for (p, wp) in a.iter().filter(is_used) {
                    for (q, wq) in b.iter().filter(is_used) {
                        let line = &mut sums[(p * size[1] + q) * size[2]..][..size[2]];
                        for (v, c) in row.iter().zip(&from[2]) {
                            c.iter()
                                .filter(is_used)
                                .for_each(|(r, wr)| line[*r] += wp * wq * wr * v.to_f64());
                        }
                    }
                }
            }
        }
        let mut out = vec![L::ZERO; size[2]];
        for (line, sums) in sums.chunks(size[2]).enumerate() {
            out.iter_mut().zip(sums).for_each(|(o, s)| *o = L::from_f64(*s));
            let offset = at(image)
                + (line / size[1]) as isize * image.strides[2]
                + (line % size[1]) as isize * image.strides[3];
            // SAFETY: indices below the dimensions of the image.
            unsafe { store(image.at(offset), image.strides[4], &out) };
        }
    });
}
