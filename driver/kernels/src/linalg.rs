//! Norms, and the algebra of small matrices, in float64 whatever memory holds.

use vinci_hw::args::{ArgsError, ArgsView};

use crate::lane::{Lane, TILE};
use crate::reduce::Split;
use crate::tile::{Sink, Source, for_each};
use crate::view::{Tensor, Walk};
use crate::{Ctx, KernelFault};

/// Tensors out (same rank, reduced dimensions 1), a; attribute order: (Σ |a|ᵖ)^(1/p); for 0 how many are not zero, for
/// ±∞ the largest or smallest |a|.
pub fn norm(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?;
    let order = args.attr_f64(0)?;
    let split = Split::new(&out, &a)?;
    let store = f64::storer(out.dtype);
    for_each(ctx, out.count, a.count, &|i| {
        let source = Source::<f64>::part(&a, split.kept_in.offset(i), &split.reduced);
        let mut tile = [0.0f64; TILE];
        let mut sum = if order == f64::NEG_INFINITY { f64::INFINITY } else { 0.0 };
        let mut nan = false;
        for at in (0..split.n).step_by(TILE) {
            let tile = &mut tile[..TILE.min(split.n - at)];
            source.read(at, tile);
            nan |= tile.iter().any(|v| v.is_nan());
            sum = match order {
                2.0 => {
                    let mut parts = [0.0; 8];
                    let (chunks, rest) = tile.as_chunks::<8>();
                    chunks.iter().for_each(|c| parts.iter_mut().zip(c).for_each(|(p, v)| *p += v * v));
                    sum + parts.iter().sum::<f64>() + rest.iter().map(|v| v * v).sum::<f64>()
                }
                1.0 => sum + tile.iter().map(|v| v.abs()).sum::<f64>(),
                0.0 => sum + tile.iter().filter(|v| **v != 0.0).count() as f64,
                f64::INFINITY => tile.iter().fold(sum, |m, v| m.max(v.abs())),
                f64::NEG_INFINITY => tile.iter().fold(sum, |m, v| m.min(v.abs())),
                _ => sum + tile.iter().map(|v| v.abs().powf(order)).sum::<f64>(),
            };
        }
        let result = match order {
            2.0 => sum.sqrt(),
            0.0 | 1.0 | f64::INFINITY | f64::NEG_INFINITY => sum,
            _ => sum.powf(1.0 / order),
        };
        let result = if nan && order != 0.0 { f64::NAN } else { result };
        // SAFETY: an offset of the walk over the output's dimensions.
        unsafe { store(out.at(split.kept_out.offset(i)), 1, &[result]) };
    });
    Ok(())
}

/// A matrix by rows.
#[derive(Clone)]
struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    fn zero(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows * columns] }
    }

    fn identity(n: usize) -> Self {
        let mut m = Self::zero(n, n);
        (0..n).for_each(|i| *m.at(i, i) = 1.0);
        m
    }

    fn get(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.columns + j]
    }

    fn at(&mut self, i: usize, j: usize) -> &mut f64 {
        &mut self.values[i * self.columns + j]
    }

    fn swap_rows(&mut self, i: usize, j: usize) {
        for c in 0..self.columns {
            self.values.swap(i * self.columns + c, j * self.columns + c);
        }
    }

    fn transposed(&self) -> Self {
        let mut t = Self::zero(self.columns, self.rows);
        for i in 0..self.rows {
            for j in 0..self.columns {
                *t.at(j, i) = self.get(i, j);
            }
        }
        t
    }
}

/// Largest dimension of a matrix, and the most elements.
const MOST: usize = 1 << 13;

/// A tensor `[batch, …]` of matrices (or vectors, or numbers).
struct Batch {
    tensor: Tensor,
    inner: Walk,
    rows: usize,
    columns: usize,
}

impl Batch {
    fn new(t: Tensor, index: usize, rank: usize) -> Result<Self, KernelFault> {
        if t.rank != rank + 1 || t.dims[1..t.rank].iter().any(|&d| d > MOST) {
            return Err(ArgsError::BadTensor(index).into());
        }
        let mut inner = Walk::default();
        (1..t.rank).for_each(|d| inner.push(t.dims[d], t.strides[d]));
        let (rows, columns) = match rank {
            2 => (t.dims[1], t.dims[2]),
            1 => (1, t.dims[1]),
            _ => (1, 1),
        };
        Ok(Self { tensor: t, inner, rows, columns })
    }

