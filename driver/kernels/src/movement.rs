//! Kernels that move data: copies of strided views, casts, constants, sequences, concatenation.

use std::slice;

use vinci_hw::args::{ArgsError, ArgsView, DType};

use crate::arith::Arith;
use crate::lane::{Lane, common_lane, lane_of, with_lane};
use crate::tile::{for_each, for_ranges, map, map_ordered};
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// Tensors out, a: any strides, any types.
pub fn copy(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    copy_view(ctx, &out, &a);
    Ok(())
}

/// Copies between views of the same dimensions.
pub fn copy_view(ctx: &Ctx<'_>, out: &Tensor, a: &Tensor) {
    if out.count == 0 {
        return;
    }
    if out.dtype == a.dtype {
        return match a.dtype.size() {
            1 => copy_bits::<u8>(ctx, out, a),
            2 => copy_bits::<u16>(ctx, out, a),
            4 => copy_bits::<u32>(ctx, out, a),
            _ => copy_bits::<u64>(ctx, out, a),
        };
    }
    // A float that becomes an integer is truncated from its own type, an integer that becomes a float rounds once.
    let kind = match out.dtype {
        DType::F64 => common_lane(a.dtype, out.dtype),
        _ => lane_of(a.dtype),
    };
    with_lane!(kind, L => map::<L, 1>(ctx, out, [a], &|_, [a], out| out.copy_from_slice(a)));
}

/// Edge of the square blocks in which a transposing copy goes.
const BLOCK: usize = 32;

fn copy_bits<T: Copy>(ctx: &Ctx<'_>, out: &Tensor, a: &Tensor) {
    let order = out.order();
    let (to, from) = (out.walk(&order), a.walk(&order));
    if to.single_stride() == Some(1) && from.single_stride() == Some(1) {
        for_ranges(ctx, out.count, &|start, end| {
            // SAFETY: both tensors are `count` elements in sequence and resolved; `copy` allows overlap.
            unsafe {
                let (to, from) = (out.at(start as isize), a.at(start as isize));
                std::ptr::copy(from, to, (end - start) * size_of::<T>());
            }
        });
        return;
    }
    if let Some(plane) = Plane::of(out, a, &order) {
        return plane.transpose::<T>(ctx, out, a);
    }
    for_ranges(ctx, out.count, &|start, end| {
        to.segments(start, end - start, |position, to_offset, to_stride, n| {
            from.segments(start + position, n, |at, from_offset, from_stride, n| {
                // SAFETY: walks stay within the tensors, which are resolved.
                unsafe {
                    let t = out.at(to_offset + at as isize * to_stride).cast::<T>();
                    let f = a.at(from_offset).cast::<T>();
                    if to_stride == 1 && from_stride == 1 {
                        std::ptr::copy(f.cast::<u8>(), t.cast::<u8>(), n * size_of::<T>());
                        return;
                    }
                    for i in 0..n as isize {
                        t.offset(i * to_stride).write_unaligned(f.offset(i * from_stride).read_unaligned());
                    }
                }
            });
        });
    });
}

/// Two dimensions of a copy: the output runs along one, the input along the other.
struct Plane {
    /// Dimension along which the output is contiguous.
    row: usize,
    /// Dimension along which the input is contiguous.
    column: usize,
    /// The dimensions around them.
    others: crate::view::Walk,
    others_in: crate::view::Walk,
}

impl Plane {
    fn of(out: &Tensor, a: &Tensor, order: &[u8; 8]) -> Option<Self> {
        let dims = || order[..out.rank].iter().map(|&d| usize::from(d));
        let row = dims().rev().find(|&d| out.dims[d] > 1)?;
        let column =
            dims().rev().filter(|&d| out.dims[d] > 1).min_by_key(|&d| a.strides[d].unsigned_abs())?;
        let worth = row != column && out.dims[row] >= 8 && out.dims[column] >= 8;
        if !worth || out.strides[row].abs() != 1 {
            return None;
        }
        let (mut others, mut others_in) = (crate::view::Walk::default(), crate::view::Walk::default());
        for d in dims().filter(|&d| d != row && d != column) {
            others.push(out.dims[d], out.strides[d]);
            others_in.push(a.dims[d], a.strides[d]);
        }
        Some(Self { row, column, others, others_in })
    }

    fn transpose<T: Copy>(&self, ctx: &Ctx<'_>, out: &Tensor, a: &Tensor) {
        let (rows, columns) = (out.dims[self.row], out.dims[self.column]);
        let (to_row, to_column) = (out.strides[self.row], out.strides[self.column]);
        let (from_row, from_column) = (a.strides[self.row], a.strides[self.column]);
        let strips = columns.div_ceil(BLOCK);
        let planes = out.count.checked_div(rows * columns).unwrap_or(0);
        for_each(ctx, planes * strips, out.count, &|i| {
            let plane = i / strips;
            let (to, from) = (self.others.offset(plane), self.others_in.offset(plane));
            let first = i % strips * BLOCK;
            let width = BLOCK.min(columns - first);
            for start in (0..rows).step_by(BLOCK) {
                for c in first..first + width {
                    let (c, r) = (c as isize, start as isize);
                    // SAFETY: indices below the dimensions of both tensors, which are resolved.
                    unsafe {
                        let t = out.at(to + c * to_column + r * to_row).cast::<T>();
                        let f = a.at(from + c * from_column + r * from_row).cast::<T>();
                        for i in 0..BLOCK.min(rows - start) as isize {
                            t.offset(i * to_row).write_unaligned(f.offset(i * from_row).read_unaligned());
                        }
                    }
                }
            }
        });
    }
}

