//! Buffer objects: create, pin, close, export, import, and what an mmap offset means.

use vinci_hw::admin::{Command, Opcode};
use vinci_hw::regs::PAGE_SIZE;
use vinci_hw::uapi::*;

use crate::driver::{Driver, Mapped};
use crate::errno::{Errno, Result};
use crate::object::{Backing, Buffer, Limits};
use crate::platform::Platform;
use crate::slab::SLOT_BITS;

/// An mmap offset is a kind in 4 bits, the slot of an id in [`SLOT_BITS`], and a byte offset in the 40 below, in
/// which the largest object fits.
const KIND_SHIFT: u32 = 60;
const ID_SHIFT: u32 = KIND_SHIFT - SLOT_BITS;
const OFFSET_MASK: u64 = (1 << ID_SHIFT) - 1;
const ID_MASK: u64 = (1 << (KIND_SHIFT - ID_SHIFT)) - 1;
const KIND_BUFFER: u64 = 1;
const KIND_RING: u64 = 2;
const KIND_DOORBELL: u64 = 3;
const KIND_FENCE: u64 = 4;

/// Where the parts of queue `id` are mapped: ring, doorbell, fence.
pub(crate) fn queue_offsets(id: u32) -> (u64, u64, u64) {
    let of = |kind| kind << KIND_SHIFT | u64::from(id) << ID_SHIFT;
    (of(KIND_RING), of(KIND_DOORBELL), of(KIND_FENCE))
}

/// Where handle `handle` is mapped. The handle's generation does not fit; a stale offset finds the slot's new
/// owner, which is the same file's.
fn buffer_offset(handle: u32) -> u64 {
    KIND_BUFFER << KIND_SHIFT | (u64::from(handle) & ID_MASK) << ID_SHIFT
}

impl<P: Platform> Driver<P> {
    /// `DRM_IOCTL_VINCI_BO_CREATE`
    pub(crate) fn buffer_create(&mut self, file: u32, a: &mut drm_vinci_bo_create) -> Result<()> {
        if a.flags != 0 || a.size == 0 || a.size > 1 << ID_SHIFT {
            return Err(Errno::Inval);
        }
        let serial = self.file(file)?.serial;
        a.size = a.size.next_multiple_of(PAGE_SIZE);
        let backing = match a.placement {
            DRM_VINCI_PLACE_HBM => {
                self.afford(file, Limits { hbm: a.size, objects: 1, ..Limits::ZERO })?;
                let hbm = self.hbm.get_mut(a.die as usize).ok_or(Errno::Inval)?;
                let (block, foreign) = hbm.alloc(a.size, serial)?;
                let scrubbed = if foreign { self.scrub(a.die, block.offset, block.span()) } else { Ok(()) };
                if let Err(e) = scrubbed {
                    let hbm = &mut self.hbm[a.die as usize];
                    hbm.taint(&block);
                    hbm.free(block);
                    return Err(e);
                }
                Backing::Hbm { die: a.die, block }
            }
            DRM_VINCI_PLACE_HOST if a.die == 0 => {
                self.afford(file, Limits { host: a.size, objects: 1, ..Limits::ZERO })?;
                Backing::Host(self.platform.alloc_pieces(a.size)?)
            }
            _ => return Err(Errno::Inval),
        };
        a.handle = self.adopt(file, backing, a.size, false)?;
        a.mmap_offset = buffer_offset(a.handle);
        Ok(())
    }

    /// `DRM_IOCTL_VINCI_BO_USERPTR`
    pub(crate) fn buffer_userptr(&mut self, file: u32, a: &mut drm_vinci_bo_userptr) -> Result<()> {
        let aligned = (a.addr | a.size) % PAGE_SIZE == 0 && a.size != 0;
        if !aligned || a.flags & !DRM_VINCI_USERPTR_READONLY != 0 || a.addr.checked_add(a.size).is_none() {
            return Err(Errno::Inval);
        }
        self.afford(file, Limits { host: a.size, objects: 1, ..Limits::ZERO })?;
        self.file(file)?;
        let readonly = a.flags & DRM_VINCI_USERPTR_READONLY != 0;
        let pages = self.platform.pin(a.addr, a.size, readonly)?;
        a.handle = self.adopt(file, Backing::User(pages), a.size, readonly)?;
        Ok(())
    }

