//! Copies, casts, constants, joining.

use super::elementwise::check_shape;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::objects::Scalar;
use crate::program::Attr::{Float, Int};
use crate::program::Program;
use crate::view::{View, wrap_dim};
use super::declare::operators;
use std::sync::Arc;

operators! {
    "cast" { /// out = self in another type.
        aclnnCast(self_: Tensor, dtype: Type, out: Out) => cast; }
    "copy" { /// self = src, broadcast and cast.
        aclnnInplaceCopy(selfRef: Ref, src: Tensor) => |p, o, a| copy(p, &a, &o); }
    "fill_scalar" { /// self = value.
        aclnnInplaceFillScalar(selfRef: Ref, value: Number) => fill; }
    "zero" { /// self = 0.
        aclnnInplaceZero(selfRef: Ref) => |p, o| fill(p, o, constant(0)); }
    "ones" { /// self = 1.
        aclnnInplaceOne(selfRef: Ref) => |p, o| fill(p, o, constant(1)); }
    "permute" { /// out = self with its dimensions in another order.
        aclnnPermute(self_: Tensor, dims: Ints, out: Out) => |p, a, d: Arc<[i64]>, o| permute(p, &a, &d, &o); }
    "cat" { /// out = tensors one behind the other along dim.
        aclnnCat(tensors: Tensors, dim: Int, out: Out) => |p, t: Vec<_>, d, o| cat(p, &t, d, &o); }
    "stack" { /// out = tensors along a new dimension.
        aclnnStack(tensors: Tensors, dim: Int, out: Out) => |p, t: Vec<_>, d, o| stack(p, &t, d, &o); }
    "arange" { /// out = start, start + step, … up to end.
        aclnnArange(start: Scalar, end: Scalar, step: Scalar, out: Out) => arange; }
}

/// An integer constant.
pub fn constant(value: i64) -> Scalar {
    Scalar::real(DType::I64, value as f64, value)
}

/// out = a, broadcast and cast.
pub fn copy(p: &mut Program, a: &View, out: &View) -> Result<()> {
    // Leading dimensions of 1 that the output lacks are no obstacle.
    let extra = a.rank().saturating_sub(out.rank());
    let few = a.dims[..extra].iter().all(|&d| d == 1);
    let a = if few { View { dims: a.dims[extra..].into(), strides: a.strides[extra..].into(), ..a.clone() } } else { a.clone() };
    let a = a.expand(&out.dims)?;
    p.launch("copy", &[out], &[&a], &[])
}

/// A dense copy in the workspace.
pub fn dense(p: &mut Program, a: &View) -> Result<View> {
    let all = p.temporary(a.dtype, &a.dims);
    copy(p, a, &all)?;
    Ok(all)
}

/// out = a in its type, which is `dtype`.
pub fn cast(p: &mut Program, a: View, dtype: DType, out: View) -> Result<()> {
    if out.dtype != dtype {
        return Err(invalid!("out has type {:?}; {dtype:?} was asked for", out.dtype));
    }
    check_shape(&out, &a.dims)?;
    copy(p, &a, &out)
}

/// out = value.
pub fn fill(p: &mut Program, out: View, value: Scalar) -> Result<()> {
    p.launch("fill", &[&out], &[], &value.attrs(out.dtype)?)
}

/// out = a with its dimensions in another order.
pub fn permute(p: &mut Program, a: &View, order: &[i64], out: &View) -> Result<()> {
    let a = a.permute(order)?;
    check_shape(out, &a.dims)?;
    p.launch("copy", &[out], &[&a], &[])
}

/// out = the tensors one behind the other.
pub fn cat(p: &mut Program, tensors: &[View], dim: i64, out: &View) -> Result<()> {
    // As in PyTorch, a tensor of shape [0] joins anything.
    let tensors: Vec<_> = tensors.iter().filter(|t| t.dims != [0] || out.rank() == 1).collect();
    let d = wrap_dim(dim, out.rank())?;
    if out.rank() == 0 {
        return Err(invalid!("scalars cannot be joined"));
    }
    let mut shape = out.dims.clone();
    shape[d] = 0;
    for t in &tensors {
        let fits = t.rank() == out.rank() && (0..t.rank()).all(|i| i == d || t.dims[i] == out.dims[i]);
        if !fits {
            return Err(invalid!("shape {:?} does not join along dimension {d} into {:?}", t.dims, out.dims));
        }
        shape[d] += t.dims[d];
    }
    check_shape(out, &shape)?;
    // Each part is a copy into its slice of the output: any number of tensors, any types.
    let mut at = 0;
    for t in tensors {
        let part = out.narrow(d, at, t.dims[d], 1);
        at += t.dims[d];
        p.launch("copy", &[&part], &[t], &[])?;
    }
    Ok(())
}

/// out = the tensors along a new dimension.
pub fn stack(p: &mut Program, tensors: &[View], dim: i64, out: &View) -> Result<()> {
    let d = wrap_dim(dim, out.rank())?;
    let tensors: Vec<_> = tensors.iter().map(|t| t.unsqueeze(&[d.min(t.rank())])).collect();
    cat(p, &tensors, d as i64, out)
}

/// out = start, start + step, …
pub fn arange(p: &mut Program, start: Scalar, end: Scalar, step: Scalar, out: View) -> Result<()> {
    if step.float == 0.0 || (end.float - start.float) * step.float < 0.0 {
        return Err(invalid!("{} does not lead from {} to {}", step.float, start.float, end.float));
    }
    let n = ((end.float - start.float) / step.float).ceil();
    // From, to or past infinity and NaN the output alone says how many.
    let n = if n.is_finite() { n as i64 } else { out.elements() };
    // As many elements in any shape, such as [1, 1, n].
    let flat = out.merged(0..out.rank()).filter(|flat| flat.dims == [n]);
    let out = flat.ok_or_else(|| invalid!("out has shape {:?}; the result has {n} elements", out.dims))?;
    p.launch("arange", &[&out], &[], &[Float(start.float), Float(step.float), Int(start.int), Int(step.int)])
}
