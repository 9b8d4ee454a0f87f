//! A device of a few hundred lines that checks the driver: it answers the admin queue, runs no work, and
//! panics when the driver frees memory that the device could still reach.
#![allow(dead_code, reason = "each test uses a part")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;
use std::rc::Rc;

use vinci_core::{DmaMemory, Driver, Errno, PinnedMemory, Platform, UserCopy};
use vinci_hw::admin::{Command, Completion, Opcode, Outcome, Target};
use vinci_hw::regs::*;
use vinci_hw::uapi::*;

pub const DIES: u32 = 2;
pub const HBM: u64 = 64 << 20;
pub const RW: u32 = DRM_VINCI_MAP_READ | DRM_VINCI_MAP_WRITE;
const NEVER: u32 = u32::MAX;

thread_local! {
    /// Depth of calls into the rig, whose own allocations are no part of the test.
    pub static IN_RIG: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Marks a call into the rig.
struct Spare;

impl Spare {
    fn new() -> Self {
        IN_RIG.with(|d| d.set(d.get() + 1));
        Self
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        IN_RIG.with(|d| d.set(d.get() - 1));
    }
}

/// Counts down to the call that fails.
#[derive(Debug)]
pub struct Fuse(pub u32);

impl Fuse {
    pub fn off() -> Self {
        Self(NEVER)
    }

    fn blows(&mut self) -> bool {
        if self.0 == NEVER {
            return false;
        }
        self.0 = self.0.wrapping_sub(1);
        self.0 == NEVER
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    pub len: u64,
    pub kind: u16,
    pub arg: u32,
    pub addr: u64,
}

pub struct State {
    pub enabled: bool,
    sq: u64,
    cq: u64,
    entries: u64,
    events: u64,
    head: u64,
    completed: u64,
    pub event_head: u64,
    event_tail: u64,
    clock: u64,
    next_bus: u64,
    /// Memory that the device may reach: bus address to bytes and, for the driver's own, the CPU's address.
    pub memory: BTreeMap<u64, (u64, Option<NonNull<u8>>)>,
    pub vms: BTreeMap<u32, BTreeMap<u64, Map>>,
    pub queues: BTreeMap<u32, vinci_hw::admin::QueueSetup>,
    pub peers: BTreeSet<(u32, u16, u32)>,
    /// Which file's data a page of a die holds.
    pub content: BTreeMap<(u32, u64), u32>,
    pub fail_alloc: Fuse,
    pub fail_pin: Fuse,
    pub fail_command: Fuse,
    /// How often a queue is still busy when it is to be destroyed.
    pub busy: u32,
    /// Stores to the admin queue's tail.
    pub rings: u64,
    /// Answers nothing any more.
    pub silent: bool,
    pub commands: u64,
    /// The device's clock.
    pub wall: u64,
    /// Doorbells by queue.
    pub tails: BTreeMap<u32, u64>,
}

/// The device and the driver's surroundings.
#[derive(Clone)]
pub struct Rig(Rc<RefCell<State>>);

impl Rig {
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(State {
            enabled: false,
            sq: 0,
            cq: 0,
            entries: 0,
            events: 0,
            head: 0,
            completed: 0,
            event_head: 0,
            event_tail: 0,
            clock: 0,
            next_bus: 0x8000_0000,
            memory: BTreeMap::new(),
            vms: BTreeMap::new(),
            queues: BTreeMap::new(),
            peers: BTreeSet::new(),
            content: BTreeMap::new(),
            fail_alloc: Fuse::off(),
            fail_pin: Fuse::off(),
            fail_command: Fuse::off(),
            busy: 0,
            rings: 0,
            silent: false,
            commands: 0,
            wall: 0,
            tails: BTreeMap::new(),
        })))
    }

    pub fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    /// The CPU's address of memory that the driver made.
    pub fn cpu(&self, bus: u64) -> NonNull<u8> {
        self.state().cpu(bus)
    }

    /// What a closed file must leave: nothing but the driver's own rings.
    pub fn assert_clean(&self) {
        let s = self.state();
        assert!(s.vms.is_empty(), "address spaces {:?} are left", s.vms.keys());
        assert!(s.queues.is_empty(), "queues {:?} are left", s.queues.keys());
        assert_eq!(s.memory.len(), 4, "only the admin rings, their page and the event ring stay");
    }

    /// Posts an event as the device does.
    pub fn post(&self, event: drm_vinci_event) {
        let mut s = self.state();
        let at = s.cpu(s.events).cast::<drm_vinci_event>();
        // SAFETY: the ring has this many entries.
        unsafe { at.add((s.event_head % EVENT_RING_ENTRIES) as usize).write(event) };
        s.event_head += 1;
    }

    /// The driver over this device.
    pub fn driver(&self) -> Result<Driver<Rig>, Errno> {
        Driver::new(self.clone())
    }
}

