//! Reductions over any set of dimensions.
//!
//! Sums go by tiles of [`TILE`] elements, each summed in several interleaved parts, and the tiles pairwise: the
//! error grows with the logarithm of the length.

use vinci_hw::args::{ArgsError, ArgsView, DType, MAX_RANK};

use crate::lane::{Lane, LaneKind, TILE, lane_of, with_lane};
use crate::movement::dimension;
use crate::simd::{Task, vectorize};
use crate::tile::{PARALLEL, Source, for_each};
use crate::view::{Tensor, Walk};
use crate::{Ctx, KernelFault};

/// How values become one.
pub trait Fold: Sync {
    /// Whether integers are computed as floats.
    const TO_FLOAT: bool = false;
    /// Whether only zero or not matters, so that values are taken as they are.
    const TRUTH: bool = false;
    /// Result of no values.
    fn identity<L: Lane>() -> L;
    /// A value on its way in.
    #[inline(always)]
    fn enter<L: Lane>(v: L) -> L {
        v
    }
    /// Two values, or two partial results.
    fn join<L: Lane>(a: L, b: L) -> L;
    /// The result of `n` values on its way out.
    #[inline(always)]
    fn leave<L: Lane>(v: L, _n: usize) -> L {
        v
    }
}

/// Sum.
pub struct Sum;
/// Sum by number; NaN for no values.
pub struct Mean;
/// Product.
pub struct Prod;
/// Largest value; NaN wins.
pub struct Max;
/// Smallest value; NaN wins.
pub struct Min;
/// Whether one is not zero.
pub struct Any;
/// Whether none is zero.
pub struct All;

impl Fold for Sum {
    fn identity<L: Lane>() -> L {
        L::ZERO
    }
    #[inline(always)]
    fn join<L: Lane>(a: L, b: L) -> L {
        a.add(b)
    }
}

impl Fold for Mean {
    const TO_FLOAT: bool = true;
    fn identity<L: Lane>() -> L {
        L::ZERO
    }
    #[inline(always)]
    fn join<L: Lane>(a: L, b: L) -> L {
        a.add(b)
    }
    #[inline(always)]
    fn leave<L: Lane>(v: L, n: usize) -> L {
        v.div(L::from_f64(n as f64))
    }
}

impl Fold for Prod {
    fn identity<L: Lane>() -> L {
        L::ONE
    }
    #[inline(always)]
    fn join<L: Lane>(a: L, b: L) -> L {
        a.mul(b)
    }
}

impl Fold for Max {
    fn identity<L: Lane>() -> L {
        L::LOWEST
    }
    #[inline(always)]
    fn join<L: Lane>(a: L, b: L) -> L {
        a.larger(b)
    }
}

impl Fold for Min {
    fn identity<L: Lane>() -> L {
        L::HIGHEST
    }
    #[inline(always)]
    fn join<L: Lane>(a: L, b: L) -> L {
        a.smaller(b)
    }
}

impl Fold for Any {
    const TRUTH: bool = true;
    fn identity<L: Lane>() -> L {
        L::ZERO
    }
    #[inline(always)]
    fn enter<L: Lane>(v: L) -> L {
        L::truth(v != L::ZERO)
    }
    #[inline(always)]
    fn join<L: Lane>(a: L, b: L) -> L {
        a.larger(b)
    }
}

impl Fold for All {
    const TRUTH: bool = true;
    fn identity<L: Lane>() -> L {
        L::ONE
    }
    #[inline(always)]
    fn enter<L: Lane>(v: L) -> L {
        L::truth(v != L::ZERO)
    }
    #[inline(always)]
    fn join<L: Lane>(a: L, b: L) -> L {
        a.smaller(b)
    }
}

