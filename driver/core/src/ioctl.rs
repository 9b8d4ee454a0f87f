//! The ioctls that do not wait: number and payload in, payload out.

use vinci_hw::admin::{Command, Opcode};
use vinci_hw::uapi::*;

use crate::driver::{Driver, Step};
use crate::errno::{Errno, Result};
use crate::platform::Platform;

/// Runs `f` on the payload as a `T`, and writes the result back if it succeeded.
fn with<T: Payload>(payload: &mut [u8], f: impl FnOnce(&mut T) -> Result<()>) -> Result<()> {
    let mut value = T::from_bytes(payload).ok_or(Errno::Inval)?;
    f(&mut value)?;
    payload[..size_of::<T>()].copy_from_slice(value.bytes());
    Ok(())
}

impl<P: Platform> Driver<P> {
    /// Executes an ioctl of `file`. `payload` is the node's copy of the structure; memory that it points to is
    /// reached through `copy`. Requests that wait
    /// (`DRM_IOCTL_VINCI_WAIT`, `DRM_IOCTL_VINCI_EVENT_READ`) and those of PRIME are the node's.
    pub fn ioctl(&mut self, file: u32, cmd: u32, payload: &mut [u8], mut copy: impl UserCopy) -> Result<()> {
        match cmd {
            VINCI_IOCTL_DEV_QUERY => with(payload, |a| self.dev_query(a, &mut copy)),
            VINCI_IOCTL_VM_CREATE => with(payload, |a| self.vm_create(file, a)),
            VINCI_IOCTL_VM_DESTROY => {
                with(
                    payload,
                    |a: &mut drm_vinci_vm_destroy| {
                        if a.pad != 0 { Err(Errno::Inval) } else { self.vm_destroy(file, a.vm_id) }
                    },
                )
            }
            VINCI_IOCTL_VM_MAP => with(payload, |a| self.vm_map(file, a)),
            VINCI_IOCTL_VM_UNMAP => with(payload, |a| self.vm_unmap(file, a)),
            VINCI_IOCTL_VM_PEER => with(payload, |a| self.vm_peer(file, a)),
            VINCI_IOCTL_BO_CREATE => with(payload, |a| self.buffer_create(file, a)),
            VINCI_IOCTL_BO_USERPTR => with(payload, |a| self.buffer_userptr(file, a)),
            VINCI_IOCTL_BO_INFO => with(payload, |a| self.buffer_info(file, a)),
            IOCTL_GEM_CLOSE => {
                with(
                    payload,
                    |a: &mut drm_gem_close| {
                        if a.pad != 0 { Err(Errno::Inval) } else { self.buffer_close(file, a.handle) }
                    },
                )
            }
            VINCI_IOCTL_QUEUE_CREATE => with(payload, |a| self.queue_create(file, a)),
            // Who can sleep takes `queue_destroy_step`.
            VINCI_IOCTL_QUEUE_DESTROY => with(payload, |a: &mut drm_vinci_queue_id| {
                if self.queue_destroy_step(file, a)? == Step::Sleep { Err(Errno::Busy) } else { Ok(()) }
            }),
            VINCI_IOCTL_QUEUE_RESET => with(payload, |a| self.queue_reset(file, a)),
            VINCI_IOCTL_QUEUE_KICK => {
                with(
                    payload,
                    |a: &mut drm_vinci_queue_id| {
                        if a.pad != 0 { Err(Errno::Inval) } else { self.queue_kick(file, a.queue_id) }
                    },
                )
            }
            VINCI_IOCTL_QUEUE_RESUME => with(payload, |a| self.queue_resume(file, a)),
            VINCI_IOCTL_QUEUE_QUERY => with(payload, |a| self.queue_query(file, a)),
            VINCI_IOCTL_TELEMETRY => with(payload, |a| self.telemetry(file, a)),
            VINCI_IOCTL_RESET => with(payload, |a| self.reset(a)),
            VINCI_IOCTL_INJECT => with(payload, |a| self.inject(file, a)),
            VINCI_IOCTL_CODE_LOAD => with(payload, |a| self.code_load(file, a)),
            VINCI_IOCTL_CODE_UNLOAD => with(payload, |a| self.code_unload(file, a)),
            _ => Err(Errno::NoTty),
        }
    }

