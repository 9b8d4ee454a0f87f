//! Gradients of distances, and margins between classes: sums over pairs.

use vinci_hw::args::{ArgsError, ArgsView};

use crate::rows::Rows;
use crate::tile::for_each;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

fn read(rows: &Rows, row: usize, n: usize) -> Vec<f64> {
    let mut all = vec![0.0; n];
    rows.source::<f64>(row).read(0, &mut all);
    all
}

/// What the distance of order `p` changes by with a difference `d` of one coordinate.
fn slope(d: f64, distance: f64, p: f64) -> f64 {
    let size = d.abs();
    if d == 0.0 || distance == 0.0 || p == 0.0 {
        0.0
    } else if p == f64::INFINITY {
        // The distance may be kept in a narrower type than this.
        if size >= distance * (1.0 - 1e-6) { d.signum() } else { 0.0 }
    } else {
        d.signum() * (size / distance).powf(p - 1.0)
    }
}

/// Tensors out `[B, N, D]`; grad `[B, N, M]`, a `[B, N, D]`, b `[B, M, D]`, the distances `[B, N, M]`; attribute their
/// order: the gradient by a.
pub fn backward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let input = |i| Tensor::input(ctx, args, i);
    let (grad, a, b, distance) = (input(1)?, input(2)?.same_dims(&out, 2)?, input(3)?, input(4)?);
    let order = args.attr_f64(0)?;
    let [batch, n, width] = [out.dims[0], out.dims[1], out.dims[2]];
    let m = b.dims[1];
    let fits = out.rank == 3 && b.dims() == [batch, m, width] && grad.dims() == [batch, n, m];
    if !fits || distance.dims() != grad.dims() {
        return Err(ArgsError::BadTensor(1).into());
    }
    let rows = |t: &Tensor| Rows::new(t, |d| d == 2);
    let (to, a, grad, distance) = (rows(&out), rows(&a), rows(&grad), rows(&distance));
    let others = Rows::new(&b, |d| d > 0);
    for_each(ctx, batch * n, out.count.saturating_mul(m), &|row| {
        let (x, given, far) = (read(&a, row, width), read(&grad, row, m), read(&distance, row, m));
        let all = read(&others, row / n, m * width);
        let mut sums = vec![0.0; width];
        for ((y, g), far) in all.chunks(width.max(1)).zip(&given).zip(&far) {
            sums.iter_mut().zip(&x).zip(y).for_each(|((s, x), y)| *s += g * slope(x - y, *far, order));
        }
        to.sink::<f64>(row).write(0, &sums);
    });
    Ok(())
}

/// Tensors loss `[N]`, whether each class is wanted `[N, C]`; x `[N, C]`, the wanted classes of each row `[N, C]`, up to
/// the first that is negative: how far other classes come near to the wanted ones.
pub fn multilabel_margin(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let (loss, wanted) = (Tensor::output(ctx, args, 0)?, Tensor::output(ctx, args, 1)?);
    let (x, labels) = (Tensor::input(ctx, args, 2)?, Tensor::input(ctx, args, 3)?);
    if x.rank != 2 || wanted.dims() != x.dims() || labels.dims() != x.dims() || loss.dims() != [x.dims[0]] {
        return Err(ArgsError::BadTensor(2).into());
    }
    let classes = x.dims[1];
    let mut all = vec![0i64; labels.count];
    crate::tile::Source::new(&labels, &[0, 1, 2, 3, 4, 5, 6, 7]).read(0, &mut all);
    if let Some(&value) = all.iter().find(|&&l| l >= classes as i64) {
        return Err(KernelFault::Exception { what: "a label out of range", value });
    }
    let rows = |t: &Tensor| Rows::new(t, |d| d == 1);
    let (to, is, from) = (rows(&loss), rows(&wanted), rows(&x));
    for_each(ctx, x.dims[0], x.count.saturating_mul(classes), &|row| {
        let x = read(&from, row, classes);
        let mut is_wanted = vec![0.0; classes];
        let mine = all[row * classes..][..classes].iter().take_while(|&&l| l >= 0).map(|&l| l as usize);
        let mine: Vec<usize> = mine.collect();
        mine.iter().for_each(|&l| is_wanted[l] = 1.0);
        let others = || x.iter().zip(&is_wanted).filter(|(_, w)| **w == 0.0).map(|(v, _)| v);
        let sum: f64 = mine.iter().map(|&l| others().map(|v| (1.0 - x[l] + v).max(0.0)).sum::<f64>()).sum();
        to.sink::<f64>(row).write(0, &[sum / classes as f64]);
        is.sink::<f64>(row).write(0, &is_wanted);
    });
    Ok(())
}
