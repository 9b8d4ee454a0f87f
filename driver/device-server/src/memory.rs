//! Guest memory: what the client mapped, at guest-physical addresses, in one reservation of this process.
//!
//! A guest-physical address is always at the same place in the reservation. So what the client takes away can be
//! replaced by pages that nobody sees, under the hands of a device that still uses it, and what it maps again (as
//! firmware does) is there again for those who knew it before.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::statfs::{HUGETLBFS_MAGIC, fstatfs};
use parking_lot::RwLock;
use vinci_hw::regs::PAGE_SIZE;

/// Guest-physical addresses end here.
const LIMIT: u64 = 1 << 44;
/// Windows, and places where there was one, at most: each costs the kernel a mapping.
const WINDOWS: usize = 4096;

/// Why memory cannot be mapped or unmapped.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// Not whole pages, or outside of what can be addressed.
    #[error("{verb}: {address:#x}, {size:#x} bytes: not whole pages below {LIMIT:#x}")]
    Range {
        /// What was tried.
        verb: &'static str,
        /// First byte.
        address: u64,
        /// Bytes.
        size: u64,
    },
    /// Something is there.
    #[error("dma_map: {address:#x}, {size:#x} bytes: overlaps what is mapped at {other:#x}")]
    Overlap {
        /// First byte.
        address: u64,
        /// Bytes.
        size: u64,
        /// The other's first byte.
        other: u64,
    },
    /// Part of a window.
    #[error("dma_unmap: {address:#x}, {size:#x} bytes: cuts what is mapped at {other:#x}")]
    Cuts {
        /// First byte.
        address: u64,
        /// Bytes.
        size: u64,
        /// The window's first byte.
        other: u64,
    },
    /// Nothing there.
    #[error("dma_unmap: {address:#x}, {size:#x} bytes: nothing is mapped there")]
    Nothing {
        /// First byte.
        address: u64,
        /// Bytes.
        size: u64,
    },
    /// More than there may be.
    #[error("dma_map: there are {WINDOWS} windows already")]
    TooMany,
    /// No descriptor.
    #[error(
        "dma_map: guest memory at {address:#x}, {size:#x} bytes, is private to QEMU: give it \
         -object memory-backend-memfd,id=mem,size=…,share=on and -machine …,memory-backend=mem"
    )]
    Private {
        /// First byte.
        address: u64,
        /// Bytes.
        size: u64,
    },
    /// Its pages could be taken away under the device.
    #[error(
        "dma_map: guest memory at {address:#x} is {what}, whose pages could vanish under the device: use \
         -object memory-backend-memfd,…,share=on (which seals it)"
    )]
    Unsealed {
        /// First byte.
        address: u64,
        /// What it is instead.
        what: &'static str,
    },
    /// Not inside of the file.
    #[error("dma_map: {size:#x} bytes at {offset:#x} of the descriptor are beyond its end")]
    Beyond {
        /// In the file.
        offset: u64,
        /// Bytes.
        size: u64,
    },
    /// The operating system.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        error: io::Error,
    },
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> MemoryError {
    move |error| MemoryError::System { what, error }
}

#[derive(Default)]
struct Windows {
    /// First byte to bytes.
    mapped: BTreeMap<u64, u64>,
    /// What was there once, and may be in use still.
    retired: Vec<(u64, u64)>,
}

impl Windows {
    /// The window that begins last before `end`, if it reaches beyond `address`.
    fn overlapping(&self, address: u64, end: u64) -> Option<(u64, u64)> {
        let (&at, &len) = self.mapped.range(..end).next_back()?;
        (at + len > address).then_some((at, len))
    }
}

/// See the module.
pub struct GuestMemory {
    reservation: NonNull<u8>,
    windows: RwLock<Windows>,
}

// SAFETY: the pointer is to a mapping that lives as long as this object; what is accessed there is shared memory,
// which those who access it treat as such.
unsafe impl Send for GuestMemory {}
// SAFETY: as above; the table of windows is behind a lock.
unsafe impl Sync for GuestMemory {}

const NOBODYS: libc::c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;

