//! Gradients of normalisations: layer, group, batch, instance and RMS norm are one formula over other dimensions.

use vinci_hw::args::{ArgsError, ArgsView};

use crate::lane::{Lane, LaneKind, TILE, join, lane_of};
use crate::simd::{Task, vectorize};
use crate::tile::{Sink, Source, for_each};
use crate::view::{Tensor, Walk};
use crate::{Ctx, KernelFault};

/// Leading dimensions that are kept and the others, which are normalised over.
struct Split {
    tensor: Tensor,
    rows: Walk,
    along: Walk,
}

impl Split {
    fn new(t: &Tensor, first: usize) -> Self {
        let (mut rows, mut along) = (Walk::default(), Walk::default());
        for d in 0..t.rank {
            (if d < first { &mut rows } else { &mut along }).push(t.dims[d], t.strides[d]);
        }
        Self { tensor: *t, rows, along }
    }

    fn source<L: Lane>(&self, row: usize) -> Source<L> {
        Source::part(&self.tensor, self.rows.offset(row), &self.along)
    }

    fn sink<L: Lane>(&self, row: usize) -> Sink<L> {
        Sink::part(&self.tensor, self.rows.offset(row), &self.along)
    }
}

/// f64 if one of the tensors is, else f32.
fn is_wide(tensors: &[Tensor]) -> bool {
    tensors.iter().map(|t| lane_of(t.dtype)).reduce(join) == Some(LaneKind::F64)
}

/// Resolves `inputs` tensors of the output's dimensions behind it.
fn same<const N: usize>(
    ctx: &Ctx<'_>,
    args: &ArgsView<'_>,
    out: &Tensor,
    first: usize,
) -> Result<[Tensor; N], KernelFault> {
    let mut inputs = [*out; N];
    for (i, t) in inputs.iter_mut().enumerate() {
        *t = Tensor::input(ctx, args, first + i)?.same_dims(out, first + i)?;
    }
    Ok(inputs)
}

/// Tensors grad_in, grad_out, x, mean, rstd, weight, all of the same dimensions; attributes first normalised
/// dimension, whether the mean was taken off.
pub fn backward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let tensors = same::<5>(ctx, args, &out, 1)?;
    let first = args.attr(0)? as usize;
    let centred = args.attr(1)? != 0;
    if first > out.rank {
        return Err(ArgsError::BadTensor(0).into());
    }
    if out.count == 0 {
        return Ok(());
    }
    if is_wide(&tensors) {
        backward_in::<f64>(ctx, &out, &tensors, first, centred);
    } else {
        backward_in::<f32>(ctx, &out, &tensors, first, centred);
    }
    Ok(())
}

/// Σ grad · weight and Σ grad · weight · x̂ of a tile.
struct Sums<'a, L> {
    tiles: [&'a [L]; 3],
    mean: L,
    rstd: L,
}

/// Widest vector of the lanes.
const PARTS: usize = 16;

impl<L: Lane> Task for Sums<'_, L> {
    type Output = (f64, f64);
    #[inline(always)]
    fn call(self) -> (f64, f64) {
        let [g, x, w] = self.tiles;
        let (mut plain, mut hat) = ([L::ZERO; PARTS], [L::ZERO; PARTS]);
        let n = g.len();
        let mut at = 0;
        while at + PARTS <= n {
            for i in 0..PARTS {
                let t = g[at + i].mul(w[at + i]);
                plain[i] = plain[i].add(t);
                hat[i] = hat[i].add(t.mul(x[at + i].sub(self.mean).mul(self.rstd)));
            }
            at += PARTS;
        }
        for i in at..n {
            let t = g[i].mul(w[i]);
            plain[i - at] = plain[i - at].add(t);
            hat[i - at] = hat[i - at].add(t.mul(x[i].sub(self.mean).mul(self.rstd)));
        }
        let sum = |v: &[L]| v.iter().map(|v| v.to_f64()).sum::<f64>();
        (sum(&plain), sum(&hat))
    }
}

/// The gradient of a tile, in place of `grad`.
struct Gradient<'a, L> {
    grad: &'a mut [L],
    x: &'a [L],
    w: &'a [L],
    mean: L,
    rstd: L,
    plain: L,
    hat: L,
}

