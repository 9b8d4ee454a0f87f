//! The HBM allocator of a die.
//!
//! Two levels of buddy trees: one over frames of 2 MiB, and one of pages inside each frame that is split. A
//! tree keeps, for every block, the largest free order below it, in one byte; allocation takes the lowest
//! address that fits, which keeps large blocks whole. Untouched split trees cost nothing.
//!
//! Every frame remembers which open file dirtied it, so that memory is scrubbed when, and only when, it
//! passes from one file to another.

use alloc::vec::Vec;

use crate::errno::{Errno, Result};
use crate::fallible::{TryPush, try_vec};

/// Bytes of a page, the smallest block.
pub const PAGE: u64 = 4096;
/// Bytes of a frame.
pub const FRAME: u64 = 2 << 20;
/// log2 of the pages of a frame.
const FRAME_ORDER: u32 = (FRAME / PAGE).ilog2();
/// Marks a frame that several files dirtied.
const MIXED: u32 = u32::MAX;
/// No split tree.
const WHOLE: u32 = u32::MAX;

/// A binary buddy tree over 2^depth units. `free[node]` is 1 + the largest free order below, or 0.
struct Buddies {
    depth: u32,
    free: Vec<u8>,
}

impl Buddies {
    fn new(depth: u32) -> Result<Self> {
        let mut free = try_vec(2 << depth, 0u8)?;
        for (node, f) in free.iter_mut().enumerate().skip(1) {
            *f = (depth - node.ilog2() + 1) as u8;
        }
        Ok(Self { depth, free })
    }

    fn largest(&self) -> Option<u32> {
        u32::from(self.free[1]).checked_sub(1)
    }

    /// Takes the lowest free block of 2^order units.
    fn alloc(&mut self, order: u32) -> Option<u64> {
        let need = order as u8 + 1;
        if self.free[1] < need {
            return None;
        }
        let mut node = 1;
        for _ in order..self.depth {
            node *= 2;
            if self.free[node] < need {
                node += 1;
            }
        }
        self.free[node] = 0;
        self.update_parents(node);
        Some(((node as u64) << order) - (1 << self.depth))
    }

    /// Takes a particular unit out for ever, to make a size that is no power of two.
    fn retire(&mut self, unit: u64) {
        let node = (1usize << self.depth) + unit as usize;
        self.free[node] = 0;
        self.update_parents(node);
    }

    /// Gives a block back.
    fn free(&mut self, unit: u64, order: u32) {
        let node = (((1u64 << self.depth) + unit) >> order) as usize;
        self.free[node] = order as u8 + 1;
        self.update_parents(node);
    }

    fn update_parents(&mut self, mut node: usize) {
        while node > 1 {
            let (a, b) = (self.free[node & !1], self.free[node | 1]);
            node /= 2;
            let whole = (self.depth - node.ilog2()) as u8 + 1;
            self.free[node] = if a == b && a == whole - 1 { whole } else { a.max(b) };
        }
    }
}

/// A set of frames with a fast "lowest member".
struct FrameSet {
    words: Vec<u64>,
    summary: Vec<u64>,
}

impl FrameSet {
    fn new(frames: usize) -> Result<Self> {
        let words = try_vec(frames.div_ceil(64), 0)?;
        let summary = try_vec(words.len().div_ceil(64), 0)?;
        Ok(Self { words, summary })
    }

    fn set(&mut self, frame: usize, member: bool) {
        let word = &mut self.words[frame / 64];
        if member {
            *word |= 1 << (frame % 64)
        } else {
            *word &= !(1 << (frame % 64))
        }
        let (at, bit) = (frame / 64 / 64, frame / 64 % 64);
        if *word != 0 { self.summary[at] |= 1 << bit } else { self.summary[at] &= !(1 << bit) }
    }

    fn lowest(&self) -> Option<usize> {
        let at = self.summary.iter().position(|&s| s != 0)?;
        let word = at * 64 + self.summary[at].trailing_zeros() as usize;
        Some(word * 64 + self.words[word].trailing_zeros() as usize)
    }
}

