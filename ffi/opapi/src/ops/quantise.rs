//! Floats that become small integers, and such integers that become floats.

use std::sync::Arc;

use super::declare::operators;
use super::elementwise::{arithmetic, check_shape};
use super::loss::need_float;
use super::movement::copy;
use super::pointwise::{self, constant};
use crate::dtype::DType;
use crate::error::{OpError, Result, invalid};
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::tensor::Tensor;
use crate::view::{Base, View, dense_strides, wrap_dim};

operators! {
    "ascend_quant" { /// y = x * scale + offset (scale twice in sqrtMode), rounded, as int8 (2), or as int4, one in half a byte (29) or eight in an int32 (3).
        aclnnAscendQuant(x: Tensor, scale: Tensor, offset: OptTensor, sqrtMode: Bool, roundMode: Text, dstType: Int32, y: Packed) =>
            |p, x, s, o, sqrt, round: String, t, y: Arc<Tensor>| ascend_quant(p, x, s, o, sqrt, &round, t, -1, &y); }
    "ascend_quant_v3" { /// As aclnnAscendQuant, scale and offset along an axis of x.
        aclnnAscendQuantV3(x: Tensor, scale: Tensor, offset: OptTensor, sqrtMode: Bool, roundMode: Text, dstType: Int32, axis: Int32, y: Packed) =>
            |p, x, s, o, sqrt, round: String, t, axis: i32, y: Arc<Tensor>| ascend_quant(p, x, s, o, sqrt, &round, t, axis.into(), &y); }
    "ascend_anti_quant" { /// y = (x + offset) * scale, scale twice in sqrtMode.
        aclnnAscendAntiQuant(x: Packed, scale: Tensor, offset: OptTensor, dstType: Int, sqrtMode: Bool, y: Tensor) =>
            |p, x: Arc<Tensor>, s, o, t, sqrt, y| anti_quant(p, &x, s, o, t, sqrt, y); }
    "dynamic_quant" { /// y = x * smoothScales / scale, rounded; scale is each row's largest absolute value by the largest number of y's type.
        aclnnDynamicQuant(x: Tensor, smoothScalesOptional: OptTensor, yOut: Packed, scaleOut: Tensor) =>
            |p, x, s, y: Arc<Tensor>, scale| dynamic(p, x, Dynamic { smooth: s, ..Dynamic::default() }, &y, scale, None); }
    "dynamic_quant_v2" { /// As aclnnDynamicQuant; with an offset, each row's smallest and largest value become the smallest and the largest number. groupIndex holds the ends of the rows that have smoothScales of their own.
        aclnnDynamicQuantV2(x: Tensor, smoothScalesOptional: OptTensor, groupIndexOptional: OptTensor, dstType: Int, yOut: Packed, scaleOut: Tensor,
            offsetOut: OptTensor) =>
            |p: &mut Program, x, s, g, t, y: Arc<Tensor>, scale, o| {
                need_type(t, &y)?;
                dynamic(p, x, Dynamic { smooth: s, groups: g, ..Dynamic::default() }, &y, scale, o)
            }; }
    "dynamic_quant_v3" { /// As aclnnDynamicQuantV2; quantMode pertoken, pertensor or perchannel says what has a scale.
        aclnnDynamicQuantV3(x: Tensor, smoothScalesOptional: OptTensor, groupIndexOptional: OptTensor, dstType: Int, isSymmetrical: Bool, quantMode: Text,
            yOut: Packed, scaleOut: Tensor, offsetOut: OptTensor) =>
            |p: &mut Program, x, s, g, t, symmetric, mode, y: Arc<Tensor>, scale, o| {
                need_type(t, &y)?;
                dynamic(p, x, Dynamic { smooth: s, groups: g, mode }, &y, scale, if symmetric { None } else { need_offset(o)? })
            }; }
    "dynamic_quant_v4" { /// As aclnnDynamicQuantV3; dstTypeMax is of types that this device has not.
        aclnnDynamicQuantV4(x: Tensor, smoothScalesOptional: OptTensor, groupIndexOptional: OptTensor, dstType: Int, isSymmetrical: Bool, quantMode: Text,
            dstTypeMax: Float, yOut: Packed, scaleOut: Tensor, offsetOut: OptTensor) =>
            |p: &mut Program, x, s, g, t, symmetric, mode, _, y: Arc<Tensor>, scale, o| {
                need_type(t, &y)?;
                dynamic(p, x, Dynamic { smooth: s, groups: g, mode }, &y, scale, if symmetric { None } else { need_offset(o)? })
            }; }
    "quantize" { /// out = x / scales + zeroPoints, rounded, as int8, uint8 or int32; scales for all of x, or along an axis.
        aclnnQuantize(x: Tensor, scales: Tensor, zeroPoints: OptTensor, dtype: Type, axis: Int32, out: Out) => quantize; }
    "dequant_bias" { /// out = x * weightScale * activateScale + bias, a bias of int32 being added to x.
        aclnnDequantBias(x: Tensor, weightScale: Tensor, activateScaleOptional: OptTensor, biasOptional: OptTensor, outputDtype: Int, out: Tensor) => dequant_bias; }
    "trans_quant_param_v2" { /// out = scale as a float of 19 bits, with offset as 9 bits beside it, in 64 bits.
        aclnnTransQuantParamV2(scale: Tensor, offset: OptTensor, out: Tensor) => |p, s, o, out| parameters(p, s, o, 0, out); }
    "trans_quant_param_v3" { /// As aclnnTransQuantParamV2; roundMode 0 cuts the scale, 1 rounds it.
        aclnnTransQuantParamV3(scale: Tensor, offset: OptTensor, roundMode: Int, out: Tensor) => parameters; }
    "fake_quant_per_tensor_affine_cachemask" { /// out = self to the nearest of quantMin..quantMax steps of scale from zeroPoint; mask = whether it is in their range.
        aclnnFakeQuantPerTensorAffineCachemask(self_: Tensor, scale: Tensor, zeroPoint: Tensor, fakeQuantEnabled: Float, quantMin: Int, quantMax: Int,
            out: Out, mask: Out) =>
            |p: &mut Program, x: View, s, z, enabled, low, high, out, mask| {
                let one = |name: &str, v: View| if v.elements() == 1 { Ok(v.one()) } else { Err(invalid!("{name} has shape {:?}", v.dims)) };
                fake(p, x, one("scale", s)?, one("zeroPoint", z)?, enabled >= 1.0, (low, high), out, mask)
            }; }
    "fake_quant_per_channel_affine_cachemask" { /// As aclnnFakeQuantPerTensorAffineCachemask, a scale and zero point for each index along axis.
        aclnnFakeQuantPerChannelAffineCachemask(self_: Tensor, scale: Tensor, zeroPoint: Tensor, axis: Int, quantMin: Int, quantMax: Int, out: Out, mask: Out) =>
            |p: &mut Program, x: View, s: View, z: View, axis, low, high, out, mask| {
                let at = wrap_dim(axis, x.rank())?;
                let (s, z) = (along("scale", &s, &x.dims, at)?, along("zeroPoint", &z, &x.dims, at)?);
                fake(p, x, s, z, true, (low, high), out, mask)
            }; }
    "convert_weight_to_int4_pack" { /// weightInt4Pack = weight, each number in half a byte; this device keeps its formats as it keeps ND.
        aclnnConvertWeightToINT4Pack(weight: Tensor, weightInt4Pack: OutPacked) => |p, w, o: Arc<Tensor>| pack_weight(p, &w, &o); }
}

