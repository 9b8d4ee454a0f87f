//! Calls on buffer objects, address spaces and mappings.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

use anyhow::{Result, bail};
use vinci_driver::uapi::*;

use super::{MOST, Object, PAGE, Range, Worker, keep};
use crate::request::MMAP;
use crate::scratch::SCRATCH;

impl Worker<'_> {
    pub(super) fn bo_create(&mut self, file: usize) -> Result<()> {
        let shift = self.random.below(7);
        let size = if self.random.one_in(200) { 64 << 20 } else { PAGE << shift };
        let placement = self.random.below(2) as u32;
        let die = if placement == DRM_VINCI_PLACE_HBM { self.random.below(2) as u32 } else { 0 };
        let mut a = drm_vinci_bo_create { size, placement, die, ..drm_vinci_bo_create::zeroed() };
        if self.ask(file, VINCI_IOCTL_BO_CREATE, &mut a)?.is_ok() {
            let object = Object { handle: a.handle, size: a.size, offset: a.mmap_offset };
            if self.files[file].objects.len() >= MOST {
                self.bo_close(file)?;
            }
            self.files[file].objects.push(object);
        }
        Ok(())
    }

    pub(super) fn bo_close(&mut self, file: usize) -> Result<()> {
        let handle = self.handle(file);
        let mut a = drm_gem_close { handle, pad: 0 };
        if self.ask(file, IOCTL_GEM_CLOSE, &mut a)?.is_ok() {
            self.files[file].objects.retain(|o| o.handle != a.handle);
        }
        Ok(())
    }

    pub(super) fn bo_info(&mut self, file: usize) -> Result<()> {
        let handle = self.handle(file);
        self.ask(
            file,
            VINCI_IOCTL_BO_INFO,
            &mut drm_vinci_bo_info { handle, ..drm_vinci_bo_info::zeroed() },
        )?
        .ok();
        Ok(())
    }

    pub(super) fn vm_create(&mut self, file: usize) -> Result<()> {
        let mut a = drm_vinci_vm_create::zeroed();
        if self.ask(file, VINCI_IOCTL_VM_CREATE, &mut a)?.is_ok() {
            self.files[file].vms.push(a.vm_id);
            // Without peers most work on the other die stops at once.
            for (from_die, to_die) in [(0, 1), (1, 0)] {
                let mut peer = drm_vinci_vm_peer { vm_id: a.vm_id, from_die, to_die, enable: 1 };
                self.call(file, VINCI_IOCTL_VM_PEER, peer.bytes_mut())?.ok();
            }
            if self.files[file].vms.len() > 3 {
                self.vm_destroy(file)?;
            }
        }
        Ok(())
    }

    pub(super) fn vm_destroy(&mut self, file: usize) -> Result<()> {
        let mut a = drm_vinci_vm_destroy { vm_id: self.vm(file), pad: 0 };
        if self.ask(file, VINCI_IOCTL_VM_DESTROY, &mut a)?.is_ok() {
            self.files[file].vms.retain(|&vm| vm != a.vm_id);
            self.files[file].ranges.retain(|r| r.vm != a.vm_id);
        }
        Ok(())
    }

    pub(super) fn vm_map(&mut self, file: usize) -> Result<()> {
        let (vm_id, handle) = (self.vm(file), self.handle(file));
        let size = self.files[file].objects.iter().find(|o| o.handle == handle).map_or(PAGE, |o| o.size);
        let offset = if self.random.one_in(4) { self.random.below(size / PAGE) * PAGE } else { 0 };
        let va = self.files[file].base + self.random.below(64) * (64 << 10);
        let flags =
            if self.random.one_in(4) { DRM_VINCI_MAP_READ } else { DRM_VINCI_MAP_READ | DRM_VINCI_MAP_WRITE };
        let mut a = drm_vinci_vm_map { vm_id, handle, flags, pad: 0, offset, va, size: size - offset };
        if self.ask(file, VINCI_IOCTL_VM_MAP, &mut a)?.is_ok() {
            let range = Range { vm: a.vm_id, va: a.va, size: a.size };
            keep(&mut self.files[file].ranges, range, &mut self.random);
        }
        Ok(())
    }

    pub(super) fn vm_unmap(&mut self, file: usize) -> Result<()> {
        let ranges = &self.files[file].ranges;
        let range = match ranges.len() as u64 {
            0 => Range { vm: self.vm(file), va: self.files[file].base, size: PAGE },
            n => ranges[self.random.below(n) as usize],
        };
        // Now and then all of the address space.
        let all = self.random.one_in(30);
        let (va, size) = if all { (self.files[file].base, 64 * (64 << 10)) } else { (range.va, range.size) };
        let mut a = drm_vinci_vm_unmap { vm_id: range.vm, pad: 0, va, size };
        if self.ask(file, VINCI_IOCTL_VM_UNMAP, &mut a)?.is_ok() {
            let gone = |r: &Range| r.vm == a.vm_id && r.va >= a.va && r.va - a.va < a.size;
            self.files[file].ranges.retain(|r| !gone(r));
        }
        Ok(())
    }

    pub(super) fn peer(&mut self, file: usize) -> Result<()> {
        let (from_die, to_die) = self.random.pick(&[(0, 1), (1, 0), (0, 0), (1, 2)]);
        let enable = self.random.below(2) as u32;
        let vm_id = self.vm(file);
        self.ask(file, VINCI_IOCTL_VM_PEER, &mut drm_vinci_vm_peer { vm_id, from_die, to_die, enable })?.ok();
        Ok(())
    }

    /// An address that the driver may store to, or where nothing is.
    pub(super) fn user_address(&mut self) -> u64 {
        let start = self.pages.start();
        match self.random.below(8) {
            0 => 0,
            1 => 4096,
            2 => u64::MAX - self.random.below(5000),
            3 => 1 << 63,
            4 => start + self.random.below(SCRATCH / 2),
            _ => start + self.random.below(SCRATCH / PAGE / 2) * PAGE,
        }
    }

    pub(super) fn userptr(&mut self, file: usize) -> Result<()> {
        let addr = self.user_address();
        let size = match self.random.below(10) {
            0 => self.random.odd(),
            // As far as the pages that may be named.
            _ => PAGE << self.random.below(4),
        };
        let end = self.pages.start() + SCRATCH;
        let inside = addr >= self.pages.start() && addr.checked_add(size).is_some_and(|e| e <= end);
        let nowhere = !(1 << 16..1 << 47).contains(&addr);
        if !inside && !nowhere {
            return Ok(());
        }
        let flags = self.random.pick(&[0, 0, 0, DRM_VINCI_USERPTR_READONLY, 2, u32::MAX]);
        let mut a = drm_vinci_bo_userptr { addr, size, flags, handle: 0 };
        if self.call(file, VINCI_IOCTL_BO_USERPTR, a.bytes_mut())?.is_ok() {
            if self.files[file].objects.len() >= MOST {
                self.bo_close(file)?;
            }
            self.files[file].objects.push(Object { handle: a.handle, size, offset: 0 });
        }
        Ok(())
    }

    pub(super) fn mmap(&mut self, file: usize) -> Result<()> {
        let objects = &self.files[file].objects;
        let (offset, size) = match objects.len() as u64 {
            0 => (self.random.next(), PAGE),
            n => {
                let o = objects[self.random.below(n) as usize];
                (o.offset, o.size)
            }
        };
        let offset = match self.random.below(6) {
            0 => offset.wrapping_add(self.random.below(4) * PAGE),
            1 => {
                (1 + self.random.below(5)) << 60 | self.random.below(64) << 40 | (self.random.below(4) * PAGE)
            }
            2 => self.random.odd(),
            _ => offset,
        };
        let len = if self.random.one_in(8) { self.random.below(1 << 20) } else { size };
        let mut words = [0; 16];
        words[..8].copy_from_slice(&offset.to_le_bytes());
        words[8..].copy_from_slice(&len.to_le_bytes());
        let n = self.slot.begin(MMAP.into(), &words);
        let mapped = self.files[file].node.mmap(offset, len as usize);
        self.slot.end(n, mapped.as_ref().err().map_or(0, |e| *e as u64));
        if let Ok(map) = mapped {
            crate::bells::note(offset, &map);
            keep(&mut self.files[file].maps, map, &mut self.random);
        }
        Ok(())
    }

    /// Loads and stores through a mapping, also one whose file or object is gone.
    pub(super) fn touch(&mut self, file: usize) -> Result<()> {
        let old = self.random.one_in(3);
        let list = if old { &self.kept } else { &self.files[file].maps };
        if let Some(map) = list.get(self.random.below(MOST as u64) as usize) {
            let at = self.random.below(map.len() as u64) as usize / 8 * 8;
            let word: NonNull<u64> = map.ptr().cast();
            // SAFETY: inside the mapping, which is this worker's; whoever shares it expects anything.
            unsafe {
                let word = word.byte_add(at);
                let value = word.read_volatile();
                word.write_volatile(value.wrapping_add(self.random.below(3)));
            }
        }
        Ok(())
    }

    pub(super) fn export(&mut self, file: usize) -> Result<()> {
        let handle = self.handle(file);
        let flags = self.random.pick(&[libc::O_CLOEXEC as u32, 0, libc::O_RDWR as u32, 1, u32::MAX]);
        let mut a = drm_prime_handle { handle, flags, fd: -1 };
        if self.call(file, IOCTL_PRIME_HANDLE_TO_FD, a.bytes_mut())?.is_ok() {
            if a.fd < 0 {
                bail!("an export answers the descriptor {}", a.fd);
            }
            // SAFETY: the request made it for this process.
            let fd = unsafe { OwnedFd::from_raw_fd(a.fd) };
            keep(&mut self.sent, fd, &mut self.random);
        }
        Ok(())
    }

    pub(super) fn import(&mut self, file: usize) -> Result<()> {
        let fd = match self.sent.get(self.random.below(MOST as u64 + 2) as usize) {
            Some(fd) => fd.as_raw_fd(),
            None => self.random.pick(&[-1, 0, 1, 2, i32::MAX, i32::MIN]),
        };
        let mut a = drm_prime_handle { handle: 0, flags: 0, fd };
        if self.call(file, IOCTL_PRIME_FD_TO_HANDLE, a.bytes_mut())?.is_ok() {
            let mut info = drm_vinci_bo_info { handle: a.handle, ..drm_vinci_bo_info::zeroed() };
            self.call(file, VINCI_IOCTL_BO_INFO, info.bytes_mut())?
                .map_err(|e| anyhow::anyhow!("an imported object cannot be described: {e}"))?;
            let known = self.files[file].objects.iter().any(|o| o.handle == a.handle);
            if !known {
                let object = Object { handle: a.handle, size: info.size, offset: info.mmap_offset };
                self.files[file].objects.push(object);
                if self.files[file].objects.len() > MOST {
                    self.bo_close(file)?;
                }
            }
        }
        Ok(())
    }
}