    /// Makes an object of `backing` and a handle of the object.
    fn adopt(&mut self, file: u32, backing: Backing<P>, size: u64, readonly: bool) -> Result<u32> {
        let hbm = match &backing {
            Backing::Hbm { die, block } => Some((*die, *block)),
            _ => None,
        };
        let owner = (file, self.file(file)?.serial);
        let made = self.buffers.insert(Buffer { backing, size, refs: 1, readonly, owner }).and_then(|id| {
            self.file_mut(file)?.buffers.insert(id).inspect_err(|_| {
                self.buffers.remove(id);
            })
        });
        match (&made, hbm) {
            (Err(_), Some((die, block))) => self.hbm[die as usize].free(block),
            (Err(_), None) => {}
            (Ok(_), Some((die, block))) => self.file_mut(file)?.hbm[die as usize] += block.size,
            (Ok(_), None) => self.file_mut(file)?.host += size,
        }
        made
    }

    /// `DRM_IOCTL_VINCI_BO_INFO`
    pub(crate) fn buffer_info(&mut self, file: u32, a: &mut drm_vinci_bo_info) -> Result<()> {
        if a.pad != 0 {
            return Err(Errno::Inval);
        }
        let b = self.buffers.get(self.buffer_id(file, a.handle)?).ok_or(Errno::NoEnt)?;
        (a.placement, a.die) = match b.backing {
            Backing::Hbm { die, .. } => (DRM_VINCI_PLACE_HBM, die),
            Backing::Host(_) | Backing::User(_) => (DRM_VINCI_PLACE_HOST, 0),
        };
        (a.size, a.mmap_offset) = (b.size, buffer_offset(a.handle));
        Ok(())
    }

    /// `DRM_IOCTL_GEM_CLOSE`
    pub(crate) fn buffer_close(&mut self, file: u32, handle: u32) -> Result<()> {
        let id = self.file_mut(file)?.buffers.remove(handle).ok_or(Errno::NoEnt)?;
        self.buffer_put(id);
        Ok(())
    }

    pub(crate) fn buffer_id(&self, file: u32, handle: u32) -> Result<u32> {
        self.file(file)?.buffers.get(handle).copied().ok_or(Errno::NoEnt)
    }

    /// Takes a reference for something outside a file, such as an exported descriptor. `Errno::Perm` for a
    /// process's own pages, which are not the driver's to give.
    pub fn export(&mut self, file: u32, handle: u32) -> Result<u32> {
        let id = self.buffer_id(file, handle)?;
        let b = self.buffers.get_mut(id).ok_or(Errno::NoEnt)?;
        if matches!(b.backing, Backing::User(_)) {
            return Err(Errno::Perm);
        }
        b.hold()?;
        Ok(id)
    }

    /// A handle of an object that was exported and still is: the one that the file has already, or a new one.
    pub fn import(&mut self, file: u32, id: u32) -> Result<u32> {
        let known = self.file(file)?.buffers.iter().find(|(_, object)| **object == id);
        if let Some((handle, _)) = known {
            return Ok(handle);
        }
        self.afford(file, Limits { objects: 1, ..Limits::ZERO })?;
        self.buffers.get_mut(id).ok_or(Errno::NoEnt)?.hold()?;
        self.file_mut(file).and_then(|f| f.buffers.insert(id)).inspect_err(|_| self.buffer_put(id))
    }

    /// Makes a buffer object of pages that belong to another driver, and a handle of the object.
    pub fn import_foreign(&mut self, file: u32, pages: P::Pinned, size: u64) -> Result<u32> {
        self.afford(file, Limits { host: size, objects: 1, ..Limits::ZERO })?;
        self.adopt(file, Backing::User(pages), size, false)
    }

