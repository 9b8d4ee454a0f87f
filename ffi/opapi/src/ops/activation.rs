//! Activations of neural networks.

use super::declare::operators;
use super::elementwise as el;
use crate::dims::Dims;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::objects::Scalar;
use crate::program::{Attr, Program};
use crate::view::{View, wrap_dim};

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
    "gelu_v2" { /// y = x times the normal distribution at x; approximate 0 exactly, 1 by the hyperbolic tangent.
        aclnnGeluV2(x: Tensor, approximate: Int, y: Out) => |p, x, a, y| act(p, gelu(a)?, &x, [], &y); }
    "fast_gelu" { /// out = self * sigmoid(1.702 * self).
        aclnnFastGelu(self_: Tensor, out: Out) => |p, a, o| act(p, "fast_gelu", &a, [], &o); }
    "leaky_relu" { /// out = self, times negativeSlope where it is negative.
        aclnnLeakyRelu(self_: Tensor, negativeSlope: Scalar, out: Out) => |p, a, s: Scalar, o| act(p, "leaky_relu", &a, [s.float], &o);
        /// self = self, times negativeSlope where it is negative.
        aclnnInplaceLeakyRelu(selfRef: Ref, negativeSlope: Scalar) => |p, a: View, s: Scalar| act(p, "leaky_relu", &a, [s.float], &a); }
    "elu" { /// out = scale * self, or scale * alpha * (e to the power of inputScale * self - 1) where self is not positive.
        aclnnElu(self_: Tensor, alpha: Scalar, scale: Scalar, inputScale: Scalar, out: Out) => |p, a, x, y, z, o| elu(p, &a, [x, y, z], &o);
        /// As aclnnElu, in place.
        aclnnInplaceElu(selfRef: Ref, alpha: Scalar, scale: Scalar, inputScale: Scalar) => |p, a: View, x, y, z| elu(p, &a, [x, y, z], &a); }
    "celu" { /// out = self, or alpha * (e to the power of self / alpha - 1) where self is not positive.
        aclnnCelu(self_: Tensor, alpha: Scalar, out: Out) => |p, a, s: Scalar, o| act(p, "celu", &a, [s.float], &o);
        /// As aclnnCelu, in place.
        aclnnInplaceCelu(selfRef: Ref, alpha: Scalar) => |p, a: View, s: Scalar| act(p, "celu", &a, [s.float], &a); }
    "softplus" { /// out = ln(1 + e to the power of beta * self) / beta; self where beta * self is above the threshold.
        aclnnSoftplus(self_: Tensor, beta: Scalar, threshold: Scalar, out: Out) => |p, a, b: Scalar, t: Scalar, o| act(p, "softplus", &a, [b.float, t.float], &o); }
    "threshold" { /// out = self, or value where self is not above the threshold.
        aclnnThreshold(self_: Tensor, threshold: Scalar, value: Scalar, out: Out) => |p, a, t, v, o| above(p, &a, t, v, &o);
        /// As aclnnThreshold, in place.
        aclnnInplaceThreshold(selfRef: Ref, threshold: Scalar, value: Scalar) => |p, a: View, t, v| above(p, &a, t, v, &a); }
    "hardsigmoid" { /// out = (self + 3) / 6, limited to 0 and 1.
        aclnnHardsigmoid(self_: Tensor, out: Out) => |p, a, o| act(p, "hard_sigmoid", &a, [], &o);
        /// As aclnnHardsigmoid, in place.
        aclnnInplaceHardsigmoid(self_: Tensor) => |p, a: View| act(p, "hard_sigmoid", &a, [], &a); }
    "hardswish" { /// out = self * ((self + 3) / 6, limited to 0 and 1).
        aclnnHardswish(self_: Tensor, out: Tensor) => |p, a, o| act(p, "hard_swish", &a, [], &o);
        /// As aclnnHardswish, in place.
        aclnnInplaceHardswish(self_: Tensor) => |p, a: View| act(p, "hard_swish", &a, [], &a); }
    "hardtanh" { /// out = self limited to clipValueMin..=clipValueMax.
        aclnnHardtanh(self_: Tensor, clipValueMin: Scalar, clipValueMax: Scalar, out: Out) => |p, a, l, h, o| el::clamp(p, a, Some(l), Some(h), o);
        /// As aclnnHardtanh, in place.
        aclnnInplaceHardtanh(selfRef: Ref, clipValueMin: Scalar, clipValueMax: Scalar) => |p, a: View, l, h| el::clamp(p, a.clone(), Some(l), Some(h), a); }
    "hardshrink" { /// out = self, or 0 where it lies within -lambd..=lambd.
        aclnnHardshrink(self_: Tensor, lambd: Scalar, out: Out) => |p, a, l: Scalar, o| act(p, "hard_shrink", &a, [l.float], &o); }
    "softshrink" { /// out = self moved towards 0 by lambd.
        aclnnSoftshrink(self_: Tensor, lambd: Scalar, out: Out) => |p, a, l: Scalar, o| act(p, "soft_shrink", &a, [l.float], &o); }
    "logsigmoid" { /// out = logarithm of sigmoid(self).
        aclnnLogSigmoid(self_: Tensor, out: Out) => |p, a, o| act(p, "log_sigmoid", &a, [], &o);
        /// out = logarithm of sigmoid(self); buffer, for the gradient, is not needed and left as it is.
        aclnnLogSigmoidForward(self_: Tensor, out: Out, buffer: OptOut) => |p, a, o, _| act(p, "log_sigmoid", &a, [], &o); }
    "mish" { /// out = self * tanh(ln(1 + e to the power of self)).
        aclnnMish(self_: Tensor, out: Out) => |p, a, o| act(p, "mish", &a, [], &o);
        /// As aclnnMish, in place.
        aclnnInplaceMish(selfRef: Ref) => |p, a: View| act(p, "mish", &a, [], &a); }
    "prelu" { /// out = self, times weight (one, or one for each channel) where it is negative.
        aclnnPrelu(self_: Tensor, weight: Tensor, out: Out) => prelu; }
    "swi_glu" { /// out = silu of the first half of x along dim, times the second half.
        aclnnSwiGlu(x: Tensor, dim: Int, out: Tensor) => |p, x, d, o| { let [a, b] = halves(&x, d)?; gate(p, "gate_silu", &a, &b, &o) }; }
    "glu" { /// out = the first half of self along dim, times sigmoid of the second half.
        aclnnGlu(self_: Tensor, dim: Int, out: Tensor) => |p, x, d, o| { let [a, b] = halves(&x, d)?; gate(p, "gate_sigmoid", &b, &a, &o) }; }
    "geglu" { /// out = the first half of self along dim times outGelu, which is gelu of the second half; approximate 0 exactly, 1 by tanh.
        aclnnGeGlu(self_: Tensor, dim: Int, approximate: Int, out: Out, outGelu: Out) => |p, x, d, a, o, g| geglu(p, &x, d, a, false, &o, &g);
        /// As aclnnGeGlu; activateLeft takes gelu of the first half instead.
        aclnnGeGluV3(self_: Tensor, dim: Int, approximate: Int, activateLeft: Bool, out: Out, outGelu: Out) => |p, x, d, a, l, o, g| geglu(p, &x, d, a, l, &o, &g); }
}

