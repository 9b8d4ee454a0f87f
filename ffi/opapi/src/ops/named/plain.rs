//! Operators by name that are operators of aclnn under other names.

use crate::by_name::Call;
use crate::error::{Result, invalid};
use crate::ops::activation::act;
use crate::ops::elementwise::check_shape;
use crate::ops::layout::constant_pad;
use crate::ops::movement::{constant, copy, permute};
use crate::ops::pointwise::floats;
use crate::ops::statistics::found_along;
use crate::program::Attr::Float;
use crate::program::Program;

pub fn transpose(p: &mut Program, call: &Call) -> Result<()> {
    permute(p, call.input("x")?, call.ints("perm")?, call.output("y")?)
}

pub fn broadcast(p: &mut Program, call: &Call) -> Result<()> {
    let (x, y) = (call.input("x")?, call.output("y")?);
    check_shape(y, call.ints("shape")?)?;
    copy(p, &x.expand(&y.dims)?, y)
}

pub fn slice(p: &mut Program, call: &Call) -> Result<()> {
    let (x, y) = (call.input("x")?, call.output("y")?);
    let (offsets, sizes) = (call.ints("offsets")?, call.ints("size")?);
    if offsets.len() != x.rank() || sizes.len() != x.rank() {
        return Err(invalid!("offsets {offsets:?} and size {sizes:?} for shape {:?}", x.dims));
    }
    let mut part = x.clone();
    for (d, (&offset, &size)) in offsets.iter().zip(sizes).enumerate() {
        // -1 is all that is left.
        let size = if size == -1 { x.dims[d].saturating_sub(offset) } else { size };
        if offset < 0 || size < 0 || offset.checked_add(size).is_none_or(|end| end > x.dims[d]) {
            return Err(invalid!(
                "{size} elements from {offset} on along dimension {d} of shape {:?}",
                x.dims
            ));
        }
        part = part.narrow(d, offset, size, 1);
    }
    check_shape(y, &part.dims)?;
    copy(p, &part, y)
}

pub fn pad(p: &mut Program, call: &Call) -> Result<()> {
    let x = call.input("x")?;
    let paddings = call.ints("paddings")?;
    if paddings.len() != 2 * x.rank() {
        return Err(invalid!("paddings {paddings:?} for shape {:?}", x.dims));
    }
    // From the first dimension on; aclnn counts from the last.
    let pairs: Vec<i64> = paddings.chunks(2).rev().flatten().copied().collect();
    constant_pad(p, x, &pairs, constant(0), call.output("y")?)
}

pub fn mish(p: &mut Program, call: &Call) -> Result<()> {
    act(p, "mish", call.input("x")?, [], call.output("y")?)
}

pub fn mish_gradient(p: &mut Program, call: &Call) -> Result<()> {
    floats(p, "mish_backward", &[call.input("grad")?, call.input("x")?], &[], call.output("x_grad")?)
}

pub fn swish(p: &mut Program, call: &Call) -> Result<()> {
    let (x, y) = (call.input("x")?, call.output("y")?);
    if !x.dtype.is_float() || !y.dtype.is_float() {
        return Err(invalid!("x of {:?}, y of {:?}; floats are needed", x.dtype, y.dtype));
    }
    check_shape(y, &x.dims)?;
    p.launch("swish", &[y], &[x], &[Float(call.float("scale", 1.0)?)])
}

pub fn swish_gradient(p: &mut Program, call: &Call) -> Result<()> {
    let scale = call.float("scale", 1.0)?;
    floats(p, "swish_backward", &[call.input("grad")?, call.input("x")?], &[scale], call.output("grad_x")?)
}

pub fn extreme(p: &mut Program, call: &Call, largest: i64) -> Result<()> {
    let (dim, keep) = (call.int("dimension", 0)?, call.flag("keep_dims", false)?);
    let (values, indices) = (call.output("values")?.clone(), call.output("indice")?.clone());
    found_along(p, "extreme_along", call.input("x")?.clone(), dim, keep, largest, values, indices)
}