/// aclDataType of two signed numbers in a byte.
pub const INT4: i32 = 29;

/// Where quantised numbers go.
pub enum Target {
    /// One in each byte.
    Bytes(View),
    /// One in each half of a byte; the bytes, and the shape of the numbers.
    Halves(View, Vec<i64>),
}

impl Target {
    /// The numbers of a tensor which has room for the shape `dims` of them.
    pub fn new(name: &'static str, t: &Tensor, dims: &[i64]) -> Result<Self> {
        let last = dims.last().copied().unwrap_or(1);
        let wrong = || invalid!("{name} has shape {:?}, aclDataType {} and strides {:?} for {dims:?}", t.dims, t.dtype, t.strides);
        let in_row = |numbers: i64| t.dims.last().map(|d| d * numbers) == Some(last) && t.dims[..t.dims.len() - 1] == dims[..dims.len() - 1];
        let (step, fits) = match t.dtype {
            2 => return if t.dims == dims { t.view(name).map(Self::Bytes) } else { Err(wrong()) },
            INT4 => (2, t.dims == dims),
            3 => (8, !dims.is_empty() && in_row(8)),
            other => return Err(invalid!("{name} has aclDataType {other}; int8, int4 and int32 are supported")),
        };
        if !fits || last % step != 0 || t.strides != dense_strides(&t.dims) || t.offset != 0 || dims.is_empty() {
            return Err(wrong());
        }
        if t.data == 0 && !dims.contains(&0) {
            return Err(OpError::Null(name));
        }
        let mut bytes = dims.to_vec();
        bytes[dims.len() - 1] /= 2;
        let strides = dense_strides(&bytes);
        let view = View { base: Base::Device(t.data), dtype: DType::I8, dims: bytes.into(), strides };
        Ok(Self::Halves(view, dims.to_vec()))
    }

