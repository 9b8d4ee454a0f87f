//! Forms of arithmetic, comparison and logic: in place, with scalars, rounded.

use super::declare::operators;
use super::elementwise as el;
use super::elementwise::check_shape;
use super::pointwise::floats;
use super::selection::scalar_view;
use crate::dtype::{DType, promote, promote_scalar};
use crate::error::{Result, invalid};
use crate::objects::Scalar;
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::View;

operators! {
    "eq_tensor" { /// self = whether self == other, as 0 and 1.
        aclnnInplaceEqTensor(selfRef: Ref, other: Tensor) => |p, a: View, b| el::compare(p, "eq", &a, &b, &a); }
    "eq_scalar" { /// self = whether self == a scalar, as 0 and 1.
        aclnnInplaceEqScalar(selfRef: Ref, other: Number) => |p, a: View, b| el::compare_scalar(p, "eq_s", &a, b, &a); }
    "ne_tensor" { /// self = whether self != other, as 0 and 1.
        aclnnInplaceNeTensor(selfRef: Ref, other: Tensor) => |p, a: View, b| el::compare(p, "ne", &a, &b, &a); }
    "ne_scalar" { /// self = whether self != a scalar, as 0 and 1.
        aclnnInplaceNeScalar(selfRef: Ref, other: Number) => |p, a: View, b| el::compare_scalar(p, "ne_s", &a, b, &a); }
    "lt_tensor" { /// self = whether self < other, as 0 and 1.
        aclnnInplaceLtTensor(selfRef: Ref, other: Tensor) => |p, a: View, b| el::compare(p, "lt", &a, &b, &a); }
    "lt_scalar" { /// self = whether self < a scalar, as 0 and 1.
        aclnnInplaceLtScalar(selfRef: Ref, other: Number) => |p, a: View, b| el::compare_scalar(p, "lt_s", &a, b, &a); }
    "le_tensor" { /// self = whether self <= other, as 0 and 1.
        aclnnInplaceLeTensor(selfRef: Ref, other: Tensor) => |p, a: View, b| el::compare(p, "le", &a, &b, &a); }
    "le_scalar" { /// self = whether self <= a scalar, as 0 and 1.
        aclnnInplaceLeScalar(selfRef: Ref, other: Number) => |p, a: View, b| el::compare_scalar(p, "le_s", &a, b, &a); }
    "gt_tensor" { /// self = whether self > other, as 0 and 1.
        aclnnInplaceGtTensor(selfRef: Ref, other: Tensor) => |p, a: View, b| el::compare(p, "gt", &a, &b, &a); }
    "gt_scalar" { /// self = whether self > a scalar, as 0 and 1.
        aclnnInplaceGtScalar(selfRef: Ref, other: Number) => |p, a: View, b| el::compare_scalar(p, "gt_s", &a, b, &a); }
    "ge_tensor" { /// self = whether self >= other, as 0 and 1.
        aclnnInplaceGeTensor(selfRef: Ref, other: Tensor) => |p, a: View, b| el::compare(p, "ge", &a, &b, &a); }
    "ge_scalar" { /// self = whether self >= a scalar, as 0 and 1.
        aclnnInplaceGeScalar(selfRef: Ref, other: Number) => |p, a: View, b| el::compare_scalar(p, "ge_s", &a, b, &a); }
    "logical_and" { /// self = self and other.
        aclnnInplaceLogicalAnd(selfRef: Ref, other: Tensor) => |p, a: View, b| el::logical(p, "logical_and", &a, &b, &a); }
    "logical_or" { /// self = self or other.
        aclnnInplaceLogicalOr(selfRef: Ref, other: Tensor) => |p, a: View, b| el::logical(p, "logical_or", &a, &b, &a); }
    "logical_not" { /// self = not self.
        aclnnInplaceLogicalNot(selfRef: Ref) => |p, a: View| el::unary(p, "logical_not", &a, &a); }
    "ceil" { /// self = smallest integer not below self.
        aclnnInplaceCeil(selfRef: Ref) => |p, a: View| el::unary(p, "ceil", &a, &a); }
    "floor" { /// self = largest integer not above self.
        aclnnInplaceFloor(selfRef: Ref) => |p, a: View| el::unary(p, "floor", &a, &a); }
    "round" { /// self = nearest integer, ties to even.
        aclnnInplaceRound(selfRef: Ref) => |p, a: View| el::unary(p, "round", &a, &a); }
    "trunc" { /// self = self without its fraction.
        aclnnInplaceTrunc(selfRef: Ref) => |p, a: View| el::unary(p, "trunc", &a, &a); }
    "erf" { /// self = error function of self.
        aclnnInplaceErf(selfRef: Ref) => |p, a: View| el::float_unary(p, "erf", &a, &a); }
    "atan2" { /// self = angle of the point (other, self).
        aclnnInplaceAtan2(selfRef: Ref, other: Tensor) => |p, a: View, b| el::float_binary(p, "atan2", &a, &b, &a); }
    "round" { /// out = self rounded to so many decimals.
        aclnnRoundDecimals(self_: Tensor, decimals: Int, out: Out) => |p, a, n, o| round_decimals(p, &a, n, &o);
        /// self = self rounded to so many decimals.
        aclnnInplaceRoundDecimals(selfRef: Ref, decimals: Int) => |p, a: View, n| round_decimals(p, &a, n, &a); }
    "floor_divide" { /// out = self / other, rounded down.
        aclnnFloorDivide(self_: Tensor, other: Tensor, out: Out) => |p, a, b, o| el::arithmetic(p, "floor_div", &a, &b, None, &o);
        /// self = self / other, rounded down.
        aclnnInplaceFloorDivide(selfRef: Ref, other: Tensor) => |p, a: View, b| el::in_place(p, "floor_div", &a, &b, None);
        /// out = self / a scalar, rounded down.
        aclnnFloorDivides(self_: Tensor, other: Number, out: Out) => |p, a, b, o| el::with_scalar(p, "floor_div_s", &a, b, None, &o);
        /// self = self / a scalar, rounded down.
        aclnnInplaceFloorDivides(selfRef: Ref, other: Number) => |p, a: View, b| el::with_scalar(p, "floor_div_s", &a, b, None, &a); }
    "div" { /// out = self / a scalar; mode 0 true division, 1 towards zero, 2 towards minus infinity.
        aclnnDivMods(self_: Tensor, other: Scalar, mode: Int32, out: Out) => |p, a, b, m, o| div_mods(p, &a, b, m, &o);
        /// self = self / a scalar, rounded as aclnnDivMods.
        aclnnInplaceDivMods(selfRef: Ref, other: Scalar, mode: Int32) => |p, a: View, b, m| div_mods(p, &a, b, m, &a); }
    "fmod_scalar" { /// out = remainder of self by a scalar, with the sign of self.
        aclnnFmodScalar(self_: Tensor, other: Number, out: Out) => |p, a, b, o| el::with_scalar(p, "fmod_s", &a, b, None, &o);
        /// self = remainder by a scalar, with the sign of self.
        aclnnInplaceFmodScalar(selfRef: Ref, other: Number) => |p, a: View, b| el::with_scalar(p, "fmod_s", &a, b, None, &a); }
    "fmod_tensor" { /// self = remainder by other, with the sign of self.
        aclnnInplaceFmodTensor(selfRef: Ref, other: Tensor) => |p, a: View, b| el::in_place(p, "fmod", &a, &b, None); }
    "remainder" { /// out = remainder of self by a scalar, with the sign of the scalar.
        aclnnRemainderTensorScalar(self_: Tensor, other: Number, out: Out) => |p, a, b, o| el::with_scalar(p, "remainder_s", &a, b, None, &o);
        /// self = remainder by a scalar, with the sign of the scalar.
        aclnnInplaceRemainderTensorScalar(selfRef: Ref, other: Number) => |p, a: View, b| el::with_scalar(p, "remainder_s", &a, b, None, &a);
        /// self = remainder by other, with the sign of other.
        aclnnInplaceRemainderTensorTensor(selfRef: Ref, other: Tensor) => |p, a: View, b| el::in_place(p, "remainder", &a, &b, None);
        /// out = remainder of a scalar by other, with the sign of other.
        aclnnRemainderScalarTensor(self_: Scalar, other: Tensor, out: Out) => |p: &mut Program, a: Scalar, b: View, o| {
            let kind = promote_scalar(b.dtype, a.dtype);
            let a = scalar_view(p, a, kind, &b.dims)?;
            el::arithmetic(p, "remainder", &a, &b, None, &o)
        }; }
    "rsub" { /// out = other - alpha * self.
        aclnnRsub(self_: Tensor, other: Tensor, alpha: Number, out: Out) => |p, a, b, s, o| el::arithmetic(p, "sub", &b, &a, Some(s), &o); }
    "add_v3" { /// out = self + alpha * other, of a scalar self.
        aclnnAddV3(self_: Scalar, other: Tensor, alpha: Scalar, out: Out) => |p: &mut Program, a: Scalar, b: View, s, o| {
            let kind = promote_scalar(b.dtype, a.dtype);
            let a = scalar_view(p, a, kind, &b.dims)?;
            el::arithmetic(p, "add", &a, &b, Some(s), &o)
        }; }
    "add_relu" { /// out = self + alpha * other where that is positive, else 0.
        aclnnAddRelu(self_: Tensor, other: Tensor, alpha: Scalar, out: Out) => |p, a, b, s, o| add_relu(p, &a, &b, s, &o);
        /// self = self + alpha * other where that is positive, else 0.
        aclnnInplaceAddRelu(selfRef: Ref, other: Tensor, alpha: Scalar) => |p, a: View, b, s| add_relu(p, &a, &b, s, &a); }
    "clamp" { /// out = self limited by tensors.
        aclnnClampTensor(self_: Tensor, clipValueMin: OptTensor, clipValueMax: OptTensor, out: Out) => clamp_tensor; }
    "clamp" { /// self = the larger of self and clipValueMin.
        aclnnInplaceClampMinTensor(selfRef: Ref, clipValueMin: Tensor) => |p, a: View, b| el::in_place(p, "maximum", &a, &b, None); }
    "clamp" { /// self = the smaller of self and max.
        aclnnInplaceClampMaxTensor(selfRef: Ref, max: Tensor) => |p, a: View, b| el::in_place(p, "minimum", &a, &b, None); }
    "lerp_tensor" { /// out = self + weight * (end - self), a weight for each.
        aclnnLerp(self_: Tensor, end: Tensor, weight: Tensor, out: Out) => |p, a, b, w, o| floats(p, "lerp", &[&a, &b, &w], &[], &o);
        /// self += weight * (end - self), a weight for each.
        aclnnInplaceLerp(selfRef: Ref, end: Tensor, weight: Tensor) => |p, a: View, b, w| floats(p, "lerp", &[&a, &b, &w], &[], &a); }
    "addr" { /// out = beta * self + alpha * the outer product of two vectors.
        aclnnAddr(self_: Tensor, vec1: Tensor, vec2: Tensor, betaOptional: OptNumber, alphaOptional: OptNumber, out: Out) => |p, c, a, b, x, y, o| addr(p, &c, &a, &b, x, y, &o);
        /// self = beta * self + alpha * the outer product of two vectors.
        aclnnInplaceAddr(selfRef: Ref, vec1: Tensor, vec2: Tensor, betaOptional: OptNumber, alphaOptional: OptNumber) => |p, c: View, a, b, x, y| addr(p, &c, &a, &b, x, y, &c); }
    "fill_tensor" { /// self = the one element of value.
        aclnnInplaceFillTensor(selfRef: Ref, value: Tensor) =>
            |p, a: View, v: View| super::movement::copy(p, &el::single("value", &v)?, &a); }
    "fill_diagonal" { /// The diagonal of self = fillValue; wrap begins again below a square.
        aclnnInplaceFillDiagonal(selfRef: Ref, fillValue: Number, wrap: Bool) => fill_diagonal; }
    "linspace" { /// out = steps numbers from start to end.
        aclnnLinspace(start: Scalar, end: Scalar, steps: Int, out: Out) => |p, a: Scalar, b: Scalar, n, o| linspace(p, a.float, b.float, n, &o); }
    "range" { /// out = start, start + step, ... up to and including end.
        aclnnRange(start: Scalar, end: Scalar, step: Scalar, out: Out) => range; }
    "logit" { /// out = log(self / (1 - self)), self limited to eps..1 - eps unless eps is negative.
        aclnnLogit(self_: Tensor, eps: Double, out: Out) => |p, a, e: f64, o| floats(p, "logit", &[&a], &[e], &o); }
    "isin_tensor_scalar" { /// out = whether each element is one of a scalar.
        aclnnIsInTensorScalar(element: Tensor, testElement: Number, assumeUnique: Bool, invert: Bool, out: Out) => |p, a, b, _, i, o| el::compare_scalar(p, if i { "ne_s" } else { "eq_s" }, &a, b, &o); }
    "isin" { /// out = whether a scalar is one of the elements.
        aclnnIsInScalarTensor(element: Scalar, testElements: Tensor, assumeUnique: Bool, invert: Bool, out: Out) => is_in; }
}

