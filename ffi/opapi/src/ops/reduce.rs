//! Reductions.

use super::elementwise::check_shape;
use crate::dims::Dims;
use crate::dtype::{DType, is_complex};
use crate::error::{Result, invalid};
use super::loss::need_float;
use crate::objects::Scalar;
use crate::program::Attr::{self, Int, Type};
use crate::program::Program;
use crate::view::{View, wrap_dim};
use super::declare::operators;
use std::sync::Arc;

operators! {
    "reduce_sum" { /// out = sum over dims (all if there are none), computed in dtype.
        aclnnReduceSum(self_: Tensor, dims: Ints, keepDims: Bool, dtype: Type, out: Out) => |p, a, d: Arc<[i64]>, k, t, o| reduce(p, "reduce_sum", &a, &d, k, Some(t), &o); }
    "mean" { /// out = mean over dim (all if there are none), computed in dtype.
        aclnnMean(self_: Tensor, dim: Ints, keepDim: Bool, dtype: Type, out: Out) => |p, a, d: Arc<[i64]>, k, t, o| mean(p, &a, &d, k, t, &o); }
    "amax" { /// out = maximum over dim.
        aclnnAmax(self_: Tensor, dim: Ints, keepDim: Bool, out: Out) => |p, a, d: Arc<[i64]>, k, o| reduce(p, "reduce_max", &a, &d, k, None, &o); }
    "amin" { /// out = minimum over dim.
        aclnnAmin(self_: Tensor, dim: Ints, keepDim: Bool, out: Out) => |p, a, d: Arc<[i64]>, k, o| reduce(p, "reduce_min", &a, &d, k, None, &o); }
    "max" { /// out = maximum of all elements.
        aclnnMax(self_: Tensor, out: Out) => |p, a, o| reduce(p, "reduce_max", &a, &[], false, None, &o); }
    "min" { /// out = minimum of all elements.
        aclnnMin(self_: Tensor, out: Out) => |p, a, o| reduce(p, "reduce_min", &a, &[], false, None, &o); }
    "all" { /// out = whether all elements along dim are true.
        aclnnAll(self_: Tensor, dim: Ints, keepdim: Bool, out: Out) => |p, a, d: Arc<[i64]>, k, o| reduce(p, "reduce_all", &a, &d, k, None, &o); }
    "any" { /// out = whether any element along dim is true.
        aclnnAny(self_: Tensor, dim: Ints, keepdim: Bool, out: Out) => |p, a, d: Arc<[i64]>, k, o| reduce(p, "reduce_any", &a, &d, k, None, &o); }
    "argmax" { /// out = index of the maximum along dim; the first of equals, and of NaNs.
        aclnnArgMax(self_: Tensor, dim: Int, keepdim: Bool, out: Out) => |p, a, d, k, o| arg(p, "argmax", &a, d, k, &o); }
    "argmin" { /// out = index of the minimum along dim; the first of equals, and of NaNs.
        aclnnArgMin(self_: Tensor, dim: Int, keepdim: Bool, out: Out) => |p, a, d, k, o| arg(p, "argmin", &a, d, k, &o); }
    "norm" { /// out = the pScalar-norm of self over dim (all if there are none).
        aclnnNorm(self_: Tensor, pScalar: Scalar, dim: Ints, keepdim: Bool, out: Out) => |p, a, s: Scalar, d: Arc<[i64]>, k, o| norm(p, &a, s.float, &d, k, None, &o); }
    "linalg_vector_norm" { /// out = the ord-norm of self over dims (all if there are none), computed in dtype.
        aclnnLinalgVectorNorm(self_: Tensor, ord: Scalar, dims: Ints, keepDims: Bool, dtype: Type, out: Out) => |p, a, s: Scalar, d: Arc<[i64]>, k, t, o| norm(p, &a, s.float, &d, k, Some(t), &o); }
}

/// Which dimensions go: those named, or all.
pub fn reduced(dims: &[i64], rank: usize) -> Result<Vec<bool>> {
    let mut gone = vec![dims.is_empty(); rank];
    for &d in dims {
        let d = wrap_dim(d, rank)?;
        match gone.get_mut(d) {
            Some(g) if *g => return Err(invalid!("dimension {d} is named twice in {dims:?}")),
            Some(g) => *g = true,
            None => {} // dimension 0 of a scalar
        }
    }
    Ok(gone)
}

