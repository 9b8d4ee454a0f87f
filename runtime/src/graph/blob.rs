//! Arguments of a graph's launches: written once, in host memory that the device reads, and kept as long as the
//! graph.

use crate::{HostBuffer, Result};

/// Bytes of a piece of memory that blobs are cut from.
const CHUNK: usize = 64 << 10;
/// Alignment of a blob: a cache line.
const ALIGN: usize = 64;

/// A place in the graph's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(super) va: u64,
    at: *mut u8,
    room: usize,
}

// SAFETY: the pointer leads into a `HostBuffer` of the graph that owns the blob, and is followed only under the
// graph's lock.
unsafe impl Send for Blob {}

/// A blob that replays up to `after` may still read.
struct Spare {
    blob: Blob,
    after: u64,
}

/// The memory of a graph.
#[derive(Default)]
pub(super) struct Blobs {
    chunks: Vec<HostBuffer>,
    /// Bytes in use of the last chunk.
    used: usize,
    spare: Vec<Spare>,
}

impl Blobs {
    /// Copies `bytes`, padded with zeros to a multiple of 8, to a place that no replay after `done` reads.
    pub(super) fn put(&mut self, bytes: &[u8], done: u64) -> Result<Blob> {
        let need = bytes.len().next_multiple_of(ALIGN);
        let free = |spare: &Spare| spare.after <= done && spare.blob.room == need;
        let blob = match self.spare.iter().position(free) {
            Some(at) => self.spare.swap_remove(at).blob,
            None => self.cut(need)?,
        };
        // SAFETY: the blob is `need` bytes inside a buffer that lives as long as `self`, and nobody else's.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), blob.at, bytes.len());
            std::ptr::write_bytes(blob.at.add(bytes.len()), 0, need - bytes.len());
        }
        Ok(blob)
    }

    /// Takes a blob back; replays up to `after` may still read it.
    pub(super) fn give(&mut self, blob: Blob, after: u64) {
        self.spare.push(Spare { blob, after });
    }

    fn cut(&mut self, need: usize) -> Result<Blob> {
        if self.chunks.last().is_none_or(|chunk| chunk.len() - self.used < need) {
            self.chunks.push(HostBuffer::new(need.max(CHUNK))?);
            self.used = 0;
        }
        let chunk = &self.chunks[self.chunks.len() - 1];
        // SAFETY: no slice of the graph's own buffers is ever borrowed.
        let base = unsafe { chunk.device_ptr() };
        // SAFETY: `used + need` is at most the chunk's length.
        let at = unsafe { chunk.as_mut_ptr().add(self.used) };
        let blob = Blob { va: base.0 + self.used as u64, at, room: need };
        self.used += need;
        Ok(blob)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_used_again_once_its_replays_are_done() -> Result<()> {
        let mut blobs = Blobs::default();
        let first = blobs.put(&[1; 100], 0)?;
        assert_eq!(first.va % ALIGN as u64, 0);
        blobs.give(first, 3);
        let other = blobs.put(&[2; 100], 2)?;
        assert_ne!(first.va, other.va, "replay 3 may still read it");
        assert_eq!(blobs.put(&[3; 100], 3)?.va, first.va);
        let large = blobs.put(&vec![4; 3 * CHUNK], 3)?;
        assert_eq!(large.room, 3 * CHUNK);
        Ok(())
    }
}
