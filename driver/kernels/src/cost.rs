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
