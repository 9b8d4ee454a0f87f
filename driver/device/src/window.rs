//! Memory that is not one piece in this process. That of another process is reached by copying: for copies piece by
//! piece, for kernels in a private copy that is written back when the kernel has ended. Pages that lie scattered in
//! this process (a guest's) are copied piece by piece too; kernels get a linear view of them from the address space.

use std::ptr::NonNull;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::device::{Foreign, HostBus};
use crate::mmu::{Access, AddressSpace, Miss, Piece};

/// What a bounce buffer between two foreign memories holds.
const BOUNCE: usize = 1 << 20;

/// Bytes that an entry may access.
#[derive(Clone)]
pub enum Span {
    /// In this process.
    Here(NonNull<u8>),
    /// In another, from an address on.
    There(Arc<dyn Foreign>, u64),
    /// In this process, in pieces.
    Pieces(Arc<[Piece]>),
}

// SAFETY: a pointer that is only carried; what is done through it is up to who does it.
unsafe impl Send for Span {}
// SAFETY: as above.
unsafe impl Sync for Span {}

impl Span {
    /// As [`AddressSpace::translate`], for memory of any kind; never in pieces.
    pub fn find(
        vm: &AddressSpace,
        host: &dyn HostBus,
        die: u32,
        va: u64,
        len: u64,
        access: Access,
    ) -> Result<Self, Miss> {
        match vm.translate(die, va, len, access) {
            Ok(p) => Ok(Self::Here(p)),
            Err(Miss::Window(at, bus)) => {
                host.window(bus, len).map(|(m, at)| Self::There(m, at)).ok_or(Miss::Unmapped(at))
            }
            Err(miss) => Err(miss),
        }
    }

    /// As [`Span::find`], in pieces where that saves making a linear view.
    pub fn find_pieces(
        vm: &AddressSpace,
        host: &dyn HostBus,
        die: u32,
        va: u64,
        len: u64,
        access: Access,
    ) -> Result<Self, Miss> {
        if let Ok(None) = vm.translate_one(die, va, len, access)
            && let Ok(pieces) = vm.pieces(die, va, len, access)
            && pieces.len() > 1
        {
            return Ok(Self::Pieces(pieces.into()));
        }
        Self::find(vm, host, die, va, len, access)
    }

    /// The span from a byte on, and how much of it is one piece; `None` past the end.
    fn from(&self, at: usize) -> Option<(Self, usize)> {
        match self {
            // SAFETY: only offsets inside of the span are asked for.
            Self::Here(p) => Some((Self::Here(unsafe { p.add(at) }), usize::MAX)),
            Self::There(m, base) => Some((Self::There(m.clone(), base + at as u64), usize::MAX)),
            Self::Pieces(pieces) => {
                let piece = pieces[..pieces.partition_point(|p| p.start <= at)].last()?;
                let skip = at - piece.start;
                let left = piece.len.checked_sub(skip).filter(|&left| left != 0)?;
                // SAFETY: `skip` is below the length of the piece.
                Some((Self::Here(unsafe { piece.ptr.add(skip) }), left))
            }
        }
    }

    /// As [`Span::copy_from`], where one of the two is in pieces.
    ///
    /// # Safety
    /// As there.
    unsafe fn copy_pieces(&self, at: usize, from: &Span, from_at: usize, len: usize) -> bool {
        let mut done = 0;
        while done < len {
            let (Some((to, room)), Some((from, left))) = (self.from(at + done), from.from(from_at + done))
            else {
                return false;
            };
            let n = room.min(left).min(len - done);
            // SAFETY: both begin here and have `n` bytes.
            if !unsafe { to.copy_from(0, &from, 0, n) } {
                return false;
            }
            done += n;
        }
        true
    }

    /// Copies `len` bytes from `from + from_at` to `self + at`; false if one of the two is not there any more.
    ///
    /// # Safety
    /// Both ranges lie inside the spans.
    pub unsafe fn copy_from(&self, at: usize, from: &Span, from_at: usize, len: usize) -> bool {
        // SAFETY: the caller's promise, in each arm; a bounce buffer is as long as the pieces it holds.
        unsafe {
            match (self, from) {
                (Self::Pieces(_), _) | (_, Self::Pieces(_)) => self.copy_pieces(at, from, from_at, len),
                (Self::Here(to), Self::Here(from)) => {
                    std::ptr::copy(from.as_ptr().add(from_at), to.as_ptr().add(at), len);
                    true
                }
                (Self::Here(to), Self::There(m, base)) => m.read(base + from_at as u64, to.add(at), len),
                (Self::There(m, base), Self::Here(from)) => m.write(base + at as u64, from.add(from_at), len),
                (Self::There(to, to_base), Self::There(from, from_base)) => {
                    let mut bounce = vec![0u8; len.min(BOUNCE)];
                    (0..len).step_by(BOUNCE).all(|done| {
                        let piece = BOUNCE.min(len - done);
                        let p = NonNull::from(&mut bounce[..]).cast();
                        from.read(from_base + (from_at + done) as u64, p, piece)
                            && to.write(to_base + (at + done) as u64, p, piece)
                    })
                }
            }
        }
    }
}

struct Private {
    memory: Arc<dyn Foreign>,
    at: u64,
    len: usize,
    copy: Vec<u64>,
    write: bool,
    va: u64,
}

/// The private copies of one kernel's run.
#[derive(Default)]
pub struct Privates(Mutex<Vec<Private>>);

impl Privates {
    /// A copy of `len` bytes at `at`, good until `self` is dropped. `None` if they are not there.
    pub fn make(
        &self,
        memory: Arc<dyn Foreign>,
        at: u64,
        len: usize,
        write: bool,
        va: u64,
    ) -> Option<NonNull<u8>> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(len.div_ceil(8)).ok()?;
        copy.resize(len.div_ceil(8), 0u64);
        let p: NonNull<u8> = NonNull::from(&mut copy[..]).cast();
        // SAFETY: the buffer has at least `len` bytes.
        if !unsafe { memory.read(at, p, len) } {
            return None;
        }
        // The buffer stays where it is when the vector that owns it moves.
        self.0.lock().push(Private { memory, at, len, copy, write, va });
        Some(p)
    }

    /// Stores what the kernel wrote; the device address of the first range that could not be.
    pub fn write_back(self) -> Result<(), (u64, u64)> {
        for p in self.0.into_inner().iter_mut().filter(|p| p.write) {
            let from = NonNull::from(&mut p.copy[..]).cast();
            // SAFETY: the buffer has at least `len` bytes, and the kernel has ended.
            if !unsafe { p.memory.write(p.at, from, p.len) } {
                return Err((p.va, p.len as u64));
            }
        }
        Ok(())
    }
}
