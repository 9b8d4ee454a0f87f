//! Gradients of activations.

use super::declare::operators;
use super::elementwise::check_shape;
use super::pointwise::{floats, launch};
use crate::error::{Result, invalid};
use crate::objects::Scalar;
use crate::program::Program;
use crate::program::Attr::Type;
use crate::view::{View, wrap_dim};

operators! {
    "gelu_backward" { /// gradInput = gradient of gelu.
        aclnnGeluBackward(gradOutput: Tensor, self_: Tensor, gradInput: Out) => |p, g, x, o| floats(p, "gelu_backward", &[&g, &x], &[], &o); }
    "gelu_backward_v2" { /// gradInput = gradient of gelu; approximate is none or tanh.
        aclnnGeluBackwardV2(gradOutput: Tensor, self_: Tensor, approximate: Text, gradInput: Out) => |p, g, x, a: String, o| floats(p, gelu(&a, "gelu_backward", "gelu_tanh_backward")?, &[&g, &x], &[], &o); }
    "fast_gelu_backward" { /// gradInput = gradient of x * sigmoid(1.702 x).
        aclnnFastGeluBackward(gradOutput: Tensor, self_: Tensor, gradInput: Out) => |p, g, x, o| floats(p, "fast_gelu_backward", &[&g, &x], &[], &o); }
    "silu_backward" { /// gradInput = gradient of silu.
        aclnnSiluBackward(gradOutput: Tensor, self_: Tensor, gradInput: Out) => |p, g, x, o| floats(p, "silu_backward", &[&g, &x], &[], &o); }
    "sigmoid_backward" { /// gradInput = gradient of sigmoid, from its output.
        aclnnSigmoidBackward(gradOutput: Tensor, output: Tensor, gradInput: Out) => |p, g, y, o| floats(p, "sigmoid_backward", &[&g, &y], &[], &o); }
    "tanh_backward" { /// gradInput = gradient of tanh, from its output.
        aclnnTanhBackward(gradOutput: Tensor, output: Tensor, gradInput: Out) => |p, g, y, o| floats(p, "tanh_backward", &[&g, &y], &[], &o); }
    "elu_backward" { /// gradInput = gradient of elu, from its input or, if isResult, its output.
        aclnnEluBackward(gradOutput: Tensor, alpha: Scalar, scale: Scalar, inputScale: Scalar, isResult: Bool, selfOrResult: Tensor, gradInput: Out) => elu_backward; }
    "leaky_relu_backward" { /// out = gradient of leaky relu.
        aclnnLeakyReluBackward(gradOutput: Tensor, self_: Tensor, negativeSlope: Scalar, selfIsResult: Bool, out: Out) => |p, g, x, s: Scalar, _, o| floats(p, "leaky_relu_backward", &[&g, &x], &[s.float], &o); }
    "hardtanh_backward" { /// out = gradOutput where self lies between min and max, else 0.
        aclnnHardtanhBackward(gradOutput: Tensor, self_: Tensor, min: Scalar, max: Scalar, out: Out) => |p, g, x, a: Scalar, b: Scalar, o| floats(p, "hardtanh_backward", &[&g, &x], &[a.float, b.float], &o); }
    "hardsigmoid_backward" { /// out = gradient of hardsigmoid.
        aclnnHardsigmoidBackward(gradOutput: Tensor, self_: Tensor, out: Out) => |p, g, x, o| floats(p, "hardsigmoid_backward", &[&g, &x], &[], &o); }
    "hardswish_backward" { /// out = gradient of hardswish; at -3 and 3 the slope of between.
        aclnnHardswishBackward(gradOutput: Tensor, self_: Tensor, out: Out) => |p, g, x, o| floats(p, "hardswish_backward", &[&g, &x], &[], &o); }
    "hardswish_backward_v2" { /// As aclnnHardswishBackward; at -3 and 3 the slope of beyond.
        aclnnHardswishBackwardV2(gradOutput: Tensor, self_: Tensor, out: Out) => |p, g, x, o| floats(p, "hardswish_backward_v2", &[&g, &x], &[], &o); }
    "hardshrink_backward" { /// gradInput = gradOutput where |self| is above lambd, else 0.
        aclnnHardshrinkBackward(gradOutput: Tensor, self_: Tensor, lambd: Scalar, gradInput: Out) => |p, g, x, l: Scalar, o| floats(p, "shrink_backward", &[&g, &x], &[l.float], &o); }
    "softshrink_backward" { /// gradInput = gradOutput where |self| is above lambda, else 0.
        aclnnSoftshrinkBackward(gradOutput: Tensor, self_: Tensor, lambda: Scalar, gradInput: Out) => |p, g, x, l: Scalar, o| floats(p, "shrink_backward", &[&g, &x], &[l.float], &o); }
    "softplus_backward" { /// gradInput = gradient of softplus.
        aclnnSoftplusBackward(gradOutput: Tensor, self_: Tensor, beta: Scalar, threshold: Scalar, gradInput: Out) => |p, g, x, b: Scalar, t: Scalar, o| floats(p, "softplus_backward", &[&g, &x], &[b.float, t.float], &o); }
    "logsigmoid_backward" { /// gradInput = gradient of the logarithm of sigmoid; buffer is not needed.
        aclnnLogSigmoidBackward(gradOutput: Tensor, self_: Tensor, buffer: OptTensor, gradInput: Out) => |p, g, x, _, o| floats(p, "log_sigmoid_backward", &[&g, &x], &[], &o); }
    "mish_backward" { /// gradInput = gradient of mish.
        aclnnMishBackward(gradOutput: Tensor, self_: Tensor, gradInput: Out) => |p, g, x, o| floats(p, "mish_backward", &[&g, &x], &[], &o); }
    "logit_grad" { /// out = gradient of logit.
        aclnnLogitGrad(x: Tensor, dy: Tensor, eps: Double, out: Out) => |p, x, g, e: f64, o| floats(p, "logit_backward", &[&g, &x], &[e], &o); }
    "prelu_backward" { /// Gradients of prelu to its input and its weight.
        aclnnPreluBackward(gradOutput: Tensor, self_: Tensor, weight: Tensor, gradInput: Out, gradWeight: Out) => prelu_backward; }
    "glu_backward" { /// out = gradient of a * sigmoid(b), a and b the halves of self along dim.
        aclnnGluBackward(gradOut: Tensor, self_: Tensor, dim: Int, out: Out) => glu_backward; }
    "swi_glu_grad" { /// out = gradient of silu(a) * b, a and b the halves of x along dim.
        aclnnSwiGluGrad(yGrad: Tensor, x: Tensor, dim: Int, out: Out) => swiglu_backward; }
}

