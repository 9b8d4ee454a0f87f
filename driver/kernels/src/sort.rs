//! Sorting along one dimension, whole or only the first few.
//!
//! A row becomes keys: unsigned numbers in the order that is wanted, NaN above everything else, with the index
//! below them. So the sort is stable whatever algorithm sorts the keys.

use vinci_hw::args::{ArgsError, ArgsView, DType};

use crate::lane::{Lane, LaneKind, lane_of, with_lane};
use crate::movement::dimension;
use crate::rows::Rows;
use crate::tile::for_each;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// Tensors values, indices, a; attributes dim, descending, which outputs there are (1 values, 2 indices).
/// values and indices have a's dimensions, but along dim they may be shorter: then only the first are found.
pub fn sort(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let (descending, there) = (args.attr(1)? != 0, args.attr(2)?);
    let outputs = usize::from(there & 1 != 0) + usize::from(there & 2 != 0);
    let a = Tensor::input(ctx, args, outputs)?;
    let values = if there & 1 != 0 { Some(Tensor::output(ctx, args, 0)?) } else { None };
    let indices = if there & 2 != 0 { Some(Tensor::output(ctx, args, outputs - 1)?) } else { None };
    let dim = if a.rank == 0 { None } else { Some(dimension(args, 0, a.rank)?) };
    let n = dim.map_or(1, |d| a.dims[d]);
    let mut first = None;
    for t in values.iter().chain(&indices) {
        let same = t.rank == a.rank && (0..a.rank).all(|d| Some(d) == dim || t.dims[d] == a.dims[d]);
        let k = dim.map_or(1, |d| t.dims[d]);
        if !same || k > n || first.is_some_and(|f| f != k) {
            return Err(ArgsError::BadTensor(0).into());
        }
        first = Some(k);
    }
    if indices.is_some_and(|t| !matches!(t.dtype, DType::I64 | DType::I32)) {
        return Err(KernelFault::Unsupported("an index that is neither int64 nor int32"));
    }
    if n > u32::MAX as usize {
        return Err(KernelFault::Unsupported("a row of more than 2^32 elements"));
    }
    let (Some(first), true) = (first, a.count > 0) else { return Ok(()) };
    let rows = |t: &Tensor| Rows::new(t, |d| Some(d) == dim);
    let job = Job {
        from: rows(&a),
        values: values.as_ref().map(rows),
        indices: indices.as_ref().map(rows),
        n,
        first,
        descending,
    };
    let work = a.count.saturating_mul(n.ilog2() as usize + 1);
    with_lane!(lane_of(a.dtype), L => for_each(ctx, a.count / n, work, &|row| job.row::<L>(row)));
    Ok(())
}

/// A lane whose values have keys.
trait Keyed: Lane {
    /// Orders as the values do, NaN above them.
    fn key(self) -> u64;
}

impl Keyed for f32 {
    fn key(self) -> u64 {
        // Zeros are equal; negative floats order against their bits.
        let bits = if self == 0.0 { 0 } else { self.to_bits() };
        let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        u64::from(if self.is_nan() { u32::MAX } else { ordered }) << 32
    }
}

impl Keyed for f64 {
    fn key(self) -> u64 {
        let bits = if self == 0.0 { 0 } else { self.to_bits() };
        let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
        if self.is_nan() { u64::MAX } else { ordered }
    }
}

impl Keyed for i32 {
    fn key(self) -> u64 {
        u64::from(self as u32 ^ 1 << 31) << 32
    }
}

impl Keyed for i64 {
    fn key(self) -> u64 {
        self as u64 ^ 1 << 63
    }
}

impl Keyed for u64 {
    fn key(self) -> u64 {
        self
    }
}

struct Job {
    from: Rows,
    values: Option<Rows>,
    indices: Option<Rows>,
    n: usize,
    first: usize,
    descending: bool,
}

/// The first `k` of the keys become those that would be first if all were sorted, in order.
fn sort_first<K: Ord + Copy>(keys: &mut [K], k: usize) {
    if 0 < k && k < keys.len() {
        keys.select_nth_unstable(k - 1);
    }
    keys[..k].sort_unstable();
}

impl Job {
    fn row<L: Keyed>(&self, row: usize) {
        let mut from = vec![L::ZERO; self.n];
        self.from.source::<L>(row).read(0, &mut from);
        let key = |v: &L| if self.descending { !v.key() } else { v.key() };
        let narrow = matches!(L::KIND, LaneKind::F32 | LaneKind::I32);
        let order: Vec<i64> = if narrow {
            // The low half of these keys is free, and the index fits into it.
            let with_index = |(i, v)| (key(v) & !0xffff_ffff) | i as u64;
            let mut keys: Vec<u64> = from.iter().enumerate().map(with_index).collect();
            sort_first(&mut keys, self.first);
            keys[..self.first].iter().map(|k| i64::from(*k as u32)).collect()
        } else {
            let mut keys: Vec<(u64, u32)> =
                from.iter().enumerate().map(|(i, v)| (key(v), i as u32)).collect();
            sort_first(&mut keys, self.first);
            keys[..self.first].iter().map(|k| i64::from(k.1)).collect()
        };
        if let Some(values) = &self.values {
            let sorted: Vec<L> = order.iter().map(|&i| from[i as usize]).collect();
            values.sink::<L>(row).write(0, &sorted);
        }
        if let Some(indices) = &self.indices {
            indices.sink::<i64>(row).write(0, &order);
        }
    }
}
