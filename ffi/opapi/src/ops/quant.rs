//! Products with quantised weights.

use std::sync::Arc;

use super::declare::operators;
use super::elementwise::{arithmetic, check_shape};
use super::linear::mm;
use super::loss::need_float;
use crate::dims::Dims;
use crate::dtype::DType;
use crate::error::{OpError, Result, invalid};
use crate::program::Program;
use crate::tensor::Tensor;
use crate::view::{Base, View};

operators! {
    "weight_quant_batch_matmul_v2" { /// y = x @ ((weight + antiquantOffset) * antiquantScale) + bias, of a weight of int8 or int4, with scales for the tensor, its columns, or groups of its rows.
        aclnnWeightQuantBatchMatmulV2(x: Tensor, weight: Packed, antiquantScale: Tensor, antiquantOffsetOptional: OptTensor, quantScaleOptional: OptTensor,
            quantOffsetOptional: OptTensor, biasOptional: OptTensor, antiquantGroupSize: Int32, y: Tensor) =>
            |p, x, w: Arc<Tensor>, s, o, qs, qo, b, g, y| matmul(p, x, &w, s, o, [qs, qo], b, g, y); }
    "weight_quant_batch_matmul_v3" { /// As aclnnWeightQuantBatchMatmulV2; innerPrecise is precise always.
        aclnnWeightQuantBatchMatmulV3(x: Tensor, weight: Packed, antiquantScale: Tensor, antiquantOffsetOptional: OptTensor, quantScaleOptional: OptTensor,
            quantOffsetOptional: OptTensor, biasOptional: OptTensor, antiquantGroupSize: Int32, innerPrecise: Int32, y: Tensor) =>
            |p, x, w: Arc<Tensor>, s, o, qs, qo, b, g, _, y| matmul(p, x, &w, s, o, [qs, qo], b, g, y); }
    "weight_quant_batch_matmul_nz" { /// As aclnnWeightQuantBatchMatmulV2, of a weight in FRACTAL_NZ; this device keeps that format as it keeps ND.
        aclnnWeightQuantBatchMatmulNz(x: Tensor, weight: Packed, antiquantScale: Tensor, antiquantOffsetOptional: OptTensor, quantScaleOptional: OptTensor,
            quantOffsetOptional: OptTensor, biasOptional: OptTensor, antiquantGroupSize: Int32, y: Tensor) =>
            |p, x, w: Arc<Tensor>, s, o, qs, qo, b, g, y| matmul(p, x, &w, s, o, [qs, qo], b, g, y); }
}

/// aclDataType of two signed numbers in a byte.
const INT4: i32 = 29;

/// A weight as signed bytes: int8 as it is, int4 unpacked.
pub fn as_bytes(p: &mut Program, w: &Tensor) -> Result<View> {
    if w.dtype != INT4 {
        return match w.view("weight")? {
            v if v.dtype == DType::I8 => Ok(v),
            v => Err(invalid!("weight has type {:?}; int8 or int4 is needed", v.dtype)),
        };
    }
    if w.data == 0 {
        return Err(OpError::Null("weight"));
    }
    // Two neighbours share a byte: every way to them but the step between neighbours is even.
    let pairs = (0..w.dims.len()).find(|&d| w.strides[d] == 1 && w.dims[d] % 2 == 0);
    let pairs = pairs.filter(|&d| w.offset % 2 == 0 && (0..w.dims.len()).all(|e| e == d || w.strides[e] % 2 == 0));
    let pairs = pairs.ok_or_else(|| {
        invalid!("an int4 weight of shape {:?} with strides {:?}: its pairs are not bytes", w.dims, w.strides)
    })?;
    let mut packed = View {
        base: Base::Device(w.data.wrapping_add_signed(w.offset / 2)),
        dtype: DType::I8,
        dims: w.dims.clone(),
        strides: w.strides.iter().map(|s| s / 2).collect(),
    };
    packed.dims[pairs] /= 2;
    packed.strides[pairs] = 1;
    // In memory as the weight lies, so that what follows runs along it.
    let mut shape = w.dims.clone();
    let last = shape.len() - 1;
    shape.swap(pairs, last);
    let bytes = p.temporary(DType::I8, &shape).transposed(pairs, last);
    let halves = bytes.split(pairs, &[w.dims[pairs] / 2, 2]);
    // The halves of a byte are the kernel's last dimension.
    let order: Vec<i64> = (0..halves.rank()).filter(|&d| d != pairs + 1).chain([pairs + 1]).map(|d| d as i64).collect();
    p.launch("unpack_int4", &[&halves.permute(&order)?], &[&packed], &[])?;
    Ok(bytes)
}