/// A block of HBM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Bytes from the start of the die's HBM.
    pub offset: u64,
    /// Bytes that were asked for, in whole pages.
    pub size: u64,
    order: u32,
}

impl Block {
    /// Bytes that are marked as the owner's, and that must be scrubbed if they were another's: of a block of
    /// whole frames all of them, even where the last one is not asked for to its end.
    pub fn span(&self) -> u64 {
        if self.order >= FRAME_ORDER { self.size.next_multiple_of(FRAME) } else { self.size }
    }
}

/// The allocator. See the module.
pub struct Hbm {
    frames: Buddies,
    total: u64,
    used: u64,
    /// Index into `splits` of each frame, or [`WHOLE`].
    split_of: Vec<u32>,
    splits: Vec<Buddies>,
    spare: Vec<u32>,
    /// By order: split frames whose largest free block has that order.
    partial: [FrameSet; FRAME_ORDER as usize],
    dirty: Vec<u32>,
}

impl Hbm {
    /// `total` bytes, whole frames.
    pub fn new(total: u64) -> Result<Self> {
        let count = total / FRAME;
        if count == 0 || count > 1 << 24 {
            return Err(Errno::Inval);
        }
        let mut frames = Buddies::new(count.next_power_of_two().ilog2())?;
        (count..count.next_power_of_two()).for_each(|f| frames.retire(f));
        let count = count as usize;
        let mut sets = [const { None }; FRAME_ORDER as usize];
        for s in &mut sets {
            *s = Some(FrameSet::new(count)?);
        }
        // PANIC: every element was filled just above.
        let partial = sets.map(|s| s.expect("filled"));
        Ok(Self {
            frames,
            total: count as u64 * FRAME,
            used: 0,
            split_of: try_vec(count, WHOLE)?,
            splits: Vec::new(),
            spare: Vec::new(),
            partial,
            dirty: try_vec(count, 0)?,
        })
    }

    /// Bytes in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes allocated, in blocks.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Bytes of the largest block that could be allocated now.
    pub fn largest_free(&self) -> u64 {
        if let Some(order) = self.frames.largest() {
            return FRAME << order;
        }
        (0..FRAME_ORDER).rev().find(|&o| self.partial[o as usize].lowest().is_some()).map_or(0, |o| PAGE << o)
    }

    /// Allocates `size` bytes for `owner` (neither 0 nor `u32::MAX`). `true`: some of the block was another's,
    /// and [`Block::span`] bytes must be scrubbed before it is used.
    pub fn alloc(&mut self, size: u64, owner: u32) -> Result<(Block, bool)> {
        if size == 0 || size > self.total {
            return Err(if size == 0 { Errno::Inval } else { Errno::NoMem });
        }
        let size = size.next_multiple_of(PAGE);
        let order = (size / PAGE).next_power_of_two().ilog2();
        let offset = if order >= FRAME_ORDER {
            self.frames.alloc(order - FRAME_ORDER).ok_or(Errno::NoMem)? * FRAME
        } else {
            self.alloc_small(order)?
        };
        let block = Block { offset, size, order };
        self.used += PAGE << order;
        Ok((block, self.claim(&block, owner)))
    }

    fn alloc_small(&mut self, order: u32) -> Result<u64> {
        let frame = match (order..FRAME_ORDER).find_map(|o| self.partial[o as usize].lowest()) {
            Some(frame) => frame,
            None => self.split_a_frame()?,
        };
        let split = &mut self.splits[self.split_of[frame] as usize];
        let before = split.largest();
        // PANIC: the frame was chosen because its largest free block is large enough.
        let page = split.alloc(order).expect("a partial frame has room");
        let after = split.largest();
        self.note_partial(frame, before, after);
        Ok(frame as u64 * FRAME + page * PAGE)
    }

