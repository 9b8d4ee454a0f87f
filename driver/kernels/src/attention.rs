//! Attention in one pass: blocks of queries against blocks of keys, the softmax kept as maximum and sum.

use vinci_hw::args::{ArgsError, ArgsView, DType};

use crate::arith::Arith;
use crate::lane::{Lane, Load};
use crate::matmul::{self, Operand};
use crate::reduce::{Max, fold_tile};
use crate::scratch::{Scratch, Store};
use crate::simd::{Task, vectorize};
use crate::tile::for_each;
use crate::view::{Tensor, Walk};
use crate::{Ctx, KernelFault};

/// Queries of a block.
const ROWS: usize = 128;
/// Keys of a block.
const KEYS: usize = 512;

/// Bits of the attribute that says which optional tensors there are.
const LSE: u64 = 1;
const SHIFT: u64 = 2;
const MASK: u64 = 4;

thread_local! {
    static BUFFER: Store = const { Store::new() };
}

/// Tensors out `[B, H, G, S, E]`, \[lse `[B, H, G, S, 1]`\], q `[B, H, G, S, D]`, k `[B, H, T, D]`, v `[B, H, T, E]`, \[shift\]
/// and \[mask\] `[B, H, G, S, T]`; attributes scale, which of the optional tensors there are, and the first and the
/// last distance key − query that is seen.
///
/// out = softmax(scale q kᵀ + shift) v, leaving out keys where the mask is not zero or that are out of sight; a
/// query that sees no key gives zeros. lse is the logarithm of the softmax's sum. G queries share a head of keys.
pub fn attention(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let (scale, there) = (args.attr_f64(0)? as f32, args.attr(1)?);
    let sight = (args.attr_i64(2)?, args.attr_i64(3)?);
    let first = 1 + usize::from(there & LSE != 0);
    let out = Tensor::output(ctx, args, 0)?;
    let lse = if there & LSE != 0 { Some(Tensor::output(ctx, args, 1)?) } else { None };
    let [q, k, v] = [0, 1, 2].map(|i| Tensor::input(ctx, args, first + i));
    let (q, k, v) = (q?, k?, v?);
    if (out.rank, q.rank, k.rank, v.rank) != (5, 5, 4, 4) {
        return Err(KernelFault::Unsupported("attention over other than [batch, head, group, place, width]"));
    }
    let [b, h, g, s, d] = std::array::from_fn(|i| q.dims[i]);
    let (t, e) = (k.dims[2], v.dims[3]);
    let fits = |index: usize, t: &Tensor, dims: &[usize]| {
        if t.dims() == dims { Ok(()) } else { Err(KernelFault::Args(ArgsError::BadTensor(index))) }
    };
    fits(0, &out, &[b, h, g, s, e])?;
    fits(first + 1, &k, &[b, h, t, d])?;
    fits(first + 2, &v, &[b, h, t, e])?;
    if let Some(lse) = &lse {
        fits(1, lse, &[b, h, g, s, 1])?;
    }
    let mut next = first + 3;
    let mut extra = |bit: u64| {
        if there & bit == 0 {
            return Ok(None);
        }
        let tensor = Tensor::input(ctx, args, next)?;
        fits(next, &tensor, &[b, h, g, s, t])?;
        next += 1;
        Ok::<_, KernelFault>(Some(tensor))
    };
    let (shift, mask) = (extra(SHIFT)?, extra(MASK)?);
    if mask.is_some_and(|m| !matches!(m.dtype, DType::Bool | DType::U8 | DType::I8)) {
        return Err(KernelFault::Unsupported("a mask that is neither bool nor of 8 bits"));
    }
    if out.count == 0 && lse.is_none_or(|l| l.count == 0) {
        return Ok(());
    }
    let job = Job { out, lse, q, k, v, shift, mask, scale, sight };
    let (rows, heads) = (g * s, b * h);
    // Blocks of queries as large as leaves every thread some.
    let threads = if ctx.parallel { rayon::current_num_threads() } else { 1 };
    let wanted = (2 * threads).div_ceil(heads).max(1);
    let block = rows.div_ceil(wanted).next_multiple_of(16).clamp(16, ROWS);
    let blocks = rows.div_ceil(block);
    let work = q.count.saturating_mul(t.max(1)) / 8;
    for_each(ctx, heads * blocks, work, &|i| {
        let rows = i % blocks * block..(i % blocks * block + block).min(rows);
        job.block(ctx, (i / blocks / h, i / blocks % h), rows);
    });
    Ok(())
}

