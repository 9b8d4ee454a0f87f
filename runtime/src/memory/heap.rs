//! A two-level segregated-fit allocator of device addresses: constant time to take, to free and to coalesce.
//!
//! Blocks are described beside the memory, never in it: the memory is the device's.

/// Granule: alignment and rounding of every block.
pub(crate) const GRANULE: u64 = 512;

const NONE: u32 = u32::MAX;
/// log2 of the second-level lists per first-level class.
const SL_BITS: u32 = 4;
const SL: usize = 1 << SL_BITS;
/// First-level classes: blocks up to 2^(9 + FL) bytes.
const FL: usize = 32;

/// Names a block that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockId(u32);

#[derive(Clone, Copy, Debug)]
struct Block {
    addr: u64,
    size: u64,
    /// Neighbours by address, within a region.
    prev: u32,
    next: u32,
    /// Neighbours in a free list.
    prev_free: u32,
    next_free: u32,
    /// The region's number, given by whoever added it.
    region: u32,
    free: bool,
}

/// The allocator: regions of address space, cut into blocks.
#[derive(Debug)]
pub(crate) struct Heap {
    blocks: Vec<Block>,
    spare: Vec<u32>,
    first_level: u64,
    second_level: [u16; FL],
    lists: [[u32; SL]; FL],
}

/// The list a block of `size` bytes stands in.
fn class_of(size: u64) -> (usize, usize) {
    let units = size / GRANULE;
    if units < SL as u64 {
        return (0, units as usize);
    }
    let log = units.ilog2();
    let second = (units >> (log - SL_BITS)) as usize & (SL - 1);
    ((log - SL_BITS + 1) as usize, second)
}

/// The smallest size whose class holds only blocks of at least `size` bytes.
fn round_to_class(size: u64) -> u64 {
    let units = size / GRANULE;
    if units < SL as u64 {
        return size;
    }
    let step = 1u64 << (units.ilog2() - SL_BITS);
    units.next_multiple_of(step) * GRANULE
}

impl Heap {
    pub(crate) fn new() -> Self {
        Self {
            blocks: Vec::new(),
            spare: Vec::new(),
            first_level: 0,
            second_level: [0; FL],
            lists: [[NONE; SL]; FL],
        }
    }

    /// Adds `size` free bytes at `addr`, both multiples of the granule, as region `region`.
    pub(crate) fn add_region(&mut self, region: u32, addr: u64, size: u64) {
        let id = self.make(Block {
            addr,
            size,
            prev: NONE,
            next: NONE,
            prev_free: NONE,
            next_free: NONE,
            region,
            free: true,
        });
        self.link(id);
    }

    /// Takes a block of at least `size` bytes aligned to `align`, a power of two.
    pub(crate) fn take(&mut self, size: u64, align: u64) -> Option<(BlockId, u64)> {
        let size = size.max(1).next_multiple_of(GRANULE);
        let slack = align.saturating_sub(GRANULE);
        let id = self.find(size + slack)?;
        self.unlink(id);
        let addr = self.blocks[id as usize].addr;
        let at = addr.next_multiple_of(align.max(GRANULE));
        let id = if at > addr {
            let rest = self.split(id, at - addr);
            self.link(id);
            rest
        } else {
            id
        };
        if self.blocks[id as usize].size > size {
            let rest = self.split(id, size);
            self.link(rest);
        }
        self.blocks[id as usize].free = false;
        Some((BlockId(id), at))
    }

    /// Frees a block. If that leaves its region wholly free, answers the region.
    pub(crate) fn free(&mut self, block: BlockId) -> Option<u32> {
        let mut id = block.0;
        debug_assert!(!self.blocks[id as usize].free, "block {id} freed twice");
        self.blocks[id as usize].free = true;
        let Block { prev, next, .. } = self.blocks[id as usize];
        if next != NONE && self.blocks[next as usize].free {
            self.unlink(next);
            self.absorb(id, next);
        }
        if prev != NONE && self.blocks[prev as usize].free {
            self.unlink(prev);
            self.absorb(prev, id);
            id = prev;
        }
        self.link(id);
        let whole = &self.blocks[id as usize];
        (whole.prev == NONE && whole.next == NONE).then_some(whole.region)
    }

    /// Takes a wholly free region out; `addr` is where it starts.
    pub(crate) fn remove_region(&mut self, addr: u64, size: u64) -> bool {
        let (first, second) = class_of(size);
        let mut id = self.lists[first][second];
        while id != NONE {
            let block = self.blocks[id as usize];
            if block.addr == addr && block.size == size && block.prev == NONE && block.next == NONE {
                self.unlink(id);
                self.spare.push(id);
                return true;
            }
            id = block.next_free;
        }
        false
    }

