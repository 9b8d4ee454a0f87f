//! Operators that work element by element.

use crate::dtype::{DType, floating, is_complex, promote, promote_scalar};
use crate::error::{OpError, Result, invalid};
use crate::objects::Scalar;
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::{View, broadcast};

/// `out` must have the shape that the operator gives.
pub fn check_shape(out: &View, dims: &[i64]) -> Result<()> {
    if out.dims == dims {
        Ok(())
    } else {
        Err(invalid!("out has shape {:?}; the result has {dims:?}", out.dims))
    }
}

/// The one element of `v`, without the dimensions that the program gives it.
pub fn single(name: &str, v: &View) -> Result<View> {
    if v.elements() == 1 {
        Ok(v.one())
    } else {
        Err(invalid!("{name} has shape {:?}; one element is needed", v.dims))
    }
}

/// What this device has no use for, or does not compute yet, must not be there.
pub fn need_absent(optional: &[(&str, Option<View>)]) -> Result<()> {
    match optional.iter().find(|(_, v)| v.is_some()) {
        Some((name, _)) => Err(invalid!("{name} is not supported; a null pointer is needed")),
        None => Ok(()),
    }
}

/// A result of type `is` must not be cut down to `out`'s: floats do not become integers unasked.
fn check_type(out: &View, is: DType) -> Result<()> {
    let holds =
        if is_complex(is) { is_complex(out.dtype) } else { out.dtype.is_float() || is_complex(out.dtype) };
    if (is.is_float() || is_complex(is)) && !holds {
        return Err(invalid!("a result of {is:?} does not fit into out of {:?}", out.dtype));
    }
    if out.dtype == DType::Bool && is != DType::Bool {
        return Err(invalid!("a result of {is:?} does not fit into out of Bool"));
    }
    Ok(())
}

/// A real tensor as a complex one, if `kind` is complex.
fn as_complex(p: &mut Program, a: &View, kind: DType) -> Result<View> {
    if !is_complex(kind) || is_complex(a.dtype) {
        return Ok(a.clone());
    }
    let made = p.temporary(kind, &a.dims);
    p.launch("copy", &[&made], &[a], &[])?;
    Ok(made)
}

/// out = |a|, which is real of complex numbers too.
pub fn magnitude(p: &mut Program, a: &View, out: &View) -> Result<()> {
    if !is_complex(a.dtype) {
        return unary(p, "abs", a, out);
    }
    check_shape(out, &a.dims)?;
    if !out.dtype.is_float() {
        return Err(invalid!("a result of floats does not fit into out of {:?}", out.dtype));
    }
    p.launch("abs", &[out], &[a], &[])
}

fn pair(a: &View, b: &View, out: &View) -> Result<(View, View)> {
    check_shape(out, &broadcast(&a.dims, &b.dims)?)?;
    Ok((a.expand(&out.dims)?, b.expand(&out.dims)?))
}

/// out = a ± alpha * b, and the like.
pub fn arithmetic(
    p: &mut Program,
    k: &'static str,
    a: &View,
    b: &View,
    alpha: Option<Scalar>,
    out: &View,
) -> Result<()> {
    let kind = promote(a.dtype, b.dtype);
    check_type(out, kind)?;
    let (a, b) = pair(a, b, out)?;
    if kind == DType::Bool && k == "sub" {
        return Err(invalid!("booleans cannot be subtracted"));
    }
    let integer = !kind.is_float() && !is_complex(kind);
    if let Some(s) = alpha.filter(|s| integer && s.dtype.is_float() && s.float.fract() != 0.0) {
        return Err(invalid!("alpha {} is no integer although the tensors are", s.float));
    }
    let [f, i] = alpha.map_or(Ok([Float(1.0), Int(1)]), |s| s.attrs(kind))?;
    p.launch(k, &[out], &[&a, &b], &[Type(kind), f, i])
}

/// self = self op other; other must broadcast to self.
pub fn in_place(p: &mut Program, k: &'static str, a: &View, b: &View, alpha: Option<Scalar>) -> Result<()> {
    b.expand(&a.dims)?;
    arithmetic(p, k, a, b, alpha, a)
}