impl<L: Lane> Task for Gradient<'_, L> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        for ((g, &x), &w) in self.grad.iter_mut().zip(self.x).zip(self.w) {
            let hat = x.sub(self.mean).mul(self.rstd);
            *g = self.rstd.mul(g.mul(w).sub(self.plain).sub(hat.mul(self.hat)));
        }
    }
}

fn backward_in<L: Lane>(ctx: &Ctx<'_>, out: &Tensor, tensors: &[Tensor; 5], first: usize, centred: bool) {
    let n: usize = out.dims[first..out.rank].iter().product();
    let rows = out.count.checked_div(n).unwrap_or(0);
    let to = Split::new(out, first);
    let [grad, x, mean, rstd, weight] = tensors.each_ref().map(|t| Split::new(t, first));
    for_each(ctx, rows, out.count, &|row| {
        let (sink, grad, x, weight) =
            (to.sink::<L>(row), grad.source(row), x.source(row), weight.source(row));
        let one = |t: &Split| {
            let mut v = [L::ZERO];
            t.source(row).read(0, &mut v);
            v[0]
        };
        let (mean, rstd) = (if centred { one(&mean) } else { L::ZERO }, one(&rstd));
        let (mut g, mut v, mut w) = ([L::ZERO; TILE], [L::ZERO; TILE], [L::ZERO; TILE]);
        let (mut plain, mut hat) = (0.0, 0.0);
        for at in (0..n).step_by(TILE) {
            let m = TILE.min(n - at);
            grad.read(at, &mut g[..m]);
            x.read(at, &mut v[..m]);
            weight.read(at, &mut w[..m]);
            let (p, h) = vectorize(Sums { tiles: [&g[..m], &v[..m], &w[..m]], mean, rstd });
            (plain, hat) = (plain + p, hat + h);
        }
        let plain = if centred { L::from_f64(plain / n as f64) } else { L::ZERO };
        let hat = L::from_f64(hat / n as f64);
        for at in (0..n).step_by(TILE) {
            let m = TILE.min(n - at);
            if n > TILE {
                grad.read(at, &mut g[..m]);
                x.read(at, &mut v[..m]);
                weight.read(at, &mut w[..m]);
            }
            let grad = &mut g[..m];
            vectorize(Gradient { grad, x: &v[..m], w: &w[..m], mean, rstd, plain, hat });
            sink.write(at, &g[..m]);
        }
    });
}

/// Results that are made at once where memory runs along them.
const WIDTH: usize = 128;
/// Steps that are added up in the lane before they join the float64 sums.
const RUN: usize = 32;

/// Tensors grad_weight, grad_bias (the dimensions that are summed over 1), grad_out, x, mean, rstd (all of the
/// same dimensions): Σ grad · x̂ and Σ grad.
pub fn parameters(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let weight = Tensor::output(ctx, args, 0)?;
    let bias = Tensor::output(ctx, args, 1)?.same_dims(&weight, 1)?;
    let grad = Tensor::input(ctx, args, 2)?;
    let rest = same::<3>(ctx, args, &grad, 3)?;
    let tensors = [grad, rest[0], rest[1], rest[2]];
    let fits = weight.rank == grad.rank
        && (0..grad.rank).all(|d| weight.dims[d] == grad.dims[d] || weight.dims[d] == 1);
    if !fits {
        return Err(ArgsError::BadTensor(0).into());
    }
    if is_wide(&tensors) {
        parameters_in::<f64>(ctx, &[weight, bias], &tensors);
    } else {
        parameters_in::<f32>(ctx, &[weight, bias], &tensors);
    }
    Ok(())
}

/// Adds a row to the sums of a run.
struct AddRow<'a, L> {
    rows: [&'a [L]; 4],
    weight: &'a mut [L],
    bias: &'a mut [L],
}

impl<L: Lane> Task for AddRow<'_, L> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let n = self.weight.len();
        let [g, x, m, r] = self.rows.map(|t| &t[..n]);
        let bias = &mut self.bias[..n];
        for i in 0..n {
            self.weight[i] = self.weight[i].add(g[i].mul(x[i].sub(m[i]).mul(r[i])));
            bias[i] = bias[i].add(g[i]);
        }
    }
}