fn round_decimals(p: &mut Program, a: &View, decimals: i64, out: &View) -> Result<()> {
    if !a.dtype.is_float() || decimals == 0 {
        return el::unary(p, "round", a, out);
    }
    floats(p, "round_decimals", &[a], &[10f64.powi(decimals.clamp(-300, 300) as i32)], out)
}

fn div_mods(p: &mut Program, a: &View, b: Scalar, mode: i32, out: &View) -> Result<()> {
    match mode {
        0 => el::divide_by_scalar(p, a, b, out),
        2 => el::with_scalar(p, "floor_div_s", a, b, None, out),
        _ => {
            let kind = promote_scalar(a.dtype, b.dtype);
            let b = scalar_view(p, b, kind, &a.dims)?;
            el::divide(p, a, &b, mode, out)
        }
    }
}

fn add_relu(p: &mut Program, a: &View, b: &View, alpha: Scalar, out: &View) -> Result<()> {
    let sum = p.temporary(promote(a.dtype, b.dtype), &out.dims);
    el::arithmetic(p, "add", a, b, Some(alpha), &sum)?;
    el::unary(p, "relu", &sum, out)
}

fn clamp_tensor(p: &mut Program, a: View, low: Option<View>, high: Option<View>, out: View) -> Result<()> {
    let limits = [("maximum", &low), ("minimum", &high)];
    let limits: Vec<_> = limits.into_iter().filter_map(|(k, v)| v.as_ref().map(|v| (k, v))).collect();
    let kind = limits.iter().fold(a.dtype, |kind, (_, v)| promote(kind, v.dtype));
    match limits[..] {
        [] => Err(crate::error::OpError::Null("clipValueMin and clipValueMax")),
        [(k, v)] => el::arithmetic(p, k, &a.expand(&out.dims)?, v, None, &out),
        [(k, v), (k2, v2), ..] => {
            let above = p.temporary(kind, &out.dims);
            el::arithmetic(p, k, &a.expand(&out.dims)?, v, None, &above)?;
            el::arithmetic(p, k2, &above, v2, None, &out)
        }
    }
}

