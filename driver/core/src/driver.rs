//! The driver of one device: bring-up, open files, events.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use vinci_hw::admin::{Command, Opcode};
use vinci_hw::regs::*;
use vinci_hw::uapi::*;

use crate::admin::{Admin, LIMIT_NS, Patience};
use crate::errno::{Errno, Result};
use crate::fallible::{TryPush, try_vec};
use crate::hbm::Hbm;
use crate::object::{Buffer, File, Limits, Queue};
use crate::platform::{DmaMemory, Platform};
use crate::slab::{Slab, slot_of};

/// Events that a file which does not read keeps.
const EVENT_LIMIT: usize = 1024;

/// Lowest device address that can be mapped. Far from where hosts put their own mappings, and still one that
/// a jailed process can map, so that a device pointer is never a host pointer by accident.
pub const VA_BASE: u64 = 0x1200_0000_0000;
/// Bytes of device address space.
pub const VA_SIZE: u64 = 0x0400_0000_0000;

/// What a waiting request is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Done.
    Ready(T),
    /// Sleep until woken, then ask again.
    Sleep,
}

/// What an mmap offset names.
#[derive(Debug)]
pub enum Mapped<'a, D> {
    /// Host memory, from a byte on.
    Dma(&'a D, u64),
    /// HBM of a die, from a byte on.
    Hbm(u32, u64),
    /// The doorbell page of a queue.
    Doorbell(u32),
}

/// The driver of one device.
pub struct Driver<P: Platform> {
    pub(crate) platform: P,
    pub(crate) admin: Admin<P>,
    events: P::Dma,
    event_tail: u64,
    pub(crate) device: drm_vinci_device_info,
    pub(crate) dies: Vec<drm_vinci_die_info>,
    pub(crate) hbm: Vec<Hbm>,
    pub(crate) buffers: Slab<Buffer<P>>,
    pub(crate) files: Slab<File>,
    /// [`File::serial`] of the last file.
    serial: u32,
    pub(crate) queues: Vec<Option<Queue<P>>>,
    /// Address spaces of the device in use.
    pub(crate) hw_vms: Vec<bool>,
    /// The device's clock when it was suspended.
    pub(crate) slept_at: u64,
    limits: Limits,
    /// A closed file waits for work on the cores.
    untidy: bool,
}

impl<P: Platform> Driver<P> {
    /// Brings the device up. `Errno::NoDev` if it is none of ours or does not start.
    pub fn new(platform: P) -> Result<Self> {
        let caps = Caps::unpack(platform.read(Reg::Caps));
        let ours = platform.read(Reg::Ident) == IDENT_MAGIC
            && platform.read(Reg::Version) >> 16 == INTERFACE_VERSION >> 16
            && (1..=8).contains(&caps.dies);
        if !ours {
            return Err(Errno::NoDev);
        }
        let admin = Admin::new(&platform)?;
        let events = platform.alloc(EVENT_RING_ENTRIES * size_of::<drm_vinci_event>() as u64)?;
        let mut queues = Vec::new();
        let count = 1usize << caps.queues_log2.min(16);
        queues.try_reserve_exact(count).map_err(|_| Errno::NoMem)?;
        queues.resize_with(count, || None);
        let mut driver = Self {
            platform,
            admin,
            events,
            event_tail: 0,
            device: drm_vinci_device_info::zeroed(),
            dies: Vec::new(),
            hbm: Vec::new(),
            buffers: Slab::default(),
            files: Slab::default(),
            serial: 0,
            queues,
            hw_vms: try_vec(1024, false)?,
            slept_at: 0,
            limits: Limits::NONE,
            untidy: false,
        };
        // Number 0 is used by no address space and no queue, so that a forgotten field names nothing.
        driver.hw_vms[0] = true;
        driver.start()?;
        driver.identify(caps.dies.into())?;
        Ok(driver)
    }

