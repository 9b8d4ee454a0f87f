//! A worker: several open files, and one random call after the other on what they made.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use vinci_driver::uapi::*;
use vinci_driver::{Errno, Mapping, Node};
use vinci_hw::sqe;

use crate::canary::Canary;
use crate::log::Slot;
use crate::random::Random;
use crate::request::{self, MMAP, OPEN};
use crate::scratch::{Pages, SCRATCH};

const FILES: usize = 3;
/// Calls between two looks at the canary.
const LOOK: u64 = 1 << 15;
const PAGE: u64 = 4096;
/// Objects of a kind in a file at most; older ones give way.
const MOST: usize = 12;

/// What to leave out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gentle {
    /// Resets of a die or of the function may be made, which take other files' queues.
    pub resets: bool,
}

#[derive(Clone, Copy)]
struct Object {
    handle: u32,
    size: u64,
    offset: u64,
}

#[derive(Clone, Copy)]
struct Range {
    vm: u32,
    va: u64,
    size: u64,
}

struct Queue {
    id: u32,
    vm: u32,
    entries: u64,
    ring: Option<Mapping>,
    bell: Option<Mapping>,
    tail: u64,
    /// Entries that were counted.
    counted: u64,
}

struct File {
    node: Arc<dyn Node>,
    base: u64,
    vms: Vec<u32>,
    objects: Vec<Object>,
    ranges: Vec<Range>,
    queues: Vec<Queue>,
    maps: Vec<Mapping>,
}

/// Opens a file of the device.
pub type Open<'a> = dyn Fn() -> Result<Arc<dyn Node>> + Sync + 'a;

/// See the module.
pub struct Worker<'a> {
    open: &'a Open<'a>,
    slot: &'a Slot,
    random: Random,
    gentle: Gentle,
    files: Vec<File>,
    /// Descriptors of objects, of whatever file.
    sent: Vec<OwnedFd>,
    /// Mappings that outlive their file.
    kept: Vec<Mapping>,
    pages: Pages,
    canary: Canary,
    kernels: Vec<u64>,
}

fn keep<T>(list: &mut Vec<T>, item: T, random: &mut Random) {
    if list.len() >= MOST {
        let at = random.below(list.len() as u64) as usize;
        list.swap_remove(at);
    }
    list.push(item);
}

impl File {
    fn new(node: Arc<dyn Node>, base: u64) -> Self {
        let (vms, objects, ranges) = (Vec::new(), Vec::new(), Vec::new());
        Self { node, base, vms, objects, ranges, queues: Vec::new(), maps: Vec::new() }
    }
}

impl<'a> Worker<'a> {
    /// A worker whose calls the seed determines.
    pub fn new(open: &'a Open<'a>, slot: &'a Slot, seed: u64, gentle: Gentle) -> Result<Self> {
        let random = Random::new(seed);
        let canary = Canary::new(open()?, seed | 1).context("the canary")?;
        let node = open()?;
        let handle = vinci_driver::Handle::new(node);
        let names = ["nop", "add", "copy", "matmul"];
        let kernels = names.iter().filter_map(|name| Some(handle.kernel(name).ok()?.kernel)).collect();
        let base = handle.device_info()?.va_base;
        let mut files = vec![File::new(handle.node().clone(), base)];
        for _ in 1..FILES {
            files.push(File::new(open()?, base));
        }
        let (sent, kept, pages) = (Vec::new(), Vec::new(), Pages::new());
        Ok(Self { open, slot, random, gentle, files, sent, kept, pages, canary, kernels })
    }

    /// Makes calls until there were so many of all workers of this slot.
    pub fn run(&mut self, until: u64) -> Result<()> {
        let mut look = 0;
        while self.slot.calls.load(Ordering::Relaxed) < until {
            self.step()?;
            look += 1;
            if look % LOOK == 0 {
                self.check()?;
            }
        }
        self.check()
    }

    fn check(&self) -> Result<()> {
        self.canary.check(self.gentle.resets)?;
        if !self.pages.are_guarded() {
            bail!("pages beside pinned ones changed");
        }
        Ok(())
    }

