//! What training needs beside gradients: the scale of mixed precision, and the bands that attention sees.

use vinci_hw::args::{ArgsError, ArgsView, MAX_RANK};

use crate::lane::Lane;
use crate::tile::{Sink, Source, for_each};
use crate::view::{Tensor, Walk};
use crate::{Ctx, KernelFault};

const IN_ORDER: [u8; MAX_RANK] = [0, 1, 2, 3, 4, 5, 6, 7];

/// Tensors new scale, new tracker, scale, tracker, found infinity, one element each; attributes growth, backoff,
/// interval.
pub fn amp_update_scale(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let (new_scale, new_tracker) = (Tensor::output(ctx, args, 0)?, Tensor::output(ctx, args, 1)?);
    let (growth, backoff, interval) = (args.attr_f64(0)?, args.attr_f64(1)?, args.attr_i64(2)?);
    let one = |i: usize| -> Result<f64, KernelFault> {
        let t = Tensor::input(ctx, args, i)?;
        if t.count != 1 {
            return Err(ArgsError::BadTensor(i).into());
        }
        let mut v = [0.0];
        Source::<f64>::new(&t, &IN_ORDER).read(0, &mut v);
        Ok(v[0])
    };
    if new_scale.count != 1 || new_tracker.count != 1 {
        return Err(ArgsError::BadTensor(0).into());
    }
    let (scale, tracker, found) = (one(2)?, one(3)?, one(4)?);
    let (scale, tracker) = if found != 0.0 {
        (scale * backoff, 0.0)
    } else if tracker + 1.0 == interval as f64 {
        // As long as it is a number of float32.
        let grown = scale * growth;
        (if (grown as f32).is_finite() { grown } else { scale }, 0.0)
    } else {
        (scale, tracker + 1.0)
    };
    Sink::<f64>::new(&new_scale, &IN_ORDER).write(0, &[scale]);
    Sink::<f64>::new(&new_tracker, &IN_ORDER).write(0, &[tracker]);
    Ok(())
}

/// Tensor out, matrices; attributes value, low, high: the value where column − row is below low or above high.
pub fn band_fill(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let (value, low, high) = (args.attr_f64(0)?, args.attr_i64(1)?, args.attr_i64(2)?);
    if out.rank < 2 {
        return Err(ArgsError::BadTensor(0).into());
    }
    let (rows, columns) = (out.dims[out.rank - 2], out.dims[out.rank - 1]);
    let mut lines = Walk::default();
    (0..out.rank - 1).for_each(|d| lines.push(out.dims[d], out.strides[d]));
    let stride = out.strides[out.rank - 1];
    let store = f64::storer(out.dtype);
    let tile = [value; 512];
    for_each(ctx, out.count.checked_div(columns).unwrap_or(0), out.count, &|line| {
        let row = (line % rows) as i64;
        let bound = |v: i64| row.saturating_add(v).clamp(0, columns as i64) as usize;
        let seen = bound(low)..bound(high.saturating_add(1));
        for hidden in [0..seen.start.min(columns), seen.end.max(seen.start)..columns] {
            for at in hidden.clone().step_by(tile.len()) {
                let n = tile.len().min(hidden.end - at);
                // SAFETY: columns of a line of the resolved output.
                unsafe { store(out.at(lines.offset(line) + at as isize * stride), stride, &tile[..n]) };
            }
        }
    });
    Ok(())
}
