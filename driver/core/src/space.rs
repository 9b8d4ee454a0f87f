//! Address spaces: create, map, unmap, peers.

use vinci_hw::admin::{Command, Opcode, Target};
use vinci_hw::regs::PAGE_SIZE;
use vinci_hw::uapi::*;

use crate::driver::{Driver, VA_BASE, VA_SIZE};
use crate::errno::{Errno, Result};
use crate::object::{Buffer, Limits, Mapping, Place, Vm};
use crate::platform::Platform;

impl<P: Platform> Driver<P> {
    /// `DRM_IOCTL_VINCI_VM_CREATE`
    pub(crate) fn vm_create(&mut self, file: u32, a: &mut drm_vinci_vm_create) -> Result<()> {
        if a.flags != 0 {
            return Err(Errno::Inval);
        }
        self.afford(file, Limits { spaces: 1, ..Limits::ZERO })?;
        let hw = self.hw_vms.iter().position(|used| !used).ok_or(Errno::NoSpc)? as u32;
        let id = self.file_mut(file)?.vms.insert(Vm { hw, ..Vm::default() })?;
        if let Err(e) = self.admin.simple(&self.platform, Opcode::VmCreate, hw) {
            self.file_mut(file)?.vms.remove(id);
            return Err(e);
        }
        self.hw_vms[hw as usize] = true;
        a.vm_id = id;
        Ok(())
    }

    /// `DRM_IOCTL_VINCI_VM_DESTROY`
    pub(crate) fn vm_destroy(&mut self, file: u32, id: u32) -> Result<()> {
        let vm = self.vm(file, id)?;
        if vm.queues != 0 {
            return Err(Errno::Busy);
        }
        let hw = vm.hw;
        // The device drops the mappings; an address space that a reset took is gone already. From a device
        // that does not answer nothing is taken away, since it may still use it.
        match self.admin.simple(&self.platform, Opcode::VmDestroy, hw) {
            Ok(_) | Err(Errno::NoEnt) => {}
            Err(e) => return Err(e),
        }
        self.hw_vms[hw as usize] = false;
        if let Some(vm) = self.file_mut(file)?.vms.remove(id) {
            for (_, m) in vm.maps.iter() {
                self.buffer_put(m.buffer);
            }
        }
        Ok(())
    }

    pub(crate) fn vm(&self, file: u32, id: u32) -> Result<&Vm> {
        self.file(file)?.vms.get(id).ok_or(Errno::NoEnt)
    }

    pub(crate) fn vm_mut(&mut self, file: u32, id: u32) -> Result<&mut Vm> {
        self.file_mut(file)?.vms.get_mut(id).ok_or(Errno::NoEnt)
    }

    /// `DRM_IOCTL_VINCI_VM_MAP`
    pub(crate) fn vm_map(&mut self, file: u32, a: &drm_vinci_vm_map) -> Result<()> {
        let known = DRM_VINCI_MAP_READ | DRM_VINCI_MAP_WRITE;
        let end = a.va.checked_add(a.size).ok_or(Errno::Inval)?;
        let sound = a.pad == 0
            && a.flags & known != 0
            && a.flags & !known == 0
            && (a.va | a.size | a.offset) % PAGE_SIZE == 0
            && a.size != 0
            && a.va >= VA_BASE
            && end <= VA_BASE + VA_SIZE;
        if !sound {
            return Err(Errno::Inval);
        }
        let buffer = self.buffer_id(file, a.handle)?;
        let b = self.buffers.get(buffer).ok_or(Errno::NoEnt)?;
        let fits = a.offset.checked_add(a.size).is_some_and(|e| e <= b.size);
        if !fits || (b.readonly && a.flags & DRM_VINCI_MAP_WRITE != 0) {
            return Err(Errno::Inval);
        }
        let vm = self.vm(file, a.vm_id)?;
        if vm.maps.floor(end - 1).is_some_and(|(va, m)| va + m.len > a.va) {
            return Err(Errno::Exist);
        }
        let hw = vm.hw;
        let mapping = Mapping { len: a.size, buffer, offset: a.offset, flags: a.flags };
        self.vm_mut(file, a.vm_id)?.maps.insert(a.va, mapping)?;
        let held = self.buffers.get_mut(buffer).ok_or(Errno::NoEnt).and_then(Buffer::hold);
        if held.is_err() {
            self.vm_mut(file, a.vm_id)?.maps.remove(a.va);
            return held;
        }
        let mapped = self.hw_map(hw, a.va, &mapping);
        // A device that does not answer may have mapped it: the memory stays until a reset or the end of the VM.
        if mapped.is_err_and(|e| e != Errno::Io) {
            self.vm_mut(file, a.vm_id)?.maps.remove(a.va);
            self.buffer_put(buffer);
        }
        mapped
    }

