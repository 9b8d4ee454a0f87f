//! Launches on complex numbers. A tensor of such is two views of floats, its parts: what only moves or adds elements is
//! launched for each part, the rest are kernels that take both.

use crate::dtype::{DType, is_complex};
use crate::error::{Result, invalid};
use crate::program::Attr::{self, Float, Int, Type};
use crate::program::Program;
use crate::view::View;

/// Kernels that treat the parts of their elements alike and apart, and which of their inputs are elements: others are
/// conditions and indices.
const APART: &[(&str, &[usize])] = &[
    ("copy", &[0]),
    ("neg", &[0]),
    ("add", &[0, 1]),
    ("sub", &[0, 1]),
    ("lerp_s", &[0, 1]),
    ("where", &[1, 2]),
    ("reduce_sum", &[0]),
    ("reduce_mean", &[0]),
    ("cumsum", &[0]),
    ("triangle", &[0]),
    ("gather", &[0]),
    ("index_select", &[0]),
    ("index_read", &[0]),
    ("masked_select", &[0]),
    ("masked_scatter", &[1]),
    ("index_write", &[0]),
    ("scatter", &[1]),
    ("index_put", &[1]),
    ("unfold", &[0]),
    ("fold", &[0]),
];

/// Kernels of both parts, by the kernels of real numbers that they stand for; whether the result is complex.
const TOGETHER: &[(&str, &str, bool)] = &[
    ("mul", "complex_mul", true),
    ("div", "complex_div", true),
    ("pow", "complex_pow", true),
    ("eq", "complex_eq", false),
    ("ne", "complex_ne", false),
    ("abs", "complex_abs", false),
    ("angle", "complex_angle", false),
    ("sign", "complex_sign", true),
    ("exp", "complex_exp", true),
    ("log", "complex_log", true),
    ("log2", "complex_log2", true),
    ("log10", "complex_log10", true),
    ("sqrt", "complex_sqrt", true),
    ("rsqrt", "complex_rsqrt", true),
    ("reciprocal", "complex_reciprocal", true),
    ("square", "complex_square", true),
    ("sigmoid", "complex_sigmoid", true),
    ("sin", "complex_sin", true),
    ("cos", "complex_cos", true),
    ("tan", "complex_tan", true),
    ("sinh", "complex_sinh", true),
    ("cosh", "complex_cosh", true),
    ("tanh", "complex_tanh", true),
    ("asinh", "complex_asinh", true),
    ("acosh", "complex_acosh", true),
    ("atanh", "complex_atanh", true),
];

/// Kernels of a tensor and a scalar, by those of two tensors; whether the scalar is the first.
const WITH_SCALAR: &[(&str, &str, bool)] = &[
    ("add_s", "add", false),
    ("sub_s", "sub", false),
    ("rsub_s", "sub", true),
    ("mul_s", "mul", false),
    ("div_s", "div", false),
    ("pow_s", "pow", false),
    ("s_pow", "pow", true),
    ("eq_s", "eq", false),
    ("ne_s", "ne", false),
];

/// Real (0) or imaginary (1) part of a complex tensor.
pub fn part(v: &View, which: usize) -> View {
    let Some(dtype) = v.dtype.part() else { return v.clone() };
    let strides = v.strides.iter().map(|s| s.wrapping_mul(2)).collect();
    View { dtype, strides, ..v.clone() }.shifted(which as i64)
}

/// Both parts; those of a real tensor are itself and zeros.
fn parts(p: &mut Program, v: &View) -> Result<[View; 2]> {
    if is_complex(v.dtype) {
        return Ok([part(v, 0), part(v, 1)]);
    }
    let dtype = if v.dtype.is_float() { v.dtype } else { DType::F32 };
    let zero = p.temporary(dtype, &[]);
    p.launch("fill", &[&zero], &[], &[Float(0.0), Int(0)])?;
    Ok([v.clone(), zero.expand(&v.dims)?])
}