    /// A request. An answer that the driver should never give is an error.
    fn call(&mut self, file: usize, cmd: u32, payload: &mut [u8]) -> Result<Result<(), Errno>> {
        let n = self.slot.begin(cmd.into(), payload);
        let answer = self.files[file].node.ioctl(cmd, payload);
        self.slot.end(n, answer.err().map_or(0, |e| e as u64));
        match answer {
            Err(Errno::Proto | Errno::OwnerDead | Errno::OpNotSupp) if cmd >> 8 & 0xff == 0x64 => {
                // PRIME may be missing in a home; nothing else is.
                let is_prime = matches!(cmd, IOCTL_PRIME_HANDLE_TO_FD | IOCTL_PRIME_FD_TO_HANDLE);
                if is_prime { Ok(answer) } else { bail!("{} answers {answer:?}", request::name(cmd)) }
            }
            _ => Ok(answer),
        }
    }

    /// A request on a structure, of which now and then a word is wrong.
    fn ask<T: Payload>(&mut self, file: usize, cmd: u32, a: &mut T) -> Result<Result<(), Errno>> {
        if self.random.one_in(6) {
            self.spoil(a.bytes_mut(), 0);
        }
        self.call(file, cmd, a.bytes_mut())
    }

    /// Makes a word behind the first `from` bytes wrong.
    fn spoil(&mut self, bytes: &mut [u8], from: usize) {
        let width = if self.random.one_in(2) { 4 } else { 8 };
        let words = (bytes.len() - from) / width;
        if words != 0 {
            let at = from + self.random.below(words as u64) as usize * width;
            let odd = self.random.odd().to_le_bytes();
            bytes[at..at + width].copy_from_slice(&odd[..width]);
        }
    }

    /// A handle of this file, or now and then of anything.
    fn handle(&mut self, file: usize) -> u32 {
        let objects = &self.files[file].objects;
        if objects.is_empty() || self.random.one_in(12) {
            return self.random.below(40) as u32;
        }
        objects[self.random.below(objects.len() as u64) as usize].handle
    }

    fn vm(&mut self, file: usize) -> u32 {
        let vms = &self.files[file].vms;
        if vms.is_empty() || self.random.one_in(20) {
            return self.random.below(8) as u32;
        }
        vms[self.random.below(vms.len() as u64) as usize]
    }

    fn queue(&mut self, file: usize) -> u32 {
        let queues = &self.files[file].queues;
        if queues.is_empty() || self.random.one_in(16) {
            return self.random.below(64) as u32;
        }
        queues[self.random.below(queues.len() as u64) as usize].id
    }

    /// A device address: of a mapping, near it, or anything.
    fn va(&mut self, file: usize) -> u64 {
        let f = &self.files[file];
        let slot = f.base + self.random.below(64) * (64 << 10);
        match self.random.below(12) {
            0 => self.random.odd(),
            1 => slot + self.random.below(64 << 10),
            _ if f.ranges.is_empty() => slot,
            _ => {
                let range = f.ranges[self.random.below(f.ranges.len() as u64) as usize];
                range.va.wrapping_add(self.random.below(range.size.max(1)) / 8 * 8)
            }
        }
    }

    /// One call.
    fn step(&mut self) -> Result<()> {
        let file = self.random.below(FILES as u64) as usize;
        match self.random.below(256) {
            0..=19 => self.bo_create(file),
            20..=33 => self.bo_close(file),
            34..=57 => self.vm_map(file),
            58..=77 => self.vm_unmap(file),
            78..=79 => self.vm_create(file),
            80 => self.vm_destroy(file),
            81..=84 => self.queue_create(file),
            85..=87 => self.queue_destroy(file),
            88..=119 => self.submit(file),
            120..=139 => self.wait(file),
            140..=159 => self.query(file),
            160..=169 => self.event_read(file),
            170..=181 => self.by_id(file),
            182..=191 => self.mmap(file),
            192..=199 => self.userptr(file),
            200..=207 => self.telemetry(file),
            208..=217 => self.bo_info(file),
            218..=225 => self.export(file),
            226..=233 => self.import(file),
            234..=236 => self.peer(file),
            237..=238 => self.inject(file),
            239 if self.gentle.resets && self.random.one_in(200) => self.reset(file),
            240 if self.random.one_in(40) => self.reopen(file),
            241..=246 => self.nonsense(file),
            _ => self.touch(file),
        }
    }