impl GuestMemory {
    /// A reservation without memory.
    pub fn new() -> Result<Self, MemoryError> {
        // SAFETY: a new mapping, wherever there is room.
        let p = unsafe { libc::mmap(std::ptr::null_mut(), LIMIT as usize, libc::PROT_NONE, NOBODYS, -1, 0) };
        match NonNull::new(p.cast::<u8>()).filter(|_| p != libc::MAP_FAILED) {
            Some(reservation) => Ok(Self { reservation, windows: RwLock::default() }),
            None => Err(system("reserving room for guest memory")(io::Error::last_os_error())),
        }
    }

    /// Maps `size` bytes of `fd`, from `offset` on, at guest-physical `address`.
    pub fn map(&self, address: u64, size: u64, fd: BorrowedFd<'_>, offset: u64) -> Result<(), MemoryError> {
        let end = check("dma_map", address, size)?;
        if !offset.is_multiple_of(PAGE_SIZE) {
            return Err(MemoryError::Range { verb: "dma_map", address: offset, size });
        }
        let seals = fcntl(fd, FcntlArg::F_GET_SEALS)
            .map_err(|_| MemoryError::Unsealed { address, what: "not a memfd" })?;
        if !SealFlag::from_bits_retain(seals).contains(SealFlag::F_SEAL_SHRINK) {
            return Err(MemoryError::Unsealed { address, what: "a memfd without seals" });
        }
        let kind = fstatfs(fd).map_err(|e| system("dma_map: fstatfs")(e.into()))?.filesystem_type();
        if kind == HUGETLBFS_MAGIC {
            return Err(MemoryError::Unsealed { address, what: "of huge pages" });
        }
        let bytes = nix::sys::stat::fstat(fd).map_err(|e| system("dma_map: fstat")(e.into()))?.st_size;
        if offset.checked_add(size).is_none_or(|end| end > bytes as u64) {
            return Err(MemoryError::Beyond { offset, size });
        }
        let mut windows = self.windows.write();
        if let Some((other, _)) = windows.overlapping(address, end) {
            return Err(MemoryError::Overlap { address, size, other });
        }
        if windows.mapped.len() + windows.retired.len() >= WINDOWS {
            return Err(MemoryError::TooMany);
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the range is inside the reservation (checked), and no window is there.
        unsafe { self.place(address, size, access, libc::MAP_SHARED, fd.as_raw_fd(), offset) }
            .map_err(system("dma_map: mmap"))?;
        // What was retired there and is whole again counts no more.
        windows.retired.retain(|&(at, len)| at < address || at + len > end);
        windows.mapped.insert(address, size);
        Ok(())
    }

    /// Takes away the windows in `size` bytes from `address` on. A device that still uses them finds pages there that
    /// nobody else sees.
    pub fn unmap(&self, address: u64, size: u64) -> Result<(), MemoryError> {
        let end = check("dma_unmap", address, size)?;
        let mut windows = self.windows.write();
        let first = windows.mapped.range(..address).next_back();
        let cut = first.filter(|&(&at, &len)| at + len > address).map(|(&at, _)| at);
        let cut = cut.or(windows.overlapping(address, end).filter(|(at, len)| at + len > end).map(|w| w.0));
        if let Some(other) = cut {
            return Err(MemoryError::Cuts { address, size, other });
        }
        let gone: Vec<_> = windows.mapped.range(address..end).map(|(&at, &len)| (at, len)).collect();
        if gone.is_empty() {
            return Err(MemoryError::Nothing { address, size });
        }
        for (at, len) in gone {
            self.retire(&mut windows, at, len)?;
        }
        Ok(())
    }

    /// Takes away all windows.
    pub fn unmap_all(&self) -> Result<(), MemoryError> {
        let mut windows = self.windows.write();
        while let Some((&at, &len)) = windows.mapped.first_key_value() {
            self.retire(&mut windows, at, len)?;
        }
        Ok(())
    }

    fn retire(&self, windows: &mut Windows, at: u64, len: u64) -> Result<(), MemoryError> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a window lies inside the reservation. Who uses it sees the old or the new pages, never none: the
        // kernel replaces a mapping under one lock.
        unsafe { self.place(at, len, access, NOBODYS, -1, 0) }.map_err(system("dma_unmap: mmap"))?;
        windows.mapped.remove(&at);
        windows.retired.push((at, len));
        Ok(())
    }