/// The kernel for an approximation of gelu.
pub fn gelu(approximate: &str, exact: &'static str, tanh: &'static str) -> Result<&'static str> {
    match approximate {
        "none" | "" => Ok(exact),
        "tanh" => Ok(tanh),
        _ => Err(invalid!("approximate {approximate:?}; none and tanh are known")),
    }
}

#[allow(clippy::too_many_arguments)] // CANN's
fn elu_backward(
    p: &mut Program,
    grad: View,
    alpha: Scalar,
    scale: Scalar,
    input_scale: Scalar,
    result: bool,
    x: View,
    out: View,
) -> Result<()> {
    let result = f64::from(u8::from(result));
    floats(p, "elu_backward", &[&grad, &x], &[alpha.float, scale.float, input_scale.float, result], &out)
}

fn prelu_backward(p: &mut Program, grad: View, x: View, weight: View, grad_x: View, grad_w: View) -> Result<()> {
    // The weight belongs to dimension 1, or to all elements.
    let mut shape = vec![1; x.rank()];
    if weight.elements() != 1 {
        if x.rank() < 2 || weight.elements() != x.dims[1] {
            return Err(invalid!("weight has shape {:?}; one for all or one for each of {:?}", weight.dims, x.dims));
        }
        shape[1] = weight.elements();
    }
    if !weight.is_dense() || !grad_w.is_dense() || grad_w.elements() != weight.elements() {
        return Err(invalid!("weight has shape {:?} and gradWeight {:?}; both must be dense", weight.dims, grad_w.dims));
    }
    let (w, gw) = (weight.reshaped(&shape), grad_w.reshaped(&shape));
    floats(p, "prelu_backward", &[&grad, &x, &w], &[], &grad_x)?;
    let terms = p.temporary(super::pointwise::common(&[&x]), &x.dims);
    launch(p, "prelu_weight", &[&grad, &x, &w], &[], &terms)?;
    p.launch("reduce_sum", &[&gw], &[&terms], &[Type(terms.dtype)])
}

/// The halves of a view along a dimension, in the forms of `grad`.
fn halves(x: &View, dim: i64, half: &View) -> Result<(View, View)> {
    let d = wrap_dim(dim, x.rank())?;
    if x.rank() == 0 || x.dims[d] % 2 != 0 {
        return Err(invalid!("dimension {d} of shape {:?} has no halves", x.dims));
    }
    let n = x.dims[d] / 2;
    let (a, b) = (x.narrow(d, 0, n, 1), x.narrow(d, n, n, 1));
    check_shape(half, &a.dims)?;
    Ok((a, b))
}

fn glu_backward(p: &mut Program, grad: View, x: View, dim: i64, out: View) -> Result<()> {
    check_shape(&out, &x.dims)?;
    let ((a, b), (ga, gb)) = (halves(&x, dim, &grad)?, halves(&out, dim, &grad)?);
    floats(p, "glu_value", &[&grad, &b], &[], &ga)?;
    floats(p, "glu_gate", &[&grad, &a, &b], &[], &gb)
}

fn swiglu_backward(p: &mut Program, grad: View, x: View, dim: i64, out: View) -> Result<()> {
    check_shape(&out, &x.dims)?;
    let ((a, b), (ga, gb)) = (halves(&x, dim, &grad)?, halves(&out, dim, &grad)?);
    floats(p, "swiglu_gate", &[&grad, &a, &b], &[], &ga)?;
    floats(p, "swiglu_value", &[&grad, &a], &[], &gb)
}
