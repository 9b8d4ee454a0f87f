//! Bits of integers: two tensors, or a tensor and a scalar. Booleans are integers of one bit.

use vinci_hw::args::{ArgsView, DType};

use crate::lane::{LaneKind, lane_of};
use crate::tile::map;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// A function of two integers of `bits` bits, sign-extended or not, in 64 bits. What it gives is cut to size.
pub type Bits = fn(i64, i64, u32, bool) -> i64;

/// Bits of an element, and whether it is signed; `None` for floats.
fn width(d: DType) -> Option<(u32, bool)> {
    let signed = matches!(d, DType::I8 | DType::I16 | DType::I32 | DType::I64);
    (!d.is_float()).then(|| (if d == DType::Bool { 1 } else { d.size() as u32 * 8 }, signed))
}

/// a & b
pub const AND: Bits = |a, b, _, _| a & b;
/// a | b
pub const OR: Bits = |a, b, _, _| a | b;
/// a ^ b
pub const XOR: Bits = |a, b, _, _| a ^ b;
/// a << b; 0 if b is not below the width
pub const SHL: Bits = |a, b, bits, _| if (0..i64::from(bits)).contains(&b) { a << b } else { 0 };
/// a >> b; the sign everywhere if b is not below the width
pub const SHR: Bits = |a, b, bits, signed| match (0..i64::from(bits)).contains(&b) {
    true if signed => a >> b,
    true => ((a as u64) >> b) as i64,
    false if signed && a < 0 => -1,
    false => 0,
};

/// The greatest common divisor, never negative.
pub const GCD: Bits = |a, b, _, _| {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a as i64
};

/// Tensors out, a, b; attribute compute type.
pub fn binary(ctx: &Ctx<'_>, args: &ArgsView<'_>, f: Bits) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    let b = Tensor::input(ctx, args, 2)?.same_dims(&out, 2)?;
    let (bits, signed) =
        width(args.attr_dtype(0)?).ok_or(KernelFault::Unsupported("bits of floating-point numbers"))?;
    map::<i64, 2>(ctx, &out, [&a, &b], &|_, [a, b], out| {
        out.iter_mut().zip(a).zip(b).for_each(|((o, &a), &b)| *o = f(a, b, bits, signed));
    });
    Ok(())
}

/// Tensors out, a; attributes compute type, scalar.
pub fn binary_scalar(ctx: &Ctx<'_>, args: &ArgsView<'_>, f: Bits) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    let (bits, signed) =
        width(args.attr_dtype(0)?).ok_or(KernelFault::Unsupported("bits of floating-point numbers"))?;
    let b = args.attr_i64(1)?;
    map::<i64, 1>(ctx, &out, [&a], &|_, [a], out| {
        out.iter_mut().zip(a).for_each(|(o, &a)| *o = f(a, b, bits, signed));
    });
    Ok(())
}

/// Tensors out, a: all bits flipped; a boolean negated.
pub fn not(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    if matches!(lane_of(a.dtype), LaneKind::F32 | LaneKind::F64) {
        return Err(KernelFault::Unsupported("bits of floating-point numbers"));
    }
    let boolean = a.dtype == DType::Bool;
    map::<i64, 1>(ctx, &out, [&a], &|_, [a], out| {
        out.iter_mut().zip(a).for_each(|(o, &a)| *o = if boolean { i64::from(a == 0) } else { !a });
    });
    Ok(())
}