    /// The device uses nothing any more (it was reset): pages that nobody sees go.
    pub fn forget_retired(&self) {
        let mut windows = self.windows.write();
        let retired = std::mem::take(&mut windows.retired);
        for (at, len) in retired {
            let mut free = vec![(at, len)];
            for (&start, &size) in windows.mapped.range(..at + len).filter(|&(&s, &l)| s + l > at) {
                let cut = |(a, l): (u64, u64)| {
                    let before = (a, start.saturating_sub(a).min(l));
                    let after_at = (start + size).max(a).min(a + l);
                    [before, (after_at, a + l - after_at)]
                };
                free = free.into_iter().flat_map(cut).filter(|piece| piece.1 != 0).collect();
            }
            for (at, len) in free {
                // SAFETY: inside the reservation, where no window is, and the device uses nothing.
                if let Err(e) = unsafe { self.place(at, len, libc::PROT_NONE, NOBODYS, -1, 0) } {
                    log::error!("guest memory: {len:#x} bytes at {at:#x} could not be given back: {e}");
                }
            }
        }
    }

    /// Pointer to `len` bytes at guest-physical `address`, if all of them are mapped. It stays good for accesses as
    /// long as this object lives or until [`GuestMemory::forget_retired`].
    pub fn at(&self, address: u64, len: u64) -> Option<NonNull<u8>> {
        let end = address.checked_add(len)?;
        let windows = self.windows.read();
        let (&start, &size) = windows.mapped.range(..=address).next_back()?;
        let mut covered = start + size;
        if covered <= address {
            return None;
        }
        // Neighbours are side by side here too.
        while covered < end {
            covered += windows.mapped.get(&covered)?;
        }
        // SAFETY: a window lies inside the reservation.
        Some(unsafe { self.reservation.add(address as usize) })
    }

    /// How many windows there are.
    pub fn count(&self) -> usize {
        self.windows.read().mapped.len()
    }

    /// Bytes of all windows.
    pub fn bytes(&self) -> u64 {
        self.windows.read().mapped.values().sum()
    }

