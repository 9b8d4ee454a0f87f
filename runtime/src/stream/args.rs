//! Arguments of kernels, and small sources of copies: a ring of host memory that the device reads.
//!
//! Space is taken in the order of entries and comes back in the same order, so each entry only has to
//! remember where its arguments end.

use vinci_driver::Mapping;

use super::ring::Producer;
use crate::Result;
use crate::driver::Driver;
use crate::memory::host::map_host;
use crate::sys::BoHandle;

/// Bytes of the ring.
const SIZE: u64 = 512 << 10;
/// Alignment of a piece: a cache line, so that pieces of two entries never share one.
const ALIGN: u64 = 64;
/// The largest piece.
pub(crate) const MAX: usize = (SIZE / 4) as usize;

/// The argument ring of one stream; its memory is taken with the first arguments.
pub(crate) struct Args {
    memory: Option<Memory>,
    /// Bytes ever taken and ever given back; their difference is in use.
    head: u64,
    freed: u64,
    /// `head` when the entry in a slot of the ring was submitted.
    ends: Box<[u64]>,
}

struct Memory {
    map: Mapping,
    va: u64,
    handle: BoHandle,
}

impl Args {
    pub(crate) fn new(entries: usize) -> Self {
        Self { memory: None, head: 0, freed: 0, ends: vec![0; entries].into() }
    }

    /// Copies `bytes` in; answers where the device finds them, `None` if older entries must complete first.
    #[inline]
    pub(crate) fn put(&mut self, driver: &'static Driver, bytes: &[u8]) -> Result<Option<u64>> {
        debug_assert!(bytes.len() <= MAX);
        let memory = match &self.memory {
            Some(memory) => memory,
            None => self.memory.insert(Memory::new(driver)?),
        };
        let need = (bytes.len() as u64).next_multiple_of(ALIGN);
        let Some(at) = fit(self.head, self.freed, need) else { return Ok(None) };
        let offset = at % SIZE;
        self.head = at + need;
        // SAFETY: `fit` found [offset, offset + need) inside the mapping and not in use by any entry; the
        // lock of the stream keeps other writers out.
        unsafe {
            let to = memory.map.ptr().as_ptr().add(offset as usize);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
            // Kernels take multiples of 8.
            std::ptr::write_bytes(to.add(bytes.len()), 0, bytes.len().next_multiple_of(8) - bytes.len());
        }
        Ok(Some(memory.va + offset))
    }

    /// Notes that the entry in `slot` ends the space taken so far.
    #[inline]
    pub(crate) fn mark(&mut self, slot: usize) {
        self.ends[slot] = self.head;
    }

    /// [`Args::mark`] for `n` entries from `slot` on, around the end of the ring.
    pub(crate) fn mark_many(&mut self, slot: usize, n: usize) {
        let first = n.min(self.ends.len() - slot);
        self.ends[slot..slot + first].fill(self.head);
        self.ends[..n - first].fill(self.head);
    }

    /// Entries up to `completed` are complete: their space is free.
    pub(crate) fn reclaim(&mut self, producer: &Producer, completed: u64) {
        // In a full ring the slot of the last complete entry belongs to the newest one.
        if completed > 0 && producer.tail() - completed < self.ends.len() as u64 {
            self.freed = self.freed.max(self.ends[producer.slot_of(completed)]);
        }
    }

    /// All entries are complete.
    pub(crate) fn clear(&mut self) {
        self.freed = self.head;
    }

    /// The entry that must complete before `bytes` more fit; at least one quarter of the ring is freed.
    pub(crate) fn room_at(&self, producer: &Producer, completed: u64, bytes: usize) -> u64 {
        let need = (bytes as u64).next_multiple_of(ALIGN).max(SIZE / 4);
        let tail = producer.tail();
        (completed + 1..tail)
            .find(|&n| fit(self.head, self.ends[producer.slot_of(n)].max(self.freed), need).is_some())
            .unwrap_or(tail)
    }

    /// Frees the memory. Entries that still use it fault.
    pub(crate) fn release(&mut self, driver: &Driver) {
        if let Some(memory) = self.memory.take() {
            driver.unmap(memory.va, SIZE, &[memory.handle]);
        }
    }
}

/// Where `need` bytes fit after `head`, skipping the end of the ring if they would wrap.
fn fit(head: u64, freed: u64, need: u64) -> Option<u64> {
    let left = SIZE - head % SIZE;
    let at = if need > left { head + left } else { head };
    (at + need - freed <= SIZE).then_some(at)
}

impl Memory {
    fn new(driver: &'static Driver) -> Result<Memory> {
        let (map, va, _, handle) = map_host(driver, "launch", SIZE)?;
        Ok(Memory { map, va, handle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_never_wrap_and_never_overlap() {
        assert_eq!(fit(0, 0, 64), Some(0));
        assert_eq!(fit(SIZE - 64, SIZE - 64, 128), Some(SIZE), "skips the last 64 bytes");
        assert_eq!(fit(SIZE, 0, 64), None, "full");
        assert_eq!(fit(SIZE - 64, 0, 128), None, "the start is in use");
        assert_eq!(fit(SIZE, 64, 64), Some(SIZE));
    }
}