/// Tensor out; attributes value as float and as integer.
pub fn fill(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let (f, i) = (args.attr_f64(0)?, args.attr_i64(1)?);
    with_lane!(lane_of(out.dtype), L => {
        let value = if out.dtype == DType::Bool { L::truth(f != 0.0 || i != 0) } else { L::scalar(f, i) };
        if out.walk(&out.order()).single_stride() == Some(1) {
            let mut bits = [0u8; 8];
            // SAFETY: the buffer holds an element of any type.
            unsafe { L::storer(out.dtype)(bits.as_mut_ptr(), 1, &[value]) };
            let size = out.dtype.size();
            match size {
                // Of zeros above all.
                _ if bits[..size].iter().all(|b| *b == bits[0]) => fill_bytes(ctx, &out, bits[0]),
                2 => fill_bits(ctx, &out, u16::from_ne_bytes([bits[0], bits[1]])),
                4 => fill_bits(ctx, &out, u32::from_ne_bytes([bits[0], bits[1], bits[2], bits[3]])),
                _ => fill_bits(ctx, &out, u64::from_ne_bytes(bits)),
            }
        } else {
            map::<L, 0>(ctx, &out, [], &|_, [], out| out.fill(value));
        }
    });
    Ok(())
}

/// Fills elements that lie in sequence, all bytes being the same.
fn fill_bytes(ctx: &Ctx<'_>, out: &Tensor, value: u8) {
    let size = out.dtype.size();
    for_ranges(ctx, out.count, &|start, end| {
        // SAFETY: elements of the resolved output.
        unsafe { out.at(start as isize).write_bytes(value, (end - start) * size) };
    });
}

/// Fills elements that lie in sequence.
fn fill_bits<T: Copy + Sync>(ctx: &Ctx<'_>, out: &Tensor, value: T) {
    if out.base.cast::<T>().is_aligned() {
        return for_ranges(ctx, out.count, &|start, end| {
            // SAFETY: elements of the resolved output, which lie in sequence; ranges do not overlap.
            let part = unsafe { slice::from_raw_parts_mut(out.at(start as isize).cast::<T>(), end - start) };
            part.fill(value);
        });
    }
    for_ranges(ctx, out.count, &|start, end| {
        for i in start..end {
            // SAFETY: elements of the resolved output.
            unsafe { out.at(i as isize).cast::<T>().write_unaligned(value) };
        }
    });
}

/// Tensor out; attributes start and step as floats, then as integers.
pub fn arange(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let logical_order = [0, 1, 2, 3, 4, 5, 6, 7];
    if out.dtype.is_float() {
        let (start, step) = (args.attr_f64(0)?, args.attr_f64(1)?);
        map_ordered::<f64, 0>(ctx, &out, &logical_order, [], &|first, [], out| {
            out.iter_mut().enumerate().for_each(|(i, o)| *o = start + (first + i) as f64 * step);
        });
    } else {
        let (start, step) = (args.attr_i64(2)?, args.attr_i64(3)?);
        map_ordered::<i64, 0>(ctx, &out, &logical_order, [], &|first, [], out| {
            for (i, o) in out.iter_mut().enumerate() {
                *o = start.wrapping_add(((first + i) as i64).wrapping_mul(step));
            }
        });
    }
    Ok(())
}

/// Tensors out, inputs …; attribute dim: the inputs one behind the other along `dim`.
pub fn cat(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let dim = dimension(args, 0, out.rank)?;
    let mut at = 0;
    for index in 1..args.tensor_count() {
        let t = args.tensor(index)?;
        let fits = t.rank as usize == out.rank
            && (0..out.rank).all(|d| d == dim || usize::try_from(t.dims[d]) == Ok(out.dims[d]));
        let width = usize::try_from(t.dims[dim]).unwrap_or(usize::MAX);
        if !fits || width > out.dims[dim] - at {
            return Err(ArgsError::BadTensor(index).into());
        }
        let a = Tensor::input(ctx, args, index)?;
        let mut part = out.shifted((at as isize).wrapping_mul(out.strides[dim]));
        part.dims[dim] = width;
        part.count = a.count;
        copy_view(ctx, &part, &a);
        at += width;
    }
    if at == out.dims[dim] { Ok(()) } else { Err(ArgsError::BadTensor(0).into()) }
}

/// Attribute `index` as a dimension of a tensor of `rank` dimensions; negative ones count from the end.
pub fn dimension(args: &ArgsView<'_>, index: usize, rank: usize) -> Result<usize, KernelFault> {
    let d = args.attr_i64(index)?;
    let from_start = if d < 0 { d + rank as i64 } else { d };
    match usize::try_from(from_start) {
        Ok(d) if d < rank => Ok(d),
        _ => Err(KernelFault::Exception { what: "no such dimension", value: d }),
    }
}
