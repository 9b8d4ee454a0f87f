//! Builders for the kernels of `driver/kernels/src/pointwise`, and what reduces their results.

use super::elementwise::check_shape;
use crate::dims::Dims;
use crate::dtype::{DType, floating, is_complex, promote};
use crate::error::{Result, invalid};
use crate::program::Attr::{Float, Type};
use crate::program::{Attr, Program};
use crate::view::{View, broadcast};

/// The float type in which views are combined.
pub fn common(views: &[&View]) -> DType {
    floating(views.iter().map(|v| v.dtype).reduce(promote).unwrap_or(DType::F32))
}

/// out = f(inputs; scalars), inputs broadcast; floats, or truth values where out holds booleans.
pub fn pointwise(
    p: &mut Program,
    k: &'static str,
    inputs: &[&View],
    scalars: &[f64],
    out: &View,
) -> Result<()> {
    let dims = inputs.iter().try_fold(Dims::new(), |dims, v| broadcast(&dims, &v.dims))?;
    check_shape(out, &dims)?;
    launch(p, k, inputs, scalars, out)
}

/// As [`pointwise`], into an output that inputs may be broadcast to.
pub fn launch(p: &mut Program, k: &'static str, inputs: &[&View], scalars: &[f64], out: &View) -> Result<()> {
    let inputs = inputs.iter().map(|v| v.expand(&out.dims)).collect::<Result<Vec<_>>>()?;
    let inputs: Vec<_> = inputs.iter().collect();
    let attrs: Vec<Attr> =
        [Type(common(&inputs))].into_iter().chain(scalars.iter().map(|&s| Float(s))).collect();
    p.launch(k, &[out], &inputs, &attrs)
}

/// An operator whose results are floats: out must hold them.
pub fn floats(p: &mut Program, k: &'static str, inputs: &[&View], scalars: &[f64], out: &View) -> Result<()> {
    if !out.dtype.is_float() && !is_complex(out.dtype) {
        return Err(invalid!("a result of floats does not fit into out of {:?}", out.dtype));
    }
    pointwise(p, k, inputs, scalars, out)
}

/// A scalar constant as a view: one element of the workspace, repeated.
pub fn constant(p: &mut Program, value: f64, dims: &[i64]) -> Result<View> {
    let one = p.temporary(DType::F32, &[]);
    p.launch("fill", &[&one], &[], &[Float(value), Attr::Int(value as i64)])?;
    one.expand(dims)
}

/// The view itself if it is dense and of this type, else a copy in the workspace.
pub fn dense(p: &mut Program, v: &View, dtype: DType) -> Result<View> {
    if v.dtype == dtype && v.is_dense() {
        return Ok(v.clone());
    }
    let copy = p.temporary(dtype, &v.dims);
    p.launch("copy", &[&copy], &[v], &[])?;
    Ok(copy)
}

/// Runs `write` with a dense output of type `dtype`: `out` itself, or one that is then copied there.
pub fn into_dense(
    p: &mut Program,
    out: &View,
    dtype: DType,
    write: impl FnOnce(&mut Program, &View) -> Result<()>,
) -> Result<()> {
    if out.dtype == dtype && out.is_dense() {
        return write(p, out);
    }
    let made = p.temporary(dtype, &out.dims);
    write(p, &made)?;
    p.launch("copy", &[out], &[&made], &[])
}

/// How a loss is reduced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Not at all.
    None,
    /// Mean of the elements.
    Mean,
    /// Sum of the elements.
    Sum,
}

impl Reduction {
    /// CANN's number.
    pub fn new(number: i64) -> Result<Self> {
        match number {
            0 => Ok(Self::None),
            1 => Ok(Self::Mean),
            2 => Ok(Self::Sum),
            _ => Err(invalid!("reduction {number}; 0 (none), 1 (mean) and 2 (sum) are known")),
        }
    }

    /// What the gradient of one of `n` elements is multiplied with.
    pub fn scale(self, n: i64) -> f64 {
        if self == Self::Mean { 1.0 / n as f64 } else { 1.0 }
    }

    /// Writes the values that `write` makes to `out`, reduced. `dims` is their shape.
    pub fn reduce(
        self,
        p: &mut Program,
        dtype: DType,
        dims: &[i64],
        out: &View,
        write: impl FnOnce(&mut Program, &View) -> Result<()>,
    ) -> Result<()> {
        if self == Self::None {
            check_shape(out, dims)?;
            return write(p, out);
        }
        if out.elements() != 1 {
            return Err(invalid!("out has shape {:?}; the loss is one value", out.dims));
        }
        let terms = p.temporary(if dtype == DType::F64 { dtype } else { DType::F32 }, dims);
        write(p, &terms)?;
        let one = View {
            dims: Dims::repeated(1, dims.len()),
            strides: Dims::repeated(1, dims.len()),
            ..out.clone()
        };
        let kernel = if self == Self::Mean { "reduce_mean" } else { "reduce_sum" };
        p.launch(kernel, &[&one], &[&terms], &[Type(terms.dtype)])
    }
}
