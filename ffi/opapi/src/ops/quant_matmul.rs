//! Products of int8 and int4 matrices, summed exactly in int32, then made floats or int8 again by scales.

use std::ffi::c_void;
use std::sync::Arc;

use super::declare::operators;
use super::elementwise::{check_shape, need_absent};
use super::movement::copy;
use super::pointwise::constant;
use super::quant::as_bytes;
use super::quantise::{along, bytes_of, dequantise, scaled};
use crate::dtype::DType;
use crate::error::{OpError, Result, invalid, status};
use crate::program::Attr::{Float, Int};
use crate::program::Program;
use crate::tensor::Tensor;
use crate::view::{View, broadcast};

operators! {
    "quant_matmul_v3" { /// out = (x1 @ x2 + bias) * scale + offset of int8 or int4 matrices; scale as aclnnTransQuantParamV2 makes it, or floats.
        aclnnQuantMatmulV3(x1: Packed, x2: Packed, scale: Tensor, offset: OptTensor, bias: OptTensor, transposeX1: Bool, transposeX2: Bool, out: Tensor) =>
            |p, a, b, s, o, bias, ta, tb, out| product(p, [a, b], Scales { columns: Some(s), rows: None, offset: o, bias }, [ta, tb], out); }
    "quant_matmul_v4" { /// As aclnnQuantMatmulV3, times pertokenScale for each row; a bias of floats is added at the end.
        aclnnQuantMatmulV4(x1: Packed, x2: Packed, scale: Tensor, offset: OptTensor, pertokenScaleOptional: OptTensor, bias: OptTensor, transposeX1: Bool,
            transposeX2: Bool, out: Tensor) =>
            |p, a, b, s, o, rows, bias, ta, tb, out| product(p, [a, b], Scales { columns: Some(s), rows, offset: o, bias }, [ta, tb], out); }
    "quant_matmul_v5" { /// As aclnnQuantMatmulV4; x1Scale is that of the rows, x2Scale that of the columns, x2Offset is added. With groupSize, scales change along the steps: ((x1 @ ((x2 - x2Offset) x2Scale)) + yOffset) x1Scale + bias.
        aclnnQuantMatmulV5(x1: Packed, x2: Packed, x1Scale: OptTensor, x2Scale: Tensor, yScale: OptTensor, x1Offset: OptTensor, x2Offset: OptTensor,
            yOffset: OptTensor, bias: OptTensor, transposeX1: Bool, transposeX2: Bool, groupSize: Int, out: Out) => fifth; }
    "quant_matmul_weight_nz" { /// As aclnnQuantMatmulV5, of an x2 in FRACTAL_NZ; this device keeps that format as it keeps ND.
        aclnnQuantMatmulWeightNz(x1: Packed, x2: Packed, x1Scale: OptTensor, x2Scale: Tensor, yScale: OptTensor, x1Offset: OptTensor, x2Offset: OptTensor,
            yOffset: OptTensor, bias: OptTensor, transposeX1: Bool, transposeX2: Bool, groupSize: Int, out: Out) => fifth; }
    "quant_matmul" { /// out = (x1 @ x2 + bias) * deqScale of int8 matrices, deqScale as aclnnTransQuantParam makes it.
        aclnnQuantMatmulV2(x1: Packed, x2: Packed, bias: OptTensor, deqScale: Tensor, adjX1: Bool, adjX2: Bool, out: Out) =>
            |p, a, b, bias, s, ta, tb, out| product(p, [a, b], Scales { columns: Some(s), rows: None, offset: None, bias }, [ta, tb], out); }
    "quant_matmul_dequant" { /// out = x @ weight * weightScale * xScale + bias of a float x that is first made int8: by rows of its own scales (pertoken), or one scale (pertensor).
        aclnnQuantMatmulDequant(x: Tensor, weight: Packed, weightScale: Tensor, biasOptional: OptTensor, xScaleOptional: OptTensor, xOffsetOptional: OptTensor,
            smoothScaleOptional: OptTensor, xQuantMode: Text, transposeWeight: Bool, out: Tensor) =>
            |p, x, w, ws, bias, xs, xo, smooth, mode: String, t, out| quantise_and_multiply(p, x, w, [Some(ws), bias, xs, xo, smooth], &mode, t, out); }
}

