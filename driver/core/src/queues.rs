//! Queues: create, destroy, reset, kick, resume, query, wait.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use vinci_hw::admin::{Command, Opcode, QueueSetup};
use vinci_hw::doorbell;
use vinci_hw::regs::{PAGE_SIZE, Reg};
use vinci_hw::uapi::*;

use crate::driver::{Driver, Step};
use crate::errno::{Errno, Result};
use crate::memory::queue_offsets;
use crate::object::{Limits, Queue};
use crate::platform::{DmaMemory, Platform};

impl<P: Platform> Queue<P> {
    fn words(&self) -> &drm_vinci_queue_fence {
        // SAFETY: the page holds the structure, is aligned and lives as long as `self`. Its fields are only
        // reached through the atomics below.
        unsafe { self.fence.ptr().cast().as_ref() }
    }

    /// Entries completed.
    pub(crate) fn completed(&self) -> &AtomicU64 {
        // SAFETY: aligned and alive; shared with the device, which stores it atomically.
        unsafe { AtomicU64::from_ptr((&raw const self.words().completed).cast_mut()) }
    }

    fn wait_for(&self) -> &AtomicU64 {
        // SAFETY: as for `completed`.
        unsafe { AtomicU64::from_ptr((&raw const self.words().wait_for).cast_mut()) }
    }

    /// Adds the time that engines worked for it, ns.
    pub(crate) fn add_busy(&self, sum: &mut [u64; 3]) {
        for (engine, sum) in sum.iter_mut().enumerate() {
            // SAFETY: as for `completed`.
            let busy = unsafe { AtomicU64::from_ptr((&raw const self.words().busy_ns[engine]).cast_mut()) };
            *sum = sum.saturating_add(busy.load(Ordering::Relaxed));
        }
    }

    /// A `drm_vinci_queue_state`.
    pub(crate) fn state(&self) -> &AtomicU32 {
        // SAFETY: as for `completed`.
        unsafe { AtomicU32::from_ptr((&raw const self.words().state).cast_mut()) }
    }
}

impl<P: Platform> Driver<P> {
    pub(crate) fn queue(&self, file: u32, id: u32) -> Result<&Queue<P>> {
        self.queues.get(id as usize).and_then(Option::as_ref).filter(|q| q.file == file).ok_or(Errno::NoEnt)
    }

    /// `DRM_IOCTL_VINCI_QUEUE_CREATE`
    pub(crate) fn queue_create(&mut self, file: u32, a: &mut drm_vinci_queue_create) -> Result<()> {
        let sound = a.flags == 0
            && a.priority < 8
            && (a.die as usize) < self.dies.len()
            && a.entries.is_power_of_two()
            && (64..=65536).contains(&a.entries);
        if !sound {
            return Err(Errno::Inval);
        }
        let hw = self.vm(file, a.vm_id)?.hw;
        self.afford(file, Limits { queues: 1, ..Limits::ZERO })?;
        let id = self.queues.iter().skip(1).position(Option::is_none).ok_or(Errno::NoSpc)? as u32 + 1;
        let ring_bytes =
            (u64::from(a.entries) * size_of::<drm_vinci_sqe>() as u64).next_multiple_of(PAGE_SIZE);
        let (ring, fence) = (self.platform.alloc(ring_bytes)?, self.platform.alloc(PAGE_SIZE)?);
        let setup = QueueSetup {
            queue: id,
            vm: hw,
            die: a.die,
            priority: a.priority as u16,
            entries: a.entries,
            ring: ring.bus(),
            fence: fence.bus(),
            goes_on: None,
        };
        let created = self.admin.execute(&self.platform, Command::queue_create(setup));
        match created {
            Ok(_) | Err(Errno::Io) => {}
            Err(e) => return Err(e),
        }
        // A device that does not answer may have taken the queue: it keeps its memory until the file is closed
        // or the function is reset.
        let queue = Queue {
            file,
            vm: a.vm_id,
            die: a.die,
            priority: setup.priority,
            entries: a.entries,
            ring,
            fence,
            fault: None,
            gone: false,
            sleeps: false,
            called: 0,
            watched: (0, self.platform.now_ns()),
        };
        self.queues[id as usize] = Some(queue);
        self.vm_mut(file, a.vm_id)?.queues += 1;
        self.file_mut(file)?.queues += 1;
        a.queue_id = id;
        (a.ring_offset, a.doorbell_offset, a.fence_offset) = queue_offsets(id);
        created.map(|_| ())
    }

    /// One try of `DRM_IOCTL_VINCI_QUEUE_DESTROY`: `Sleep` means in a little while again, as an entry is on the cores. The
    /// queue runs no other.
    pub fn queue_destroy_step(&mut self, file: u32, a: &drm_vinci_queue_id) -> Result<Step<()>> {
        if a.pad != 0 {
            return Err(Errno::Inval);
        }
        match self.queue_destroy(file, a.queue_id) {
            Ok(()) => Ok(Step::Ready(())),
            Err(Errno::Busy) => Ok(Step::Sleep),
            Err(e) => Err(e),
        }
    }