/// A complex constant as a view.
fn constant(p: &mut Program, [re, im]: [f64; 2], dims: &[i64]) -> Result<View> {
    let one = p.temporary(DType::C128, &[]);
    for (which, value) in [re, im].into_iter().enumerate() {
        p.launch("fill", &[&part(&one, which)], &[], &[Float(value), Int(0)])?;
    }
    one.expand(dims)
}

/// A scalar among attributes, from number `at` on.
fn scalar(attrs: &[Attr], at: usize) -> [f64; 2] {
    let float = |i: usize| if let Some(Float(v)) = attrs.get(i) { *v } else { 0.0 };
    [float(at), float(at + 1)]
}

/// The attributes for one part.
fn attrs_of_part(attrs: &[Attr]) -> Vec<Attr> {
    let real = |a: &Attr| if let Type(d) = *a { Type(d.part().unwrap_or(d)) } else { *a };
    attrs.iter().map(real).collect()
}

/// Appends what a launch of kernel `k` comes to on tensors of which some are complex.
pub fn launch(
    p: &mut Program,
    k: &'static str,
    outputs: &[&View],
    inputs: &[&View],
    attrs: &[Attr],
) -> Result<()> {
    if let Some((_, two, first)) = WITH_SCALAR.iter().find(|(name, ..)| *name == k) {
        return with_scalar(p, two, *first, outputs, inputs, attrs);
    }
    if matches!(k, "add" | "sub") && !matches!(scalar(attrs, 1), [_, 0.0]) {
        // alpha is complex itself.
        let scaled = p.temporary(DType::C128, &inputs[1].dims);
        let alpha = constant(p, scalar(attrs, 1), &inputs[1].dims)?;
        launch(p, "mul", &[&scaled], &[inputs[1], &alpha], &[])?;
        return launch(p, k, outputs, &[inputs[0], &scaled], &[attrs[0], Float(1.0), Int(1)]);
    }
    match k {
        "fill" => {
            for (which, value) in scalar(attrs, 0).into_iter().enumerate() {
                p.launch(k, &[&part(outputs[0], which)], &[], &[Float(value), Int(0)])?;
            }
            return Ok(());
        }
        "index_fill" => {
            for (which, value) in scalar(attrs, 1).into_iter().enumerate() {
                p.launch(k, &[&part(outputs[0], which)], inputs, &[attrs[0], Float(value), Int(0)])?;
            }
            return Ok(());
        }
        "copy" if outputs[0].dtype == DType::Bool => {
            let truth = truth(p, inputs[0])?;
            return p.launch(k, outputs, &[&truth], attrs);
        }
        "logical_and" | "logical_or" | "logical_xor" | "logical_not" | "reduce_all" | "reduce_any"
        | "nonzero" => {
            let inputs = inputs.iter().map(|v| truth(p, v)).collect::<Result<Vec<_>>>()?;
            let attrs: Vec<Attr> =
                attrs.iter().map(|a| if matches!(a, Type(_)) { Type(DType::Bool) } else { *a }).collect();
            return p.launch(k, outputs, &inputs.iter().collect::<Vec<_>>(), &attrs);
        }
        "reduce_prod" => return product(p, outputs[0], inputs[0]),
        // Products and extremes of slices; a factor of a sum is real.
        "scatter" | "index_put" if !matches!(attrs.get(1), Some(Int(0 | 1))) => {}
        _ => {
            if let Some((_, elements)) = APART.iter().find(|(name, _)| *name == k) {
                return apart(p, k, elements, outputs, inputs, attrs);
            }
            if let Some((_, both, complex)) = TOGETHER.iter().find(|(name, ..)| *name == k) {
                return together(p, both, *complex, outputs, inputs);
            }
        }
    }
    Err(invalid!("{k} of complex numbers is not supported"))
}

/// Whether each element is other than 0.
fn truth(p: &mut Program, v: &View) -> Result<View> {
    if !is_complex(v.dtype) {
        return Ok(v.clone());
    }
    let made = p.temporary(DType::Bool, &v.dims);
    let zero = constant(p, [0.0; 2], &v.dims)?;
    together(p, "complex_ne", false, &[&made], &[v, &zero])?;
    Ok(made)
}

