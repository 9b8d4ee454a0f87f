//! What each worker has done last, in memory that outlives it.

use std::fmt;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use memmap2::MmapRaw;
use nix::sys::memfd::{MFdFlags, memfd_create};

/// Calls that are remembered.
const KEPT: u64 = 32;
/// Words of a payload that are remembered.
const WORDS: usize = 9;

/// A call: its number, request, answer, and the beginning of its payload. All words, since a dying process leaves
/// them as they are.
#[repr(C)]
struct Call([AtomicU64; WORDS + 3]);

/// One worker's part.
#[repr(C)]
pub struct Slot {
    /// Calls so far.
    pub calls: AtomicU64,
    /// Of them, how many succeeded.
    pub good: AtomicU64,
    /// Entries of queues that ran to their end, as far as resets tell.
    pub entries: AtomicU64,
    ring: [Call; KEPT as usize],
}

/// All parts. The program that watches makes it; workers inherit it by the number of its descriptor.
pub struct Log {
    file: File,
    map: MmapRaw,
    slots: usize,
}

impl Log {
    /// A log for so many workers, that programs which are started inherit.
    pub fn new(slots: usize) -> Result<Self> {
        let file = File::from(memfd_create("fuzz-log", MFdFlags::empty())?);
        file.set_len((slots * size_of::<Slot>()) as u64)?;
        Self::map(file, slots)
    }

    /// The log at a descriptor that was inherited.
    ///
    /// # Safety
    /// The descriptor is a log's, and nobody else owns it.
    pub unsafe fn inherited(fd: i32) -> Result<Self> {
        // SAFETY: the caller's promise.
        let file = unsafe { File::from_raw_fd(fd) };
        let slots = file.metadata()?.len() as usize / size_of::<Slot>();
        Self::map(file, slots)
    }

    fn map(file: File, slots: usize) -> Result<Self> {
        let map = MmapRaw::map_raw(&file)?;
        Ok(Self { file, map, slots })
    }

    /// For a program that is started.
    pub fn descriptor(&self) -> i32 {
        self.file.as_raw_fd()
    }

    /// A worker's part.
    pub fn slot(&self, at: usize) -> &Slot {
        assert!(at < self.slots, "there are {} slots", self.slots);
        let first = NonNull::new(self.map.as_mut_ptr().cast::<Slot>()).expect("a mapping has an address");
        // SAFETY: inside the mapping, which is page aligned; the parts are atomics only.
        unsafe { first.add(at).as_ref() }
    }
}

impl Slot {
    /// Notes a call before it is made; answers its number.
    pub fn begin(&self, cmd: u64, payload: &[u8]) -> u64 {
        let n = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let call = &self.ring[(n % KEPT) as usize].0;
        call[0].store(n, Ordering::Relaxed);
        call[1].store(cmd | (payload.len() as u64) << 32, Ordering::Relaxed);
        call[2].store(u64::MAX, Ordering::Relaxed);
        for (word, to) in payload.chunks(8).zip(&call[3..]) {
            let mut bytes = [0; 8];
            bytes[..word.len()].copy_from_slice(word);
            to.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
        n
    }

    /// Notes its answer: 0 or an errno.
    pub fn end(&self, n: u64, answer: u64) {
        self.ring[(n % KEPT) as usize].0[2].store(answer, Ordering::Relaxed);
        if answer == 0 {
            self.good.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The last calls, the oldest first.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.calls.load(Ordering::Relaxed);
        for n in last.saturating_sub(KEPT - 1)..=last {
            let call = &self.ring[(n % KEPT) as usize].0;
            let word = |at: usize| call[at].load(Ordering::Relaxed);
            if word(0) != n || n == 0 {
                continue;
            }
            let (cmd, len) = (word(1) as u32, (word(1) >> 32) as usize);
            write!(f, "  {n:>10} {}", crate::request::name(cmd))?;
            for at in 0..len.div_ceil(8).min(WORDS) {
                write!(f, " {:x}", word(3 + at))?;
            }
            match word(2) {
                u64::MAX => writeln!(f, " = does not return")?,
                0 => writeln!(f, " = 0")?,
                errno => writeln!(f, " = errno {errno}")?,
            }
        }
        Ok(())
    }
}