    /// `Errno::Busy` while an entry is on the cores.
    pub(crate) fn queue_destroy(&mut self, file: u32, id: u32) -> Result<()> {
        let q = self.queue(file, id)?;
        let vm = q.vm;
        if !q.gone {
            match self.admin.simple(&self.platform, Opcode::QueueDestroy, id) {
                Ok(_) | Err(Errno::NoEnt) => {}
                Err(e) => return Err(e),
            }
        }
        // Its last events must not find the next queue of this number.
        self.drain_events();
        let ended = self.queues[id as usize].take();
        self.platform.queue_freed(id, queue_offsets(id).1);
        self.vm_mut(file, vm)?.queues -= 1;
        let f = self.file_mut(file)?;
        f.queues -= 1;
        ended.iter().for_each(|q| q.add_busy(&mut f.past_ns));
        // What the queue still wanted from the host concerns nobody now.
        f.events.retain(|e| e.queue_id != id || e.type_ != DRM_VINCI_EVENT_HOST_CALL);
        self.platform.wake_queue(id);
        Ok(())
    }

    /// `DRM_IOCTL_VINCI_QUEUE_RESET`
    pub(crate) fn queue_reset(&mut self, file: u32, a: &mut drm_vinci_queue_reset) -> Result<()> {
        if a.flags != 0 {
            return Err(Errno::Inval);
        }
        let q = self.queue(file, a.queue_id)?;
        if q.gone || q.state().load(Ordering::Acquire) == DRM_VINCI_QUEUE_LOST {
            return Err(Errno::NoDev);
        }
        a.dropped = self.admin.simple(&self.platform, Opcode::QueueReset, a.queue_id)?;
        let id = a.queue_id;
        self.drain_events();
        if let Some(Some(q)) = self.queues.get_mut(id as usize) {
            q.fault = None;
        }
        self.file_mut(file)?.events.retain(|e| e.queue_id != id || e.type_ != DRM_VINCI_EVENT_HOST_CALL);
        self.platform.wake_queue(id);
        Ok(())
    }

    /// `DRM_IOCTL_VINCI_QUEUE_KICK`
    pub(crate) fn queue_kick(&mut self, file: u32, id: u32) -> Result<()> {
        self.queue(file, id)?;
        self.platform.write(Reg::Kick, id.into());
        Ok(())
    }

    /// `DRM_IOCTL_VINCI_QUEUE_RESUME`
    pub(crate) fn queue_resume(&mut self, file: u32, a: &drm_vinci_queue_resume) -> Result<()> {
        if a.pad != 0 {
            return Err(Errno::Inval);
        }
        self.queue(file, a.queue_id)?;
        let c = Command { va: a.entry, ..Command::new(Opcode::QueueResume, a.queue_id) };
        self.admin.execute(&self.platform, c)?;
        // A file that answers calls it has not read does not pile them up.
        self.drain_events();
        let answered = |e: &drm_vinci_event| {
            e.type_ == DRM_VINCI_EVENT_HOST_CALL && e.queue_id == a.queue_id && e.entry <= a.entry
        };
        self.file_mut(file)?.events.retain(|e| !answered(e));
        Ok(())
    }

    /// `DRM_IOCTL_VINCI_QUEUE_QUERY`
    pub(crate) fn queue_query(&mut self, file: u32, a: &mut drm_vinci_queue_query) -> Result<()> {
        self.drain_events();
        let q = self.queue(file, a.queue_id)?;
        a.state = q.state().load(Ordering::Acquire);
        a.completed = q.completed().load(Ordering::Acquire);
        a.fault = q.fault.unwrap_or_else(drm_vinci_fault::zeroed);
        Ok(())
    }

    /// One look of `DRM_IOCTL_VINCI_WAIT`: `Sleep` means until the queue is woken. `Errno::Io` if it is
    /// faulted, `Errno::NoDev` if it was lost.
    pub fn wait_step(&self, file: u32, a: &drm_vinci_wait) -> Result<Step<()>> {
        if a.flags != 0 {
            return Err(Errno::Inval);
        }
        let q = self.queue(file, a.queue_id)?;
        if doorbell::wait_for(q.completed(), q.wait_for(), a.value) {
            return Ok(Step::Ready(()));
        }
        match q.state().load(Ordering::Acquire) {
            DRM_VINCI_QUEUE_RUNNING => Ok(Step::Sleep),
            DRM_VINCI_QUEUE_FAULTED => Err(Errno::Io),
            _ => Err(Errno::NoDev),
        }
    }
}
