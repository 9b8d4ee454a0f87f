//! The admin queue, driver side: one command at a time, or a few that were prepared together.

use vinci_hw::admin::{Command, Completion, Opcode, Outcome};
use vinci_hw::regs::{IDENT_MAGIC, PAGE_SIZE, Reg};

use crate::errno::{Errno, Result};
use crate::platform::{DmaMemory, Platform};

/// Entries of both rings.
const ENTRIES: u64 = 64;
/// Commands that are prepared together at most.
const BATCH: u64 = 32;
/// How long the device may take for a command.
pub const LIMIT_NS: u64 = 60_000_000_000;

/// Notices, while the driver waits for the device, that there is none any more.
#[derive(Default)]
pub struct Patience(u32);

impl Patience {
    /// Whether the device is gone: it reads as all ones. Looks now and then, since a look is slow.
    pub fn ends<P: Platform>(&mut self, platform: &P) -> bool {
        self.0 += 1;
        self.0 % 512 == 0 && platform.read(Reg::Ident) != IDENT_MAGIC
    }
}

/// The rings, and a page for what commands read and write.
pub struct Admin<P: Platform> {
    sq: P::Dma,
    cq: P::Dma,
    page: P::Dma,
    /// Commands completed.
    count: u64,
    /// Commands prepared behind them.
    added: u64,
    dead: bool,
}

impl<P: Platform> Admin<P> {
    /// Allocates the rings; [`Admin::start`] gives them to the device.
    pub fn new(platform: &P) -> Result<Self> {
        let alloc = || platform.alloc(PAGE_SIZE);
        Ok(Self { sq: alloc()?, cq: alloc()?, page: alloc()?, count: 0, added: 0, dead: false })
    }

    /// Sets up the registers of a disabled device.
    pub fn start(&mut self, platform: &P) {
        // SAFETY: the page is the driver's own; the device is disabled and does not write it.
        unsafe { self.cq.ptr().write_bytes(0, self.cq.len() as usize) };
        platform.write(Reg::AdminSq, self.sq.bus());
        platform.write(Reg::AdminCq, self.cq.bus());
        platform.write(Reg::AdminSize, ENTRIES);
        (self.count, self.added, self.dead) = (0, 0, true);
    }

    /// The device takes commands from now on.
    pub fn ready(&mut self) {
        self.dead = false;
    }

    /// The device does not answer, or answers nonsense; only a function reset helps.
    pub fn give_up(&mut self) {
        self.dead = true;
    }

    /// Bus address of a page that commands may read and write through [`Admin::page`].
    pub fn page_bus(&self) -> u64 {
        self.page.bus()
    }

    /// Reads what a command left in the page.
    pub fn page<T: vinci_hw::uapi::Payload>(&self) -> T {
        const { assert!(size_of::<T>() <= PAGE_SIZE as usize) };
        // SAFETY: inside the page; a Payload is valid for every bit pattern.
        unsafe { self.page.ptr().cast::<T>().read_unaligned() }
    }

    /// Prepares the page for a command.
    pub fn set_page<T: vinci_hw::uapi::Payload>(&mut self, value: &T) {
        const { assert!(size_of::<T>() <= PAGE_SIZE as usize) };
        // SAFETY: inside the page, which no command uses now.
        unsafe { self.page.ptr().cast::<T>().write_unaligned(*value) };
    }

    /// Executes a command; its result.
    pub fn execute(&mut self, platform: &P, command: Command) -> Result<u64> {
        self.add(command);
        self.finish(platform)
    }

    /// Prepares one more command; true if the next must wait for [`Admin::finish`].
    pub fn add(&mut self, mut command: Command) -> bool {
        let number = self.count + self.added;
        command.tag = number as u16;
        // SAFETY: the slot is below the ring's length, and the device reads only up to the tail.
        unsafe { self.sq.ptr().cast::<Command>().add((number % ENTRIES) as usize).write_volatile(command) };
        self.added += 1;
        self.added == BATCH
    }

    /// Forgets what was prepared.
    pub fn drop_added(&mut self) {
        self.added = 0;
    }

    /// Executes what was prepared, with one store to the device; the result of the last, or the first error, behind which
    /// the others were executed all the same.
    pub fn finish(&mut self, platform: &P) -> Result<u64> {
        let added = core::mem::take(&mut self.added);
        if self.dead {
            return Err(Errno::Io);
        }
        platform.write(Reg::AdminTail, (self.count + added) % ENTRIES);
        let mut all = Ok(0);
        for _ in 0..added {
            let done = self.completion(platform);
            if self.dead {
                return done;
            }
            all = all.and(done);
        }
        all
    }

    /// Waits for the next command's completion.
    fn completion(&mut self, platform: &P) -> Result<u64> {
        let (slot, tag) = ((self.count % ENTRIES) as usize, self.count as u16);
        let phase = (self.count / ENTRIES) % 2 == 0;
        // SAFETY: `slot` is below the ring's length.
        let at = unsafe { self.cq.ptr().cast::<Completion>().add(slot) };
        let (mut started, mut patience) = (None, Patience::default());
        let done = loop {
            // SAFETY: as above. The status is stored last, with release order.
            let status =
                unsafe { core::sync::atomic::AtomicU16::from_ptr((&raw mut (*at.as_ptr()).status).cast()) }
                    .load(core::sync::atomic::Ordering::Acquire);
            if (status & 1 != 0) == phase {
                // SAFETY: as above; the entry is complete.
                break unsafe { at.read_volatile() };
            }
            let now = platform.now_ns();
            let late = now.saturating_sub(*started.get_or_insert(now)) > LIMIT_NS;
            if late || patience.ends(platform) {
                self.give_up();
                return Err(Errno::Io);
            }
            platform.pause();
        };
        self.count += 1;
        if done.tag != tag {
            // Somebody else's completion: from here on none can be trusted.
            self.give_up();
            return Err(Errno::Io);
        }
        match done.outcome() {
            Some(Outcome::Ok) => Ok(done.result),
            Some(Outcome::Invalid) => Err(Errno::Inval),
            Some(Outcome::BadId | Outcome::NotFound) => Err(Errno::NoEnt),
            Some(Outcome::Overlap) => Err(Errno::Exist),
            Some(Outcome::BusFault) => Err(Errno::Fault),
            Some(Outcome::Busy) => Err(Errno::Busy),
            Some(Outcome::NoResource) => Err(Errno::NoSpc),
            None => Err(Errno::Proto),
        }
    }

    /// Executes a command that has only an opcode and an id.
    pub fn simple(&mut self, platform: &P, opcode: Opcode, id: u32) -> Result<u64> {
        self.execute(platform, Command::new(opcode, id))
    }
}
