//! Resets of a die and of the function. (A queue's own reset is in `queues`.)

use core::sync::atomic::Ordering;

use vinci_hw::admin::Opcode;
use vinci_hw::regs::{RESET_DIE, RESET_FUNCTION, Reg};
use vinci_hw::uapi::*;

use crate::driver::Driver;
use crate::errno::{Errno, Result};
use crate::fallible::TryPush;
use crate::object::Queue;
use crate::platform::Platform;

impl<P: Platform> Driver<P> {
    /// `DRM_IOCTL_VINCI_RESET`: the queues concerned are lost, HBM is zero, files hear of it; address spaces
    /// and buffer objects stay.
    pub(crate) fn reset(&mut self, a: &drm_vinci_reset) -> Result<()> {
        let die = match a.scope {
            DRM_VINCI_RESET_DIE if (a.die as usize) < self.dies.len() => Some(a.die),
            DRM_VINCI_RESET_FUNCTION if a.die == 0 => None,
            _ => return Err(Errno::Inval),
        };
        // What the queues had to say before, and what they say while they stop, is for their owners to hear.
        self.drain_events();
        self.platform.write(Reg::Reset, die.map_or(RESET_FUNCTION, |d| RESET_DIE | u64::from(d)));
        self.until(|p| p.read(Reg::Reset) == 0)?;
        if die.is_some() {
            self.drain_events();
        }
        self.lose_queues(|q| {
            q.gone |= die.is_none();
            die.is_none_or(|d| d == q.die)
        });
        let brought_up = if die.is_none() { self.bring_back() } else { Ok(()) };
        self.announce_reset(die);
        brought_up
    }

    /// Takes the queues that `which` picks from their owners; whether there was one.
    pub(crate) fn lose_queues(&mut self, which: impl Fn(&mut Queue<P>) -> bool) -> bool {
        let mut any = false;
        for (id, q) in self.queues.iter_mut().enumerate() {
            let Some(q) = q.as_mut() else { continue };
            if which(q) {
                any = true;
                q.state().store(DRM_VINCI_QUEUE_LOST, Ordering::Release);
                self.platform.wake_queue(id as u32);
            }
        }
        any
    }

    /// Tells every file that a die, or the function, was reset.
    pub(crate) fn announce_reset(&mut self, die: Option<u32>) {
        let mut event = drm_vinci_event::zeroed();
        (event.type_, event.queue_id) = (DRM_VINCI_EVENT_RESET, die.unwrap_or(u32::MAX));
        self.broadcast(event);
    }

    /// After a function reset the device knows nothing: tells it the address spaces again.
    pub(crate) fn bring_back(&mut self) -> Result<()> {
        self.start()?;
        self.bury_closed_files();
        let mut spaces = alloc::vec::Vec::new();
        for (file, f) in self.files.iter() {
            for (vm, v) in f.vms.iter() {
                spaces.try_push((file, vm, v.hw, v.peers))?;
            }
        }
        for (file, vm, hw, peers) in spaces {
            self.admin.simple(&self.platform, Opcode::VmCreate, hw)?;
            let mut maps = alloc::vec::Vec::new();
            for (va, m) in self.vm(file, vm)?.maps.iter() {
                maps.try_push((va, *m))?;
            }
            for (va, m) in maps {
                self.hw_map(hw, va, &m)?;
            }
            for (from, mask) in peers.into_iter().enumerate() {
                for to in (0..8).filter(|to| mask & 1 << to != 0) {
                    self.hw_peer(hw, from as u32, to, true)?;
                }
            }
        }
        Ok(())
    }
}
