//! Gated activations between integers and integers.

use std::sync::Arc;

use super::declare::operators;
use super::elementwise::arithmetic;
use super::loss::need_float;
use super::movement::dense;
use super::pointwise::constant;
use super::quantise::{Target, along, by_rows, dequantise, rounding, scaled, smooth_of_groups};
use crate::dtype::DType;
use crate::error::{OpError, Result, invalid};
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::tensor::Tensor;
use crate::view::View;

operators! {
    "dequant_swiglu_quant" { /// yOut = silu of one half of x (made a float by weightScale, activationScale and bias) times the other, divided by quantScale plus quantOffset (static), or times quantScale by a scale for each row (dynamic), as int8.
        aclnnDequantSwigluQuant(x: Tensor, weightScaleOptional: OptTensor, activationScaleOptional: OptTensor, biasOptional: OptTensor,
            quantScaleOptional: OptTensor, quantOffsetOptional: OptTensor, groupIndexOptional: OptTensor, activateLeft: Bool, quantModeOptional: Text,
            yOut: Packed, scaleOut: OptTensor) =>
            |p: &mut Program, x, w, a, b, s, o, groups, left, mode, y, out| {
                let from = Dequant { columns: w, rows: a, bias: b };
                dequant_swiglu_quant(p, x, from, Glu { left, ..Glu::default() }, groups, To { scale: s, offset: o, mode, round: "round", y, out }) }; }
    "dequant_swiglu_quant_v2" { /// As aclnnDequantSwigluQuant; swigluMode 1 (neighbours) and 2 (halves) limit by clampLimit, take sigmoid of gluAlpha times, and add gluBias to the other.
        aclnnDequantSwigluQuantV2(x: Tensor, weightScaleOptional: OptTensor, activationScaleOptional: OptTensor, biasOptional: OptTensor,
            quantScaleOptional: OptTensor, quantOffsetOptional: OptTensor, groupIndexOptional: OptTensor, activateLeft: Bool, quantModeOptional: Text,
            dstType: Int, roundModeOptional: Text, activateDim: Int, swigluMode: Int, clampLimit: Double, gluAlpha: Double, gluBias: Double, yOut: Packed,
            scaleOut: OptTensor) =>
            |p: &mut Program, x: View, w, a, b, s, o, groups, left, mode, dtype, round: String, dim, glu, limit, alpha, bias, y: Arc<Tensor>, out| {
                if dim != -1 && dim != x.rank() as i64 - 1 || dtype != i64::from(y.dtype) {
                    return Err(invalid!("activateDim {dim}, dstType {dtype} for yOut of aclDataType {}", y.dtype));
                }
                let from = Dequant { columns: w, rows: a, bias: b };
                let to = To { scale: s, offset: o, mode, round: rounding(&round)?, y, out };
                dequant_swiglu_quant(p, x, from, Glu { left, mode: glu, limit, alpha, bias }, groups, to) }; }
    "swi_glu_quant" { /// yOut = silu of one half of x times the other, times smoothScales plus offsets (static), or by a scale for each row (dynamic), 127 by its largest value, as int8; groupIndex holds the ends of the rows that have smoothScales of their own.
        aclnnSwiGluQuant(x: Tensor, smoothScalesOptional: OptTensor, offsetsOptional: OptTensor, groupIndexOptional: OptTensor, activateLeft: Bool,
            quantModeOptional: Text, yOut: Packed, scaleOut: OptTensor) =>
            |p, x, s, o, groups, left, mode: String, y: Arc<Tensor>, out| swiglu_quant(p, x, [s, o, groups], left, &mode, &y, out); }
    "swi_glu_quant_v2" { /// As aclnnSwiGluQuant; groupListType 1 takes groupIndex as the sizes of the groups; yOut may be int4.
        aclnnSwiGluQuantV2(x: Tensor, smoothScalesOptional: OptTensor, offsetsOptional: OptTensor, groupIndexOptional: OptTensor, activateLeft: Bool,
            quantModeOptional: Text, groupListType: Int, dstType: Int, yOut: Packed, scaleOut: OptTensor) =>
            |p: &mut Program, x, s, o, groups: Option<View>, left, mode: String, kind, dtype, y: Arc<Tensor>, out| {
                if dtype != i64::from(y.dtype) || !matches!(kind, 0 | 1) {
                    return Err(invalid!("dstType {dtype} for yOut of aclDataType {}, groupListType {kind}", y.dtype));
                }
                let ends = groups.map(|g| if kind == 1 { ends(p, &g) } else { Ok(g) }).transpose()?;
                swiglu_quant(p, x, [s, o, ends], left, &mode, &y, out)
            }; }
    "gelu_quant" { /// y = gelu of self (approximate none or tanh), times inputScale plus inputOffset (static), or times inputScale by a scale for each row (dynamic), as int8.
        aclnnGeluQuant(self_: Tensor, inputScaleOptional: OptTensor, inputOffsetOptional: OptTensor, approximate: Text, quantMode: Text, roundMode: Text,
            dstType: Int, y: Packed, outScaleOptional: OptTensor) => gelu_quant; }
}

