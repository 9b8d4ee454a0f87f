//! The least driver there can be: brings the device up and makes queues, by hand.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use vinci_device::{Device, HostBus, Profile};
use vinci_hw::admin::{Command, Completion, Opcode, Outcome, QueueSetup};
use vinci_hw::doorbell;
use vinci_hw::regs::{PAGE_SIZE, Reg};
use vinci_hw::sqe::Sqe;
use vinci_hw::uapi::*;

/// Lowest device address the tests map.
pub const VA: u64 = 0x1200_0000_0000;

/// Bus addresses are this process's addresses, inside one arena.
pub struct Arena {
    base: usize,
    len: usize,
    next: AtomicU64,
    pub interrupts: AtomicU64,
}

impl Arena {
    pub fn new(len: usize) -> Arc<Self> {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping; shared, as a guest's memory is.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, access, kind, -1, 0) };
        assert_ne!(base, libc::MAP_FAILED);
        let base = base as usize;
        Arc::new(Self { base, len, next: AtomicU64::new(0), interrupts: AtomicU64::new(0) })
    }

    pub fn alloc(&self, len: u64) -> u64 {
        let at = self.next.fetch_add(len.next_multiple_of(PAGE_SIZE), Ordering::Relaxed);
        assert!(at + len <= self.len as u64, "the arena is full");
        self.base as u64 + at
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // The device's threads hold the arena as long as they run, so nobody uses it now.
        // SAFETY: mapped in `new`.
        unsafe { libc::munmap(self.base as *mut libc::c_void, self.len) };
    }
}

impl HostBus for Arena {
    fn translate(&self, bus: u64, len: u64) -> Option<NonNull<u8>> {
        let inside = bus >= self.base as u64 && bus.checked_add(len)? <= (self.base + self.len) as u64;
        NonNull::new(bus as *mut u8).filter(|_| inside)
    }

    fn interrupt(&self, _vector: u16) {
        self.interrupts.fetch_add(1, Ordering::Relaxed);
    }
}

pub struct Rig {
    pub dev: Arc<Device>,
    pub arena: Arc<Arena>,
    sq: u64,
    cq: u64,
    events: u64,
    event_tail: u64,
    commands: u64,
}

const ENTRIES: u64 = 64;

impl Rig {
    pub fn new(chip: &str) -> Self {
        let arena = Arena::new(64 << 20);
        let dev = Device::open(Profile::by_name(chip).unwrap(), arena.clone()).unwrap();
        let (sq, cq, events) = (arena.alloc(4096), arena.alloc(4096), arena.alloc(256 * 256));
        let mut rig = Self { dev, arena, sq, cq, events, event_tail: 0, commands: 0 };
        rig.bring_up();
        rig
    }

    pub fn bring_up(&mut self) {
        self.commands = 0;
        self.event_tail = 0;
        for (reg, value) in [
            (Reg::AdminSq, self.sq),
            (Reg::AdminCq, self.cq),
            (Reg::AdminSize, ENTRIES),
            (Reg::EventRing, self.events),
            (Reg::Control, 1),
        ] {
            self.dev.write(reg as u64, value);
        }
        assert_eq!(self.dev.read(Reg::Status as u64), 1);
    }

    pub fn admin(&mut self, mut c: Command) -> Result<u64, Outcome> {
        let n = self.commands;
        self.commands += 1;
        c.tag = n as u16;
        // SAFETY: both slots lie in the rings, which the arena keeps.
        unsafe {
            ((self.sq + n % ENTRIES * 64) as *mut Command).write_volatile(c);
            self.dev.write(Reg::AdminTail as u64, (n + 1) % ENTRIES);
            let done = ((self.cq + n % ENTRIES * 16) as *const Completion).read_volatile();
            assert_eq!(done.phase(), (n / ENTRIES).is_multiple_of(2));
            assert_eq!(done.tag, c.tag);
            match done.outcome().unwrap() {
                Outcome::Ok => Ok(done.result),
                e => Err(e),
            }
        }
    }

    pub fn vm(&mut self, id: u32) {
        self.admin(Command::new(Opcode::VmCreate, id)).unwrap();
    }

    pub fn map_hbm(&mut self, vm: u32, die: u32, va: u64, offset: u64, len: u64) -> Result<u64, Outcome> {
        self.admin(Command { va, addr: offset, len, arg: die, flags: 3, ..Command::new(Opcode::Map, vm) })
    }

