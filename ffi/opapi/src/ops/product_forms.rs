//! Further matrix products: sums of batches, transposed operands, weights in FRACTAL_NZ; and that format's name.

use std::ffi::c_void;
use std::sync::Arc;

use super::declare::operators;
use super::elementwise::{arithmetic, check_shape};
use super::linear::{addmm, baddbmm, bmm, product};
use super::loss::need_float;
use super::movement::copy;
use crate::dtype::DType;
use crate::error::{OpError, Result, invalid, status};
use crate::objects::{self, Scalar};
use crate::program::Program;
use crate::view::{View, dense_strides};

operators! {
    "batch_matmul" { /// As aclnnBatchMatMul, of a mat2 in FRACTAL_NZ; this device keeps that format as it keeps ND.
        aclnnBatchMatMulWeightNz(self_: Tensor, mat2: Tensor, out: Out, cubeMathType: Int8) => bmm; }
    "addmm" { /// As aclnnAddmm, of a mat2 in FRACTAL_NZ; this device keeps that format as it keeps ND.
        aclnnAddmmWeightNz(self_: Tensor, mat1: Tensor, mat2: Tensor, beta: Scalar, alpha: Scalar, out: Out, cubeMathType: Int8) => addmm; }
    "baddbmm" { /// self = beta * self + alpha * batch1 @ batch2.
        aclnnInplaceBaddbmm(selfRef: Tensor, batch1: Tensor, batch2: Tensor, beta: Scalar, alpha: Scalar, cubeMathType: Int8) =>
            |p, c: View, a, b, beta, alpha, t| baddbmm(p, c.clone(), a, b, beta, alpha, c, t); }
    "addbmm" { /// out = beta * self + alpha * the sum over the batch of batch1 @ batch2.
        aclnnAddbmm(self_: Tensor, batch1: Tensor, batch2: Tensor, beta: Scalar, alpha: Scalar, out: Out, cubeMathType: Int8) => addbmm;
        /// self = beta * self + alpha * the sum over the batch of batch1 @ batch2.
        aclnnInplaceAddbmm(selfRef: Ref, batch1: Tensor, batch2: Tensor, beta: Scalar, alpha: Scalar, cubeMathType: Int8) =>
            |p, c: View, a, b, beta, alpha, t| addbmm(p, c.clone(), a, b, beta, alpha, c, t); }
    "gemm" { /// out = alpha * A @ B + beta * C, A and B transposed if transA and transB are not 0.
        aclnnGemm(A: Tensor, B: Tensor, C: Tensor, alpha: Float, beta: Float, transA: Int, transB: Int, out: Out, cubeMathType: Int8) => gemm; }
    "transpose_batch_mat_mul" { /// out = x1 @ x2 + bias, of x1, x2 and the result with their dimensions permuted; scale as aclnnTransQuantParam makes it is not supported.
        aclnnTransposeBatchMatMul(x1: Tensor, x2: Tensor, bias: OptTensor, scale: OptTensor, permX1: OptInts, permX2: OptInts, permY: OptInts,
            cubeMathType: Int8, batchSplitFactor: Int32, out: Out) =>
            |p, a, b, bias, s, pa, pb, py, _, n, o| permuted(p, [a, b], bias, s, [pa, pb, py], n, o);
        /// As aclnnTransposeBatchMatMul, of an x2 in FRACTAL_NZ; this device keeps that format as it keeps ND.
        aclnnTransposeBatchMatMulWeightNz(x1: Tensor, x2: Tensor, bias: OptTensor, scale: OptTensor, permX1: OptInts, permX2: OptInts, permY: OptInts,
            cubeMathType: Int8, batchSplitFactor: Int32, out: Out) =>
            |p, a, b, bias, s, pa, pb, py, _, n, o| permuted(p, [a, b], bias, s, [pa, pb, py], n, o); }
    "npu_format_cast" { /// dstTensor = srcTensor in another format; this device keeps its formats as it keeps ND.
        aclnnNpuFormatCast(srcTensor: Tensor, dstTensor: Out) => format_cast; }
}