/// out = a op scalar.
pub fn with_scalar(
    p: &mut Program,
    k: &'static str,
    a: &View,
    s: Scalar,
    alpha: Option<Scalar>,
    out: &View,
) -> Result<()> {
    let kind = promote_scalar(a.dtype, s.dtype);
    scalar_launch(p, k, a, s, alpha, kind, out)
}

fn scalar_launch(
    p: &mut Program,
    k: &'static str,
    a: &View,
    s: Scalar,
    alpha: Option<Scalar>,
    kind: DType,
    out: &View,
) -> Result<()> {
    check_shape(out, &a.dims)?;
    check_type(out, kind)?;
    let [f, i] = s.attrs(kind)?;
    let [af, ai] = alpha.map_or(Ok([Float(1.0), Int(1)]), |s| s.attrs(kind))?;
    // A real tensor and a complex scalar are combined as complex numbers.
    let a = &as_complex(p, a, kind)?;
    p.launch(k, &[out], &[a], &[Type(kind), f, i, af, ai])
}

/// out = a / b; mode 0 true, 1 truncated, 2 floored.
pub fn divide(p: &mut Program, a: &View, b: &View, mode: i32, out: &View) -> Result<()> {
    let kind = promote(a.dtype, b.dtype);
    match mode {
        0 => float_binary(p, "div", a, b, out),
        2 => arithmetic(p, "floor_div", a, b, None, out),
        1 if kind.is_float() => {
            check_type(out, kind)?;
            let quotient = p.temporary(kind, &out.dims);
            float_binary(p, "div", a, b, &quotient)?;
            p.launch("trunc", &[out], &[&quotient], &[Type(kind)])
        }
        1 => {
            // Integers up to 2^53 divide exactly enough in float64 for the truncated quotient.
            let (x, y) = pair(a, b, out)?;
            let quotient = p.temporary(DType::F64, &out.dims);
            p.launch("div", &[&quotient], &[&x, &y], &[Type(DType::F64), Float(1.0), Int(1)])?;
            p.launch("trunc", &[out], &[&quotient], &[Type(DType::F64)])
        }
        _ => Err(invalid!("mode {mode} of a division; 0, 1 and 2 are known")),
    }
}

/// out = a / scalar, always as floats.
pub fn divide_by_scalar(p: &mut Program, a: &View, s: Scalar, out: &View) -> Result<()> {
    scalar_launch(p, "div_s", a, s, None, floating(promote_scalar(a.dtype, s.dtype)), out)
}

/// An operator of two tensors that always gives floats.
pub fn float_binary(p: &mut Program, k: &'static str, a: &View, b: &View, out: &View) -> Result<()> {
    let kind = floating(promote(a.dtype, b.dtype));
    check_type(out, kind)?;
    let (a, b) = pair(a, b, out)?;
    p.launch(k, &[out], &[&a, &b], &[Type(kind), Float(1.0), Int(1)])
}

/// out (bool, or any type as 0 and 1) = a compared with b.
pub fn compare(p: &mut Program, k: &'static str, a: &View, b: &View, out: &View) -> Result<()> {
    let kind = promote(a.dtype, b.dtype);
    let (a, b) = pair(a, b, out)?;
    p.launch(k, &[out], &[&a, &b], &[Type(kind)])
}

/// out = a compared with a scalar.
pub fn compare_scalar(p: &mut Program, k: &'static str, a: &View, s: Scalar, out: &View) -> Result<()> {
    check_shape(out, &a.dims)?;
    let kind = promote_scalar(a.dtype, s.dtype);
    let [f, i] = s.attrs(kind)?;
    let a = &as_complex(p, a, kind)?;
    p.launch(k, &[out], &[a], &[Type(kind), f, i])
}

/// out = a and/or/xor b.
pub fn logical(p: &mut Program, k: &'static str, a: &View, b: &View, out: &View) -> Result<()> {
    let (a, b) = pair(a, b, out)?;
    p.launch(k, &[out], &[&a, &b], &[])
}

/// out = f(a) in a's type.
pub fn unary(p: &mut Program, k: &'static str, a: &View, out: &View) -> Result<()> {
    check_shape(out, &a.dims)?;
    if k != "logical_not" {
        check_type(out, a.dtype)?;
    }
    p.launch(k, &[out], &[a], &[Type(a.dtype)])
}