    /// Gives the rings to a disabled device and enables it.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.platform.write(Reg::Control, 0);
        self.admin.start(&self.platform);
        self.platform.write(Reg::EventRing, self.events.bus());
        self.event_tail = 0;
        self.platform.write(Reg::Control, 1);
        let status = |p: &P| Status::from_raw(p.read(Reg::Status));
        self.until(|p| matches!(status(p), Some(Status::Ready | Status::Dead) | None))
            .map_err(|_| Errno::NoDev)?;
        if status(&self.platform) != Some(Status::Ready) {
            return Err(Errno::NoDev);
        }
        self.admin.ready();
        self.platform.write(Reg::IrqEnable, irq::EVENT);
        Ok(())
    }

    /// Waits for the device; gives it up if it takes too long.
    pub(crate) fn until(&mut self, done: impl Fn(&P) -> bool) -> Result<()> {
        let started = self.platform.now_ns();
        let mut patience = Patience::default();
        while !done(&self.platform) {
            let late = self.platform.now_ns().saturating_sub(started) > LIMIT_NS;
            if late || patience.ends(&self.platform) {
                self.admin.give_up();
                return Err(Errno::Io);
            }
            self.platform.pause();
        }
        Ok(())
    }

    fn identify(&mut self, dies: u32) -> Result<()> {
        let ask = |id, addr| Command { addr, ..Command::new(Opcode::Identify, id) };
        let page = self.admin.page_bus();
        self.admin.execute(&self.platform, ask(0, page))?;
        self.device = self.admin.page();
        if self.device.die_count != dies {
            return Err(Errno::Proto);
        }
        (self.device.va_base, self.device.va_size, self.device.page_size) =
            (VA_BASE, VA_SIZE, PAGE_SIZE as u32);
        for die in 0..dies {
            self.admin.execute(&self.platform, ask(die + 1, page))?;
            let info: drm_vinci_die_info = self.admin.page();
            self.hbm.try_push(Hbm::new(info.hbm_bytes)?)?;
            self.dies.try_push(info)?;
        }
        Ok(())
    }

    /// The surroundings.
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// Sets what the node knows better than the device: where it runs, and its address on the bus.
    pub fn set_home(&mut self, home: drm_vinci_home, bus_address: &str) {
        self.device.home = home;
        let room = self.device.pci_address.len() - 1;
        for (to, from) in self.device.pci_address[..room].iter_mut().zip(bus_address.bytes()) {
            *to = from as _;
        }
    }

    /// Limits what each process may hold from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether the process of `file` may hold that much more. `Errno::NoMem` if not, `Errno::NoSpc` for what is
    /// counted in pieces.
    pub(crate) fn afford(&self, file: u32, more: Limits) -> Result<()> {
        let most = self.limits;
        if most == Limits::NONE {
            return Ok(());
        }
        let pid = self.file(file)?.pid;
        let mut held = more;
        for (_, f) in self.files.iter().filter(|(_, f)| f.pid == pid && !f.closed) {
            held.hbm = f.hbm.iter().fold(held.hbm, |sum, &bytes| sum.saturating_add(bytes));
            held.host = held.host.saturating_add(f.host);
            held.queues = held.queues.saturating_add(f.queues);
            held.spaces = held.spaces.saturating_add(f.vms.len());
            held.objects = held.objects.saturating_add(f.buffers.len());
        }
        if held.hbm > most.hbm || held.host > most.host {
            return Err(Errno::NoMem);
        }
        if held.queues > most.queues || held.spaces > most.spaces || held.objects > most.objects {
            return Err(Errno::NoSpc);
        }
        Ok(())
    }

    /// Opens a file for process `pid`.
    pub fn open(&mut self, pid: u32, name: &[u8]) -> Result<u32> {
        let mut file = File {
            serial: self.next_serial(),
            closed: false,
            pid,
            name: [0; 32],
            buffers: Slab::default(),
            vms: Slab::default(),
            queues: 0,
            past_ns: [0; 3],
            hbm: [0; 8],
            host: 0,
            events: VecDeque::new(),
            lost: 0,
        };
        let len = name.len().min(file.name.len() - 1);
        file.name[..len].copy_from_slice(&name[..len]);
        self.files.insert(file)
    }

    /// A number that marks HBM as dirtied by one file: neither 0 nor `u32::MAX`.
    fn next_serial(&mut self) -> u32 {
        if self.serial == u32::MAX - 1 {
            self.renumber();
        }
        self.serial += 1;
        self.serial
    }

    /// All serials were used: memory forgets whose it was, and living files are called by their slot. They keep
    /// what they hold; only its next use is scrubbed once too often.
    fn renumber(&mut self) {
        self.hbm.iter_mut().for_each(Hbm::forget_owners);
        for b in self.buffers.values_mut() {
            let (file, serial) = &mut b.owner;
            let alive = self.files.get(*file).is_some_and(|f| f.serial == *serial);
            *serial = if alive { slot_of(*file) } else { 0 };
        }
        self.files.iter_mut().for_each(|(id, f)| f.serial = slot_of(id));
        self.serial = slot_of(u32::MAX);
    }

    /// Closes a file: everything it made goes, whatever state it is in. What an entry on the cores still uses goes with
    /// [`Driver::tidy`]; what a device that does not answer may use stays until the function is reset.
    pub fn close(&mut self, file: u32) {
        let Some(f) = self.files.get_mut(file) else { return };
        (f.closed, f.events) = (true, VecDeque::new());
        match self.release(file) {
            Ok(()) => drop(self.files.remove(file)),
            Err(Errno::Busy) => self.untidy = true,
            Err(_) => {}
        }
    }

    /// Takes what files that were closed during long work had to leave. To be called now and then; costs nothing if
    /// there is nothing.
    pub fn tidy(&mut self) {
        if !core::mem::take(&mut self.untidy) {
            return;
        }
        let mut at = 0;
        loop {
            let Some((file, closed)) = self.files.iter().map(|(id, f)| (id, f.closed)).nth(at) else {
                return;
            };
            match if closed { self.release(file) } else { Err(Errno::Inval) } {
                Ok(()) => {
                    self.files.remove(file);
                    continue;
                }
                Err(Errno::Busy) => self.untidy = true,
                Err(_) => {}
            }
            at += 1;
        }
    }

    fn release(&mut self, file: u32) -> Result<()> {
        // All of them stop, also if one is busy.
        let mut busy = false;
        for queue in 0..self.queues.len() as u32 {
            if self.queue(file, queue).is_ok() {
                match self.queue_destroy(file, queue) {
                    Err(Errno::Busy) => busy = true,
                    done => done?,
                }
            }
        }
        if busy {
            return Err(Errno::Busy);
        }
        while let Some(vm) = self.file(file)?.vms.first() {
            self.vm_destroy(file, vm)?;
        }
        while let Some(handle) = self.file(file)?.buffers.first() {
            self.buffer_close(file, handle)?;
        }
        Ok(())
    }

    /// After a function reset: takes what closed files had to leave behind.
    pub(crate) fn bury_closed_files(&mut self) {
        loop {
            let closed = self.files.iter().find(|(_, f)| f.closed).map(|(id, _)| id);
            let Some(file) = closed.filter(|&file| self.release(file).is_ok()) else { return };
            self.files.remove(file);
        }
    }

    pub(crate) fn file(&self, file: u32) -> Result<&File> {
        self.files.get(file).ok_or(Errno::NoEnt)
    }

    pub(crate) fn file_mut(&mut self, file: u32) -> Result<&mut File> {
        self.files.get_mut(file).ok_or(Errno::NoEnt)
    }

    /// Takes what the device put into the event ring: call when vector 0 fired, and before anything that
    /// looks at faults or events.
    pub fn drain_events(&mut self) {
        self.platform.write(Reg::IrqCause, irq::EVENT);
        loop {
            let head = self.platform.read(Reg::EventHead);
            if head == self.event_tail {
                return;
            }
            if head.wrapping_sub(self.event_tail) > EVENT_RING_ENTRIES {
                // More than the ring holds: a device that was pulled out reads as all ones.
                return self.admin.give_up();
            }
            let slot = (self.event_tail % EVENT_RING_ENTRIES) as usize;
            // SAFETY: the slot lies in the ring, and the device wrote it before it moved the head.
            let event = unsafe { self.events.ptr().cast::<drm_vinci_event>().add(slot).read_volatile() };
            self.event_tail += 1;
            self.platform.write(Reg::EventTail, self.event_tail);
            self.deliver(event);
        }
    }

    /// Hands an event to the file it concerns; RAS events concern all.
    fn deliver(&mut self, event: drm_vinci_event) {
        if event.type_ == DRM_VINCI_EVENT_RAS {
            return self.broadcast(event);
        }
        let Some(Some(queue)) = self.queues.get_mut(event.queue_id as usize) else { return };
        match event.type_ {
            DRM_VINCI_EVENT_FAULT => queue.fault = Some(event.fault),
            // A queue that went on after a sleep makes the call again that nobody had answered.
            DRM_VINCI_EVENT_HOST_CALL if event.entry <= queue.called => return,
            DRM_VINCI_EVENT_HOST_CALL => queue.called = event.entry,
            _ => {}
        }
        let file = queue.file;
        self.push_event(file, event);
        if event.type_ == DRM_VINCI_EVENT_FAULT {
            self.platform.wake_queue(event.queue_id);
        }
    }

    pub(crate) fn broadcast(&mut self, event: drm_vinci_event) {
        let mut at = 0;
        loop {
            let Some(file) = self.files.iter().map(|(id, _)| id).nth(at) else { return };
            self.push_event(file, event);
            at += 1;
        }
    }

    pub(crate) fn push_event(&mut self, file: u32, event: drm_vinci_event) {
        let Some(f) = self.files.get_mut(file).filter(|f| !f.closed) else { return };
        // A host call must not be dropped: its queue would hang. Their number is bounded by the queues.
        let must_keep = event.type_ == DRM_VINCI_EVENT_HOST_CALL;
        if (f.events.len() >= EVENT_LIMIT && !must_keep) || f.events.try_reserve(1).is_err() {
            f.lost += 1;
        } else {
            f.events.push_back(event);
        }
        self.platform.wake_file(file);
    }

    /// The oldest event of a file, with the number of lost ones before it.
    pub fn event_step(&mut self, file: u32) -> Result<Step<(drm_vinci_event, u64)>> {
        self.drain_events();
        let f = self.file_mut(file)?;
        Ok(f.events
            .pop_front()
            .map_or(Step::Sleep, |event| Step::Ready((event, core::mem::take(&mut f.lost)))))
    }

    /// Whether a file has events to read, for poll.
    pub fn has_events(&self, file: u32) -> bool {
        self.files.get(file).is_some_and(|f| !f.events.is_empty())
    }
}

impl<P: Platform> Drop for Driver<P> {
    /// Stops the device before its rings go.
    fn drop(&mut self) {
        self.platform.write(Reg::Control, 0);
    }
}
