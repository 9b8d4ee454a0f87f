//! Elements named by tensors of indices: read, written, added to.
//!
//! The leading dimensions of the indexed tensor are named, one tensor of indices each; the trailing ones go along
//! whole, as a block. Indices below zero count from the end.

use std::sync::atomic::{AtomicI64, Ordering};

use vinci_hw::args::{ArgsError, ArgsView, MAX_RANK};

use crate::arith::Arith;
use crate::lane::{TILE, lane_of, with_lane};
use crate::tile::{PARALLEL, Sink, Source, for_each};
use crate::view::{Tensor, Walk};
use crate::{Ctx, KernelFault};

const IN_ORDER: [u8; MAX_RANK] = [0, 1, 2, 3, 4, 5, 6, 7];
/// No index: what is out of range is larger or smaller.
const NONE: i64 = i64::MIN;

/// The tensors of indices and what they index.
struct Lookup {
    indices: Vec<(Source<i64>, i64, isize)>,
    /// Positions of the indices.
    count: usize,
    wrong: AtomicI64,
}

impl Lookup {
    /// Tensors from `first` on, over the leading dimensions of `table`.
    fn new(
        ctx: &Ctx<'_>,
        args: &ArgsView<'_>,
        first: usize,
        table: &Tensor,
        dims: &[usize],
    ) -> Result<Self, KernelFault> {
        let mut indices = Vec::new();
        for (d, i) in (first..args.tensor_count()).enumerate() {
            let t = Tensor::input(ctx, args, i)?;
            if t.dims() != dims || t.dtype.is_float() || d >= table.rank {
                return Err(ArgsError::BadTensor(i).into());
            }
            indices.push((Source::new(&t, &IN_ORDER), table.dims[d] as i64, table.strides[d]));
        }
        let count = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).unwrap_or(0);
        Ok(Self { indices, count, wrong: AtomicI64::new(NONE) })
    }

    /// Offsets of the blocks at positions `start..`; `None` for one out of range, which is remembered.
    fn offsets(&self, start: usize, out: &mut [Option<isize>]) {
        out.fill(Some(0));
        let mut tile = [0; TILE];
        for (source, size, stride) in &self.indices {
            let tile = &mut tile[..out.len()];
            source.read(start, tile);
            for (offset, &index) in out.iter_mut().zip(&*tile) {
                let from_start = if index < 0 { index.wrapping_add(*size) } else { index };
                if (0..*size).contains(&from_start) {
                    *offset = offset.map(|o| o + from_start as isize * stride);
                } else {
                    *offset = None;
                    self.wrong.store(index, Ordering::Relaxed);
                }
            }
        }
    }

    fn result(&self) -> Result<(), KernelFault> {
        match self.wrong.load(Ordering::Relaxed) {
            NONE => Ok(()),
            value => Err(KernelFault::Exception { what: "index out of range", value }),
        }
    }
}

/// The two parts of a tensor's dimensions.
fn split(t: &Tensor, first: usize) -> (Walk, Walk) {
    let (mut lead, mut block) = (Walk::default(), Walk::default());
    for d in 0..t.rank {
        (if d < first { &mut lead } else { &mut block }).push(t.dims[d], t.strides[d]);
    }
    (lead, block)
}

/// Copies `n` elements of a block.
///
/// # Safety
/// The walks must stay within resolved memory from both addresses on.
unsafe fn copy_block<T: Copy>(to: *mut T, to_walk: &Walk, from: *const T, from_walk: &Walk, n: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if let (Some(1), Some(1)) = (to_walk.single_stride(), from_walk.single_stride()) {
            return std::ptr::copy(from.cast::<u8>(), to.cast::<u8>(), n * size_of::<T>());
        }
        to_walk.segments(0, n, |at, to_offset, to_stride, length| {
            from_walk.segments(at, length, |skip, from_offset, from_stride, length| {
                for i in 0..length as isize {
                    let t = to.offset(to_offset + (skip as isize + i) * to_stride);
                    t.write_unaligned(from.offset(from_offset + i * from_stride).read_unaligned());
                }
            });
        });
    }
}

macro_rules! by_size {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype.size() {
            1 => {
                type $T = u8;
                $body
            }
            2 => {
                type $T = u16;
                $body
            }
            4 => {
                type $T = u32;
                $body
            }
            _ => {
                type $T = u64;
                $body
            }
        }
    };
}

/// The number of leading dimensions that `indexed` names and the dimensions of the positions.
fn shape<'a>(
    args: &ArgsView<'_>,
    table: &Tensor,
    values: &'a Tensor,
    first: usize,
) -> Result<(usize, &'a [usize]), KernelFault> {
    let named = args.tensor_count().saturating_sub(first);
    let block = table.rank.checked_sub(named).filter(|_| named > 0).ok_or(ArgsError::BadTensor(first - 1))?;
    let lead = values.rank.checked_sub(block).ok_or(ArgsError::BadTensor(0))?;
    if values.dims[lead..values.rank] != table.dims[named..table.rank] {
        return Err(ArgsError::BadTensor(0).into());
    }
    Ok((named, &values.dims[..lead]))
}

