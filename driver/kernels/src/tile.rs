//! The tile engine of elementwise kernels: load a tile of each input, compute, store the result.
//!
//! A tile lies in a small array on the stack, the kernel's unified buffer. Whatever the types and strides in
//! memory are, the computing loop in the middle sees slices of one [`Lane`] type, and an output may be an input.
//! Where memory holds just such slices, nothing is copied.

use std::slice;

use rayon::prelude::*;

use crate::Ctx;
use crate::lane::{Lane, Load, Store, TILE};
use crate::view::{Tensor, Walk};

/// Elements from which on it pays to wake other threads.
pub const PARALLEL: usize = 1 << 15;

/// An input on its way into tiles.
pub struct Source<L> {
    tensor: Tensor,
    walk: Walk,
    load: Load<L>,
}

/// The output of tiles.
pub struct Sink<L> {
    tensor: Tensor,
    walk: Walk,
    store: Store<L>,
}

/// Whether what lies in memory are tiles: lanes, aligned and in sequence.
fn is_tiles<L: Lane>(tensor: &Tensor, walk: &Walk) -> bool {
    let is_aligned = tensor.base.cast::<L>().is_aligned();
    tensor.dtype == L::DTYPE && is_aligned && walk.single_stride() == Some(1)
}

impl<L: Lane> Source<L> {
    /// Reads `tensor` in `order`.
    pub fn new(tensor: &Tensor, order: &[u8; 8]) -> Self {
        Self::part(tensor, 0, &tensor.walk(order))
    }

    /// Reads the part of `tensor` that begins `offset` elements from its element 0 and goes along `walk`.
    pub fn part(tensor: &Tensor, offset: isize, walk: &Walk) -> Self {
        Self { tensor: tensor.shifted(offset), walk: *walk, load: L::loader(tensor.dtype) }
    }

    /// Reads elements from number `start` on.
    #[inline]
    pub fn read(&self, start: usize, out: &mut [L]) {
        self.read_shifted(0, start, out);
    }

    /// The elements from number `start` on, in `room` if they do not lie in memory as they are needed.
    ///
    /// # Safety
    /// Nobody writes them while the slice lives.
    #[inline]
    unsafe fn tile<'a>(&self, start: usize, room: &'a mut [L]) -> &'a [L] {
        if is_tiles::<L>(&self.tensor, &self.walk) {
            // SAFETY: resolved lanes, aligned and in sequence; the caller's promise.
            return unsafe { slice::from_raw_parts(self.tensor.at(start as isize).cast(), room.len()) };
        }
        self.read(start, room);
        room
    }

    /// Reads elements from number `start` on, of the part that begins `shift` elements further.
    #[inline]
    pub fn read_shifted(&self, shift: isize, start: usize, out: &mut [L]) {
        let length = out.len();
        self.walk.segments(start, length, |position, offset, stride, n| {
            // SAFETY: walks, and shifts that walks gave, stay within the dimensions of the resolved tensor.
            unsafe { (self.load)(self.tensor.at(shift + offset), stride, &mut out[position..position + n]) }
        });
    }
}

impl<L: Lane> Sink<L> {
    /// Writes `tensor` in `order`.
    pub fn new(tensor: &Tensor, order: &[u8; 8]) -> Self {
        Self::part(tensor, 0, &tensor.walk(order))
    }

    /// Writes the part of `tensor` that begins `offset` elements from its element 0 and goes along `walk`.
    pub fn part(tensor: &Tensor, offset: isize, walk: &Walk) -> Self {
        Self { tensor: tensor.shifted(offset), walk: *walk, store: L::storer(tensor.dtype) }
    }

    /// Writes elements from number `start` on.
    #[inline]
    pub fn write(&self, start: usize, values: &[L]) {
        self.walk.segments(start, values.len(), |position, offset, stride, n| {
            // SAFETY: the walk stays within the tensor's dimensions, all of which were resolved.
            unsafe { (self.store)(self.tensor.at(offset), stride, &values[position..position + n]) }
        });
    }
}

/// What is done to tiles. Behind a pointer, so that the engine is compiled once for all kernels.
pub type TileOp<'a, L, const N: usize> = dyn Fn(usize, [&[L]; N], &mut [L]) + Sync + 'a;

/// Computes `out` from `inputs` of the same dimensions, a tile at a time. `op` gets the number of the tile's
/// first element in the order of the walk.
pub fn map<L: Lane, const N: usize>(
    ctx: &Ctx<'_>,
    out: &Tensor,
    inputs: [&Tensor; N],
    op: &TileOp<'_, L, N>,
) {
    map_ordered(ctx, out, &out.order(), inputs, op);
}

/// [`map`] in a given order of the dimensions.
pub fn map_ordered<L: Lane, const N: usize>(
    ctx: &Ctx<'_>,
    out: &Tensor,
    order: &[u8; 8],
    inputs: [&Tensor; N],
    op: &TileOp<'_, L, N>,
) {
    let sources = inputs.map(|t| Source::<L>::new(t, order));
    let sink = Sink::<L>::new(out, order);
    let straight = is_tiles::<L>(out, &sink.walk) && inputs.iter().all(|t| !t.overlaps(out));
    for_ranges(ctx, out.count, &|start, end| {
        let mut tiles = [[L::ZERO; TILE]; N];
        let mut result = [L::ZERO; TILE];
        let mut at = start;
        while at < end {
            let n = TILE.min(end - at);
            let mut rooms = tiles.iter_mut();
            let inputs = sources.each_ref().map(|source| {
                let room = rooms.next().map_or(&mut [][..], |tile| &mut tile[..n]);
                // SAFETY: this thread writes them after `op` only, and another kernel that wrote them now would be
                // a race of the program's, with values of its own in any case.
                unsafe { source.tile(at, room) }
            });
            if straight {
                // SAFETY: resolved lanes, aligned and in sequence, none of which is in `inputs`; ranges do not overlap.
                op(at, inputs, unsafe { slice::from_raw_parts_mut(sink.tensor.at(at as isize).cast(), n) });
            } else {
                op(at, inputs, &mut result[..n]);
                sink.write(at, &result[..n]);
            }
            at += n;
        }
    });
}

/// Splits `0..count` into ranges, in parallel if that pays.
pub fn for_ranges(ctx: &Ctx<'_>, count: usize, body: &(dyn Fn(usize, usize) + Sync)) {
    if count == 0 {
        return;
    }
    let threads = if ctx.parallel && count >= PARALLEL { rayon::current_num_threads() } else { 1 };
    if threads == 1 {
        return body(0, count);
    }
    let chunk = count.div_ceil(threads * 4).max(PARALLEL / 4).next_multiple_of(TILE);
    (0..count.div_ceil(chunk)).into_par_iter().for_each(|i| body(i * chunk, ((i + 1) * chunk).min(count)));
}

/// Runs `body(i)` for each `i` below `count`, in parallel if all of them together touch enough elements.
pub fn for_each(ctx: &Ctx<'_>, count: usize, elements: usize, body: &(dyn Fn(usize) + Sync)) {
    if ctx.parallel && count > 1 && elements >= PARALLEL && rayon::current_num_threads() > 1 {
        let least = (PARALLEL / 8 * count / elements).max(1);
        (0..count).into_par_iter().with_min_len(least).for_each(body);
    } else {
        (0..count).for_each(body);
    }
}
