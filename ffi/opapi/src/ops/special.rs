//! Mathematical functions beyond the elementary ones, and tests for special values.

use super::declare::operators;
use super::elementwise::check_shape;
use super::pointwise::{floats, pointwise};
use crate::dtype::DType;
use crate::error::Result;
use crate::objects::Scalar;
use crate::program::Program;
use crate::view::View;

operators! {
    "acos" { /// out = arc cosine of self.
        aclnnAcos(self_: Tensor, out: Out) => |p, a, o| f(p, "acos", &a, &o);
        /// self = arc cosine of self.
        aclnnInplaceAcos(selfRef: Ref) => |p, a: View| f(p, "acos", &a, &a); }
    "acosh" { /// out = inverse hyperbolic cosine of self.
        aclnnAcosh(self_: Tensor, out: Out) => |p, a, o| f(p, "acosh", &a, &o);
        /// self = inverse hyperbolic cosine of self.
        aclnnInplaceAcosh(selfRef: Ref) => |p, a: View| f(p, "acosh", &a, &a); }
    "asin" { /// out = arc sine of self.
        aclnnAsin(self_: Tensor, out: Out) => |p, a, o| f(p, "asin", &a, &o);
        /// self = arc sine of self.
        aclnnInplaceAsin(selfRef: Ref) => |p, a: View| f(p, "asin", &a, &a); }
    "asinh" { /// out = inverse hyperbolic sine of self.
        aclnnAsinh(self_: Tensor, out: Out) => |p, a, o| f(p, "asinh", &a, &o);
        /// self = inverse hyperbolic sine of self.
        aclnnInplaceAsinh(selfRef: Ref) => |p, a: View| f(p, "asinh", &a, &a); }
    "atan" { /// out = arc tangent of self.
        aclnnAtan(self_: Tensor, out: Out) => |p, a, o| f(p, "atan", &a, &o);
        /// self = arc tangent of self.
        aclnnInplaceAtan(selfRef: Ref) => |p, a: View| f(p, "atan", &a, &a); }
    "atanh" { /// out = inverse hyperbolic tangent of self.
        aclnnAtanh(self_: Tensor, out: Out) => |p, a, o| f(p, "atanh", &a, &o);
        /// self = inverse hyperbolic tangent of self.
        aclnnInplaceAtanh(selfRef: Ref) => |p, a: View| f(p, "atanh", &a, &a); }
    "cosh" { /// out = hyperbolic cosine of self.
        aclnnCosh(self_: Tensor, out: Out) => |p, a, o| f(p, "cosh", &a, &o);
        /// self = hyperbolic cosine of self.
        aclnnInplaceCosh(selfRef: Ref) => |p, a: View| f(p, "cosh", &a, &a); }
    "sinh" { /// out = hyperbolic sine of self.
        aclnnSinh(self_: Tensor, out: Out) => |p, a, o| f(p, "sinh", &a, &o);
        /// self = hyperbolic sine of self.
        aclnnInplaceSinh(selfRef: Ref) => |p, a: View| f(p, "sinh", &a, &a); }
    "tan" { /// out = tangent of self.
        aclnnTan(self_: Tensor, out: Out) => |p, a, o| f(p, "tan", &a, &o);
        /// self = tangent of self.
        aclnnInplaceTan(selfRef: Ref) => |p, a: View| f(p, "tan", &a, &a); }
    "erfc" { /// out = 1 - error function of self.
        aclnnErfc(self_: Tensor, out: Out) => |p, a, o| f(p, "erfc", &a, &o);
        /// self = 1 - error function of self.
        aclnnInplaceErfc(selfRef: Ref) => |p, a: View| f(p, "erfc", &a, &a); }
    "erfinv" { /// out = inverse error function of self.
        aclnnErfinv(self_: Tensor, out: Out) => |p, a, o| f(p, "erfinv", &a, &o);
        /// self = inverse error function of self.
        aclnnInplaceErfinv(selfRef: Ref) => |p, a: View| f(p, "erfinv", &a, &a); }
    "exp2" { /// out = 2 to the power of self.
        aclnnExp2(self_: Tensor, out: Out) => |p, a, o| f(p, "exp2", &a, &o);
        /// self = 2 to the power of self.
        aclnnInplaceExp2(selfRef: Ref) => |p, a: View| f(p, "exp2", &a, &a); }
    "expm1" { /// out = e to the power of self, less 1.
        aclnnExpm1(self_: Tensor, out: Out) => |p, a, o| f(p, "expm1", &a, &o);
        /// self = e to the power of self, less 1.
        aclnnInplaceExpm1(selfRef: Ref) => |p, a: View| f(p, "expm1", &a, &a); }
    "log10" { /// out = logarithm of self to base 10.
        aclnnLog10(self_: Tensor, out: Out) => |p, a, o| f(p, "log10", &a, &o);
        /// self = logarithm of self to base 10.
        aclnnInplaceLog10(selfRef: Ref) => |p, a: View| f(p, "log10", &a, &a); }
    "log1p" { /// out = logarithm of 1 + self.
        aclnnLog1p(self_: Tensor, out: Out) => |p, a, o| f(p, "log1p", &a, &o);
        /// self = logarithm of 1 + self.
        aclnnInplaceLog1p(selfRef: Ref) => |p, a: View| f(p, "log1p", &a, &a); }
    "log2" { /// out = logarithm of self to base 2.
        aclnnLog2(self_: Tensor, out: Out) => |p, a, o| f(p, "log2", &a, &o);
        /// self = logarithm of self to base 2.
        aclnnInplaceLog2(selfRef: Ref) => |p, a: View| f(p, "log2", &a, &a); }
    "sinc" { /// out = sin(pi self) / (pi self).
        aclnnSinc(self_: Tensor, out: Out) => |p, a, o| f(p, "sinc", &a, &o);
        /// self = sin(pi self) / (pi self).
        aclnnInplaceSinc(selfRef: Ref) => |p, a: View| f(p, "sinc", &a, &a); }
    "frac" { /// out = self less its integer part.
        aclnnFrac(self_: Tensor, out: Out) => |p, a, o| f(p, "frac", &a, &o);
        /// self = self less its integer part.
        aclnnInplaceFrac(selfRef: Ref) => |p, a: View| f(p, "frac", &a, &a); }
    "nan_to_num" { /// out = self with NaN and infinities replaced.
        aclnnNanToNum(self_: Tensor, nan: Float, posinf: Float, neginf: Float, out: Out) => |p, a, n, x, y, o| nan_to_num(p, &a, [n, x, y], &o);
        /// self = self with NaN and infinities replaced.
        aclnnInplaceNanToNum(selfRef: Ref, nan: Float, posinf: Float, neginf: Float) => |p, a: View, n, x, y| nan_to_num(p, &a, [n, x, y], &a); }
    "isfinite" { /// out = whether self is neither infinite nor NaN.
        aclnnIsFinite(self_: Tensor, out: Out) => |p, a, o| test(p, "is_finite", &a, &o); }
    "is_inf" { /// out = whether self is infinite.
        aclnnIsInf(self_: Tensor, out: Out) => |p, a, o| test(p, "is_inf", &a, &o); }
    "isneginf" { /// out = whether self is minus infinity.
        aclnnIsNegInf(self_: Tensor, out: Out) => |p, a, o| test(p, "is_neg_inf", &a, &o); }
    "isposinf" { /// out = whether self is plus infinity.
        aclnnIsPosInf(self_: Tensor, out: Out) => |p, a, o| test(p, "is_pos_inf", &a, &o); }
    "signbit" { /// out = whether the sign bit of self is set.
        aclnnSignbit(self_: Tensor, out: Out) => |p, a, o| test(p, "sign_bit", &a, &o); }
    "isclose" { /// out = whether self and other are the same within atol + rtol * |other|.
        aclnnIsClose(self_: Tensor, other: Tensor, rtol: Double, atol: Double, equal_nan: Bool, out: Out) => |p, a, b, r: f64, t: f64, n, o| pointwise(p, "is_close", &[&a, &b], &[r, t, f64::from(u8::from(n))], &o); }
    "x_log_y_tensor" { /// out = self * log(other); 0 where self is 0.
        aclnnXLogYTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| floats(p, "xlogy", &[&a, &b], &[], &o);
        /// self = self * log(other); 0 where self is 0.
        aclnnInplaceXLogYTensor(selfRef: Ref, other: Tensor) => |p, a: View, b| floats(p, "xlogy", &[&a, &b], &[], &a); }
    "x_log_y_scalar_self" { /// out = self * log(other) of a scalar self.
        aclnnXLogYScalarSelf(self_: Scalar, other: Tensor, out: Out) => |p: &mut Program, a: Scalar, b: View, o| {
            let a = super::pointwise::constant(p, a.float, &b.dims)?;
            floats(p, "xlogy", &[&a, &b], &[], &o)
        }; }
    "x_log_y_scalar_other" { /// out = self * log(other) of a scalar other.
        aclnnXLogYScalarOther(self_: Tensor, other: Scalar, out: Out) => |p, a, b, o| xlogy_scalar(p, &a, b, &o);
        /// self = self * log(other) of a scalar other.
        aclnnInplaceXLogYScalarOther(selfRef: Ref, other: Scalar) => |p, a: View, b| xlogy_scalar(p, &a, b, &a); }
    "logaddexp" { /// out = log(e^self + e^other).
        aclnnLogAddExp(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| floats(p, "log_add_exp", &[&a, &b], &[], &o); }
    "logaddexp2" { /// out = log2(2^self + 2^other).
        aclnnLogAddExp2(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| floats(p, "log_add_exp2", &[&a, &b], &[], &o); }
    "masked_scale" { /// out = self * mask * scale.
        aclnnMaskedScale(self_: Tensor, mask: Tensor, scale: Float, out: Out) => |p, a, m, s: f32, o| floats(p, "masked_scale", &[&a, &m], &[f64::from(s)], &o); }
}

fn f(p: &mut Program, k: &'static str, a: &View, out: &View) -> Result<()> {
    floats(p, k, &[a], &[], out)
}

/// Integers beyond float32 are still told from infinities and zeros.
fn test(p: &mut Program, k: &'static str, a: &View, out: &View) -> Result<()> {
    if out.dtype == DType::Bool {
        return pointwise(p, k, &[a], &[], out);
    }
    check_shape(out, &a.dims)?;
    let answer = p.temporary(DType::Bool, &a.dims);
    pointwise(p, k, &[a], &[], &answer)?;
    super::movement::copy(p, &answer, out)
}

fn nan_to_num(p: &mut Program, a: &View, values: [f32; 3], out: &View) -> Result<()> {
    if !a.dtype.is_float() {
        return super::movement::copy(p, a, out);
    }
    floats(p, "nan_to_num", &[a], &values.map(f64::from), out)
}

fn xlogy_scalar(p: &mut Program, a: &View, other: Scalar, out: &View) -> Result<()> {
    let other = super::pointwise::constant(p, other.float, &a.dims)?;
    floats(p, "xlogy", &[a, &other], &[], out)
}
