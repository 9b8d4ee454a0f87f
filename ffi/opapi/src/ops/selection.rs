//! Elements by index tensors and masks, embeddings, and what is found in data.

use super::declare::operators;
use super::elementwise::{arithmetic, check_shape, single};
use super::pointwise::{dense, into_dense};
use super::movement;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::objects::Scalar;
use crate::program::Attr::{Float, Int};
use crate::program::{Found, Program};
use crate::view::{View, broadcast, wrap_dim};

operators! {
    "index" { /// out = elements of self named by indices, one tensor for each leading dimension; one without elements names all.
        aclnnIndex(self_: Tensor, indices: Tensors, out: Out) => index; }
    "index_put_impl" { /// Elements of self named by indices = values, or += values.
        aclnnIndexPutImpl(selfRef: Ref, indices: Tensors, values: Tensor, accumulate: Bool, unsafe_: Bool) => index_put; }
    "embedding" { /// out = rows of weight named by indices.
        aclnnEmbedding(weight: Tensor, indices: Tensor, out: Out) => embedding; }
    "embedding_dense_backward" { /// out = sums of the rows of grad that each index named.
        aclnnEmbeddingDenseBackward(grad: Tensor, indices: Tensor, numWeights: UInt, paddingIdx: UInt, scaleGradByFreq: Bool, out: Out) => embedding_backward; }
    "embedding_renorm" { /// The rows of selfRef that indices name, made shorter where their norm is above maxNorm.
        aclnnEmbeddingRenorm(selfRef: Ref, indices: Tensor, maxNorm: Double, normType: Double) => embedding_renorm; }
    "take" { /// out = elements of self by their numbers in it.
        aclnnTake(self_: Tensor, index: Tensor, out: Out) => take; }
    "put" { /// Elements of selfRef by their numbers in it = source, or += source.
        aclnnInplacePut(selfRef: Ref, index: Tensor, source: Tensor, accumulate: Bool) => put; }
    "one_hot" { /// out = onValue where the class along axis is the one in self, else offValue.
        aclnnOneHot(self_: Tensor, numClasses: Int32, onValue: Tensor, offValue: Tensor, axis: Int, out: Out) => one_hot; }
    "channel_shuffle" { /// out = self with the channels of its groups interleaved.
        aclnnChannelShuffle(self_: Tensor, groups: Int, out: Out) => channel_shuffle; }
    "masked_fill_scalar" { /// self = value where mask holds.
        aclnnInplaceMaskedFillScalar(selfRef: Ref, mask: Tensor, value: Number) => masked_fill_scalar; }
    "masked_fill_tensor" { /// self = value where mask holds.
        aclnnInplaceMaskedFillTensor(selfRef: Ref, mask: Tensor, value: Tensor) => masked_fill; }
    "masked_scatter" { /// self = the elements of source, in order, where mask holds.
        aclnnInplaceMaskedScatter(selfRef: Ref, mask: Tensor, source: Tensor) => masked_scatter; }
    "masked_select" { /// out = the elements of self where mask holds; it takes their number as its shape.
        aclnnMaskedSelect(self_: Tensor, mask: Tensor, out: Found) => masked_select; }
    "nonzero" { /// out = indices of the elements that are not zero, one row each; it takes their number as its shape.
        aclnnNonzero(self_: Tensor, out: Found) => |p, a, o| nonzero(p, a, o, false); }
    "nonzero_v2" { /// As aclnnNonzero, one column for each element.
        aclnnNonzeroV2(self_: Tensor, out: Found) => |p, a, o| nonzero(p, a, o, true); }
    "unique" { /// valueOut = the distinct elements of self, sorted; inverseOut tells where each went.
        aclnnUnique(self_: Tensor, sorted: Bool, returnInverse: Bool, valueOut: Found, inverseOut: OptFound) =>
            |p, a, _, r, v, i| unique(p, a, None, false, v, if r { i } else { None }, None); }
    "unique2" { /// As aclnnUnique; countsOut tells how often each occurs.
        aclnnUnique2(self_: Tensor, sorted: Bool, returnInverse: Bool, returnCounts: Bool, valueOut: Found, inverseOut: OptFound, countsOut: OptFound) =>
            |p, a, _, r, c, v, i, n| unique(p, a, None, false, v, if r { i } else { None }, if c { n } else { None }); }
    "unique_consecutive" { /// As aclnnUnique2, in the order of self, only neighbours being compared.
        aclnnUniqueConsecutive(self_: Tensor, returnInverse: Bool, returnCounts: Bool, dim: Int, valueOut: Found, inverseOut: OptFound, countsOut: OptFound) =>
            |p, a: View, r, c, d, v, i, n| {
                let d = if (-8..8).contains(&d) { Some(d) } else { None };
                unique(p, a, d, true, v, if r { i } else { None }, if c { n } else { None })
            }; }
    "unique_dim" { /// As aclnnUnique2, of slices along dim.
        aclnnUniqueDim(self_: Tensor, sorted: Bool, returnInverse: Bool, dim: Int, valueOut: Found, inverseOut: OptFound, countsOut: OptFound) =>
            |p, a, _, r, d, v, i, n| unique(p, a, Some(d), false, v, if r { i } else { None }, n); }
}