/// out = f(a) of floats, with parameters.
pub fn act<const N: usize>(
    p: &mut Program,
    k: &'static str,
    a: &View,
    parameters: [f64; N],
    out: &View,
) -> Result<()> {
    el::check_shape(out, &a.dims)?;
    if !a.dtype.is_float() || !out.dtype.is_float() {
        return Err(invalid!("self has type {:?} and out {:?}; floats are needed", a.dtype, out.dtype));
    }
    p.launch(k, &[out], &[a], &parameters.map(Attr::Float))
}

fn elu(p: &mut Program, a: &View, parameters: [Scalar; 3], out: &View) -> Result<()> {
    act(p, "elu", a, parameters.map(|s| s.float), out)
}

/// Also of integers.
fn above(p: &mut Program, a: &View, threshold: Scalar, value: Scalar, out: &View) -> Result<()> {
    if a.dtype.is_float() {
        return act(p, "threshold", a, [threshold.float, value.float], out);
    }
    el::check_shape(out, &a.dims)?;
    let (above, constant) = (p.temporary(DType::Bool, &a.dims), p.temporary(a.dtype, &a.dims));
    el::compare_scalar(p, "gt_s", a, threshold, &above)?;
    super::movement::fill(p, constant.clone(), value)?;
    p.launch("where", &[out], &[&above, a, &constant], &[])
}

