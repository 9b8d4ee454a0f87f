//! Code objects of address spaces. The device reads and keeps them; an address space takes its own along when it goes.

use vinci_hw::admin::{Command, Opcode};
use vinci_hw::uapi::*;

use crate::driver::{Driver, VA_BASE, VA_SIZE};
use crate::errno::{Errno, Result};
use crate::platform::Platform;

/// Largest code object, bytes.
const MOST: u64 = 256 << 20;

impl<P: Platform> Driver<P> {
    /// `DRM_IOCTL_VINCI_CODE_LOAD`
    pub(crate) fn code_load(&mut self, file: u32, a: &mut drm_vinci_code_load) -> Result<()> {
        let end = a.va.checked_add(a.size).ok_or(Errno::Inval)?;
        let inside = a.va >= VA_BASE && end <= VA_BASE + VA_SIZE;
        if a.die as usize >= self.dies.len() || a.size == 0 || a.size > MOST || !inside {
            return Err(Errno::Inval);
        }
        let hw = self.vm(file, a.vm_id)?.hw;
        let command = Command { va: a.va, len: a.size, arg: a.die, ..Command::new(Opcode::CodeLoad, hw) };
        let result = self.admin.execute(&self.platform, command)?;
        (a.code_id, a.kernels) = ((result >> 32) as u32, result as u32);
        if a.code_id == 0 { Err(Errno::Proto) } else { Ok(()) }
    }

    /// `DRM_IOCTL_VINCI_CODE_UNLOAD`
    pub(crate) fn code_unload(&mut self, file: u32, a: &drm_vinci_code_unload) -> Result<()> {
        let hw = self.vm(file, a.vm_id)?.hw;
        let command = Command { arg: a.code_id, ..Command::new(Opcode::CodeUnload, hw) };
        self.admin.execute(&self.platform, command).map(|_| ())
    }
}
