//! Memory that the device shares with the driver and with processes: a memfd and its mapping.
//!
//! The mapping is sparse: it costs the pages that were touched.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;

use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// A sparse, shared, zero-filled piece of memory.
pub struct Shared {
    file: File,
    map: MmapRaw,
}

impl Shared {
    /// `len` bytes named `name` in /proc/PID/maps.
    pub fn new(name: &str, len: u64) -> io::Result<Self> {
        let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC)?;
        let file = File::from(fd);
        file.set_len(len)?;
        let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let map = MmapOptions::new().len(len).no_reserve_swap().map_raw(&file)?;
        Ok(Self { file, map })
    }

    /// The memfd.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// Whether it has no bytes; never true.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// First byte of the mapping.
    pub fn ptr(&self) -> NonNull<u8> {
        // PANIC: mmap never returns null for a successful mapping.
        NonNull::new(self.map.as_mut_ptr()).expect("a mapping has an address")
    }

    /// Pointer to `len` bytes at `offset`, `None` if they are not all inside.
    pub fn at(&self, offset: u64, len: u64) -> Option<NonNull<u8>> {
        let end = offset.checked_add(len)?;
        // SAFETY: `offset` is at most the mapping's length, so the result is inside it or one past its end.
        (end <= self.len()).then(|| unsafe { self.ptr().add(offset as usize) })
    }

    /// Zeroes a range and gives its whole pages back to the host.
    pub fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        let mode = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let signed = |v: u64| i64::try_from(v).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
        Ok(fallocate(&self.file, mode, signed(offset)?, signed(len)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_sparse_and_punches_to_zero() {
        let s = Shared::new("test", 64 << 30).unwrap();
        let p = s.at(40 << 30, 8192).unwrap().cast::<u64>();
        // SAFETY: inside the mapping, which nobody else uses.
        unsafe {
            p.write_volatile(7);
            s.punch(40 << 30, 4096).unwrap();
            assert_eq!(p.read_volatile(), 0);
        }
        assert!(s.at(64 << 30, 1).is_none() && s.at(u64::MAX, 2).is_none());
    }
}