    /// Takes a reference to the buffer object that an mmap offset names, for as long as it is mapped; given back
    /// with [`Driver::unexport`].
    pub fn hold(&mut self, file: u32, offset: u64) -> Result<u32> {
        let (kind, slot) = (offset >> KIND_SHIFT, (offset >> ID_SHIFT & ID_MASK) as u32);
        let handles = &self.file(file)?.buffers;
        let id = handles.by_slot(slot).filter(|_| kind == KIND_BUFFER).copied().ok_or(Errno::NoEnt)?;
        self.buffers.get_mut(id).ok_or(Errno::NoEnt)?.hold()?;
        Ok(id)
    }

    /// Where the HBM of the buffer object that an mmap offset names begins, and its bytes.
    pub fn extent(&self, file: u32, offset: u64) -> Result<(u64, u64)> {
        let slot = (offset >> ID_SHIFT & ID_MASK) as u32;
        let id = self.file(file)?.buffers.by_slot(slot).ok_or(Errno::NoEnt)?;
        match self.buffers.get(*id) {
            Some(Buffer { backing: Backing::Hbm { block, .. }, size, .. }) => Ok((block.offset, *size)),
            _ => Err(Errno::NoEnt),
        }
    }

    /// Gives back what [`Driver::export`] or [`Driver::hold`] took.
    pub fn unexport(&mut self, id: u32) {
        self.buffer_put(id);
    }

    /// Drops a reference; with the last one the memory goes.
    pub(crate) fn buffer_put(&mut self, id: u32) {
        let Some(b) = self.buffers.get_mut(id) else { return };
        b.refs -= 1;
        if b.refs != 0 {
            return;
        }
        let Some(Buffer { backing, size, owner, .. }) = self.buffers.remove(id) else { return };
        let owner = self.files.get_mut(owner.0).filter(|f| f.serial == owner.1);
        if let Backing::Hbm { die, block } = backing {
            if let Some(f) = owner {
                f.hbm[die as usize] -= block.size;
            }
            self.platform.hbm_freed(die, block.offset, block.size);
            self.hbm[die as usize].free(block);
        } else if let Some(f) = owner {
            f.host -= size;
        }
    }

    /// Overwrites HBM with zero.
    pub(crate) fn scrub(&mut self, die: u32, offset: u64, len: u64) -> Result<()> {
        let c = Command { arg: die, addr: offset, len, ..Command::new(Opcode::Scrub, 0) };
        self.admin.execute(&self.platform, c).map(|_| ())
    }

    /// Where a die's HBM begins in the BAR that holds the HBM of all dies.
    pub fn hbm_start(&self, die: u32) -> u64 {
        vinci_hw::regs::hbm_start(die, self.dies.first().map_or(0, |d| d.hbm_bytes))
    }

    /// What `len` bytes at an mmap offset are. `Errno::Inval` beyond the object.
    pub fn mapped(&self, file: u32, offset: u64, len: u64) -> Result<Mapped<'_, P::Dma>> {
        let (kind, slot) = (offset >> KIND_SHIFT, (offset >> ID_SHIFT & ID_MASK) as u32);
        let at = offset & OFFSET_MASK;
        let end = at.checked_add(len).ok_or(Errno::Inval)?;
        let inside = |size: u64| if len != 0 && end <= size { Ok(()) } else { Err(Errno::Inval) };
        if kind == KIND_BUFFER {
            let f = self.file(file)?;
            let b = f.buffers.by_slot(slot).and_then(|&id| self.buffers.get(id)).ok_or(Errno::NoEnt)?;
            inside(b.size)?;
            return match &b.backing {
                Backing::Hbm { die, block, .. } => Ok(Mapped::Hbm(*die, block.offset + at)),
                Backing::Host(dma) => Ok(Mapped::Dma(dma, at)),
                Backing::User(_) => Err(Errno::Inval),
            };
        }
        let q = self.queue(file, slot)?;
        match kind {
            KIND_RING => inside(crate::platform::DmaMemory::len(&q.ring)).map(|()| Mapped::Dma(&q.ring, at)),
            KIND_FENCE => inside(PAGE_SIZE).map(|()| Mapped::Dma(&q.fence, at)),
            KIND_DOORBELL => inside(PAGE_SIZE).map(|()| Mapped::Doorbell(slot)),
            _ => Err(Errno::Inval),
        }
    }
}
