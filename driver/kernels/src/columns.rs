//! Convolutions as matrix products: the windows of an image as columns, and back.

use vinci_hw::args::{ArgsError, ArgsView};

use crate::lane::{Lane, LaneKind, common_lane};
use crate::tile::for_each;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// Spatial dimensions; those that there are not have size 1.
const SPACE: usize = 3;

/// Where windows lie.
struct Windows {
    kernel: [usize; SPACE],
    stride: [isize; SPACE],
    padding: [isize; SPACE],
    dilation: [isize; SPACE],
}

impl Windows {
    fn new(args: &ArgsView<'_>) -> Result<Self, KernelFault> {
        let three = |first: usize| -> Result<[i64; SPACE], ArgsError> {
            Ok([args.attr_i64(first)?, args.attr_i64(first + 1)?, args.attr_i64(first + 2)?])
        };
        let [kernel, stride, padding, dilation] = [three(0)?, three(3)?, three(6)?, three(9)?];
        let bounded = |v: &[i64], low: i64| v.iter().all(|v| (low..1 << 20).contains(v));
        if !bounded(&kernel, 0) || !bounded(&stride, 1) || !bounded(&padding, 0) || !bounded(&dilation, 1) {
            return Err(KernelFault::Unsupported("a window of negative size, stride or dilation"));
        }
        Ok(Self {
            kernel: kernel.map(|v| v as usize),
            stride: stride.map(|v| v as isize),
            padding: padding.map(|v| v as isize),
            dilation: dilation.map(|v| v as isize),
        })
    }

    /// Checks `columns` `[N, C, K0, K1, K2, L0, L1, L2]` against `image` `[N, C, D0, D1, D2]`.
    fn check(&self, columns: &Tensor, image: &Tensor) -> Result<(), KernelFault> {
        // No more windows than begin in the padded image.
        let few =
            |d: usize| columns.dims[5 + d] <= image.dims[2 + d].saturating_add(2 * self.padding[d] as usize);
        let fits = columns.rank == 8
            && image.rank == 5
            && columns.dims[..2] == image.dims[..2]
            && columns.dims[2..5] == self.kernel
            && (0..SPACE).all(few);
        if fits { Ok(()) } else { Err(ArgsError::BadTensor(0).into()) }
    }
}

/// Tensors columns `[N, C, K0, K1, K2, L0, L1, L2]`, image `[N, C, D0, D1, D2]`; attributes kernel, stride, padding,
/// dilation, three each: what stands under element k of the kernel at window l; 0 beyond the edge.
pub fn unfold(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let columns = Tensor::output(ctx, args, 0)?;
    let image = Tensor::input(ctx, args, 1)?;
    let w = Windows::new(args)?;
    w.check(&columns, &image)?;
    if columns.count == 0 || image.count == 0 {
        return Ok(());
    }
    match common_lane(columns.dtype, image.dtype) {
        LaneKind::F64 => unfold_in::<f64>(ctx, &columns, &image, &w),
        _ => unfold_in::<f32>(ctx, &columns, &image, &w),
    }
    Ok(())
}