fn prelu(p: &mut Program, a: View, weight: View, out: View) -> Result<()> {
    let n = weight.elements();
    // A vector, or in the form of the input: [1, C, 1, …].
    let long: Vec<usize> = (0..weight.rank()).filter(|&d| weight.dims[d] != 1).collect();
    if long.len() > 1 || n != 1 && (a.rank() < 2 || a.dims[1] != n) {
        return Err(invalid!("weight has shape {:?}; one, or one for each channel of {:?}", weight.dims, a.dims));
    }
    let mut shape = vec![1; a.rank()];
    if n != 1 {
        shape[1] = n;
    }
    let mut w = View { dims: shape.into(), strides: Dims::repeated(0, a.rank()), ..weight.clone() };
    if let Some(&d) = long.first() {
        w.strides[1] = weight.strides[d];
    }
    let (positive, scaled) = (p.temporary(DType::Bool, &a.dims), p.temporary(a.dtype, &a.dims));
    let zero = super::movement::constant(0);
    el::compare_scalar(p, "gt_s", &a, zero, &positive)?;
    el::arithmetic(p, "mul", &a, &w, None, &scaled)?;
    el::check_shape(&out, &a.dims)?;
    p.launch("where", &[&out], &[&positive, &a, &scaled], &[])
}

/// The kernel of a way to compute gelu.
fn gelu(approximate: i64) -> Result<&'static str> {
    match approximate {
        0 => Ok("gelu_erf"),
        1 => Ok("gelu_tanh"),
        _ => Err(invalid!("approximate is {approximate}; 0 (none) and 1 (tanh) are known")),
    }
}

/// Both halves of a tensor along a dimension.
fn halves(x: &View, dim: i64) -> Result<[View; 2]> {
    let d = wrap_dim(dim, x.rank())?;
    if x.rank() == 0 || x.dims[d] % 2 != 0 {
        return Err(invalid!("dimension {dim} of shape {:?} has no halves", x.dims));
    }
    let half = x.dims[d] / 2;
    Ok([x.narrow(d, 0, half, 1), x.narrow(d, half, half, 1)])
}

/// out = f(a) * b of floats.
fn gate(p: &mut Program, k: &'static str, a: &View, b: &View, out: &View) -> Result<()> {
    el::check_shape(out, &a.dims)?;
    if !a.dtype.is_float() || !out.dtype.is_float() {
        return Err(invalid!("self has type {:?} and out {:?}; floats are needed", a.dtype, out.dtype));
    }
    p.launch(k, &[out], &[a, b], &[])
}

fn geglu(p: &mut Program, x: &View, dim: i64, approximate: i64, left: bool, out: &View, gelu_out: &View) -> Result<()> {
    let [first, second] = halves(x, dim)?;
    let (a, b) = if left { (first, second) } else { (second, first) };
    act(p, gelu(approximate)?, &a, [], gelu_out)?;
    gate(p, if approximate == 1 { "gate_gelu_tanh" } else { "gate_gelu_erf" }, &a, &b, out)
}
