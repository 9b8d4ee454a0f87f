//! Address spaces: which device addresses mean which memory, and who may touch it.
//!
//! A device address means bytes of one die's HBM or of host memory. Work on a die translates under
//! [`AddressSpace::enter`]; `unmap` returns after all work that could hold a translation has ended.

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::MmapRaw;
use parking_lot::{Mutex, RwLock};
use vinci_hw::regs::PAGE_SIZE;
use vinci_hw::uapi::{DRM_VINCI_MAP_READ, DRM_VINCI_MAP_WRITE};

use crate::code::Code;
use crate::quiesce::{InUse, Quiesce};
use crate::shared::Shared;
use crate::stitch;

/// Most dies of a module.
pub const MAX_DIES: usize = 8;

/// What a mapping leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Offset into a die's HBM.
    Hbm {
        /// Die.
        die: u32,
        /// Bytes.
        offset: u64,
    },
    /// Host memory, already translated from its bus address.
    Host {
        /// Address in this process.
        addr: usize,
    },
    /// Host memory that is not in this process; see [`crate::HostBus::window`].
    Window {
        /// Bus address.
        bus: u64,
    },
}

impl Target {
    /// The target `bytes` further on.
    fn advance(self, bytes: u64) -> Self {
        match self {
            Self::Hbm { die, offset } => Self::Hbm { die, offset: offset + bytes },
            Self::Host { addr } => Self::Host { addr: addr + bytes as usize },
            Self::Window { bus } => Self::Window { bus: bus + bytes },
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Mapping {
    len: u64,
    target: Target,
    flags: u32,
}

/// What an access wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Load.
    Read,
    /// Store, or load and store.
    Write,
}

impl Access {
    fn allowed(self, flags: u32) -> bool {
        flags & if self == Self::Read { DRM_VINCI_MAP_READ } else { DRM_VINCI_MAP_WRITE } != 0
    }
}

/// Why an address cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// Nothing is mapped at this address.
    Unmapped(u64),
    /// What is mapped there does not allow the access.
    Forbidden(u64),
    /// It is another die's HBM and peer access is off.
    NoPeer(u64, u32),
    /// It is another die's HBM and the link is down.
    LinkDown(u64),
    /// An uncorrectable memory error is there.
    Ecc(u64),
    /// It may be accessed, but by copying only: the device address, and the bus address behind it.
    Window(u64, u64),
}

impl Miss {
    /// First address that could not be used.
    pub fn addr(self) -> u64 {
        match self {
            Self::Unmapped(a)
            | Self::Forbidden(a)
            | Self::NoPeer(a, _)
            | Self::LinkDown(a)
            | Self::Ecc(a)
            | Self::Window(a, _) => a,
        }
    }
}

/// First address and bytes.
pub(crate) type Range = (u64, u64);

/// Why a map or unmap was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// Not page aligned, empty, or without a permission.
    Invalid,
    /// Overlaps a mapping, or cuts one.
    Overlap,
    /// Nothing there.
    NotFound,
    /// Outside the HBM.
    BadTarget,
}

/// Bytes of a range that lie side by side.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// First byte, in the range.
    pub start: usize,
    /// First byte, in this process.
    pub ptr: NonNull<u8>,
    /// Bytes.
    pub len: usize,
}

/// Poisoned HBM: injected uncorrectable errors and the state of the link, shared by all address spaces.
#[derive(Default)]
pub struct Health {
    /// Bit per die: its link to the others is down.
    links_down: AtomicU64,
    /// Number of entries in `poison`, so that a translation need not lock.
    poisoned: AtomicU64,
    poison: Mutex<Vec<(u32, u64)>>,
}

impl Health {
    /// Marks the 64 bytes around `offset` as uncorrectable.
    pub fn poison(&self, die: u32, offset: u64) {
        let mut p = self.poison.lock();
        p.push((die, offset & !63));
        self.poisoned.store(p.len() as u64, Ordering::Release);
    }

    /// Takes the link of `die` down.
    pub fn link_down(&self, die: u32) {
        self.links_down.fetch_or(1 << die, Ordering::AcqRel);
    }

