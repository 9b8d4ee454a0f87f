//! One operator over lists of tensors, as optimisers use them. Scalars come by value or in a tensor of one element.

use super::declare::operators;
use super::elementwise as el;
use super::pointwise::{floats, pointwise};
use crate::dims::Dims;
use crate::dtype::DType;
use crate::error::{Result, invalid};

use crate::objects::Scalar;
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::View;

operators! {
    "foreach_abs" { /// out = |x|, for each.
        aclnnForeachAbs(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| el::unary(p, "abs", x, o)); }
    "foreach_neg" { /// out = -x, for each.
        aclnnForeachNeg(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| el::unary(p, "neg", x, o)); }
    "foreach_sign" { /// out = sign of x, for each.
        aclnnForeachSign(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| el::unary(p, "sign", x, o)); }
    "foreach_copy" { /// out = x, for each.
        aclnnForeachCopy(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, super::movement::copy); }
    "foreach_exp" { /// out = e to the power of x, for each.
        aclnnForeachExp(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| el::float_unary(p, "exp", x, o)); }
    "foreach_log" { /// out = logarithm of x, for each.
        aclnnForeachLog(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| el::float_unary(p, "log", x, o)); }
    "foreach_sqrt" { /// out = square root of x, for each.
        aclnnForeachSqrt(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| el::float_unary(p, "sqrt", x, o)); }
    "foreach_reciprocal" { /// out = 1 / x, for each.
        aclnnForeachReciprocal(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| el::float_unary(p, "reciprocal", x, o)); }
    "foreach_sigmoid" { /// out = sigmoid of x, for each.
        aclnnForeachSigmoid(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| el::float_unary(p, "sigmoid", x, o)); }
    "foreach_tanh" { /// out = hyperbolic tangent of x, for each.
        aclnnForeachTanh(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| el::float_unary(p, "tanh", x, o)); }
    "foreach_sin" { /// out = sine of x, for each.
        aclnnForeachSin(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| el::float_unary(p, "sin", x, o)); }
    "foreach_cos" { /// out = cosine of x, for each.
        aclnnForeachCos(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| el::float_unary(p, "cos", x, o)); }
    "foreach_erf" { /// out = error function of x, for each.
        aclnnForeachErf(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| el::float_unary(p, "erf", x, o)); }
    "foreach_erfc" { /// out = 1 - error function of x, for each.
        aclnnForeachErfc(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| floats(p, "erfc", &[x], &[], o)); }
    "foreach_expm1" { /// out = e to the power of x, less 1, for each.
        aclnnForeachExpm1(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| floats(p, "expm1", &[x], &[], o)); }
    "foreach_log10" { /// out = logarithm of x to base 10, for each.
        aclnnForeachLog10(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| floats(p, "log10", &[x], &[], o)); }
    "foreach_log1p" { /// out = logarithm of 1 + x, for each.
        aclnnForeachLog1p(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| floats(p, "log1p", &[x], &[], o)); }
    "foreach_log2" { /// out = logarithm of x to base 2, for each.
        aclnnForeachLog2(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| floats(p, "log2", &[x], &[], o)); }
    "foreach_acos" { /// out = arc cosine of x, for each.
        aclnnForeachAcos(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| floats(p, "acos", &[x], &[], o)); }
    "foreach_asin" { /// out = arc sine of x, for each.
        aclnnForeachAsin(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| floats(p, "asin", &[x], &[], o)); }
    "foreach_atan" { /// out = arc tangent of x, for each.
        aclnnForeachAtan(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| floats(p, "atan", &[x], &[], o)); }
    "foreach_cosh" { /// out = hyperbolic cosine of x, for each.
        aclnnForeachCosh(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| floats(p, "cosh", &[x], &[], o)); }
    "foreach_sinh" { /// out = hyperbolic sine of x, for each.
        aclnnForeachSinh(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| floats(p, "sinh", &[x], &[], o)); }
    "foreach_tan" { /// out = tangent of x, for each.
        aclnnForeachTan(x: Tensors, out: OutTensors) => |p, x, o| each(p, x, o, |p, x, o| floats(p, "tan", &[x], &[], o)); }
    "foreach_zero_inplace" { /// x = 0, for each.
        aclnnForeachZeroInplace(x: OutTensors) => |p: &mut Program, x: Vec<View>| x.into_iter().try_for_each(|x| super::movement::fill(p, x, super::movement::constant(0))); }
    "foreach_round_off_number_v2" { /// out = x rounded: 1 nearest, 2 floor, 3 ceil, 4 trunc, 5 frac; for each.
        aclnnForeachRoundOffNumberV2(x: Tensors, roundMode: Scalar, out: OutTensors) => |p, x, m: Scalar, o| each(p, x, o, |p, x, o| round(p, m.int, x, o)); }

    "foreach_add_list_v2" { /// out = x1 + alpha * x2, for each.
        aclnnForeachAddListV2(x1: Tensors, x2: Tensors, alpha: Number, out: OutTensors) => |p, a, b, s: Scalar, o| pairs(p, a, b, o, |p, a, b, o| el::arithmetic(p, "add", a, b, Some(s), o)); }
    "foreach_sub_list_v2" { /// out = x1 - alpha * x2, for each.
        aclnnForeachSubListV2(x1: Tensors, x2: Tensors, alpha: Number, out: OutTensors) => |p, a, b, s: Scalar, o| pairs(p, a, b, o, |p, a, b, o| el::arithmetic(p, "sub", a, b, Some(s), o)); }
    "foreach_add_list" { /// out = x1 + alpha * x2, alpha in a tensor, for each.
        aclnnForeachAddList(x1: Tensors, x2: Tensors, alpha: Tensor, out: OutTensors) => |p, a, b, s: View, o| pairs(p, a, b, o, |p, a, b, o| scaled(p, "add", a, b, &s, o)); }
    "foreach_sub_list" { /// out = x1 - alpha * x2, alpha in a tensor, for each.
        aclnnForeachSubList(x1: Tensors, x2: Tensors, alpha: Tensor, out: OutTensors) => |p, a, b, s: View, o| pairs(p, a, b, o, |p, a, b, o| scaled(p, "sub", a, b, &s, o)); }
    "foreach_mul_list" { /// out = x1 * x2, for each.
        aclnnForeachMulList(x1: Tensors, x2: Tensors, out: OutTensors) => |p, a, b, o| pairs(p, a, b, o, |p, a, b, o| el::arithmetic(p, "mul", a, b, None, o)); }
    "foreach_div_list" { /// out = x1 / x2, for each.
        aclnnForeachDivList(x1: Tensors, x2: Tensors, out: OutTensors) => |p, a, b, o| pairs(p, a, b, o, |p, a, b, o| el::divide(p, a, b, 0, o)); }
    "foreach_maximum_list" { /// out = the larger of x1 and x2, for each.
        aclnnForeachMaximumList(x1: Tensors, x2: Tensors, out: OutTensors) => |p, a, b, o| pairs(p, a, b, o, |p, a, b, o| el::arithmetic(p, "maximum", a, b, None, o)); }
    "foreach_minimum_list" { /// out = the smaller of x1 and x2, for each.
        aclnnForeachMinimumList(x1: Tensors, x2: Tensors, out: OutTensors) => |p, a, b, o| pairs(p, a, b, o, |p, a, b, o| el::arithmetic(p, "minimum", a, b, None, o)); }
    "foreach_pow_list" { /// out = x1 to the power of x2, for each.
        aclnnForeachPowList(x1: Tensors, x2: Tensors, out: OutTensors) => |p, a, b, o| pairs(p, a, b, o, |p, a, b, o| el::arithmetic(p, "pow", a, b, None, o)); }

    "foreach_add_scalar_v2" { /// out = x + scalar, for each.
        aclnnForeachAddScalarV2(x: Tensors, scalar: Number, out: OutTensors) => |p, x, s: Scalar, o| each(p, x, o, |p, x, o| el::with_scalar(p, "add_s", x, s, None, o)); }
    "foreach_sub_scalar_v2" { /// out = x - scalar, for each.
        aclnnForeachSubScalarV2(x: Tensors, scalar: Number, out: OutTensors) => |p, x, s: Scalar, o| each(p, x, o, |p, x, o| el::with_scalar(p, "sub_s", x, s, None, o)); }
    "foreach_mul_scalar_v2" { /// out = x * scalar, for each.
        aclnnForeachMulScalarV2(x: Tensors, scalar: Number, out: OutTensors) => |p, x, s: Scalar, o| each(p, x, o, |p, x, o| el::with_scalar(p, "mul_s", x, s, None, o)); }
    "foreach_div_scalar_v2" { /// out = x / scalar, for each.
        aclnnForeachDivScalarV2(x: Tensors, scalar: Number, out: OutTensors) => |p, x, s: Scalar, o| each(p, x, o, |p, x, o| el::divide_by_scalar(p, x, s, o)); }
    "foreach_maximum_scalar_v2" { /// out = the larger of x and scalar, for each.
        aclnnForeachMaximumScalarV2(x: Tensors, scalar: Number, out: OutTensors) => |p, x, s: Scalar, o| each(p, x, o, |p, x, o| el::with_scalar(p, "maximum_s", x, s, None, o)); }
    "foreach_minimum_scalar_v2" { /// out = the smaller of x and scalar, for each.
        aclnnForeachMinimumScalarV2(x: Tensors, scalar: Number, out: OutTensors) => |p, x, s: Scalar, o| each(p, x, o, |p, x, o| el::with_scalar(p, "minimum_s", x, s, None, o)); }
    "foreach_pow_scalar_v2" { /// out = x to the power of scalar, for each.
        aclnnForeachPowScalarV2(x: Tensors, scalar: Number, out: OutTensors) => |p, x, s: Scalar, o| each(p, x, o, |p, x, o| el::with_scalar(p, "pow_s", x, s, None, o)); }
    "foreach_pow_scalar_and_tensor" { /// out = scalar to the power of x, for each.
        aclnnForeachPowScalarAndTensor(scalar: Scalar, x: Tensors, out: OutTensors) => |p, s: Scalar, x, o| each(p, x, o, |p: &mut Program, x, o| {
            let s = super::selection::scalar_view(p, s, x.dtype, &x.dims)?;
            el::arithmetic(p, "pow", &s, x, None, o)
        }); }

    "foreach_add_scalar" { /// out = x + scalar in a tensor, for each.
        aclnnForeachAddScalar(x: Tensors, scalar: Tensor, out: OutTensors) => |p, x, s: View, o| each(p, x, o, |p, x, o| with_one(p, "add", x, &s, o)); }
    "foreach_sub_scalar" { /// out = x - scalar in a tensor, for each.
        aclnnForeachSubScalar(x: Tensors, scalar: Tensor, out: OutTensors) => |p, x, s: View, o| each(p, x, o, |p, x, o| with_one(p, "sub", x, &s, o)); }
    "foreach_mul_scalar" { /// out = x * scalar in a tensor, for each.
        aclnnForeachMulScalar(x: Tensors, scalar: Tensor, out: OutTensors) => |p, x, s: View, o| each(p, x, o, |p, x, o| with_one(p, "mul", x, &s, o)); }
    "foreach_div_scalar" { /// out = x / scalar in a tensor, for each.
        aclnnForeachDivScalar(x: Tensors, scalar: Tensor, out: OutTensors) => |p, x, s: View, o| each(p, x, o, |p, x, o| with_one(p, "div", x, &s, o)); }
    "foreach_maximum_scalar" { /// out = the larger of x and scalar in a tensor, for each.
        aclnnForeachMaximumScalar(x: Tensors, scalar: Tensor, out: OutTensors) => |p, x, s: View, o| each(p, x, o, |p, x, o| with_one(p, "maximum", x, &s, o)); }
    "foreach_minimum_scalar" { /// out = the smaller of x and scalar in a tensor, for each.
        aclnnForeachMinimumScalar(x: Tensors, scalar: Tensor, out: OutTensors) => |p, x, s: View, o| each(p, x, o, |p, x, o| with_one(p, "minimum", x, &s, o)); }
    "foreach_pow_scalar" { /// out = x to the power of scalar in a tensor, for each.
        aclnnForeachPowScalar(x: Tensors, scalar: Tensor, out: OutTensors) => |p, x, s: View, o| each(p, x, o, |p, x, o| with_one(p, "pow", x, &s, o)); }

    "foreach_add_scalar_list" { /// out = x + its scalar, for each.
        aclnnForeachAddScalarList(x: Tensors, scalars: Scalars, out: OutTensors) => |p, x, s, o| with_scalars(p, x, s, o, |p, x, s, o| el::with_scalar(p, "add_s", x, s, None, o)); }
    "foreach_sub_scalar_list" { /// out = x - its scalar, for each.
        aclnnForeachSubScalarList(x: Tensors, scalars: Scalars, out: OutTensors) => |p, x, s, o| with_scalars(p, x, s, o, |p, x, s, o| el::with_scalar(p, "sub_s", x, s, None, o)); }
    "foreach_mul_scalar_list" { /// out = x * its scalar, for each.
        aclnnForeachMulScalarList(x: Tensors, scalars: Scalars, out: OutTensors) => |p, x, s, o| with_scalars(p, x, s, o, |p, x, s, o| el::with_scalar(p, "mul_s", x, s, None, o)); }
    "foreach_div_scalar_list" { /// out = x / its scalar, for each.
        aclnnForeachDivScalarList(x: Tensors, scalars: Scalars, out: OutTensors) => |p, x, s, o| with_scalars(p, x, s, o, el::divide_by_scalar); }
    "foreach_maximum_scalar_list" { /// out = the larger of x and its scalar, for each.
        aclnnForeachMaximumScalarList(x: Tensors, scalars: Scalars, out: OutTensors) => |p, x, s, o| with_scalars(p, x, s, o, |p, x, s, o| el::with_scalar(p, "maximum_s", x, s, None, o)); }
    "foreach_minimum_scalar_list" { /// out = the smaller of x and its scalar, for each.
        aclnnForeachMinimumScalarList(x: Tensors, scalars: Scalars, out: OutTensors) => |p, x, s, o| with_scalars(p, x, s, o, |p, x, s, o| el::with_scalar(p, "minimum_s", x, s, None, o)); }
    "foreach_pow_scalar_list" { /// out = x to the power of its scalar, for each.
        aclnnForeachPowScalarList(x: Tensors, scalars: Scalars, out: OutTensors) => |p, x, s, o| with_scalars(p, x, s, o, |p, x, s, o| el::with_scalar(p, "pow_s", x, s, None, o)); }

    "foreach_addcmul_scalar_v2" { /// out = x1 + scalar * x2 * x3, for each.
        aclnnForeachAddcmulScalarV2(x1: Tensors, x2: Tensors, x3: Tensors, scalar: Scalar, out: OutTensors) => |p, a, b, c, s: Scalar, o| triples(p, [a, b, c], o, |p, [a, b, c], o| el::addc(p, "addcmul", a, b, c, s, o)); }
    "foreach_addcdiv_scalar_v2" { /// out = x1 + scalar * x2 / x3, for each.
        aclnnForeachAddcdivScalarV2(x1: Tensors, x2: Tensors, x3: Tensors, scalar: Scalar, out: OutTensors) => |p, a, b, c, s: Scalar, o| triples(p, [a, b, c], o, |p, [a, b, c], o| el::addc(p, "addcdiv", a, b, c, s, o)); }
    "foreach_addcmul_scalar" { /// out = x1 + scalar * x2 * x3, the scalar in a tensor, for each.
        aclnnForeachAddcmulScalar(x1: Tensors, x2: Tensors, x3: Tensors, scalar: Tensor, out: OutTensors) => |p, a, b, c, s: View, o| triples(p, [a, b, c], o, |p, [a, b, c], o| add_scaled(p, "mul", [a, b, c], &s.one(), o)); }
    "foreach_addcdiv_scalar" { /// out = x1 + scalar * x2 / x3, the scalar in a tensor, for each.
        aclnnForeachAddcdivScalar(x1: Tensors, x2: Tensors, x3: Tensors, scalar: Tensor, out: OutTensors) => |p, a, b, c, s: View, o| triples(p, [a, b, c], o, |p, [a, b, c], o| add_scaled(p, "div", [a, b, c], &s.one(), o)); }
    "foreach_addcmul_scalar_list" { /// out = x1 + its scalar * x2 * x3, the scalars in a tensor, for each.
        aclnnForeachAddcmulScalarList(x1: Tensors, x2: Tensors, x3: Tensors, scalars: Tensor, out: OutTensors) => |p, a, b, c, s: View, o| numbered(p, "mul", [a, b, c], &s, o); }
    "foreach_addcdiv_scalar_list" { /// out = x1 + its scalar * x2 / x3, the scalars in a tensor, for each.
        aclnnForeachAddcdivScalarList(x1: Tensors, x2: Tensors, x3: Tensors, scalars: Tensor, out: OutTensors) => |p, a, b, c, s: View, o| numbered(p, "div", [a, b, c], &s, o); }
    "foreach_lerp_scalar" { /// out = x1 + weight * (x2 - x1), for each.
        aclnnForeachLerpScalar(x1: Tensors, x2: Tensors, weight: Scalar, out: OutTensors) => |p, a, b, w: Scalar, o| pairs(p, a, b, o, |p, a, b, o| el::lerp(p, a, b, w, o)); }
    "foreach_lerp_list" { /// out = x1 + weight * (x2 - x1), a weight for each element.
        aclnnForeachLerpList(x1: Tensors, x2: Tensors, weight: Tensors, out: OutTensors) => |p, a, b, w, o| triples(p, [a, b, w], o, |p, [a, b, w], o| pointwise(p, "lerp", &[a, b, w], &[], o)); }
    "foreach_norm" { /// out = norm of order scalar of x, for each.
        aclnnForeachNorm(x: Tensors, scalar: Scalar, out: OutTensors) => |p, x, s: Scalar, o| each(p, x, o, |p, x, o| super::linalg::norm(p, x, s.float, &[], false, &el::single("out", o)?)); }
    "foreach_non_finite_check_and_unscale" { /// foundInf = 1 if there is an infinity or NaN in scaledGrads, else what it was; they are multiplied with invScale.
        aclnnForeachNonFiniteCheckAndUnscale(scaledGrads: OutTensors, foundInf: Ref, invScale: Tensor) => unscale; }
    "amp_update_scale" { /// The scale of gradients: smaller after an infinity, larger after growthInterval steps without.
        aclnnAmpUpdateScale(currentScale: Tensor, growthTracker: Tensor, foundInf: Tensor, growthFactor: Double, backoffFactor: Double, growthInterval: Int, updatedScale: Out, updatedGrowthTracker: Out) => update_scale; }
}

