//! Elements and slices chosen by index tensors.

use super::declare::operators;
use super::elementwise::check_shape;
use super::movement::copy;
use crate::dims::Dims;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::objects::Scalar;
use crate::program::{Attr, Program};
use crate::view::{View, wrap_dim};

operators! {
    "index_select" { /// out = the indices of self along dim that index names.
        aclnnIndexSelect(self_: Tensor, dim: Int, index: Tensor, out: Out) => |p, a, d, i, o| select(p, a, d, i, o, 1); }
    "gather_v2" { /// out = the indices of self along dim that index names; index's dimensions take the place of dim.
        aclnnGatherV2(self_: Tensor, dim: Int, index: Tensor, out: Out) => |p, a, d, i, o| select(p, a, d, i, o, 8); }
    "gather" { /// out = for each element of index, the element of self at the same place but for dim, where it is at index.
        aclnnGather(self_: Tensor, dim: Int, index: Tensor, out: Out) => gather; }
    "index_copy" { /// self = source at the indices along dim that index names.
        aclnnInplaceIndexCopy(selfRef: Ref, dim: Int, index: Tensor, source: Tensor) => |p, a: View, d, i, s| put(p, &a, d, i, s, 0, 1.0);
        /// out = self with source at the indices along dim that index names.
        aclnnIndexCopy(selfRef: Tensor, dim: Int, index: Tensor, source: Tensor, out: Out) =>
            |p: &mut Program, a: View, d, i, s, o: View| { copied(p, &a, &o)?; put(p, &o, d, i, s, 0, 1.0) }; }
    "index_add" { /// out = self plus alpha * source at the indices along dim that index names.
        aclnnIndexAdd(self_: Tensor, dim: Int, index: Tensor, source: Tensor, alpha: Scalar, out: Out) =>
            |p: &mut Program, a: View, d, i, s, f: Scalar, o: View| { copied(p, &a, &o)?; put(p, &o, d, i, s, 1, f.float) }; }
    "index_fill_tensor" { /// out = self with value at the indices along dim that index names.
        aclnnIndexFillTensor(self_: Tensor, dim: Int, index: Ints, value: Number, out: Out) =>
            |p: &mut Program, a: View, d, i: std::sync::Arc<[i64]>, v, o: View| { copied(p, &a, &o)?; fill_named(p, &o, d, &i, v) };
        /// self = value at the indices along dim that index names.
        aclnnInplaceIndexFillTensor(selfRef: Ref, dim: Int, index: Ints, value: Number) => |p, a: View, d, i: std::sync::Arc<[i64]>, v| fill_named(p, &a, d, &i, v); }
    "index_fill" { /// out = self with value at the indices along dim that index names.
        aclnnIndexFill(self_: Tensor, dim: Int, index: Tensor, value: Number, out: Out) =>
            |p: &mut Program, a: View, d, i, v, o: View| { copied(p, &a, &o)?; fill(p, &o, d, i, v) };
        /// self = value at the indices along dim that index names.
        aclnnInplaceIndexFill(selfRef: Ref, dim: Int, index: Tensor, value: Number) => |p, a: View, d, i, v| fill(p, &a, d, i, v); }
    "scatter" { /// out = self with each element of src combined into the place that index gives along dim; reduce 0 replaces, 1 adds, 2 multiplies.
        aclnnScatter(self_: Tensor, dim: Int, index: Tensor, src: Tensor, reduce: Int, out: Out) => |p, a, d, i, s, r, o| scatter(p, a, d, i, s, reduction(r)?, o);
        /// As aclnnScatter, in place.
        aclnnInplaceScatter(selfRef: Ref, dim: Int, index: Tensor, src: Tensor, reduce: Int) => |p, a: View, d, i, s, r| scatter(p, a.clone(), d, i, s, reduction(r)?, a);
        /// As aclnnScatter, with one value for every index.
        aclnnScatterValue(self_: Tensor, dim: Int, index: Tensor, value: Number, reduce: Int, out: Out) => scatter_value;
        /// As aclnnScatterValue, in place.
        aclnnInplaceScatterValue(selfRef: Ref, dim: Int, index: Tensor, value: Number, reduce: Int) => |p, a: View, d, i, v, r| scatter_value(p, a.clone(), d, i, v, r, a); }
    "scatter_add" { /// out = self with each element of src added at the place that index gives along dim.
        aclnnScatterAdd(self_: Tensor, dim: Int, index: Tensor, src: Tensor, out: Out) => |p, a, d, i, s, o| scatter(p, a, d, i, s, 1, o); }
}

