//! Activations of neural networks.

use super::declare::operators;
use super::elementwise as el;
use crate::view::View;

operators! {
    "relu" { /// out = self where it is positive, else 0.
        aclnnRelu(self_: Tensor, out: Out) => |p, a, o| el::unary(p, "relu", &a, &o);
        /// self = self where it is positive, else 0.
        aclnnInplaceRelu(selfRef: Ref) => |p, a: View| el::unary(p, "relu", &a, &a); }
    "sigmoid" { /// out = 1 / (1 + e to the power of -self).
        aclnnSigmoid(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "sigmoid", &a, &o);
        /// self = 1 / (1 + e to the power of -self).
        aclnnInplaceSigmoid(selfRef: Ref) => |p, a: View| el::float_unary(p, "sigmoid", &a, &a); }
    "tanh" { /// out = hyperbolic tangent of self.
        aclnnTanh(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "tanh", &a, &o);
        /// self = hyperbolic tangent of self.
        aclnnInplaceTanh(selfRef: Ref) => |p, a: View| el::float_unary(p, "tanh", &a, &a); }
    "silu" { /// out = self * sigmoid(self).
        aclnnSilu(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "silu", &a, &o); }
    "gelu" { /// out = self * (1 + erf(self / sqrt 2)) / 2.
        aclnnGelu(self_: Tensor, out: Out) => |p, a, o| el::float_unary(p, "gelu", &a, &o); }
    "threshold_backward" { /// out = gradOutput where self is above the threshold, else 0: the gradient of relu.
        aclnnThresholdBackward(gradOutput: Tensor, self_: Tensor, threshold: Scalar, out: Out) => el::threshold_backward; }
}