/// Lists of the same length.
fn same_length(lists: &[usize]) -> Result<()> {
    match lists.windows(2).find(|w| w[0] != w[1]) {
        Some(w) => Err(invalid!("lists of {} and {} tensors", w[0], w[1])),
        None => Ok(()),
    }
}

fn each(
    p: &mut Program,
    x: Vec<View>,
    out: Vec<View>,
    f: impl Fn(&mut Program, &View, &View) -> Result<()>,
) -> Result<()> {
    same_length(&[x.len(), out.len()])?;
    x.iter().zip(&out).try_for_each(|(x, o)| f(p, x, o))
}

fn pairs(
    p: &mut Program,
    a: Vec<View>,
    b: Vec<View>,
    out: Vec<View>,
    f: impl Fn(&mut Program, &View, &View, &View) -> Result<()>,
) -> Result<()> {
    same_length(&[a.len(), b.len(), out.len()])?;
    a.iter().zip(&b).zip(&out).try_for_each(|((a, b), o)| f(p, a, b, o))
}

fn triples(
    p: &mut Program,
    lists: [Vec<View>; 3],
    out: Vec<View>,
    f: impl Fn(&mut Program, [&View; 3], &View) -> Result<()>,
) -> Result<()> {
    same_length(&[lists[0].len(), lists[1].len(), lists[2].len(), out.len()])?;
    out.iter().enumerate().try_for_each(|(i, o)| f(p, lists.each_ref().map(|l| &l[i]), o))
}

