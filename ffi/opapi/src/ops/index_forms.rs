//! Further forms of gathering and scattering: by tuples of indices, with reductions, repeated; and functions of the list.

use super::declare::operators;
use super::elementwise::check_shape;
use super::movement::{constant, copy, fill};
use super::pointwise::floats;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::objects::Scalar;
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::{View, wrap_dim};

operators! {
    "lgamma" { /// out = the logarithm of the absolute value of the gamma function of self.
        aclnnLgamma(self_: Tensor, out: Out) => |p, x, o| floats(p, "lgamma", &[&x], &[], &o); }
    "digamma" { /// out = the slope of the logarithm of the gamma function at self.
        aclnnDigamma(self_: Tensor, out: Out) => |p, x, o| floats(p, "digamma", &[&x], &[], &o); }
    "log_space" { /// result = base to the power of steps numbers from start to end.
        aclnnLogSpace(start: Scalar, end: Scalar, steps: Int, base: Double, result: Tensor) => log_space; }
    "scatter_nd_update" { /// The slices of varRef that the tuples in indices name = updates.
        aclnnScatterNdUpdate(varRef: Ref, indices: Tensor, updates: Tensor) => |p, v: View, i, u| write(p, &v, &i, &u); }
    "scatter_nd" { /// out = data with the slices that the tuples in indices name = updates.
        aclnnScatterNd(data: Tensor, indices: Tensor, updates: Tensor, out: Out) => |p: &mut Program, d: View, i, u, o: View| {
            check_shape(&o, &d.dims)?;
            copy(p, &d, &o)?;
            write(p, &o, &i, &u)
        }; }
    "gather_nd" { /// out = the slices of self that the tuples in indices name.
        aclnnGatherNd(self_: Tensor, indices: Tensor, negativeIndexSupport: Bool, out: Out) => |p, x, i, _, o| read(p, x, i, o); }
    "scatter_update" { /// The slices of data that indices name along axis, one for each of its first dimension, = updates.
        aclnnInplaceScatterUpdate(data: Ref, indices: Tensor, updates: Tensor, axis: Int) => scatter_update; }
    "scatter_reduce" { /// out = self with each element of src combined into the place that index gives along dim: reduce 0 sum, 1 product, 2 mean, 3 largest, 4 smallest, with self if includeSelf.
        aclnnScatterReduce(self_: Tensor, dim: Int, index: Tensor, src: Tensor, reduce: Int, includeSelf: Bool, out: Out) => scatter_reduce;
        /// As aclnnScatterReduce, in place.
        aclnnInplaceScatterReduce(selfRef: Ref, dim: Int, index: Tensor, src: Tensor, reduce: Int, includeSelf: Bool) =>
            |p, x: View, d, i, s, r, with| scatter_reduce(p, x.clone(), d, i, s, r, with, x); }
    "gather_v3" { /// As aclnnGatherV2, after the first batchDims dimensions, which self and index share.
        aclnnGatherV3(self_: Tensor, dim: Int, index: Tensor, batchDims: Int, mode: Int, out: Out) => gather; }
    "index_add_v2" { /// As aclnnIndexAdd; its sums are exact in any mode.
        aclnnIndexAddV2(self_: Tensor, dim: Int, index: Tensor, source: Tensor, alpha: Scalar, mode: Int, out: Out) => index_add; }
    "repeat_interleave" { /// out = each number as often as repeats says: 0, 1 and so on.
        aclnnRepeatInterleaveTensor(repeats: Tensor, outputSize: Int, out: Out) => repeat_numbers; }
}

fn log_space(p: &mut Program, start: Scalar, end: Scalar, steps: i64, base: f64, out: View) -> Result<()> {
    check_shape(&out, &[steps])?;
    if steps <= 0 {
        return if steps == 0 { Ok(()) } else { Err(invalid!("{steps} steps")) };
    }
    let step = if steps > 1 { (end.float - start.float) / (steps - 1) as f64 } else { 0.0 };
    let exponents = p.temporary(DType::F64, &[steps]);
    p.launch("arange", &[&exponents], &[], &[Float(start.float), Float(step), Int(0), Int(0)])?;
    let powers = p.temporary(DType::F64, &[steps]);
    p.launch("s_pow", &[&powers], &[&exponents], &[Type(DType::F64), Float(base), Int(base as i64)])?;
    copy(p, &powers, &out)
}

/// The tensors of indices that tuples `[.., m]` come to, and the shape that the slices have together.
fn tuples(table: &View, indices: &View) -> Result<(Vec<View>, Vec<i64>)> {
    if !matches!(indices.dtype, DType::I32 | DType::I64) || indices.rank() == 0 {
        return Err(invalid!("indices have shape {:?} and type {:?}", indices.dims, indices.dtype));
    }
    let last = indices.rank() - 1;
    let m = indices.dims[last];
    if m < 1 || m as usize > table.rank() {
        return Err(invalid!("tuples of {m} indices into shape {:?}", table.dims));
    }
    let each = (0..m).map(|j| indices.narrow(last, j, 1, 1).without(last)).collect();
    Ok((each, [&indices.dims[..last], &table.dims[m as usize..]].concat()))
}

