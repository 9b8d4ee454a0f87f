//! Matrix products.

use super::elementwise::check_shape;
use crate::dtype::promote;
use crate::error::{Result, invalid};
use crate::objects::Scalar;
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
}

/// out = beta * c + alpha * a @ b, with two or more dimensions each and batch dimensions that broadcast.
fn product(
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
    let c = c.map(|(c, beta)| Ok::<_, crate::error::OpError>((c.expand(&out.dims)?, beta))).transpose()?;
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