    fn split_a_frame(&mut self) -> Result<usize> {
        if self.spare.is_empty() {
            let at = self.splits.len() as u32;
            // Room for every tree on the list of spare ones, so that freeing never allocates.
            self.spare.try_reserve(self.splits.len() + 1).map_err(|_| Errno::NoMem)?;
            self.splits.try_push(Buddies::new(FRAME_ORDER)?)?;
            self.spare.push(at);
        }
        let frame = self.frames.alloc(0).ok_or(Errno::NoMem)? as usize;
        // PANIC: one was pushed just above if there was none.
        self.split_of[frame] = self.spare.pop().expect("a spare tree");
        Ok(frame)
    }

    /// Keeps the sets of partial frames right; a frame that is whole or full is in none.
    fn note_partial(&mut self, frame: usize, before: Option<u32>, after: Option<u32>) {
        if before == after {
            return;
        }
        if let Some(o) = before.filter(|&o| o < FRAME_ORDER) {
            self.partial[o as usize].set(frame, false);
        }
        if let Some(o) = after.filter(|&o| o < FRAME_ORDER) {
            self.partial[o as usize].set(frame, true);
        }
    }

    fn frames_of(block: &Block) -> core::ops::Range<usize> {
        (block.offset / FRAME) as usize..(block.offset + block.size).div_ceil(FRAME) as usize
    }

    /// Marks a block as dirtied by somebody unknown: it could not be scrubbed.
    pub fn taint(&mut self, block: &Block) {
        self.dirty[Self::frames_of(block)].fill(MIXED);
    }

    /// Forgets who dirtied what, though not that it is dirty: the numbers of owners start again.
    pub fn forget_owners(&mut self) {
        self.dirty.iter_mut().filter(|d| **d != 0).for_each(|d| *d = MIXED);
    }

    /// Marks a block as `owner`'s; whether another dirtied it.
    fn claim(&mut self, block: &Block, owner: u32) -> bool {
        let whole = block.order >= FRAME_ORDER;
        self.dirty[Self::frames_of(block)].iter_mut().fold(false, |foreign, dirty| {
            let was = *dirty;
            *dirty = if whole || was == 0 || was == owner { owner } else { MIXED };
            foreign | (was != 0 && was != owner)
        })
    }

