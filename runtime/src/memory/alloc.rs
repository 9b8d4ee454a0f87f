//! Memory of a die: small blocks from chunks that stay mapped, large ones straight from the driver.
//!
//! A chunk is one buffer object, mapped once; taking a block of it and freeing it asks the driver nothing.

use std::time::Duration;

use parking_lot::Mutex;
use vinci_driver::Mapping;

use super::heap::{BlockId, GRANULE, Heap};
use super::lookup::AllocationKind;
use super::registry::Record;
use super::{DevicePtr, Policy};
use crate::driver::{self, Driver, Objects};
use crate::ipc::Piece;
use crate::sys::BoHandle;
use crate::{Error, Result};

/// Blocks from here on have a buffer object of their own.
const LARGE: u64 = 32 << 20;
/// Bytes of the first chunk and of the largest ones: they grow with what is taken already, so that the ends of
/// chunks, which no block fits, stay a small part of it.
const CHUNK: u64 = 64 << 20;
const LARGEST_CHUNK: u64 = 1 << 30;
/// What a huge page is aligned to.
pub(crate) const HUGE: u64 = 2 << 20;
/// How long a full die waits for memory that was freed while in use.
const PATIENCE: Duration = Duration::from_secs(2);

/// What stands behind an allocation, and so how it is freed.
#[derive(Debug)]
pub(crate) enum Backing {
    /// A block of a die's chunks.
    Block { die: u32, id: BlockId, size: u64 },
    /// A mapping of its own; closing the object is part of freeing it.
    Object { va: u64, size: u64, objects: Objects },
    /// Host memory made here, with its mapping in the process.
    Host { va: u64, size: u64, handle: BoHandle, map: Mapping },
    /// A part of a virtual range: only unmapped; the object belongs to a `PhysicalMemory`.
    Part,
}

impl Backing {
    /// Bytes that were taken for a block: those asked for, in whole grains.
    pub(crate) fn block(&self) -> Option<u64> {
        match self {
            Self::Block { size, .. } => Some(*size),
            _ => None,
        }
    }

    /// The parts of buffer objects behind `len` bytes from `at` on, in whole pages; `None` if it is not memory of
    /// a die that was allocated here.
    pub(crate) fn pieces(&self, driver: &'static Driver, at: u64, len: u64) -> Option<Vec<Piece>> {
        match self {
            Self::Block { die, .. } => {
                let state = driver.dies[*die as usize].memory.state.lock();
                let chunk = state.chunks.iter().flatten().find(|c| (c.va..c.va + c.size).contains(&at))?;
                cut(chunk.va, chunk.size, &chunk.objects, at, len)
            }
            Self::Object { va, size, objects } => cut(*va, *size, objects, at, len),
            Self::Host { .. } | Self::Part => None,
        }
    }
}

/// The parts of `objects`, which [`Driver::map_hbm`] mapped at `va`, that lie behind a range.
fn cut(va: u64, size: u64, objects: &[BoHandle], at: u64, len: u64) -> Option<Vec<Piece>> {
    let (from, to) = (at.checked_sub(va)?, (at - va).checked_add(len).filter(|&to| to <= size)?);
    let (mut start, mut parts) = (0, Vec::new());
    for (&object, bytes) in objects.iter().zip(driver::pieces(size)) {
        let (first, end) = (from.max(start), to.min(start + bytes));
        if first < end {
            parts.push(Piece { object, offset: first - start, size: end - first });
        }
        start += bytes;
    }
    Some(parts)
}

#[derive(Debug)]
struct Chunk {
    objects: Objects,
    va: u64,
    size: u64,
}

/// The allocator of one die.
#[derive(Debug)]
pub(crate) struct DieMemory {
    die: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    heap: Heap,
    chunks: Vec<Option<Chunk>>,
    /// Bytes of chunks, and of those what is given out or in limbo.
    chunk_bytes: u64,
    block_bytes: u64,
}

impl DieMemory {
    pub(crate) fn new(die: u32) -> Self {
        let heap = Heap::new();
        Self { die, state: Mutex::new(State { heap, chunks: Vec::new(), chunk_bytes: 0, block_bytes: 0 }) }
    }

