//! Memory that the device shares with the driver and with processes: a memfd and its mapping.
//!
//! The mapping is sparse: it costs the pages that were touched.
//!
//! Whoever holds a memfd reaches all of it, so a part that one process may map gets a memfd of its own (an
//! island), which is mapped over the part: the device goes on using the same addresses.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{Whence, lseek};
use parking_lot::Mutex;

/// What is copied at a time into an island.
const PIECE: u64 = 1 << 20;

/// A sparse, shared, zero-filled piece of memory.
pub struct Shared {
    file: File,
    /// Where in the file it begins.
    base: u64,
    map: MmapRaw,
    /// First byte to length and memfd.
    islands: Mutex<BTreeMap<u64, (u64, File)>>,
    /// Whether there ever was one, so that memory nobody shares is not searched for them.
    any: AtomicBool,
}

/// A memfd whose size nobody can change, so that using its pages never faults.
pub fn sealed(name: &str, len: u64) -> io::Result<File> {
    let file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
    file.set_len(len)?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file)
}

impl Shared {
    /// `len` bytes named `name` in /proc/PID/maps.
    pub fn new(name: &str, len: u64) -> io::Result<Self> {
        Self::part(sealed(name, len)?, 0, len)
    }

    /// `len` bytes of a [`sealed`] memfd, from `base` on.
    pub fn part(file: File, base: u64, len: u64) -> io::Result<Self> {
        let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let map = MmapOptions::new().offset(base).len(len).no_reserve_swap().map_raw(&file)?;
        Ok(Self { file, base, map, islands: Mutex::default(), any: AtomicBool::new(false) })
    }