fn addr(
    p: &mut Program,
    c: &View,
    a: &View,
    b: &View,
    beta: Option<Scalar>,
    alpha: Option<Scalar>,
    out: &View,
) -> Result<()> {
    let ([m], [n]) = (&a.dims[..], &b.dims[..]) else {
        return Err(invalid!("vec1 has shape {:?} and vec2 {:?}; vectors are needed", a.dims, b.dims));
    };
    check_shape(out, &[*m, *n])?;
    let kind = promote(c.dtype, promote(a.dtype, b.dtype));
    let outer = p.temporary(kind, &out.dims);
    el::arithmetic(p, "mul", &a.unsqueeze(&[1]), b, None, &outer)?;
    if let Some(alpha) = alpha {
        let [f, i] = alpha.attrs(kind)?;
        p.launch("mul_s", &[&outer], &[&outer], &[Type(kind), f, i])?;
    }
    let scaled = p.temporary(kind, &out.dims);
    let beta = beta.unwrap_or(super::movement::constant(1));
    if (beta.float, beta.imaginary) == (0.0, 0.0) {
        return super::movement::copy(p, &outer, out);
    }
    let [f, i] = beta.attrs(kind)?;
    p.launch("mul_s", &[&scaled], &[&c.expand(&out.dims)?], &[Type(kind), f, i])?;
    el::arithmetic(p, "add", &scaled, &outer, None, out)
}

