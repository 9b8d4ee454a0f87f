//! Rotary position embedding.

use vinci_hw::args::ArgsView;

use crate::lane::{Lane, LaneKind, common_lane};
use crate::rows::Rows;
use crate::tile::for_each;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// Which elements of a row of `d` turn together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// i with i + d/2.
    Half,
    /// 2i with 2i + 1.
    Interleave,
    /// Within each half, i with i + d/4.
    Quarter,
    /// As `Half`, of the row whose even elements were put before the odd ones.
    InterleaveHalf,
}

/// Tensors out, x, cos, sin, of the same dimensions; attribute mode (0 half, 1 interleave, 2 quarter, 3
/// interleave-half): out = x cos + rotated(x) sin, along the last dimension.
pub fn rotary(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let x = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    let cos = Tensor::input(ctx, args, 2)?.same_dims(&out, 2)?;
    let sin = Tensor::input(ctx, args, 3)?.same_dims(&out, 3)?;
    let mode = match args.attr(0)? {
        0 => Mode::Half,
        1 => Mode::Interleave,
        2 => Mode::Quarter,
        3 => Mode::InterleaveHalf,
        _ => return Err(KernelFault::Unsupported("a mode of rotation other than 0 to 3")),
    };
    let d = out.rank.checked_sub(1).map_or(1, |last| out.dims[last]);
    if out.count == 0 {
        return Ok(());
    }
    if d % if mode == Mode::Quarter { 4 } else { 2 } != 0 {
        return Err(KernelFault::Unsupported("a rotation of rows that do not divide"));
    }
    let [to, x, cos, sin] = [&out, &x, &cos, &sin].map(|t| (t.dtype, Rows::new(t, |i| i + 1 == t.rank)));
    let rows = out.count / d;
    if common_lane(x.0, to.0) == LaneKind::F64 {
        for_each(ctx, rows, out.count, &|r| row::<f64>([&x.1, &cos.1, &sin.1], &to.1, r, d, mode));
    } else {
        for_each(ctx, rows, out.count, &|r| row::<f32>([&x.1, &cos.1, &sin.1], &to.1, r, d, mode));
    }
    Ok(())
}

fn row<L: Lane>(inputs: [&Rows; 3], to: &Rows, row: usize, d: usize, mode: Mode) {
    let mut buffer = vec![L::ZERO; 4 * d];
    let (x, rest) = buffer.split_at_mut(d);
    let (cos, rest) = rest.split_at_mut(d);
    let (sin, turned) = rest.split_at_mut(d);
    for (from, values) in inputs.into_iter().zip([&mut *x, &mut *cos, &mut *sin]) {
        from.source::<L>(row).read(0, values);
    }
    if mode == Mode::InterleaveHalf {
        (0..d / 2).for_each(|i| (turned[i], turned[d / 2 + i]) = (x[2 * i], x[2 * i + 1]));
        x.copy_from_slice(turned);
    }
    match mode {
        Mode::Half | Mode::InterleaveHalf => turn(x, turned),
        Mode::Quarter => {
            x.chunks_exact(d / 2).zip(turned.chunks_exact_mut(d / 2)).for_each(|(x, t)| turn(x, t));
        }
        Mode::Interleave => {
            x.chunks_exact(2).zip(turned.chunks_exact_mut(2)).for_each(|(x, t)| turn(x, t));
        }
    }
    for i in 0..d {
        x[i] = x[i].mul(cos[i]).add(turned[i].mul(sin[i]));
    }
    to.sink::<L>(row).write(0, x);
}

/// The second half, negated, before the first.
fn turn<L: Lane>(x: &[L], turned: &mut [L]) {
    let half = x.len() / 2;
    for i in 0..half {
        turned[i] = x[half + i].neg();
        turned[half + i] = x[i];
    }
}