/// Declares folds of magnitudes, for norms.
macro_rules! norms {
    ($($(#[$doc:meta])* $name:ident = $identity:ident, |$x:ident| $enter:expr, $join:ident, |$v:ident| $leave:expr;)*) => { $(
        $(#[$doc])*
        pub struct $name;
        impl Fold for $name {
            const TO_FLOAT: bool = true;
            fn identity<L: Lane>() -> L { L::$identity }
            #[inline(always)]
            fn enter<L: Lane>($x: L) -> L { $enter }
            #[inline(always)]
            fn join<L: Lane>(a: L, b: L) -> L { a.$join(b) }
            #[inline(always)]
            fn leave<L: Lane>($v: L, _: usize) -> L { $leave }
        }
    )* };
}

norms! {
    /// Number of values that are not zero.
    Norm0 = ZERO, |x| if x == L::ZERO { L::ZERO } else { L::ONE }, add, |v| v;
    /// Sum of magnitudes.
    Norm1 = ZERO, |x| x.abs(), add, |v| v;
    /// Root of the sum of squares.
    Norm2 = ZERO, |x| x.mul(x), add, |v| v.sqrt();
    /// Largest magnitude; NaN wins.
    NormInf = ZERO, |x| x.abs(), larger, |v| v;
    /// Smallest magnitude; NaN wins.
    NormNegInf = HIGHEST, |x| x.abs(), smaller, |v| v;
}

/// Interleaved partial results within a tile: whole vectors.
const PARTS: usize = 32;

struct FoldTile<'a, F, L> {
    fold: std::marker::PhantomData<F>,
    values: &'a [L],
}

impl<F: Fold, L: Lane> Task for FoldTile<'_, F, L> {
    type Output = L;
    #[inline(always)]
    fn call(self) -> L {
        if self.values.len() < PARTS {
            return self.values.iter().fold(F::identity(), |sum, &v| F::join(sum, F::enter(v)));
        }
        let mut parts = [F::identity::<L>(); PARTS];
        let (chunks, rest) = self.values.as_chunks::<PARTS>();
        for chunk in chunks {
            parts.iter_mut().zip(chunk).for_each(|(p, &v)| *p = F::join(*p, F::enter(v)));
        }
        parts.iter_mut().zip(rest).for_each(|(p, &v)| *p = F::join(*p, F::enter(v)));
        let mut width = PARTS;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                parts[i] = F::join(parts[i], parts[i + width]);
            }
        }
        parts[0]
    }
}

/// Result of a tile.
pub fn fold_tile<F: Fold, L: Lane>(values: &[L]) -> L {
    vectorize(FoldTile { fold: std::marker::PhantomData::<F>, values })
}

/// Joins partial results that come one by one, pairwise: `levels[i]` holds the result of 2ⁱ of them.
pub struct Pairwise<L> {
    levels: [L; 48],
    count: u64,
}

impl<L: Lane> Pairwise<L> {
    /// None yet.
    pub fn new() -> Self {
        Self { levels: [L::ZERO; 48], count: 0 }
    }

    /// Joins the next one.
    pub fn push<F: Fold>(&mut self, mut v: L) {
        let mut level = 0;
        while self.count >> level & 1 == 1 {
            v = F::join(self.levels[level], v);
            level += 1;
        }
        self.levels[level] = v;
        self.count += 1;
    }

    /// The result of all.
    pub fn finish<F: Fold>(&self) -> L {
        let used = (0..48).filter(|l| self.count >> l & 1 == 1);
        used.fold(F::identity(), |sum, l| F::join(self.levels[l], sum))
    }
}

/// Result of elements `start..end` of a source.
fn fold_range<F: Fold, L: Lane>(source: &Source<L>, start: usize, end: usize) -> L {
    let mut tile = [L::ZERO; TILE];
    let mut one = |at: usize, n: usize| {
        source.read(at, &mut tile[..n]);
        fold_tile::<F, L>(&tile[..n])
    };
    if end - start <= TILE {
        return one(start, end - start);
    }
    let mut sums = Pairwise::new();
    for at in (start..end).step_by(TILE) {
        sums.push::<F>(one(at, TILE.min(end - at)));
    }
    sums.finish::<F>()
}

/// The dimensions of a reduction: kept ones, which `out` has too, and reduced ones.
pub struct Split {
    /// Kept dimensions of the input.
    pub kept_in: Walk,
    /// Kept dimensions of the output.
    pub kept_out: Walk,
    /// Reduced dimensions of the input.
    pub reduced: Walk,
    /// Elements that become one.
    pub n: usize,
    /// Innermost dimension of the input in memory is a kept one.
    pub inner_kept: bool,
}