/// An indexed tensor as kernels take it: the named dimensions first.
struct Named {
    table: View,
    /// Broadcast to each other.
    indices: Vec<View>,
    /// Where the positions stand among the dimensions of the result.
    at: usize,
}

impl Named {
    fn new(table: &View, indices: &[View]) -> Result<Self> {
        if indices.len() > table.rank() {
            return Err(invalid!("{} tensors of indices for shape {:?}", indices.len(), table.dims));
        }
        let is_given = |t: &View| t.dims != [0] || (t.dtype != table.dtype && matches!(t.dtype, DType::I64 | DType::I32));
        let named: Vec<usize> = (0..indices.len()).filter(|&d| is_given(&indices[d])).collect();
        let mut shape = Vec::new();
        for &d in &named {
            if !matches!(indices[d].dtype, DType::I64 | DType::I32) {
                return Err(invalid!("indices[{d}] has type {:?}; I64 or I32 is needed", indices[d].dtype));
            }
            shape = broadcast(&shape, &indices[d].dims)?.to_vec();
        }
        if named.is_empty() {
            return Err(invalid!("no dimension of shape {:?} is named", table.dims));
        }
        let adjacent = named.windows(2).all(|w| w[1] == w[0] + 1);
        let order: Vec<i64> = named.iter().copied().chain((0..table.rank()).filter(|d| !named.contains(d))).map(|d| d as i64).collect();
        let indices = named.iter().map(|&d| indices[d].expand(&shape)).collect::<Result<_>>()?;
        Ok(Self { table: table.permute(&order)?, indices, at: if adjacent { named[0] } else { 0 } })
    }

    fn positions(&self) -> usize {
        self.indices[0].rank()
    }

    /// Shape of the result.
    fn shape(&self) -> Vec<i64> {
        let mut dims = self.table.dims[self.indices.len()..].to_vec();
        dims.splice(self.at..self.at, self.indices[0].dims.iter().copied());
        dims
    }

    /// A view of the result's shape with the positions first.
    fn lead(&self, v: &View) -> Result<View> {
        let n = self.positions() as i64;
        let at = self.at as i64;
        let order: Vec<i64> = (at..at + n).chain(0..at).chain(at + n..v.rank() as i64).collect();
        v.permute(&order)
    }
}

fn index(p: &mut Program, table: View, indices: Vec<View>, out: View) -> Result<()> {
    if out.elements() == 0 {
        return Ok(());
    }
    if out.dtype != table.dtype {
        return Err(invalid!("out has type {:?} and self {:?}", out.dtype, table.dtype));
    }
    let named = Named::new(&table, &indices)?;
    check_shape(&out, &named.shape())?;
    let inputs: Vec<_> = [&named.table].into_iter().chain(&named.indices).collect();
    p.launch("index_read", &[&named.lead(&out)?], &inputs, &[])
}

fn index_put(
    p: &mut Program,
    table: View,
    indices: Vec<View>,
    values: View,
    accumulate: bool,
    _unsafe: bool,
) -> Result<()> {
    // Indices without elements name nothing, or, where one has the table's type, may stand for all of a dimension.
    let nothing = !indices.is_empty() && indices.iter().all(|i| i.dims == [0]);
    if table.elements() == 0 || values.elements() == 0 || nothing {
        return Ok(());
    }
    let named = Named::new(&table, &indices)?;
    let values = values.expand(&named.shape())?;
    let inputs: Vec<_> = [named.lead(&values)?].into_iter().chain(named.indices.iter().cloned()).collect();
    let inputs: Vec<_> = inputs.iter().collect();
    p.launch("index_write", &[&named.table], &inputs, &[Int(accumulate.into())])
}

