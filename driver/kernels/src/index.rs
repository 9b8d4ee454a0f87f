//! Elements and slices chosen by index tensors: gathering, scattering, copying and filling.

use vinci_hw::args::{ArgsError, ArgsView, DType, MAX_RANK};

use crate::arith::Arith;
use crate::lane::{Lane, common_lane, lane_of, with_lane};
use crate::movement::dimension;
use crate::tile::for_each;
use crate::view::{Tensor, Walk};
use crate::{Ctx, KernelFault};

/// Reads indices in row-major order, counted from the end where they are negative.
struct Indices {
    tensor: Tensor,
    walk: Walk,
    bound: usize,
}

impl Indices {
    /// The indices `tensor` into a dimension of `bound` elements; an exception if one of them is outside.
    fn new(tensor: Tensor, bound: usize) -> Result<Self, KernelFault> {
        if !matches!(tensor.dtype, DType::I64 | DType::I32) {
            return Err(KernelFault::Unsupported("an index that is neither int64 nor int32"));
        }
        let mut walk = Walk::default();
        (0..tensor.rank).for_each(|d| walk.push(tensor.dims[d], tensor.strides[d]));
        let indices = Self { tensor, walk, bound };
        match (0..tensor.count).map(|i| indices.raw(i)).find(|&v| indices.wrap(v).is_none()) {
            Some(value) => Err(KernelFault::Exception { what: "index out of range", value }),
            None => Ok(indices),
        }
    }

    fn raw(&self, i: usize) -> i64 {
        let at = self.walk.offset(i);
        let mut v = [0i64];
        // SAFETY: the walk stays within the resolved tensor.
        unsafe { i64::loader(self.tensor.dtype)(self.tensor.at(at), 1, &mut v) };
        v[0]
    }

    fn wrap(&self, v: i64) -> Option<usize> {
        let bound = self.bound as i64;
        let v = if v < 0 { v + bound } else { v };
        (0..bound).contains(&v).then_some(v as usize)
    }

    /// Index number `i`. Others may write the indices since they were checked, so it is checked again.
    fn get(&self, i: usize) -> Option<usize> {
        self.wrap(self.raw(i))
    }
}

/// Copies `n` elements along two walks from places in two tensors of the same type.
fn copy_slice(out: &Tensor, to: (isize, &Walk), a: &Tensor, from: (isize, &Walk), n: usize) {
    match a.dtype.size() {
        1 => copy_bits::<u8>(out, to, a, from, n),
        2 => copy_bits::<u16>(out, to, a, from, n),
        4 => copy_bits::<u32>(out, to, a, from, n),
        _ => copy_bits::<u64>(out, to, a, from, n),
    }
}

fn copy_bits<T: Copy>(
    out: &Tensor,
    (to_base, to): (isize, &Walk),
    a: &Tensor,
    (from_base, from): (isize, &Walk),
    n: usize,
) {
    to.segments(0, n, |position, to_offset, to_stride, n| {
        from.segments(position, n, |at, from_offset, from_stride, n| {
            // SAFETY: bases and walks lead to elements of the tensors, which are resolved; `copy` allows overlap.
            unsafe {
                let t = out.at(to_base + to_offset + at as isize * to_stride).cast::<T>();
                let f = a.at(from_base + from_offset).cast::<T>();
                if to_stride == 1 && from_stride == 1 {
                    std::ptr::copy(f.cast::<u8>(), t.cast::<u8>(), n * size_of::<T>());
                } else {
                    for i in 0..n as isize {
                        t.offset(i * to_stride).write_unaligned(f.offset(i * from_stride).read_unaligned());
                    }
                }
            }
        });
    });
}

/// The walk over dimensions `range` of a tensor.
fn walk_of(t: &Tensor, range: std::ops::Range<usize>) -> Walk {
    let mut walk = Walk::default();
    range.for_each(|d| walk.push(t.dims[d], t.strides[d]));
    walk
}

/// Number of elements below dimensions `range` of a tensor that has some.
fn count_of(t: &Tensor, range: std::ops::Range<usize>) -> usize {
    t.dims[range].iter().product()
}

