//! Matrix products.

use super::elementwise::check_shape;
use std::ffi::c_void;

use crate::dtype::{DType, promote};
use crate::error::{OpError, Result, invalid, status};
use crate::objects::{self, Scalar};
use crate::program::Attr::{Float, Int};
use crate::program::Program;
use crate::view::{View, broadcast};
use super::declare::operators;

operators! {
    "matmul" { /// out = self @ mat2 of vectors, matrices and batches, as numpy's matmul.
        aclnnMatmul(self_: Tensor, mat2: Tensor, out: Out, cubeMathType: Int8) => matmul; }
    "mm" { /// out = self @ mat2 of two matrices.
        aclnnMm(self_: Tensor, mat2: Tensor, out: Out, cubeMathType: Int8) => mm; }
    "batch_matmul" { /// out = self @ mat2 of batches of matrices.
        aclnnBatchMatMul(self_: Tensor, mat2: Tensor, out: Out, cubeMathType: Int8) => bmm; }
    "addmm" { /// out = beta * self + alpha * mat1 @ mat2.
        aclnnAddmm(self_: Tensor, mat1: Tensor, mat2: Tensor, beta: Scalar, alpha: Scalar, out: Out, cubeMathType: Int8) => addmm;
        /// self = beta * self + alpha * mat1 @ mat2.
        aclnnInplaceAddmm(selfRef: Ref, mat1: Tensor, mat2: Tensor, beta: Scalar, alpha: Scalar, cubeMathType: Int8) =>
            |p, c: View, a, b, beta, alpha, t| addmm(p, c.clone(), a, b, beta, alpha, c, t); }
    "baddbmm" { /// out = beta * self + alpha * batch1 @ batch2.
        aclnnBaddbmm(self_: Tensor, batch1: Tensor, batch2: Tensor, beta: Scalar, alpha: Scalar, out: Out, cubeMathType: Int8) => baddbmm; }
    "matmul" { /// As aclnnMm, of a mat2 in FRACTAL_NZ; this device keeps that format as it keeps ND.
        aclnnMatmulWeightNz(self_: Tensor, mat2: Tensor, out: Out, cubeMathType: Int8) => matmul; }
    "mv" { /// out = self @ vec of a matrix and a vector.
        aclnnMv(self_: Tensor, vec: Tensor, out: Out, cubeMathType: Int8) => mv; }
    "addmv" { /// out = beta * self + alpha * mat @ vec.
        aclnnAddmv(self_: Tensor, mat: Tensor, vec: Tensor, alpha: Scalar, beta: Scalar, out: Out, cubeMathType: Int8) => addmv; }
    "dot" { /// out = sum of the products of two vectors' elements.
        aclnnDot(self_: Tensor, tensor: Tensor, out: Out) => dot; }
    "ger" { /// out = the product of each element of self with each of vec2.
        aclnnGer(self_: Tensor, vec2: Tensor, out: Out) => ger; }
    "trans_matmul_weight" { /// Prepares the weight of a product; this device takes a weight as it is, so nothing is moved.
        aclnnTransMatmulWeight(mmWeightRef: Ref) => |_, w| prepare_weight(&w); }
    "triangular_solve" { /// xOut solves A @ xOut = self for a triangular A (transposed first if asked); mOut = A.
        aclnnTriangularSolve(self_: Tensor, A: Tensor, upper: Bool, transpose: Bool, unitriangular: Bool, xOut: Out, mOut: Out) => triangular_solve; }
}