/// Ends of groups of these sizes.
pub fn ends(p: &mut Program, sizes: &View) -> Result<View> {
    if sizes.rank() != 1 || sizes.dtype.is_float() {
        return Err(invalid!("sizes of groups have shape {:?} and type {:?}", sizes.dims, sizes.dtype));
    }
    let ends = p.temporary(DType::I64, &sizes.dims);
    p.launch("cumsum", &[&ends], &[sizes], &[Type(DType::I64), Int(0)])?;
    Ok(ends)
}

/// How integers become floats.
struct Dequant {
    columns: Option<View>,
    rows: Option<View>,
    bias: Option<View>,
}

/// How one half gates the other.
#[derive(Default)]
struct Glu {
    left: bool,
    mode: i64,
    limit: f64,
    alpha: f64,
    bias: f64,
}

/// How floats become integers.
struct To {
    scale: Option<View>,
    offset: Option<View>,
    mode: String,
    round: &'static str,
    y: Arc<Tensor>,
    out: Option<View>,
}

/// Values for each row and column: the same for all rows, or a row of them for each group.
fn of_rows(p: &mut Program, name: &str, v: &View, dims: &[i64], groups: Option<&View>) -> Result<View> {
    let last = dims.len() - 1;
    match (groups, &v.dims[..]) {
        (Some(ends), &[g, w]) if ends.dims == [g] && (w == dims[last] || w == 1) => {
            let shape = View { dims: dims.into(), strides: crate::view::dense_strides(dims), ..v.clone() };
            smooth_of_groups(p, &shape, &v.expand(&[g, dims[last]])?, ends)
        }
        (Some(ends), &[g]) if ends.dims == [g] && g != 1 => {
            of_rows(p, name, &v.unsqueeze(&[1]), dims, groups)
        }
        _ => along(name, v, dims, last),
    }
}

/// The two halves of x along the last dimension, or its even and odd elements.
fn halves(x: &View, neighbours: bool) -> Result<[View; 2]> {
    match x.dims.last() {
        Some(n) if n % 2 == 0 => {
            let (d, n) = (x.rank() - 1, n / 2);
            Ok(if neighbours {
                [x.narrow(d, 0, n, 2), x.narrow(d, 1, n, 2)]
            } else {
                [x.narrow(d, 0, n, 1), x.narrow(d, n, n, 1)]
            })
        }
        _ => Err(invalid!("x has shape {:?}; an even number of columns is needed", x.dims)),
    }
}