    fn read(&self, i: usize) -> Matrix {
        let mut m = Matrix::zero(self.rows, self.columns);
        Source::<f64>::part(&self.tensor, i as isize * self.tensor.strides[0], &self.inner)
            .read(0, &mut m.values);
        m
    }

    fn write(&self, i: usize, values: &[f64]) {
        Sink::<f64>::part(&self.tensor, i as isize * self.tensor.strides[0], &self.inner).write(0, values);
    }
}

/// Resolves outputs and inputs `[batch, …]` with so many dimensions behind the batch's.
fn batches<const N: usize>(
    ctx: &Ctx<'_>,
    args: &ArgsView<'_>,
    outputs: usize,
    ranks: [usize; N],
) -> Result<([Batch; N], usize), KernelFault> {
    let mut all = Vec::with_capacity(N);
    for (i, rank) in ranks.into_iter().enumerate() {
        let t = if i < outputs { Tensor::output(ctx, args, i)? } else { Tensor::input(ctx, args, i)? };
        all.push(Batch::new(t, i, rank)?);
    }
    let n = all[0].tensor.dims[0];
    // Nothing to write, however many of them.
    let nothing = all[..outputs].iter().all(|b| b.tensor.count == 0);
    if let Some(i) = all.iter().position(|b| b.tensor.dims[0] != n) {
        return Err(ArgsError::BadTensor(i).into());
    }
    Ok((all.try_into().map_err(|_| ArgsError::BadTensor(0))?, if nothing { 0 } else { n }))
}

fn need(holds: bool, index: usize) -> Result<(), KernelFault> {
    if holds { Ok(()) } else { Err(ArgsError::BadTensor(index).into()) }
}

/// L and U in place of `a`, rows exchanged; the sign of the exchanges.
fn factor(a: &mut Matrix, mut exchanged: impl FnMut(usize, usize)) -> f64 {
    let n = a.rows;
    let mut sign = 1.0;
    for k in 0..n {
        let pivot = (k..n).max_by(|&i, &j| a.get(i, k).abs().total_cmp(&a.get(j, k).abs())).unwrap_or(k);
        if pivot != k {
            a.swap_rows(pivot, k);
            exchanged(pivot, k);
            sign = -sign;
        }
        let d = a.get(k, k);
        if d == 0.0 {
            continue;
        }
        for i in k + 1..n {
            let f = a.get(i, k) / d;
            *a.at(i, k) = f;
            for j in k + 1..n {
                *a.at(i, j) -= f * a.get(k, j);
            }
        }
    }
    sign
}

/// Tensors out, a, both `[batch, n, n]`.
pub fn inverse(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let ([out, a], count) = batches(ctx, args, 1, [2, 2])?;
    let n = a.rows;
    need(a.columns == n && out.rows == n && out.columns == n, 1)?;
    let singular = std::sync::atomic::AtomicI64::new(-1);
    for_each(ctx, count, a.tensor.count * n, &|b| {
        let mut lu = a.read(b);
        let mut x = Matrix::identity(n);
        factor(&mut lu, |i, j| x.swap_rows(i, j));
        if (0..n).any(|i| lu.get(i, i) == 0.0) {
            singular.store(b as i64, std::sync::atomic::Ordering::Relaxed);
        }
        for c in 0..n {
            for i in 0..n {
                let sum: f64 = (0..i).map(|j| lu.get(i, j) * x.get(j, c)).sum();
                *x.at(i, c) -= sum;
            }
            for i in (0..n).rev() {
                let sum: f64 = (i + 1..n).map(|j| lu.get(i, j) * x.get(j, c)).sum();
                *x.at(i, c) = (x.get(i, c) - sum) / lu.get(i, i);
            }
        }
        out.write(b, &x.values);
    });
    match singular.into_inner() {
        -1 => Ok(()),
        value => Err(KernelFault::Exception { what: "a singular matrix in batch", value }),
    }
}