fn unfold_in<L: Lane>(ctx: &Ctx<'_>, columns: &Tensor, image: &Tensor, w: &Windows) {
    let c = &columns.dims;
    let (load, store) = (L::loader(image.dtype), L::storer(columns.dtype));
    let lines = c[0] * c[1] * c[2] * c[3] * c[4];
    for_each(ctx, lines, columns.count, &|line| {
        let mut row = vec![L::ZERO; c[7]];
        let k = [line / (c[3] * c[4]) % c[2], line / c[4] % c[3], line % c[4]];
        let channel = line / (c[2] * c[3] * c[4]);
        let at =
            |t: &Tensor| (channel / c[1]) as isize * t.strides[0] + (channel % c[1]) as isize * t.strides[1];
        let to = at(columns) + (0..SPACE).map(|d| k[d] as isize * columns.strides[2 + d]).sum::<isize>();
        let place =
            |d: usize, l: usize| l as isize * w.stride[d] - w.padding[d] + k[d] as isize * w.dilation[d];
        let inside = |d: usize, p: isize| (0..image.dims[2 + d] as isize).contains(&p);
        // Windows whose element lies inside, along the last dimension.
        let first = (0..c[7]).find(|&l| inside(2, place(2, l))).unwrap_or(c[7]);
        let last = (first..c[7]).take_while(|&l| inside(2, place(2, l))).count() + first;
        for l0 in 0..c[5] {
            for l1 in 0..c[6] {
                let (p0, p1) = (place(0, l0), place(1, l1));
                row.fill(L::ZERO);
                if inside(0, p0) && inside(1, p1) && first < last {
                    let from = at(image)
                        + p0 * image.strides[2]
                        + p1 * image.strides[3]
                        + place(2, first) * image.strides[4];
                    // SAFETY: all three places lie inside the image, for each window from `first` to `last`.
                    unsafe { load(image.at(from), w.stride[2] * image.strides[4], &mut row[first..last]) };
                }
                let to = to + l0 as isize * columns.strides[5] + l1 as isize * columns.strides[6];
                // SAFETY: indices below the dimensions of the columns.
                unsafe { store(columns.at(to), columns.strides[7], &row) };
            }
        }
    });
}

/// Tensors image `[N, C, D0, D1, D2]`, columns `[N, C, K0, K1, K2, L0, L1, L2]`; attributes as [`unfold`]: the sum of
/// all that was taken from each place.
pub fn fold(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let image = Tensor::output(ctx, args, 0)?;
    let columns = Tensor::input(ctx, args, 1)?;
    let w = Windows::new(args)?;
    w.check(&columns, &image)?;
    if image.count == 0 {
        return Ok(());
    }
    match common_lane(columns.dtype, image.dtype) {
        LaneKind::F64 => fold_in::<f64>(ctx, &image, &columns, &w),
        _ => fold_in::<f32>(ctx, &image, &columns, &w),
    }
    Ok(())
}

fn fold_in<L: Lane>(ctx: &Ctx<'_>, image: &Tensor, columns: &Tensor, w: &Windows) {
    let (c, size) = (&columns.dims, &image.dims[2..5]);
    let (load, store) = (L::loader(columns.dtype), L::storer(image.dtype));
    let plane: usize = size.iter().product();
    if plane == 0 {
        return;
    }
    for_each(ctx, c[0] * c[1], columns.count, &|channel| {
        let mut sums = vec![L::ZERO; plane];
        let mut row = vec![L::ZERO; c[7]];
        let at =
            |t: &Tensor| (channel / c[1]) as isize * t.strides[0] + (channel % c[1]) as isize * t.strides[1];
        let base = at(columns);
        for k in 0..c[2] * c[3] * c[4] {
            let k = [k / (c[3] * c[4]), k / c[4] % c[3], k % c[4]];
            let place = |d: usize, l: usize| {
                let p = l as isize * w.stride[d] - w.padding[d] + k[d] as isize * w.dilation[d];
                usize::try_from(p).ok().filter(|&p| p < size[d])
            };
            let from = base + (0..SPACE).map(|d| k[d] as isize * columns.strides[2 + d]).sum::<isize>();
            for l0 in 0..c[5] {
                let Some(p0) = place(0, l0) else { continue };
                for l1 in 0..c[6] {
                    let Some(p1) = place(1, l1) else { continue };
                    let from = from + l0 as isize * columns.strides[5] + l1 as isize * columns.strides[6];
                    // SAFETY: indices below the dimensions of the columns.
                    unsafe { load(columns.at(from), columns.strides[7], &mut row) };
                    let line = (p0 * size[1] + p1) * size[2];
                    for (l2, &v) in row.iter().enumerate() {
                        if let Some(p2) = place(2, l2) {
                            sums[line + p2] = sums[line + p2].add(v);
                        }
                    }
                }
            }
        }
        for (line, sums) in sums.chunks(size[2]).enumerate() {
            let to = at(image)
                + (line / size[1]) as isize * image.strides[2]
                + (line % size[1]) as isize * image.strides[3];
            // SAFETY: indices below the dimensions of the image.
            unsafe { store(image.at(to), image.strides[4], sums) };
        }
    });
}