struct Job {
    out: Tensor,
    lse: Option<Tensor>,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    shift: Option<Tensor>,
    mask: Option<Tensor>,
    scale: f32,
    sight: (i64, i64),
}

/// e^(v − max) in place; its sum.
struct ExpSum<'a> {
    values: &'a mut [f32],
    max: f32,
}

impl Task for ExpSum<'_> {
    type Output = f32;
    #[inline(always)]
    fn call(self) -> f32 {
        let mut parts = [0f32; 16];
        let max = self.max;
        let (chunks, rest) = self.values.as_chunks_mut::<16>();
        for chunk in chunks {
            for (p, v) in parts.iter_mut().zip(chunk) {
                *v = (*v - max).exp_lane();
                *p += *v;
            }
        }
        for v in rest {
            *v = (*v - max).exp_lane();
            parts[0] += *v;
        }
        parts.iter().sum()
    }
}

/// The lane's exponential under a name that `f32`'s own does not hide.
trait ExpLane {
    fn exp_lane(self) -> f32;
}

impl ExpLane for f32 {
    #[inline(always)]
    fn exp_lane(self) -> f32 {
        Arith::exp(self)
    }
}

/// Adds one row to another.
struct AddRow<'a>(&'a mut [f32], &'a [f32]);

impl Task for AddRow<'_> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        self.0.iter_mut().zip(self.1).for_each(|(a, &b)| *a += b);
    }
}

/// Reads `out.len()` elements that lie along the last dimension of `t`, from `offset` on.
fn read(t: &Tensor, load: Load<f32>, offset: isize, out: &mut [f32]) {
    // SAFETY: callers pass offsets of rows that have so many elements, of the resolved tensor.
    unsafe { load(t.at(offset), t.strides[t.rank - 1], out) };
}

/// A buffer as an operand of a product.
fn operand(rows: &[f32], line: usize) -> Operand {
    Operand { base: rows.as_ptr().cast(), dtype: DType::F32, line: line as isize, step: 1 }
}

impl Job {
    /// Offset of query `row` = (group, place) of a batch and head.
    fn row(&self, t: &Tensor, (b, h): (usize, usize), row: usize) -> isize {
        let s = self.q.dims[3];
        let mut walk = Walk::default();
        (0..4).for_each(|d| walk.push(self.q.dims[d], t.strides[d]));
        walk.offset(((b * self.q.dims[1] + h) * self.q.dims[2] + row / s) * s + row % s)
    }

    /// Keys that some of the queries may see.
    fn seen(&self, rows: &std::ops::Range<usize>) -> (usize, usize) {
        let (s, t) = (self.q.dims[3] as i64, self.k.dims[2] as i64);
        // A block that reaches into another group holds every place.
        let one_group = rows.start / s as usize == (rows.end - 1) / s as usize;
        let (low, high) =
            if one_group { (rows.start as i64 % s, (rows.end as i64 - 1) % s) } else { (0, s - 1) };
        let start = low.saturating_add(self.sight.0).clamp(0, t);
        let end = high.saturating_add(self.sight.1).saturating_add(1).clamp(start, t);
        (start as usize, end as usize)
    }

