//! The operators. One line each: name, arguments, and the function that writes its program.
//!
//! Argument kinds are the types of [`kinds`]; `Out` and `Ref` are tensors that the operator writes. To add an
//! operator, add its line under its header and, if no builder fits, a builder in the family's file. Then
//! `VINCI_BLESS=1 cargo test -p opapi headers` writes the C header anew.

mod elementwise;
mod kinds;
mod linear;
mod loss;
mod movement;
mod reduce;

use crate::executor;
use kinds::*;
use std::ffi::c_void;

/// An operator as the header shows it.
#[cfg(test)]
pub struct Declaration {
    /// C name.
    pub name: &'static str,
    /// File in aclnnop/, without `aclnn_` and `.h`.
    pub header: &'static str,
    /// Sentence for the header.
    pub doc: &'static str,
    /// C type and name of each argument.
    pub args: &'static [(&'static str, &'static str)],
}

macro_rules! operators {
    ($($header:literal { $($(#[doc = $doc:literal])+ $name:ident($($arg:ident: $kind:ident),*) => $build:expr;)* })*) => {
        $($( paste::paste! {
            #[doc = "Phase 1."]
            $(#[doc = $doc])+
            ///
            /// # Safety
            /// Unless they are null, `workspace_size` and `executor` can be written.
            #[unsafe(no_mangle)]
            #[allow(non_snake_case)]
            pub unsafe extern "C" fn [<$name GetWorkspaceSize>](
                $($arg: <$kind as Kind>::C,)*
                workspace_size: *mut u64,
                executor: *mut *mut c_void,
            ) -> i32 {
                // SAFETY: by this function's contract.
                unsafe {
                    executor::prepare(stringify!($name), workspace_size, executor, |program| {
                        $(let $arg = <$kind as Kind>::get(stringify!($arg), $arg)?;)*
                        ($build)(program, $($arg),*)
                    })
                }
            }

            /// Phase 2: launches what phase 1 prepared on `stream`.
            #[unsafe(no_mangle)]
            pub extern "C" fn $name(
                workspace: *mut c_void,
                workspace_size: u64,
                executor: *mut c_void,
                stream: *mut c_void,
            ) -> i32 {
                executor::run(stringify!($name), workspace, workspace_size, executor, stream)
            }
        } )*)*

        /// All operators, for the headers.
        #[cfg(test)]
        pub const DECLARATIONS: &[Declaration] = &[$($( Declaration {
            name: stringify!($name),
            header: $header,
            doc: concat!($($doc),+),
            args: &[$((<$kind as Kind>::C_TYPE, stringify!($arg))),*],
        } ),*),*];
    };
}

use elementwise as el;

operators! {
    "add" {
        /// out = self + alpha * other.
        aclnnAdd(self_: Tensor, other: Tensor, alpha: Scalar, out: Out) => |p, a, b, s, o| el::arithmetic(p, "add", &a, &b, Some(s), &o);
        /// self += alpha * other.
        aclnnInplaceAdd(selfRef: Ref, other: Tensor, alpha: Scalar) => |p, a, b, s| el::in_place(p, "add", &a, &b, Some(s));
        /// out = self + alpha * other, with a scalar.
        aclnnAdds(self_: Tensor, other: Scalar, alpha: Scalar, out: Out) => |p, a, b, s, o| el::with_scalar(p, "add_s", &a, b, Some(s), &o);
        /// self += alpha * other, with a scalar.
        aclnnInplaceAdds(selfRef: Ref, other: Scalar, alpha: Scalar) => |p, a, b, s| el::with_scalar(p, "add_s", &a, b, Some(s), &a);
    }
    "sub" {
        /// out = self - alpha * other.
        aclnnSub(self_: Tensor, other: Tensor, alpha: Scalar, out: Out) => |p, a, b, s, o| el::arithmetic(p, "sub", &a, &b, Some(s), &o);
        /// self -= alpha * other.
        aclnnInplaceSub(selfRef: Ref, other: Tensor, alpha: Scalar) => |p, a, b, s| el::in_place(p, "sub", &a, &b, Some(s));
        /// out = self - alpha * other, with a scalar.
        aclnnSubs(self_: Tensor, other: Scalar, alpha: Scalar, out: Out) => |p, a, b, s, o| el::with_scalar(p, "sub_s", &a, b, Some(s), &o);
        /// self -= alpha * other, with a scalar.
        aclnnInplaceSubs(selfRef: Ref, other: Scalar, alpha: Scalar) => |p, a, b, s| el::with_scalar(p, "sub_s", &a, b, Some(s), &a);
    }
    "rsubs" {
        /// out = other - alpha * self, with a scalar.
        aclnnRsubs(self_: Tensor, other: Scalar, alpha: Scalar, out: Out) => |p, a, b, s, o| el::with_scalar(p, "rsub_s", &a, b, Some(s), &o);
    }
    "mul" {
        /// out = self * other.
        aclnnMul(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::arithmetic(p, "mul", &a, &b, None, &o);
        /// self *= other.
        aclnnInplaceMul(selfRef: Ref, other: Tensor) => |p, a, b| el::in_place(p, "mul", &a, &b, None);
        /// out = self * other, with a scalar.
        aclnnMuls(self_: Tensor, other: Scalar, out: Out) => |p, a, b, o| el::with_scalar(p, "mul_s", &a, b, None, &o);
        /// self *= other, with a scalar.
        aclnnInplaceMuls(selfRef: Ref, other: Scalar) => |p, a, b| el::with_scalar(p, "mul_s", &a, b, None, &a);
    }
    "div" {
        /// out = self / other; integers give floats.
        aclnnDiv(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::divide(p, &a, &b, 0, &o);
        /// self /= other.
        aclnnInplaceDiv(selfRef: Ref, other: Tensor) => |p, a: crate::view::View, b| el::divide(p, &a, &b, 0, &a);
        /// out = self / other, with a scalar.
        aclnnDivs(self_: Tensor, other: Scalar, out: Out) => |p, a, b, o| el::divide_by_scalar(p, &a, b, &o);
        /// self /= other, with a scalar.
        aclnnInplaceDivs(selfRef: Ref, other: Scalar) => |p, a: crate::view::View, b| el::divide_by_scalar(p, &a, b, &a);
        /// out = self / other; mode 0 true division, 1 towards zero, 2 towards minus infinity.
        aclnnDivMod(self_: Tensor, other: Tensor, mode: Int32, out: Out) => |p, a, b, m, o| el::divide(p, &a, &b, m, &o);
        /// self /= other, rounded as aclnnDivMod.
        aclnnInplaceDivMod(selfRef: Ref, other: Tensor, mode: Int32) => |p, a: crate::view::View, b, m| el::divide(p, &a, &b, m, &a);
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
        aclnnPowTensorScalar(self_: Tensor, exponent: Scalar, out: Out) => |p, a, b, o| el::with_scalar(p, "pow_s", &a, b, None, &o);
        /// self = self to the power of exponent.
        aclnnInplacePowTensorScalar(selfRef: Ref, exponent: Scalar) => |p, a, b| el::with_scalar(p, "pow_s", &a, b, None, &a);
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

    "eq_tensor" { /// out = self == other.
        aclnnEqTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::compare(p, "eq", &a, &b, &o); }
    "ne_tensor" { /// out = self != other.
        aclnnNeTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::compare(p, "ne", &a, &b, &o); }
    "lt_tensor" { /// out = self < other.
        aclnnLtTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::compare(p, "lt", &a, &b, &o); }
    "le_tensor" { /// out = self <= other.
        aclnnLeTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::compare(p, "le", &a, &b, &o); }
    "gt_tensor" { /// out = self > other.
        aclnnGtTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::compare(p, "gt", &a, &b, &o); }
    "ge_tensor" { /// out = self >= other.
        aclnnGeTensor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::compare(p, "ge", &a, &b, &o); }
    "eq_scalar" { /// out = self == other.
        aclnnEqScalar(self_: Tensor, other: Scalar, out: Out) => |p, a, b, o| el::compare_scalar(p, "eq_s", &a, b, &o); }
    "ne_scalar" { /// out = self != other.
        aclnnNeScalar(self_: Tensor, other: Scalar, out: Out) => |p, a, b, o| el::compare_scalar(p, "ne_s", &a, b, &o); }
    "lt_scalar" { /// out = self < other.
        aclnnLtScalar(self_: Tensor, other: Scalar, out: Out) => |p, a, b, o| el::compare_scalar(p, "lt_s", &a, b, &o); }
    "le_scalar" { /// out = self <= other.
        aclnnLeScalar(self_: Tensor, other: Scalar, out: Out) => |p, a, b, o| el::compare_scalar(p, "le_s", &a, b, &o); }
    "gt_scalar" { /// out = self > other.
        aclnnGtScalar(self_: Tensor, other: Scalar, out: Out) => |p, a, b, o| el::compare_scalar(p, "gt_s", &a, b, &o); }
    "ge_scalar" { /// out = self >= other.
        aclnnGeScalar(self_: Tensor, other: Scalar, out: Out) => |p, a, b, o| el::compare_scalar(p, "ge_s", &a, b, &o); }
    "logical_and" { /// out = self and other.
        aclnnLogicalAnd(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::logical(p, "logical_and", &a, &b, &o); }
    "logical_or" { /// out = self or other.
        aclnnLogicalOr(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::logical(p, "logical_or", &a, &b, &o); }
    "logical_xor" { /// out = either self or other.
        aclnnLogicalXor(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::logical(p, "logical_xor", &a, &b, &o); }
    "logical_not" { /// out = not self.
        aclnnLogicalNot(self_: Tensor, out: Out) => |p, a, o| el::unary(p, "logical_not", &a, &o); }

    "neg" { /// out = -self.
        aclnnNeg(self_: Tensor, out: Out) => |p, a, o| el::unary(p, "neg", &a, &o);
        /// self = -self.
        aclnnInplaceNeg(selfRef: Ref) => |p, a: crate::view::View| el::unary(p, "neg", &a, &a); }
    "abs" { /// out = |self|.
        aclnnAbs(self_: Tensor, out: Out) => |p, a, o| el::unary(p, "abs", &a, &o); }
    "sign" { /// out = -1, 0 or 1.
        aclnnSign(self_: Tensor, out: Out) => |p, a, o| el::unary(p, "sign", &a, &o); }
    "exp" { /// out = e to the power of self.
        aclnnExp(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "exp", &a, &o);
        /// self = e to the power of self.
        aclnnInplaceExp(selfRef: Ref) => |p, a: crate::view::View| el::float_unary(p, "exp", &a, &a); }
    "log" { /// out = natural logarithm of self.
        aclnnLog(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "log", &a, &o);
        /// self = natural logarithm of self.
        aclnnInplaceLog(selfRef: Ref) => |p, a: crate::view::View| el::float_unary(p, "log", &a, &a); }
    "sqrt" { /// out = square root of self.
        aclnnSqrt(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "sqrt", &a, &o);
        /// self = square root of self.
        aclnnInplaceSqrt(selfRef: Ref) => |p, a: crate::view::View| el::float_unary(p, "sqrt", &a, &a); }
    "rsqrt" { /// out = 1 / square root of self.
        aclnnRsqrt(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "rsqrt", &a, &o);
        /// self = 1 / square root of self.
        aclnnInplaceRsqrt(selfRef: Ref) => |p, a: crate::view::View| el::float_unary(p, "rsqrt", &a, &a); }
    "reciprocal" { /// out = 1 / self.
        aclnnReciprocal(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "reciprocal", &a, &o);
        /// self = 1 / self.
        aclnnInplaceReciprocal(selfRef: Ref) => |p, a: crate::view::View| el::float_unary(p, "reciprocal", &a, &a); }
    "relu" { /// out = self where it is positive, else 0.
        aclnnRelu(self_: Tensor, out: Out) => |p, a, o| el::unary(p, "relu", &a, &o);
        /// self = self where it is positive, else 0.
        aclnnInplaceRelu(selfRef: Ref) => |p, a: crate::view::View| el::unary(p, "relu", &a, &a); }
    "sigmoid" { /// out = 1 / (1 + e to the power of -self).
        aclnnSigmoid(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "sigmoid", &a, &o);
        /// self = 1 / (1 + e to the power of -self).
        aclnnInplaceSigmoid(selfRef: Ref) => |p, a: crate::view::View| el::float_unary(p, "sigmoid", &a, &a); }
    "tanh" { /// out = hyperbolic tangent of self.
        aclnnTanh(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "tanh", &a, &o);
        /// self = hyperbolic tangent of self.
        aclnnInplaceTanh(selfRef: Ref) => |p, a: crate::view::View| el::float_unary(p, "tanh", &a, &a); }
    "silu" { /// out = self * sigmoid(self).
        aclnnSilu(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "silu", &a, &o); }
    "gelu" { /// out = self * (1 + erf(self / sqrt 2)) / 2.
        aclnnGelu(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "gelu", &a, &o); }
    "erf" { /// out = error function of self.
        aclnnErf(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "erf", &a, &o); }
    "sin" { /// out = sine of self.
        aclnnSin(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "sin", &a, &o); }
    "cos" { /// out = cosine of self.
        aclnnCos(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "cos", &a, &o); }
    "floor" { /// out = largest integer not above self.
        aclnnFloor(self_: Tensor, out: Out) => |p, a, o| el::unary(p, "floor", &a, &o); }
    "ceil" { /// out = smallest integer not below self.
        aclnnCeil(self_: Tensor, out: Out) => |p, a, o| el::unary(p, "ceil", &a, &o); }
    "round" { /// out = nearest integer, ties to even.
        aclnnRound(self_: Tensor, out: Out) => |p, a, o| el::unary(p, "round", &a, &o); }
    "trunc" { /// out = self without its fraction.
        aclnnTrunc(self_: Tensor, out: Out) => |p, a, o| el::unary(p, "trunc", &a, &o); }
    "threshold_backward" { /// out = gradOutput where self is above the threshold, else 0: the gradient of relu.
        aclnnThresholdBackward(gradOutput: Tensor, self_: Tensor, threshold: Scalar, out: Out) => el::threshold_backward; }
    "clamp" { /// out = self limited to clipValueMin..=clipValueMax; either may be null.
        aclnnClamp(self_: Tensor, clipValueMin: OptScalar, clipValueMax: OptScalar, out: Out) => el::clamp; }
    "addcmul" { /// out = self + value * tensor1 * tensor2.
        aclnnAddcmul(self_: Tensor, tensor1: Tensor, tensor2: Tensor, value: Scalar, out: Out) => |p, a, b, c, v, o| el::addc(p, "addcmul", &a, &b, &c, v, &o);
        /// self += value * tensor1 * tensor2.
        aclnnInplaceAddcmul(selfRef: Ref, tensor1: Tensor, tensor2: Tensor, value: Scalar) => |p, a: crate::view::View, b, c, v| el::addc(p, "addcmul", &a, &b, &c, v, &a); }
    "addcdiv" { /// out = self + value * tensor1 / tensor2.
        aclnnAddcdiv(self_: Tensor, tensor1: Tensor, tensor2: Tensor, value: Scalar, out: Out) => |p, a, b, c, v, o| el::addc(p, "addcdiv", &a, &b, &c, v, &o);
        /// self += value * tensor1 / tensor2.
        aclnnInplaceAddcdiv(selfRef: Ref, tensor1: Tensor, tensor2: Tensor, value: Scalar) => |p, a: crate::view::View, b, c, v| el::addc(p, "addcdiv", &a, &b, &c, v, &a); }
    "lerp" { /// out = self + weight * (end - self).
        aclnnLerps(self_: Tensor, end: Tensor, weight: Scalar, out: Out) => |p, a, b, w, o| el::lerp(p, &a, &b, w, &o);
        /// self += weight * (end - self).
        aclnnInplaceLerps(selfRef: Ref, end: Tensor, weight: Scalar) => |p, a: crate::view::View, b, w| el::lerp(p, &a, &b, w, &a); }
    "s_where" { /// out = self where condition holds, else other.
        aclnnSWhere(condition: Tensor, self_: Tensor, other: Tensor, out: Out) => el::select; }

    "matmul" { /// out = self @ mat2 of vectors, matrices and batches, as numpy's matmul.
        aclnnMatmul(self_: Tensor, mat2: Tensor, out: Out, cubeMathType: Int8) => linear::matmul; }
    "mm" { /// out = self @ mat2 of two matrices.
        aclnnMm(self_: Tensor, mat2: Tensor, out: Out, cubeMathType: Int8) => linear::mm; }
    "batch_matmul" { /// out = self @ mat2 of batches of matrices.
        aclnnBatchMatMul(self_: Tensor, mat2: Tensor, out: Out, cubeMathType: Int8) => linear::bmm; }
    "addmm" { /// out = beta * self + alpha * mat1 @ mat2.
        aclnnAddmm(self_: Tensor, mat1: Tensor, mat2: Tensor, beta: Scalar, alpha: Scalar, out: Out, cubeMathType: Int8) => linear::addmm;
        /// self = beta * self + alpha * mat1 @ mat2.
        aclnnInplaceAddmm(selfRef: Ref, mat1: Tensor, mat2: Tensor, beta: Scalar, alpha: Scalar, cubeMathType: Int8) =>
            |p, c: crate::view::View, a, b, beta, alpha, t| linear::addmm(p, c.clone(), a, b, beta, alpha, c, t); }
    "baddbmm" { /// out = beta * self + alpha * batch1 @ batch2.
        aclnnBaddbmm(self_: Tensor, batch1: Tensor, batch2: Tensor, beta: Scalar, alpha: Scalar, out: Out, cubeMathType: Int8) => linear::baddbmm; }

    "softmax" { /// out = softmax of self along dim.
        aclnnSoftmax(self_: Tensor, dim: Int, out: Out) => |p, a, d, o| loss::softmax(p, "softmax", &a, d, &o); }
    "log_softmax" { /// out = logarithm of the softmax of self along dim.
        aclnnLogSoftmax(self_: Tensor, dim: Int, out: Out) => |p, a, d, o| loss::softmax(p, "log_softmax", &a, d, &o); }
    "softmax_backward" { /// out = gradient of softmax, from its output.
        aclnnSoftmaxBackward(gradOutput: Tensor, output: Tensor, dim: Int, out: Out) => |p, g, y, d, o| loss::softmax_backward(p, "softmax_backward", &g, &y, d, &o); }
    "log_softmax_backward" { /// out = gradient of log-softmax, from its output.
        aclnnLogSoftmaxBackward(gradOutput: Tensor, output: Tensor, dim: Int, out: Out) => |p, g, y, d, o| loss::softmax_backward(p, "log_softmax_backward", &g, &y, d, &o); }
    "nll_loss" { /// Negative log likelihood of target; reduction 0 none, 1 mean, 2 sum.
        aclnnNLLLoss(self_: Tensor, target: Tensor, weight: Tensor, reduction: Int, ignoreIndex: Int, out: Out, totalWeightOut: Out) => loss::nll_loss; }
    "nll_loss_backward" { /// Gradient of aclnnNLLLoss.
        aclnnNLLLossBackward(gradOutput: Tensor, self_: Tensor, target: Tensor, weight: Tensor, reduction: Int, ignoreIndex: Int, totalWeight: Tensor, out: Out) => loss::nll_loss_backward; }

    "reduce_sum" { /// out = sum over dims (all if there are none), computed in dtype.
        aclnnReduceSum(self_: Tensor, dims: Ints, keepDims: Bool, dtype: Type, out: Out) => |p, a, d: std::sync::Arc<[i64]>, k, t, o| reduce::reduce(p, "reduce_sum", &a, &d, k, Some(t), &o); }
    "mean" { /// out = mean over dim (all if there are none), computed in dtype.
        aclnnMean(self_: Tensor, dim: Ints, keepDim: Bool, dtype: Type, out: Out) => |p, a, d: std::sync::Arc<[i64]>, k, t, o| reduce::mean(p, &a, &d, k, t, &o); }
    "amax" { /// out = maximum over dim.
        aclnnAmax(self_: Tensor, dim: Ints, keepDim: Bool, out: Out) => |p, a, d: std::sync::Arc<[i64]>, k, o| reduce::reduce(p, "reduce_max", &a, &d, k, None, &o); }
    "amin" { /// out = minimum over dim.
        aclnnAmin(self_: Tensor, dim: Ints, keepDim: Bool, out: Out) => |p, a, d: std::sync::Arc<[i64]>, k, o| reduce::reduce(p, "reduce_min", &a, &d, k, None, &o); }
    "max" { /// out = maximum of all elements.
        aclnnMax(self_: Tensor, out: Out) => |p, a, o| reduce::reduce(p, "reduce_max", &a, &[], false, None, &o); }
    "min" { /// out = minimum of all elements.
        aclnnMin(self_: Tensor, out: Out) => |p, a, o| reduce::reduce(p, "reduce_min", &a, &[], false, None, &o); }
    "all" { /// out = whether all elements along dim are true.
        aclnnAll(self_: Tensor, dim: Ints, keepdim: Bool, out: Out) => |p, a, d: std::sync::Arc<[i64]>, k, o| reduce::reduce(p, "reduce_all", &a, &d, k, None, &o); }
    "any" { /// out = whether any element along dim is true.
        aclnnAny(self_: Tensor, dim: Ints, keepdim: Bool, out: Out) => |p, a, d: std::sync::Arc<[i64]>, k, o| reduce::reduce(p, "reduce_any", &a, &d, k, None, &o); }
    "argmax" { /// out = index of the maximum along dim; the first of equals, and of NaNs.
        aclnnArgMax(self_: Tensor, dim: Int, keepdim: Bool, out: Out) => |p, a, d, k, o| reduce::arg(p, "argmax", &a, d, k, &o); }
    "argmin" { /// out = index of the minimum along dim; the first of equals, and of NaNs.
        aclnnArgMin(self_: Tensor, dim: Int, keepdim: Bool, out: Out) => |p, a, d, k, o| reduce::arg(p, "argmin", &a, d, k, &o); }

    "cast" { /// out = self in another type.
        aclnnCast(self_: Tensor, dtype: Type, out: Out) => movement::cast; }
    "copy" { /// self = src, broadcast and cast.
        aclnnInplaceCopy(selfRef: Ref, src: Tensor) => |p, o, a| movement::copy(p, &a, &o); }
    "fill_scalar" { /// self = value.
        aclnnInplaceFillScalar(selfRef: Ref, value: Scalar) => movement::fill; }
    "zero" { /// self = 0.
        aclnnInplaceZero(selfRef: Ref) => |p, o| movement::fill(p, o, movement::constant(0)); }
    "one" { /// self = 1.
        aclnnInplaceOne(selfRef: Ref) => |p, o| movement::fill(p, o, movement::constant(1)); }
    "permute" { /// out = self with its dimensions in another order.
        aclnnPermute(self_: Tensor, dims: Ints, out: Out) => |p, a, d: std::sync::Arc<[i64]>, o| movement::permute(p, &a, &d, &o); }
    "cat" { /// out = tensors one behind the other along dim.
        aclnnCat(tensors: Tensors, dim: Int, out: Out) => |p, t: Vec<_>, d, o| movement::cat(p, &t, d, &o); }
    "stack" { /// out = tensors along a new dimension.
        aclnnStack(tensors: Tensors, dim: Int, out: Out) => |p, t: Vec<_>, d, o| movement::stack(p, &t, d, &o); }
    "arange" { /// out = start, start + step, … up to end.
        aclnnArange(start: Scalar, end: Scalar, step: Scalar, out: Out) => movement::arange; }
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