#[allow(clippy::too_many_arguments)] // CANN's
fn fifth(
    p: &mut Program,
    a: Arc<Tensor>,
    b: Arc<Tensor>,
    rows: Option<View>,
    columns: View,
    y_scale: Option<View>,
    a_offset: Option<View>,
    offset: Option<View>,
    y_offset: Option<View>,
    bias: Option<View>,
    turned_a: bool,
    turned_b: bool,
    group: i64,
    out: View,
) -> Result<()> {
    need_absent(&[("yScale", y_scale), ("x1Offset", a_offset)])?;
    if group != 0 {
        let (a, b) = (matrix(p, "x1", &a, turned_a)?, matrix(p, "x2", &b, turned_b)?);
        return grouped(p, [a, b], [rows, Some(columns), offset, y_offset, bias], (group, turned_b), out);
    }
    need_absent(&[("yOffset", y_offset)])?;
    product(p, [a, b], Scales { columns: Some(columns), rows, offset, bias }, [turned_a, turned_b], out)
}

/// A product whose scales change along the steps: out = ((x1 @ ((x2 - x2Offset) x2Scale)) + yOffset) x1Scale + bias.
/// groupSize has 16 bits each for steps, columns and rows of a group. The sums are float32.
fn grouped(
    p: &mut Program,
    [a, b]: [View; 2],
    [rows, columns, offset, y_offset, bias]: [Option<View>; 5],
    (group, turned): (i64, bool),
    out: View,
) -> Result<()> {
    let (&[m, k], &[steps, n]) = (&a.dims[..], &b.dims[..]) else {
        return Err(invalid!("x1 has shape {:?} and x2 {:?}; with groups, matrices are needed", a.dims, b.dims));
    };
    let [gk, gn, gm] = [0, 16, 32].map(|shift| (group >> shift & 0xffff).max(1));
    if steps != k || k % gk != 0 || n % gn != 0 || gm != 1 {
        return Err(invalid!("groupSize {group:#x} of x1 {:?} and x2 {:?}", a.dims, b.dims));
    }
    check_shape(&out, &[m, n])?;
    let (groups, blocks) = (k / gk, n / gn);
    let columns = columns.ok_or(OpError::Null("x2Scale"))?;
    let columns = match columns.dtype {
        DType::I64 | DType::U64 => {
            let [scale, none] = [(); 2].map(|()| p.temporary(DType::F32, &columns.dims));
            p.launch("unpack_parameters", &[&scale, &none], &[&columns], &[])?;
            scale
        }
        _ => columns,
    };
    super::loss::need_float("x2Scale", &columns)?;
    let shape = [groups, gk, blocks, gn];
    let of_blocks = |name: &str, t: &View| -> Result<View> {
        // For blocks of columns it is laid out as x2.
        let t = if gn > 1 && turned && t.rank() == 2 { t.transposed(0, 1) } else { t.clone() };
        let fits = t.dims == [groups, if gn > 1 { blocks } else { n }];
        let t = t.unsqueeze(&[1, 3]);
        if fits { t.expand(&shape) } else { Err(invalid!("{name} does not have {groups} groups of {blocks} blocks")) }
    };
    let weight = p.temporary(DType::F32, &shape);
    let mut numbers = b.split(1, &[blocks, gn]).split(0, &[groups, gk]);
    if let Some(offset) = offset {
        let one = super::movement::constant(1);
        super::elementwise::arithmetic(p, "sub", &numbers, &of_blocks("x2Offset", &offset)?, Some(one), &weight)?;
        numbers = weight.clone();
    }
    super::elementwise::arithmetic(p, "mul", &numbers, &of_blocks("x2Scale", &columns)?, None, &weight)?;
    let left = p.temporary(DType::F32, &[m, groups, gk]);
    let parts = a.split(1, &[groups, gk]);
    let by_group = rows.as_ref().is_some_and(|r| r.dims == [m, groups] && groups > 1);
    match &rows {
        Some(r) if by_group => {
            let r = r.unsqueeze(&[2]).expand(&left.dims)?;
            super::elementwise::arithmetic(p, "mul", &parts, &r, None, &left)?;
        }
        _ => copy(p, &parts, &left)?,
    }
    let sums = p.temporary(DType::F32, &[m, n]);
    p.launch("matmul", &[&sums], &[&left.reshaped(&[m, k]), &weight.reshaped(&[k, n])], &[Float(1.0), Float(0.0), Int(0)])?;
    if let Some(y) = y_offset {
        super::elementwise::arithmetic(p, "add", &sums, &along("yOffset", &y, &sums.dims, 1)?, None, &sums)?;
    }
    if let Some(r) = rows.filter(|_| !by_group) {
        let r = if r.elements() == 1 { r.one() } else if r.rank() == 1 { r.unsqueeze(&[1]) } else { r };
        super::elementwise::arithmetic(p, "mul", &sums, &r.expand(&sums.dims)?, None, &sums)?;
    }
    if let Some(b) = bias {
        super::elementwise::arithmetic(p, "add", &sums, &along("bias", &b, &sums.dims, 1)?, None, &sums)?;
    }
    copy(p, &sums, &out)
}

