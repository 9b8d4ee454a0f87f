//! Norms, and the algebra of small matrices.

use super::declare::operators;
use super::elementwise::check_shape;
use super::loss::need_float;
use super::pointwise::dense;
use super::reduce::{keep_form, reduced};
use crate::dtype::{DType, floating};
use crate::error::{Result, invalid};
use crate::objects::Scalar;
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::View;

operators! {
    "renorm" { /// out = self, its slices along dim made shorter where their norm is above maxNorm.
        aclnnRenorm(self_: Tensor, p: Scalar, dim: Int, maxNorm: Scalar, out: Out) => |p, a, o: Scalar, d, m: Scalar, out| shorten(p, &a, o.float, d, m.float, &out);
        /// selfRef, its slices along dim made shorter where their norm is above maxNorm.
        aclnnInplaceRenorm(selfRef: Ref, p: Scalar, dim: Int, maxNorm: Scalar) => |p, a: View, o: Scalar, d, m: Scalar| shorten(p, &a, o.float, d, m.float, &a); }
    "cdist" { /// out = norms of order p of the differences of the rows of x1 and x2.
        aclnnCdist(x1: Tensor, x2: Tensor, p: Float, compute_mode: Int, out: Out) => |p, a, b, o: f32, _, out| cdist(p, a, b, f64::from(o), out); }
    "inverse" { /// out = inverse of each matrix of self.
        aclnnInverse(self_: Tensor, out: Out) => inverse; }
    "slogdet" { /// Sign and logarithm of the absolute value of the determinant of each matrix of self.
        aclnnSlogdet(self_: Tensor, signOut: Out, logOut: Out) => slogdet; }
    "linalg_cholesky" { /// out = lower (or upper) triangular factor of each positive definite matrix of self.
        aclnnLinalgCholesky(self_: Tensor, upper: Bool, out: Out) => cholesky; }
    "linalg_qr" { /// self = Q R for each matrix; mode 0 reduced, 1 complete, 2 only R.
        aclnnLinalgQr(self_: Tensor, mode: Int, Q: Out, R: Out) => qr; }
    "svd" { /// input = u diag(sigma) v transposed, for each matrix.
        aclnnSvd(input: Tensor, fullMatrices: Bool, computeUV: Bool, sigma: Out, u: Out, v: Out) => svd; }
    "linalg_cross" { /// out = cross product of vectors of three elements along dim.
        aclnnLinalgCross(self_: Tensor, other: Tensor, dim: Int, out: Out) => cross; }
}

/// out = norm over dimensions.
pub fn norm(p: &mut Program, a: &View, order: f64, dims: &[i64], keep: bool, out: &View) -> Result<()> {
    if !a.dtype.is_float() || !out.dtype.is_float() {
        return Err(invalid!("a norm of {:?} into {:?}; floats are needed", a.dtype, out.dtype));
    }
    let gone = reduced(dims, a.rank())?;
    let out = keep_form(a, &gone, keep, out)?;
    p.launch("norm", &[&out], &[a], &[Float(order)])
}

/// The two last dimensions.
fn matrix(name: &str, v: &View) -> Result<(i64, i64)> {
    match v.dims[..] {
        [.., m, n] if v.dtype.is_float() => Ok((m, n)),
        _ => Err(invalid!("{name} has shape {:?} and type {:?}; matrices of floats are needed", v.dims, v.dtype)),
    }
}

fn square(name: &str, v: &View) -> Result<i64> {
    match matrix(name, v)? {
        (m, n) if m == n => Ok(n),
        _ => Err(invalid!("{name} has shape {:?}; square matrices are needed", v.dims)),
    }
}

/// Batch dimensions as one, for views that are dense.
fn batched(v: &View, kept: usize) -> View {
    let at = v.rank() - kept;
    let dims: Vec<_> = [v.dims[..at].iter().product()].into_iter().chain(v.dims[at..].iter().copied()).collect();
    v.reshaped(&dims)
}