    /// The largest number.
    pub fn most(&self) -> f64 {
        if let Self::Bytes(_) = self { 127.0 } else { 7.0 }
    }

    /// Runs `write` with bytes for the numbers.
    pub fn write(&self, p: &mut Program, write: impl FnOnce(&mut Program, &View) -> Result<()>) -> Result<()> {
        match self {
            Self::Bytes(view) => write(p, view),
            Self::Halves(packed, dims) => {
                let bytes = p.temporary(DType::I8, dims);
                write(p, &bytes)?;
                p.launch("pack_int4", &[packed], &[&bytes.split(dims.len() - 1, &[packed.dims[dims.len() - 1], 2])], &[])
            }
        }
    }
}

/// The numbers of a tensor as bytes.
pub fn bytes_of(p: &mut Program, name: &'static str, t: &Tensor) -> Result<View> {
    if t.dtype == 2 {
        return t.view(name);
    }
    let mut dims = t.dims.clone();
    if let (3, Some(last)) = (t.dtype, dims.last_mut()) {
        *last *= 8;
    }
    let Target::Halves(packed, dims) = Target::new(name, t, &dims)? else { return Err(OpError::Inner("bytes".into())) };
    let bytes = p.temporary(DType::I8, &dims);
    let pairs = bytes.split(dims.len() - 1, &[packed.dims[dims.len() - 1], 2]);
    p.launch("unpack_int4", &[&pairs], &[&packed], &[])?;
    Ok(bytes)
}

/// One value, or one for each index of dimension `at`, or anything that broadcasts.
pub fn along(name: &str, v: &View, dims: &[i64], at: usize) -> Result<View> {
    match v.dims[..] {
        _ if v.elements() == 1 => v.one().expand(dims),
        [n] if n == dims[at] => {
            let behind: Vec<_> = (1..dims.len() - at).collect();
            v.unsqueeze(&behind).expand(dims)
        }
        _ => v.expand(dims).map_err(|_| invalid!("{name} has shape {:?} for {dims:?} along {at}", v.dims)),
    }
}

/// How results that lie between numbers are rounded.
pub fn rounding(mode: &str) -> Result<&'static str> {
    match mode {
        "round" | "rint" | "" => Ok("round"),
        "floor" => Ok("floor"),
        "ceil" => Ok("ceil"),
        "trunc" => Ok("trunc"),
        _ => Err(invalid!("roundMode {mode}; round, floor, ceil and trunc are known")),
    }
}

