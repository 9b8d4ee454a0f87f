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
const STATISTICS: u64 = 8;

thread_local! {
    static BUFFER: Store = const { Store::new() };
}

/// Tensors out `[B, H, G, S, E]`, \[lse `[B, H, G, S, 1]`\], \[largest and sum `[B, H, G, S, any]`\], q `[B, H, G, S, D]`,
/// k `[B, H, T, D]`, v `[B, H, T, E]`, \[shift\] and \[mask\] `[B, H, G, S, T]`; attributes scale, which of the optional
/// tensors there are, and the first and the last distance key − query that is seen.
///
/// out = softmax(scale q kᵀ + shift) v, leaving out keys where the mask is not zero or that are out of sight; a
/// query that sees no key gives zeros. lse is the logarithm of the softmax's sum; largest is each query's largest score
/// and sum that of the others' e^(score − largest), repeated along the last dimension. G queries share a head of keys.
pub fn attention(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let (scale, there) = (args.attr_f64(0)? as f32, args.attr(1)?);
    let sight = (args.attr_i64(2)?, args.attr_i64(3)?);
    let out = Tensor::output(ctx, args, 0)?;
    let mut outputs = 1;
    let mut output = |bit: u64| -> Result<Option<Tensor>, KernelFault> {
        if there & bit == 0 {
            return Ok(None);
        }
        outputs += 1;
        Tensor::output(ctx, args, outputs - 1).map(Some)
    };
    let (lse, largest, total) = (output(LSE)?, output(STATISTICS)?, output(STATISTICS)?);
    let scores = Scores::new(ctx, args, outputs, (scale, there, sight))?;
    let v = Tensor::input(ctx, args, outputs + 2)?;
    let [b, h, g, s, _] = scores.dims();
    let e = v.dims[3];
    fits(0, &out, &[b, h, g, s, e])?;
    if let Some(lse) = &lse {
        fits(1, lse, &[b, h, g, s, 1])?;
    }
    for t in [&largest, &total].into_iter().flatten() {
        fits(outputs - 1, t, &[b, h, g, s, t.dims[4]])?;
    }
    if out.count == 0 && lse.is_none_or(|l| l.count == 0) {
        return Ok(());
    }
    let (t, q_count) = (scores.k.dims[2], scores.q.count);
    let job = Job { out, lse, largest, total, v, scores };
    let (rows, heads) = (g * s, b * h);
    // Blocks of queries as large as leaves every thread some.
    let threads = if ctx.parallel { rayon::current_num_threads() } else { 1 };
    let wanted = (2 * threads).div_ceil(heads).max(1);
    let block = rows.div_ceil(wanted).next_multiple_of(16).clamp(16, ROWS);
    let blocks = rows.div_ceil(block);
    let work = q_count.saturating_mul(t.max(1)) / 8;
    for_each(ctx, heads * blocks, work, &|i| {
        let rows = i % blocks * block..(i % blocks * block + block).min(rows);
        job.block(ctx, (i / blocks / h, i / blocks % h), rows);
    });
    Ok(())
}

fn fits(index: usize, t: &Tensor, dims: &[usize]) -> Result<(), KernelFault> {
    if t.dims() == dims { Ok(()) } else { Err(KernelFault::Args(ArgsError::BadTensor(index))) }
}

/// What the scores of queries against keys are made of.
pub struct Scores {
    /// Queries `[B, H, G, S, D]`.
    pub q: Tensor,
    /// Keys `[B, H, T, D]`.
    pub k: Tensor,
    shift: Option<Tensor>,
    mask: Option<Tensor>,
    /// Factor of the products.
    pub scale: f32,
    sight: (i64, i64),
}

struct Job {
    out: Tensor,
    lse: Option<Tensor>,
    largest: Option<Tensor>,
    total: Option<Tensor>,
    v: Tensor,
    scores: Scores,
}

/// e^(v − max) in place; its sum.
pub struct ExpSum<'a> {
    /// Values.
    pub values: &'a mut [f32],
    /// The largest.
    pub max: f32,
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

/// Hides scores where the mask is not zero.
struct Hide<'a>(&'a mut [f32], &'a [f32]);