    /// The memfd. Whoever gets it reaches all of it.
    pub fn memfd(&self) -> BorrowedFd<'_> {
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
        punch(&self.file, self.base + offset, len)?;
        if !self.any.load(Ordering::Acquire) {
            return Ok(());
        }
        let islands = self.islands.lock();
        for (&at, (size, file)) in islands.range(..offset + len).filter(|(at, i)| **at + i.0 > offset) {
            let (from, to) = (at.max(offset), (at + size).min(offset + len));
            punch(file, from - at, to - from)?;
        }
        Ok(())
    }

    /// Gives `[offset, offset + len)` a memfd of its own, or finds the one that holds it: the memfd, and where in
    /// it the range begins. Nobody may store to the range meanwhile. Both numbers are multiples of the page size.
    pub fn share(&self, offset: u64, len: u64) -> io::Result<(OwnedFd, u64)> {
        let end = self.at(offset, len).map(|_| offset + len).ok_or(io::ErrorKind::InvalidInput)?;
        let mut islands = self.islands.lock();
        if let Some((&at, (size, file))) =
            islands.range(..end).next_back().filter(|(at, i)| **at + i.0 > offset)
        {
            let whole = at <= offset && at + size >= end;
            let fd = if whole { file.try_clone()? } else { return Err(io::ErrorKind::ResourceBusy.into()) };
            return Ok((fd.into(), offset - at));
        }
        let file = sealed("vinci-shared", len)?;
        let fd = file.try_clone()?;
        self.copy_out(offset, len, &file)?;
        self.any.store(true, Ordering::Release);
        self.place(offset, len, file.as_fd(), 0)?;
        islands.insert(offset, (len, file));
        punch(&self.file, self.base + offset, len)?;
        Ok((fd.into(), 0))
    }

    /// Ends the sharing of what lies in `[offset, offset + len)`: processes keep what they mapped, and the range
    /// is zero.
    pub fn take_back(&self, offset: u64, len: u64) -> io::Result<()> {
        if !self.any.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut islands = self.islands.lock();
        while let Some((&at, &(size, _))) = islands.range(offset..offset + len).next() {
            self.place(at, size, self.file.as_fd(), self.base + at)?;
            islands.remove(&at);
        }
        Ok(())
    }

    /// Which file, and where in it, the bytes of a range are, piece by piece.
    pub fn pieces(
        &self,
        offset: u64,
        len: u64,
        mut each: impl FnMut(BorrowedFd<'_>, u64, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let islands = self.islands.lock();
        let (mut at, end) = (offset, offset + len);
        let first = islands.range(..=offset).next_back().map_or(offset, |(&start, _)| start);
        for (&start, (size, file)) in islands.range(first..end).filter(|(start, i)| **start + i.0 > offset) {
            if start > at {
                each(self.file.as_fd(), self.base + at, start - at)?;
                at = start;
            }
            let to = (start + size).min(end);
            each(file.as_fd(), at - start, to - at)?;
            at = to;
        }
        if at < end { each(self.file.as_fd(), self.base + at, end - at) } else { Ok(()) }
    }

    /// Maps `len` bytes of a file over the range at `offset`. Threads that use the range see the old or the new
    /// pages, never none: the kernel replaces a mapping under one lock.
    fn place(&self, offset: u64, len: u64, file: BorrowedFd<'_>, from: u64) -> io::Result<()> {
        let at = self.at(offset, len).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: the fixed range lies inside this object's own mapping; what is mapped is as long.
        let p = unsafe {
            libc::mmap(
                at.as_ptr().cast(),
                len as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_NORESERVE,
                file.as_raw_fd(),
                from as libc::off_t,
            )
        };
        if p == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Copies the pages of a range that were ever touched.
    fn copy_out(&self, offset: u64, len: u64, to: &File) -> io::Result<()> {
        let start = self.base + offset;
        let end = start + len;
        let mut buffer = Vec::new();
        let mut at = start;
        // No more data ends the search with ENXIO.
        while let Ok(data) = lseek(&self.file, at as i64, Whence::SeekData).map(|d| d as u64)
            && data < end
        {
            let hole = lseek(&self.file, data as i64, Whence::SeekHole).map_or(end, |h| (h as u64).min(end));
            at = data;
            while at < hole {
                buffer.resize(PIECE.min(hole - at) as usize, 0);
                self.file.read_exact_at(&mut buffer, at)?;
                to.write_all_at(&buffer, at - start)?;
                at += buffer.len() as u64;
            }
        }
        Ok(())
    }
}

fn punch(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let mode = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let signed = |v: u64| i64::try_from(v).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    Ok(fallocate(file, mode, signed(offset)?, signed(len)?)?)
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

    #[test]
    fn a_part_begins_where_it_was_told() {
        const P: u64 = 4096;
        let file = sealed("test", 8 * P).unwrap();
        let (low, high) = (
            Shared::part(file.try_clone().unwrap(), 0, 4 * P).unwrap(),
            Shared::part(file.try_clone().unwrap(), 4 * P, 4 * P).unwrap(),
        );
        let word = |s: &Shared, page: u64| s.at(page * P, 8).unwrap().cast::<u64>();
        // SAFETY: inside the mappings, which nobody else uses.
        unsafe {
            (0..4).for_each(|page| word(&low, page).write_volatile(page + 1));
            (0..4).for_each(|page| word(&high, page).write_volatile(page + 5));
            high.punch(P, P).unwrap();
            assert_eq!((word(&low, 1).read_volatile(), word(&high, 1).read_volatile()), (2, 0));
            let (fd, _) = high.share(2 * P, P).unwrap();
            let mut copied = [0; 8];
            File::from(fd).read_exact_at(&mut copied, 0).unwrap();
            assert_eq!(u64::from_ne_bytes(copied), 7);
            high.take_back(0, 4 * P).unwrap();
            assert_eq!((word(&high, 2).read_volatile(), word(&high, 3).read_volatile()), (0, 8));
            assert_eq!(word(&low, 2).read_volatile(), 3, "the other part is untouched");
        }
        assert!(file.set_len(0).is_err(), "whoever holds it cannot take its pages away");
    }

    #[test]
    fn an_island_is_a_part_and_nothing_else() {
        const P: u64 = 4096;
        let s = Shared::new("test", 64 * P).unwrap();
        let word = |page: u64| s.at(page * P, 8).unwrap().cast::<u64>();
        // SAFETY: inside the mapping, which nobody else uses.
        let (load, store) =
            (|page| unsafe { word(page).read_volatile() }, |page, v| unsafe { word(page).write_volatile(v) });
        (0..8).for_each(|page| store(page, page + 1));
        let (fd, at) = s.share(2 * P, 3 * P).unwrap();
        let file = File::from(fd);
        assert_eq!((file.metadata().unwrap().len(), at), (3 * P, 0));
        assert!(file.set_len(0).is_err(), "whoever holds it cannot take its pages away");
        assert_eq!((load(1), load(2), load(4), load(5)), (2, 3, 5, 6), "the content stays");
        file.write_all_at(&77u64.to_ne_bytes(), P).unwrap();
        assert_eq!(load(3), 77, "both see the same page");
        assert_eq!(s.share(3 * P, P).unwrap().1, P, "a part of it is the same island");
        assert!(s.share(4 * P, 2 * P).is_err(), "half in, half out");
        let mut pieces = Vec::new();
        s.pieces(P, 6 * P, |_, from, len| {
            pieces.push((from / P, len / P));
            Ok(())
        })
        .unwrap();
        assert_eq!(pieces, [(1, 1), (0, 3), (5, 2)]);
        s.punch(3 * P, P).unwrap();
        assert_eq!((load(2), load(3)), (3, 0));
        s.take_back(0, 64 * P).unwrap();
        assert_eq!((load(1), load(2), load(4), load(5)), (2, 0, 0, 6));
        store(2, 9);
        let mut kept = [0; 8];
        file.read_exact_at(&mut kept, 0).unwrap();
        assert_eq!(u64::from_ne_bytes(kept), 3, "what the holder sees is no longer the device's");
    }
}
