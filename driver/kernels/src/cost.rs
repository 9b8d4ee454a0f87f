//! What launches cost, from their shapes alone.

use vinci_hw::args::{ArgsError, ArgsView, TensorArg};

use crate::Work;

fn elements(t: &TensorArg) -> u64 {
    t.elements().unwrap_or(u64::MAX)
}

/// Bytes of HBM that reading or writing the tensor moves: broadcast elements count once.
fn bytes(t: &TensorArg) -> u64 {
    let size = t.dtype().map_or(0, |d| d.size() as u64);
    let touched = t.extent().map_or(u64::MAX, |(_, bytes)| bytes);
    elements(t).saturating_mul(size).min(touched)
}

/// `outputs` tensors written, the others read, `ops` operations for each element of the largest tensor.
fn streaming(args: &ArgsView<'_>, outputs: usize, ops: u64) -> Result<Work, ArgsError> {
    let mut work = Work::default();
    for i in 0..args.tensor_count() {
        let t = args.tensor(i)?;
        let total = if i < outputs { &mut work.bytes_written } else { &mut work.bytes_read };
        *total = total.saturating_add(bytes(&t));
        work.vector_ops = work.vector_ops.max(elements(&t).saturating_mul(ops));
    }
    Ok(work)
}

/// One operation for each element.
pub fn one_op(args: &ArgsView<'_>) -> Result<Work, ArgsError> {
    streaming(args, 1, 1)
}

/// A function of several steps, such as eˣ, for each element.
pub fn many_ops(args: &ArgsView<'_>) -> Result<Work, ArgsError> {
    streaming(args, 1, 8)
}

/// Two outputs.
pub fn two_outputs(args: &ArgsView<'_>) -> Result<Work, ArgsError> {
    streaming(args, 2, 2)
}

/// Three outputs.
pub fn three_outputs(args: &ArgsView<'_>) -> Result<Work, ArgsError> {
    streaming(args, 3, 8)
}

/// Tensors out, a, b and perhaps c: two operations for each element of `out` and step along `k`.
pub fn matmul(args: &ArgsView<'_>) -> Result<Work, ArgsError> {
    let mut work = streaming(args, 1, 1)?;
    let (out, a) = (args.tensor(0)?, args.tensor(1)?);
    let k = a.dims().last().map_or(0, |&k| k.unsigned_abs());
    work.cube_flops = elements(&out).saturating_mul(k).saturating_mul(2);
    work.cube_element = a.dtype().map_or(4, |d| d.size() as u8);
    work.vector_ops = 0;
    Ok(work)
}

/// As many elements are moved as the first tensor has, whatever the size of the others.
pub fn into_first(args: &ArgsView<'_>) -> Result<Work, ArgsError> {
    moved(&args.tensor(0)?)
}

/// As many elements are moved as the third tensor has, whatever the size of the others.
pub fn from_third(args: &ArgsView<'_>) -> Result<Work, ArgsError> {
    moved(&args.tensor(2)?)
}

fn moved(t: &TensorArg) -> Result<Work, ArgsError> {
    let bytes = bytes(t);
    Ok(Work { vector_ops: elements(t), bytes_read: bytes, bytes_written: bytes, ..Work::default() })
}

/// Tensors out `[B, H, G, S, E]`, then q `[B, H, G, S, D]`, k `[B, H, T, D]` among others: two products.
pub fn attention(args: &ArgsView<'_>) -> Result<Work, ArgsError> {
    let mut work = streaming(args, 1, 1)?;
    let out = args.tensor(0)?;
    let keys = (1..args.tensor_count()).filter_map(|i| args.tensor(i).ok()).find(|t| t.rank == 4);
    let t = keys.and_then(|k| k.dims().get(2).map(|d| d.unsigned_abs())).unwrap_or(0);
    work.cube_flops = elements(&out).saturating_mul(t).saturating_mul(4);
    work.cube_element = 2;
    let width = out.dims().last().map_or(1, |d| d.unsigned_abs().max(1));
    work.vector_ops = (elements(&out) / width).saturating_mul(t).saturating_mul(8);
    Ok(work)
}

/// Tensors dq `[B, H, G, S, D]`, dk and dv `[B, H, T, D]` among others: five products.
pub fn attention_backward(args: &ArgsView<'_>) -> Result<Work, ArgsError> {
    let mut work = attention(args)?;
    work.cube_flops = work.cube_flops.saturating_mul(5) / 2;
    work.vector_ops = work.vector_ops.saturating_mul(2);
    for i in 1..3 {
        let moved = bytes(&args.tensor(i)?);
        work.bytes_read = work.bytes_read.saturating_sub(moved);
        work.bytes_written = work.bytes_written.saturating_add(moved);
    }
    Ok(work)
}

/// Tensors x `[.., m, n]` and others.
pub fn triangular_solve(args: &ArgsView<'_>) -> Result<Work, ArgsError> {
    let mut work = streaming(args, 1, 1)?;
    let x = args.tensor(0)?;
    let m = x.dims().iter().rev().nth(1).map_or(1, |d| d.unsigned_abs());
    work.vector_ops = elements(&x).saturating_mul(m);
    Ok(work)
}