/// out = a, to be changed in part.
fn copied(p: &mut Program, a: &View, out: &View) -> Result<()> {
    check_shape(out, &a.dims)?;
    copy(p, a, out)
}

fn need_index(index: &View) -> Result<()> {
    match index.dtype {
        DType::I64 | DType::I32 => Ok(()),
        t => Err(invalid!("index has type {t:?}; I64 or I32 is needed")),
    }
}

fn select(p: &mut Program, a: View, dim: i64, index: View, out: View, most_rank: usize) -> Result<()> {
    need_index(&index)?;
    if index.rank() > most_rank || a.dtype != out.dtype {
        return Err(invalid!("index has shape {:?}, self type {:?} and out {:?}", index.dims, a.dtype, out.dtype));
    }
    if a.rank() == 0 {
        // The only element, as often as it is named.
        let shape = if index.rank() == 1 && out.rank() == 0 { &[][..] } else { &index.dims };
        check_shape(&out, shape)?;
        let out = if out.rank() < index.rank() { out.unsqueeze(&[0]) } else { out };
        return p.launch("index_select", &[&out], &[&a.unsqueeze(&[0]), &index], &[Attr::Int(0)]);
    }
    let d = wrap_dim(dim, a.rank())?;
    let index = if index.rank() == 0 && most_rank == 1 { index.unsqueeze(&[0]) } else { index };
    if a.rank() - 1 + index.rank() > vinci_hw::args::MAX_RANK {
        return Err(invalid!("a result of {} dimensions; at most 8", a.rank() - 1 + index.rank()));
    }
    let shape = [&a.dims[..d], &index.dims, &a.dims[d + 1..]].concat();
    check_shape(&out, &shape)?;
    if a.dims[d] == 0 && index.elements() > 0 {
        return Err(invalid!("dimension {dim} of shape {:?} has no indices", a.dims));
    }
    p.launch("index_select", &[&out], &[&a, &index], &[Attr::Int(d as i64)])
}

/// The tensors with a dimension put in where they have none.
fn at_least_vectors<const N: usize>(views: [View; N]) -> [View; N] {
    views.map(|v| if v.rank() == 0 { v.unsqueeze(&[0]) } else { v })
}

fn gather(p: &mut Program, a: View, dim: i64, index: View, out: View) -> Result<()> {
    need_index(&index)?;
    check_shape(&out, &index.dims)?;
    let [a, index, out] = at_least_vectors([a, index, out]);
    let d = wrap_dim(dim, a.rank())?;
    let fits = a.rank() == index.rank() && (0..a.rank()).all(|i| i == d || index.dims[i] <= a.dims[i]);
    if !fits || a.dtype != out.dtype {
        return Err(invalid!(
            "index of shape {:?} into self of shape {:?} and type {:?}; out has type {:?}",
            index.dims,
            a.dims,
            a.dtype,
            out.dtype
        ));
    }
    p.launch("gather", &[&out], &[&a, &index], &[Attr::Int(d as i64)])
}