    /// Bytes taken from the die that an allocation could still have.
    pub(crate) fn cached(&self) -> u64 {
        let state = self.state.lock();
        state.chunk_bytes - state.block_bytes
    }

    fn take(&self, driver: &'static Driver, bytes: u64, align: u64) -> Result<(u64, Backing)> {
        let size = bytes.next_multiple_of(GRANULE);
        if size >= LARGE {
            let (va, size, objects) = driver.map_hbm(self.die, bytes, align)?;
            return Ok((va, Backing::Object { va, size, objects }));
        }
        let mut state = self.state.lock();
        let (id, va) = match state.heap.take(size, align) {
            Some(found) => found,
            None => {
                self.grow(driver, &mut state, size, align)?;
                let none = Error::OutOfMemory { die: self.die, asked: bytes, free: 0 };
                state.heap.take(size, align).ok_or(none)?
            }
        };
        state.block_bytes += size;
        Ok((va, Backing::Block { die: self.die, id, size }))
    }

    fn grow(&self, driver: &'static Driver, state: &mut State, size: u64, align: u64) -> Result<()> {
        let least = size + if align > GRANULE { align } else { 0 };
        let chunk = state.chunk_bytes.next_power_of_two().clamp(CHUNK, LARGEST_CHUNK);
        // A die that has no room for a chunk may have room for what is asked.
        let wanted =
            [chunk, CHUNK, least.next_multiple_of(HUGE), least.next_multiple_of(driver.info.page_size)];
        let mut result = Err(Error::OutOfMemory { die: self.die, asked: size, free: 0 });
        for bytes in wanted {
            result = driver.map_hbm(self.die, bytes, HUGE);
            if !matches!(result, Err(Error::OutOfMemory { .. })) {
                break;
            }
        }
        let (va, size, objects) = result?;
        let chunk = Some(Chunk { objects, va, size });
        let region = match state.chunks.iter().position(Option::is_none) {
            Some(hole) => {
                state.chunks[hole] = chunk;
                hole
            }
            None => {
                state.chunks.push(chunk);
                state.chunks.len() - 1
            }
        };
        state.chunk_bytes += size;
        state.heap.add_region(region as u32, va, size);
        Ok(())
    }

    /// Frees a block that no stream uses any more.
    fn give(&self, driver: &'static Driver, id: BlockId, size: u64) {
        let mut state = self.state.lock();
        state.block_bytes -= size;
        let Some(region) = state.heap.free(id) else { return };
        // The last chunk stays for the next allocation.
        let mapped = state.chunks.iter().flatten().count();
        if mapped > 1 {
            self.shrink(driver, &mut state, region);
        }
    }

    fn shrink(&self, driver: &'static Driver, state: &mut State, region: u32) {
        let Some(chunk) = state.chunks[region as usize].take() else { return };
        if !state.heap.remove_region(chunk.va, chunk.size) {
            state.chunks[region as usize] = Some(chunk);
            return;
        }
        state.chunk_bytes -= chunk.size;
        driver.unmap(chunk.va, chunk.size, &chunk.objects);
    }

    /// Gives chunks without a block in use back to the die.
    fn trim(&self, driver: &'static Driver) {
        let mut state = self.state.lock();
        for region in 0..state.chunks.len() {
            if state.chunks[region].is_some() {
                self.shrink(driver, &mut state, region as u32);
            }
        }
    }
}

impl Driver {
    /// Allocates device memory and enters it into the registry.
    pub(crate) fn malloc(
        &'static self,
        die: u32,
        bytes: u64,
        policy: Policy,
        kind: AllocationKind,
    ) -> Result<DevicePtr> {
        if bytes == 0 {
            return Err(Error::value("malloc", "0 bytes asked for"));
        }
        let memory = &self.dies[die as usize].memory;
        let asked = bytes;
        let out_of_memory = || Error::OutOfMemory { die, asked, free: self.free_bytes(die) };
        if bytes > self.dies[die as usize].info.hbm_bytes {
            return Err(out_of_memory());
        }
        let align = if policy == Policy::HugeOnly { HUGE } else { GRANULE };
        self.reap(false);
        let mut result = memory.take(self, bytes, align);
        if matches!(result, Err(Error::OutOfMemory { .. })) {
            self.reap(true);
            memory.trim(self);
            result = memory.take(self, bytes, align);
        }
        if matches!(result, Err(Error::OutOfMemory { .. })) {
            self.drain_limbo(PATIENCE);
            memory.trim(self);
            result = memory.take(self, bytes, align);
        }
        let (va, backing) = match result {
            Err(Error::OutOfMemory { .. }) => return Err(out_of_memory()),
            other => other?,
        };
        self.registry.insert(va, Record { size: bytes, kind, die: Some(die), host: None, backing });
        Ok(DevicePtr(va))
    }