fn embedding(p: &mut Program, weight: View, indices: View, out: View) -> Result<()> {
    if weight.rank() != 2 {
        return Err(invalid!("weight has shape {:?}; two dimensions are needed", weight.dims));
    }
    check_shape(&out, &indices.dims.iter().copied().chain([weight.dims[1]]).collect::<Vec<_>>())?;
    if weight.dtype == out.dtype {
        return p.launch("index_read", &[&out], &[&weight, &indices], &[]);
    }
    into_dense(p, &out, weight.dtype, |p, o| p.launch("index_read", &[o], &[&weight, &indices], &[]))
}

fn embedding_backward(
    p: &mut Program,
    grad: View,
    indices: View,
    words: u64,
    padding: u64,
    by_frequency: bool,
    out: View,
) -> Result<()> {
    let width = *grad.dims.last().unwrap_or(&0);
    check_shape(&out, &[words as i64, width])?;
    check_shape(&grad, &indices.dims.iter().copied().chain([width]).collect::<Vec<_>>())?;
    let n = indices.elements();
    let grad = dense(p, &grad, grad.dtype)?.reshaped(&[n, width]);
    let indices = dense(p, &indices, indices.dtype)?.reshaped(&[n]);
    let sum = if out.dtype == DType::F64 { DType::F64 } else { DType::F32 };
    into_dense(p, &out, sum, |p, o| {
        p.launch("embedding_backward", &[o], &[&grad, &indices], &[Int(padding as i64), Int(by_frequency.into())])
    })
}

/// A scalar as a view of some type and shape.
pub fn scalar_view(p: &mut Program, s: Scalar, dtype: DType, dims: &[i64]) -> Result<View> {
    let one = p.temporary(dtype, &[]);
    p.launch("fill", &[&one], &[], &s.attrs(one.dtype)?)?;
    one.expand(dims)
}

fn check_mask(mask: &View) -> Result<()> {
    match mask.dtype {
        DType::Bool | DType::U8 => Ok(()),
        other => Err(invalid!("mask has type {other:?}; Bool or U8 is needed")),
    }
}

fn masked_fill_scalar(p: &mut Program, a: View, mask: View, value: Scalar) -> Result<()> {
    let value = scalar_view(p, value, a.dtype, &[])?;
    masked_fill(p, a, mask, value)
}

fn masked_fill(p: &mut Program, a: View, mask: View, value: View) -> Result<()> {
    check_mask(&mask)?;
    let value = single("value", &value)?;
    p.launch("where", &[&a], &[&mask.expand(&a.dims)?, &value.expand(&a.dims)?, &a], &[])
}

fn masked_scatter(p: &mut Program, a: View, mask: View, source: View) -> Result<()> {
    check_mask(&mask)?;
    p.launch("masked_scatter", &[&a], &[&mask.expand(&a.dims)?, &source], &[])
}

fn masked_select(p: &mut Program, a: View, mask: View, (out, handle): (View, usize)) -> Result<()> {
    check_mask(&mask)?;
    let dims = broadcast(&a.dims, &mask.dims)?;
    let most: i64 = dims.iter().product();
    check_shape(&out, &[most])?;
    let count = p.counter();
    p.found.push(Found { tensor: handle, count: count.clone(), dims: vec![None] });
    if most == 0 {
        return super::movement::fill(p, count, movement::constant(0));
    }
    p.launch("masked_select", &[&out, &count], &[&a.expand(&dims)?, &mask.expand(&dims)?], &[])
}

fn nonzero(p: &mut Program, a: View, (out, handle): (View, usize), by_columns: bool) -> Result<()> {
    let (n, rank) = (a.elements(), a.rank() as i64);
    // A scalar has no indices, however many rows of them are given.
    let across = usize::from(!by_columns);
    let fits = out.rank() == 2 && out.dims[across] == rank && out.dims[1 - across] <= n;
    if (rank > 0 || out.elements() > 0) && !fits {
        return Err(invalid!("out has shape {:?}; there may be {n} indices of {rank} each", out.dims));
    }
    let count = p.counter();
    let dims = if by_columns { vec![Some(rank), None] } else { vec![None, Some(rank)] };
    p.found.push(Found { tensor: handle, count: count.clone(), dims });
    if n == 0 {
        return movement::fill(p, count, movement::constant(0));
    }
    let room = Room::new(p, &out, n * rank)?;
    p.launch("nonzero", &[&room.work, &count], &[&a], &[Int(by_columns.into())])?;
    room.give_back(p, &count, rank)
}