fn parameters_in<L: Lane>(ctx: &Ctx<'_>, outs: &[Tensor; 2], tensors: &[Tensor; 4]) {
    let order = tensors[0].order();
    let rank = tensors[0].rank;
    let walks = |t: &Tensor, kept: bool| {
        let mut walk = Walk::default();
        for &d in &order[..rank] {
            let d = usize::from(d);
            if (outs[0].dims[d] == tensors[0].dims[d]) == kept {
                walk.push(t.dims[d], t.strides[d]);
            }
        }
        walk
    };
    let steps = tensors[0].count.checked_div(outs[0].count).unwrap_or(0);
    let put = |out: &Tensor, first: usize, values: &[f64]| {
        Sink::<f64>::part(out, 0, &walks(out, true)).write(first, values);
    };
    let inner = order[..rank].iter().rev().map(|&d| usize::from(d)).find(|&d| tensors[0].dims[d] > 1);
    let columns = inner.is_some_and(|d| outs[0].dims[d] == tensors[0].dims[d]);
    if columns {
        let tiles = outs[0].count.div_ceil(WIDTH);
        // Rows in parts too, where there are few columns.
        let parts = (steps / 256).clamp(1, 8);
        let sums: Vec<_> = (0..tiles * parts).map(|_| std::sync::Mutex::new([[0.0; WIDTH]; 2])).collect();
        let sources = tensors.each_ref().map(|t| (Source::<L>::part(t, 0, &walks(t, true)), walks(t, false)));
        for_each(ctx, tiles * parts, tensors[0].count, &|job| {
            let (tile, part) = (job / parts, job % parts);
            let first = tile * WIDTH;
            let width = WIDTH.min(outs[0].count - first);
            let mut total = [[0.0; WIDTH]; 2];
            let mut rows = [[L::ZERO; WIDTH]; 4];
            let (start, end) = (part * steps / parts, (part + 1) * steps / parts);
            for run in (start..end).step_by(RUN) {
                let (mut weight, mut bias) = ([L::ZERO; WIDTH], [L::ZERO; WIDTH]);
                for step in run..(run + RUN).min(end) {
                    for ((source, outer), row) in sources.iter().zip(&mut rows) {
                        source.read_shifted(outer.offset(step), first, &mut row[..width]);
                    }
                    let rows = rows.each_ref().map(|r| &r[..width]);
                    vectorize(AddRow { rows, weight: &mut weight[..width], bias: &mut bias[..width] });
                }
                for (total, run) in total.iter_mut().zip([weight, bias]) {
                    total.iter_mut().zip(run).for_each(|(t, v)| *t += v.to_f64());
                }
            }
            if let Ok(mut sums) = sums[job].lock() {
                *sums = total;
            }
        });
        for tile in 0..tiles {
            let mut total = [[0.0; WIDTH]; 2];
            for part in sums[tile * parts..(tile + 1) * parts].iter().filter_map(|m| m.lock().ok()) {
                for (total, part) in total.iter_mut().zip(part.iter()) {
                    total.iter_mut().zip(part).for_each(|(t, v)| *t += v);
                }
            }
            let first = tile * WIDTH;
            let width = WIDTH.min(outs[0].count - first);
            outs.iter().zip(&total).for_each(|(out, total)| put(out, first, &total[..width]));
        }
        return;
    }
    let kept = tensors.each_ref().map(|t| walks(t, true));
    let summed = tensors.each_ref().map(|t| walks(t, false));
    for_each(ctx, outs[0].count, tensors[0].count, &|i| {
        let mut total = [0.0; 2];
        let mut rows = [[L::ZERO; TILE]; 4];
        for at in (0..steps).step_by(TILE) {
            let n = TILE.min(steps - at);
            for (t, row) in rows.iter_mut().enumerate() {
                Source::part(&tensors[t], kept[t].offset(i), &summed[t]).read(at, &mut row[..n]);
            }
            let [g, x, mean, rstd] = &rows;
            for j in 0..n {
                let hat = x[j].sub(mean[j]).mul(rstd[j]);
                total[0] += g[j].mul(hat).to_f64();
                total[1] += g[j].to_f64();
            }
        }
        outs.iter().zip(total).for_each(|(out, total)| put(out, i, &[total]));
    });
}
