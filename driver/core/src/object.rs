//! What files own: buffer objects, address spaces, queues.

use alloc::collections::VecDeque;

use vinci_hw::uapi::*;

use crate::errno::{Errno, Result};
use crate::hbm::Block;
use crate::platform::{DmaMemory, PinnedMemory, Platform};
use crate::slab::Slab;
use crate::tree::Tree;

/// Memory behind a buffer object.
pub enum Backing<P: Platform> {
    /// HBM of a die.
    Hbm {
        /// Die.
        die: u32,
        /// Where.
        block: Block,
    },
    /// Host memory.
    Host(P::Dma),
    /// The caller's pages.
    User(P::Pinned),
}

/// A buffer object; lives while a handle, a mapping or an export refers to it.
pub struct Buffer<P: Platform> {
    /// Memory.
    pub backing: Backing<P>,
    /// Bytes.
    pub size: u64,
    /// Handles, mappings and exports.
    pub refs: u32,
    /// Map without write permission only.
    pub readonly: bool,
    /// File that it is counted for, and its [`File::serial`].
    pub owner: (u32, u32),
}

/// What one process may hold in all its files together, or wants to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of HBM on all dies.
    pub hbm: u64,
    /// Bytes of host memory, made for it or pinned.
    pub host: u64,
    /// Queues.
    pub queues: u32,
    /// Address spaces.
    pub spaces: u32,
    /// Handles of buffer objects.
    pub objects: u32,
}

impl Limits {
    /// As much as there is.
    pub const NONE: Self =
        Self { hbm: u64::MAX, host: u64::MAX, queues: u32::MAX, spaces: u32::MAX, objects: u32::MAX };
    /// Nothing.
    pub const ZERO: Self = Self { hbm: 0, host: 0, queues: 0, spaces: 0, objects: 0 };
}

impl<P: Platform> Buffer<P> {
    /// One more reference. `Errno::NoSpc` if they cannot be counted any more.
    pub fn hold(&mut self) -> Result<()> {
        self.refs = self.refs.checked_add(1).ok_or(Errno::NoSpc)?;
        Ok(())
    }

    /// Piece of the memory from `offset` on: what to map, and how many bytes of it lie together.
    pub fn piece(&self, offset: u64) -> Option<(Place, u64)> {
        match &self.backing {
            Backing::Hbm { die, block, .. } => {
                Some((Place::Hbm(*die, block.offset + offset), self.size.checked_sub(offset)?))
            }
            Backing::Host(dma) => dma.piece(offset).map(|(bus, len)| (Place::Host(bus), len)),
            Backing::User(pages) => pages.piece(offset).map(|(bus, len)| (Place::Host(bus), len)),
        }
    }
}

/// Where a piece of a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Die and offset.
    Hbm(u32, u64),
    /// Bus address.
    Host(u64),
}

/// A mapping of an address space.
#[derive(Clone, Copy)]
pub struct Mapping {
    /// Bytes.
    pub len: u64,
    /// Buffer object.
    pub buffer: u32,
    /// Offset into it.
    pub offset: u64,
    /// `DRM_VINCI_MAP_*`.
    pub flags: u32,
}

/// An address space.
#[derive(Default)]
pub struct Vm {
    /// Its number in the device.
    pub hw: u32,
    /// Mappings by device address.
    pub maps: Tree<Mapping>,
    /// Queues that use it.
    pub queues: u32,
    /// Enabled peers: bit `to` of element `from`.
    pub peers: [u8; 8],
}

/// A queue.
pub struct Queue<P: Platform> {
    /// File that made it.
    pub file: u32,
    /// Its address space in that file.
    pub vm: u32,
    /// Die.
    pub die: u32,
    /// 0 (highest) to 7.
    pub priority: u16,
    /// Entries of the ring, a power of two.
    pub entries: u32,
    /// The ring.
    pub ring: P::Dma,
    /// See [`drm_vinci_queue_fence`].
    pub fence: P::Dma,
    /// The record of its last fault.
    pub fault: Option<drm_vinci_fault>,
    /// The device no longer knows it.
    pub gone: bool,
    /// It ran when the device was suspended.
    pub sleeps: bool,
    /// Highest number of an entry whose host call was delivered.
    pub called: u64,
    /// What the watchdog saw last: entries completed, and since when.
    pub watched: (u64, u64),
}

/// An open file.
pub struct File {
    /// Tells it from all files before and after it, which its id does not.
    pub serial: u32,
    /// Closed, but the device did not let go of what it made; a function reset ends that.
    pub closed: bool,
    /// Process.
    pub pid: u32,
    /// Its name.
    pub name: [u8; 32],
    /// Buffer objects by handle.
    pub buffers: Slab<u32>,
    /// Address spaces.
    pub vms: Slab<Vm>,
    /// Numbers of its queues are in the device's table.
    pub queues: u32,
    /// Model time that engines worked for queues that are destroyed, ns, as in [`drm_vinci_queue_fence`].
    pub past_ns: [u64; 3],
    /// HBM bytes it holds.
    pub hbm: [u64; 8],
    /// Bytes of host memory it holds or pins.
    pub host: u64,
    /// What it has not read yet.
    pub events: VecDeque<drm_vinci_event>,
    /// Events it was too slow for.
    pub lost: u64,
}
