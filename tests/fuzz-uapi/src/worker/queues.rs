//! Calls on queues, and the entries that they are given.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use vinci_driver::Errno;
use vinci_driver::uapi::*;
use vinci_hw::sqe;

use super::{PAGE, Queue, Worker, keep};

impl Worker<'_> {
    pub(super) fn queue_create(&mut self, file: usize) -> Result<()> {
        if self.files[file].queues.len() >= 5 {
            return self.queue_destroy(file);
        }
        let (vm_id, die) = (self.vm(file), self.random.below(2) as u32);
        let (priority, entries) = (self.random.below(8) as u32, 64 << self.random.below(3));
        let mut a =
            drm_vinci_queue_create { vm_id, die, priority, entries, ..drm_vinci_queue_create::zeroed() };
        if self.ask(file, VINCI_IOCTL_QUEUE_CREATE, &mut a)?.is_ok() {
            let node = &self.files[file].node;
            let ring = node.mmap(a.ring_offset, a.entries as usize * 64).ok();
            let bell = node.mmap(a.doorbell_offset, PAGE as usize).ok();
            bell.iter().for_each(|bell| crate::bells::note(a.doorbell_offset, bell));
            if ring.is_none() || bell.is_none() {
                bail!("a new queue's ring and doorbell cannot be mapped");
            }
            let queue = Queue {
                id: a.queue_id,
                vm: a.vm_id,
                entries: a.entries.into(),
                ring,
                bell,
                tail: 0,
                counted: 0,
            };
            self.files[file].queues.push(queue);
        }
        Ok(())
    }

    pub(super) fn queue_destroy(&mut self, file: usize) -> Result<()> {
        let mut a = drm_vinci_queue_id { queue_id: self.queue(file), pad: 0 };
        if self.ask(file, VINCI_IOCTL_QUEUE_DESTROY, &mut a)?.is_ok() {
            let queues = &mut self.files[file].queues;
            if let Some(at) = queues.iter().position(|q| q.id == a.queue_id) {
                let queue = queues.swap_remove(at);
                // Its pages are written to later, when they are nobody's.
                for map in [queue.ring, queue.bell].into_iter().flatten() {
                    keep(&mut self.kept, map, &mut self.random);
                }
            }
        }
        Ok(())
    }

    /// A device address for work in an address space, mostly one that is mapped there, and how far it goes.
    fn target(&mut self, file: usize, vm: u32) -> (u64, u64) {
        let own: Vec<_> = self.files[file].ranges.iter().filter(|r| r.vm == vm).copied().collect();
        if own.is_empty() || self.random.one_in(40) {
            return (self.va(file), 8192);
        }
        let range = self.random.pick(&own);
        let at = self.random.below(range.size.max(1)) / 64 * 64;
        (range.va.wrapping_add(at), (range.size - at).min(64 << 10))
    }

    fn entry(&mut self, file: usize, vm: u32) -> sqe::Sqe {
        let ((a, to), (b, from)) = (self.target(file, vm), self.target(file, vm));
        let size = match self.random.below(60) {
            0 => self.random.odd(),
            _ => self.random.below(to.min(from).max(1)),
        };
        let word = a & !7;
        let mut entry = match self.random.below(16) {
            0..=3 => sqe::copy(a, b, size),
            4..=6 => sqe::fill(a, size, size as u8),
            7 => sqe::copy_2d(a, 300, b, 300, self.random.below(300), self.random.below(4)),
            8 => sqe::event_record(word, self.random.below(4)),
            9 if self.random.one_in(8) => sqe::event_wait(word, self.random.below(4), 1),
            10 => sqe::notify_record(word),
            11 => sqe::write_value(word, self.random.odd()),
            12 if self.random.one_in(8) => sqe::wait_value(word, 1, self.random.below(4) as u32, 1),
            13 if self.random.one_in(12) => sqe::host_call(7),
            14 if !self.kernels.is_empty() => self.kernel(b),
            _ => sqe::placeholder(),
        };
        if self.random.one_in(40) {
            // SAFETY: an entry is plain words, all of them valid.
            let bytes = unsafe { std::slice::from_raw_parts_mut((&raw mut entry).cast::<u8>(), 64) };
            self.spoil(bytes, 0);
        }
        entry
    }

    /// A kernel with whatever lies in memory for arguments. It ends soon, whatever it is.
    fn kernel(&mut self, args: u64) -> sqe::Sqe {
        let mut entry = drm_vinci_sqe::zeroed();
        entry.opcode = DRM_VINCI_OP_KERNEL as u8;
        entry.blocks = 1;
        let words =
            [self.random.pick(&self.kernels), args, (self.random.below(32) * 8) | (5 << 32), 0, 0, 0, 0];
        entry.__bindgen_anon_1.words = words;
        entry
    }

    pub(super) fn submit(&mut self, file: usize) -> Result<()> {
        let n = self.files[file].queues.len() as u64;
        if n == 0 {
            return self.queue_create(file);
        }
        let which = self.random.below(n) as usize;
        let (queue_id, vm) = (self.files[file].queues[which].id, self.files[file].queues[which].vm);
        if self.random.one_in(8) {
            // It may have stopped at what it was given before.
            self.queue_reset(file, queue_id)?;
        }
        let count = 1 + self.random.below(6);
        for _ in 0..count {
            let entry = self.entry(file, vm);
            let queue = &mut self.files[file].queues[which];
            let Some(ring) = &queue.ring else { continue };
            // SAFETY: below the ring's length; the device reads each entry once.
            unsafe {
                let at = (queue.tail % queue.entries) as usize;
                ring.ptr().cast::<sqe::Sqe>().add(at).write_volatile(entry);
            }
            queue.tail = queue.tail.wrapping_add(1);
        }
        let odd = self.random.one_in(200).then(|| self.random.odd());
        let queue = &self.files[file].queues[which];
        if let Some(bell) = &queue.bell {
            let tail = bell.ptr().cast::<u64>();
            // SAFETY: the doorbell's first word.
            unsafe {
                AtomicU64::from_ptr(tail.as_ptr()).store(odd.unwrap_or(queue.tail), Ordering::SeqCst);
            }
        }
        self.call(file, VINCI_IOCTL_QUEUE_KICK, drm_vinci_queue_id { queue_id, pad: 0 }.bytes_mut())?.ok();
        Ok(())
    }

    pub(super) fn wait(&mut self, file: usize) -> Result<()> {
        let queue_id = self.queue(file);
        let tail = self.files[file].queues.iter().find(|q| q.id == queue_id).map_or(0, |q| q.tail);
        let value = if self.random.one_in(3) { tail } else { self.random.below(tail.saturating_add(2)) };
        let flags = if self.random.one_in(20) { self.random.odd() as u32 } else { 0 };
        // Short, since what is waited for may never come.
        let timeout_ns = self.random.pick(&[0, 0, 0, 0, 0, 0, 1, 1000, 50_000]);
        let mut a = drm_vinci_wait { queue_id, flags, value, timeout_ns };
        let stopped = self.call(file, VINCI_IOCTL_WAIT, a.bytes_mut())?.is_err_and(|e| e == Errno::Io);
        if stopped || self.random.one_in(40) {
            self.queue_reset(file, queue_id)?;
        }
        Ok(())
    }

    pub(super) fn queue_reset(&mut self, file: usize, queue_id: u32) -> Result<()> {
        let mut state = drm_vinci_queue_query { queue_id, ..drm_vinci_queue_query::zeroed() };
        let known = self.call(file, VINCI_IOCTL_QUEUE_QUERY, state.bytes_mut())?.is_ok();
        let mut a = drm_vinci_queue_reset { queue_id, flags: 0, dropped: 0 };
        let reset = self.ask(file, VINCI_IOCTL_QUEUE_RESET, &mut a)?;
        let queue = self.files[file].queues.iter_mut().find(|q| q.id == a.queue_id);
        if let (Ok(()), Some(q)) = (reset, queue)
            && let Some(bell) = &q.bell
        {
            // What ran since the reset before; an odd tail says nothing.
            let ran = state.completed.wrapping_sub(q.counted);
            if known && a.queue_id == queue_id && ran < 1 << 32 {
                self.slot.entries.fetch_add(ran, Ordering::Relaxed);
            }
            // SAFETY: the doorbell's first word, which only this worker stores.
            q.tail = unsafe { bell.ptr().cast::<u64>().read_volatile() };
            q.counted = q.tail;
        }
        Ok(())
    }

    pub(super) fn by_id(&mut self, file: usize) -> Result<()> {
        let queue_id = self.queue(file);
        match self.random.below(3) {
            0 => self.ask(file, VINCI_IOCTL_QUEUE_KICK, &mut drm_vinci_queue_id { queue_id, pad: 0 })?.ok(),
            1 => {
                let mut a = drm_vinci_queue_query { queue_id, ..drm_vinci_queue_query::zeroed() };
                self.ask(file, VINCI_IOCTL_QUEUE_QUERY, &mut a)?.ok()
            }
            _ => {
                let entry = self.random.below(100);
                let mut a = drm_vinci_queue_resume { queue_id, pad: 0, entry };
                self.ask(file, VINCI_IOCTL_QUEUE_RESUME, &mut a)?.ok()
            }
        };
        Ok(())
    }
}