fn with_scalars(
    p: &mut Program,
    x: Vec<View>,
    scalars: Vec<Scalar>,
    out: Vec<View>,
    f: impl Fn(&mut Program, &View, Scalar, &View) -> Result<()>,
) -> Result<()> {
    same_length(&[x.len(), scalars.len(), out.len()])?;
    x.iter().zip(scalars).zip(&out).try_for_each(|((x, s), o)| f(p, x, s, o))
}

fn one(scalar: &View) -> Result<View> {
    el::single("scalar", scalar)
}

/// out = x op a scalar in a tensor, in the type of out.
fn with_one(p: &mut Program, k: &'static str, x: &View, scalar: &View, out: &View) -> Result<()> {
    let scalar = one(scalar)?.expand(&x.dims)?;
    p.launch(k, &[out], &[x, &scalar], &[Type(out.dtype), Float(1.0), Int(1)])
}

/// out = a op scalar * b.
fn scaled(p: &mut Program, k: &'static str, a: &View, b: &View, scalar: &View, out: &View) -> Result<()> {
    let product = p.temporary(out.dtype, &out.dims);
    with_one(p, "mul", b, scalar, &product)?;
    p.launch(k, &[out], &[a, &product], &[Type(out.dtype), Float(1.0), Int(1)])
}

