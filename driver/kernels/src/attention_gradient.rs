//! The gradients of attention: the probabilities are made again, a block of queries at a time.

use vinci_hw::args::{ArgsError, ArgsView};

use crate::attention::{ExpSum, Scores, key_line, operand, read};
use crate::lane::{Lane, TILE};
use crate::matmul::{self, Operand};
use crate::reduce::{Max, Sum, fold_tile};
use crate::scratch::{Scratch, Store};
use crate::simd::{Task, vectorize};
use crate::tile::for_each;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// Scores of a block: with their gradients they stay in the second cache.
const BLOCK: usize = 1 << 17;
/// Most queries of a block.
const ROWS: usize = 128;

thread_local! {
    static BUFFER: Store = const { Store::new() };
}

/// Tensors dq, dk and dv, then q, k, v, \[shift\] and \[mask\] as [`crate::attention::attention`] takes them, and last the
/// result's gradient `[B, H, G, S, E]`; attributes as there.
pub fn attention_backward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let (scale, there) = (args.attr_f64(0)? as f32, args.attr(1)?);
    let sight = (args.attr_i64(2)?, args.attr_i64(3)?);
    let [dq, dk, dv] = [0, 1, 2].map(|i| Tensor::output(ctx, args, i));
    let scores = Scores::new(ctx, args, 3, (scale, there, sight))?;
    let v = Tensor::input(ctx, args, 5)?;
    let [b, h, g, s, _] = scores.dims();
    let last = args.tensor_count() - 1;
    let grad = Tensor::input(ctx, args, last)?;
    if grad.dims() != [b, h, g, s, v.dims[3]] {
        return Err(ArgsError::BadTensor(last).into());
    }
    let (dq, dk, dv) = (dq?.same_dims(&scores.q, 0)?, dk?.same_dims(&scores.k, 1)?, dv?.same_dims(&v, 2)?);
    let heads = b * h;
    if heads == 0 {
        return Ok(());
    }
    let work = scores.q.count.saturating_mul(v.dims[2].max(1)) / 4;
    let job = Job { dq, dk, dv, v, grad, scores };
    // Few heads: all threads on each.
    let threads = if ctx.parallel { rayon::current_num_threads() } else { 1 };
    if heads < threads {
        (0..heads).for_each(|i| job.head(ctx, (i / h, i % h)));
    } else {
        let alone = Ctx { memory: ctx.memory, parallel: false };
        for_each(ctx, heads, work, &|i| job.head(&alone, (i / h, i % h)));
    }
    Ok(())
}

struct Job {
    dq: Tensor,
    dk: Tensor,
    dv: Tensor,
    v: Tensor,
    grad: Tensor,
    scores: Scores,
}

/// values = values · factor
struct Times<'a>(&'a mut [f32], f32);

impl Task for Times<'_> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        self.0.iter_mut().for_each(|v| *v *= self.1);
    }
}

/// out = a · b
struct Product<'a>(&'a mut [f32], &'a [f32], &'a [f32]);

impl Task for Product<'_> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        self.0.iter_mut().zip(self.1).zip(self.2).for_each(|((o, &a), &b)| *o = a * b);
    }
}

/// slopes = p · (slopes − mean)
struct Slope<'a>(&'a mut [f32], &'a [f32], f32);

impl Task for Slope<'_> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        self.0.iter_mut().zip(self.1).for_each(|(s, &p)| *s = p * (*s - self.2));
    }
}

/// A row of scores becomes one of probabilities.
fn softmax(row: &mut [f32]) {
    let max = fold_tile::<Max, f32>(row);
    if max == f32::NEG_INFINITY {
        return row.fill(0.0);
    }
    let sum = vectorize(ExpSum { values: row, max });
    vectorize(Times(row, 1.0 / sum));
}

/// The gradient of a row of scores, from that of its probabilities, in place.
fn slope(slopes: &mut [f32], p: &[f32]) {
    let mut mean = 0.0;
    let mut tile = [0.0; TILE];
    for (s, p) in slopes.chunks(TILE).zip(p.chunks(TILE)) {
        let tile = &mut tile[..s.len()];
        vectorize(Product(tile, s, p));
        mean += f64::from(fold_tile::<Sum, f32>(tile));
    }
    vectorize(Slope(slopes, p, mean as f32));
}

/// Rows in sequence as an operand read down its columns.
fn columns(rows: &[f32], line: usize) -> Operand {
    let o = operand(rows, line);
    Operand { line: o.step, step: o.line, ..o }
}

/// Keys or values as an operand whose lines are their places, or their elements.
///
/// # Safety
/// The place must exist.
unsafe fn places(t: &Tensor, head: (usize, usize), first: usize, by_element: bool) -> Operand {
    let (line, step) = if by_element { (3, 2) } else { (2, 3) };
    // SAFETY: a place of the resolved tensor.
    let base = unsafe { t.at(key_line(t, head, first)) };
    Operand { base, dtype: t.dtype, line: t.strides[line], step: t.strides[step] }
}

