//! What a system shows of the driver: usage of a file, states of queues, sensors.

use core::sync::atomic::Ordering;

use vinci_hw::uapi::*;

use crate::driver::{Driver, Mapped};
use crate::errno::{Errno, Result};
use crate::object::Backing;
use crate::platform::Platform;

/// What an open file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The file.
    pub file: u32,
    /// Process that opened it, and its name.
    pub pid: u32,
    /// See `pid`.
    pub name: [u8; 32],
    /// Bytes of HBM by die.
    pub hbm: [u64; 8],
    /// Bytes of host memory made or pinned.
    pub host: u64,
    /// Address spaces.
    pub spaces: u32,
    /// Queues.
    pub queues: u32,
    /// Model time that cube cores, vector cores and copy engines of all dies have worked for it, ns.
    pub busy_ns: [u64; 3],
}

/// A queue at one moment.
#[derive(Clone, Copy)]
pub struct QueueState {
    /// Its number.
    pub id: u32,
    /// File that made it.
    pub file: u32,
    /// Die.
    pub die: u32,
    /// Address space, in its file.
    pub vm: u32,
    /// 0 (highest) to 7.
    pub priority: u16,
    /// Entries of its ring.
    pub entries: u32,
    /// A `drm_vinci_queue_state`, as its fence page says.
    pub state: u32,
    /// Entries completed, as its fence page says.
    pub completed: u64,
    /// Entries submitted, if the driver can see the doorbell.
    pub tail: Option<u64>,
    /// The record of its last fault.
    pub fault: Option<drm_vinci_fault>,
}

impl<P: Platform> Driver<P> {
    /// What `file` holds.
    pub fn usage(&self, file: u32) -> Result<Usage> {
        let f = self.file(file)?;
        let spaces = f.vms.iter().count() as u32;
        let (hbm, host, queues) = (f.hbm, f.host, f.queues);
        let mut busy_ns = f.past_ns;
        self.queues.iter().flatten().filter(|q| q.file == file).for_each(|q| q.add_busy(&mut busy_ns));
        Ok(Usage { file, pid: f.pid, name: f.name, hbm, host, spaces, queues, busy_ns })
    }

    /// Files that are open.
    pub fn open_files(&self) -> impl Iterator<Item = u32> + '_ {
        self.files.iter().filter(|(_, f)| !f.closed).map(|(id, _)| id)
    }

    /// A queue, if there is one of that number.
    pub fn queue_state(&self, id: u32) -> Option<QueueState> {
        let q = self.queues.get(id as usize)?.as_ref()?;
        Some(QueueState {
            id,
            file: q.file,
            die: q.die,
            vm: q.vm,
            priority: q.priority,
            entries: q.entries,
            state: q.state().load(Ordering::Acquire),
            completed: q.completed().load(Ordering::Acquire),
            tail: self.platform.tail(id),
            fault: q.fault,
        })
    }

    /// Every queue.
    pub fn queue_states(&self) -> impl Iterator<Item = QueueState> + '_ {
        (0..self.queues.len() as u32).filter_map(|id| self.queue_state(id))
    }

    /// Entry `index` of a queue, counted from 0 at its creation, if it is still in the ring.
    pub fn queue_entry(&self, queue: u32, index: u64) -> Option<drm_vinci_sqe> {
        Some(self.queues.get(queue as usize)?.as_ref()?.entry(index))
    }

    /// What `DRM_VINCI_QUERY_DEVICE` answers.
    pub fn device_info(&self) -> &drm_vinci_device_info {
        &self.device
    }

    /// What `DRM_VINCI_QUERY_DIE` answers, by die.
    pub fn die_infos(&self) -> &[drm_vinci_die_info] {
        &self.dies
    }

    /// Sensors and counters of a die.
    pub fn sensors(&mut self, die: u32) -> Result<drm_vinci_telemetry> {
        let mut t = self.read_telemetry(die)?;
        let hbm = &self.hbm[die as usize];
        (t.hbm_total, t.hbm_used) = (hbm.total(), hbm.used());
        Ok(t)
    }

    /// The memory of a buffer object that [`Driver::export`] or [`Driver::hold`] named, and its bytes. `Errno::Inval`
    /// if it is the caller's own or another driver's pages.
    pub fn memory_of(&self, id: u32) -> Result<(Mapped<'_, P::Dma>, u64)> {
        let b = self.buffers.get(id).ok_or(Errno::NoEnt)?;
        match &b.backing {
            Backing::Hbm { die, block } => Ok((Mapped::Hbm(*die, block.offset), b.size)),
            Backing::Host(dma) => Ok((Mapped::Dma(dma, 0), b.size)),
            Backing::User(_) => Err(Errno::Inval),
        }
    }
}