/// A scale or an offset over `[groups, rows of a group, columns]`.
fn per_group(name: &str, t: &View, groups: i64, rows: i64, n: i64) -> Result<View> {
    let shape = [groups, rows, n];
    let fits = match t.dims[..] {
        _ if t.elements() == 1 => View { dims: Dims::new(), strides: Dims::new(), ..t.clone() }.expand(&shape),
        [columns] if columns == n => t.expand(&shape),
        [one, columns] if columns == n && (one == groups || one == 1) => t.unsqueeze(&[1]).expand(&shape),
        _ => Err(invalid!("{name} has shape {:?} for {groups} groups of {n} columns", t.dims)),
    };
    fits.map_err(|_| invalid!("{name} has shape {:?} for {groups} groups of {n} columns", t.dims))
}

#[allow(clippy::too_many_arguments)] // CANN's
fn matmul(
    p: &mut Program,
    x: View,
    w: &Tensor,
    scale: View,
    offset: Option<View>,
    quant: [Option<View>; 2],
    bias: Option<View>,
    group: i32,
    y: View,
) -> Result<()> {
    if quant.iter().any(Option::is_some) {
        return Err(invalid!("a quantised y is not supported; quantScale and quantOffset must be null"));
    }
    for (name, v) in [("x", &x), ("antiquantScale", &scale), ("y", &y)] {
        need_float(name, v)?;
    }
    let [k, n] = w.dims[..] else { return Err(invalid!("weight has shape {:?}; a matrix is needed", w.dims)) };
    let rows = if group == 0 { k } else { i64::from(group) };
    if rows <= 0 || k % rows != 0 {
        return Err(invalid!("antiquantGroupSize {group} for {k} rows of the weight"));
    }
    if x.rank() != 2 || x.dims[1] != k {
        return Err(invalid!("x has shape {:?} and weight {:?}", x.dims, w.dims));
    }
    check_shape(&y, &[x.dims[0], n])?;
    let groups = k / rows;
    let mut bytes = as_bytes(p, w)?.split(0, &[groups, rows]);
    // Dequantised in float32, laid out as the weight.
    let along_rows = bytes.strides[2].unsigned_abs() > bytes.strides[1].unsigned_abs();
    let dense = if along_rows {
        p.temporary(DType::F32, &[n, groups, rows]).transposed(0, 2).transposed(0, 1)
    } else {
        p.temporary(DType::F32, &[groups, rows, n])
    };
    if let Some(offset) = offset {
        let offset = per_group("antiquantOffset", &offset, groups, rows, n)?;
        arithmetic(p, "add", &bytes, &offset, None, &dense)?;
        bytes = dense.clone();
    }
    let scale = per_group("antiquantScale", &scale, groups, rows, n)?;
    arithmetic(p, "mul", &bytes, &scale, None, &dense)?;
    let merged = dense.merged(0..2).ok_or_else(|| OpError::Inner("groups of a dense weight".into()))?;
    match bias {
        None => mm(p, x, merged, y, 0),
        Some(b) => super::linear::product(p, &x, &merged, Some((&b, 1.0)), 1.0, &y),
    }
}