impl Task for Hide<'_> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        self.0.iter_mut().zip(self.1).for_each(|(s, &m)| *s = if m != 0.0 { f32::NEG_INFINITY } else { *s });
    }
}

/// Reads `out.len()` elements that lie along the last dimension of `t`, from `offset` on.
pub fn read(t: &Tensor, load: Load<f32>, offset: isize, out: &mut [f32]) {
    // SAFETY: callers pass offsets of rows that have so many elements, of the resolved tensor.
    unsafe { load(t.at(offset), t.strides[t.rank - 1], out) };
}

/// A buffer as an operand of a product.
pub fn operand(rows: &[f32], line: usize) -> Operand {
    Operand { base: rows.as_ptr().cast(), dtype: DType::F32, line: line as isize, step: 1 }
}

/// Offset of a key's or value's line.
pub fn key_line(t: &Tensor, head: (usize, usize), key: usize) -> isize {
    head.0 as isize * t.strides[0] + head.1 as isize * t.strides[1] + key as isize * t.strides[2]
}

impl Scores {
    /// From the arguments, the queries being tensor `first`; `v` lies behind the keys, then come shift and mask.
    pub fn new(
        ctx: &Ctx<'_>,
        args: &ArgsView<'_>,
        first: usize,
        (scale, there, sight): (f32, u64, (i64, i64)),
    ) -> Result<Self, KernelFault> {
        let [q, k, v] = [0, 1, 2].map(|i| Tensor::input(ctx, args, first + i));
        let (q, k, v) = (q?, k?, v?);
        if (q.rank, k.rank, v.rank) != (5, 4, 4) {
            return Err(KernelFault::Unsupported(
                "attention over other than [batch, head, group, place, width]",
            ));
        }
        let [b, h, g, s, d] = std::array::from_fn(|i| q.dims[i]);
        let t = k.dims[2];
        fits(first + 1, &k, &[b, h, t, d])?;
        fits(first + 2, &v, &[b, h, t, v.dims[3]])?;
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
        Ok(Self { q, k, shift, mask, scale, sight })
    }

    /// Dimensions of the queries.
    pub fn dims(&self) -> [usize; 5] {
        std::array::from_fn(|i| self.q.dims[i])
    }

    /// Offset of query `row` = (group, place) of a batch and head.
    pub fn row(&self, t: &Tensor, (b, h): (usize, usize), row: usize) -> isize {
        let s = self.q.dims[3];
        let mut walk = Walk::default();
        (0..4).for_each(|d| walk.push(self.q.dims[d], t.strides[d]));
        walk.offset(((b * self.q.dims[1] + h) * self.q.dims[2] + row / s) * s + row % s)
    }

    /// Keys that some of the queries may see.
    pub fn seen(&self, rows: &std::ops::Range<usize>) -> (usize, usize) {
        let (s, t) = (self.q.dims[3] as i64, self.k.dims[2] as i64);
        // A block that reaches into another group holds every place.
        let one_group = rows.start / s as usize == (rows.end - 1) / s as usize;
        let (low, high) =
            if one_group { (rows.start as i64 % s, (rows.end as i64 - 1) % s) } else { (0, s - 1) };
        let start = low.saturating_add(self.sight.0).clamp(0, t);
        let end = high.saturating_add(self.sight.1).saturating_add(1).clamp(start, t);
        (start as usize, end as usize)
    }

    /// Reads some queries, scaled.
    pub fn queries(&self, head: (usize, usize), rows: std::ops::Range<usize>, to: &mut [f32]) {
        let load = f32::loader(self.q.dtype);
        for (row, query) in rows.zip(to.chunks_exact_mut(self.q.dims[4].max(1))) {
            read(&self.q, load, self.row(&self.q, head, row), query);
            query.iter_mut().for_each(|x| *x *= self.scale);
        }
    }

