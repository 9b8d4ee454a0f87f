//! Matrix products, on the cube cores.

mod blocked;
mod micro;
mod pack;

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(test)]
mod tests;

use std::ptr::NonNull;

use vinci_hw::args::{ArgsError, ArgsView, DType};

use crate::arith::Arith;
use crate::lane::{Lane, LaneKind, common_lane, join, lane_of};
use crate::movement::copy_view;
use crate::scratch::{Scratch, Store};
use crate::simd::{Level, level};
use crate::tile::{for_each, map};
use crate::view::{Tensor, Walk};
use crate::{Ctx, KernelFault};

use blocked::Gemm;
use micro::{Half, Portable, Scheme};
pub use pack::Operand;

thread_local! {
    static SUMS: Store = const { Store::new() };
}

/// Tensors out `[.., m, n]`, a `[.., m, k]`, b `[.., k, n]` and perhaps c (as out); attributes alpha, beta,
/// has_c: out = beta c + alpha a b. Any strides; sums in f32 for f16 and bf16.
pub fn matmul(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?;
    let b = Tensor::input(ctx, args, 2)?;
    let (alpha, beta) = (args.attr_f64(0)?, args.attr_f64(1)?);
    let c = match args.attr(2)? {
        0 => None,
        _ => Some(Tensor::input(ctx, args, 3)?.same_dims(&out, 3)?),
    };
    product(ctx, out, a, b, c, alpha, beta)
}

/// Tensors out `[m, n]`, x `[m, k]`, w `[k, n]`, groups (ends or counts, one for each group) and perhaps bias `[m, n]`;
/// attributes which group, what is split (0 rows of x and out, 2 steps of x and w), whether groups counts (1) or
/// ends (0), has_bias. Only the rows, or the steps, of the group take part.
pub fn grouped_matmul(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let mut out = Tensor::output(ctx, args, 0)?;
    let mut x = Tensor::input(ctx, args, 1)?;
    let mut w = Tensor::input(ctx, args, 2)?;
    let groups = Tensor::input(ctx, args, 3)?;
    let (group, split, counts) = (args.attr(0)? as usize, args.attr(1)?, args.attr(2)? != 0);
    let mut bias = match args.attr(3)? {
        0 => None,
        _ => Some(Tensor::input(ctx, args, 4)?.same_dims(&out, 4)?),
    };
    if [out.rank, x.rank, w.rank] != [2; 3] || groups.rank != 1 || group >= groups.count {
        return Err(KernelFault::Unsupported("a grouped product of other than matrices and a vector"));
    }
    let all = if split == 0 { x.dims[0] } else { x.dims[1] };
    let number = |i: usize| {
        let mut v = [0i64];
        // SAFETY: an index below the length of the resolved vector.
        unsafe { i64::loader(groups.dtype)(groups.at(i as isize * groups.strides[0]), 1, &mut v) };
        v[0]
    };
    let (start, end) = match (counts, group) {
        (true, _) => {
            let start = (0..group).fold(0i64, |sum, i| sum.saturating_add(number(i)));
            (start, start.saturating_add(number(group)))
        }
        (false, 0) => (0, number(0)),
        (false, _) => (number(group - 1), number(group)),
    };
    if start < 0 || end < start || end > all as i64 {
        return Err(KernelFault::Exception { what: "a group ends out of range", value: end });
    }
    let narrow = |t: &mut Tensor, d: usize| {
        *t = t.shifted(start as isize * t.strides[d]);
        t.dims[d] = (end - start) as usize;
        t.count = t.dims[0] * t.dims[1];
    };
    narrow(&mut x, if split == 0 { 0 } else { 1 });
    if split == 0 {
        narrow(&mut out, 0);
        if let Some(bias) = &mut bias {
            narrow(bias, 0);
        }
    } else {
        if w.dims[0] != all {
            return Err(ArgsError::BadTensor(2).into());
        }
        narrow(&mut w, 0);
    }
    product(ctx, out, x, w, bias, 1.0, 1.0)
}