fn fill_diagonal(p: &mut Program, a: View, value: Scalar, wrap: bool) -> Result<()> {
    if a.rank() < 2 || (a.rank() > 2 && a.dims.iter().any(|d| *d != a.dims[0])) {
        return Err(invalid!("self has shape {:?}; a matrix, or a cube of more dimensions, is needed", a.dims));
    }
    let n = *a.dims.iter().min().unwrap_or(&0);
    let step: i64 = a.strides.iter().sum();
    let line = |first: i64, n: i64| View { dims: [n].into(), strides: [step].into(), ..a.shifted(first) };
    super::movement::fill(p, line(0, n), value)?;
    if wrap && a.rank() == 2 {
        // One row stays between the end of a diagonal and the next.
        let (rows, columns) = (a.dims[0], a.dims[1]);
        let mut row = columns + 1;
        while columns > 0 && row < rows {
            super::movement::fill(p, line(row * a.strides[0], columns.min(rows - row)), value)?;
            row += columns + 1;
        }
    }
    Ok(())
}

fn linspace(p: &mut Program, start: f64, end: f64, steps: i64, out: &View) -> Result<()> {
    check_shape(out, &[steps])?;
    if steps == 0 {
        return Ok(());
    }
    let step = if steps > 1 { (end - start) / (steps - 1) as f64 } else { 0.0 };
    let numbers = p.temporary(DType::F64, &[steps]);
    p.launch("arange", &[&numbers], &[], &[Float(start), Float(step), Int(0), Int(0)])?;
    // The last is the end itself.
    if steps > 1 {
        let last = numbers.narrow(0, steps - 1, 1, 1);
        p.launch("fill", &[&last], &[], &[Float(end), Int(end as i64)])?;
    }
    super::movement::copy(p, &numbers, out)
}

fn range(p: &mut Program, start: Scalar, end: Scalar, step: Scalar, out: View) -> Result<()> {
    let steps = (end.float - start.float) / step.float;
    if !steps.is_finite() || steps < 0.0 {
        return Err(invalid!("{} does not lead from {} to {}", step.float, start.float, end.float));
    }
    check_shape(&out, &[steps.floor() as i64 + 1])?;
    let attrs = [Float(start.float), Float(step.float), Int(start.int), Int(step.int)];
    p.launch("arange", &[&out], &[], &attrs)
}

fn is_in(p: &mut Program, a: Scalar, set: View, _unique: bool, invert: bool, out: View) -> Result<()> {
    let one = el::single("out", &out)?;
    let same = p.temporary(DType::Bool, &set.dims);
    el::compare_scalar(p, "eq_s", &set, a, &same)?;
    super::reduce::reduce(p, "reduce_any", &same, &[], false, None, &one)?;
    if invert { el::unary(p, "logical_not", &out, &out.clone()) } else { Ok(()) }
}
