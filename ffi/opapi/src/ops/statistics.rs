//! Moments, products, extremes with their places, medians.

use std::sync::Arc;

use super::declare::operators;
use super::elementwise as el;
use super::elementwise::check_shape;
use super::reduce::{keep_form, reduce, reduced};
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::{View, wrap_dim};

operators! {
    "var" { /// out = variance over dim, the divisor lessened by correction.
        aclnnVarCorrection(self_: Tensor, dim: OptInts, correction: Int, keepdim: Bool, out: Out) => |p, a, d, c, k, o| variance(p, &a, d, c, k, &o); }
    "var_mean" { /// Variance and mean over dim.
        aclnnVarMean(self_: Tensor, dim: OptInts, correction: Int, keepdim: Bool, varOut: Out, meanOut: Out) => |p: &mut Program, a, d: Option<Arc<[i64]>>, c, k, v, m| {
            variance(p, &a, d.clone(), c, k, &v)?;
            mean(p, &a, d, k, &m)
        }; }
    "std" { /// out = standard deviation over dim.
        aclnnStd(self_: Tensor, dim: OptInts, correction: Int, keepdim: Bool, out: Out) => |p, a, d, c, k, o| deviation(p, &a, d, c, k, &o); }
    "std_mean_correction" { /// Standard deviation and mean over dim.
        aclnnStdMeanCorrection(self_: Tensor, dim: OptInts, correction: Int, keepdim: Bool, stdOut: Out, meanOut: Out) => |p: &mut Program, a, d: Option<Arc<[i64]>>, c, k, s, m| {
            deviation(p, &a, d.clone(), c, k, &s)?;
            mean(p, &a, d, k, &m)
        }; }
    "prod" { /// out = product of all elements, computed in dtype.
        aclnnProd(self_: Tensor, dtype: Type, out: Out) => |p, a, t, o| reduce(p, "reduce_prod", &a, &[], false, Some(t), &o);
        /// out = product along dim, computed in dtype.
        aclnnProdDim(self_: Tensor, dim: Int, keepDim: Bool, dtype: Type, out: Out) => |p, a, d, k, t, o| reduce(p, "reduce_prod", &a, &[d], k, Some(t), &o); }
    "reduce_nansum" { /// out = sum over dim of what is not NaN.
        aclnnReduceNansum(self_: Tensor, dim: OptInts, keepDim: Bool, dtype: Type, out: Out) => nansum; }
    "logsumexp" { /// out = log of the sum of e to the power of self, over dim.
        aclnnLogSumExp(self_: Tensor, dim: Ints, keepDim: Bool, out: Out) => logsumexp; }
    "max_dim" { /// Maximum along dim and where it is.
        aclnnMaxDim(self_: Tensor, dim: Int, keepdim: Bool, out: Out, indices: Out) => |p, a, d, k, o, i| found_along(p, "extreme_along", a, d, k, 1, o, i); }
    "min_dim" { /// Minimum along dim and where it is.
        aclnnMinDim(self_: Tensor, dim: Int, keepdim: Bool, out: Out, indices: Out) => |p, a, d, k, o, i| found_along(p, "extreme_along", a, d, k, 0, o, i); }
    "kthvalue" { /// The k-th smallest element along dim and where it is.
        aclnnKthvalue(self_: Tensor, k: Int, dim: Int, keepdim: Bool, valuesOut: Out, indicesOut: Out) => |p, a, n, d, k, o, i| {
            if n < 1 {
                return Err(invalid!("k is {n}; 1 is the smallest"));
            }
            found_along(p, "kth_along", a, d, k, n, o, i)
        }; }
    "median" { /// out = median of all elements, the lower one of two.
        aclnnMedian(self_: Tensor, out: Out) => |p, a, o| median(p, a, 0, o);
        /// Median along dim and where it is.
        aclnnMedianDim(self_: Tensor, dim: Int, keepDim: Bool, valuesOut: Out, indicesOut: Out) => |p, a, d, k, o, i| found_along(p, "kth_along", a, d, k, 0, o, i); }
    "median" { /// out = median of all elements that are not NaN.
        aclnnNanMedian(self_: Tensor, out: Out) => |p, a, o| median(p, a, -1, o);
        /// Median along dim of what is not NaN, and where it is.
        aclnnNanMedianDim(self_: Tensor, dim: Int, keepDim: Bool, valuesOut: Out, indicesOut: Out) => |p, a, d, k, o, i| found_along(p, "kth_along", a, d, k, -1, o, i); }
    "aminmax" { /// Minimum and maximum over dim.
        aclnnAminmax(self_: Tensor, dim: OptInts, keepDim: Bool, minOut: Out, maxOut: Out) => |p: &mut Program, a, d: Option<Arc<[i64]>>, k, low, high| {
            let d = d.unwrap_or_default();
            reduce(p, "reduce_min", &a, &d, k, None, &low)?;
            reduce(p, "reduce_max", &a, &d, k, None, &high)
        }; }
    "aminmax_all" { /// Minimum and maximum of all elements.
        aclnnAminmaxAll(self_: Tensor, minOut: Out, maxOut: Out) => |p: &mut Program, a, low, high| {
            reduce(p, "reduce_min", &a, &[], false, None, &low)?;
            reduce(p, "reduce_max", &a, &[], false, None, &high)
        }; }
    "aminmax_dim" { /// Minimum and maximum along dim.
        aclnnAminmaxDim(self_: Tensor, dim: Int, keepDim: Bool, minOut: Out, maxOut: Out) => |p: &mut Program, a, d, k, low, high| {
            reduce(p, "reduce_min", &a, &[d], k, None, &low)?;
            reduce(p, "reduce_max", &a, &[d], k, None, &high)
        }; }
    "equal" { /// out = whether self and other have the same shape and elements.
        aclnnEqual(self_: Tensor, other: Tensor, out: Out) => equal; }
    "trace" { /// out = sum of the diagonal of a matrix.
        aclnnTrace(self_: Tensor, out: Out) => trace; }
}