/// Tensors out, a, index; attribute dim: out has the dimensions of index in place of dimension dim of a, and
/// the slices of a that index names.
pub fn index_select(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?;
    let index = Tensor::input(ctx, args, 2)?;
    if a.rank == 0 || a.rank - 1 + index.rank > MAX_RANK {
        return Err(KernelFault::Unsupported("a selection of no or too many dimensions"));
    }
    let dim = dimension(args, 0, a.rank)?;
    let wanted = [&a.dims[..dim], index.dims(), &a.dims[dim + 1..a.rank]].concat();
    if out.dims() != &wanted[..] || out.dtype != a.dtype {
        return Err(ArgsError::BadTensor(0).into());
    }
    if out.count == 0 {
        return Ok(());
    }
    let behind = dim + index.rank;
    let before = (walk_of(&out, 0..dim), walk_of(&a, 0..dim));
    let chosen = walk_of(&out, dim..behind);
    let slice = (walk_of(&out, behind..out.rank), walk_of(&a, dim + 1..a.rank));
    let n = count_of(&out, behind..out.rank);
    let indices = Indices::new(index, a.dims[dim])?;
    for_each(ctx, out.count / n, out.count, &|i| {
        let (outer, k) = (i / index.count, i % index.count);
        let Some(at) = indices.get(k) else { return };
        let to = before.0.offset(outer) + chosen.offset(k);
        let from = before.1.offset(outer) + at as isize * a.strides[dim];
        copy_slice(&out, (to, &slice.0), &a, (from, &slice.1), n);
    });
    Ok(())
}

/// What is done with an element that is there and one that comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Combine {
    Replace,
    Add,
    Multiply,
    Larger,
    Smaller,
}

impl Combine {
    fn of(args: &ArgsView<'_>, attr: usize) -> Result<Self, KernelFault> {
        Ok(match args.attr(attr)? {
            0 => Self::Replace,
            1 => Self::Add,
            2 => Self::Multiply,
            3 => Self::Larger,
            4 => Self::Smaller,
            _ => return Err(KernelFault::Unsupported("a way to combine elements other than 0 to 4")),
        })
    }

    fn apply<L: Lane>(self, old: L, new: L) -> L {
        match self {
            Self::Replace => new,
            Self::Add => old.add(new),
            Self::Multiply => old.mul(new),
            Self::Larger => old.larger(new),
            Self::Smaller => old.smaller(new),
        }
    }
}

/// Combines one element of `out` with a value.
fn combine<L: Lane>(out: &Tensor, at: isize, value: L, how: Combine) {
    let mut v = [value];
    // SAFETY: callers pass offsets of elements of the resolved tensor.
    unsafe {
        if how != Combine::Replace {
            L::loader(out.dtype)(out.at(at), 1, &mut v);
            v[0] = how.apply(v[0], value);
        }
        L::storer(out.dtype)(out.at(at), 1, &v);
    }
}

/// Tensors out (changed in place), index (a vector), source; attributes dim, how (0 replace, 1 add, …), factor
/// of the source. Slice index\[k\] of out along dim is combined with slice k of the source, in order.
pub fn index_put(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let index = Tensor::input(ctx, args, 1)?;
    let source = Tensor::input(ctx, args, 2)?;
    let how = Combine::of(args, 1)?;
    let factor = args.attr_f64(2)?;
    let dim = dimension(args, 0, out.rank.max(1))?;
    let fits = source.rank == out.rank
        && index.rank == 1
        && (0..out.rank).all(|d| source.dims[d] == if d == dim { index.count } else { out.dims[d] });
    if !fits || out.rank == 0 {
        return Err(ArgsError::BadTensor(2).into());
    }
    if source.count == 0 {
        return Ok(());
    }
    let indices = Indices::new(index, out.dims[dim])?;
    let before = (walk_of(&out, 0..dim), walk_of(&source, 0..dim));
    let slice = (walk_of(&out, dim + 1..out.rank), walk_of(&source, dim + 1..out.rank));
    let n = count_of(&source, dim + 1..source.rank);
    // In order, since an index may come twice; what lies before the dimension goes in parallel.
    for_each(ctx, count_of(&source, 0..dim), source.count, &|outer| {
        for k in 0..index.count {
            let Some(at) = indices.get(k) else { continue };
            let to = before.0.offset(outer) + at as isize * out.strides[dim];
            let from = before.1.offset(outer) + k as isize * source.strides[dim];
            if how == Combine::Replace && out.dtype == source.dtype {
                copy_slice(&out, (to, &slice.0), &source, (from, &slice.1), n);
                continue;
            }
            with_lane!(common_lane(out.dtype, source.dtype), L => for i in 0..n {
                let mut v = [L::ZERO];
                // SAFETY: walks stay within the resolved tensor.
                unsafe { L::loader(source.dtype)(source.at(from + slice.1.offset(i)), 1, &mut v) };
                let v = if factor == 1.0 { v[0] } else { v[0].mul(L::from_f64(factor)) };
                combine::<L>(&out, to + slice.0.offset(i), v, how);
            });
        }
    });
    Ok(())
}