/// out = beta * c + alpha * a @ b, with two or more dimensions each and batch dimensions that broadcast.
pub fn product(
    p: &mut Program,
    a: &View,
    b: &View,
    c: Option<(&View, f64)>,
    alpha: f64,
    out: &View,
) -> Result<()> {
    let (ra, rb) = (a.rank(), b.rank());
    let (m, k) = (a.dims[ra - 2], a.dims[ra - 1]);
    let (k2, n) = (b.dims[rb - 2], b.dims[rb - 1]);
    if k != k2 {
        return Err(invalid!(
            "shapes {:?} and {:?} cannot be multiplied: {k} columns and {k2} rows",
            a.dims,
            b.dims
        ));
    }
    let kind = promote(a.dtype, b.dtype);
    if !kind.is_float() || !out.dtype.is_float() {
        return Err(invalid!(
            "matrices of {:?} and {:?} into {:?}: floats are needed",
            a.dtype,
            b.dtype,
            out.dtype
        ));
    }
    let batch = broadcast(&a.dims[..ra - 2], &b.dims[..rb - 2])?;
    let shape = |x, y| batch.iter().copied().chain([x, y]).collect::<Vec<_>>();
    check_shape(out, &shape(m, n))?;
    let (a, b) = (a.expand(&shape(m, k))?, b.expand(&shape(k, n))?);
    let c = c.map(|(c, beta)| Ok::<_, OpError>((c.expand(&out.dims)?, beta))).transpose()?;
    let beta = c.as_ref().map_or(0.0, |c| c.1);
    let attrs = [Float(alpha), Float(beta), Int(c.is_some().into())];
    match &c {
        Some((c, _)) => p.launch("matmul", &[out], &[&a, &b, c], &attrs),
        None => p.launch("matmul", &[out], &[&a, &b], &attrs),
    }
}

fn need_rank(name: &str, v: &View, rank: usize) -> Result<()> {
    if v.rank() == rank {
        Ok(())
    } else {
        Err(invalid!("{name} has shape {:?}; {rank} dimensions are needed", v.dims))
    }
}

/// As numpy's matmul: vectors gain a dimension for the product and lose it again.
pub fn matmul(p: &mut Program, a: View, b: View, out: View, _cube_math_type: i8) -> Result<()> {
    if a.rank() == 0 || b.rank() == 0 {
        return Err(invalid!("a scalar cannot be multiplied as a matrix"));
    }
    let (row, column) = (a.rank() == 1, b.rank() == 1);
    let a = if row { a.unsqueeze(&[0]) } else { a };
    let b = if column { b.unsqueeze(&[1]) } else { b };
    let mut o = out;
    if column {
        o = o.unsqueeze(&[o.rank()]);
    }
    if row {
        let at = o.rank().checked_sub(1).ok_or_else(|| invalid!("out has too few dimensions"))?;
        o = o.unsqueeze(&[at]);
    }
    product(p, &a, &b, None, 1.0, &o)
}

/// Two matrices.
pub fn mm(p: &mut Program, a: View, b: View, out: View, _cube_math_type: i8) -> Result<()> {
    need_rank("self", &a, 2)?;
    need_rank("mat2", &b, 2)?;
    product(p, &a, &b, None, 1.0, &out)
}

/// Two batches of matrices.
pub fn bmm(p: &mut Program, a: View, b: View, out: View, _cube_math_type: i8) -> Result<()> {
    need_rank("self", &a, 3)?;
    need_rank("mat2", &b, 3)?;
    product(p, &a, &b, None, 1.0, &out)
}

/// out = beta * c + alpha * a @ b.
#[allow(clippy::too_many_arguments)] // CANN's
pub fn addmm(
    p: &mut Program,
    c: View,
    a: View,
    b: View,
    beta: Scalar,
    alpha: Scalar,
    out: View,
    _cube_math_type: i8,
) -> Result<()> {
    need_rank("mat1", &a, 2)?;
    need_rank("mat2", &b, 2)?;
    product(p, &a, &b, Some((&c, beta.float)), alpha.float, &out)
}

/// out = beta * c + alpha * a @ b of batches.
#[allow(clippy::too_many_arguments)] // CANN's
pub fn baddbmm(
    p: &mut Program,
    c: View,
    a: View,
    b: View,
    beta: Scalar,
    alpha: Scalar,
    out: View,
    _cube_math_type: i8,
) -> Result<()> {
    need_rank("batch1", &a, 3)?;
    need_rank("batch2", &b, 3)?;
    product(p, &a, &b, Some((&c, beta.float)), alpha.float, &out)
}