/// out = f(a), always as floats.
pub fn float_unary(p: &mut Program, k: &'static str, a: &View, out: &View) -> Result<()> {
    check_shape(out, &a.dims)?;
    let kind = floating(a.dtype);
    check_type(out, kind)?;
    p.launch(k, &[out], &[a], &[Type(kind)])
}

/// out = grad where x is above the threshold.
pub fn threshold_backward(p: &mut Program, grad: View, x: View, threshold: Scalar, out: View) -> Result<()> {
    let (grad, x) = pair(&grad, &x, &out)?;
    p.launch("threshold_backward", &[&out], &[&grad, &x], &[Float(threshold.float)])
}

/// out = a limited to min..=max.
pub fn clamp(p: &mut Program, a: View, min: Option<Scalar>, max: Option<Scalar>, out: View) -> Result<()> {
    if min.is_none() && max.is_none() {
        return Err(OpError::Null("clipValueMin and clipValueMax"));
    }
    check_shape(&out, &a.dims)?;
    let low = min.map_or(f64::NEG_INFINITY, |s| s.float);
    let high = max.map_or(f64::INFINITY, |s| s.float);
    p.launch("clamp", &[&out], &[&a], &[Float(low), Float(high)])
}

/// out = a + value * t1 (* or /) t2.
pub fn addc(
    p: &mut Program,
    k: &'static str,
    a: &View,
    t1: &View,
    t2: &View,
    value: Scalar,
    out: &View,
) -> Result<()> {
    check_shape(out, &broadcast(&a.dims, &broadcast(&t1.dims, &t2.dims)?)?)?;
    check_type(out, promote(a.dtype, promote(t1.dtype, t2.dtype)))?;
    let (a, t1, t2) = (a.expand(&out.dims)?, t1.expand(&out.dims)?, t2.expand(&out.dims)?);
    p.launch(k, &[out], &[&a, &t1, &t2], &[Float(value.float)])
}

/// out = a + weight * (b - a).
pub fn lerp(p: &mut Program, a: &View, b: &View, weight: Scalar, out: &View) -> Result<()> {
    let (a, b) = pair(a, b, out)?;
    p.launch("lerp_s", &[out], &[&a, &b], &[Float(weight.float)])
}

/// out = a where the condition holds, else b.
pub fn select(p: &mut Program, condition: View, a: View, b: View, out: View) -> Result<()> {
    check_shape(&out, &broadcast(&condition.dims, &broadcast(&a.dims, &b.dims)?)?)?;
    if !matches!(condition.dtype, DType::Bool | DType::U8) {
        return Err(invalid!("condition has type {:?}; Bool or U8 is needed", condition.dtype));
    }
    let (c, a, b) = (condition.expand(&out.dims)?, a.expand(&out.dims)?, b.expand(&out.dims)?);
    p.launch("where", &[&out], &[&c, &a, &b], &[])
}

/// out = a scalar to the power of a tensor.
pub fn power_of_scalar(p: &mut Program, s: Scalar, exponent: View, out: View) -> Result<()> {
    check_shape(&out, &exponent.dims)?;
    let kind = promote_scalar(exponent.dtype, s.dtype);
    check_type(&out, kind)?;
    let [f, i] = s.attrs(kind)?;
    p.launch("s_pow", &[&out], &[&exponent], &[Type(kind), f, i])
}

/// out = t1 + t2 + …, summed in float32 where they are narrower floats.
pub fn sum_of_tensors(p: &mut Program, tensors: Vec<View>, out: View) -> Result<()> {
    let [first, rest @ ..] = &tensors[..] else { return Err(invalid!("no tensors to add")) };
    let kind = rest.iter().fold(first.dtype, |kind, t| promote(kind, t.dtype));
    check_type(&out, kind)?;
    for t in &tensors {
        check_shape(&out, &t.dims)?;
    }
    let narrow = kind.is_float() && kind.size() < 4;
    let sum = p.temporary(if narrow { DType::F32 } else { kind }, &out.dims);
    p.launch("copy", &[&sum], &[first], &[])?;
    for t in rest {
        p.launch("add", &[&sum], &[&sum, t], &[Type(sum.dtype), Float(1.0), Int(1)])?;
    }
    p.launch("copy", &[&out], &[&sum], &[])
}