/// out = beta c + alpha a b.
fn product(
    ctx: &Ctx<'_>,
    out: Tensor,
    a: Tensor,
    b: Tensor,
    c: Option<Tensor>,
    alpha: f64,
    beta: f64,
) -> Result<(), KernelFault> {
    let r = out.rank;
    if r < 2 || a.rank != r || b.rank != r {
        return Err(KernelFault::Unsupported("a matrix of less than two dimensions"));
    }
    let batch = r - 2;
    let (m, n, k) = (out.dims[batch], out.dims[batch + 1], a.dims[batch + 1]);
    if a.dims[batch] != m || a.dims[..batch] != out.dims[..batch] {
        return Err(ArgsError::BadTensor(1).into());
    }
    if b.dims[batch] != k || b.dims[batch + 1] != n || b.dims[..batch] != out.dims[..batch] {
        return Err(ArgsError::BadTensor(2).into());
    }
    if out.count == 0 {
        return Ok(());
    }
    let product = Product { out, a, b, m, n, k, batch };
    let kind = join(common_lane(a.dtype, b.dtype), lane_of(out.dtype));
    let c = c.filter(|_| beta != 0.0);
    match kind {
        #[cfg(target_arch = "x86_64")]
        LaneKind::F32 if level() == Level::V4Bf16 && a.dtype == DType::BF16 && b.dtype == DType::BF16 => {
            product.run(ctx, avx512::Bf16, DType::F32, alpha, beta, c)
        }
        #[cfg(target_arch = "x86_64")]
        LaneKind::F32 if level() >= Level::V4 => product.run(ctx, avx512::F32, DType::F32, alpha, beta, c),
        LaneKind::F32 => product.run(ctx, Portable::<f32>::new(), DType::F32, alpha, beta, c),
        LaneKind::F64 => product.run(ctx, Portable::<f64>::new(), DType::F64, alpha, beta, c),
        LaneKind::I32 => product.run(ctx, Portable::<i32>::new(), DType::I32, alpha, beta, c),
        LaneKind::I64 => product.run(ctx, Portable::<i64>::new(), DType::I64, alpha, beta, c),
        LaneKind::U64 => product.run(ctx, Portable::<u64>::new(), DType::U64, alpha, beta, c),
    }
    Ok(())
}

/// A checked product: `batch` leading dimensions, then a matrix.
struct Product {
    out: Tensor,
    a: Tensor,
    b: Tensor,
    m: usize,
    n: usize,
    k: usize,
    batch: usize,
}

impl Product {
    /// Computes in `sum`, the element type of `S::Sum`: straight into an output of that type or of 16-bit floats,
    /// else into a buffer that is then cast.
    fn run<S: Scheme>(
        mut self,
        ctx: &Ctx<'_>,
        scheme: S,
        sum: DType,
        alpha: f64,
        beta: f64,
        c: Option<Tensor>,
    ) {
        let (row, column) = (self.out.strides[self.batch], self.out.strides[self.batch + 1]);
        let by_columns = row == 1 && column != 1 && self.n > 1;
        if self.out.dtype == sum && (column == 1 || self.n == 1 || by_columns) {
            if let Some(c) = &c {
                scale::<S::Sum>(ctx, &self.out, c, beta);
            }
            if by_columns {
                self.transpose();
            }
            return self.compute(ctx, scheme, alpha, c.is_some(), None);
        }
        let out = self.out;
        let half = S::HALVES && matches!(out.dtype, DType::F16 | DType::BF16) && (column == 1 || self.n == 1);
        // Straight into the output where one block makes all of the sums; no steps make zeros, which are cast.
        let straight = half && c.is_none() && self.k > 0 && Gemm::<S>::in_one(self.k);
        let sums = if straight { 0 } else { out.count };
        let mut buffer = Scratch::<S::Sum>::take(&SUMS, sums);
        self.out = dense(&out, sum, NonNull::from(buffer.slice()).cast());
        if let Some(c) = &c {
            scale::<S::Sum>(ctx, &self.out, c, beta);
        }
        if half && self.k > 0 {
            return self.compute(ctx, scheme, alpha, c.is_some(), Some(out));
        }
        let sums = self.out;
        self.compute(ctx, scheme, alpha, c.is_some(), None);
        copy_view(ctx, &out, &sums);
    }

    /// The same product, read as bᵀ aᵀ = outᵀ.
    fn transpose(&mut self) {
        for t in [&mut self.out, &mut self.a, &mut self.b] {
            t.dims.swap(self.batch, self.batch + 1);
            t.strides.swap(self.batch, self.batch + 1);
        }
        std::mem::swap(&mut self.a, &mut self.b);
        std::mem::swap(&mut self.m, &mut self.n);
    }

