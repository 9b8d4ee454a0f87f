//! A worker: several open files, and one random call after the other on what they made.

mod memory;
mod queues;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use vinci_driver::uapi::*;
use vinci_driver::{Errno, Mapping, Node};

use crate::canary::Canary;
use crate::log::Slot;
use crate::random::Random;
use crate::request::{self, OPEN};
use crate::scratch::Pages;

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
            247..=248 => self.code(file),
            _ => self.touch(file),
        }
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

    fn query(&mut self, file: usize) -> Result<()> {
        let (topic, index) = (self.random.below(6) as u32, self.random.below(4) as u32);
        let size =
            if self.random.one_in(10) { self.random.odd() as u32 } else { self.random.below(300) as u32 };
        let (pad, data) = (u32::from(self.random.one_in(30)), self.user_address());
        let mut a = drm_vinci_dev_query { topic, index, size, pad, data };
        self.call(file, VINCI_IOCTL_DEV_QUERY, a.bytes_mut())?.ok();
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

    fn inject(&mut self, file: usize) -> Result<()> {
        let kind = self.random.pick(&[DRM_VINCI_INJECT_ECC_SINGLE, DRM_VINCI_INJECT_ECC_DOUBLE, 9, u32::MAX]);
        let (die, vm_id, address) = (self.random.below(3) as u32, self.vm(file), self.va(file));
        let mut a = drm_vinci_inject { kind, die, vm_id, pad: 0, address };
        self.call(file, VINCI_IOCTL_INJECT, a.bytes_mut())?.ok();
        Ok(())
    }

    /// Whatever lies in memory is hardly a code object, and no number is one's id.
    fn code(&mut self, file: usize) -> Result<()> {
        let (vm_id, die, va) = (self.vm(file), self.random.below(3) as u32, self.va(file));
        let size = if self.random.one_in(10) { self.random.odd() } else { self.random.below(1 << 16) };
        let mut a = drm_vinci_code_load { vm_id, die, va, size, ..drm_vinci_code_load::zeroed() };
        self.call(file, VINCI_IOCTL_CODE_LOAD, a.bytes_mut())?.ok();
        let mut a = drm_vinci_code_unload { vm_id, code_id: self.random.below(4) as u32 };
        self.call(file, VINCI_IOCTL_CODE_UNLOAD, a.bytes_mut())?.ok();
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
