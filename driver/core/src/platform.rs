//! What the driver's logic needs from where it runs: the kernel, or a process.

use core::ptr::NonNull;

use vinci_hw::regs::Reg;

use crate::errno::Result;

/// Host memory that the device reaches: rings, fence pages, host buffer objects. Zeroed, page aligned, freed
/// when dropped.
pub trait DmaMemory {
    /// Address for the device.
    fn bus(&self) -> u64;
    /// Address for the CPU.
    fn ptr(&self) -> NonNull<u8>;
    /// Bytes.
    fn len(&self) -> u64;
    /// Whether it has no bytes; never true.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Address for the device of the byte at `offset`, and how many bytes lie together from there on; `None` past
    /// the end. Memory of [`Platform::alloc`] is one piece.
    fn piece(&self, offset: u64) -> Option<(u64, u64)> {
        let left = self.len().checked_sub(offset).filter(|&left| left != 0)?;
        Some((self.bus() + offset, left))
    }
}

/// The caller's own pages, pinned until dropped.
pub trait PinnedMemory {
    /// Contiguous pieces as the device sees them, in order: bus address and bytes, whole pages each.
    fn segments(&self) -> &[(u64, u64)];
    /// As [`DmaMemory::piece`].
    fn piece(&self, offset: u64) -> Option<(u64, u64)> {
        let mut at = 0;
        for &(bus, len) in self.segments() {
            if offset < at + len {
                return Some((bus + (offset - at), at + len - offset));
            }
            at += len;
        }
        None
    }
}

/// The driver's surroundings. Registers and memory of one device.
pub trait Platform {
    /// See [`DmaMemory`].
    type Dma: DmaMemory;
    /// See [`PinnedMemory`].
    type Pinned: PinnedMemory;

    /// Reads a register.
    fn read(&self, reg: Reg) -> u64;
    /// Writes a register.
    fn write(&self, reg: Reg, value: u64);
    /// Allocates host memory for the device; `Errno::NoMem` if there is none.
    fn alloc(&self, bytes: u64) -> Result<Self::Dma>;
    /// Allocates host memory of a buffer object. It may be in several pieces, of any number, and the driver does not
    /// touch it.
    fn alloc_pieces(&self, bytes: u64) -> Result<Self::Dma> {
        self.alloc(bytes)
    }
    /// Pins pages of the calling process; `Errno::Fault` if they are not mapped, `Errno::NoMem` beyond its
    /// limit.
    fn pin(&self, addr: u64, bytes: u64, readonly: bool) -> Result<Self::Pinned>;
    /// Waits for a moment: the device has not answered yet.
    fn pause(&self);
    /// Monotonic time, ns.
    fn now_ns(&self) -> u64;
    /// Lets whoever sleeps on a queue look again.
    fn wake_queue(&self, queue: u32);
    /// Lets whoever sleeps for events of a file look again.
    fn wake_file(&self, file: u32);
    /// The tail in a queue's doorbell page; `None` where the driver cannot see it, and hung queues are not found.
    fn tail(&self, _queue: u32) -> Option<u64> {
        None
    }
    /// A queue's number is free again: whoever mapped its doorbell page, at mmap offset `doorbell`, must not ring its
    /// next owner's.
    fn queue_freed(&self, _queue: u32, _doorbell: u64) {}
    /// HBM is free again: whoever mapped it must not see what its next owner stores.
    fn hbm_freed(&self, _die: u32, _offset: u64, _len: u64) {}
}