impl Split {
    /// Splits the dimensions of `a`: those where `out` has 1 are reduced.
    pub fn new(out: &Tensor, a: &Tensor) -> Result<Self, KernelFault> {
        if out.rank != a.rank {
            return Err(ArgsError::BadTensor(1).into());
        }
        let mut s = Self {
            kept_in: Walk::default(),
            kept_out: Walk::default(),
            reduced: Walk::default(),
            n: 1,
            inner_kept: false,
        };
        let order = a.order();
        for &d in &order[..a.rank] {
            let d = usize::from(d);
            if out.dims[d] == a.dims[d] {
                s.kept_in.push(a.dims[d], a.strides[d]);
                s.kept_out.push(out.dims[d], out.strides[d]);
                s.inner_kept |= a.dims[d] > 1 && a.strides[d].abs() == 1;
            } else if out.dims[d] == 1 {
                s.reduced.push(a.dims[d], a.strides[d]);
                s.n = s.n.saturating_mul(a.dims[d]);
            } else {
                return Err(ArgsError::BadTensor(0).into());
            }
        }
        Ok(s)
    }
}

/// Tensors out (same rank, reduced dimensions 1), a; attribute compute type.
pub fn reduce<F: Fold>(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?;
    let split = Split::new(&out, &a)?;
    let compute = if F::TRUTH { a.dtype } else { args.attr_dtype(0)? };
    let kind = match lane_of(compute) {
        LaneKind::I32 | LaneKind::I64 | LaneKind::U64 if F::TO_FLOAT => LaneKind::F64,
        kind => kind,
    };
    with_lane!(kind, L => run::<F, L>(ctx, &out, &a, &split));
    Ok(())
}

fn run<F: Fold, L: Lane>(ctx: &Ctx<'_>, out: &Tensor, a: &Tensor, split: &Split) {
    let store = L::storer(out.dtype);
    let put = |at: isize, v: &[L], stride: isize| {
        // SAFETY: offsets of the walk over the output's dimensions, all of which were resolved.
        unsafe { store(out.at(at), stride, v) }
    };
    if split.inner_kept && split.n > 1 && out.count > 1 {
        return columns::<F, L>(ctx, out, a, split, &put);
    }
    let at = |i: usize| Source::<L>::part(a, split.kept_in.offset(i), &split.reduced);
    if out.count == 1 && split.n >= PARALLEL && ctx.parallel {
        let source = at(0);
        let chunk = split.n.div_ceil(64).next_multiple_of(TILE);
        let mut parts = [F::identity::<L>(); 64];
        let used = split.n.div_ceil(chunk);
        use rayon::prelude::*;
        parts[..used]
            .par_iter_mut()
            .enumerate()
            .for_each(|(i, p)| *p = fold_range::<F, L>(&source, i * chunk, ((i + 1) * chunk).min(split.n)));
        let mut sums = Pairwise::new();
        parts[..used].iter().for_each(|&p| sums.push::<F>(p));
        return put(split.kept_out.offset(0), &[F::leave(sums.finish::<F>(), split.n)], 1);
    }
    for_each(ctx, out.count, a.count, &|i| {
        let sum = fold_range::<F, L>(&at(i), 0, split.n);
        put(split.kept_out.offset(i), &[F::leave(sum, split.n)], 1);
    });
}

/// Where memory runs along a kept dimension: many results at once, a tile of them per step.
fn columns<F: Fold, L: Lane>(
    ctx: &Ctx<'_>,
    out: &Tensor,
    a: &Tensor,
    split: &Split,
    put: &(impl Fn(isize, &[L], isize) + Sync),
) {
    /// Steps that are joined one by one before they are joined pairwise.
    const RUN: usize = 32;
    /// Results at once.
    const WIDTH: usize = 64;
    let tiles = out.count.div_ceil(WIDTH);
    let source = Source::<L>::part(a, 0, &split.kept_in);
    for_each(ctx, tiles, a.count, &|t| {
        let first = t * WIDTH;
        let width = WIDTH.min(out.count - first);
        let mut levels = [[L::ZERO; WIDTH]; 36];
        let mut row = [L::ZERO; WIDTH];
        for (run, start) in (0..split.n).step_by(RUN).enumerate() {
            let mut sums = [F::identity::<L>(); WIDTH];
            for step in start..(start + RUN).min(split.n) {
                source.read_shifted(split.reduced.offset(step), first, &mut row[..width]);
                vectorize(JoinRows { fold: std::marker::PhantomData::<F>, sums: &mut sums, row: &row });
            }
            let mut level = 0;
            while run >> level & 1 == 1 {
                (0..WIDTH).for_each(|i| sums[i] = F::join(levels[level][i], sums[i]));
                level += 1;
            }
            levels[level] = sums;
        }
        let runs = split.n.div_ceil(RUN);
        let mut sums = [F::identity::<L>(); WIDTH];
        for level in (0..36).filter(|l| runs >> l & 1 == 1) {
            (0..WIDTH).for_each(|i| sums[i] = F::join(levels[level][i], sums[i]));
        }
        sums.iter_mut().for_each(|s| *s = F::leave(*s, split.n));
        split.kept_out.segments(first, width, |at, offset, stride, n| put(offset, &sums[at..at + n], stride));
    });
}