/// Tensors sign `[batch]`, log `[batch]`, a `[batch, n, n]`.
pub fn slogdet(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let ([sign, log, a], count) = batches(ctx, args, 2, [0, 0, 2])?;
    let n = a.rows;
    need(a.columns == n, 2)?;
    for_each(ctx, count, a.tensor.count * n, &|b| {
        let mut lu = a.read(b);
        let exchanges = factor(&mut lu, |_, _| ());
        let (mut s, mut l) = (exchanges, 0.0);
        for i in 0..n {
            let d = lu.get(i, i);
            s *= if d == 0.0 { 0.0 } else { d.signum() };
            l += d.abs().ln();
        }
        sign.write(b, &[s]);
        log.write(b, &[l]);
    });
    Ok(())
}

/// Tensors out, a, both `[batch, n, n]`; attribute whether the upper factor is meant.
pub fn cholesky(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let ([out, a], count) = batches(ctx, args, 1, [2, 2])?;
    let n = a.rows;
    let upper = args.attr(0)? != 0;
    need(a.columns == n && out.rows == n && out.columns == n, 1)?;
    let wrong = std::sync::atomic::AtomicI64::new(-1);
    for_each(ctx, count, a.tensor.count * n, &|b| {
        let m = a.read(b);
        let mut l = Matrix::zero(n, n);
        for j in 0..n {
            for i in j..n {
                let sum: f64 = (0..j).map(|k| l.get(i, k) * l.get(j, k)).sum();
                let v = if upper { m.get(j, i) } else { m.get(i, j) } - sum;
                if i == j {
                    if v.is_nan() || v <= 0.0 {
                        wrong.store(j as i64 + 1, std::sync::atomic::Ordering::Relaxed);
                    }
                    *l.at(j, j) = v.sqrt();
                } else {
                    *l.at(i, j) = v / l.get(j, j);
                }
            }
        }
        out.write(b, &if upper { l.transposed() } else { l }.values);
    });
    match wrong.into_inner() {
        -1 => Ok(()),
        value => Err(KernelFault::Exception {
            what: "a matrix that is not positive definite; leading minor",
            value,
        }),
    }
}

/// Tensors q `[batch, m, k]`, r `[batch, k, n]`, a `[batch, m, n]`, k being m or the smaller of m and n: by
/// Householder's reflections.
pub fn qr(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let ([q, r, a], count) = batches(ctx, args, 2, [2, 2, 2])?;
    let (m, n, k) = (a.rows, a.columns, q.columns);
    need(q.rows == m && r.rows == k && r.columns == n && (k == m || k == m.min(n)), 0)?;
    for_each(ctx, count, a.tensor.count * n, &|b| {
        let mut work = a.read(b);
        let mut full = Matrix::identity(m);
        for c in 0..m.min(n) {
            let length = (c..m).map(|i| work.get(i, c).powi(2)).sum::<f64>().sqrt();
            if length == 0.0 || c + 1 == m {
                continue;
            }
            let mut v: Vec<f64> = (c..m).map(|i| work.get(i, c)).collect();
            v[0] += if v[0] < 0.0 { -length } else { length };
            let square: f64 = v.iter().map(|x| x * x).sum();
            for j in 0..n {
                let dot: f64 = v.iter().enumerate().map(|(i, x)| x * work.get(c + i, j)).sum();
                v.iter().enumerate().for_each(|(i, x)| *work.at(c + i, j) -= 2.0 * x * dot / square);
            }
            for j in 0..m {
                let dot: f64 = v.iter().enumerate().map(|(i, x)| x * full.get(j, c + i)).sum();
                v.iter().enumerate().for_each(|(i, x)| *full.at(j, c + i) -= 2.0 * x * dot / square);
            }
        }
        let part: Vec<f64> = (0..m).flat_map(|i| full.values[i * m..i * m + k].to_vec()).collect();
        q.write(b, &part);
        let upper: Vec<f64> = (0..k)
            .flat_map(|i| (0..n).map(|j| if j >= i { work.get(i, j) } else { 0.0 }).collect::<Vec<_>>())
            .collect();
        r.write(b, &upper);
    });
    Ok(())
}

