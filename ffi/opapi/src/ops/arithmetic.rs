//! Arithmetic, element by element.

use super::declare::operators;
use super::elementwise as el;
use crate::view::View;

operators! {
    "add" {
        /// out = self + alpha * other.
        aclnnAdd(self_: Tensor, other: Tensor, alpha: Number, out: Out) => |p, a, b, s, o| el::arithmetic(p, "add", &a, &b, Some(s), &o);
        /// self += alpha * other.
        aclnnInplaceAdd(selfRef: Ref, other: Tensor, alpha: Number) => |p, a, b, s| el::in_place(p, "add", &a, &b, Some(s));
        /// out = self + alpha * other, with a scalar.
        aclnnAdds(self_: Tensor, other: Number, alpha: Number, out: Out) => |p, a, b, s, o| el::with_scalar(p, "add_s", &a, b, Some(s), &o);
        /// self += alpha * other, with a scalar.
        aclnnInplaceAdds(selfRef: Ref, other: Number, alpha: Number) => |p, a, b, s| el::with_scalar(p, "add_s", &a, b, Some(s), &a);
    }
    "sum" {
        /// out = the sum of tensors, element by element.
        aclnnSum(tensors: Tensors, out: Out) => el::sum_of_tensors;
    }
    "sub" {
        /// out = self - alpha * other.
        aclnnSub(self_: Tensor, other: Tensor, alpha: Number, out: Out) => |p, a, b, s, o| el::arithmetic(p, "sub", &a, &b, Some(s), &o);
        /// self -= alpha * other.
        aclnnInplaceSub(selfRef: Ref, other: Tensor, alpha: Number) => |p, a, b, s| el::in_place(p, "sub", &a, &b, Some(s));
        /// out = self - alpha * other, with a scalar.
        aclnnSubs(self_: Tensor, other: Number, alpha: Number, out: Out) => |p, a, b, s, o| el::with_scalar(p, "sub_s", &a, b, Some(s), &o);
        /// self -= alpha * other, with a scalar.
        aclnnInplaceSubs(selfRef: Ref, other: Number, alpha: Number) => |p, a, b, s| el::with_scalar(p, "sub_s", &a, b, Some(s), &a);
    }
    "rsubs" {
        /// out = other - alpha * self, with a scalar.
        aclnnRsubs(self_: Tensor, other: Number, alpha: Number, out: Out) => |p, a, b, s, o| el::with_scalar(p, "rsub_s", &a, b, Some(s), &o);
    }
    "mul" {
        /// out = self * other.
        aclnnMul(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::arithmetic(p, "mul", &a, &b, None, &o);
        /// self *= other.
        aclnnInplaceMul(selfRef: Ref, other: Tensor) => |p, a, b| el::in_place(p, "mul", &a, &b, None);
        /// out = self * other, with a scalar.
        aclnnMuls(self_: Tensor, other: Number, out: Out) => |p, a, b, o| el::with_scalar(p, "mul_s", &a, b, None, &o);
        /// self *= other, with a scalar.
        aclnnInplaceMuls(selfRef: Ref, other: Number) => |p, a, b| el::with_scalar(p, "mul_s", &a, b, None, &a);
    }
    "div" {
        /// out = self / other; integers give floats.
        aclnnDiv(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::divide(p, &a, &b, 0, &o);
        /// self /= other.
        aclnnInplaceDiv(selfRef: Ref, other: Tensor) => |p, a: View, b| el::divide(p, &a, &b, 0, &a);
        /// out = self / other, with a scalar.
        aclnnDivs(self_: Tensor, other: Number, out: Out) => |p, a, b, o| el::divide_by_scalar(p, &a, b, &o);
        /// self /= other, with a scalar.
        aclnnInplaceDivs(selfRef: Ref, other: Number) => |p, a: View, b| el::divide_by_scalar(p, &a, b, &a);
        /// out = self / other; mode 0 true division, 1 towards zero, 2 towards minus infinity.
        aclnnDivMod(self_: Tensor, other: Tensor, mode: Int32, out: Out) => |p, a, b, m, o| el::divide(p, &a, &b, m, &o);
        /// self /= other, rounded as aclnnDivMod.
        aclnnInplaceDivMod(selfRef: Ref, other: Tensor, mode: Int32) => |p, a: View, b, m| el::divide(p, &a, &b, m, &a);
    }
    "maximum" {
        /// out = the larger of self and other; NaN if either is.
        aclnnMaximum(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::arithmetic(p, "maximum", &a, &b, None, &o);
    }
    "minimum" {
        /// out = the smaller of self and other; NaN if either is.
        aclnnMinimum(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::arithmetic(p, "minimum", &a, &b, None, &o);
    }
    "pow" {
        /// out = self to the power of exponent.
        aclnnPowTensorScalar(self_: Tensor, exponent: Number, out: Out) => |p, a, b, o| el::with_scalar(p, "pow_s", &a, b, None, &o);
        /// self = self to the power of exponent.
        aclnnInplacePowTensorScalar(selfRef: Ref, exponent: Number) => |p, a, b| el::with_scalar(p, "pow_s", &a, b, None, &a);
    }
    "pow" {
        /// out = self to the power of exponent, with a scalar base.
        aclnnPowScalarTensor(self_: Number, exponent: Tensor, out: Tensor) => el::power_of_scalar;
    }
    "pow_tensor_tensor" {
        /// out = self to the power of exponent.
        aclnnPowTensorTensor(self_: Tensor, exponent: Tensor, out: Out) => |p, a, b, o| el::arithmetic(p, "pow", &a, &b, None, &o);
        /// self = self to the power of exponent.
        aclnnInplacePowTensorTensor(selfRef: Ref, exponent: Tensor) => |p, a, b| el::in_place(p, "pow", &a, &b, None);
    }
    "remainder" {
        /// out = remainder with the sign of other.
        aclnnRemainderTensorTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::arithmetic(p, "remainder", &a, &b, None, &o);
    }
    "fmod_tensor" {
        /// out = remainder with the sign of self.
        aclnnFmodTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::arithmetic(p, "fmod", &a, &b, None, &o);
    }
    "atan2" {
        /// out = angle of the point (other, self).
        aclnnAtan2(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::float_binary(p, "atan2", &a, &b, &o);
    }
    "clamp" {
        /// out = self, at least clipValueMin.
        aclnnClampMin(self_: Tensor, clipValueMin: Scalar, out: Out) => |p, a, l, o| el::clamp(p, a, Some(l), None, o);
        /// out = self, at most clipValueMax.
        aclnnClampMax(self_: Tensor, clipValueMax: Scalar, out: Out) => |p, a, h, o| el::clamp(p, a, None, Some(h), o);
        /// self = self, at most clipValueMax.
        aclnnInplaceClampMax(selfRef: Ref, clipValueMax: Scalar) => |p, a: View, h| el::clamp(p, a.clone(), None, Some(h), a);
        /// self = self, at least clipValueMin.
        aclnnInplaceClampMin(selfRef: Ref, clipValueMin: Scalar) => |p, a: View, l| el::clamp(p, a.clone(), Some(l), None, a);
        /// out = self, at least clipValueMin.
        aclnnClampMinTensor(self_: Tensor, clipValueMin: Tensor, out: Out) => |p, a, l, o| el::arithmetic(p, "maximum", &a, &l, None, &o);
        /// out = self, at most max.
        aclnnClampMaxTensor(self_: Tensor, max: Tensor, out: Out) => |p, a, h, o| el::arithmetic(p, "minimum", &a, &h, None, &o);
 /// out = self limited to clipValueMin..=clipValueMax; either may be null.
        aclnnClamp(self_: Tensor, clipValueMin: OptScalar, clipValueMax: OptScalar, out: Out) => el::clamp; }
    "addcmul" { /// out = self + value * tensor1 * tensor2.
        aclnnAddcmul(self_: Tensor, tensor1: Tensor, tensor2: Tensor, value: Scalar, out: Out) => |p, a, b, c, v, o| el::addc(p, "addcmul", &a, &b, &c, v, &o);
        /// self += value * tensor1 * tensor2.
        aclnnInplaceAddcmul(selfRef: Ref, tensor1: Tensor, tensor2: Tensor, value: Scalar) => |p, a: View, b, c, v| el::addc(p, "addcmul", &a, &b, &c, v, &a); }
    "addcdiv" { /// out = self + value * tensor1 / tensor2.
        aclnnAddcdiv(self_: Tensor, tensor1: Tensor, tensor2: Tensor, value: Scalar, out: Out) => |p, a, b, c, v, o| el::addc(p, "addcdiv", &a, &b, &c, v, &o);
        /// self += value * tensor1 / tensor2.
        aclnnInplaceAddcdiv(selfRef: Ref, tensor1: Tensor, tensor2: Tensor, value: Scalar) => |p, a: View, b, c, v| el::addc(p, "addcdiv", &a, &b, &c, v, &a); }
    "lerp" { /// out = self + weight * (end - self).
        aclnnLerps(self_: Tensor, end: Tensor, weight: Scalar, out: Out) => |p, a, b, w, o| el::lerp(p, &a, &b, w, &o);
        /// self += weight * (end - self).
        aclnnInplaceLerps(selfRef: Ref, end: Tensor, weight: Scalar) => |p, a: View, b, w| el::lerp(p, &a, &b, w, &a); }
    "s_where" { /// out = self where condition holds, else other.
        aclnnSWhere(condition: Tensor, self_: Tensor, other: Tensor, out: Out) => el::select; }
}