fn put(p: &mut Program, a: &View, dim: i64, index: View, source: View, how: i64, factor: f64) -> Result<()> {
    need_index(&index)?;
    let [a, index, source] = at_least_vectors([a.clone(), index, source]);
    let d = wrap_dim(dim, a.rank())?;
    let mut shape = a.dims.clone();
    shape[d] = index.elements();
    if index.rank() != 1 || source.dims != shape {
        return Err(invalid!(
            "index has shape {:?} and source {:?}; a vector and {shape:?} are needed",
            index.dims,
            source.dims
        ));
    }
    let attrs = [Attr::Int(d as i64), Attr::Int(how), Attr::Float(factor)];
    if source.elements() == 0 {
        return Ok(());
    }
    p.launch("index_put", &[&a], &[&index, &source], &attrs)
}

fn fill(p: &mut Program, a: &View, dim: i64, index: View, value: Scalar) -> Result<()> {
    need_index(&index)?;
    let [a, index] = at_least_vectors([a.clone(), index]);
    let d = wrap_dim(dim, a.rank())?;
    if index.rank() != 1 {
        return Err(invalid!("index has shape {:?}; a vector is needed", index.dims));
    }
    let [f, i] = value.attrs(a.dtype)?;
    p.launch("index_fill", &[&a], &[&index], &[Attr::Int(d as i64), f, i])
}

/// As [`fill`], with the indices known now: each is a slice.
fn fill_named(p: &mut Program, a: &View, dim: i64, index: &[i64], value: Scalar) -> Result<()> {
    let [a] = at_least_vectors([a.clone()]);
    let d = wrap_dim(dim, a.rank())?;
    let n = a.dims[d];
    let mut named = vec![];
    for &i in index {
        let at = if i < 0 { i.wrapping_add(n) } else { i };
        if !(0..n).contains(&at) {
            return Err(invalid!("index {i} of dimension {dim} of shape {:?}", a.dims));
        }
        named.push(at);
    }
    named.sort_unstable();
    named.dedup();
    // Runs of equal distance are one launch.
    let mut rest = &named[..];
    while let [first, ..] = rest {
        let step = rest.get(1).map_or(1, |second| second - first);
        let run = rest.windows(2).take_while(|w| w[1] - w[0] == step).count() + 1;
        super::movement::fill(p, a.narrow(d, *first, run as i64, step), value)?;
        rest = &rest[run..];
    }
    Ok(())
}

/// The number that the kernel has for a way to combine.
fn reduction(reduce: i64) -> Result<i64> {
    match reduce {
        0..=2 => Ok(reduce),
        _ => Err(invalid!("reduce is {reduce}; 0 (none), 1 (add) and 2 (multiply) are known")),
    }
}

fn scatter(p: &mut Program, a: View, dim: i64, index: View, src: View, how: i64, out: View) -> Result<()> {
    need_index(&index)?;
    if a != out {
        copied(p, &a, &out)?;
    }
    let [out, index, src] = at_least_vectors([out, index, src]);
    let d = wrap_dim(dim, out.rank())?;
    let fits = index.rank() == out.rank()
        && src.rank() == out.rank()
        && (0..out.rank()).all(|i| index.dims[i] <= src.dims[i] && (i == d || index.dims[i] <= out.dims[i]));
    if !fits {
        return Err(invalid!(
            "index of shape {:?} and src of shape {:?} do not fit self of shape {:?}",
            index.dims,
            src.dims,
            out.dims
        ));
    }
    if index.elements() == 0 {
        return Ok(());
    }
    p.launch("scatter", &[&out], &[&index, &src], &[Attr::Int(d as i64), Attr::Int(how)])
}

fn scatter_value(p: &mut Program, a: View, dim: i64, index: View, value: Scalar, reduce: i64, out: View) -> Result<()> {
    let one = p.temporary(a.dtype, &[]);
    super::movement::fill(p, one.clone(), value)?;
    let src = View { dims: index.dims.clone(), strides: Dims::repeated(0, index.rank()), ..one };
    scatter(p, a, dim, index, src, reduction(reduce)?, out)
}
