//! One step of long short-term memory or of a gated recurrent unit, and its gradient. Gates lie side by side: input,
//! forget, cell, output; reset, update, new, or the first two the other way round.

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

/// Attribute 0: whether update stands before reset. Answers where reset and update begin in gates of width `n`.
fn order(args: &ArgsView<'_>, n: usize) -> Result<(usize, usize), KernelFault> {
    Ok(if args.attr_i64(0)? == 0 { (0, n) } else { (n, 0) })
}

/// Tensors h `[B, H]`, gates `[B, 3 H]`, what reset multiplies `[B, H]`; the input's part of what the gates are functions
/// of and the state's `[B, 3 H]` each, h before `[B, H]`.
pub fn gru(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = |i| Tensor::output(ctx, args, i);
    let (h, gates, inner) = (out(0)?, out(1)?, out(2)?);
    let input = |i| Tensor::input(ctx, args, i);
    let (first, second, before) = (input(3)?, input(4)?, input(5)?);
    let n = h.dims[1];
    let (reset, update) = order(args, n)?;
    let width = |i| if matches!(i, 1 | 3 | 4) { 3 * n } else { n };
    let all = [&h, &gates, &inner, &first, &second, &before];
    let [h, gates, inner, first, second, before] = rows(all, width)?;
    let batch = args.tensor(0)?.dims()[0] as usize;
    for_each(ctx, batch, batch * n * 16, &|row| {
        let mut g = read(&first, row, 3 * n);
        let of_state = read(&second, row, 3 * n);
        let old = read(&before, row, n);
        g[..2 * n].iter_mut().zip(&of_state).for_each(|(v, s)| *v = sigmoid(*v + s));
        for k in 0..n {
            g[2 * n + k] = (g[2 * n + k] + g[reset + k] * of_state[2 * n + k]).tanh();
        }
        let new: Vec<f64> = (0..n).map(|k| g[2 * n + k] + g[update + k] * (old[k] - g[2 * n + k])).collect();
        h.sink::<f64>(row).write(0, &new);
        gates.sink::<f64>(row).write(0, &g);
        inner.sink::<f64>(row).write(0, &of_state[2 * n..]);
    });
    Ok(())
}

/// Tensors the gradients of what [`gru`] got from the input and from the state `[B, 3 H]`, of h before other than through
/// the latter `[B, H]`; gates reset, update, new, what reset multiplies, h before, the gradient of h `[B, H]` each.
pub fn gru_backward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = |i| Tensor::output(ctx, args, i);
    let (first, second, past) = (out(0)?, out(1)?, out(2)?);
    let mut inputs = vec![];
    for i in 3..9 {
        inputs.push(Tensor::input(ctx, args, i)?);
    }
    let n = past.dims[1];
    let (reset, update) = order(args, n)?;
    let [r, z, new, inner, old, dh] = &inputs[..] else { return Err(ArgsError::BadTensor(0).into()) };
    let all = [&first, &second, &past, r, z, new, inner, old, dh];
    let [first, second, past, r, z, new, inner, old, dh] = rows(all, |i| if i < 2 { 3 * n } else { n })?;
    let batch = args.tensor(2)?.dims()[0] as usize;
    for_each(ctx, batch, batch * n * 16, &|row| {
        let get = |rows: &Rows| read(rows, row, n);
        let (r, z, new, inner, old, dh) = (get(&r), get(&z), get(&new), get(&inner), get(&old), get(&dh));
        let mut slopes = vec![0.0; 3 * n];
        let mut back = vec![0.0; n];
        let mut of_new = vec![0.0; n];
        for k in 0..n {
            let d = dh[k] * (1.0 - z[k]) * (1.0 - new[k] * new[k]);
            slopes[reset + k] = d * inner[k] * r[k] * (1.0 - r[k]);
            slopes[update + k] = dh[k] * (old[k] - new[k]) * z[k] * (1.0 - z[k]);
            slopes[2 * n + k] = d;
            of_new[k] = d * r[k];
            back[k] = dh[k] * z[k];
        }
        first.sink::<f64>(row).write(0, &slopes);
        slopes[2 * n..].copy_from_slice(&of_new);
        second.sink::<f64>(row).write(0, &slopes);
        past.sink::<f64>(row).write(0, &back);
    });
    Ok(())
}