    /// Maps every piece in the device; nothing stays if one cannot be.
    pub(crate) fn hw_map(&mut self, hw: u32, va: u64, m: &Mapping) -> Result<()> {
        let mut done = 0;
        while done < m.len {
            let piece = self.buffers.get(m.buffer).and_then(|b| b.piece(m.offset + done));
            let Some((place, contiguous)) = piece else {
                // The caller checked that it fits.
                self.admin.drop_added();
                let _ = self.hw_unmap(hw, va, done.max(PAGE_SIZE));
                return Err(Errno::Inval);
            };
            let len = contiguous.min(m.len - done);
            let (kind, arg, addr) = match place {
                Place::Hbm(die, offset) => (Target::Hbm, die, offset),
                Place::Host(bus) => (Target::Host, 0, bus),
            };
            let c = Command {
                kind: kind as u16,
                flags: m.flags as u16,
                arg,
                va: va + done,
                addr,
                len,
                ..Command::new(Opcode::Map, hw)
            };
            done += len;
            // Many pieces are one exit of a guest, not as many.
            if self.admin.add(c) || done == m.len {
                let mapped = self.admin.finish(&self.platform);
                if let Err(e) = mapped {
                    // What is not there cannot be taken away.
                    let _ = self.hw_unmap(hw, va, done);
                    return Err(e);
                }
            }
        }
        Ok(())
    }

    fn hw_unmap(&mut self, hw: u32, va: u64, len: u64) -> Result<u64> {
        self.admin.execute(&self.platform, Command { va, len, ..Command::new(Opcode::Unmap, hw) })
    }

    /// `DRM_IOCTL_VINCI_VM_UNMAP`
    pub(crate) fn vm_unmap(&mut self, file: u32, a: &drm_vinci_vm_unmap) -> Result<()> {
        let end = a.va.checked_add(a.size).filter(|_| a.size != 0 && a.pad == 0).ok_or(Errno::Inval)?;
        let vm = self.vm(file, a.vm_id)?;
        let cut = |(va, m): (u64, &Mapping), at: u64| va < at && va + m.len > at;
        if vm.maps.floor(a.va).is_some_and(|x| cut(x, a.va))
            || vm.maps.floor(end - 1).is_some_and(|x| cut(x, end))
        {
            return Err(Errno::Inval);
        }
        if vm.maps.ceiling(a.va).is_none_or(|(va, _)| va >= end) {
            return Err(Errno::NoEnt);
        }
        // What is not there, a reset took.
        match self.hw_unmap(vm.hw, a.va, a.size) {
            Ok(_) | Err(Errno::NoEnt) => {}
            Err(e) => return Err(e),
        }
        loop {
            let maps = &mut self.vm_mut(file, a.vm_id)?.maps;
            let Some(va) = maps.ceiling(a.va).map(|(va, _)| va).filter(|&va| va < end) else { return Ok(()) };
            if let Some(m) = maps.remove(va) {
                self.buffer_put(m.buffer);
            }
        }
    }

    /// `DRM_IOCTL_VINCI_VM_PEER`
    pub(crate) fn vm_peer(&mut self, file: u32, a: &drm_vinci_vm_peer) -> Result<()> {
        let dies = self.dies.len() as u32;
        if a.from_die >= dies || a.to_die >= dies || a.from_die == a.to_die || a.enable > 1 {
            return Err(Errno::Inval);
        }
        let hw = self.vm(file, a.vm_id)?.hw;
        self.hw_peer(hw, a.from_die, a.to_die, a.enable != 0)?;
        let peers = &mut self.vm_mut(file, a.vm_id)?.peers[a.from_die as usize];
        if a.enable != 0 {
            *peers |= 1 << a.to_die
        } else {
            *peers &= !(1 << a.to_die)
        }
        Ok(())
    }

    pub(crate) fn hw_peer(&mut self, hw: u32, from: u32, to: u32, enable: bool) -> Result<()> {
        let c =
            Command { kind: from as u16, arg: to, flags: enable.into(), ..Command::new(Opcode::Peer, hw) };
        self.admin.execute(&self.platform, c).map(|_| ())
    }
}