/// Room for a result whose size only the device knows: the output itself if it is large enough for the largest, else
/// a place in the workspace. Programs that know what they will get make outputs of just that.
struct Room {
    work: View,
    short: Option<View>,
}

impl Room {
    fn new(p: &mut Program, out: &View, n: i64) -> Result<Self> {
        if !out.is_dense() {
            return Err(invalid!("an output of shape {:?} with strides {:?} is not dense", out.dims, out.strides));
        }
        let there = out.elements();
        if there >= n {
            return Ok(Self { work: out.reshaped_part(n), short: None });
        }
        Ok(Self { work: p.temporary(out.dtype, &[n]), short: Some(out.reshaped_part(there)) })
    }

    /// Copies what came, `each` elements for each of `count`, if they are not in the output already. A fault of the
    /// queue if the output has no room for them.
    fn give_back(self, p: &mut Program, count: &View, each: i64) -> Result<()> {
        let Some(out) = self.short else { return Ok(()) };
        let (room, last, any) = (out.elements() / each.max(1), p.temporary(DType::I64, &[1]), p.temporary(out.dtype, &[1]));
        let one = p.temporary(DType::I64, &[1]);
        p.launch("fill", &[&one], &[], &[Float(1.0), Int(1)])?;
        arithmetic(p, "sub", &count.reshaped(&[1]), &one, None, &last)?;
        p.launch("index_read", &[&any], &[&self.work.narrow(0, 0, room, 1), &last], &[])?;
        movement::copy(p, &self.work.narrow(0, 0, out.elements(), 1), &out)
    }
}

type Place = (View, usize);

/// Distinct elements, or slices along `dim`.
fn unique(
    p: &mut Program,
    a: View,
    dim: Option<i64>,
    consecutive: bool,
    (values, handle): Place,
    inverse: Option<Place>,
    counts: Option<Place>,
) -> Result<()> {
    let a = dense(p, &a, a.dtype)?;
    let (slices, shape, inverse_dims) = match dim {
        None => (a.reshaped(&[a.elements(), 1, 1]), vec![None], a.dims.clone()),
        Some(d) => {
            let d = wrap_dim(d, a.rank())?;
            if a.rank() == 0 {
                return Err(invalid!("a scalar has no slices"));
            }
            let (before, after) = (a.dims[..d].iter().product(), a.dims[d + 1..].iter().product());
            let shape = a.dims.iter().enumerate().map(|(i, &n)| if i == d { None } else { Some(n) }).collect();
            (a.reshaped(&[before, a.dims[d], after]).permute(&[1, 0, 2])?, shape, [a.dims[d]].into())
        }
    };
    let n = slices.dims[0];
    if values.dtype != a.dtype {
        return Err(invalid!("valueOut has type {:?} and self {:?}", values.dtype, a.dtype));
    }
    let count = p.counter();
    p.found.push(Found { tensor: handle, count: count.clone(), dims: shape });
    let room = |p: &mut Program, place: &Option<Place>| match place {
        Some((v, _)) => Room::new(p, v, n),
        None => Ok(Room { work: p.temporary(DType::I64, &[n]), short: None }),
    };
    let (to_inverse, to_counts) = (room(p, &inverse)?, room(p, &counts)?);
    if to_inverse.short.is_some() {
        return Err(invalid!("inverseOut has no room for {n} elements"));
    }
    if let Some((_, handle)) = inverse {
        let dims = inverse_dims.into_iter().map(Some).collect();
        p.found.push(Found { tensor: handle, count: count.clone(), dims });
    }
    if let Some((_, handle)) = counts {
        p.found.push(Found { tensor: handle, count: count.clone(), dims: vec![None] });
    }
    if n == 0 {
        return movement::fill(p, count, movement::constant(0));
    }
    let values = Room::new(p, &values, a.elements())?;
    let outputs = [&values.work, &to_inverse.work, &to_counts.work, &count];
    p.launch("unique", &outputs, &[&slices], &[Int(consecutive.into())])?;
    values.give_back(p, &count, a.elements() / n)?;
    to_counts.give_back(p, &count, 1)
}