/// What becomes of the sums.
pub struct Scales {
    /// Of each column; none where the sums are the result.
    pub columns: Option<View>,
    /// Of each row.
    pub rows: Option<View>,
    /// Added to int8 results.
    pub offset: Option<View>,
    /// Added to the sums if it is int32, else to the result.
    pub bias: Option<View>,
}

/// Numbers of a matrix as bytes, whatever its strides are.
pub fn matrix(p: &mut Program, name: &'static str, t: &Tensor, turned: bool) -> Result<View> {
    let v = if t.dtype == 3 { bytes_of(p, name, t)? } else { as_bytes(p, t)? };
    let r = v.rank();
    if r < 2 {
        return Err(invalid!("{name} has shape {:?}; a matrix is needed", t.dims));
    }
    Ok(if turned { v.transposed(r - 2, r - 1) } else { v })
}

fn product(p: &mut Program, [a, b]: [Arc<Tensor>; 2], scales: Scales, [ta, tb]: [bool; 2], out: View) -> Result<()> {
    let (a, b) = (matrix(p, "x1", &a, ta)?, matrix(p, "x2", &b, tb)?);
    multiply(p, &a, &b, scales, &out)
}

/// out = a @ b of int8, as `scales` has it.
pub fn multiply(p: &mut Program, a: &View, b: &View, scales: Scales, out: &View) -> Result<()> {
    let (ra, rb) = (a.rank(), b.rank());
    let (m, k, n) = (a.dims[ra - 2], a.dims[ra - 1], b.dims[rb - 1]);
    if b.dims[rb - 2] != k {
        return Err(invalid!("shapes {:?} and {:?} cannot be multiplied: {k} columns and {} rows", a.dims, b.dims, b.dims[rb - 2]));
    }
    let batch = broadcast(&a.dims[..ra - 2], &b.dims[..rb - 2])?;
    let shape = |x, y| [&batch[..], &[x, y]].concat();
    check_shape(out, &shape(m, n))?;
    let sums = p.temporary(DType::I32, &out.dims);
    let (a, b) = (a.expand(&shape(m, k))?, b.expand(&shape(k, n))?);
    p.launch("matmul", &[&sums], &[&a, &b], &[Float(1.0), Float(0.0), Int(0)])?;
    finish(p, &sums, scales, out)
}

/// out = the sums as `scales` has it.
pub fn finish(p: &mut Program, sums: &View, scales: Scales, out: &View) -> Result<()> {
    let last = sums.rank() - 1;
    let bias = scales.bias.map(|b| if b.rank() == 3 { Ok(b) } else { along("bias", &b, &sums.dims, last) }).transpose()?;
    if out.dtype == DType::I32 {
        return match bias {
            None => copy(p, sums, out),
            Some(b) if b.dtype == DType::I32 => super::elementwise::arithmetic(p, "add", sums, &b, None, out),
            Some(b) => Err(invalid!("a bias of {:?} to sums of int32", b.dtype)),
        };
    }
    let columns = scales.columns.ok_or(OpError::Null("scale"))?;
    let mut offset = scales.offset;
    let columns = match columns.dtype {
        DType::I64 | DType::U64 => {
            let [scale, packed_offset] = [(); 2].map(|()| p.temporary(DType::F32, &columns.dims));
            p.launch("unpack_parameters", &[&scale, &packed_offset], &[&columns], &[])?;
            offset = Some(packed_offset);
            scale
        }
        t if t.is_float() => columns,
        t => return Err(invalid!("scale has type {t:?}; floats or 64 bits are needed")),
    };
    let columns = along("scale", &columns, &sums.dims, last)?;
    let rows = match scales.rows {
        Some(r) if r.rank() == 1 && (r.dims[0] == sums.dims[last - 1] || r.dims[0] == 1) => Some(r.unsqueeze(&[1]).expand(&sums.dims)?),
        Some(r) => Some(r.expand(&sums.dims).map_err(|_| invalid!("the rows' scale has shape {:?} for {:?}", r.dims, sums.dims))?),
        None => None,
    };
    match out.dtype {
        DType::I8 => {
            let value = p.temporary(DType::F32, &sums.dims);
            dequantise(p, sums, &columns, rows.as_ref(), bias.as_ref(), &value)?;
            let one = constant(p, 1.0, &[])?;
            let offset = offset.map(|o| along("offset", &o, &sums.dims, last)).transpose()?;
            scaled(p, &value, (&one, offset.as_ref()), false, "round", (-128.0, 127.0), out)
        }
        t if t.is_float() => dequantise(p, sums, &columns, rows.as_ref(), bias.as_ref(), out),
        t => Err(invalid!("out has type {t:?}; floats, I8 and I32 are supported")),
    }
}