    /// Frees device memory of a kind.
    pub(crate) fn free(&'static self, ptr: DevicePtr, kind: AllocationKind) -> Result<()> {
        let record = self.registry.remove(ptr.0, |record| record.kind == kind);
        let Some(record) = record else { return Err(self.explain_bad_free(ptr)) };
        self.retire(record.backing);
        Ok(())
    }

    fn explain_bad_free(&'static self, ptr: DevicePtr) -> Error {
        let op = "free";
        match self.registry.find(self, ptr.0) {
            Some(inside) if inside.base != ptr => Error::value(
                op,
                format!(
                    "{ptr} lies inside the allocation {}..{:#x}",
                    inside.base,
                    inside.base.0 + inside.size
                ),
            ),
            Some(other) => Error::value(op, format!("{ptr} was made by {:?}, which frees it", other.kind)),
            None => Error::InvalidHandle { op, what: "device allocation", handle: ptr.0 },
        }
    }

    /// Frees a backing as soon as no stream uses it.
    pub(crate) fn retire(&'static self, backing: Backing) {
        let marks = self.marks();
        if marks.is_empty() { self.release(backing) } else { self.limbo.push(marks, backing) }
    }

    /// Frees what streams have finished with.
    pub(crate) fn reap(&'static self, all: bool) {
        for backing in self.limbo.reap(all) {
            self.release(backing);
        }
    }

    fn drain_limbo(&'static self, limit: Duration) {
        for backing in self.limbo.drain(limit) {
            self.release(backing);
        }
    }

    /// Frees a backing now.
    pub(crate) fn release(&'static self, backing: Backing) {
        match backing {
            Backing::Block { die, id, size } => self.dies[die as usize].memory.give(self, id, size),
            Backing::Object { va, size, objects } => self.unmap(va, size, &objects),
            // The process's mapping goes after the device's.
            Backing::Host { va, size, handle, map: _map } => self.unmap(va, size, &[handle]),
            Backing::Part => {}
        }
    }

    /// Bytes of a die that an allocation could have.
    pub(crate) fn free_bytes(&'static self, die: u32) -> u64 {
        let cached = self.dies[die as usize].memory.cached();
        match self.sys.telemetry(die) {
            Ok(t) => t.hbm_total.saturating_sub(t.hbm_used) + cached,
            Err(_) => cached,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_from_its_objects() {
        const MIB: u64 = 1 << 20;
        // 40 MiB are 32 and 8.
        let objects = [BoHandle(7), BoHandle(9)];
        let all = cut(100 * MIB, 40 * MIB, &objects, 100 * MIB, 40 * MIB).unwrap();
        let parts: Vec<_> = all.iter().map(|p| (p.object.0, p.offset, p.size)).collect();
        assert_eq!(parts, [(7, 0, 32 * MIB), (9, 0, 8 * MIB)]);
        let part = cut(100 * MIB, 40 * MIB, &objects, 131 * MIB, 2 * MIB).unwrap();
        let parts: Vec<_> = part.iter().map(|p| (p.object.0, p.offset, p.size)).collect();
        assert_eq!(parts, [(7, 31 * MIB, MIB), (9, 0, MIB)]);
        assert!(cut(100 * MIB, 40 * MIB, &objects, 139 * MIB, 2 * MIB).is_none());
        assert!(cut(100 * MIB, 40 * MIB, &objects, 99 * MIB, MIB).is_none());
    }
}