fn embedding_renorm(p: &mut Program, table: View, indices: View, most: f64, order: f64) -> Result<()> {
    if table.rank() != 2 {
        return Err(invalid!("self has shape {:?}; two dimensions are needed", table.dims));
    }
    let n = indices.elements();
    if n == 0 {
        return Ok(());
    }
    let indices = dense(p, &indices, indices.dtype)?.reshaped(&[n]);
    let rows = p.temporary(table.dtype, &[n, table.dims[1]]);
    p.launch("index_read", &[&rows], &[&table, &indices], &[])?;
    super::linalg::shorten(p, &rows, order, 0, most, &rows)?;
    p.launch("index_write", &[&table], &[&rows, &indices], &[Int(0)])
}

fn take(p: &mut Program, a: View, index: View, out: View) -> Result<()> {
    check_shape(&out, &index.dims)?;
    let a = dense(p, &a, out.dtype)?;
    p.launch("index_read", &[&out], &[&a.reshaped(&[a.elements()]), &index], &[])
}

fn put(p: &mut Program, a: View, index: View, source: View, accumulate: bool) -> Result<()> {
    if index.elements() != source.elements() {
        return Err(invalid!("index has shape {:?} and source {:?}", index.dims, source.dims));
    }
    let n = index.elements();
    let index = dense(p, &index, index.dtype)?.reshaped(&[n]);
    let source = dense(p, &source, source.dtype)?.reshaped(&[n]);
    into_dense_ref(p, &a, |p, a| {
        let flat = a.reshaped(&[a.elements()]);
        p.launch("index_write", &[&flat], &[&source, &index], &[Int(accumulate.into())])
    })
}

/// As [`into_dense`], of a tensor that is read too.
fn into_dense_ref(p: &mut Program, a: &View, write: impl FnOnce(&mut Program, &View) -> Result<()>) -> Result<()> {
    let work = dense(p, a, a.dtype)?;
    write(p, &work)?;
    if work.base == a.base { Ok(()) } else { p.launch("copy", &[a], &[&work], &[]) }
}

fn one_hot(p: &mut Program, a: View, classes: i32, on: View, off: View, axis: i64, out: View) -> Result<()> {
    let d = wrap_dim(axis, a.rank() + 1)?;
    let a = a.unsqueeze(&[d]);
    let mut dims = a.dims.clone();
    dims[d] = classes.into();
    check_shape(&out, &dims)?;
    if on.elements() != 1 || off.elements() != 1 {
        return Err(invalid!("onValue has shape {:?} and offValue {:?}; one element is needed", on.dims, off.dims));
    }
    let numbers = p.temporary(DType::I64, &[classes.into()]);
    p.launch("arange", &[&numbers], &[], &[Float(0.0), Float(1.0), Int(0), Int(1)])?;
    let mut shape = vec![1; dims.len()];
    shape[d] = classes.into();
    let same = p.temporary(DType::Bool, &dims);
    super::elementwise::compare(p, "eq", &a, &numbers.reshaped(&shape), &same)?;
    let (on, off) = (on.one().expand(&dims)?, off.one().expand(&dims)?);
    p.launch("where", &[&out], &[&same, &on, &off], &[])
}

fn channel_shuffle(p: &mut Program, a: View, groups: i64, out: View) -> Result<()> {
    check_shape(&out, &a.dims)?;
    if a.rank() < 3 || groups <= 0 || a.dims[1] % groups != 0 {
        return Err(invalid!("{groups} groups of shape {:?}", a.dims));
    }
    let split = |v: &View, first: i64| {
        let mut v = v.unsqueeze(&[1]);
        v.strides[1] = v.strides[2] * (v.dims[2] / first);
        v.dims[1] = first;
        v.dims[2] /= first;
        v
    };
    let order: Vec<i64> = [0, 2, 1].into_iter().chain(3..a.rank() as i64 + 1).collect();
    let from = split(&a, groups).permute(&order)?;
    p.launch("copy", &[&split(&out, a.dims[1] / groups)], &[&from], &[])
}
