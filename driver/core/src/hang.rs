//! The watchdog: finds the queue whose entry does not end, and frees the device of it.

use core::sync::atomic::Ordering;

use vinci_hw::admin::Opcode;
use vinci_hw::uapi::*;

use crate::driver::Driver;
use crate::errno::{Errno, Result};
use crate::object::Queue;
use crate::platform::{DmaMemory, Platform};

/// How far a hang went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cure {
    /// The device let go of the queue.
    Queue,
    /// It did not; its die was reset.
    Die,
    /// It does not answer; the function was reset.
    Function,
}

impl<P: Platform> Queue<P> {
    /// Entry `index`, counted from 0. A process can change it at any time.
    pub(crate) fn entry(&self, index: u64) -> drm_vinci_sqe {
        let slot = (index & u64::from(self.entries - 1)) as usize;
        // SAFETY: `slot` is below the ring's length; every bit pattern is a valid entry.
        unsafe { self.ring.ptr().cast::<drm_vinci_sqe>().add(slot).read_volatile() }
    }

    /// ns that entry `index` may take; `None` if it may wait for as long as it likes.
    fn allowance(&self, index: u64, limit_ns: u64) -> Option<u64> {
        let e = self.entry(index);
        match u32::from(e.opcode) {
            DRM_VINCI_OP_KERNEL => {
                // SAFETY: every bit pattern is valid for every member of the union.
                let ms = unsafe { e.__bindgen_anon_1.kernel.timeout_ms };
                Some(limit_ns.max((u64::from(ms) + 1000) * 1_000_000))
            }
            DRM_VINCI_OP_EVENT_WAIT
            | DRM_VINCI_OP_NOTIFY_WAIT
            | DRM_VINCI_OP_WAIT_VALUE
            | DRM_VINCI_OP_HOST_CALL => None,
            _ => Some(limit_ns),
        }
    }
}

impl<P: Platform> Driver<P> {
    /// A queue whose kernel or copy did not end within `limit_ns`, or its own longer time limit; or whose fence went
    /// backwards, which no device does that can be trusted. To be asked now and then: an entry's time begins when it is
    /// first seen.
    pub fn hung(&mut self, limit_ns: u64) -> Option<u32> {
        let now = self.platform.now_ns();
        for (id, q) in self.queues.iter_mut().enumerate() {
            let (id, Some(q)) = (id as u32, q) else { continue };
            let completed = q.completed().load(Ordering::Acquire);
            let busy = !q.gone
                && q.state().load(Ordering::Acquire) == DRM_VINCI_QUEUE_RUNNING
                && self.platform.tail(id).is_some_and(|tail| tail != completed);
            if busy && completed < q.watched.0 {
                return Some(id);
            }
            match q.allowance(completed, limit_ns) {
                Some(allowed) if busy && q.watched.0 == completed => {
                    if now.saturating_sub(q.watched.1) > allowed {
                        return Some(id);
                    }
                }
                _ => q.watched = (completed, now),
            }
        }
        None
    }

    /// Takes a hung queue from its owner, who hears of it by a fault; the least reset that helps. `Errno::Io` if none
    /// does.
    pub fn end_hang(&mut self, id: u32) -> Result<Cure> {
        let Some(Some(q)) = self.queues.get_mut(id as usize) else { return Err(Errno::NoEnt) };
        let (die, file) = (q.die, q.file);
        let mut fault = drm_vinci_fault::zeroed();
        (fault.cause, fault.queue_id, fault.die, fault.core) = (DRM_VINCI_FAULT_TIMEOUT, id, die, u32::MAX);
        (fault.entry, fault.wall_ns) = (q.completed().load(Ordering::Acquire) + 1, self.platform.now_ns());
        fault.opcode = q.entry(fault.entry - 1).opcode.into();
        let text: &[u8] = match fault.entry <= q.watched.0 {
            true => b"the queue's fence went backwards; the driver's watchdog took it",
            false => b"the queue hung; the driver's watchdog took it",
        };
        fault.text.iter_mut().zip(text).for_each(|(to, from)| *to = *from as _);
        q.fault = Some(fault);
        let mut event = drm_vinci_event::zeroed();
        (event.type_, event.queue_id, event.entry) = (DRM_VINCI_EVENT_FAULT, id, fault.entry);
        event.fault = fault;
        self.push_event(file, event);
        match self.admin.simple(&self.platform, Opcode::QueueDestroy, id) {
            // A busy one runs nothing more either; the device knows it until its owner destroys it.
            done @ (Ok(_) | Err(Errno::NoEnt | Errno::Busy)) => {
                self.drain_events();
                if let Some(Some(q)) = self.queues.get_mut(id as usize) {
                    q.state().store(DRM_VINCI_QUEUE_LOST, Ordering::Release);
                    q.gone = done != Err(Errno::Busy);
                }
                self.platform.wake_queue(id);
                return Ok(Cure::Queue);
            }
            Err(Errno::Io) => {}
            Err(_) => {
                let reset = drm_vinci_reset { scope: DRM_VINCI_RESET_DIE, die };
                if self.reset(&reset).is_ok() {
                    return Ok(Cure::Die);
                }
            }
        }
        self.reset_function().map(|()| Cure::Function)
    }
}