fn write(p: &mut Program, table: &View, indices: &View, updates: &View) -> Result<()> {
    let (each, shape) = tuples(table, indices)?;
    if updates.dims != shape || updates.dtype != table.dtype {
        return Err(invalid!("updates have shape {:?} and type {:?}; {shape:?} and {:?} are needed", updates.dims, updates.dtype, table.dtype));
    }
    if updates.elements() == 0 {
        return Ok(());
    }
    let inputs: Vec<_> = [updates].into_iter().chain(&each).collect();
    p.launch("index_write", &[table], &inputs, &[Int(0)])
}

fn read(p: &mut Program, table: View, indices: View, out: View) -> Result<()> {
    let (each, shape) = tuples(&table, &indices)?;
    check_shape(&out, &shape)?;
    if out.dtype != table.dtype {
        return Err(invalid!("out has type {:?} and self {:?}", out.dtype, table.dtype));
    }
    let inputs: Vec<_> = [&table].into_iter().chain(&each).collect();
    p.launch("index_read", &[&out], &inputs, &[])
}

fn scatter_update(p: &mut Program, data: View, indices: View, updates: View, axis: i64) -> Result<()> {
    let at = wrap_dim(axis, data.rank())?;
    let n = *indices.dims.first().unwrap_or(&0);
    let fits = indices.rank() == 1
        && at > 0
        && updates.rank() == data.rank()
        && updates.dims[0] == n
        && n <= data.dims[0]
        && (1..data.rank()).all(|d| d == at || updates.dims[d] == data.dims[d])
        && matches!(indices.dtype, DType::I32 | DType::I64);
    if !fits {
        return Err(invalid!(
            "data has shape {:?}, indices {:?} and updates {:?}, axis is {axis}",
            data.dims,
            indices.dims,
            updates.dims
        ));
    }
    // Slice i begins at its own index; each further one goes one place on.
    let length = updates.dims[at];
    let places = p.temporary(DType::I64, &[n, length]);
    let steps = p.temporary(DType::I64, &[length]);
    p.launch("arange", &[&steps], &[], &[Float(0.0), Float(1.0), Int(0), Int(1)])?;
    super::elementwise::arithmetic(p, "add", &indices.unsqueeze(&[1]), &steps, None, &places)?;
    let ones: Vec<_> = (1..data.rank()).filter(|d| *d != at).collect();
    let mut index = places;
    for d in ones {
        index = index.unsqueeze(&[d.min(index.rank())]);
    }
    let index = index.expand(&updates.dims)?;
    p.launch("scatter", &[&data.narrow(0, 0, n, 1)], &[&index, &updates], &[Int(at as i64), Int(0)])
}

#[allow(clippy::too_many_arguments)] // CANN's
fn scatter_reduce(p: &mut Program, x: View, dim: i64, index: View, src: View, reduce: i64, with: bool, out: View) -> Result<()> {
    check_shape(&out, &x.dims)?;
    let up = |v: &View| if v.rank() == 0 { v.unsqueeze(&[0]) } else { v.clone() };
    let (x, index, src, to) = (up(&x), up(&index), up(&src), up(&out));
    let d = wrap_dim(dim, x.rank())?;
    let fits = index.rank() == x.rank()
        && src.rank() == x.rank()
        && (0..x.rank()).all(|i| index.dims[i] <= src.dims[i] && (i == d || index.dims[i] <= x.dims[i]));
    if !fits || !matches!(index.dtype, DType::I32 | DType::I64) {
        return Err(invalid!("index of shape {:?} and src of {:?} do not fit self of {:?}", index.dims, src.dims, x.dims));
    }
    let how = match reduce {
        0 | 2 => 1,
        1 => 2,
        3 => 3,
        4 => 4,
        _ => return Err(invalid!("reduce {reduce}; 0 (sum) to 4 (smallest) are known")),
    };
    // Narrow floats are summed in float32.
    let wide = if x.dtype.is_float() && x.dtype.size() < 4 { DType::F32 } else { x.dtype };
    let sums = p.temporary(wide, &x.dims);
    copy(p, &x, &sums)?;
    if index.elements() == 0 {
        return copy(p, &sums, &to);
    }
    let at = Int(d as i64);
    if !with {
        // Places that something comes to begin with what changes nothing.
        let none = match reduce {
            0 | 2 => constant(0),
            1 => constant(1),
            r if wide.is_float() => {
                let float = if r == 3 { f64::NEG_INFINITY } else { f64::INFINITY };
                Scalar::real(DType::F64, float, 0)
            }
            r => extreme(wide, r == 4),
        };
        let start = p.temporary(wide, &[]);
        fill(p, start.clone(), none)?;
        p.launch("scatter", &[&sums], &[&index, &start.expand(&index.dims)?], &[at, Int(0)])?;
    }
    p.launch("scatter", &[&sums], &[&index, &src], &[at, Int(how)])?;
    if reduce != 2 {
        return copy(p, &sums, &to);
    }
    // How many came to each place, at least 1.
    let counts = p.temporary(DType::I64, &x.dims);
    fill(p, counts.clone(), constant(i64::from(with)))?;
    let one = p.temporary(DType::I64, &[]);
    fill(p, one.clone(), constant(1))?;
    p.launch("scatter", &[&counts], &[&index, &one.expand(&index.dims)?], &[at, Int(1)])?;
    p.launch("maximum_s", &[&counts], &[&counts], &[Type(DType::I64), Float(1.0), Int(1)])?;
    if wide.is_float() {
        let mean = p.temporary(wide, &x.dims);
        super::elementwise::float_binary(p, "div", &sums, &counts, &mean)?;
        copy(p, &mean, &to)
    } else {
        super::elementwise::arithmetic(p, "floor_div", &sums, &counts, None, &to)
    }
}