/// `out` with the reduced dimensions put back as 1, as kernels take it.
pub fn keep_form(a: &View, gone: &[bool], keep: bool, out: &View) -> Result<View> {
    let kept = a.dims.iter().zip(gone).map(|(&d, &g)| if g { 1 } else { d });
    if keep {
        check_shape(out, &kept.collect::<Vec<_>>())?;
        return Ok(out.clone());
    }
    let left: Vec<_> = a.dims.iter().zip(gone).filter(|(_, g)| !**g).map(|(&d, _)| d).collect();
    // One number may also come as a vector of one.
    let one = View { dims: Dims::new(), strides: Dims::new(), ..out.clone() };
    let out = if left.is_empty() && out.dims == [1] { &one } else { out };
    check_shape(out, &left)?;
    let back: Vec<_> = gone.iter().enumerate().filter(|(_, g)| **g).map(|(i, _)| i).collect();
    Ok(out.unsqueeze(&back))
}

/// out = reduction of a over dims.
pub fn reduce(
    p: &mut Program,
    k: &'static str,
    a: &View,
    dims: &[i64],
    keep: bool,
    dtype: Option<DType>,
    out: &View,
) -> Result<()> {
    let gone = reduced(dims, a.rank())?;
    let out = keep_form(a, &gone, keep, out)?;
    let empty = a.dims.iter().zip(&gone).any(|(&d, &g)| g && d == 0);
    if empty && matches!(k, "reduce_max" | "reduce_min") {
        return Err(invalid!("shape {:?} has nothing to take the extreme of", a.dims));
    }
    p.launch(k, &[&out], &[a], &[Type(dtype.unwrap_or(a.dtype))])
}

/// Means are of floats.
pub fn mean(p: &mut Program, a: &View, dims: &[i64], keep: bool, dtype: DType, out: &View) -> Result<()> {
    if !dtype.is_float() && !is_complex(dtype) {
        return Err(invalid!("a mean in {dtype:?}; a float is needed"));
    }
    reduce(p, "reduce_mean", a, dims, keep, Some(dtype), out)
}

/// out = index of the extreme along dim.
pub fn arg(p: &mut Program, k: &'static str, a: &View, dim: i64, keep: bool, out: &View) -> Result<()> {
    if !matches!(out.dtype, DType::I64 | DType::I32) {
        return Err(invalid!("out has type {:?}; I64 or I32 is needed", out.dtype));
    }
    let d = wrap_dim(dim, a.rank())?;
    if a.rank() == 0 {
        check_shape(out, &[])?;
        return p.launch(k, &[&out.unsqueeze(&[0])], &[&a.unsqueeze(&[0])], &[Int(0)]);
    }
    if a.dims[d] == 0 {
        return Err(invalid!("dimension {d} of shape {:?} is empty", a.dims));
    }
    let gone: Vec<_> = (0..a.rank()).map(|i| i == d).collect();
    let out = keep_form(a, &gone, keep, out)?;
    p.launch(k, &[&out], &[a], &[Int(d as i64)])
}

/// out = (sum over dims of |a| to the power of `ord`) to the power of 1 / ord.
fn norm(
    p: &mut Program,
    a: &View,
    ord: f64,
    dims: &[i64],
    keep: bool,
    dtype: Option<DType>,
    out: &View,
) -> Result<()> {
    need_float("self", a)?;
    need_float("out", out)?;
    let dtype = dtype.unwrap_or(a.dtype);
    let kernel = match ord {
        0.0 => "norm_0",
        1.0 => "norm_1",
        2.0 => "norm_2",
        f64::INFINITY => "norm_inf",
        f64::NEG_INFINITY => "norm_neg_inf",
        _ => {
            // In float32 at least, whatever the types.
            let wide = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
            let (powers, sums) = (p.temporary(wide, &a.dims), p.temporary(wide, &out.dims));
            p.launch("abs", &[&powers], &[a], &[Type(wide)])?;
            let power = |p: &mut Program, x: &View, y: &View, e: f64| {
                p.launch("pow_s", &[y], &[x], &[Type(wide), Attr::Float(e), Int(0)])
            };
            power(p, &powers, &powers, ord)?;
            reduce(p, "reduce_sum", &powers, dims, keep, Some(wide), &sums)?;
            return power(p, &sums, out, 1.0 / ord);
        }
    };
    reduce(p, kernel, a, dims, keep, Some(dtype), out)
}