fn quantise_and_multiply(
    p: &mut Program,
    x: View,
    weight: Arc<Tensor>,
    [weight_scale, bias, scale, offset, smooth]: [Option<View>; 5],
    mode: &str,
    turned: bool,
    out: View,
) -> Result<()> {
    need_absent(&[("xOffset", offset)])?;
    let &[m, k] = &x.dims[..] else { return Err(invalid!("x has shape {:?}; a matrix is needed", x.dims)) };
    super::loss::need_float("x", &x)?;
    let smooth = smooth.map(|s| along("smoothScale", &s, &x.dims, 1)).transpose()?;
    let q = p.temporary(DType::I8, &[m, k]);
    let rows = match (mode, scale) {
        ("pertoken", None) => {
            let steps = p.temporary(DType::F32, &[m, 1]);
            super::quantise::by_rows(p, &x, smooth.as_ref(), 127.0, &q, &steps, None)?;
            steps.without(1)
        }
        ("pertoken" | "pertensor", Some(scale)) => {
            let x = match &smooth {
                None => x,
                Some(smooth) => {
                    let smoothed = p.temporary(DType::F32, &x.dims);
                    super::elementwise::arithmetic(p, "mul", &x, smooth, None, &smoothed)?;
                    smoothed
                }
            };
            let steps = match scale.dims[..] {
                [one] if one == m => scale.unsqueeze(&[1]).expand(&x.dims)?,
                _ => along("xScale", &scale, &x.dims, 1)?,
            };
            scaled(p, &x, (&steps, None), true, "round", (-128.0, 127.0), &q)?;
            if scale.elements() == 1 { scale.one().expand(&[m])? } else { scale }
        }
        (mode, scale) => {
            return Err(invalid!("xQuantMode {mode}, xScale {}", if scale.is_some() { "given" } else { "null" }));
        }
    };
    let w = matrix(p, "weight", &weight, turned)?;
    multiply(p, &q, &w, Scales { columns: weight_scale, rows: Some(rows), offset: None, bias }, &out)
}

/// Stores at `param` an array, which the program frees, of scales as the cube takes them: floats of 19 bits, offsets of 9
/// beside them. One of either serves all of the others.
///
/// # Safety
/// The arrays are as long as their sizes say; unless they are null, the places can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aclnnTransQuantParam(
    scales: *const f32,
    scales_len: u64,
    offsets: *const f32,
    offsets_len: u64,
    param: *mut *mut u64,
    param_len: *mut u64,
) -> i32 {
    unsafe extern "C" {
        fn malloc(bytes: usize) -> *mut c_void;
    }
    status("aclnnTransQuantParam", || {
        if scales.is_null() || param.is_null() || param_len.is_null() {
            return Err(OpError::Null("scaleArray, quantParam or quantParamSize"));
        }
        let n = scales_len.max(offsets_len) as usize;
        let of = |len: u64| len == 1 || len as usize == n;
        if scales_len == 0 || offsets.is_null() != (offsets_len == 0) || !of(scales_len) || (offsets_len > 0 && !of(offsets_len)) || n > 1 << 28 {
            return Err(invalid!("{scales_len} scales and {offsets_len} offsets"));
        }
        // SAFETY: by this function's contract; the block is as long as what is written.
        unsafe {
            let made = malloc(n * 8).cast::<u64>();
            if made.is_null() {
                return Err(OpError::Inner("out of host memory".into()));
            }
            for i in 0..n {
                let scale = scales.add(if scales_len == 1 { 0 } else { i }).read_unaligned();
                let offset = match offsets_len {
                    0 => 0.0,
                    1 => offsets.read_unaligned(),
                    _ => offsets.add(i).read_unaligned(),
                };
                let offset = offset.round_ties_even().clamp(-256.0, 255.0) as i64 as u64 & 0x1ff;
                made.add(i).write(u64::from(scale.to_bits() & 0xffff_e000) | 1 << 46 | offset << 37);
            }
            param.write(made);
            param_len.write(n as u64);
        }
        Ok(())
    })
}