/// out = a + scalar * (b op c).
fn add_scaled(p: &mut Program, k: &'static str, [a, b, c]: [&View; 3], scalar: &View, out: &View) -> Result<()> {
    let term = p.temporary(super::pointwise::common(&[a]), &out.dims);
    p.launch(k, &[&term], &[b, c], &[Type(term.dtype)])?;
    scaled(p, "add", a, &term, scalar, out)
}

/// [`add_scaled`] with element i of a tensor for list entry i.
fn numbered(p: &mut Program, k: &'static str, lists: [Vec<View>; 3], scalars: &View, out: Vec<View>) -> Result<()> {
    if scalars.dims != [out.len() as i64] {
        return Err(invalid!("scalars have shape {:?} for {} tensors", scalars.dims, out.len()));
    }
    same_length(&[lists[0].len(), lists[1].len(), lists[2].len(), out.len()])?;
    out.iter().enumerate().try_for_each(|(i, o)| {
        let scalar = scalars.narrow(0, i as i64, 1, 1).one();
        add_scaled(p, k, lists.each_ref().map(|l| &l[i]), &scalar, o)
    })
}

fn round(p: &mut Program, mode: i64, x: &View, out: &View) -> Result<()> {
    match mode {
        1 => el::unary(p, "round", x, out),
        2 => el::unary(p, "floor", x, out),
        3 => el::unary(p, "ceil", x, out),
        4 => el::unary(p, "trunc", x, out),
        5 => floats(p, "frac", &[x], &[], out),
        _ => Err(invalid!("roundMode {mode}; 1 to 5 are known")),
    }
}