/// Launches a kernel over batches: dense float inputs and outputs, each with so many dimensions behind the batch's.
fn launch(
    p: &mut Program,
    k: &'static str,
    outs: &[(&View, usize)],
    ins: &[(&View, usize)],
    attrs: &[i64],
) -> Result<()> {
    let kind = floating(ins[0].0.dtype);
    let kind = if kind == DType::F64 { kind } else { DType::F32 };
    let inputs = ins.iter().map(|(v, kept)| Ok(batched(&dense(p, v, kind)?, *kept))).collect::<Result<Vec<_>>>()?;
    let made: Vec<View> = outs
        .iter()
        .map(|(v, _)| if v.dtype == kind && v.is_dense() { (*v).clone() } else { p.temporary(kind, &v.dims) })
        .collect();
    let outputs: Vec<View> = made.iter().zip(outs).map(|(v, (_, kept))| batched(v, *kept)).collect();
    let attrs: Vec<_> = attrs.iter().map(|&a| Int(a)).collect();
    p.launch(k, &outputs.iter().collect::<Vec<_>>(), &inputs.iter().collect::<Vec<_>>(), &attrs)?;
    made.iter().zip(outs).filter(|(made, (out, _))| made.base != out.base).try_for_each(|(made, (out, _))| {
        p.launch("copy", &[out], &[made], &[])
    })
}

fn inverse(p: &mut Program, a: View, out: View) -> Result<()> {
    square("self", &a)?;
    check_shape(&out, &a.dims)?;
    launch(p, "inverse", &[(&out, 2)], &[(&a, 2)], &[])
}

fn slogdet(p: &mut Program, a: View, sign: View, log: View) -> Result<()> {
    square("self", &a)?;
    let dims = &a.dims[..a.rank() - 2];
    check_shape(&sign, dims)?;
    check_shape(&log, dims)?;
    launch(p, "slogdet", &[(&sign, 0), (&log, 0)], &[(&a, 2)], &[])
}

fn cholesky(p: &mut Program, a: View, upper: bool, out: View) -> Result<()> {
    square("self", &a)?;
    check_shape(&out, &a.dims)?;
    launch(p, "cholesky", &[(&out, 2)], &[(&a, 2)], &[upper.into()])
}

fn qr(p: &mut Program, a: View, mode: i64, q: View, r: View) -> Result<()> {
    let (m, n) = matrix("self", &a)?;
    let shape = |x, y| a.dims[..a.rank() - 2].iter().copied().chain([x, y]).collect::<Vec<_>>();
    let k = if mode == 1 { m } else { m.min(n) };
    check_shape(&r, &shape(k, n))?;
    if mode == 2 {
        let unused = p.temporary(r.dtype, &shape(m, k));
        return launch(p, "qr", &[(&unused, 2), (&r, 2)], &[(&a, 2)], &[]);
    }
    check_shape(&q, &shape(m, k))?;
    launch(p, "qr", &[(&q, 2), (&r, 2)], &[(&a, 2)], &[])
}

fn svd(p: &mut Program, a: View, full: bool, vectors: bool, sigma: View, u: View, v: View) -> Result<()> {
    let (m, n) = matrix("input", &a)?;
    let k = m.min(n);
    let lead = a.dims[..a.rank() - 2].to_vec();
    let shape = |x: &[i64]| lead.iter().chain(x).copied().collect::<Vec<_>>();
    check_shape(&sigma, &shape(&[k]))?;
    if !vectors {
        let (u, v) = (p.temporary(a.dtype, &shape(&[m, k])), p.temporary(a.dtype, &shape(&[n, k])));
        return launch(p, "svd", &[(&sigma, 1), (&u, 2), (&v, 2)], &[(&a, 2)], &[]);
    }
    check_shape(&u, &shape(&[m, if full { m } else { k }]))?;
    check_shape(&v, &shape(&[n, if full { n } else { k }]))?;
    launch(p, "svd", &[(&sigma, 1), (&u, 2), (&v, 2)], &[(&a, 2)], &[])
}