/// Tensors sigma `[batch, k]`, u `[batch, m, p]`, v `[batch, n, q]`, a `[batch, m, n]`: one-sided Jacobi rotations of
/// the columns of the taller of a and its transpose.
pub fn svd(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let ([sigma, u, v, a], count) = batches(ctx, args, 3, [1, 2, 2, 2])?;
    let (m, n) = (a.rows, a.columns);
    let k = m.min(n);
    let column_count = |c: usize, all: usize| c == k || c == all;
    need(
        sigma.columns == k
            && u.rows == m
            && v.rows == n
            && column_count(u.columns, m)
            && column_count(v.columns, n),
        0,
    )?;
    for_each(ctx, count, a.tensor.count * k, &|b| {
        let tall = if m >= n { a.read(b) } else { a.read(b).transposed() };
        // Columns as rows: what rotates lies in sequence.
        let mut w = tall.transposed();
        let mut right = Matrix::identity(k);
        for _sweep in 0..60 {
            let mut largest = 0.0f64;
            for i in 0..k {
                for j in i + 1..k {
                    let row = |r: usize| &w.values[r * w.columns..(r + 1) * w.columns];
                    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
                    let (p, q, r) = (dot(row(i), row(i)), dot(row(j), row(j)), dot(row(i), row(j)));
                    if r == 0.0 || r.abs() <= 1e-15 * (p * q).sqrt() || !r.is_finite() {
                        continue;
                    }
                    largest = largest.max(r.abs() / (p * q).sqrt());
                    let zeta = (q - p) / (2.0 * r);
                    let t = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
                    let t = if zeta == 0.0 { 1.0 } else { t };
                    let c = 1.0 / (1.0 + t * t).sqrt();
                    for matrix in [&mut w, &mut right] {
                        for x in 0..matrix.columns {
                            let (y, z) = (matrix.get(i, x), matrix.get(j, x));
                            *matrix.at(i, x) = c * y - c * t * z;
                            *matrix.at(j, x) = c * t * y + c * z;
                        }
                    }
                }
            }
            if largest < 1e-15 {
                break;
            }
        }
        let length =
            |r: usize| w.values[r * w.columns..(r + 1) * w.columns].iter().map(|x| x * x).sum::<f64>().sqrt();
        let lengths: Vec<f64> = (0..k).map(length).collect();
        let mut order: Vec<usize> = (0..k).collect();
        order.sort_by(|&i, &j| lengths[j].total_cmp(&lengths[i]));
        sigma.write(b, &order.iter().map(|&i| lengths[i]).collect::<Vec<_>>());
        let left: Vec<Vec<f64>> = order
            .iter()
            .map(|&i| w.values[i * w.columns..(i + 1) * w.columns].iter().map(|x| x / lengths[i]).collect())
            .collect();
        let right: Vec<Vec<f64>> = order.iter().map(|&i| right.values[i * k..(i + 1) * k].to_vec()).collect();
        let (first, second) = if m >= n { (left, right) } else { (right, left) };
        u.write(b, &columns(first, u.rows, u.columns));
        v.write(b, &columns(second, v.rows, v.columns));
    });
    Ok(())
}

/// A matrix whose columns are the unit vectors given, those of no length replaced and the missing ones added so that
/// all are at right angles.
fn columns(mut vectors: Vec<Vec<f64>>, rows: usize, count: usize) -> Vec<f64> {
    let mut done: Vec<Vec<f64>> = Vec::new();
    let mut unit = 0;
    let is_good = |v: &[f64]| v.iter().all(|x| x.is_finite()) && v.iter().any(|x| *x != 0.0);
    vectors.truncate(count);
    vectors.resize(count, Vec::new());
    for v in vectors {
        if v.len() == rows && is_good(&v) {
            done.push(v);
            continue;
        }
        while unit < rows {
            let mut e = vec![0.0; rows];
            e[unit] = 1.0;
            unit += 1;
            for _ in 0..2 {
                for d in &done {
                    let dot: f64 = d.iter().zip(&e).map(|(x, y)| x * y).sum();
                    e.iter_mut().zip(d).for_each(|(x, y)| *x -= dot * y);
                }
            }
            let length = e.iter().map(|x| x * x).sum::<f64>().sqrt();
            if length > 1e-6 {
                done.push(e.into_iter().map(|x| x / length).collect());
                break;
            }
        }
    }
    done.resize(count, vec![0.0; rows]);
    (0..rows).flat_map(|i| done.iter().map(move |d| d[i]).collect::<Vec<_>>()).collect()
}