fn unscale(p: &mut Program, grads: Vec<View>, found: View, inverse: View) -> Result<()> {
    let (found, inverse) = (one(&found)?, one(&inverse)?);
    let yes = p.temporary(found.dtype, &[]);
    super::movement::fill(p, yes.clone(), super::movement::constant(1))?;
    for grad in &grads {
        let finite = p.temporary(DType::Bool, &grad.dims);
        pointwise(p, "is_finite", &[grad], &[], &finite)?;
        let all = p.temporary(DType::Bool, &[]);
        let kept = View { dims: Dims::repeated(1, grad.rank()), strides: Dims::repeated(1, grad.rank()), ..all.clone() };
        p.launch("reduce_all", &[&kept], &[&finite], &[Type(DType::Bool)])?;
        el::select(p, all, found.clone(), yes.clone(), found.clone())?;
        with_one(p, "mul", grad, &inverse, grad)?;
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)] // CANN's
fn update_scale(
    p: &mut Program,
    scale: View,
    tracker: View,
    found: View,
    growth: f64,
    backoff: f64,
    interval: i64,
    new_scale: View,
    new_tracker: View,
) -> Result<()> {
    let views = [&scale, &tracker, &found, &new_scale, &new_tracker].map(one);
    let [scale, tracker, found, new_scale, new_tracker] = views;
    let attrs = [Float(growth), Float(backoff), Int(interval)];
    p.launch("amp_update_scale", &[&new_scale?, &new_tracker?], &[&scale?, &tracker?, &found?], &attrs)
}
