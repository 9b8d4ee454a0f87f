//! Functions of one value, element by element.

use super::declare::operators;
use super::elementwise as el;
use crate::view::View;

operators! {
    "neg" { /// out = -self.
        aclnnNeg(self_: Tensor, out: Out) => |p, a, o| el::unary(p, "neg", &a, &o);
        /// self = -self.
        aclnnInplaceNeg(selfRef: Ref) => |p, a: View| el::unary(p, "neg", &a, &a); }
    "abs" { /// out = |self|.
        aclnnAbs(self_: Tensor, out: Out) => |p, a, o| el::magnitude(p, &a, &o); }
    "sign" { /// out = -1, 0 or 1.
        aclnnSign(self_: Tensor, out: Out) => |p, a, o| el::unary(p, "sign", &a, &o); }
    "exp" { /// out = e to the power of self.
        aclnnExp(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "exp", &a, &o);
        /// self = e to the power of self.
        aclnnInplaceExp(selfRef: Ref) => |p, a: View| el::float_unary(p, "exp", &a, &a); }
    "log" { /// out = natural logarithm of self.
        aclnnLog(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "log", &a, &o);
        /// self = natural logarithm of self.
        aclnnInplaceLog(selfRef: Ref) => |p, a: View| el::float_unary(p, "log", &a, &a); }
    "sqrt" { /// out = square root of self.
        aclnnSqrt(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "sqrt", &a, &o);
        /// self = square root of self.
        aclnnInplaceSqrt(selfRef: Ref) => |p, a: View| el::float_unary(p, "sqrt", &a, &a); }
    "rsqrt" { /// out = 1 / square root of self.
        aclnnRsqrt(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "rsqrt", &a, &o);
        /// self = 1 / square root of self.
        aclnnInplaceRsqrt(selfRef: Ref) => |p, a: View| el::float_unary(p, "rsqrt", &a, &a); }
    "reciprocal" { /// out = 1 / self.
        aclnnReciprocal(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "reciprocal", &a, &o);
        /// self = 1 / self.
        aclnnInplaceReciprocal(selfRef: Ref) => |p, a: View| el::float_unary(p, "reciprocal", &a, &a); }
    "erf" { /// out = error function of self.
        aclnnErf(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "erf", &a, &o); }
    "sin" { /// out = sine of self.
        aclnnSin(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "sin", &a, &o);
        /// self = sine of self.
        aclnnInplaceSin(inputRef: Ref) => |p, a: View| el::float_unary(p, "sin", &a, &a); }
    "cos" { /// out = cosine of self.
        aclnnCos(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "cos", &a, &o);
        /// self = cosine of self.
        aclnnInplaceCos(inputRef: Ref) => |p, a: View| el::float_unary(p, "cos", &a, &a); }
    "floor" { /// out = largest integer not above self.
        aclnnFloor(self_: Tensor, out: Out) => |p, a, o| el::unary(p, "floor", &a, &o); }
    "ceil" { /// out = smallest integer not below self.
        aclnnCeil(self_: Tensor, out: Out) => |p, a, o| el::unary(p, "ceil", &a, &o); }
    "round" { /// out = nearest integer, ties to even.
        aclnnRound(self_: Tensor, out: Out) => |p, a, o| el::unary(p, "round", &a, &o); }
    "trunc" { /// out = self without its fraction.
        aclnnTrunc(self_: Tensor, out: Out) => |p, a, o| el::unary(p, "trunc", &a, &o); }
}
