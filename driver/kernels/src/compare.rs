//! Comparisons and logic; the results are 0 and 1, whatever type they are stored in.

use vinci_hw::args::ArgsView;

use crate::elementwise::{Binary, binary_ops};
use crate::lane::{Lane, LaneKind, lane_of};
use crate::tile::map;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

binary_ops! {
    /// a = b
    Eq = |a, b| L::truth(a == b);
    /// a ≠ b
    Ne = |a, b| L::truth(a != b);
    /// a < b
    Lt = |a, b| L::truth(a < b);
    /// a ≤ b
    Le = |a, b| L::truth(a <= b);
    /// a > b
    Gt = |a, b| L::truth(a > b);
    /// a ≥ b
    Ge = |a, b| L::truth(a >= b);
    /// Both are not zero
    And = |a, b| L::truth(a != L::ZERO && b != L::ZERO);
    /// One at least is not zero
    Or = |a, b| L::truth(a != L::ZERO || b != L::ZERO);
    /// Exactly one is not zero
    Xor = |a, b| L::truth((a != L::ZERO) != (b != L::ZERO));
}

/// A lane in which no value but zero becomes zero.
fn truth_lane(tensors: &[&Tensor]) -> LaneKind {
    let float = tensors.iter().any(|t| matches!(lane_of(t.dtype), LaneKind::F32 | LaneKind::F64));
    if float { LaneKind::F64 } else { LaneKind::I64 }
}

/// Tensors out, a, b.
pub fn logical<O: Binary>(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    let b = Tensor::input(ctx, args, 2)?.same_dims(&out, 2)?;
    fn run<O: Binary, L: Lane>(ctx: &Ctx<'_>, out: &Tensor, a: &Tensor, b: &Tensor) {
        map::<L, 2>(ctx, out, [a, b], &|_, [a, b], out| {
            out.iter_mut().zip(a).zip(b).for_each(|((o, &a), &b)| *o = O::apply(a, b));
        });
    }
    match truth_lane(&[&a, &b]) {
        LaneKind::F64 => run::<O, f64>(ctx, &out, &a, &b),
        _ => run::<O, i64>(ctx, &out, &a, &b),
    }
    Ok(())
}

/// Tensors out, a.
pub fn logical_not(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    fn run<L: Lane>(ctx: &Ctx<'_>, out: &Tensor, a: &Tensor) {
        map::<L, 1>(ctx, out, [a], &|_, [a], out| {
            out.iter_mut().zip(a).for_each(|(o, &a)| *o = L::truth(a == L::ZERO));
        });
    }
    match truth_lane(&[&a]) {
        LaneKind::F64 => run::<f64>(ctx, &out, &a),
        _ => run::<i64>(ctx, &out, &a),
    }
    Ok(())
}