    fn find(&self, size: u64) -> Option<u32> {
        let (first, second) = class_of(round_to_class(size));
        if first >= FL {
            return None;
        }
        let here = self.second_level[first] & (!0u16 << second);
        if here != 0 {
            return Some(self.lists[first][here.trailing_zeros() as usize]);
        }
        let above = self.first_level & (!0u64).checked_shl(first as u32 + 1).unwrap_or(0);
        if above == 0 {
            return None;
        }
        let first = above.trailing_zeros() as usize;
        Some(self.lists[first][self.second_level[first].trailing_zeros() as usize])
    }

    /// Cuts `id` after `size` bytes; answers the rest, which is in no list.
    fn split(&mut self, id: u32, size: u64) -> u32 {
        let whole = self.blocks[id as usize];
        let rest = self.make(Block {
            addr: whole.addr + size,
            size: whole.size - size,
            prev: id,
            next: whole.next,
            ..whole
        });
        if whole.next != NONE {
            self.blocks[whole.next as usize].prev = rest;
        }
        let block = &mut self.blocks[id as usize];
        block.size = size;
        block.next = rest;
        rest
    }

    /// Appends `next` to `id`, its neighbour below.
    fn absorb(&mut self, id: u32, next: u32) {
        let Block { size, next: after, .. } = self.blocks[next as usize];
        self.blocks[id as usize].size += size;
        self.blocks[id as usize].next = after;
        if after != NONE {
            self.blocks[after as usize].prev = id;
        }
        self.spare.push(next);
    }

    fn make(&mut self, block: Block) -> u32 {
        match self.spare.pop() {
            Some(id) => {
                self.blocks[id as usize] = block;
                id
            }
            None => {
                self.blocks.push(block);
                (self.blocks.len() - 1) as u32
            }
        }
    }

    fn link(&mut self, id: u32) {
        let (first, second) = class_of(self.blocks[id as usize].size);
        let head = self.lists[first][second];
        let block = &mut self.blocks[id as usize];
        block.free = true;
        block.prev_free = NONE;
        block.next_free = head;
        if head != NONE {
            self.blocks[head as usize].prev_free = id;
        }
        self.lists[first][second] = id;
        self.first_level |= 1 << first;
        self.second_level[first] |= 1 << second;
    }

    fn unlink(&mut self, id: u32) {
        let Block { size, prev_free, next_free, .. } = self.blocks[id as usize];
        let (first, second) = class_of(size);
        if next_free != NONE {
            self.blocks[next_free as usize].prev_free = prev_free;
        }
        if prev_free != NONE {
            self.blocks[prev_free as usize].next_free = next_free;
            return;
        }
        self.lists[first][second] = next_free;
        if next_free == NONE {
            self.second_level[first] &= !(1 << second);
            if self.second_level[first] == 0 {
                self.first_level &= !(1 << first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_class_holds_what_it_promises() {
        for size in (1..5000u64).map(|n| n * GRANULE) {
            let rounded = round_to_class(size);
            assert!(rounded >= size && rounded - size <= size / SL as u64 + GRANULE);
            assert!(class_of(size) <= class_of(size + GRANULE), "classes are in order of size");
            assert!(class_of(rounded - GRANULE) < class_of(rounded), "a rounded size starts its class");
        }
    }

    #[test]
    fn a_region_comes_back_whole() {
        let mut heap = Heap::new();
        heap.add_region(7, 1 << 20, 1 << 20);
        let (a, at_a) = heap.take(1000, GRANULE).unwrap();
        let (b, at_b) = heap.take(4096, 65536).unwrap();
        assert_eq!((at_a, at_b), (1 << 20, (1 << 20) + 65536));
        assert_eq!(heap.free(a), None);
        assert_eq!(heap.free(b), Some(7));
        assert!(heap.remove_region(1 << 20, 1 << 20));
        assert_eq!(heap.take(1, GRANULE), None);
    }

    proptest! {
        /// Blocks never overlap, are aligned, stay inside, and all of the memory comes back.
        #[test]
        fn blocks_are_disjoint(ops in prop::collection::vec((1u64..200_000, 0u32..6, any::<u16>()), 1..300)) {
            const SIZE: u64 = 4 << 20;
            let mut heap = Heap::new();
            heap.add_region(0, SIZE, SIZE);
            let mut live: Vec<(BlockId, u64, u64)> = Vec::new();
            for (size, align, pick) in ops {
                if pick % 3 == 0 && !live.is_empty() {
                    let (id, ..) = live.swap_remove(pick as usize % live.len());
                    heap.free(id);
                } else if let Some((id, at)) = heap.take(size, GRANULE << align) {
                    prop_assert_eq!(at % (GRANULE << align), 0);
                    prop_assert!(at >= SIZE && at + size <= 2 * SIZE);
                    for &(_, other, len) in &live {
                        prop_assert!(at + size <= other || other + len <= at);
                    }
                    live.push((id, at, size));
                }
            }
            let last = live.len();
            for (n, (id, ..)) in live.into_iter().enumerate() {
                prop_assert_eq!(heap.free(id), (n + 1 == last).then_some(0));
            }
            prop_assert!(heap.remove_region(SIZE, SIZE));
        }
    }
}