    /// # Safety
    /// The range is inside the reservation, and whoever uses what is there can do with what replaces it.
    unsafe fn place(
        &self,
        address: u64,
        len: u64,
        access: libc::c_int,
        flags: libc::c_int,
        fd: libc::c_int,
        offset: u64,
    ) -> io::Result<()> {
        // SAFETY: the caller's promise.
        let p = unsafe {
            let at = self.reservation.add(address as usize).as_ptr().cast();
            libc::mmap(at, len as usize, access, flags | libc::MAP_FIXED, fd, offset as libc::off_t)
        };
        if p == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl Drop for GuestMemory {
    fn drop(&mut self) {
        // SAFETY: the reservation, which nobody uses any more: the device's threads hold what holds this object.
        unsafe { libc::munmap(self.reservation.as_ptr().cast(), LIMIT as usize) };
    }
}

/// The end of a range of whole pages.
fn check(verb: &'static str, address: u64, size: u64) -> Result<u64, MemoryError> {
    let end = address.checked_add(size).filter(|&end| end <= LIMIT);
    let whole = size != 0 && (address | size).is_multiple_of(PAGE_SIZE);
    end.filter(|_| whole).ok_or(MemoryError::Range { verb, address, size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;
    use vinci_device::sealed;

    const P: u64 = PAGE_SIZE;

    fn load(m: &GuestMemory, at: u64) -> u64 {
        // SAFETY: `at` answers a pointer to mapped memory.
        unsafe { m.at(at, 8).unwrap().cast::<u64>().read_volatile() }
    }

    fn numbered(pages: u64) -> File {
        let file = sealed("test", pages * P).unwrap();
        (0..pages).for_each(|page| file.write_all_at(&(page + 1).to_ne_bytes(), page * P).unwrap());
        file
    }

    #[test]
    fn what_is_taken_away_is_out_of_reach_and_comes_back_to_the_same_place() {
        let (m, file) = (GuestMemory::new().unwrap(), numbered(8));
        m.map(0, 2 * P, file.as_fd(), 0).unwrap();
        m.map(2 * P, 4 * P, file.as_fd(), 2 * P).unwrap();
        let p = m.at(3 * P, 8).unwrap().cast::<u64>();
        assert_eq!((load(&m, P), load(&m, 3 * P)), (2, 4));
        assert!(m.at(P, 5 * P).is_some(), "neighbours are one");
        assert!(m.at(P, 5 * P + 1).is_none() && m.at(6 * P, 1).is_none() && m.at(u64::MAX, 2).is_none());
        m.unmap(2 * P, 4 * P).unwrap();
        assert!(m.at(3 * P, 1).is_none());
        // SAFETY: the pointer stays good for accesses.
        unsafe {
            assert_eq!(p.read_volatile(), 0, "a device that still looks sees nothing");
            p.write_volatile(77);
        }
        m.map(2 * P, 4 * P, file.as_fd(), 2 * P).unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { p.read_volatile() }, 4, "nothing was stored, and it is there again");
        m.unmap_all().unwrap();
        m.forget_retired();
        assert!(m.count() == 0 && m.windows.read().retired.is_empty());
    }

    #[test]
    fn memory_whose_pages_could_vanish_is_refused() {
        let m = GuestMemory::new().unwrap();
        let memfd = |flags| File::from(nix::sys::memfd::memfd_create("test", flags).unwrap());
        let unsealed = memfd(nix::sys::memfd::MFdFlags::MFD_CLOEXEC);
        unsealed.set_len(P).unwrap();
        let file = File::open("/proc/self/exe").unwrap();
        let (pipe, _) = nix::unistd::pipe().unwrap();
        for fd in [unsealed.as_fd(), file.as_fd(), pipe.as_fd()] {
            let e = m.map(0, P, fd, 0).unwrap_err();
            assert!(e.to_string().contains("memory-backend-memfd"), "{e}");
        }
        let short = numbered(1);
        assert!(matches!(m.map(0, 2 * P, short.as_fd(), 0), Err(MemoryError::Beyond { .. })));
        assert!(matches!(m.map(0, P, short.as_fd(), u64::MAX - P + 1), Err(MemoryError::Beyond { .. })));
        for (address, size) in [(1, P), (0, 0), (0, 1), (LIMIT, P), (u64::MAX - P + 1, P), (0, LIMIT + P)] {
            assert!(matches!(m.map(address, size, short.as_fd(), 0), Err(MemoryError::Range { .. })));
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Map(u64, u64),
        Unmap(u64, u64),
        Forget,
    }

    proptest! {
        /// In any order, what is mapped is reached and shows its own page; the rest is not.
        #[test]
        fn any_order_of_maps_and_unmaps(ops in prop::collection::vec(prop_oneof![
            4 => (0..16u64, 1..8u64).prop_map(|(a, n)| Op::Map(a, n)),
            3 => (0..16u64, 1..16u64).prop_map(|(a, n)| Op::Unmap(a, n)),
            1 => Just(Op::Forget),
        ], 1..40)) {
            let (m, file) = (GuestMemory::new().unwrap(), numbered(32));
            let mut model: Vec<Option<u64>> = vec![None; 32];
            for op in ops {
                match op {
                    Op::Map(at, n) => {
                        let free = model[at as usize..(at + n) as usize].iter().all(Option::is_none);
                        prop_assert_eq!(m.map(at * P, n * P, file.as_fd(), at * P).is_ok(), free);
                        if free {
                            model[at as usize..(at + n) as usize].fill(Some(at));
                        }
                    }
                    Op::Unmap(at, n) => {
                        let inside = |page: &usize| (at as usize..(at + n) as usize).contains(page);
                        let windows: Vec<u64> = (0..32).filter(inside).filter_map(|p| model[p]).collect();
                        let whole = windows.iter().all(|w| (0..32).filter(|&p| model[p] == Some(*w)).all(|p| inside(&p)));
                        let done = m.unmap(at * P, n * P).is_ok();
                        prop_assert_eq!(done, whole && !windows.is_empty());
                        if done {
                            model[at as usize..(at + n).min(32) as usize].fill(None);
                        }
                    }
                    Op::Forget => m.forget_retired(),
                }
                for (page, there) in model.iter().enumerate() {
                    let at = page as u64 * P;
                    prop_assert_eq!(m.at(at, P).is_some(), there.is_some(), "page {}", page);
                    if there.is_some() {
                        prop_assert_eq!(load(&m, at), page as u64 + 1);
                    }
                }
            }
        }
    }
}