#[allow(clippy::too_many_arguments)] // CANN's
fn addbmm(p: &mut Program, c: View, a: View, b: View, beta: Scalar, alpha: Scalar, out: View, _: i8) -> Result<()> {
    let (&[n, m, k], &[n2, k2, l]) = (&a.dims[..], &b.dims[..]) else {
        return Err(invalid!("batch1 has shape {:?} and batch2 {:?}; three dimensions are needed", a.dims, b.dims));
    };
    if n != n2 || k != k2 {
        return Err(invalid!("batch1 has shape {:?} and batch2 {:?}, which cannot be multiplied", a.dims, b.dims));
    }
    for (name, v) in [("batch1", &a), ("batch2", &b), ("out", &out)] {
        need_float(name, v)?;
    }
    check_shape(&out, &[m, l])?;
    // The batch is more steps of one product.
    let beside = super::movement::dense(p, &a.permute(&[1, 0, 2])?)?.reshaped(&[m, n * k]);
    let below = super::movement::dense(p, &b)?.reshaped(&[n * k, l]);
    product(p, &beside, &below, Some((&c, beta.float)), alpha.float, &out)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn gemm(p: &mut Program, a: View, b: View, c: View, alpha: f32, beta: f32, ta: i64, tb: i64, out: View, _: i8) -> Result<()> {
    if a.rank() != 2 || b.rank() != 2 {
        return Err(invalid!("A has shape {:?} and B {:?}; matrices are needed", a.dims, b.dims));
    }
    let turned = |v: View, t: i64| if t != 0 { v.transposed(0, 1) } else { v };
    product(p, &turned(a, ta), &turned(b, tb), Some((&c, beta.into())), alpha.into(), &out)
}

fn permuted(
    p: &mut Program,
    [a, b]: [View; 2],
    bias: Option<View>,
    scale: Option<View>,
    [pa, pb, py]: [Option<Arc<[i64]>>; 3],
    parts: i32,
    out: View,
) -> Result<()> {
    if scale.is_some() || a.rank() != 3 || b.rank() != 3 {
        return Err(invalid!("x1 has shape {:?} and x2 {:?}; three dimensions and no scale are needed", a.dims, b.dims));
    }
    let order = |v: &View, perm: &Option<Arc<[i64]>>| match perm.as_deref() {
        None | Some([]) => Ok(v.clone()),
        Some(perm) => v.permute(perm),
    };
    let (a, b) = (order(&a, &pa)?, order(&b, &pb)?);
    let perm = py.as_deref().filter(|p| !p.is_empty()).unwrap_or(&[0, 1, 2]);
    let made = [a.dims[0], a.dims[1], b.dims[2]];
    let result = p.temporary(DType::F32, &made);
    product(p, &a, &b, None, 1.0, &result)?;
    if let Some(bias) = &bias {
        arithmetic(p, "add", &result, &bias.expand(&made)?, None, &result)?;
    }
    let turned = result.permute(perm)?;
    if parts <= 1 {
        check_shape(&out, &turned.dims)?;
        return copy(p, &turned, &out);
    }
    // The batch in parts: the rows of each follow those of the one before.
    let (n, parts) = (made[0], i64::from(parts));
    if n % parts != 0 || perm != [1, 0, 2] {
        return Err(invalid!("batchSplitFactor {parts} of a batch of {n} with permY {perm:?}"));
    }
    let shape = [parts, made[1], n / parts * made[2]];
    check_shape(&out, &shape)?;
    let split = result.split(0, &[parts, n / parts]).permute(&[0, 2, 1, 3])?;
    copy(p, &split, &out.split(2, &[n / parts, made[2]]))
}

fn format_cast(p: &mut Program, from: View, to: View) -> Result<()> {
    if from.dtype != to.dtype {
        return Err(invalid!("srcTensor has type {:?} and dstTensor {:?}", from.dtype, to.dtype));
    }
    // The format that fills whole fractals has more elements; ND has those that count.
    let dims = if to.elements() < from.elements() { to.dims.clone() } else { from.dims.clone() };
    if dims == to.dims && dims == from.dims {
        return copy(p, &from, &to);
    }
    let dense = |v: &View| v.is_dense().then(|| View { strides: dense_strides(&dims), dims: dims.clone(), ..v.clone() });
    match (dense(&from), dense(&to)) {
        (Some(from), Some(to)) => copy(p, &from, &to),
        _ => Err(invalid!("srcTensor of shape {:?} and dstTensor of {:?} with gaps between", from.dims, to.dims)),
    }
}

/// Stores the storage shape that a tensor has in FRACTAL_NZ, an array that the program frees, its length and the format.
///
/// # Safety
/// Unless they are null, the three places can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aclnnNpuFormatCastCalculateSizeAndFormat(
    tensor: *const c_void,
    format: i32,
    _additional: i32,
    shape: *mut *mut i64,
    rank: *mut u64,
    actual: *mut i32,
) -> i32 {
    const ND: i32 = 2;
    const FRACTAL_NZ: i32 = 29;
    status("aclnnNpuFormatCastCalculateSizeAndFormat", || {
        let t = objects::tensor("srcTensor", tensor)?;
        if actual.is_null() {
            return Err(OpError::Null("actualFormat"));
        }
        let dims = match format {
            ND => t.dims.clone(),
            FRACTAL_NZ => {
                let [batch @ .., rows, columns] = &t.dims[..] else {
                    return Err(invalid!("srcTensor has shape {:?}; a matrix is needed", t.dims));
                };
                let c0 = 32 / t.view("srcTensor")?.dtype.size() as i64;
                let up = |n: i64, to: i64| (n + to - 1) / to;
                [batch, &[up(*columns, c0), up(*rows, 16), 16, c0]].concat().into()
            }
            other => return Err(invalid!("format {other}; ND (2) and FRACTAL_NZ (29) are supported")),
        };
        // SAFETY: by this function's contract.
        unsafe {
            crate::tensor::put_dims(&dims, shape, rank)?;
            actual.write(format);
        }
        Ok(())
    })
}