    fn compute<S: Scheme>(&self, ctx: &Ctx<'_>, _: S, alpha: f64, accumulate: bool, half: Option<Tensor>) {
        if self.k == 0 {
            if !accumulate {
                map::<S::Sum, 0>(ctx, &self.out, [], &|_, [], out| out.fill(S::Sum::ZERO));
            }
            return;
        }
        let (walk_out, walk_a, walk_b) = (self.walk(&self.out), self.walk(&self.a), self.walk(&self.b));
        let half = half.map(|t| (t, self.walk(&t)));
        let (rows, columns) = (self.batch, self.batch + 1);
        let batches = self.out.count / (self.m * self.n);
        let one = |ctx: &Ctx<'_>, i: usize| {
            // SAFETY: the walks stay below the batch dimensions of resolved tensors, so each matrix is
            // resolved too; `matmul` chose the scheme by what the CPU has.
            unsafe {
                let operand = |t: &Tensor, walk: &Walk, line: usize, step: usize| Operand {
                    base: t.at(walk.offset(i)),
                    dtype: t.dtype,
                    line: t.strides[line],
                    step: t.strides[step],
                };
                let gemm = Gemm::<S> {
                    m: self.m,
                    n: self.n,
                    k: self.k,
                    a: operand(&self.a, &walk_a, rows, columns),
                    b: operand(&self.b, &walk_b, columns, rows),
                    c: self
                        .out
                        .base
                        .as_ptr()
                        .wrapping_offset(walk_out.offset(i) * size_of::<S::Sum>() as isize)
                        .cast(),
                    row: self.out.strides[rows],
                    alpha: S::Sum::from_f64(alpha),
                    accumulate,
                    half: half.as_ref().map(|(t, walk)| Half {
                        base: t.at(walk.offset(i)).cast(),
                        row: t.strides[rows],
                        brain: t.dtype == DType::BF16,
                    }),
                };
                gemm.run(ctx);
            }
        };
        if batches == 1 {
            return one(ctx, 0);
        }
        // Many matrices: each on one thread. Few large ones: all threads on each.
        let threads = if ctx.parallel { rayon::current_num_threads() } else { 1 };
        if batches >= 2 * threads {
            let alone = Ctx { memory: ctx.memory, parallel: false };
            for_each(ctx, batches, self.out.count.saturating_mul(self.k) / 16, &|i| one(&alone, i));
        } else {
            (0..batches).for_each(|i| one(ctx, i));
        }
    }

    fn walk(&self, t: &Tensor) -> Walk {
        let mut walk = Walk::default();
        (0..self.batch).for_each(|d| walk.push(t.dims[d], t.strides[d]));
        walk
    }
}

/// c = a b, or c += a b, of one pair of matrices in f32; `shape` is rows, columns and steps, and the rows of c lie
/// `row` elements apart.
///
/// # Safety
/// All elements of the operands and of `c` must be resolved.
pub unsafe fn multiply(
    ctx: &Ctx<'_>,
    (m, n, k): (usize, usize, usize),
    a: Operand,
    b: Operand,
    c: *mut f32,
    row: usize,
    accumulate: bool,
) {
    macro_rules! run {
        ($scheme:ty) => {{
            let row = row as isize;
            let gemm = Gemm::<$scheme> { m, n, k, a, b, c, row, alpha: 1.0, accumulate, half: None };
            // SAFETY: the caller's promise; the scheme was chosen by what the CPU has.
            unsafe { gemm.run(ctx) }
        }};
    }
    #[cfg(target_arch = "x86_64")]
    if level() >= Level::V4 {
        return run!(avx512::F32);
    }
    run!(Portable<f32>);
}

/// A contiguous tensor of the dimensions of `like`.
fn dense(like: &Tensor, dtype: DType, base: NonNull<u8>) -> Tensor {
    let mut t = Tensor { base, dtype, ..*like };
    let mut stride = 1;
    for d in (0..t.rank).rev() {
        t.strides[d] = stride;
        stride *= t.dims[d] as isize;
    }
    t
}

/// out = beta c
fn scale<L: Lane>(ctx: &Ctx<'_>, out: &Tensor, c: &Tensor, beta: f64) {
    if beta == 1.0 {
        return copy_view(ctx, out, c);
    }
    let beta = L::from_f64(beta);
    map::<L, 1>(ctx, out, [c], &|_, [c], out| out.iter_mut().zip(c).for_each(|(o, &c)| *o = c.mul(beta)));
}