struct JoinRows<'a, F, L> {
    fold: std::marker::PhantomData<F>,
    sums: &'a mut [L; 64],
    row: &'a [L; 64],
}

impl<F: Fold, L: Lane> Task for JoinRows<'_, F, L> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        self.sums.iter_mut().zip(self.row).for_each(|(s, &v)| *s = F::join(*s, F::enter(v)));
    }
}

/// Tensors out, a; attribute correction: the variance, its divisor lessened by the correction.
pub fn variance(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?;
    let correction = args.attr_f64(0)?;
    let split = Split::new(&out, &a)?;
    let store = f64::storer(out.dtype);
    for_each(ctx, out.count, a.count, &|i| {
        let source = Source::<f64>::part(&a, split.kept_in.offset(i), &split.reduced);
        let mean = fold_range::<Sum, f64>(&source, 0, split.n) / split.n as f64;
        let mut squares = Pairwise::new();
        let mut tile = [0.0; TILE];
        for at in (0..split.n).step_by(TILE) {
            let n = TILE.min(split.n - at);
            source.read(at, &mut tile[..n]);
            tile[..n].iter_mut().for_each(|v| *v = (*v - mean) * (*v - mean));
            squares.push::<Sum>(fold_tile::<Sum, f64>(&tile[..n]));
        }
        let divisor = (split.n as f64 - correction).max(0.0);
        // SAFETY: an offset of the walk over the output's dimensions.
        unsafe { store(out.at(split.kept_out.offset(i)), 1, &[squares.finish::<Sum>() / divisor]) };
    });
    Ok(())
}

/// Tensors out (i64, same rank, the dimension 1), a; attribute dim: index of the largest value, the first of
/// equals, the first NaN.
pub fn argmax(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    arg_extreme(ctx, args, true)
}

/// As [`argmax`], of the smallest value.
pub fn argmin(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    arg_extreme(ctx, args, false)
}

fn arg_extreme(ctx: &Ctx<'_>, args: &ArgsView<'_>, largest: bool) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?;
    let n = match a.rank {
        0 => 1,
        rank => {
            let dim = dimension(args, 0, rank)?;
            let mut dims = [1; MAX_RANK];
            dims[..rank].copy_from_slice(a.dims());
            dims[dim] = 1;
            if out.dims() != &dims[..rank] {
                return Err(ArgsError::BadTensor(0).into());
            }
            a.dims[dim]
        }
    };
    if out.count > 0 && n == 0 {
        return Err(KernelFault::Unsupported("the largest or smallest of no values"));
    }
    if !matches!(out.dtype, DType::I64 | DType::I32) {
        return Err(KernelFault::Unsupported("an index that is neither int64 nor int32"));
    }
    let split = Split::new(&out, &a)?;
    let store = i64::storer(out.dtype);
    with_lane!(lane_of(a.dtype), L => for_each(ctx, out.count, a.count, &|i| {
        let source = Source::<L>::part(&a, split.kept_in.offset(i), &split.reduced);
        let index = extreme(&source, n, largest);
        // SAFETY: an offset of the walk over the output's dimensions.
        unsafe { store(out.at(split.kept_out.offset(i)), 1, &[index]) };
    }));
    Ok(())
}

fn extreme<L: Lane>(source: &Source<L>, n: usize, largest: bool) -> i64 {
    let mut tile = [L::ZERO; TILE];
    let (mut best, mut index) = (None, 0);
    for at in (0..n).step_by(TILE) {
        let tile = &mut tile[..TILE.min(n - at)];
        source.read(at, tile);
        let v = if largest { fold_tile::<Max, L>(tile) } else { fold_tile::<Min, L>(tile) };
        if best.is_none_or(|b: L| if largest { v > b } else { v < b }) || v.nan() {
            let here = tile.iter().position(|&x| x == v || x.nan()).unwrap_or(0);
            (best, index) = (Some(v), (at + here) as i64);
        }
        if v.nan() {
            break;
        }
    }
    index
}