impl State {
    fn cpu(&self, bus: u64) -> NonNull<u8> {
        self.memory[&bus].1.expect("the driver's own memory")
    }

    fn reaches(&self, bus: u64, len: u64) -> bool {
        self.memory.range(..=bus).next_back().is_some_and(|(&b, &(l, _))| bus + len <= b + l)
    }

    /// Panics if the device can reach `len` bytes at `bus`.
    fn assert_unused(&self, bus: u64, len: u64) {
        let inside = |at: u64| (bus..bus + len).contains(&at);
        for (vm, maps) in &self.vms {
            for (va, m) in maps {
                let used = m.kind == Target::Host as u16 && m.addr < bus + len && bus < m.addr + m.len;
                assert!(!used, "{bus:#x} was freed but vm {vm} maps it at {va:#x}");
            }
        }
        for q in self.queues.values() {
            assert!(!inside(q.ring) && !inside(q.fence), "{bus:#x} was freed but queue {} uses it", q.queue);
        }
        assert!(
            !self.enabled || !(inside(self.sq) || inside(self.cq) || inside(self.events)),
            "{bus:#x} was freed but is a ring of the enabled device"
        );
    }

    fn execute(&mut self, c: &Command) -> Result<u64, Outcome> {
        let opcode = Opcode::from_raw(c.opcode).ok_or(Outcome::Invalid)?;
        // Taking away cannot fail: the device needs nothing for it.
        let takes = matches!(opcode, Opcode::Unmap | Opcode::VmDestroy | Opcode::QueueDestroy);
        if !takes && self.fail_command.blows() {
            return Err(Outcome::NoResource);
        }
        match opcode {
            Opcode::Identify if c.id == 0 => {
                let mut d = drm_vinci_device_info::zeroed();
                d.die_count = DIES;
                self.put(c.addr, &d);
            }
            Opcode::Identify => {
                let mut d = drm_vinci_die_info::zeroed();
                d.hbm_bytes = HBM;
                self.put(c.addr, &d);
            }
            Opcode::Telemetry => self.put(c.addr, &drm_vinci_telemetry::zeroed()),
            Opcode::VmCreate => {
                if self.vms.insert(c.id, BTreeMap::new()).is_some() {
                    return Err(Outcome::BadId);
                }
            }
            Opcode::VmDestroy => {
                assert!(self.queues.values().all(|q| q.vm != c.id), "a queue still uses vm {}", c.id);
                self.vms.remove(&c.id).ok_or(Outcome::BadId)?;
                self.peers.retain(|p| p.0 != c.id);
            }
            Opcode::Map => {
                if c.kind == Target::Host as u16 {
                    assert!(self.reaches(c.addr, c.len), "{:#x}+{:#x} is nobody's", c.addr, c.len);
                } else {
                    assert!(c.arg < DIES && c.addr + c.len <= HBM, "outside the HBM");
                }
                let maps = self.vms.get_mut(&c.id).ok_or(Outcome::BadId)?;
                let before = maps.range(..c.va + c.len).next_back();
                assert!(before.is_none_or(|(v, m)| v + m.len <= c.va), "the driver maps over a mapping");
                maps.insert(c.va, Map { len: c.len, kind: c.kind, arg: c.arg, addr: c.addr });
            }
            Opcode::Unmap => {
                let maps = self.vms.get_mut(&c.id).ok_or(Outcome::BadId)?;
                let gone: Vec<u64> = maps.range(c.va..c.va + c.len).map(|(&v, _)| v).collect();
                if gone.is_empty() {
                    return Err(Outcome::NotFound);
                }
                for v in gone {
                    assert!(v + maps[&v].len <= c.va + c.len, "the driver cuts a mapping");
                    maps.remove(&v);
                }
            }
            Opcode::Peer if c.flags == 1 => {
                self.peers.insert((c.id, c.kind, c.arg));
            }
            Opcode::Peer => {
                self.peers.remove(&(c.id, c.kind, c.arg));
            }
            Opcode::QueueCreate => {
                let q = c.queue_setup();
                if !self.vms.contains_key(&q.vm) {
                    return Err(Outcome::BadId);
                }
                assert!(self.reaches(q.ring, u64::from(q.entries) * 64) && self.reaches(q.fence, PAGE_SIZE));
                assert!(self.queues.insert(q.queue, q).is_none(), "queue {} is there already", q.queue);
            }
            Opcode::QueueDestroy if self.busy != 0 => {
                self.busy -= 1;
                return Err(Outcome::Busy);
            }
            Opcode::QueueDestroy => {
                self.queues.remove(&c.id).ok_or(Outcome::BadId)?;
            }
            Opcode::QueueReset => {
                self.queues.get(&c.id).ok_or(Outcome::BadId)?;
            }
            Opcode::QueueResume => {
                self.queues.get(&c.id).ok_or(Outcome::NotFound)?;
            }
            Opcode::Scrub => {
                assert!(c.arg < DIES && c.addr + c.len <= HBM, "scrubs outside the HBM");
                let pages = c.addr / PAGE_SIZE..(c.addr + c.len) / PAGE_SIZE;
                self.content.retain(|(die, page), _| *die != c.arg || !pages.contains(page));
            }
            Opcode::Kernel => return Err(Outcome::NotFound),
            Opcode::Inject | Opcode::Limits => {}
            Opcode::CodeLoad => return Ok(1 << 32),
            Opcode::CodeUnload => {}
        }
        Ok(0)
    }