    /// Scores of queries against some keys, nothing hidden, in rows `line` apart.
    pub fn product(
        &self,
        ctx: &Ctx<'_>,
        head: (usize, usize),
        queries: &[f32],
        keys: std::ops::Range<usize>,
        scores: &mut [f32],
        line: usize,
    ) {
        let d = self.q.dims[4];
        if d == 0 {
            return scores.fill(0.0);
        }
        let (k, n) = (&self.k, queries.len() / d);
        // SAFETY: elements of the resolved keys; the scores have n rows.
        unsafe {
            let k = Operand {
                base: k.at(key_line(k, head, keys.start)),
                dtype: k.dtype,
                line: k.strides[2],
                step: k.strides[3],
            };
            debug_assert!(scores.len() >= n.saturating_sub(1) * line + keys.len());
            matmul::multiply(
                ctx,
                (n, keys.len(), d),
                operand(queries, d),
                k,
                scores.as_mut_ptr(),
                line,
                false,
            );
        }
    }

    /// Adds the shift to a row of scores and takes away what the query does not see.
    pub fn hide(&self, head: (usize, usize), row: usize, key: usize, scores: &mut [f32], extra: &mut [f32]) {
        let extra = &mut extra[..scores.len()];
        if let Some(t) = &self.shift {
            let at = self.row(t, head, row) + key as isize * t.strides[4];
            read(t, f32::loader(t.dtype), at, extra);
            vectorize(AddRow(scores, extra));
        }
        if let Some(t) = &self.mask {
            let at = self.row(t, head, row) + key as isize * t.strides[4];
            read(t, f32::loader(t.dtype), at, extra);
            vectorize(Hide(scores, extra));
        }
        let (place, n) = ((row % self.q.dims[3]) as i64, scores.len() as i64);
        let first = place.saturating_add(self.sight.0).saturating_sub(key as i64).clamp(0, n);
        let end = place.saturating_add(self.sight.1).saturating_add(1).saturating_sub(key as i64).clamp(0, n);
        scores[..first as usize].fill(f32::NEG_INFINITY);
        scores[end as usize..].fill(f32::NEG_INFINITY);
    }
}

impl Job {
    fn block(&self, ctx: &Ctx<'_>, head: (usize, usize), rows: std::ops::Range<usize>) {
        let alone = Ctx { memory: ctx.memory, parallel: false };
        let (n, d, e) = (rows.len(), self.scores.q.dims[4], self.v.dims[3]);
        let mut buffer = Scratch::<f32>::take(&BUFFER, n * (d + e + KEYS + 2) + KEYS);
        let (queries, rest) = buffer.slice().split_at_mut(n * d);
        let (sums, rest) = rest.split_at_mut(n * e);
        let (scores, rest) = rest.split_at_mut(n * KEYS);
        let (largest, rest) = rest.split_at_mut(n);
        let (total, extra) = rest.split_at_mut(n);
        self.scores.queries(head, rows.clone(), queries);
        sums.fill(0.0);
        largest.fill(f32::NEG_INFINITY);
        total.fill(0.0);
        let (start, end) = self.scores.seen(&rows);
        for key in (start..end).step_by(KEYS) {
            let keys = KEYS.min(end - key);
            self.scores.product(&alone, head, queries, key..key + keys, scores, KEYS);
            for (i, row) in rows.clone().enumerate() {
                let scores = &mut scores[i * KEYS..][..keys];
                self.scores.hide(head, row, key, scores, extra);
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
                // SAFETY: offsets of elements of resolved tensors; the buffers hold n rows.
                unsafe {
                    let v = Operand {
                        base: self.v.at(key_line(&self.v, head, key)),
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
            unsafe { store(self.out.at(self.scores.row(&self.out, head, row)), self.out.strides[4], values) };
            let logarithm = largest[i] + Arith::log(total[i]);
            let statistics = [(&self.lse, logarithm), (&self.largest, largest[i]), (&self.total, total[i])];
            for (t, value) in statistics.into_iter().filter_map(|(t, v)| t.as_ref().map(|t| (t, v))) {
                for column in 0..t.dims[4] as isize {
                    // SAFETY: elements of the resolved output.
                    unsafe {
                        let at = t.at(self.scores.row(t, head, row) + column * t.strides[4]);
                        f32::storer(t.dtype)(at, 1, &[value]);
                    }
                }
            }
        }
    }
}