    pub fn map_host(&mut self, vm: u32, va: u64, len: u64) -> *mut u64 {
        let addr = self.arena.alloc(len);
        self.admin(Command { va, addr, len, kind: 1, flags: 3, ..Command::new(Opcode::Map, vm) }).unwrap();
        addr as *mut u64
    }

    pub fn queue(&mut self, id: u32, vm: u32, die: u32) -> UserQueue {
        let entries = 1024;
        let (ring, fence) = (self.arena.alloc(u64::from(entries) * 64), self.arena.alloc(4096));
        let setup = QueueSetup { queue: id, vm, die, priority: 3, entries, ring, fence, goes_on: None };
        self.admin(Command::queue_create(setup)).unwrap();
        let doorbell = self.dev.doorbells().at(u64::from(id) * 4096, 4096).unwrap().as_ptr();
        UserQueue {
            dev: self.dev.clone(),
            id,
            entries: entries.into(),
            ring,
            fence,
            doorbell: doorbell.cast(),
            tail: 0,
        }
    }

    pub fn event(&mut self) -> Option<drm_vinci_event> {
        if self.dev.read(Reg::EventHead as u64) == self.event_tail {
            return None;
        }
        let at = self.events + self.event_tail % 256 * size_of::<drm_vinci_event>() as u64;
        self.event_tail += 1;
        // SAFETY: the slot lies in the event ring.
        let e = unsafe { (at as *const drm_vinci_event).read_volatile() };
        self.dev.write(Reg::EventTail as u64, self.event_tail);
        Some(e)
    }
}

pub struct UserQueue {
    dev: Arc<Device>,
    pub id: u32,
    pub entries: u64,
    ring: u64,
    fence: u64,
    doorbell: *mut drm_vinci_queue_doorbell,
    pub tail: u64,
}

// SAFETY: plain addresses of memory that the device, which is held, keeps.
unsafe impl Send for UserQueue {}

impl UserQueue {
    pub fn completed(&self) -> u64 {
        // SAFETY: the fence page lives in the arena.
        unsafe { AtomicU64::from_ptr(self.fence as *mut u64) }.load(Ordering::Acquire)
    }

    /// The queue's model clock.
    pub fn model_ns(&self) -> u64 {
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr((self.fence + 16) as *mut u64) }.load(Ordering::Acquire)
    }

    /// Time that cube cores, vector cores and copy engines worked for it.
    pub fn busy_ns(&self) -> [u64; 3] {
        // SAFETY: as above; the device stores before it completes.
        unsafe { (*(self.fence as *const drm_vinci_queue_fence)).busy_ns }
    }

    pub fn state(&self) -> u32 {
        // SAFETY: as above.
        unsafe { AtomicU32::from_ptr((self.fence + 8) as *mut u32) }.load(Ordering::Acquire)
    }

    pub fn submit(&mut self, sqe: Sqe) -> u64 {
        while self.tail - self.completed() >= self.entries {
            std::hint::spin_loop();
        }
        // SAFETY: the slot lies in the ring; the doorbell page belongs to the device.
        unsafe {
            ((self.ring + self.tail % self.entries * 64) as *mut Sqe).write_volatile(sqe);
            self.tail += 1;
            let tail = AtomicU64::from_ptr(&raw mut (*self.doorbell).tail);
            let need_kick = AtomicU32::from_ptr(&raw mut (*self.doorbell).need_kick);
            if doorbell::ring(tail, need_kick, self.tail) {
                self.dev.write(Reg::Kick as u64, self.id.into());
            }
        }
        self.tail
    }

    pub fn ring_with(&mut self, tail: u64) {
        // SAFETY: the doorbell page belongs to the device.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.doorbell).tail) }.store(tail, Ordering::Release);
        self.dev.write(Reg::Kick as u64, self.id.into());
    }

    /// Waits until everything submitted is complete, or the queue stopped.
    pub fn wait(&self) -> u32 {
        let start = std::time::Instant::now();
        while self.completed() < self.tail && self.state() == 0 {
            assert!(
                start.elapsed().as_secs() < 20,
                "queue {} stands at {} of {}",
                self.id,
                self.completed(),
                self.tail
            );
            std::hint::spin_loop();
        }
        self.state()
    }
}