fn need_float(a: &View) -> Result<()> {
    if a.dtype.is_float() { Ok(()) } else { Err(invalid!("self has type {:?}; a float is needed", a.dtype)) }
}

fn variance(p: &mut Program, a: &View, dims: Option<Arc<[i64]>>, correction: i64, keep: bool, out: &View) -> Result<()> {
    need_float(a)?;
    let gone = reduced(&dims.unwrap_or_default(), a.rank())?;
    let out = keep_form(a, &gone, keep, out)?;
    p.launch("var", &[&out], &[a], &[Float(correction as f64)])
}

fn deviation(p: &mut Program, a: &View, dims: Option<Arc<[i64]>>, correction: i64, keep: bool, out: &View) -> Result<()> {
    let wide = p.temporary(if out.dtype == DType::F64 { DType::F64 } else { DType::F32 }, &out.dims);
    variance(p, a, dims, correction, keep, &wide)?;
    p.launch("sqrt", &[out], &[&wide], &[Type(wide.dtype)])
}

fn mean(p: &mut Program, a: &View, dims: Option<Arc<[i64]>>, keep: bool, out: &View) -> Result<()> {
    reduce(p, "reduce_mean", a, &dims.unwrap_or_default(), keep, None, out)
}

fn nansum(p: &mut Program, a: View, dims: Option<Arc<[i64]>>, keep: bool, dtype: DType, out: View) -> Result<()> {
    let clean = p.temporary(a.dtype, &a.dims);
    if a.dtype.is_float() {
        let infinity = f64::INFINITY;
        super::pointwise::floats(p, "nan_to_num", &[&a], &[0.0, infinity, -infinity], &clean)?;
    } else {
        super::movement::copy(p, &a, &clean)?;
    }
    reduce(p, "reduce_sum", &clean, &dims.unwrap_or_default(), keep, Some(dtype), &out)
}