/// The gated half in float32.
fn gated(p: &mut Program, x: &View, glu: &Glu) -> Result<View> {
    let [first, second] = halves(x, glu.mode == 1)?;
    let out = p.temporary(DType::F32, &first.dims);
    match glu.mode {
        0 => {
            let (a, b) = if glu.left { (&first, &second) } else { (&second, &first) };
            p.launch("gate_silu", &[&out], &[a, b], &[])?;
        }
        1 | 2 => {
            let other = p.temporary(DType::F32, &first.dims);
            p.launch("minimum_s", &[&out], &[&first], &[Type(DType::F32), Float(glu.limit), Int(0)])?;
            p.launch("swish", &[&out], &[&out], &[Float(glu.alpha)])?;
            p.launch("clamp", &[&other], &[&second], &[Float(-glu.limit), Float(glu.limit)])?;
            p.launch("add_s", &[&other], &[&other], &[Type(DType::F32), Float(glu.bias), Int(0)])?;
            arithmetic(p, "mul", &out, &other, None, &out)?;
        }
        m => return Err(invalid!("swigluMode {m}; 0, 1 and 2 are supported")),
    }
    Ok(out)
}

fn dequant_swiglu_quant(p: &mut Program, x: View, from: Dequant, glu: Glu, groups: Option<View>, to: To) -> Result<()> {
    if x.rank() < 2 || !(x.dtype.is_float() || x.dtype == DType::I32) {
        return Err(invalid!("x has shape {:?} and type {:?}", x.dims, x.dtype));
    }
    let groups = groups.map(|g| ends(p, &g)).transpose()?;
    let groups = groups.as_ref();
    let value = p.temporary(DType::F32, &x.dims);
    let columns = match &from.columns {
        Some(w) => of_rows(p, "weightScale", w, &x.dims, groups)?,
        None => constant(p, 1.0, &x.dims)?,
    };
    let rows = match &from.rows {
        Some(a) if a.elements() == x.elements() / x.dims[x.rank() - 1].max(1) => {
            let shape = [&x.dims[..x.rank() - 1], &[1]].concat();
            Some(dense(p, a)?.reshaped(&shape))
        }
        Some(a) => return Err(invalid!("activationScale has shape {:?} for x of {:?}", a.dims, x.dims)),
        None => None,
    };
    let bias = match &from.bias {
        Some(b) => Some(of_rows(p, "bias", b, &x.dims, groups)?),
        None => None,
    };
    dequantise(p, &x, &columns, rows.as_ref(), bias.as_ref(), &value)?;
    let act = gated(p, &value, &glu)?;
    let target = Target::new("yOut", &to.y, &act.dims)?;
    let most = target.most();
    match &to.mode[..] {
        "static" | "" => {
            let scale = of_rows(p, "quantScale", &to.scale.ok_or(OpError::Null("quantScaleOptional"))?, &act.dims, groups)?;
            let offset = match &to.offset {
                Some(o) => Some(of_rows(p, "quantOffset", o, &act.dims, groups)?),
                None => None,
            };
            target.write(p, |p, q| scaled(p, &act, (&scale, offset.as_ref()), true, to.round, (-most - 1.0, most), q))
        }
        "dynamic" => {
            let smooth = match &to.scale {
                Some(s) => Some(of_rows(p, "quantScale", s, &act.dims, groups)?),
                None => None,
            };
            let steps = row_scale(to.out, &act)?;
            target.write(p, |p, q| by_rows(p, &act, smooth.as_ref(), most, q, &steps, None))
        }
        mode => Err(invalid!("quantMode {mode}; static and dynamic are known")),
    }
}

/// The scales of rows as the kernel writes them.
fn row_scale(out: Option<View>, x: &View) -> Result<View> {
    let out = out.ok_or(OpError::Null("scaleOut"))?;
    let last = x.rank() - 1;
    if out.dims == x.dims[..last] && out.dtype.is_float() {
        return Ok(out.unsqueeze(&[last]));
    }
    Err(invalid!("scaleOut has shape {:?} and type {:?} for rows {:?}", out.dims, out.dtype, &x.dims[..last]))
}

