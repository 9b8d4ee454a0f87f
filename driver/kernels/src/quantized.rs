//! Numbers of less than a byte.

use vinci_hw::args::{ArgsError, ArgsView, DType};

use crate::tile::map_ordered;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// Tensors out `[.., 2]`, packed `[..]` of bytes: each byte holds two signed numbers of 4 bits, the first in its low
/// half.
pub fn unpack_int4(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let packed = Tensor::input(ctx, args, 1)?;
    let fits = packed.rank + 1 == out.rank
        && out.dims[..packed.rank] == packed.dims[..packed.rank]
        && out.dims[packed.rank] == 2;
    if !fits || !matches!(packed.dtype, DType::I8 | DType::U8) {
        return Err(ArgsError::BadTensor(1).into());
    }
    // Each half of the bytes goes to every second element.
    for half in 0..2 {
        let mut to = out.shifted(half as isize * out.strides[packed.rank]);
        (to.rank, to.count) = (packed.rank, packed.count);
        to.dims[packed.rank] = 1;
        map_ordered::<i32, 1>(ctx, &to, &packed.order(), [&packed], &|_, [a], out| {
            for (o, &v) in out.iter_mut().zip(a) {
                *o = (v >> (4 * half)) << 28 >> 28;
            }
        });
    }
    Ok(())
}