    fn block(&self, ctx: &Ctx<'_>, head: (usize, usize), rows: std::ops::Range<usize>) {
        let alone = Ctx { memory: ctx.memory, parallel: false };
        let (n, d, e) = (rows.len(), self.q.dims[4], self.v.dims[3]);
        let mut buffer = Scratch::<f32>::take(&BUFFER, n * (d + e + KEYS + 2) + KEYS);
        let (queries, rest) = buffer.slice().split_at_mut(n * d);
        let (sums, rest) = rest.split_at_mut(n * e);
        let (scores, rest) = rest.split_at_mut(n * KEYS);
        let (largest, rest) = rest.split_at_mut(n);
        let (total, extra) = rest.split_at_mut(n);
        let load = f32::loader(self.q.dtype);
        for (row, query) in rows.clone().zip(queries.chunks_exact_mut(d.max(1))) {
            read(&self.q, load, self.row(&self.q, head, row), query);
            query.iter_mut().for_each(|x| *x *= self.scale);
        }
        sums.fill(0.0);
        largest.fill(f32::NEG_INFINITY);
        total.fill(0.0);
        let (start, end) = self.seen(&rows);
        for key in (start..end).step_by(KEYS) {
            let keys = KEYS.min(end - key);
            let line = |t: &Tensor| {
                head.0 as isize * t.strides[0] + head.1 as isize * t.strides[1] + key as isize * t.strides[2]
            };
            // SAFETY: offsets of elements of resolved tensors; the buffers hold n rows.
            unsafe {
                let k = Operand {
                    base: self.k.at(line(&self.k)),
                    dtype: self.k.dtype,
                    line: self.k.strides[2],
                    step: self.k.strides[3],
                };
                if d == 0 {
                    scores.fill(0.0);
                } else {
                    let c = scores.as_mut_ptr();
                    matmul::multiply(&alone, (n, keys, d), operand(queries, d), k, c, KEYS, false);
                }
            }
            for (i, row) in rows.clone().enumerate() {
                let scores = &mut scores[i * KEYS..][..keys];
                self.hide(head, row, key, scores, extra);
                let max = largest[i].larger(fold_tile::<Max, f32>(scores));
                if max == f32::NEG_INFINITY {
                    scores.fill(0.0);
                    continue;
                }
                let fade = Arith::exp(largest[i] - max);
                total[i] = total[i] * fade + vectorize(ExpSum { values: scores, max });
                largest[i] = max;
                if fade != 1.0 {
                    sums[i * e..][..e].iter_mut().for_each(|x| *x *= fade);
                }
            }
            if e > 0 {
                // SAFETY: as above.
                unsafe {
                    let v = Operand {
                        base: self.v.at(line(&self.v)),
                        dtype: self.v.dtype,
                        line: self.v.strides[3],
                        step: self.v.strides[2],
                    };
                    let c = sums.as_mut_ptr();
                    matmul::multiply(&alone, (n, e, keys), operand(scores, KEYS), v, c, e, true);
                }
            }
        }
        self.finish(head, rows, sums, largest, total);
    }

    /// Adds the shift to a row of scores and takes away what the query does not see.
    fn hide(&self, head: (usize, usize), row: usize, key: usize, scores: &mut [f32], extra: &mut [f32]) {
        let extra = &mut extra[..scores.len()];
        if let Some(t) = &self.shift {
            let at = self.row(t, head, row) + key as isize * t.strides[4];
            read(t, f32::loader(t.dtype), at, extra);
            vectorize(AddRow(scores, extra));
        }
        if let Some(t) = &self.mask {
            let at = self.row(t, head, row) + key as isize * t.strides[4];
            read(t, f32::loader(t.dtype), at, extra);
            let hidden = scores.iter_mut().zip(extra.iter()).filter(|(_, m)| **m != 0.0);
            hidden.for_each(|(s, _)| *s = f32::NEG_INFINITY);
        }
        let (place, n) = ((row % self.q.dims[3]) as i64, scores.len() as i64);
        let first = place.saturating_add(self.sight.0).saturating_sub(key as i64).clamp(0, n);
        let end = place.saturating_add(self.sight.1).saturating_add(1).saturating_sub(key as i64).clamp(0, n);
        scores[..first as usize].fill(f32::NEG_INFINITY);
        scores[end as usize..].fill(f32::NEG_INFINITY);
    }

    fn finish(
        &self,
        head: (usize, usize),
        rows: std::ops::Range<usize>,
        sums: &mut [f32],
        largest: &[f32],
        total: &[f32],
    ) {
        let e = self.v.dims[3];
        let store = f32::storer(self.out.dtype);
        for (i, row) in rows.enumerate() {
            let values = &mut sums[i * e..][..e];
            // A query that saw nothing has a sum of 0.
            let scale = if total[i] == 0.0 { 0.0 } else { 1.0 / total[i] };
            values.iter_mut().for_each(|x| *x *= scale);
            // SAFETY: a row of the resolved output.
            unsafe { store(self.out.at(self.row(&self.out, head, row)), self.out.strides[4], values) };
            if let Some(t) = &self.lse {
                let lse = [largest[i] + Arith::log(total[i])];
                // SAFETY: an element of the resolved output.
                unsafe { f32::storer(t.dtype)(t.at(self.row(t, head, row)), 1, &lse) };
            }
        }
    }
}