    fn put<T: Payload>(&self, bus: u64, value: &T) {
        // SAFETY: the driver's page for answers.
        unsafe { self.cpu(bus).cast::<T>().write_unaligned(*value) };
    }

    fn ring(&mut self, tail: u64) {
        self.rings += 1;
        while self.enabled && !self.silent && self.head != tail {
            // SAFETY: inside the ring.
            let c = unsafe { self.cpu(self.sq).cast::<Command>().add(self.head as usize).read() };
            self.head = (self.head + 1) % self.entries;
            self.commands += 1;
            let (outcome, result) = match self.execute(&c) {
                Ok(result) => (Outcome::Ok, result),
                Err(outcome) => (outcome, 0),
            };
            let phase = (self.completed / self.entries) % 2 == 0;
            let status = Completion::pack_status(outcome, phase);
            let done = Completion { result, sq_head: self.head as u16, tag: c.tag, reserved: 0, status };
            let slot = (self.completed % self.entries) as usize;
            // SAFETY: inside the ring.
            unsafe { self.cpu(self.cq).cast::<Completion>().add(slot).write(done) };
            self.completed += 1;
        }
    }

    fn forget(&mut self) {
        self.enabled = false;
        (self.head, self.completed, self.event_head, self.event_tail) = (0, 0, 0, 0);
        self.vms.clear();
        self.queues.clear();
        self.peers.clear();
    }
}

