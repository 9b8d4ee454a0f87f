//! Further activations, alone and as gates.

use super::declare::operators;
use super::elementwise::{arithmetic, check_shape, compare, select};
use super::loss::need_float;
use super::pointwise::floats;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::objects::Scalar;
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::{View, wrap_dim};

operators! {
    "selu" { /// out = scale * (self where that is positive, else alpha * (e to the power of self - 1)).
        aclnnSelu(self_: Tensor, out: Out) => |p, x, o| selu(p, &x, &o);
        /// As aclnnSelu, in place.
        aclnnInplaceSelu(selfRef: Ref) => |p, x: View| selu(p, &x, &x); }
    "selu_backward" { /// gradInput = gradient of selu, from its result.
        aclnnSeluBackward(gradOutput: Tensor, result: Tensor, gradInput: Out) => |p, g, y, o| floats(p, "elu_backward", &[&g, &y], &[SELU_ALPHA, SELU_SCALE, 1.0, 1.0], &o); }
    "hard_shrink" { /// out = self, or 0 where it lies within -lambd..=lambd.
        aclnnHardShrink(self_: Tensor, lambd: Scalar, out: Out) => |p: &mut Program, x: View, l: Scalar, o: View| {
            need_float("self", &x)?;
            check_shape(&o, &x.dims)?;
            p.launch("hard_shrink", &[&o], &[&x], &[Float(l.float)])
        }; }
    "shrink" { /// out = self nearer to 0 by bias, 0 where it lies within -lambd..=lambd.
        aclnnShrink(self_: Tensor, lambd: Scalar, bias: Scalar, out: Out) => |p, x, l: Scalar, b: Scalar, o| floats(p, "shrink", &[&x], &[l.float, b.float], &o); }
    "softsign" { /// out = self / (1 + |self|).
        aclnnSoftsign(self_: Tensor, out: Tensor) => |p, x, o| floats(p, "softsign", &[&x], &[], &o); }
    "swish" { /// out = self * sigmoid(beta * self).
        aclnnSwish(self_: Tensor, betaOptional: OptScalar, out: Out) => |p: &mut Program, x: View, b: Option<Scalar>, o: View| {
            need_float("self", &x)?;
            check_shape(&o, &x.dims)?;
            p.launch("swish", &[&o], &[&x], &[Float(b.map_or(1.0, |b| b.float))])
        }; }
    "swish_backward" { /// gradInput = gradient of self * sigmoid(beta * self).
        aclnnSwishBackward(gradOutput: Tensor, self_: Tensor, betaOptional: OptScalar, gradInput: Out) =>
            |p, g, x, b: Option<Scalar>, o| floats(p, "swish_backward", &[&g, &x], &[b.map_or(1.0, |b| b.float)], &o); }
    "silu_mul" { /// out = silu of x, times y.
        aclnnSiluMul(x: Tensor, y: Tensor, out: Tensor) => |p: &mut Program, x: View, y: View, o: View| {
            need_float("x", &x)?;
            check_shape(&y, &x.dims)?;
            check_shape(&o, &x.dims)?;
            p.launch("gate_silu", &[&o], &[&x, &y], &[])
        }; }
    "gelu_mul" { /// out = gelu (none: exactly, tanh: by it) of the first half of input along the last dimension, times the second half.
        aclnnGeluMul(input: Tensor, approximateOptional: Text, out: Tensor) => |p: &mut Program, x: View, a: String, o: View| {
            let kernel = match &a[..] {
                "none" | "" => "gate_gelu_erf",
                "tanh" => "gate_gelu_tanh",
                _ => return Err(invalid!("approximate {a}; none and tanh are known")),
            };
            need_float("input", &x)?;
            let [a, b] = halves(&x, -1, false)?;
            check_shape(&o, &a.dims)?;
            p.launch(kernel, &[&o], &[&a, &b], &[])
        }; }
    "geglu_backward" { /// gradInput = gradient of aclnnGeGlu, from the gelu of its second half.
        aclnnGeGluBackward(gradOutput: Tensor, self_: Tensor, gelu: Tensor, dim: Int, approximate: Int, gradInput: Out) =>
            |p, g, x, y, d, a, o| geglu_gradient(p, g, x, y, d, a, false, o);
        /// As aclnnGeGluBackward; activateLeft has the gelu of the first half instead.
        aclnnGeGluV3Backward(gradOutput: Tensor, self_: Tensor, gelu: Tensor, dim: Int, approximate: Int, activateLeft: Bool, gradInput: Out) => geglu_gradient; }
    "clipped_swiglu" { /// out = a * sigmoid(alpha * a) * (b + bias), a (at most limit) and b (within limit) being the halves of x along dim, or its even and odd elements.
        aclnnClippedSwiglu(x: Tensor, groupIndexOptional: OptTensor, dim: Int, alpha: Double, limit: Double, bias: Double, interleaved: Bool, out: Tensor) => clipped; }
    "scaled_masked_softmax" { /// y = softmax along the last dimension of scale * x where mask does not hold.
        aclnnScaledMaskedSoftmax(x: Tensor, mask: Tensor, scale: Double, fixedTriuMask: Bool, y: Out) => masked_softmax; }
    "scaled_masked_softmax_backward" { /// out = gradient of aclnnScaledMaskedSoftmax, from its result.
        aclnnScaledMaskedSoftmaxBackward(gradOutput: Tensor, y: Tensor, mask: Tensor, scale: Double, fixTriuMask: Bool, out: Out) => masked_softmax_gradient; }
}