fn logsumexp(p: &mut Program, a: View, dims: Arc<[i64]>, keep: bool, out: View) -> Result<()> {
    let kind = super::pointwise::common(&[&a]);
    let gone = reduced(&dims, a.rank())?;
    let out = keep_form(&a, &gone, keep, &out)?;
    if a.elements() == 0 {
        return p.launch("fill", &[&out], &[], &[Float(f64::NEG_INFINITY), Int(0)]);
    }
    let most = p.temporary(kind, &out.dims);
    p.launch("reduce_max", &[&most], &[&a], &[Type(kind)])?;
    // An infinite maximum is no reference.
    super::pointwise::floats(p, "nan_to_num", &[&most], &[f64::NAN, 0.0, 0.0], &most.clone())?;
    let rest = p.temporary(kind, &a.dims);
    p.launch("sub", &[&rest], &[&a, &most.expand(&a.dims)?], &[Type(kind), Float(1.0), Int(1)])?;
    p.launch("exp", &[&rest], &[&rest], &[Type(kind)])?;
    let sum = p.temporary(kind, &out.dims);
    p.launch("reduce_sum", &[&sum], &[&rest], &[Type(kind)])?;
    p.launch("log", &[&sum], &[&sum], &[Type(kind)])?;
    p.launch("add", &[&out], &[&sum, &most], &[Type(kind), Float(1.0), Int(1)])
}

#[allow(clippy::too_many_arguments)]
pub fn found_along(
    p: &mut Program,
    k: &'static str,
    a: View,
    dim: i64,
    keep: bool,
    which: i64,
    values: View,
    indices: View,
) -> Result<()> {
    if !matches!(indices.dtype, DType::I64 | DType::I32) {
        return Err(invalid!("indices have type {:?}; I64 or I32 is needed", indices.dtype));
    }
    let d = wrap_dim(dim, a.rank())?;
    if a.rank() == 0 {
        check_shape(&values, &[])?;
        let up = |v: &View| v.unsqueeze(&[0]);
        return p.launch(k, &[&up(&values), &up(&indices)], &[&up(&a)], &[Int(0), Int(which)]);
    }
    let gone: Vec<_> = (0..a.rank()).map(|i| i == d).collect();
    let (values, indices) = (keep_form(&a, &gone, keep, &values)?, keep_form(&a, &gone, keep, &indices)?);
    if a.dims[d] == 0 && values.elements() > 0 {
        return Err(invalid!("dimension {d} of shape {:?} is empty", a.dims));
    }
    if k == "kth_along" && which > a.dims[d] {
        return Err(invalid!("k is {which} and dimension {d} of shape {:?} has fewer", a.dims));
    }
    p.launch(k, &[&values, &indices], &[&a], &[Int(d as i64), Int(which)])
}

fn median(p: &mut Program, a: View, which: i64, out: View) -> Result<()> {
    let out = el::single("out", &out)?;
    if a.elements() == 0 {
        return p.launch("fill", &[&out], &[], &[Float(f64::NAN), Int(i64::MIN)]);
    }
    let a = super::pointwise::dense(p, &a, a.dtype)?.reshaped(&[a.elements()]);
    let place = p.temporary(DType::I64, &[1]);
    p.launch("kth_along", &[&out.unsqueeze(&[0]), &place], &[&a], &[Int(0), Int(which)])
}

fn equal(p: &mut Program, a: View, b: View, out: View) -> Result<()> {
    let one = el::single("out", &out)?;
    if a.dims != b.dims {
        return super::movement::fill(p, out, super::movement::constant(0));
    }
    let same = p.temporary(DType::Bool, &a.dims);
    el::compare(p, "eq", &a, &b, &same)?;
    reduce(p, "reduce_all", &same, &[], false, None, &one)
}

fn trace(p: &mut Program, a: View, out: View) -> Result<()> {
    if a.rank() != 2 {
        return Err(invalid!("self has shape {:?}; a matrix is needed", a.dims));
    }
    let n = a.dims[0].min(a.dims[1]);
    let diagonal = View { dims: [n].into(), strides: [a.strides[0] + a.strides[1]].into(), ..a };
    reduce(p, "reduce_sum", &diagonal, &[], false, Some(out.dtype), &out)
}