/// A matrix and a vector.
fn mv(p: &mut Program, a: View, b: View, out: View, cube_math_type: i8) -> Result<()> {
    need_rank("self", &a, 2)?;
    need_rank("vec", &b, 1)?;
    matmul(p, a, b, out, cube_math_type)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn addmv(p: &mut Program, c: View, a: View, b: View, alpha: Scalar, beta: Scalar, out: View, _: i8) -> Result<()> {
    need_rank("mat", &a, 2)?;
    need_rank("vec", &b, 1)?;
    need_rank("out", &out, 1)?;
    let c = c.expand(&out.dims)?.unsqueeze(&[1]);
    product(p, &a, &b.unsqueeze(&[1]), Some((&c, beta.float)), alpha.float, &out.unsqueeze(&[1]))
}

fn dot(p: &mut Program, a: View, b: View, out: View) -> Result<()> {
    need_rank("self", &a, 1)?;
    need_rank("tensor", &b, 1)?;
    matmul(p, a, b, out, 0)
}

fn ger(p: &mut Program, a: View, b: View, out: View) -> Result<()> {
    need_rank("self", &a, 1)?;
    need_rank("vec2", &b, 1)?;
    super::elementwise::arithmetic(p, "mul", &a.unsqueeze(&[1]), &b, None, &out)
}

/// A weight has two dimensions or more, of the types that products take.
fn prepare_weight(w: &View) -> Result<()> {
    if w.rank() < 2 || w.rank() > 6 || !(w.dtype.is_float() || w.dtype == DType::I8) {
        return Err(invalid!("a weight of shape {:?} and type {:?}", w.dims, w.dtype));
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)] // CANN's
fn triangular_solve(
    p: &mut Program,
    b: View,
    a: View,
    upper: bool,
    transpose: bool,
    unit: bool,
    x: View,
    m: View,
) -> Result<()> {
    let r = a.rank();
    if r < 2 || b.rank() < 2 || a.dims[r - 2] != a.dims[r - 1] || b.dims[b.rank() - 2] != a.dims[r - 1] {
        return Err(invalid!("A has shape {:?} and self {:?}", a.dims, b.dims));
    }
    for v in [&a, &b, &x] {
        super::loss::need_float("a tensor", v)?;
    }
    let batch = broadcast(&a.dims[..r - 2], &b.dims[..b.rank() - 2])?;
    let shape = |v: &View| [&batch[..], &v.dims[v.rank() - 2..]].concat();
    check_shape(&x, &shape(&b))?;
    check_shape(&m, &shape(&a))?;
    let (a, b) = (a.expand(&shape(&a))?, b.expand(&shape(&b))?);
    let attrs = [upper, transpose, unit].map(|v| Int(v.into()));
    p.launch("triangular_solve", &[&x], &[&a, &b], &attrs)?;
    super::movement::copy(p, &a, &m)
}

/// As [`aclnnCalculateMatmulWeightSizeV2`], of float16.
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aclnnCalculateMatmulWeightSize(shape: *const c_void, size: *mut u64) -> i32 {
    // SAFETY: by this function's contract.
    unsafe { aclnnCalculateMatmulWeightSizeV2(shape, DType::F16 as i32, size) }
}

/// How many elements the weight of a product has in FRACTAL_NZ: whole fractals of 16 rows of 32 bytes.
///
/// # Safety
/// Unless it is null, `size` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aclnnCalculateMatmulWeightSizeV2(
    shape: *const c_void,
    dtype: i32,
    size: *mut u64,
) -> i32 {
    status("aclnnCalculateMatmulWeightSizeV2", || {
        let shape = objects::ints("tensorShape", shape)?;
        let dtype = u32::try_from(dtype).ok().and_then(DType::from_raw);
        let dtype = dtype.ok_or_else(|| invalid!("an aclDataType that is not supported"))?;
        let [batch @ .., rows, columns] = &shape[..] else {
            return Err(invalid!("a weight of shape {shape:?}"));
        };
        let columns_of_a_fractal = 32 / dtype.size() as i64;
        let rounded = |n: i64, to: i64| n.checked_add(to - 1).filter(|_| n >= 0).map(|n| n / to * to);
        let matrix = rounded(*rows, 16).zip(rounded(*columns, columns_of_a_fractal));
        let all = matrix.and_then(|(r, c)| batch.iter().try_fold(r.checked_mul(c)?, |n, &d| n.checked_mul(d)));
        let all = all.filter(|&n| n >= 0).ok_or_else(|| invalid!("a weight of shape {shape:?}"))?;
        if size.is_null() {
            return Err(OpError::Null("weightTensorSize"));
        }
        // SAFETY: by this function's contract.
        unsafe { size.write(all as u64) };
        Ok(())
    })
}