const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

fn selu(p: &mut Program, x: &View, out: &View) -> Result<()> {
    need_float("self", x)?;
    check_shape(out, &x.dims)?;
    p.launch("elu", &[out], &[x], &[SELU_ALPHA, SELU_SCALE, 1.0].map(Float))
}

/// The two halves of a dimension, or its even and odd indices.
fn halves(x: &View, dim: i64, neighbours: bool) -> Result<[View; 2]> {
    let d = wrap_dim(dim, x.rank())?;
    if x.rank() == 0 || x.dims[d] % 2 != 0 {
        return Err(invalid!("dimension {dim} of shape {:?} has no halves", x.dims));
    }
    let n = x.dims[d] / 2;
    Ok(if neighbours { [x.narrow(d, 0, n, 2), x.narrow(d, 1, n, 2)] } else { [x.narrow(d, 0, n, 1), x.narrow(d, n, n, 1)] })
}

#[allow(clippy::too_many_arguments)] // CANN's
fn geglu_gradient(p: &mut Program, g: View, x: View, gelu: View, dim: i64, approximate: i64, left: bool, out: View) -> Result<()> {
    check_shape(&out, &x.dims)?;
    let kernel = match approximate {
        0 => "gelu_backward",
        1 => "gelu_tanh_backward",
        _ => return Err(invalid!("approximate {approximate}; 0 (none) and 1 (tanh) are known")),
    };
    let ([first, second], [to_first, to_second]) = (halves(&x, dim, false)?, halves(&out, dim, false)?);
    let (act, other, to_act, to_other) =
        if left { (first, second, to_first, to_second) } else { (second, first, to_second, to_first) };
    check_shape(&g, &act.dims)?;
    check_shape(&gelu, &act.dims)?;
    arithmetic(p, "mul", &g, &gelu, None, &to_other)?;
    let slope = p.temporary(DType::F32, &act.dims);
    arithmetic(p, "mul", &g, &other, None, &slope)?;
    floats(p, kernel, &[&slope, &act], &[], &to_act)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn clipped(
    p: &mut Program,
    x: View,
    groups: Option<View>,
    dim: i64,
    alpha: f64,
    limit: f64,
    bias: f64,
    neighbours: bool,
    out: View,
) -> Result<()> {
    need_float("x", &x)?;
    need_float("out", &out)?;
    let [first, second] = halves(&x, dim, neighbours)?;
    check_shape(&out, &first.dims)?;
    let [a, b] = [(); 2].map(|()| p.temporary(DType::F32, &first.dims));
    p.launch("minimum_s", &[&a], &[&first], &[Type(DType::F32), Float(limit), Int(0)])?;
    p.launch("swish", &[&a], &[&a], &[Float(alpha)])?;
    p.launch("clamp", &[&b], &[&second], &[Float(-limit), Float(limit)])?;
    p.launch("add_s", &[&b], &[&b], &[Type(DType::F32), Float(bias), Int(0)])?;
    let Some(groups) = groups else { return arithmetic(p, "mul", &a, &b, None, &out) };
    // The rows behind those of the groups stay what they are.
    if groups.dtype != DType::I64 || groups.rank() != 1 {
        return Err(invalid!("groupIndex has shape {:?} and type {:?}", groups.dims, groups.dtype));
    }
    let d = wrap_dim(dim, x.rank())?;
    let Some(to) = out.merged(0..d).filter(|_| d > 0) else {
        return Err(invalid!("dim {dim} of out {:?}: its rows are not equally spaced", out.dims));
    };
    let rows = to.dims[0];
    let [number, count] = [rows, 1].map(|n| p.temporary(DType::I64, &[n]));
    p.launch("arange", &[&number], &[], &[Float(0.0), Float(1.0), Int(0), Int(1)])?;
    p.launch("reduce_sum", &[&count], &[&groups], &[Type(DType::I64)])?;
    let named = p.temporary(DType::Bool, &[rows]);
    compare(p, "lt", &number, &count, &named)?;
    let y = p.temporary(out.dtype, &out.dims);
    arithmetic(p, "mul", &a, &b, None, &y)?;
    let y = y.reshaped(&to.dims);
    let mut named = named;
    for d in 1..to.rank() {
        named = named.unsqueeze(&[d]);
    }
    select(p, named, y, to.clone(), to)
}

/// Where scores do not count: `mask`, or what lies right of the diagonal.
fn hidden(p: &mut Program, x: &View, mask: &View, triangle: bool) -> Result<View> {
    if triangle {
        let band = p.temporary(DType::Bool, &x.dims);
        super::movement::fill(p, band.clone(), super::movement::constant(0))?;
        p.launch("band_fill", &[&band], &[], &[Float(1.0), Int(i64::MIN), Int(0)])?;
        return Ok(band);
    }
    if mask.dtype != DType::Bool {
        return Err(invalid!("mask has type {:?}; Bool is needed", mask.dtype));
    }
    mask.expand(&x.dims)
}

fn masked_softmax(p: &mut Program, x: View, mask: View, scale: f64, triangle: bool, y: View) -> Result<()> {
    need_float("x", &x)?;
    need_float("y", &y)?;
    check_shape(&y, &x.dims)?;
    if x.rank() < 2 {
        return Err(invalid!("x has shape {:?}", x.dims));
    }
    let mask = hidden(p, &x, &mask, triangle)?;
    let scores = p.temporary(DType::F32, &x.dims);
    p.launch("mul_s", &[&scores], &[&x], &[Type(DType::F32), Float(scale), Int(0)])?;
    // As the device has it: what is hidden counts as -10000.
    let low = super::pointwise::constant(p, -10_000.0, &x.dims)?;
    p.launch("where", &[&scores], &[&mask, &low, &scores], &[])?;
    p.launch("softmax", &[&y], &[&scores], &[Int(x.rank() as i64 - 1)])
}

fn masked_softmax_gradient(p: &mut Program, g: View, y: View, mask: View, scale: f64, triangle: bool, out: View) -> Result<()> {
    need_float("gradOutput", &g)?;
    check_shape(&g, &y.dims)?;
    check_shape(&out, &y.dims)?;
    if y.rank() < 2 {
        return Err(invalid!("y has shape {:?}", y.dims));
    }
    let mask = hidden(p, &y, &mask, triangle)?;
    let slope = p.temporary(DType::F32, &y.dims);
    p.launch("softmax_backward", &[&slope], &[&g, &y], &[Int(y.rank() as i64 - 1)])?;
    p.launch("mul_s", &[&slope], &[&slope], &[Type(DType::F32), Float(scale), Int(0)])?;
    let zero = super::pointwise::constant(p, 0.0, &y.dims)?;
    p.launch("where", &[&out], &[&mask, &zero, &slope], &[])
}
