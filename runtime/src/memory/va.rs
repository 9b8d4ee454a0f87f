//! The device's address space: which ranges of it are taken.

use std::collections::BTreeMap;

/// Free ranges of the address space, coalesced.
#[derive(Debug)]
pub(crate) struct VaSpace {
    /// Start to length.
    free: BTreeMap<u64, u64>,
    /// Where the last range ended: addresses that were given back are taken again as late as possible, so
    /// that work which uses them too long faults.
    cursor: u64,
}

impl VaSpace {
    /// All of `[base, base + size)` is free. Address 0 is never given out.
    pub(crate) fn new(base: u64, size: u64) -> Self {
        let start = base.max(1 << 16);
        let len = (base + size).saturating_sub(start);
        Self { free: BTreeMap::from([(start, len)]), cursor: start }
    }

    /// Takes `size` bytes aligned to `align`, a power of two: the next that fit.
    pub(crate) fn take(&mut self, size: u64, align: u64) -> Option<u64> {
        let cursor = self.cursor;
        let fits = |(&start, &len): (&u64, &u64), from: u64| {
            let at = start.max(from).checked_next_multiple_of(align)?;
            (at - start <= len && size <= len - (at - start)).then_some((start, at))
        };
        let here = self.free.range(..cursor).next_back();
        let (start, at) = here
            .and_then(|range| fits(range, cursor))
            .or_else(|| self.free.range(cursor..).find_map(|range| fits(range, 0)))
            .or_else(|| self.free.iter().find_map(|range| fits(range, 0)))?;
        self.carve(start, at, size);
        self.cursor = at + size;
        Some(at)
    }

    /// Takes `[at, at + size)` if all of it is free.
    pub(crate) fn take_at(&mut self, at: u64, size: u64) -> bool {
        let Some((&start, &len)) = self.free.range(..=at).next_back() else { return false };
        if at - start > len || size > len - (at - start) {
            return false;
        }
        self.carve(start, at, size);
        true
    }

    fn carve(&mut self, start: u64, at: u64, size: u64) {
        let len = self.free.remove(&start).expect("carve is given a free range");
        if at > start {
            self.free.insert(start, at - start);
        }
        if at + size < start + len {
            self.free.insert(at + size, start + len - at - size);
        }
    }

    /// Gives a taken range back.
    pub(crate) fn give(&mut self, at: u64, size: u64) {
        let (mut start, mut len) = (at, size);
        if let Some((&next, &next_len)) = self.free.range(at..).next() {
            debug_assert!(next >= at + size, "range {at:#x}+{size:#x} given back twice");
            if next == at + size {
                self.free.remove(&next);
                len += next_len;
            }
        }
        if let Some((&prev, &prev_len)) = self.free.range(..at).next_back()
            && prev + prev_len == at
        {
            start = prev;
            len += prev_len;
        }
        self.free.insert(start, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_taken_and_coalesce() {
        let mut va = VaSpace::new(0x100000, 0x100000);
        let a = va.take(0x3000, 0x1000).unwrap();
        let b = va.take(0x1000, 0x10000).unwrap();
        assert_eq!((a, b), (0x100000, 0x110000));
        assert!(!va.take_at(0x102000, 0x1000), "inside the first range");
        assert!(va.take_at(0x104000, 0x1000));
        va.give(a, 0x3000);
        va.give(0x104000, 0x1000);
        va.give(b, 0x1000);
        assert_eq!(va.free, BTreeMap::from([(0x100000, 0x100000)]));
        assert_eq!(va.take(0x200000, 0x1000), None);
    }

    #[test]
    fn addresses_are_taken_again_late() {
        let mut va = VaSpace::new(0x100000, 0x4000);
        let first = va.take(0x1000, 0x1000).unwrap();
        va.give(first, 0x1000);
        let rest: Vec<u64> = (0..3).map(|_| va.take(0x1000, 0x1000).unwrap()).collect();
        assert!(!rest.contains(&first));
        assert_eq!(va.take(0x1000, 0x1000), Some(first));
        assert_eq!(va.take(0x1000, 0x1000), None);
    }

    #[test]
    fn address_zero_is_never_given_out() {
        assert_ne!(VaSpace::new(0, 1 << 20).take(4096, 4096), Some(0));
    }
}
