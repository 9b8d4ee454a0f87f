//! Sorting, the first few, and running results.

use super::declare::operators;
use super::elementwise::check_shape;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::objects::Scalar;
use crate::program::{Attr, Program};
use crate::view::{View, wrap_dim};

operators! {
    "sort" { /// valuesOut = self sorted along dim, NaN being the largest; indicesOut = where each was. Equal ones keep their order.
        aclnnSort(self_: Tensor, stable: Bool, dim: Int, descending: Bool, valuesOut: Out, indicesOut: Out) => |p, a, _, d, down, v, i| sort(p, &a, d, down, Some(&v), Some(&i), None); }
    "argsort" { /// out = where each element of self, sorted along dim, was.
        aclnnArgsort(self_: Tensor, dim: Int, descending: Bool, out: Out) => |p, a, d, down, i| sort(p, &a, d, down, None, Some(&i), None); }
    "topk" { /// valuesOut, indicesOut = the k largest (or smallest) elements of self along dim, in order.
        aclnnTopk(self_: Tensor, k: Int, dim: Int, largest: Bool, sorted: Bool, valuesOut: Out, indicesOut: Out) => |p, a, k, d, largest, _, v, i| sort(p, &a, d, largest, Some(&v), Some(&i), Some(k)); }
    "cumsum" { /// out = sums of self's elements along dim up to each, computed in dtype.
        aclnnCumsum(self_: Tensor, dim: Int, dtype: Type, out: Out) => |p, a, d, t, o| scan(p, "cumsum", &a, d, t, &o); }
    "cumprod" { /// out = products of input's elements along dim up to each, computed in dtype.
        aclnnCumprod(input: Tensor, dim: Scalar, dtype: Type, out: Out) => |p, a, d: Scalar, t, o| scan(p, "cumprod", &a, d.int, t, &o); }
    "cummax" { /// valuesOut, indicesOut = the largest of self's elements along dim up to each, and where it is.
        aclnnCummax(self_: Tensor, dim: Int, valuesOut: Out, indicesOut: Out) => |p, a, d, v, i| cumulative(p, a, d, true, v, i); }
    "cummin" { /// valuesOut, indicesOut = the smallest of self's elements along dim up to each, and where it is.
        aclnnCummin(self_: Tensor, dim: Int, valuesOut: Out, indicesOut: Out) => |p, a, d, v, i| cumulative(p, a, d, false, v, i); }
}

fn need_index_type(out: &View) -> Result<()> {
    match out.dtype {
        DType::I64 | DType::I32 => Ok(()),
        t => Err(invalid!("the indices have type {t:?}; I64 or I32 is needed")),
    }
}

fn sort(
    p: &mut Program,
    a: &View,
    dim: i64,
    descending: bool,
    values: Option<&View>,
    indices: Option<&View>,
    k: Option<i64>,
) -> Result<()> {
    let d = wrap_dim(dim, a.rank())?;
    let mut shape = a.dims.clone();
    match (k, shape.get_mut(d)) {
        (Some(k), Some(n)) if (0..=*n).contains(&k) => *n = k,
        (Some(k), None) if (0..=1).contains(&k) => {}
        (Some(k), _) => return Err(invalid!("k is {k} along dimension {dim} of shape {:?}", a.dims)),
        (None, _) => {}
    }
    if let Some(values) = values {
        check_shape(values, &shape)?;
        if values.dtype != a.dtype {
            return Err(invalid!("valuesOut has type {:?}, self {:?}", values.dtype, a.dtype));
        }
    }
    if let Some(indices) = indices {
        check_shape(indices, &shape)?;
        need_index_type(indices)?;
    }
    let up = |v: &View| if v.rank() == 0 { v.unsqueeze(&[0]) } else { v.clone() };
    let outputs: Vec<_> = values.into_iter().chain(indices).map(up).collect();
    let there = i64::from(values.is_some()) + 2 * i64::from(indices.is_some());
    let attrs = [Attr::Int(d as i64), Attr::Int(descending.into()), Attr::Int(there)];
    p.launch("sort", &outputs.iter().collect::<Vec<_>>(), &[&up(a)], &attrs)
}

fn scan(p: &mut Program, k: &'static str, a: &View, dim: i64, dtype: DType, out: &View) -> Result<()> {
    check_shape(out, &a.dims)?;
    let d = wrap_dim(dim, a.rank())?;
    let dtype = if dtype == DType::Bool { DType::I64 } else { dtype };
    p.launch(k, &[out], &[a], &[Attr::Type(dtype), Attr::Int(d as i64)])
}

fn cumulative(p: &mut Program, a: View, dim: i64, largest: bool, values: View, indices: View) -> Result<()> {
    check_shape(&values, &a.dims)?;
    check_shape(&indices, &a.dims)?;
    need_index_type(&indices)?;
    let d = wrap_dim(dim, a.rank())?;
    let attrs = [Attr::Int(d as i64), Attr::Int(largest.into())];
    p.launch("cumulative_extreme", &[&values, &indices], &[&a], &attrs)
}