/// Tensors out (changed in place), index (a vector); attributes dim, value as float and as integer: the slices
/// that index names become the value.
pub fn index_fill(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let index = Tensor::input(ctx, args, 1)?;
    let dim = dimension(args, 0, out.rank.max(1))?;
    let (f, i) = (args.attr_f64(1)?, args.attr_i64(2)?);
    if out.rank == 0 || index.rank > 1 {
        return Err(ArgsError::BadTensor(1).into());
    }
    let indices = Indices::new(index, out.dims[dim])?;
    if out.count == 0 {
        return Ok(());
    }
    let (before, slice) = (walk_of(&out, 0..dim), walk_of(&out, dim + 1..out.rank));
    let n = count_of(&out, dim + 1..out.rank);
    with_lane!(lane_of(out.dtype), L => {
        let value = if out.dtype == DType::Bool { L::truth(f != 0.0 || i != 0) } else { L::scalar(f, i) };
        for_each(ctx, count_of(&out, 0..dim), out.count, &|outer| {
            for at in (0..index.count).filter_map(|k| indices.get(k)) {
                let to = before.offset(outer) + at as isize * out.strides[dim];
                (0..n).for_each(|i| combine::<L>(&out, to + slice.offset(i), value, Combine::Replace));
            }
        });
    });
    Ok(())
}

/// The place that index `at` along `dim` has in a tensor whose other indices are those of element `i` of index.
struct Aligned {
    others: Walk,
    dim: usize,
    stride: isize,
}

impl Aligned {
    fn new(t: &Tensor, index: &Tensor, dim: usize) -> Self {
        let mut others = Walk::default();
        (0..index.rank).for_each(|d| others.push(index.dims[d], if d == dim { 0 } else { t.strides[d] }));
        Self { others, dim, stride: t.strides[dim] }
    }

    fn offset(&self, i: usize, at: usize) -> isize {
        self.others.offset(i) + at as isize * self.stride
    }

    /// Whether a tensor has room for all of index but along the dimension.
    fn fits(&self, t: &Tensor, index: &Tensor) -> bool {
        t.rank == index.rank && (0..t.rank).all(|d| d == self.dim || index.dims[d] <= t.dims[d])
    }
}

/// Tensors out, a, index (as out); attribute dim: out\[i…\] is the element of a at the same place but for dim,
/// where it is at index\[i…\].
pub fn gather(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?;
    let index = Tensor::input(ctx, args, 2)?.same_dims(&out, 2)?;
    if a.rank == 0 || a.rank != index.rank || a.dtype != out.dtype {
        return Err(ArgsError::BadTensor(1).into());
    }
    let dim = dimension(args, 0, a.rank)?;
    let aligned = Aligned::new(&a, &index, dim);
    if !aligned.fits(&a, &index) {
        return Err(ArgsError::BadTensor(2).into());
    }
    if out.count == 0 {
        return Ok(());
    }
    let indices = Indices::new(index, a.dims[dim])?;
    let (to, one) = (walk_of(&out, 0..out.rank), Walk::default());
    crate::tile::for_ranges(ctx, out.count, &|start, end| {
        for i in start..end {
            if let Some(at) = indices.get(i) {
                copy_slice(&out, (to.offset(i), &one), &a, (aligned.offset(i, at), &one), 1);
            }
        }
    });
    Ok(())
}

/// Tensors out (changed in place), index, source (its first elements are used, as many as index has); attributes
/// dim, how (0 replace, 1 add, 2 multiply, 3 larger, 4 smaller).
pub fn scatter(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let index = Tensor::input(ctx, args, 1)?;
    let source = Tensor::input(ctx, args, 2)?;
    let how = Combine::of(args, 1)?;
    if out.rank == 0 || out.rank != index.rank || source.rank != index.rank {
        return Err(ArgsError::BadTensor(1).into());
    }
    let dim = dimension(args, 0, out.rank)?;
    let aligned = Aligned::new(&out, &index, dim);
    let room = (0..index.rank).all(|d| index.dims[d] <= source.dims[d]);
    if !aligned.fits(&out, &index) || !room {
        return Err(ArgsError::BadTensor(2).into());
    }
    if index.count == 0 {
        return Ok(());
    }
    let mut from = Walk::default();
    (0..index.rank).for_each(|d| from.push(index.dims[d], source.strides[d]));
    let indices = Indices::new(index, out.dims[dim])?;
    // In order, since an index may come twice.
    with_lane!(common_lane(out.dtype, source.dtype), L => for i in 0..index.count {
        let Some(at) = indices.get(i) else { continue };
        let mut v = [L::ZERO];
        // SAFETY: the walk stays within the resolved tensor.
        unsafe { L::loader(source.dtype)(source.at(from.offset(i)), 1, &mut v) };
        combine::<L>(&out, aligned.offset(i, at), v[0], how);
    });
    Ok(())
}