/// The largest or the smallest number of an integer type.
fn extreme(t: DType, largest: bool) -> Scalar {
    let bits = t.size() as u32 * 8;
    let signed = matches!(t, DType::I8 | DType::I16 | DType::I32 | DType::I64);
    let int = match (signed, largest) {
        (true, true) => i64::MAX >> (64 - bits),
        (true, false) => i64::MIN >> (64 - bits),
        (false, true) if bits < 64 => (1 << bits) - 1,
        (false, true) => -1,
        (false, false) => 0,
    };
    Scalar::real(t, int as f64, int)
}

fn gather(p: &mut Program, x: View, dim: i64, index: View, batch: i64, _mode: i64, out: View) -> Result<()> {
    let b = if batch < 0 { batch + index.rank() as i64 } else { batch } as usize;
    let d = wrap_dim(dim, x.rank())?;
    if b > index.rank() || b > d || b >= x.rank() || x.dims[..b] != index.dims[..b] || x.dtype != out.dtype {
        return Err(invalid!("batchDims {batch}, dim {dim} of self {:?} and index {:?}", x.dims, index.dims));
    }
    if !matches!(index.dtype, DType::I32 | DType::I64) {
        return Err(invalid!("index has type {:?}; I32 or I64 is needed", index.dtype));
    }
    check_shape(&out, &[&x.dims[..d], &index.dims[b..], &x.dims[d + 1..]].concat())?;
    // One selection for each place in the batch.
    let places: i64 = x.dims[..b].iter().product();
    for place in 0..places {
        let mut rest = place;
        let (mut from, mut which, mut to) = (x.clone(), index.clone(), out.clone());
        for i in (0..b).rev() {
            let at = rest % x.dims[i];
            rest /= x.dims[i];
            (from, which, to) = (from.narrow(i, at, 1, 1), which.narrow(i, at, 1, 1), to.narrow(i, at, 1, 1));
        }
        let first = |v: &View| View { dims: v.dims[b..].into(), strides: v.strides[b..].into(), ..v.clone() };
        p.launch("index_select", &[&first(&to)], &[&first(&from), &first(&which)], &[Int((d - b) as i64)])?;
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)] // CANN's
fn index_add(p: &mut Program, x: View, dim: i64, index: View, source: View, alpha: Scalar, _mode: i64, out: View) -> Result<()> {
    check_shape(&out, &x.dims)?;
    let d = wrap_dim(dim, x.rank())?;
    let mut shape = x.dims.clone();
    if index.rank() != 1 || x.rank() == 0 || !matches!(index.dtype, DType::I32 | DType::I64) {
        return Err(invalid!("index has shape {:?} and type {:?} for self of {:?}", index.dims, index.dtype, x.dims));
    }
    shape[d] = index.dims[0];
    if source.dims != shape {
        return Err(invalid!("source has shape {:?}; {shape:?} is needed", source.dims));
    }
    let wide = if x.dtype.is_float() && x.dtype.size() < 4 { DType::F32 } else { x.dtype };
    let sums = p.temporary(wide, &x.dims);
    copy(p, &x, &sums)?;
    if source.elements() > 0 {
        p.launch("index_put", &[&sums], &[&index, &source], &[Int(d as i64), Int(1), Float(alpha.float)])?;
    }
    copy(p, &sums, &out)
}

fn repeat_numbers(p: &mut Program, repeats: View, size: i64, out: View) -> Result<()> {
    if repeats.rank() != 1 || !matches!(repeats.dtype, DType::I32 | DType::I64) {
        return Err(invalid!("repeats have shape {:?} and type {:?}", repeats.dims, repeats.dtype));
    }
    check_shape(&out, &[size])?;
    if size == 0 {
        return Ok(());
    }
    // Place i belongs to the first number whose repetitions end behind it.
    let ends = p.temporary(DType::I64, &repeats.dims);
    p.launch("cumsum", &[&ends], &[&repeats], &[Type(DType::I64), Int(0)])?;
    let places = p.temporary(DType::I64, &[size]);
    p.launch("arange", &[&places], &[], &[Float(0.0), Float(1.0), Int(0), Int(1)])?;
    p.launch("search_sorted", &[&out], &[&ends, &places], &[Int(1)])
}