fn cross(p: &mut Program, a: View, b: View, dim: i64, out: View) -> Result<()> {
    let dims = crate::view::broadcast(&a.dims, &b.dims)?;
    check_shape(&out, &dims)?;
    let d = crate::view::wrap_dim(dim, out.rank())?;
    if out.rank() == 0 || out.dims[d] != 3 {
        return Err(invalid!("dimension {d} of shape {dims:?}; three elements are needed"));
    }
    let (a, b) = (a.expand(&dims)?, b.expand(&dims)?);
    // The output may be an input.
    let result = p.temporary(out.dtype, &dims);
    let part = |v: &View, i: usize| v.narrow(d, (i % 3) as i64, 1, 1);
    for i in 0..3 {
        let o = part(&result, i);
        let minus = p.temporary(out.dtype, &o.dims);
        super::elementwise::arithmetic(p, "mul", &part(&a, i + 1), &part(&b, i + 2), None, &o)?;
        super::elementwise::arithmetic(p, "mul", &part(&a, i + 2), &part(&b, i + 1), None, &minus)?;
        super::elementwise::arithmetic(p, "sub", &o, &minus, None, &o)?;
    }
    super::movement::copy(p, &result, &out)
}

/// out = a, its slices along `dim` made shorter where their norm is above `most`.
pub fn shorten(p: &mut Program, a: &View, order: f64, dim: i64, most: f64, out: &View) -> Result<()> {
    check_shape(out, &a.dims)?;
    let d = crate::view::wrap_dim(dim, a.rank())?;
    need_float("self", a)?;
    if a.rank() < 2 {
        return Err(invalid!("self has shape {:?}; two dimensions are needed", a.dims));
    }
    let kept: Vec<_> = (0..a.rank()).map(|i| if i == d { a.dims[d] } else { 1 }).collect();
    let kind = floating(a.dtype);
    let kind = if kind == DType::F64 { kind } else { DType::F32 };
    let (length, long) = (p.temporary(kind, &kept), p.temporary(DType::Bool, &kept));
    p.launch("norm", &[&length], &[a], &[Float(order)])?;
    p.launch("gt_s", &[&long], &[&length], &[Type(kind), Float(most), Int(most as i64)])?;
    // most / (length + 1e-7), as in PyTorch.
    p.launch("add_s", &[&length], &[&length], &[Type(kind), Float(1e-7), Int(0), Float(1.0), Int(1)])?;
    p.launch("reciprocal", &[&length], &[&length], &[Type(kind)])?;
    p.launch("mul_s", &[&length], &[&length], &[Type(kind), Float(most), Int(0)])?;
    let one = super::pointwise::constant(p, 1.0, &kept)?;
    p.launch("where", &[&length], &[&long, &length, &one], &[])?;
    p.launch("mul", &[out], &[a, &length.expand(&a.dims)?], &[Type(kind)])
}

/// out = norms of the differences of the rows of `a` and `b`.
pub fn cdist(p: &mut Program, a: View, b: View, order: f64, out: View) -> Result<()> {
    let (m, _) = matrix("x1", &a)?;
    let (n, _) = matrix("x2", &b)?;
    let batch = crate::view::broadcast(&a.dims[..a.rank() - 2], &b.dims[..b.rank() - 2])?;
    let width = a.dims[a.rank() - 1];
    if b.dims[b.rank() - 1] != width {
        return Err(invalid!("x1 has shape {:?} and x2 {:?}", a.dims, b.dims));
    }
    check_shape(&out, &batch.iter().copied().chain([m, n]).collect::<Vec<_>>())?;
    let dims: Vec<_> = batch.iter().copied().chain([m, n, width]).collect();
    let a = a.unsqueeze(&[a.rank() - 1]).expand(&dims)?;
    let b = b.unsqueeze(&[b.rank() - 2]).expand(&dims)?;
    let kind = if floating(a.dtype) == DType::F64 { DType::F64 } else { DType::F32 };
    let difference = p.temporary(kind, &dims);
    p.launch("sub", &[&difference], &[&a, &b], &[Type(kind), Float(1.0), Int(1)])?;
    p.launch("norm", &[&out.unsqueeze(&[out.rank()])], &[&difference], &[Float(order)])
}