impl Job {
    /// One head of keys, and all queries that share it.
    fn head(&self, ctx: &Ctx<'_>, head: (usize, usize)) {
        let [_, _, g, s, d] = self.scores.dims();
        let (t, e, rows) = (self.v.dims[2], self.v.dims[3], g * s);
        let block = (BLOCK / t.max(1)).next_multiple_of(16).clamp(16, ROWS).min(rows.max(1));
        let mut buffer = Scratch::<f32>::take(&BUFFER, t * (d + e + 1) + block * (2 * d + e + 2 * t));
        let (dk, rest) = buffer.slice().split_at_mut(t * d);
        let (dv, rest) = rest.split_at_mut(t * e);
        let (extra, rest) = rest.split_at_mut(t);
        let (queries, rest) = rest.split_at_mut(block * d);
        let (dq, rest) = rest.split_at_mut(block * d);
        let (grad, rest) = rest.split_at_mut(block * e);
        let (p, slopes) = rest.split_at_mut(block * t);
        dk.fill(0.0);
        dv.fill(0.0);
        for first in (0..rows).step_by(block) {
            let rows = first..(first + block).min(rows);
            let n = rows.len();
            let (dq, grad, queries) = (&mut dq[..n * d], &mut grad[..n * e], &mut queries[..n * d]);
            let load = f32::loader(self.grad.dtype);
            for (row, to) in rows.clone().zip(grad.chunks_exact_mut(e.max(1))) {
                read(&self.grad, load, self.scores.row(&self.grad, head, row), to);
            }
            self.scores.queries(head, rows.clone(), queries);
            let (start, end) = self.scores.seen(&rows);
            let keys = end - start;
            dq.fill(0.0);
            if keys > 0 {
                self.scores.product(ctx, head, queries, start..end, p, keys);
                for (row, p) in rows.clone().zip(p.chunks_exact_mut(keys)) {
                    self.scores.hide(head, row, start, p, extra);
                    softmax(p);
                }
                self.block(
                    ctx,
                    head,
                    start,
                    (&*p, slopes),
                    (&*queries, &*grad),
                    (&mut *dq, &mut *dk, &mut *dv),
                    (n, keys),
                );
            }
            vectorize(Times(dq, self.scores.scale));
            let store = f32::storer(self.dq.dtype);
            for (row, values) in rows.zip(dq.chunks_exact(d.max(1))) {
                // SAFETY: a row of the resolved output.
                unsafe {
                    store(self.dq.at(self.scores.row(&self.dq, head, row)), self.dq.strides[4], values)
                };
            }
        }
        for (to, values, width) in [(&self.dk, &*dk, d), (&self.dv, &*dv, e)] {
            let store = f32::storer(to.dtype);
            for (place, values) in values.chunks_exact(width.max(1)).enumerate() {
                // SAFETY: a place of the resolved output.
                unsafe { store(to.at(key_line(to, head, place)), to.strides[3], values) };
            }
        }
    }

    /// The part of a block of `n` queries against `keys` keys from `start` on, from its probabilities.
    #[allow(clippy::too_many_arguments)]
    fn block(
        &self,
        ctx: &Ctx<'_>,
        head: (usize, usize),
        start: usize,
        (p, slopes): (&[f32], &mut [f32]),
        (queries, grad): (&[f32], &[f32]),
        (dq, dk, dv): (&mut [f32], &mut [f32], &mut [f32]),
        (n, keys): (usize, usize),
    ) {
        let (d, e) = (self.scores.q.dims[4], self.v.dims[3]);
        let (p, slopes) = (&p[..n * keys], &mut slopes[..n * keys]);
        if e == 0 {
            return;
        }
        // SAFETY: places of resolved tensors; the buffers hold n rows, and dk and dv a line for each place.
        unsafe {
            let dv = dv[start * e..].as_mut_ptr();
            matmul::multiply(ctx, (keys, e, n), columns(p, keys), columns(grad, e), dv, e, true);
            let values = places(&self.v, head, start, false);
            let to = slopes.as_mut_ptr();
            matmul::multiply(ctx, (n, keys, e), operand(grad, e), values, to, keys, false);
        }
        slopes.chunks_exact_mut(keys).zip(p.chunks_exact(keys)).for_each(|(s, p)| slope(s, p));
        if d == 0 {
            return;
        }
        // SAFETY: as above.
        unsafe {
            let k = places(&self.scores.k, head, start, true);
            matmul::multiply(ctx, (n, d, keys), operand(slopes, keys), k, dq.as_mut_ptr(), d, false);
            let dk = dk[start * d..].as_mut_ptr();
            matmul::multiply(ctx, (keys, d, n), columns(slopes, keys), columns(queries, d), dk, d, true);
        }
    }
}