/// Tensors out `[I.., R..]`, table `[N1, …, Nm, R..]` of the same type, m tensors of indices `[I..]`.
pub fn read(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let table = Tensor::input(ctx, args, 1)?;
    let (named, positions) = shape(args, &table, &out, 2)?;
    if table.dtype != out.dtype {
        return Err(ArgsError::BadTensor(1).into());
    }
    let lookup = Lookup::new(ctx, args, 2, &table, positions)?;
    let ((lead, to), (_, from)) = (split(&out, positions.len()), split(&table, named));
    let block = out.count.checked_div(lookup.count).unwrap_or(0);
    if block == 0 {
        return Ok(());
    }
    let tiles = lookup.count.div_ceil(64);
    for_each(ctx, tiles, out.count, &|tile| {
        let start = tile * 64;
        let mut offsets = [None; 64];
        let offsets = &mut offsets[..64.min(lookup.count - start)];
        lookup.offsets(start, offsets);
        lead.segments(start, offsets.len(), |at, first, stride, n| {
            for (i, offset) in offsets[at..at + n].iter().enumerate() {
                let Some(offset) = *offset else { continue };
                // SAFETY: positions of the output's walk, and indices below the table's dimensions.
                by_size!(out.dtype, T => unsafe {
                    let to_at = out.at(first + i as isize * stride).cast::<T>();
                    copy_block(to_at, &to, table.at(offset).cast::<T>(), &from, block)
                });
            }
        });
    });
    lookup.result()
}

/// Tensors table `[N1, …, Nm, R..]`, values `[I.., R..]`, m tensors of indices `[I..]`; attribute whether values are
/// added instead of stored. Of positions that name the same block the last is stored, and all are added.
pub fn write(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let table = Tensor::output(ctx, args, 0)?;
    let values = Tensor::input(ctx, args, 1)?;
    let accumulate = args.attr(0)? != 0;
    let (named, positions) = shape(args, &table, &values, 2)?;
    let lookup = Lookup::new(ctx, args, 2, &table, positions)?;
    let ((lead, from), (_, to)) = (split(&values, positions.len()), split(&table, named));
    let block = values.count.checked_div(lookup.count).unwrap_or(0);
    if block == 0 {
        return Ok(());
    }
    with_lane!(lane_of(if accumulate { table.dtype } else { values.dtype }), L => {
        let (mut new, mut old) = ([L::ZERO; TILE], [L::ZERO; TILE]);
        let mut offsets = [None; TILE];
        for start in (0..lookup.count).step_by(TILE) {
            let offsets = &mut offsets[..TILE.min(lookup.count - start)];
            lookup.offsets(start, offsets);
            for (i, offset) in offsets.iter().enumerate() {
                let Some(offset) = *offset else { continue };
                let source = Source::<L>::part(&values, lead.offset(start + i), &from);
                let (sink, before) = (Sink::<L>::part(&table, offset, &to), Source::<L>::part(&table, offset, &to));
                for at in (0..block).step_by(TILE) {
                    let n = TILE.min(block - at);
                    source.read(at, &mut new[..n]);
                    if accumulate {
                        before.read(at, &mut old[..n]);
                        new[..n].iter_mut().zip(&old).for_each(|(a, &b)| *a = b.add(*a));
                    }
                    sink.write(at, &new[..n]);
                }
            }
        }
    });
    lookup.result()
}

/// Tensors out `[V, D]` (float32 or float64, zeroed here), grad `[n, D]`, indices `[n]`; attributes the index that has
/// no gradient (or one out of range), whether a gradient is divided by how often its index occurs.
pub fn embedding_backward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let grad = Tensor::input(ctx, args, 1)?;
    let index = Tensor::input(ctx, args, 2)?;
    let (padding, by_frequency) = (args.attr_i64(0)?, args.attr(1)? != 0);
    if out.rank != 2 || grad.rank != 2 || index.rank != 1 || index.dtype.is_float() {
        return Err(ArgsError::BadTensor(0).into());
    }
    let (words, width, n) = (out.dims[0], out.dims[1], index.dims[0]);
    if grad.dims[0] != n || grad.dims[1] != width {
        return Err(ArgsError::BadTensor(1).into());
    }
    if out.count == 0 {
        return Ok(());
    }
    let mut indices = vec![0i64; n];
    Source::new(&index, &IN_ORDER).read(0, &mut indices);
    if let Some(&value) = indices.iter().find(|&&i| !(0..words as i64).contains(&i) && i != padding) {
        return Err(KernelFault::Exception { what: "index out of range", value });
    }
    let mut times = vec![0u32; if by_frequency { words } else { 0 }];
    if by_frequency {
        indices.iter().filter(|&&i| i >= 0 && i != padding).for_each(|&i| times[i as usize] += 1);
    }
    let (rows, from) = split(&grad, 1);
    let (lines, to) = split(&out, 1);
    with_lane!(lane_of(out.dtype), L => {
        // Each thread owns some words.
        let parts = if ctx.parallel && grad.count >= PARALLEL { rayon::current_num_threads().min(words).max(1) } else { 1 };
        for_each(ctx, parts, grad.count + out.count, &|part| {
            let (mut sum, mut term) = ([L::ZERO; TILE], [L::ZERO; TILE]);
            let own = part * words / parts..(part + 1) * words / parts;
            for at in (0..width).step_by(TILE) {
                let m = TILE.min(width - at);
                for line in own.clone() {
                    Sink::<L>::part(&out, lines.offset(line), &to).write(at, &[L::ZERO; TILE][..m]);
                }
                for (i, &index) in indices.iter().enumerate() {
                    if index == padding || !own.contains(&(index as usize)) {
                        continue;
                    }
                    let offset = lines.offset(index as usize);
                    Source::<L>::part(&grad, rows.offset(i), &from).read(at, &mut term[..m]);
                    Source::<L>::part(&out, offset, &to).read(at, &mut sum[..m]);
                    let scale = if by_frequency { L::from_f64(1.0 / f64::from(times[index as usize])) } else { L::ONE };
                    sum[..m].iter_mut().zip(&term).for_each(|(s, &t)| *s = s.add(t.mul(scale)));
                    Sink::<L>::part(&out, offset, &to).write(at, &sum[..m]);
                }
            }
        });
    });
    Ok(())
}