fn swiglu_quant(
    p: &mut Program,
    x: View,
    [smooth, offsets, ends]: [Option<View>; 3],
    left: bool,
    mode: &str,
    y: &Tensor,
    out: Option<View>,
) -> Result<()> {
    need_float("x", &x)?;
    if x.rank() < 2 {
        return Err(invalid!("x has shape {:?}; two dimensions or more are needed", x.dims));
    }
    let act = gated(p, &x, &Glu { left, ..Glu::default() })?;
    let target = Target::new("yOut", y, &act.dims)?;
    let most = target.most();
    let ends = ends.as_ref();
    let smooth = match &smooth {
        Some(s) => Some(of_rows(p, "smoothScales", s, &act.dims, ends)?),
        None => None,
    };
    match mode {
        "static" => {
            let smooth = smooth.ok_or(OpError::Null("smoothScalesOptional"))?;
            let offset = match &offsets {
                Some(o) => Some(of_rows(p, "offsets", o, &act.dims, ends)?),
                None => None,
            };
            target.write(p, |p, q| scaled(p, &act, (&smooth, offset.as_ref()), false, "round", (-most - 1.0, most), q))
        }
        "dynamic" | "" => {
            // This operator tells what its rows were multiplied with, not divided by.
            let factors = row_scale(out, &act)?;
            let steps = p.temporary(DType::F32, &factors.dims);
            target.write(p, |p, q| by_rows(p, &act, smooth.as_ref(), most, q, &steps, None))?;
            p.launch("reciprocal", &[&factors], &[&steps], &[Type(DType::F32)])
        }
        _ => Err(invalid!("quantMode {mode}; static and dynamic are known")),
    }
}

#[allow(clippy::too_many_arguments)] // CANN's
fn gelu_quant(
    p: &mut Program,
    x: View,
    scale: Option<View>,
    offset: Option<View>,
    approximate: String,
    mode: String,
    round: String,
    dtype: i64,
    y: Arc<Tensor>,
    out: Option<View>,
) -> Result<()> {
    need_float("self", &x)?;
    if dtype != i64::from(y.dtype) || x.rank() == 0 {
        return Err(invalid!("y has aclDataType {} and dstType is {dtype}; x has shape {:?}", y.dtype, x.dims));
    }
    let act = p.temporary(DType::F32, &x.dims);
    let kernel = match &approximate[..] {
        "none" | "" => "gelu_erf",
        "tanh" => "gelu_tanh",
        other => return Err(invalid!("approximate {other}; none and tanh are known")),
    };
    p.launch(kernel, &[&act], &[&x], &[])?;
    let target = Target::new("y", &y, &x.dims)?;
    let most = target.most();
    let last = x.rank() - 1;
    let scale = scale.map(|s| along("inputScale", &s, &x.dims, last)).transpose()?;
    match &mode[..] {
        "static" => {
            let scale = scale.ok_or(OpError::Null("inputScaleOptional"))?;
            let offset = offset.map(|o| along("inputOffset", &o, &x.dims, last)).transpose()?;
            let round = rounding(&round)?;
            target.write(p, |p, q| scaled(p, &act, (&scale, offset.as_ref()), false, round, (-most - 1.0, most), q))
        }
        "dynamic" | "" => {
            let steps = row_scale(out, &x)?;
            target.write(p, |p, q| by_rows(p, &act, scale.as_ref(), most, q, &steps, None))
        }
        _ => Err(invalid!("quantMode {mode}; static and dynamic are known")),
    }
}

/// y = silu of the first half of x times the other, as int8 by a scale that each row gets.
pub fn halves_to_int8(p: &mut Program, x: &View, q: &View, steps: &View) -> Result<()> {
    let act = gated(p, x, &Glu { left: true, ..Glu::default() })?;
    super::elementwise::check_shape(q, &act.dims)?;
    let row = row_scale(Some(steps.clone()), &act)?;
    by_rows(p, &act, None, 127.0, q, &row, None)
}