    fn bo_create(&mut self, file: usize) -> Result<()> {
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

    fn bo_close(&mut self, file: usize) -> Result<()> {
        let handle = self.handle(file);
        let mut a = drm_gem_close { handle, pad: 0 };
        if self.ask(file, IOCTL_GEM_CLOSE, &mut a)?.is_ok() {
            self.files[file].objects.retain(|o| o.handle != a.handle);
        }
        Ok(())
    }

    fn bo_info(&mut self, file: usize) -> Result<()> {
        let handle = self.handle(file);
        self.ask(
            file,
            VINCI_IOCTL_BO_INFO,
            &mut drm_vinci_bo_info { handle, ..drm_vinci_bo_info::zeroed() },
        )?
        .ok();
        Ok(())
    }

    fn vm_create(&mut self, file: usize) -> Result<()> {
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

    fn vm_destroy(&mut self, file: usize) -> Result<()> {
        let mut a = drm_vinci_vm_destroy { vm_id: self.vm(file), pad: 0 };
        if self.ask(file, VINCI_IOCTL_VM_DESTROY, &mut a)?.is_ok() {
            self.files[file].vms.retain(|&vm| vm != a.vm_id);
            self.files[file].ranges.retain(|r| r.vm != a.vm_id);
        }
        Ok(())
    }

    fn vm_map(&mut self, file: usize) -> Result<()> {
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

    fn vm_unmap(&mut self, file: usize) -> Result<()> {
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

    fn peer(&mut self, file: usize) -> Result<()> {
        let (from_die, to_die) = self.random.pick(&[(0, 1), (1, 0), (0, 0), (1, 2)]);
        let enable = self.random.below(2) as u32;
        let vm_id = self.vm(file);
        self.ask(file, VINCI_IOCTL_VM_PEER, &mut drm_vinci_vm_peer { vm_id, from_die, to_die, enable })?.ok();
        Ok(())
    }

    fn queue_create(&mut self, file: usize) -> Result<()> {
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

    fn queue_destroy(&mut self, file: usize) -> Result<()> {
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

    fn submit(&mut self, file: usize) -> Result<()> {
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

    fn wait(&mut self, file: usize) -> Result<()> {
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

    fn queue_reset(&mut self, file: usize, queue_id: u32) -> Result<()> {
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

    fn by_id(&mut self, file: usize) -> Result<()> {
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

    fn event_read(&mut self, file: usize) -> Result<()> {
        if self.random.one_in(4) {
            self.files[file].node.poll(Some(Duration::ZERO)).ok();
        }
        let mut a = drm_vinci_event_read {
            timeout_ns: self.random.pick(&[0, 0, 0, 1000]),
            ..drm_vinci_event_read::zeroed()
        };
        if self.call(file, VINCI_IOCTL_EVENT_READ, a.bytes_mut())?.is_ok()
            && a.event.type_ == DRM_VINCI_EVENT_HOST_CALL
        {
            let (queue_id, entry) = (a.event.queue_id, a.event.entry);
            let mut a = drm_vinci_queue_resume { queue_id, pad: 0, entry };
            self.ask(file, VINCI_IOCTL_QUEUE_RESUME, &mut a)?.ok();
        }
        Ok(())
    }

    /// An address that the driver may store to, or where nothing is.
    fn user_address(&mut self) -> u64 {
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

    fn query(&mut self, file: usize) -> Result<()> {
        let (topic, index) = (self.random.below(6) as u32, self.random.below(4) as u32);
        let size =
            if self.random.one_in(10) { self.random.odd() as u32 } else { self.random.below(300) as u32 };
        let (pad, data) = (u32::from(self.random.one_in(30)), self.user_address());
        let mut a = drm_vinci_dev_query { topic, index, size, pad, data };
        self.call(file, VINCI_IOCTL_DEV_QUERY, a.bytes_mut())?.ok();
        Ok(())
    }

    fn userptr(&mut self, file: usize) -> Result<()> {
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

    fn telemetry(&mut self, file: usize) -> Result<()> {
        let die = self.random.below(3) as u32;
        self.ask(
            file,
            VINCI_IOCTL_TELEMETRY,
            &mut drm_vinci_telemetry { die, ..drm_vinci_telemetry::zeroed() },
        )?
        .ok();
        Ok(())
    }

    fn mmap(&mut self, file: usize) -> Result<()> {
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
            keep(&mut self.files[file].maps, map, &mut self.random);
        }
        Ok(())
    }

    /// Loads and stores through a mapping, also one whose file or object is gone.
    fn touch(&mut self, file: usize) -> Result<()> {
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

    fn export(&mut self, file: usize) -> Result<()> {
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

    fn import(&mut self, file: usize) -> Result<()> {
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

    fn inject(&mut self, file: usize) -> Result<()> {
        let kind = self.random.pick(&[DRM_VINCI_INJECT_ECC_SINGLE, DRM_VINCI_INJECT_ECC_DOUBLE, 9, u32::MAX]);
        let (die, vm_id, address) = (self.random.below(3) as u32, self.vm(file), self.va(file));
        let mut a = drm_vinci_inject { kind, die, vm_id, pad: 0, address };
        self.call(file, VINCI_IOCTL_INJECT, a.bytes_mut())?.ok();
        Ok(())
    }

    fn reset(&mut self, file: usize) -> Result<()> {
        let (scope, die) = self.random.pick(&[(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0)]);
        self.call(file, VINCI_IOCTL_RESET, drm_vinci_reset { scope, die }.bytes_mut())?.ok();
        Ok(())
    }

    /// Closes a file with all that it made, and opens another.
    fn reopen(&mut self, file: usize) -> Result<()> {
        let n = self.slot.begin(OPEN.into(), &[]);
        let base = self.files[file].base;
        let old = std::mem::replace(&mut self.files[file], File::new((self.open)()?, base));
        self.slot.end(n, 0);
        for map in old.maps {
            keep(&mut self.kept, map, &mut self.random);
        }
        for queue in old.queues {
            for map in [queue.ring, queue.bell].into_iter().flatten() {
                keep(&mut self.kept, map, &mut self.random);
            }
        }
        Ok(())
    }

    /// Any number, any bytes. Those whose words are addresses or times are left out: these are not for chance.
    fn nonsense(&mut self, file: usize) -> Result<()> {
        let cmd = match self.random.below(3) {
            0 => self.random.pick(request::ALL).0,
            1 => self.random.pick(request::ALL).0 ^ 1 << self.random.below(32),
            _ => self.random.next() as u32,
        };
        let barred = [
            VINCI_IOCTL_DEV_QUERY,
            VINCI_IOCTL_BO_USERPTR,
            VINCI_IOCTL_WAIT,
            VINCI_IOCTL_EVENT_READ,
            VINCI_IOCTL_RESET,
            VINCI_IOCTL_INJECT,
            IOCTL_PRIME_HANDLE_TO_FD,
        ];
        // The numbers of DRM's own requests are the kernel's, and so are those of other drivers.
        let ours = request::ALL.iter().any(|(number, _)| number & 0xffff == cmd & 0xffff);
        if barred.iter().any(|number| number & 0xffff == cmd & 0xffff) || (cmd >> 8 & 0xff == 0x64) != ours {
            return Ok(());
        }
        let mut payload = vec![0u8; (cmd >> 16 & 0x3fff) as usize + self.random.below(2) as usize * 8];
        if self.random.one_in(8) {
            payload.truncate(self.random.below(payload.len() as u64 + 1) as usize);
        }
        for _ in 0..4 {
            self.spoil(&mut payload, 0);
        }
        self.call(file, cmd, &mut payload)?.ok();
        Ok(())
    }
}
