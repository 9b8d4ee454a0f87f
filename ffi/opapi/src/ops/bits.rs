//! Bits of integers and booleans.

use super::declare::operators;
use super::elementwise::check_shape;
use crate::dtype::{promote, promote_scalar};
use crate::error::{Result, invalid};
use crate::objects::Scalar;
use crate::program::Attr::{Int, Type};
use crate::program::Program;
use crate::view::{View, broadcast};

operators! {
    "bitwise_and_tensor" { /// out = bits that are set in both self and other.
        aclnnBitwiseAndTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| binary(p, "bitwise_and", &a, &b, &o);
        /// self = bits that are set in both self and other.
        aclnnInplaceBitwiseAndTensor(selfRef: Ref, other: Tensor) => |p, a: View, b| binary(p, "bitwise_and", &a, &b, &a); }
    "bitwise_and_scalar" { /// out = bits that are set in both self and a scalar.
        aclnnBitwiseAndScalar(self_: Tensor, other: Scalar, out: Out) => |p, a, b, o| scalar(p, "bitwise_and_s", &a, b, &o);
        /// self = bits that are set in both self and a scalar.
        aclnnInplaceBitwiseAndScalar(selfRef: Ref, other: Scalar) => |p, a: View, b| scalar(p, "bitwise_and_s", &a, b, &a); }
    "bitwise_or_tensor" { /// out = bits that are set in self or other.
        aclnnBitwiseOrTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| binary(p, "bitwise_or", &a, &b, &o);
        /// self = bits that are set in self or other.
        aclnnInplaceBitwiseOrTensor(selfRef: Ref, other: Tensor) => |p, a: View, b| binary(p, "bitwise_or", &a, &b, &a); }
    "bitwise_or_scalar" { /// out = bits that are set in self or a scalar.
        aclnnBitwiseOrScalar(self_: Tensor, other: Scalar, out: Out) => |p, a, b, o| scalar(p, "bitwise_or_s", &a, b, &o);
        /// self = bits that are set in self or a scalar.
        aclnnInplaceBitwiseOrScalar(selfRef: Ref, other: Scalar) => |p, a: View, b| scalar(p, "bitwise_or_s", &a, b, &a); }
    "bitwise_xor_tensor" { /// out = bits that differ between self and other.
        aclnnBitwiseXorTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| binary(p, "bitwise_xor", &a, &b, &o);
        /// self = bits that differ between self and other.
        aclnnInplaceBitwiseXorTensor(selfRef: Ref, other: Tensor) => |p, a: View, b| binary(p, "bitwise_xor", &a, &b, &a); }
    "bitwise_xor_scalar" { /// out = bits that differ between self and a scalar.
        aclnnBitwiseXorScalar(self_: Tensor, other: Scalar, out: Out) => |p, a, b, o| scalar(p, "bitwise_xor_s", &a, b, &o);
        /// self = bits that differ between self and a scalar.
        aclnnInplaceBitwiseXorScalar(selfRef: Ref, other: Scalar) => |p, a: View, b| scalar(p, "bitwise_xor_s", &a, b, &a); }
    "bitwise_not" { /// out = the bits of self flipped; a boolean negated.
        aclnnBitwiseNot(self_: Tensor, out: Out) => not; }
    "left_shift" { /// out = self shifted left by shiftBits.
        aclnnLeftShift(self_: Tensor, shiftBits: Tensor, out: Out) => |p, a, b, o| binary(p, "shift_left", &a, &b, &o); }
    "left_shift" { /// out = self shifted left by a scalar.
        aclnnLeftShifts(self_: Tensor, shiftBits: Scalar, out: Out) => |p, a, b, o| scalar(p, "shift_left_s", &a, b, &o); }
    "right_shift" { /// out = input shifted right by shiftBits, with its sign.
        aclnnRightShift(input: Tensor, shiftBits: Tensor, out: Out) => |p, a, b, o| binary(p, "shift_right", &a, &b, &o); }
    "gcd" { /// out = greatest common divisor of self and other.
        aclnnGcd(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| binary(p, "gcd", &a, &b, &o); }
}

fn need_bits(name: &str, v: &View) -> Result<()> {
    if v.dtype.is_float() { Err(invalid!("{name} has type {:?}; integers or Bool are needed", v.dtype)) } else { Ok(()) }
}

fn binary(p: &mut Program, k: &'static str, a: &View, b: &View, out: &View) -> Result<()> {
    [("self", a), ("other", b), ("out", out)].iter().try_for_each(|(name, v)| need_bits(name, v))?;
    check_shape(out, &broadcast(&a.dims, &b.dims)?)?;
    let (x, y) = (a.expand(&out.dims)?, b.expand(&out.dims)?);
    p.launch(k, &[out], &[&x, &y], &[Type(promote(a.dtype, b.dtype))])
}

fn scalar(p: &mut Program, k: &'static str, a: &View, s: Scalar, out: &View) -> Result<()> {
    [("self", a), ("out", out)].iter().try_for_each(|(name, v)| need_bits(name, v))?;
    if s.dtype.is_float() {
        return Err(invalid!("other has type {:?}; an integer or Bool is needed", s.dtype));
    }
    check_shape(out, &a.dims)?;
    p.launch(k, &[out], &[a], &[Type(promote_scalar(a.dtype, s.dtype)), Int(s.int)])
}

fn not(p: &mut Program, a: View, out: View) -> Result<()> {
    need_bits("self", &a)?;
    check_shape(&out, &a.dims)?;
    p.launch("bitwise_not", &[&out], &[&a], &[])
}