impl Platform for Rig {
    type Dma = Dma;
    type Pinned = Pinned;

    fn read(&self, reg: Reg) -> u64 {
        let s = self.state();
        match reg {
            Reg::Ident => IDENT_MAGIC,
            Reg::Version => INTERFACE_VERSION,
            Reg::Caps => Caps { dies: DIES as u8, queues_log2: 4, vectors: 8 }.pack(),
            Reg::Status if s.enabled => Status::Ready as u64,
            Reg::EventHead => s.event_head,
            Reg::WallClock => s.wall,
            _ => 0,
        }
    }

    fn write(&self, reg: Reg, value: u64) {
        let _spare = Spare::new();
        let mut s = self.state();
        match reg {
            Reg::AdminSq => s.sq = value,
            Reg::AdminCq => s.cq = value,
            Reg::AdminSize => s.entries = value,
            Reg::EventRing => s.events = value,
            Reg::EventTail => s.event_tail = value,
            Reg::Control if value == 0 => s.forget(),
            Reg::Control => s.enabled = true,
            Reg::AdminTail => s.ring(value),
            Reg::Reset if value == RESET_FUNCTION => {
                s.forget();
                s.silent = false;
                s.content.clear();
            }
            Reg::Reset => s.content.retain(|(die, _), _| u64::from(*die) | RESET_DIE != value),
            _ => {}
        }
    }

    fn alloc(&self, bytes: u64) -> Result<Dma, Errno> {
        let _spare = Spare::new();
        let mut s = self.state();
        if s.fail_alloc.blows() || bytes > 64 << 20 {
            return Err(Errno::NoMem);
        }
        let layout = Layout::from_size_align(bytes as usize, PAGE_SIZE as usize).unwrap();
        // SAFETY: the layout is not empty: the driver never asks for nothing.
        let ptr = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(Errno::NoMem)?;
        let bus = s.next_bus;
        s.next_bus += bytes + PAGE_SIZE;
        s.memory.insert(bus, (bytes, Some(ptr)));
        Ok(Dma { rig: self.clone(), bus, ptr, layout })
    }

    /// Pins every second page to a place of its own, so that mappings have several pieces.
    fn pin(&self, addr: u64, bytes: u64, _readonly: bool) -> Result<Pinned, Errno> {
        let _spare = Spare::new();
        let mut s = self.state();
        if s.fail_pin.blows() || addr == 0 || bytes > 1 << 20 {
            return Err(Errno::Fault);
        }
        let mut segments = Vec::new();
        let mut left = bytes;
        while left != 0 {
            let len = left.min(2 * PAGE_SIZE);
            segments.push((s.next_bus, len));
            let bus = s.next_bus;
            s.memory.insert(bus, (len, None));
            s.next_bus += 4 * PAGE_SIZE;
            left -= len;
        }
        Ok(Pinned { rig: self.clone(), segments })
    }

    fn pause(&self) {}

    fn now_ns(&self) -> u64 {
        let mut s = self.state();
        s.clock += 1_000_000_000;
        s.clock
    }

    fn wake_queue(&self, _queue: u32) {}

    fn wake_file(&self, _file: u32) {}

    fn tail(&self, queue: u32) -> Option<u64> {
        self.state().tails.get(&queue).copied()
    }
}

pub struct Dma {
    rig: Rig,
    bus: u64,
    ptr: NonNull<u8>,
    layout: Layout,
}

impl DmaMemory for Dma {
    fn bus(&self) -> u64 {
        self.bus
    }

    fn ptr(&self) -> NonNull<u8> {
        self.ptr
    }

    fn len(&self) -> u64 {
        self.layout.size() as u64
    }
}