/// Which numbers results of type `q` may be, or of int4.
fn limits(q: DType, half: bool) -> Result<(f64, f64)> {
    match q {
        DType::I8 if half => Ok((-8.0, 7.0)),
        DType::I8 => Ok((-128.0, 127.0)),
        DType::U8 => Ok((0.0, 255.0)),
        DType::I32 => Ok((f64::from(i32::MIN), f64::from(i32::MAX))),
        _ => Err(invalid!("a quantised result of {q:?}; I8, U8 and I32 are supported")),
    }
}

/// q = x · scale + offset, or x / scale + offset, rounded as `mode` says to `low..=high`.
pub fn scaled(
    p: &mut Program,
    x: &View,
    (scale, offset): (&View, Option<&View>),
    divide: bool,
    mode: &'static str,
    (low, high): (f64, f64),
    q: &View,
) -> Result<()> {
    need_float("x", x)?;
    let zero;
    let offset = match offset {
        Some(o) => o,
        None => {
            zero = constant(p, 0.0, &[])?;
            &zero
        }
    };
    let scalars = [f64::from(u8::from(divide)), low, high];
    if mode == "round" {
        return pointwise::launch(p, "quantise", &[x, scale, offset], &scalars, q);
    }
    let scaled = p.temporary(DType::F32, &x.dims);
    pointwise::launch(p, "scaled", &[x, scale, offset], &scalars, &scaled)?;
    p.launch(mode, &[q], &[&scaled], &[Type(DType::F32)])
}

/// q = round(x · scale + offset) as int8.
pub fn static_quantise(p: &mut Program, x: &View, scale: &View, offset: Option<&View>, q: &View) -> Result<()> {
    let last = x.rank().saturating_sub(1);
    let scale = along("scale", scale, &x.dims, last)?;
    let offset = offset.map(|o| along("offset", o, &x.dims, last)).transpose()?;
    scaled(p, x, (&scale, offset.as_ref()), false, "round", limits(q.dtype, false)?, q)
}

/// q = round(x · scale + offset) as int8.
pub fn by_numbers(p: &mut Program, x: &View, scale: f64, offset: f64, q: &View) -> Result<()> {
    let (scale, offset) = (constant(p, scale, &[])?, constant(p, offset, &[])?);
    static_quantise(p, x, &scale, Some(&offset), q)
}

/// q = the rows of x · smooth by scales of their own, numbers up to `most`; with an offset, from one end to the other.
pub fn by_rows(p: &mut Program, x: &View, smooth: Option<&View>, most: f64, q: &View, scale: &View, offset: Option<&View>) -> Result<()> {
    let outputs: Vec<_> = [q, scale].into_iter().chain(offset).collect();
    let inputs: Vec<_> = [x].into_iter().chain(smooth).collect();
    let there = i64::from(offset.is_some()) + 2 * i64::from(smooth.is_some());
    p.launch("dynamic_quantise", &outputs, &inputs, &[Int(there), Float(most)])
}