    /// Repairs what a reset of `die` repairs (`None`: everything).
    pub fn repair(&self, die: Option<u32>) {
        let mut p = self.poison.lock();
        p.retain(|&(d, _)| die.is_some_and(|x| x != d));
        self.poisoned.store(p.len() as u64, Ordering::Release);
        if die.is_none() {
            self.links_down.store(0, Ordering::Release);
        }
    }

    fn poisoned_in(&self, die: u32, offset: u64, len: u64) -> Option<u64> {
        if self.poisoned.load(Ordering::Acquire) == 0 {
            return None;
        }
        let p = self.poison.lock();
        p.iter()
            .find(|&&(d, o)| d == die && o < offset + len && offset < o + 64)
            .map(|&(_, o)| o.max(offset) - offset)
    }

    fn link_is_down(&self, a: u32, b: u32) -> bool {
        self.links_down.load(Ordering::Acquire) & (1 << a | 1 << b) != 0
    }
}

/// An address space.
pub struct AddressSpace {
    hbm: Arc<[Shared]>,
    health: Arc<Health>,
    map: RwLock<BTreeMap<u64, Mapping>>,
    /// `peers[from]` has bit `to` set while `from` may reach `to`'s HBM.
    peers: [AtomicU64; MAX_DIES],
    in_use: Quiesce,
    /// Kernels that the address space's owner brought along.
    pub(crate) code: Code,
    /// Linear views of ranges whose memory is scattered, with the device address of their first byte. One that
    /// a longer one replaced stays, since work may be using it, until what it shows is unmapped.
    stitched: Mutex<Vec<(u64, MmapRaw)>>,
}

impl AddressSpace {
    /// An empty one over the HBM of all dies.
    pub fn new(hbm: Arc<[Shared]>, health: Arc<Health>) -> Self {
        Self {
            hbm,
            health,
            map: RwLock::default(),
            peers: std::array::from_fn(|die| AtomicU64::new(1 << die)),
            in_use: Quiesce::default(),
            code: Code::default(),
            stitched: Mutex::default(),
        }
    }