impl Drop for Dma {
    fn drop(&mut self) {
        let mut s = self.rig.state();
        s.assert_unused(self.bus, self.layout.size() as u64);
        s.memory.remove(&self.bus);
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.ptr.as_ptr(), self.layout) };
    }
}

pub struct Pinned {
    rig: Rig,
    segments: Vec<(u64, u64)>,
}

impl PinnedMemory for Pinned {
    fn segments(&self) -> &[(u64, u64)] {
        &self.segments
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let mut s = self.rig.state();
        for &(bus, len) in &self.segments {
            s.assert_unused(bus, len);
            s.memory.remove(&bus);
        }
    }
}

/// User memory that takes and gives zeroes.
pub struct Nowhere;

impl UserCopy for Nowhere {
    fn copy_in(&mut self, to: &mut [u8], _from: u64) -> Result<(), Errno> {
        to.fill(0);
        Ok(())
    }

    fn copy_out(&mut self, _to: u64, _from: &[u8]) -> Result<(), Errno> {
        Ok(())
    }
}

/// A request of `file`.
pub fn ask<T: Payload>(d: &mut Driver<Rig>, file: u32, cmd: u32, mut a: T) -> Result<T, Errno> {
    d.ioctl(file, cmd, a.bytes_mut(), Nowhere)?;
    Ok(a)
}

pub fn vm_create(d: &mut Driver<Rig>, file: u32) -> Result<u32, Errno> {
    Ok(ask(d, file, VINCI_IOCTL_VM_CREATE, drm_vinci_vm_create::zeroed())?.vm_id)
}

pub fn bo_create(d: &mut Driver<Rig>, file: u32, size: u64, placement: u32, die: u32) -> Result<u32, Errno> {
    let a = drm_vinci_bo_create { size, placement, die, ..drm_vinci_bo_create::zeroed() };
    Ok(ask(d, file, VINCI_IOCTL_BO_CREATE, a)?.handle)
}

pub fn bo_close(d: &mut Driver<Rig>, file: u32, handle: u32) -> Result<(), Errno> {
    ask(d, file, IOCTL_GEM_CLOSE, drm_gem_close { handle, pad: 0 }).map(|_| ())
}

pub fn vm_map(d: &mut Driver<Rig>, file: u32, a: drm_vinci_vm_map) -> Result<(), Errno> {
    ask(d, file, VINCI_IOCTL_VM_MAP, a).map(|_| ())
}

pub fn vm_unmap(d: &mut Driver<Rig>, file: u32, vm_id: u32, va: u64, size: u64) -> Result<(), Errno> {
    ask(d, file, VINCI_IOCTL_VM_UNMAP, drm_vinci_vm_unmap { vm_id, pad: 0, va, size }).map(|_| ())
}

pub fn queue_create(d: &mut Driver<Rig>, file: u32, vm_id: u32, die: u32) -> Result<u32, Errno> {
    let a = drm_vinci_queue_create { vm_id, die, entries: 64, ..drm_vinci_queue_create::zeroed() };
    Ok(ask(d, file, VINCI_IOCTL_QUEUE_CREATE, a)?.queue_id)
}

pub fn queue_destroy(d: &mut Driver<Rig>, file: u32, queue_id: u32) -> Result<(), Errno> {
    ask(d, file, VINCI_IOCTL_QUEUE_DESTROY, drm_vinci_queue_id { queue_id, pad: 0 }).map(|_| ())
}

pub fn reset(d: &mut Driver<Rig>, file: u32, scope: u32, die: u32) -> Result<(), Errno> {
    ask(d, file, VINCI_IOCTL_RESET, drm_vinci_reset { scope, die }).map(|_| ())
}

pub fn hbm_used(d: &mut Driver<Rig>, file: u32, die: u32) -> u64 {
    let a = drm_vinci_telemetry { die, ..drm_vinci_telemetry::zeroed() };
    ask(d, file, VINCI_IOCTL_TELEMETRY, a).unwrap().hbm_used
}