    /// Frees a block that `alloc` gave.
    pub fn free(&mut self, block: Block) {
        self.used -= PAGE << block.order;
        let frame = (block.offset / FRAME) as usize;
        if block.order >= FRAME_ORDER {
            self.frames.free(frame as u64, block.order - FRAME_ORDER);
            return;
        }
        let at = self.split_of[frame];
        let split = &mut self.splits[at as usize];
        let before = split.largest();
        split.free(block.offset % FRAME / PAGE, block.order);
        let after = split.largest();
        self.note_partial(frame, before, after);
        if after == Some(FRAME_ORDER) {
            self.split_of[frame] = WHOLE;
            self.spare.push(at);
            self.frames.free(frame as u64, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_addresses() {
        let mut h = Hbm::new(72 * FRAME).unwrap();
        assert_eq!((h.total(), h.largest_free()), (72 * FRAME, 64 * FRAME));
        let (a, _) = h.alloc(1, 1).unwrap();
        let (b, _) = h.alloc(FRAME, 1).unwrap();
        let (c, _) = h.alloc(PAGE + 1, 1).unwrap();
        assert_eq!((a.offset, a.size, b.offset, c.offset, c.size), (0, PAGE, FRAME, 2 * PAGE, 2 * PAGE));
        assert_eq!(h.alloc(72 * FRAME, 1).unwrap_err(), Errno::NoMem);
        assert_eq!(h.alloc(0, 1).unwrap_err(), Errno::Inval);
        assert_eq!(h.alloc(u64::MAX, 1).unwrap_err(), Errno::NoMem);
        [a, b, c].into_iter().for_each(|x| h.free(x));
        assert_eq!((h.used(), h.largest_free()), (0, 64 * FRAME));
    }

    #[test]
    fn memory_is_scrubbed_only_between_files() {
        let mut h = Hbm::new(4 * FRAME).unwrap();
        let (a, foreign) = h.alloc(FRAME, 1).unwrap();
        assert!(!foreign);
        h.free(a);
        let (a, foreign) = h.alloc(FRAME, 1).unwrap();
        assert!(!foreign, "its own memory");
        h.free(a);
        let (b, foreign) = h.alloc(PAGE, 2).unwrap();
        assert!(foreign && b.offset == 0);
        h.free(b);
        assert!(h.alloc(PAGE, 1).unwrap().1, "both have dirtied the frame");
    }

    #[test]
    fn the_rest_of_the_last_frame_is_scrubbed_too() {
        let mut h = Hbm::new(4 * FRAME).unwrap();
        let (a, _) = h.alloc(2 * FRAME, 1).unwrap();
        h.free(a);
        let (b, foreign) = h.alloc(FRAME + PAGE, 2).unwrap();
        assert!(foreign && b.span() == 2 * FRAME);
        h.free(b);
        assert!(!h.alloc(2 * FRAME, 2).unwrap().1, "all of it was scrubbed above");
    }

    #[test]
    fn what_could_not_be_scrubbed_stays_foreign() {
        let mut h = Hbm::new(4 * FRAME).unwrap();
        let (a, _) = h.alloc(FRAME, 1).unwrap();
        h.free(a);
        let (b, foreign) = h.alloc(FRAME, 2).unwrap();
        assert!(foreign);
        h.taint(&b);
        h.free(b);
        let (b, foreign) = h.alloc(FRAME, 2).unwrap();
        assert!(foreign, "still the first owner's data");
        h.forget_owners();
        h.free(b);
        assert!(h.alloc(FRAME, 2).unwrap().1, "another owner may have the same number now");
    }

    #[test]
    fn metadata_is_small() {
        let h = Hbm::new(64 << 30).unwrap();
        let bytes = h.frames.free.len()
            + h.split_of.len() * 8
            + h.partial.iter().map(|p| p.words.len() * 8).sum::<usize>();
        assert!(bytes < 1 << 20, "{bytes}");
    }

    /// A million random steps against a map of what is allocated: blocks never overlap, and when all is
    /// freed, all is whole again.
    #[test]
    fn a_million_random_steps() {
        let mut h = Hbm::new(4 << 30).unwrap();
        let mut live: Vec<Block> = Vec::new();
        let mut by_offset = alloc::collections::BTreeMap::new();
        let mut state = 88_172_645_463_325_252u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut failures = 0;
        for step in 0..1_000_000u64 {
            if random() % 100 < 52 && live.len() < 20_000 {
                let size = PAGE << (random() % 13);
                match h.alloc(size - random() % PAGE, 1) {
                    Ok((b, _)) => {
                        let before = by_offset.range(..=b.offset).next_back().map_or(0, |(o, s)| o + s);
                        let after = by_offset.range(b.offset..).next().map_or(u64::MAX, |(&o, _)| o);
                        assert!(before <= b.offset && b.offset + b.size <= after, "step {step}");
                        by_offset.insert(b.offset, b.size);
                        live.push(b);
                    }
                    Err(_) => failures += 1,
                }
            } else if !live.is_empty() {
                let b = live.swap_remove((random() % live.len() as u64) as usize);
                by_offset.remove(&b.offset);
                h.free(b);
            }
            if step % 100_000 == 99_999 {
                // Half of the die is free on average; it must not be free in crumbs.
                let free = h.total() - h.used();
                assert!(
                    h.largest_free() >= (free / 64).min(FRAME),
                    "step {step}: {} of {free}",
                    h.largest_free()
                );
            }
        }
        assert!(failures < 400_000, "{failures}");
        live.into_iter().for_each(|b| h.free(b));
        assert_eq!((h.used(), h.largest_free()), (0, 4 << 30));
    }
}
