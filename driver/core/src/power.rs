//! The device goes away for a while and comes back: sleep of the machine, and resets that others ask for.

use core::sync::atomic::Ordering;

use vinci_hw::admin::{Command, QueueSetup};
use vinci_hw::regs::{IDENT_MAGIC, Reg};
use vinci_hw::uapi::*;

use crate::driver::Driver;
use crate::errno::{Errno, Result};
use crate::platform::{DmaMemory, Platform};

impl<P: Platform> Driver<P> {
    /// Stops the device, which forgets queues and address spaces; until [`Driver::resume`] or [`Driver::recover`],
    /// what needs it answers `Errno::Io`. Returns when the entries in flight have ended.
    pub fn suspend(&mut self) {
        self.drain_events();
        self.slept_at = self.platform.read(Reg::WallClock);
        for q in self.queues.iter_mut().flatten() {
            q.sleeps = !q.gone && q.state().load(Ordering::Acquire) == DRM_VINCI_QUEUE_RUNNING;
        }
        self.platform.write(Reg::Control, 0);
        self.admin.give_up();
    }

    /// Stops the device before somebody else resets it: queues are lost at once, whether it comes back or not. Then
    /// [`Driver::recover`], or a reset of the function.
    pub fn halt(&mut self) {
        self.suspend();
        self.lose_queues(|q| {
            q.gone = true;
            true
        });
    }

    /// `Errno::NoDev` if the device's registers are out of reach.
    pub fn answers(&self) -> Result<()> {
        if self.platform.read(Reg::Ident) == IDENT_MAGIC { Ok(()) } else { Err(Errno::NoDev) }
    }

    /// A reset of the function, as `DRM_IOCTL_VINCI_RESET` does it.
    pub fn reset_function(&mut self) -> Result<()> {
        self.reset(&drm_vinci_reset { scope: DRM_VINCI_RESET_FUNCTION, die: 0 })
    }

    /// After [`Driver::suspend`]: the device is told again what it forgot, and running queues go on with their next
    /// entry. A device that was without power lost its HBM: then this is [`Driver::recover`].
    pub fn resume(&mut self) -> Result<()> {
        let clock = self.platform.read(Reg::WallClock);
        if clock == u64::MAX || clock < self.slept_at {
            return self.recover();
        }
        let back = self.bring_back().and_then(|()| self.bring_back_queues());
        if back.is_err() {
            return self.recover();
        }
        // One that had faulted, or was lost, is not there any more.
        let lost = self.lose_queues(|q| {
            let lost = !q.sleeps && !q.gone;
            q.gone |= lost;
            lost
        });
        if lost {
            self.announce_reset(None);
        }
        Ok(())
    }

    /// The device is as after power-on, by somebody else's doing: what a reset of the function leaves.
    pub fn recover(&mut self) -> Result<()> {
        self.lose_queues(|q| {
            q.gone = true;
            true
        });
        self.platform.write(Reg::Control, 0);
        let back = self.bring_back();
        self.announce_reset(None);
        back
    }

    fn bring_back_queues(&mut self) -> Result<()> {
        for id in 0..self.queues.len() {
            let Some(q) = self.queues[id].as_ref().filter(|q| q.sleeps) else { continue };
            let setup = QueueSetup {
                queue: id as u32,
                vm: self.vm(q.file, q.vm)?.hw,
                die: q.die,
                priority: q.priority,
                entries: q.entries,
                ring: q.ring.bus(),
                fence: q.fence.bus(),
                goes_on: Some(q.completed().load(Ordering::Acquire)),
            };
            self.admin.execute(&self.platform, Command::queue_create(setup))?;
        }
        Ok(())
    }
}