    fn dev_query(&mut self, a: &mut drm_vinci_dev_query, copy: &mut impl UserCopy) -> Result<()> {
        if a.pad != 0 {
            return Err(Errno::Inval);
        }
        let indexed =
            matches!(a.topic, DRM_VINCI_QUERY_DIE | DRM_VINCI_QUERY_CLOCK | DRM_VINCI_QUERY_PROCESS);
        if !indexed && a.index != 0 {
            return Err(Errno::Inval);
        }
        match a.topic {
            DRM_VINCI_QUERY_DEVICE => answer(a, &self.device, copy),
            DRM_VINCI_QUERY_DIE => answer(a, self.dies.get(a.index as usize).ok_or(Errno::NoEnt)?, copy),
            DRM_VINCI_QUERY_KERNEL => {
                let mut info = drm_vinci_kernel_info::zeroed();
                if a.data != 0 {
                    let len = (a.size as usize).min(size_of::<drm_vinci_kernel_info>());
                    copy.copy_in(&mut info.bytes_mut()[..len], a.data)?;
                    info.name[info.name.len() - 1] = 0;
                    self.admin.set_page(&info);
                    let c = Command { addr: self.admin.page_bus(), ..Command::new(Opcode::Kernel, 0) };
                    self.admin.execute(&self.platform, c)?;
                    info = self.admin.page();
                }
                answer(a, &info, copy)
            }
            DRM_VINCI_QUERY_CLOCK => {
                let t = self.read_telemetry(a.index)?;
                answer(a, &drm_vinci_clock_info { wall_ns: t.wall_ns, model_ns: t.model_ns }, copy)
            }
            DRM_VINCI_QUERY_PROCESS => {
                let mut open = self.files.iter().filter(|(_, f)| !f.closed);
                let (id, f) = open.nth(a.index as usize).ok_or(Errno::NoEnt)?;
                let mut info = drm_vinci_process_info::zeroed();
                info.pid = f.pid;
                (info.hbm_bytes, info.hbm_die, info.queues) = (f.hbm.iter().sum(), f.hbm, f.queues);
                let holds = |(_, bytes): &(usize, &u64)| **bytes != 0;
                info.die_mask = f.hbm.iter().enumerate().filter(holds).fold(0, |m, (die, _)| m | 1 << die);
                let queues = self.queues.iter().flatten().filter(|q| q.file == id);
                info.die_mask |= queues.fold(0, |m, q| m | 1 << q.die);
                info.name.iter_mut().zip(f.name).for_each(|(to, from)| *to = from as _);
                answer(a, &info, copy)
            }
            _ => Err(Errno::Inval),
        }
    }

    pub(crate) fn read_telemetry(&mut self, die: u32) -> Result<drm_vinci_telemetry> {
        if die as usize >= self.dies.len() {
            return Err(Errno::NoEnt);
        }
        let c = Command { addr: self.admin.page_bus(), ..Command::new(Opcode::Telemetry, die) };
        self.admin.execute(&self.platform, c)?;
        Ok(self.admin.page())
    }

    fn telemetry(&mut self, file: u32, a: &mut drm_vinci_telemetry) -> Result<()> {
        let die = a.die;
        *a = self.sensors(die)?;
        a.hbm_file = self.file(file)?.hbm[die as usize];
        Ok(())
    }

    fn inject(&mut self, file: u32, a: &drm_vinci_inject) -> Result<()> {
        if a.pad != 0 || a.die as usize >= self.dies.len() {
            return Err(Errno::Inval);
        }
        let hw = if a.vm_id == 0 { 0 } else { self.vm(file, a.vm_id)?.hw };
        let kind = u16::try_from(a.kind).map_err(|_| Errno::Inval)?;
        let c = Command { kind, arg: a.die, va: a.address, ..Command::new(Opcode::Inject, hw) };
        self.admin.execute(&self.platform, c).map(|_| ())
    }
}

/// Copies between the driver and the caller's memory, which only the node can reach.
pub trait UserCopy {
    /// From the caller.
    fn copy_in(&mut self, to: &mut [u8], from: u64) -> Result<()>;
    /// To the caller.
    fn copy_out(&mut self, to: u64, from: &[u8]) -> Result<()>;
}

impl<C: UserCopy> UserCopy for &mut C {
    fn copy_in(&mut self, to: &mut [u8], from: u64) -> Result<()> {
        (**self).copy_in(to, from)
    }

    fn copy_out(&mut self, to: u64, from: &[u8]) -> Result<()> {
        (**self).copy_out(to, from)
    }
}

/// Answers a query as far as the caller's buffer reaches.
fn answer<T: Payload>(a: &mut drm_vinci_dev_query, value: &T, copy: &mut impl UserCopy) -> Result<()> {
    let known = size_of::<T>() as u32;
    if a.data != 0 {
        copy.copy_out(a.data, &value.bytes()[..a.size.min(known) as usize])?;
    }
    a.size = known;
    Ok(())
}