/// out = products of a over the dimensions that are 1 in out: halves are multiplied until one element is left.
fn product(p: &mut Program, out: &View, a: &View) -> Result<()> {
    if !is_complex(out.dtype) {
        return Err(invalid!("complex numbers do not fit into out of {:?}", out.dtype));
    }
    if a.elements() == 0 {
        return launch(p, "fill", &[out], &[], &[Float(1.0), Float(0.0)]);
    }
    let mut left = p.temporary(DType::C128, &a.dims);
    p.launch("copy", &[&left], &[a], &[])?;
    for d in 0..a.rank() {
        if out.dims[d] != 1 {
            continue;
        }
        while left.dims[d] > 1 {
            let half = left.dims[d] / 2;
            let (first, last) = (left.narrow(d, 0, half, 1), left.narrow(d, left.dims[d] - half, half, 1));
            together(p, "complex_mul", true, &[&first], &[&first, &last])?;
            left = left.narrow(d, 0, left.dims[d] - half, 1);
        }
    }
    p.launch("copy", &[out], &[&left], &[])
}

fn apart(
    p: &mut Program,
    k: &'static str,
    elements: &[usize],
    outputs: &[&View],
    inputs: &[&View],
    attrs: &[Attr],
) -> Result<()> {
    let attrs = attrs_of_part(attrs);
    let mut sides = [vec![], vec![]];
    for (i, v) in inputs.iter().enumerate() {
        let pair = if elements.contains(&i) { parts(p, v)? } else { [0, 1].map(|_| (*v).clone()) };
        sides.iter_mut().zip(pair).for_each(|(side, v)| side.push(v));
    }
    // Of a complex number that becomes a real one the real part is left.
    let count = if is_complex(outputs[0].dtype) { 2 } else { 1 };
    if count == 1 && k != "copy" {
        return Err(invalid!("complex numbers do not fit into out of {:?}", outputs[0].dtype));
    }
    for (which, side) in sides.iter().enumerate().take(count) {
        let outs: Vec<View> = outputs.iter().map(|v| part(v, which)).collect();
        p.launch(k, &outs.iter().collect::<Vec<_>>(), &side.iter().collect::<Vec<_>>(), &attrs)?;
    }
    Ok(())
}

fn together(
    p: &mut Program,
    k: &'static str,
    complex: bool,
    outputs: &[&View],
    inputs: &[&View],
) -> Result<()> {
    let out = outputs[0];
    if complex != is_complex(out.dtype) {
        return Err(invalid!(
            "a result that is {}complex does not fit into out of {:?}",
            if complex { "" } else { "not " },
            out.dtype
        ));
    }
    let mut pairs = vec![];
    for v in inputs {
        pairs.extend(parts(p, v)?);
    }
    let outs = if complex { vec![part(out, 0), part(out, 1)] } else { vec![out.clone()] };
    p.launch(k, &outs.iter().collect::<Vec<_>>(), &pairs.iter().collect::<Vec<_>>(), &[])
}

/// Attributes are compute type, scalar, and alpha for sums.
fn with_scalar(
    p: &mut Program,
    two: &'static str,
    first: bool,
    outputs: &[&View],
    inputs: &[&View],
    attrs: &[Attr],
) -> Result<()> {
    let [kind, ..] = *attrs else { return Err(invalid!("{two} of complex numbers is not supported")) };
    let (a, mut value) = (inputs[0], scalar(attrs, 1));
    let [alpha, more] = if attrs.len() > 3 { scalar(attrs, 3) } else { [1.0, 0.0] };
    if first || !matches!(two, "add" | "sub") {
        let s = constant(p, value, &a.dims)?;
        let pair = if first { [&s, a] } else { [a, &s] };
        return launch(p, two, outputs, &pair, &[kind, Float(alpha), Float(more)]);
    }
    let [re, im] = value;
    value = [re * alpha - im * more, re * more + im * alpha];
    let s = constant(p, value, &a.dims)?;
    launch(p, two, outputs, &[a, &s], &[kind, Float(1.0), Int(1)])
}