/// scale · scale in float32.
fn squared(p: &mut Program, scale: &View) -> Result<View> {
    let square = p.temporary(DType::F32, &scale.dims);
    p.launch("square", &[&square], &[scale], &[Type(DType::F32)])?;
    Ok(square)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn ascend_quant(
    p: &mut Program,
    x: View,
    scale: View,
    offset: Option<View>,
    sqrt: bool,
    round: &str,
    dtype: i32,
    axis: i64,
    y: &Tensor,
) -> Result<()> {
    need_float("x", &x)?;
    need_float("scale", &scale)?;
    if x.rank() == 0 {
        return Err(invalid!("x is a scalar"));
    }
    need_type(dtype.into(), y)?;
    let at = wrap_dim(axis, x.rank())?;
    let mode = rounding(round)?;
    let target = Target::new("y", y, &x.dims)?;
    let scale = if sqrt { squared(p, &scale)? } else { scale };
    let scale = along("scale", &scale, &x.dims, at)?;
    let offset = offset.map(|o| along("offset", &o, &x.dims, at)).transpose()?;
    let range = limits(DType::I8, target.most() < 8.0)?;
    target.write(p, |p, q| scaled(p, &x, (&scale, offset.as_ref()), false, mode, range, q))
}

fn need_type(dtype: i64, y: &Tensor) -> Result<()> {
    if dtype == i64::from(y.dtype) {
        Ok(())
    } else {
        Err(invalid!("y has aclDataType {}; dstType is {dtype}", y.dtype))
    }
}

fn anti_quant(p: &mut Program, x: &Tensor, scale: View, offset: Option<View>, dtype: i64, sqrt: bool, y: View) -> Result<()> {
    if dtype != y.dtype as i64 || !y.dtype.is_float() {
        return Err(invalid!("y has type {:?}; dstType is {dtype}", y.dtype));
    }
    let x = bytes_of(p, "x", x)?;
    check_shape(&y, &x.dims)?;
    let last = x.rank().saturating_sub(1);
    let scale = if sqrt { squared(p, &scale)? } else { scale };
    let scale = along("scale", &scale, &x.dims, last)?;
    let moved = p.temporary(DType::F32, &x.dims);
    match offset {
        Some(o) => arithmetic(p, "add", &x, &along("offset", &o, &x.dims, last)?, None, &moved)?,
        None => copy(p, &x, &moved)?,
    }
    p.launch("mul", &[&y], &[&moved, &scale], &[Type(DType::F32), Float(1.0), Int(1)])
}

/// What a dynamic quantisation is told beside its tensors.
#[derive(Default)]
struct Dynamic {
    smooth: Option<View>,
    groups: Option<View>,
    mode: String,
}

fn need_offset(offset: Option<View>) -> Result<Option<View>> {
    offset.map(Some).ok_or(OpError::Null("offsetOut"))
}

fn dynamic(p: &mut Program, x: View, how: Dynamic, y: &Tensor, scale: View, offset: Option<View>) -> Result<()> {
    need_float("x", &x)?;
    let (rank, last) = match x.dims[..] {
        [.., last] => (x.rank(), last),
        [] => return Err(invalid!("x is a scalar")),
    };
    let target = Target::new("yOut", y, &x.dims)?;
    let smooth = match (how.smooth, how.groups) {
        (None, _) => None,
        (Some(s), None) if s.dims == [last] => Some(s.expand(&x.dims)?),
        (Some(s), Some(groups)) => Some(smooth_of_groups(p, &x, &s, &groups)?),
        (Some(s), None) => return Err(invalid!("smoothScales have shape {:?} for rows of {last}", s.dims)),
    };
    let (shape, kept): (Vec<_>, Vec<_>) = match &how.mode[..] {
        "pertoken" | "" => (x.dims[..rank - 1].to_vec(), [&x.dims[..rank - 1], &[1]].concat()),
        "perchannel" if rank > 1 => {
            ([&x.dims[..rank - 2], &[last]].concat(), [&x.dims[..rank - 2], &[last, 1]].concat())
        }
        "pertensor" => (vec![1], vec![1, 1]),
        mode => return Err(invalid!("quantMode {mode}; pertoken, pertensor and perchannel are known")),
    };
    let statistic = |p: &mut Program, v: &View| {
        if v.dims != shape || !v.dtype.is_float() {
            return Err(invalid!("a scale or offset has shape {:?} and type {:?}; {shape:?} is needed", v.dims, v.dtype));
        }
        Ok(p.temporary(DType::F32, &kept))
    };
    let step = statistic(p, &scale)?;
    let zero = offset.as_ref().map(|o| statistic(p, o)).transpose()?;
    let most = target.most();
    target.write(p, |p, q| match &how.mode[..] {
        "pertensor" => {
            let all = p.temporary(DType::F32, &x.dims);
            match &smooth {
                Some(s) => p.launch("mul", &[&all], &[&x, s], &[Type(DType::F32), Float(1.0), Int(1)])?,
                None => copy(p, &x, &all)?,
            }
            let row = [1, x.elements()];
            let numbers = p.temporary(DType::I8, &row);
            by_rows(p, &all.reshaped(&row), None, most, &numbers, &step, zero.as_ref())?;
            copy(p, &numbers.reshaped(&x.dims), q)
        }
        "perchannel" => {
            let turn = |v: &View| v.transposed(rank - 2, rank - 1);
            by_rows(p, &turn(&x), smooth.as_ref().map(turn).as_ref(), most, &turn(q), &step, zero.as_ref())
        }
        _ => by_rows(p, &x, smooth.as_ref(), most, q, &step, zero.as_ref()),
    })?;
    copy(p, &step.reshaped(&shape), &scale)?;
    match (offset, zero) {
        (Some(offset), Some(zero)) => copy(p, &zero.reshaped(&shape), &offset),
        _ => Ok(()),
    }
}

/// For each row of x, the factors of the group whose end is the first behind it.
pub fn smooth_of_groups(p: &mut Program, x: &View, smooth: &View, ends: &View) -> Result<View> {
    let rows: i64 = x.dims[..x.rank() - 1].iter().product();
    let (&[e, h], &[n]) = (&smooth.dims[..], &ends.dims[..]) else {
        return Err(invalid!("smoothScales have shape {:?} and groupIndex {:?}", smooth.dims, ends.dims));
    };
    if n != e || h != x.dims[x.rank() - 1] || ends.dtype.is_float() {
        return Err(invalid!("smoothScales have shape {:?} and groupIndex {:?} for x of {:?}", smooth.dims, ends.dims, x.dims));
    }
    let numbers = p.temporary(DType::I32, &[rows]);
    p.launch("arange", &[&numbers], &[], &[Float(0.0), Float(1.0), Int(0), Int(1)])?;
    let group = p.temporary(DType::I32, &[rows]);
    p.launch("search_sorted", &[&group], &[ends, &numbers], &[Int(1)])?;
    // Rows behind the last end are nobody's; they take the last one's.
    p.launch("clamp", &[&group], &[&group], &[Float(0.0), Float((e - 1) as f64)])?;
    let each = p.temporary(smooth.dtype, &[rows, h]);
    p.launch("index_select", &[&each], &[smooth, &group], &[Int(0)])?;
    Ok(each.reshaped(&x.dims))
}

fn quantize(p: &mut Program, x: View, scales: View, zero: Option<View>, dtype: DType, axis: i32, out: View) -> Result<()> {
    if out.dtype != dtype {
        return Err(invalid!("out has type {:?}; {dtype:?} was asked for", out.dtype));
    }
    let range = limits(dtype, false)?;
    check_shape(&out, &x.dims)?;
    let many = scales.elements() != 1;
    let at = if many { wrap_dim(axis.into(), x.rank())? } else { 0 };
    if zero.as_ref().is_some_and(|z| z.elements() != scales.elements()) {
        return Err(invalid!("scales have shape {:?} and zeroPoints another", scales.dims));
    }
    let one = constant(p, 1.0, &scales.dims)?;
    // A scale of 0 counts as 1.
    let none = p.temporary(DType::Bool, &scales.dims);
    p.launch("eq_s", &[&none], &[&scales], &[Type(DType::F32), Float(0.0), Int(0)])?;
    let steps = p.temporary(DType::F32, &scales.dims);
    p.launch("where", &[&steps], &[&none, &one, &scales], &[])?;
    let steps = along("scales", &steps, &x.dims, at)?;
    let zero = zero.map(|z| along("zeroPoints", &z, &x.dims, at)).transpose()?;
    scaled(p, &x, (&steps, zero.as_ref()), true, "round", range, &out)
}

fn dequant_bias(p: &mut Program, x: View, weight: View, activation: Option<View>, bias: Option<View>, dtype: i64, out: View) -> Result<()> {
    let &[m, n] = &x.dims[..] else { return Err(invalid!("x has shape {:?}; a matrix is needed", x.dims)) };
    if x.dtype != DType::I32 || dtype != out.dtype as i64 {
        return Err(invalid!("x has type {:?} and out {:?}; outputDtype is {dtype}", x.dtype, out.dtype));
    }
    check_shape(&out, &[m, n])?;
    let rows = match activation {
        Some(a) if a.dims == [m] => Some(a),
        Some(a) => return Err(invalid!("activateScale has shape {:?} for {m} rows", a.dims)),
        None => None,
    };
    dequantise(p, &x, &along("weightScale", &weight, &x.dims, 1)?, rows.as_ref(), bias.as_ref(), &out)
}

/// out = sums `[.., m, n]` of products of integers · a scale of the columns · a scale of the rows `[m]` + a bias, one of
/// int32 being added to the sums.
pub fn dequantise(p: &mut Program, sums: &View, columns: &View, rows: Option<&View>, bias: Option<&View>, out: &View) -> Result<()> {
    need_float("out", out)?;
    let (dims, rank) = (&sums.dims, sums.rank());
    let mut with_bias = sums.clone();
    let mut after = None;
    if let Some(bias) = bias {
        let bias = along("bias", bias, dims, rank - 1)?;
        if bias.dtype == DType::I32 {
            with_bias = p.temporary(DType::I32, dims);
            arithmetic(p, "add", sums, &bias, None, &with_bias)?;
        } else {
            after = Some(bias);
        }
    }
    let after = match after {
        Some(bias) => bias,
        None => constant(p, 0.0, dims)?,
    };
    let rows = match rows {
        Some(rows) if rows.rank() == 1 => rows.unsqueeze(&[1]).expand(dims)?,
        Some(rows) => rows.expand(dims)?,
        None => constant(p, 1.0, dims)?,
    };
    pointwise::launch(p, "dequantise", &[&with_bias, columns, &rows, &after], &[], out)
}

fn parameters(p: &mut Program, scale: View, offset: Option<View>, round: i64, out: View) -> Result<()> {
    if scale.dtype != DType::F32 || !matches!(out.dtype, DType::I64 | DType::U64) || !matches!(round, 0 | 1) {
        return Err(invalid!("scale has type {:?}, out {:?}, roundMode {round}", scale.dtype, out.dtype));
    }
    let shape = offset.as_ref().map_or(Ok(scale.dims.clone()), |o| crate::view::broadcast(&scale.dims, &o.dims))?;
    check_shape(&out, &shape)?;
    let inputs = [Some(scale), offset].into_iter().flatten().map(|v| v.expand(&shape)).collect::<Result<Vec<_>>>()?;
    p.launch("pack_parameters", &[&out], &inputs.iter().collect::<Vec<_>>(), &[Int(round)])
}

#[allow(clippy::too_many_arguments)] // CANN's
fn fake(p: &mut Program, x: View, scale: View, zero: View, enabled: bool, range: (i64, i64), out: View, mask: View) -> Result<()> {
    need_float("self", &x)?;
    if range.0 > range.1 || zero.dtype.is_float() && zero.dtype != DType::F32 || mask.dtype != DType::Bool {
        return Err(invalid!("quantMin {}, quantMax {}, zeroPoint of {:?}, mask of {:?}", range.0, range.1, zero.dtype, mask.dtype));
    }
    check_shape(&out, &x.dims)?;
    check_shape(&mask, &x.dims)?;
    if !enabled {
        copy(p, &x, &out)?;
        return super::movement::fill(p, mask, super::movement::constant(1));
    }
    let scalars = [range.0 as f64, range.1 as f64];
    pointwise::launch(p, "fake_quantise_kept", &[&x, &scale, &zero], &scalars, &mask)?;
    pointwise::launch(p, "fake_quantise", &[&x, &scale, &zero], &scalars, &out)
}

fn pack_weight(p: &mut Program, weight: &View, out: &Tensor) -> Result<()> {
    if weight.dtype != DType::I32 || weight.rank() < 2 {
        return Err(invalid!("weight has shape {:?} and type {:?}; matrices of int32 are needed", weight.dims, weight.dtype));
    }
    match Target::new("weightInt4Pack", out, &weight.dims)? {
        Target::Bytes(_) => Err(invalid!("weightInt4Pack is of int8; int4 or int32 is needed")),
        halves => halves.write(p, |p, q| copy(p, weight, q)),
    }
}
