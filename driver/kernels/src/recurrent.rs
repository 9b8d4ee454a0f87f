//! One step of long short-term memory, and its gradient. Gates lie side by side: input, forget, cell, output.

use vinci_hw::args::{ArgsError, ArgsView, DType};

use crate::rows::Rows;
use crate::tile::for_each;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

fn sigmoid(v: f64) -> f64 {
    1.0 / (1.0 + (-v).exp())
}

/// All tensors have the same rows; `width(i)` says how long those of tensor `i` are.
fn rows<const N: usize>(
    tensors: [&Tensor; N],
    width: impl Fn(usize) -> usize,
) -> Result<[Rows; N], KernelFault> {
    for (i, t) in tensors.iter().enumerate() {
        if t.dims() != [tensors[0].dims[0], width(i)]
            || !matches!(t.dtype, DType::F32 | DType::F64 | DType::F16 | DType::BF16)
        {
            return Err(ArgsError::BadTensor(i).into());
        }
    }
    Ok(tensors.map(|t| Rows::new(t, |d| d == 1)))
}

fn read(rows: &Rows, row: usize, n: usize) -> Vec<f64> {
    let mut all = vec![0.0; n];
    rows.source::<f64>(row).read(0, &mut all);
    all
}

/// Tensors h, c, tanh(c) `[B, H]`, gates `[B, 4 H]`; what the gates are functions of `[B, 4 H]`, c before `[B, H]`.
pub fn lstm(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = |i| Tensor::output(ctx, args, i);
    let (h, c, t, gates) = (out(0)?, out(1)?, out(2)?, out(3)?);
    let (sums, before) = (Tensor::input(ctx, args, 4)?, Tensor::input(ctx, args, 5)?);
    let n = h.dims[1];
    let width = |i| if matches!(i, 3 | 4) { 4 * n } else { n };
    let [h, c, t, gates, sums, before] = rows([&h, &c, &t, &gates, &sums, &before], width)?;
    let batch = args.tensor(0)?.dims()[0] as usize;
    for_each(ctx, batch, batch * n * 16, &|row| {
        let mut g = read(&sums, row, 4 * n);
        let old = read(&before, row, n);
        g[..2 * n].iter_mut().for_each(|v| *v = sigmoid(*v));
        g[2 * n..3 * n].iter_mut().for_each(|v| *v = v.tanh());
        g[3 * n..].iter_mut().for_each(|v| *v = sigmoid(*v));
        let new: Vec<f64> = (0..n).map(|k| g[n + k] * old[k] + g[k] * g[2 * n + k]).collect();
        let bent: Vec<f64> = new.iter().map(|v| v.tanh()).collect();
        let shown: Vec<f64> = (0..n).map(|k| g[3 * n + k] * bent[k]).collect();
        h.sink::<f64>(row).write(0, &shown);
        c.sink::<f64>(row).write(0, &new);
        t.sink::<f64>(row).write(0, &bent);
        gates.sink::<f64>(row).write(0, &g);
    });
    Ok(())
}

/// Tensors the gradient of what the gates are functions of `[B, 4 H]`, of c before `[B, H]`; gates input, forget, cell,
/// output, tanh(c), c before, the gradients of h and of c `[B, H]` each.
pub fn lstm_backward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let (sums, before) = (Tensor::output(ctx, args, 0)?, Tensor::output(ctx, args, 1)?);
    let mut inputs = vec![];
    for i in 2..10 {
        inputs.push(Tensor::input(ctx, args, i)?);
    }
    let n = before.dims[1];
    let [i, f, g, o, t, old, dh, dc] = &inputs[..] else { return Err(ArgsError::BadTensor(0).into()) };
    let all = [&sums, &before, i, f, g, o, t, old, dh, dc];
    let [sums, before, i, f, g, o, t, old, dh, dc] = rows(all, |i| if i == 0 { 4 * n } else { n })?;
    let batch = args.tensor(1)?.dims()[0] as usize;
    for_each(ctx, batch, batch * n * 16, &|row| {
        let get = |rows: &Rows| read(rows, row, n);
        let (i, f, g, o, t) = (get(&i), get(&f), get(&g), get(&o), get(&t));
        let (old, dh, dc) = (get(&old), get(&dh), get(&dc));
        let mut slopes = vec![0.0; 4 * n];
        let mut back = vec![0.0; n];
        for k in 0..n {
            let dc = dc[k] + dh[k] * o[k] * (1.0 - t[k] * t[k]);
            slopes[k] = dc * g[k] * i[k] * (1.0 - i[k]);
            slopes[n + k] = dc * old[k] * f[k] * (1.0 - f[k]);
            slopes[2 * n + k] = dc * i[k] * (1.0 - g[k] * g[k]);
            slopes[3 * n + k] = dh[k] * t[k] * o[k] * (1.0 - o[k]);
            back[k] = dc * f[k];
        }
        sums.sink::<f64>(row).write(0, &slopes);
        before.sink::<f64>(row).write(0, &back);
    });
    Ok(())
}
