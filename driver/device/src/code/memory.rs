//! The memory of an address space as a jail maps it, piece by piece, when a kernel first touches it.
//!
//! HBM is mapped as it is. Pages of the host cannot be: a kernel works on a copy of a piece, and what it changed is
//! written back when it has ended, byte by byte, so that its neighbours in the piece keep what others wrote there.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use nix::sys::memfd::{MFdFlags, memfd_create};
use parking_lot::Mutex;
use vinci_jail::layout::{CODE_BASE, CODE_STRIDE, CODES, Map};
use vinci_jail::{Backing, Found, Jail};

use crate::device::Inner;
use crate::mmu::{Access, AddressSpace, Target};
use crate::window::Span;

/// Largest piece of host memory that is copied at a time.
const PIECE: u64 = 64 << 10;

/// A piece of host memory that kernels see a copy of.
struct Copy {
    len: u64,
    map: MmapRaw,
    /// As it was when it was copied.
    before: Vec<u8>,
    written: bool,
}

impl Copy {
    fn bytes(&self) -> NonNull<u8> {
        // PANIC: mmap never returns null for a successful mapping.
        NonNull::new(self.map.as_mut_ptr()).expect("a mapping has an address")
    }
}

/// See the module.
pub(crate) struct Memory {
    vm: Weak<AddressSpace>,
    dev: Weak<Inner>,
    die: u32,
    copies: Mutex<BTreeMap<u64, Copy>>,
    /// Whether there is one.
    any: AtomicBool,
}

impl Memory {
    pub(crate) fn new(vm: Weak<AddressSpace>, dev: Weak<Inner>, die: u32) -> Self {
        Self { vm, dev, die, copies: Mutex::default(), any: AtomicBool::new(false) }
    }

    /// Whether kernels work on a copy of some memory.
    pub(crate) fn has_copies(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    fn code(vm: &AddressSpace, va: u64) -> Option<Found> {
        let number = (va - CODE_BASE) / CODE_STRIDE + 1;
        let object = vm.code.object(number as u32)?;
        let image = &object.object.image;
        let range = image.ranges.iter().find(|r| (va - image.base).wrapping_sub(r.start) < r.len)?;
        let map = Map {
            va: image.base + range.start,
            len: range.len,
            offset: range.start,
            access: range.access,
            private: 1,
        };
        Some(Found::File(object.file.try_clone().ok()?.into(), map))
    }

    fn data(&self, vm: &AddressSpace, dev: &Inner, va: u64, write: bool) -> Option<Found> {
        let access = if write { Access::Write } else { Access::Read };
        let (start, len, target, flags) = vm.piece(self.die, va, access).ok()?;
        match target {
            Target::Hbm { die, offset } if dev.host.one_process() => {
                let mut found = None;
                let mut at = start;
                let pieces = dev.hbm[die as usize].pieces(offset, len, |file, from, len| {
                    if va - at < len && va >= at {
                        let map = Map { va: at, len, offset: from, access: flags & 3, private: 0 };
                        found = Some((file.try_clone_to_owned()?, map));
                    }
                    at += len;
                    Ok(())
                });
                pieces.ok()?;
                found.map(|(file, map)| Found::File(file, map))
            }
            // The memfd of a die's HBM holds other processes' memory, too: this one gets a copy.
            Target::Hbm { .. } | Target::Host { .. } | Target::Window { .. } => {
                self.copy(vm, dev, start, len, va, write)
            }
        }
    }

    /// A copy of the piece of `[start, start + len)` around `va`.
    fn copy(
        &self,
        vm: &AddressSpace,
        dev: &Inner,
        start: u64,
        len: u64,
        va: u64,
        write: bool,
    ) -> Option<Found> {
        let at = start.max(va & !(PIECE - 1));
        let len = (start + len).min((va & !(PIECE - 1)) + PIECE) - at;
        let mut copies = self.copies.lock();
        if let Some(copy) = copies.get_mut(&at) {
            if write && !copy.written {
                copy.written = true;
                return Some(Found::Writable(at, copy.len));
            }
            return Some(Found::Present);
        }
        let from = Span::find(vm, &*dev.host, self.die, at, len, Access::Read).ok()?;
        let file = File::from(memfd_create("vinci-copy", MFdFlags::MFD_CLOEXEC).ok()?);
        file.set_len(len).ok()?;
        let map = MmapOptions::new().len(len as usize).map_raw(&file).ok()?;
        let mut copy = Copy { len, map, before: Vec::new(), written: write };
        let here = Span::Here(copy.bytes());
        // SAFETY: both have `len` bytes; the jail has not got the copy yet.
        unsafe { here.copy_from(0, &from, 0, len as usize) }.then_some(())?;
        // SAFETY: as above.
        copy.before = unsafe { std::slice::from_raw_parts(copy.bytes().as_ptr(), len as usize) }.to_vec();
        copies.insert(at, copy);
        self.any.store(true, Ordering::Release);
        let access = if write { 3 } else { 1 };
        Some(Found::File(OwnedFd::from(file), Map { va: at, len, offset: 0, access, private: 0 }))
    }

    /// A kernel has ended: what it changed in copies is written back, and the copies go. The first range that could
    /// not be.
    pub(crate) fn settle(&self, vm: &AddressSpace, jail: &Jail) -> Result<(), (u64, u64)> {
        if !self.any.load(Ordering::Acquire) {
            return Ok(());
        }
        let Some(dev) = self.dev.upgrade() else { return Ok(()) };
        let mut copies = self.copies.lock();
        let mut result = Ok(());
        for (&va, copy) in copies.iter_mut().filter(|(_, c)| c.written) {
            // SAFETY: the copy's own bytes, taken once: the jail may change them at any time.
            let now =
                unsafe { std::slice::from_raw_parts(copy.bytes().as_ptr(), copy.len as usize) }.to_vec();
            if write_back(vm, &dev, self.die, va, &copy.before, &now).is_none() {
                result = Err((va, copy.len));
            }
            copy.before = now;
        }
        // Another kernel in the jail may be using them still.
        if jail.is_idle() {
            for (va, copy) in std::mem::take(&mut *copies) {
                jail.forget(va, copy.len);
            }
            self.any.store(false, Ordering::Release);
        }
        result
    }
}

/// Stores the bytes that differ.
fn write_back(vm: &AddressSpace, dev: &Inner, die: u32, va: u64, before: &[u8], now: &[u8]) -> Option<()> {
    let mut at = 0;
    while at < now.len() {
        if before[at] == now[at] {
            at += 1;
            continue;
        }
        let len = now[at..].iter().zip(&before[at..]).take_while(|(a, b)| a != b).count();
        let to = Span::find(vm, &*dev.host, die, va + at as u64, len as u64, Access::Write).ok()?;
        let from = Span::Here(NonNull::from(&now[at..at + len]).cast());
        // SAFETY: `len` bytes were translated for stores; the source has as many.
        unsafe { to.copy_from(0, &from, 0, len) }.then_some(())?;
        at += len;
    }
    Some(())
}

impl Backing for Memory {
    fn find(&self, va: u64, write: bool) -> Found {
        let (Some(vm), Some(dev)) = (self.vm.upgrade(), self.dev.upgrade()) else { return Found::Nothing };
        let _use = vm.enter();
        let found = if (CODE_BASE..CODE_BASE + CODES * CODE_STRIDE).contains(&va) {
            Self::code(&vm, va)
        } else {
            self.data(&vm, &dev, va, write)
        };
        found.unwrap_or(Found::Nothing)
    }

    fn progress(&self) {
        super::wake(&self.dev, self.die);
    }
}