    /// Begins work that translates; translations stay good until the guard is dropped.
    pub fn enter(&self) -> InUse<'_> {
        self.in_use.enter()
    }

    /// [`AddressSpace::enter`] for work that outlives the caller: what to give to [`AddressSpace::release`].
    pub(crate) fn hold(&self) -> usize {
        self.in_use.hold()
    }

    /// Ends work that [`AddressSpace::hold`] began.
    pub(crate) fn release(&self, index: usize) {
        self.in_use.release(index);
    }

    /// Returns when all work that has begun has ended.
    pub(crate) fn wait_for_work(&self) {
        self.in_use.wait();
    }

    /// Maps `len` bytes at `va`.
    pub fn map(&self, va: u64, len: u64, target: Target, flags: u32) -> Result<(), MapError> {
        let end = va.checked_add(len).ok_or(MapError::Invalid)?;
        let known = DRM_VINCI_MAP_READ | DRM_VINCI_MAP_WRITE;
        if len == 0 || !(va | len).is_multiple_of(PAGE_SIZE) || flags & known == 0 || flags & !known != 0 {
            return Err(MapError::Invalid);
        }
        if let Target::Hbm { die, offset } = target {
            let hbm = self.hbm.get(die as usize).ok_or(MapError::BadTarget)?;
            if !offset.is_multiple_of(PAGE_SIZE) || hbm.at(offset, len).is_none() {
                return Err(MapError::BadTarget);
            }
        }
        let mut map = self.map.write();
        if map.range(..end).next_back().is_some_and(|(&v, m)| v + m.len > va) {
            return Err(MapError::Overlap);
        }
        map.insert(va, Mapping { len, target, flags });
        Ok(())
    }

    /// Removes the whole mappings in `[va, va + len)` and waits until no work uses them.
    pub fn unmap(&self, va: u64, len: u64) -> Result<(), MapError> {
        let end = va.checked_add(len).filter(|_| len != 0).ok_or(MapError::Invalid)?;
        {
            let mut map = self.map.write();
            let mut at = va;
            let first = map.range(va..end).next().map(|(&v, _)| v);
            let cuts_front = map.range(..va).next_back().is_some_and(|(&v, m)| v + m.len > va);
            let cuts_back = map.range(..end).next_back().is_some_and(|(&v, m)| v + m.len > end);
            if cuts_front || cuts_back {
                return Err(MapError::Overlap);
            }
            if first.is_none() {
                return Err(MapError::NotFound);
            }
            while let Some((&v, _)) = map.range(at..end).next() {
                map.remove(&v);
                at = v + 1;
            }
        }
        self.in_use.wait();
        self.code.forget(va, len);
        self.stitched.lock().retain(|(v, view)| *v >= end || v + view.len() as u64 <= va);
        Ok(())
    }

    /// Forgets the linear views, which show memory that has moved to another file. No work runs meanwhile.
    pub fn forget_views(&self) {
        self.stitched.lock().clear();
        self.code.forget(0, u64::MAX);
    }

    /// The mapping that `va` lies in, if work on `die` may access it so: its first address, its bytes, what it leads
    /// to, and its flags.
    pub(crate) fn piece(&self, die: u32, va: u64, access: Access) -> Result<(u64, u64, Target, u32), Miss> {
        let map = self.map.read();
        let (&start, m) = map.range(..=va).next_back().ok_or(Miss::Unmapped(va))?;
        if va - start >= m.len {
            return Err(Miss::Unmapped(va));
        }
        match self.check(die, start, m.len, m, m.target, access) {
            Ok(_) | Err(Miss::Window(..)) => Ok((start, m.len, m.target, m.flags)),
            Err(miss) => Err(miss),
        }
    }

    /// Whether `va` is another die's HBM for work on `die`. A range that crosses dies is judged by where it begins.
    pub(crate) fn is_far(&self, die: u32, va: u64) -> bool {
        let map = self.map.read();
        let found = map.range(..=va).next_back().filter(|(start, m)| va - **start < m.len);
        found.is_some_and(|(_, m)| matches!(m.target, Target::Hbm { die: of, .. } if of != die))
    }

    /// The mapping at or below `va` and the one above it: first address and bytes, adjoining ones taken as one.
    pub(crate) fn neighbours(&self, va: u64) -> (Option<Range>, Option<Range>) {
        let map = self.map.read();
        let below = map.range(..=va).next_back().map(|(&start, m)| (start, m.len));
        let above = map.range(va..).find(|(start, _)| **start > va).map(|(&start, m)| (start, m.len));
        (below, above)
    }

    /// Lets `from` reach the HBM of `to`, or not.
    pub fn set_peer(&self, from: u32, to: u32, enable: bool) -> Result<(), MapError> {
        let dies = self.hbm.len() as u32;
        if from >= dies || to >= dies || from == to {
            return Err(MapError::Invalid);
        }
        let peers = &self.peers[from as usize];
        if enable {
            peers.fetch_or(1 << to, Ordering::AcqRel)
        } else {
            peers.fetch_and(!(1 << to), Ordering::AcqRel)
        };
        Ok(())
    }

    /// Pointer to `len` contiguous bytes that work on `die` may access. Valid while the caller's
    /// [`AddressSpace::enter`] guard lives; other work, other processes and the host may access the bytes too.
    pub fn translate(&self, die: u32, va: u64, len: u64, access: Access) -> Result<NonNull<u8>, Miss> {
        match self.translate_one(die, va, len, access)? {
            Some(p) => Ok(p),
            None => self.translate_scattered(die, va, len, access),
        }
    }

    /// As [`AddressSpace::translate`], if one mapping holds all of it.
    pub fn translate_one(
        &self,
        die: u32,
        va: u64,
        len: u64,
        access: Access,
    ) -> Result<Option<NonNull<u8>>, Miss> {
        let map = self.map.read();
        let (&start, m) = map.range(..=va).next_back().ok_or(Miss::Unmapped(va))?;
        if va - start >= m.len {
            return Err(Miss::Unmapped(va));
        }
        if len.max(1) > m.len - (va - start) {
            return Ok(None);
        }
        self.check(die, va, len, m, m.target.advance(va - start), access).map(Some)
    }

    /// Checks one piece that lies in one mapping.
    fn check(
        &self,
        die: u32,
        va: u64,
        len: u64,
        m: &Mapping,
        target: Target,
        access: Access,
    ) -> Result<NonNull<u8>, Miss> {
        if !access.allowed(m.flags) {
            return Err(Miss::Forbidden(va));
        }
        match target {
            Target::Host { addr } => NonNull::new(addr as *mut u8).ok_or(Miss::Unmapped(va)),
            Target::Window { bus } => Err(Miss::Window(va, bus)),
            Target::Hbm { die: home, offset } => {
                if home != die {
                    if self.peers[die as usize].load(Ordering::Acquire) & (1 << home) == 0 {
                        return Err(Miss::NoPeer(va, home));
                    }
                    if self.health.link_is_down(die, home) {
                        return Err(Miss::LinkDown(va));
                    }
                }
                if let Some(at) = self.health.poisoned_in(home, offset, len) {
                    return Err(Miss::Ecc(va + at));
                }
                self.hbm[home as usize].at(offset, len).ok_or(Miss::Unmapped(va))
            }
        }
    }

    /// Goes through the mappings that hold `len` bytes, in order: start, mapping, pointer and bytes of the part.
    fn walk(
        &self,
        die: u32,
        va: u64,
        len: u64,
        access: Access,
        mut each: impl FnMut(u64, &Mapping, NonNull<u8>, u64),
    ) -> Result<(), Miss> {
        let end = va.checked_add(len).ok_or(Miss::Unmapped(va))?;
        let map = self.map.read();
        let (&first, _) = map.range(..=va).next_back().ok_or(Miss::Unmapped(va))?;
        let mut at = va;
        for (&v, m) in map.range(first..end) {
            // The first may end before `va`.
            let piece_end = (v + m.len).min(end);
            if v > at || piece_end <= at {
                return Err(Miss::Unmapped(at));
            }
            let p = self.check(die, at, piece_end - at, m, m.target.advance(at - v), access)?;
            each(v, m, p, piece_end - at);
            at = piece_end;
        }
        if at < end { Err(Miss::Unmapped(at)) } else { Ok(()) }
    }

    /// A range that spans mappings: direct where the memory happens to be contiguous, else a linear view.
    fn translate_scattered(&self, die: u32, va: u64, len: u64, access: Access) -> Result<NonNull<u8>, Miss> {
        let (mut head, mut contiguous, mut walked) = (None::<NonNull<u8>>, true, 0);
        let mut pieces = Vec::new();
        self.walk(die, va, len, access, |v, m, p, bytes| {
            let head = *head.get_or_insert(p);
            contiguous &= head.as_ptr().wrapping_add(walked) == p.as_ptr();
            walked += bytes as usize;
            pieces.push((v, m.len, m.target));
        })?;
        match head {
            Some(head) if contiguous => Ok(head),
            _ => {
                let base = pieces.first().map_or(va, |p| p.0);
                self.linear_view(base, &pieces, va, va + len).ok_or(Miss::Unmapped(va))
            }
        }
    }

    /// The pieces of `len` bytes that work on `die` may access, in order; what lies side by side in this process is
    /// one. As good, and for as long, as what [`AddressSpace::translate`] answers.
    pub fn pieces(&self, die: u32, va: u64, len: u64, access: Access) -> Result<Vec<Piece>, Miss> {
        let mut pieces: Vec<Piece> = Vec::new();
        self.walk(die, va, len, access, |_, _, p, bytes| match pieces.last_mut() {
            Some(last) if last.ptr.as_ptr().wrapping_add(last.len) == p.as_ptr() => {
                last.len += bytes as usize
            }
            last => {
                let start = last.map_or(0, |last| last.start + last.len);
                pieces.push(Piece { start, ptr: p, len: bytes as usize });
            }
        })?;
        Ok(pieces)
    }

    /// Finds or makes the view of the mappings `pieces`, which begin at `base`.
    fn linear_view(
        &self,
        base: u64,
        pieces: &[(u64, u64, Target)],
        va: u64,
        end: u64,
    ) -> Option<NonNull<u8>> {
        let mut views = self.stitched.lock();
        let covers = |&&(v, ref view): &&(u64, MmapRaw)| v <= va && v + view.len() as u64 >= end;
        let (start, ptr) = match views.iter().find(covers) {
            Some((v, view)) => (*v, view.as_mut_ptr()),
            None => {
                let view = stitch::view(&self.hbm, pieces)
                    .inspect_err(|e| log::error!("mmu: no linear view of {base:#x}..{end:#x}: {e}"))
                    .ok()?;
                let ptr = view.as_mut_ptr();
                views.push((base, view));
                (base, ptr)
            }
        };
        NonNull::new(ptr.wrapping_add((va - start) as usize))
    }
}
