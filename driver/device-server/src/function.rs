//! The PCI function: the device behind its regions, as a client accesses them.

use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use vinci_device::{Device, DeviceError, HostBus, Profile, QUEUES};
use vinci_hw::regs::*;

use crate::config::{self, Bar, Config};
use crate::interrupts::Interrupts;
use crate::lie::Liar;
use crate::memory::{GuestMemory, MemoryError};
use crate::wire::{Area, region};

/// What happened so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Reads of registers, which the guest waited for.
    pub reads: AtomicU64,
    /// Writes of registers.
    pub writes: AtomicU64,
    /// Those of them that woke a scheduler.
    pub kicks: AtomicU64,
    /// Accesses to doorbells and HBM that were not made through a mapping.
    pub unmapped: AtomicU64,
    /// Accesses to the config space.
    pub config: AtomicU64,
    /// Interrupts.
    pub interrupts: AtomicU64,
    /// Resets of the function.
    pub resets: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The way from the device to the guest.
pub struct Bus {
    /// What the device can reach.
    pub memory: GuestMemory,
    /// How it gets attention.
    pub interrupts: Interrupts,
    /// See [`Counts`].
    pub counts: Counts,
    /// The guest has made the function a bus master, and it is plugged in.
    open: AtomicBool,
}

impl HostBus for Bus {
    fn translate(&self, bus: u64, len: u64) -> Option<NonNull<u8>> {
        self.memory.at(bus, len).filter(|_| self.open.load(Ordering::Acquire))
    }

    fn interrupt(&self, vector: u16) {
        if self.open.load(Ordering::Acquire) {
            count(&self.counts.interrupts);
            self.interrupts.raise(vector);
        }
    }
}

/// A part of the function that a client can see.
pub struct Region<'a> {
    /// Bytes.
    pub size: u64,
    /// What can be mapped, if anything: the descriptor, and the parts.
    pub mapped: Option<(BorrowedFd<'a>, Vec<Area>)>,
}

/// Why an access failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("region {region}: {count} bytes at {offset:#x} are not inside")]
pub struct OutOfRegion {
    /// Which.
    pub region: u32,
    /// Where.
    pub offset: u64,
    /// How many.
    pub count: usize,
}

/// See the module.
pub struct Function {
    device: Arc<Device>,
    /// The way to the guest.
    pub bus: Arc<Bus>,
    bars: [Bar; 3],
    config: Mutex<Config>,
    /// Addresses that the BARs had last: a client goes on mapping them there after a reset of the function.
    addresses: Mutex<[u64; 3]>,
    removed: AtomicBool,
    pub(crate) liar: Liar,
}

impl Function {
    /// A function of a chip, as after power-on.
    pub fn new(profile: Profile, serial: u64) -> Result<Self, FunctionError> {
        let bus = Arc::new(Bus {
            memory: GuestMemory::new()?,
            interrupts: Interrupts::new(),
            counts: Counts::default(),
            open: AtomicBool::new(false),
        });
        let hbm = hbm_bar_size(profile.dies, profile.die.hbm_bytes);
        let bar = |index, size, wide| Bar { index, size, wide };
        let bars = [
            bar(pci::BAR_REGISTERS, BAR0_SIZE, false),
            bar(pci::BAR_DOORBELLS, u64::from(QUEUES) * PAGE_SIZE, true),
            bar(pci::BAR_HBM, hbm, true),
        ];
        Ok(Self {
            device: Device::open(profile, bus.clone())?,
            bus,
            config: Mutex::new(Config::new(&bars, serial)),
            bars,
            addresses: Mutex::default(),
            removed: AtomicBool::new(false),
            liar: Liar::default(),
        })
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A region, if there is one of this number; empty if this function has nothing there.
    pub fn region(&self, index: u32) -> Option<Region<'_>> {
        let device = &self.device;
        let size = match index {
            region::CONFIG => config::SIZE as u64,
            index if index < region::COUNT => {
                self.bars.iter().find(|bar| u32::from(bar.index) == index).map_or(0, |bar| bar.size)
            }
            _ => return None,
        };
        let mapped = if index == u32::from(pci::BAR_DOORBELLS) {
            Some((device.doorbells().memfd(), vec![Area { offset: 0, size }]))
        } else if index == u32::from(pci::BAR_HBM) {
            device.hbm(0).map(|hbm| (hbm.memfd(), self.hbm_areas()))
        } else {
            None
        };
        Some(Region { size, mapped })
    }

    /// The HBM of all dies; neighbours are one area.
    fn hbm_areas(&self) -> Vec<Area> {
        let (dies, size) = (self.device.profile().dies, self.device.profile().die.hbm_bytes);
        let mut areas: Vec<Area> = Vec::new();
        for offset in (0..dies).map(|die| hbm_start(die, size)) {
            match areas.last_mut() {
                Some(last) if last.offset + last.size == offset => last.size += size,
                _ => areas.push(Area { offset, size }),
            }
        }
        areas
    }

    /// Whether the guest gave one of the function's BARs this address, before its last reset or since.
    pub fn owns_address(&self, address: u64) -> bool {
        let known = self.addresses.lock();
        self.bars.iter().zip(*known).any(|(bar, at)| at != 0 && address.wrapping_sub(at) < bar.size)
    }

    fn check(&self, region: u32, offset: u64, count: usize) -> Result<(), OutOfRegion> {
        let size = self.region(region).map_or(0, |region| region.size);
        let inside = offset.checked_add(count as u64).is_some_and(|end| end <= size);
        if inside && count != 0 { Ok(()) } else { Err(OutOfRegion { region, offset, count }) }
    }

    /// Reads a region.
    pub fn read(&self, region: u32, offset: u64, to: &mut [u8]) -> Result<(), OutOfRegion> {
        self.check(region, offset, to.len())?;
        let counts = &self.bus.counts;
        count(match region {
            region::CONFIG => &counts.config,
            0 => &counts.reads,
            _ => &counts.unmapped,
        });
        if self.is_removed() {
            to.fill(0xff);
            return Ok(());
        }
        match region {
            region::CONFIG => self.config.lock().read(offset as usize, to),
            0 => self.read_registers(offset, to),
            _ => match self.shared(region, offset, to.len()) {
                Some(p) => load(p, to),
                None => to.fill(0xff),
            },
        }
        Ok(())
    }

    /// Writes a region.
    pub fn write(&self, region: u32, offset: u64, from: &[u8]) -> Result<(), OutOfRegion> {
        self.check(region, offset, from.len())?;
        let counts = &self.bus.counts;
        count(match region {
            region::CONFIG => &counts.config,
            0 => &counts.writes,
            _ => &counts.unmapped,
        });
        if self.is_removed() {
            return Ok(());
        }
        match region {
            region::CONFIG => {
                let effect = {
                    let mut config = self.config.lock();
                    let effect = config.write(offset as usize, from);
                    for (known, bar) in self.addresses.lock().iter_mut().zip(&self.bars) {
                        let given = config.address(bar);
                        *known = if given == 0 { *known } else { given };
                    }
                    effect
                };
                if effect.reset {
                    self.reset();
                }
                self.open_or_close();
            }
            0 => self.write_register(offset, from),
            _ => {
                if let Some(p) = self.shared(region, offset, from.len()) {
                    store(p, from);
                }
            }
        }
        Ok(())
    }

    /// Any part of any registers. Reading has no effect, so a whole one is read for each part.
    fn read_registers(&self, offset: u64, to: &mut [u8]) {
        let mut at = offset;
        let mut rest = to;
        while !rest.is_empty() {
            let (reg, skip) = (at & !7, (at & 7) as usize);
            let value = self.liar.register(reg).unwrap_or_else(|| self.device.read(reg));
            let n = rest.len().min(8 - skip);
            let (now, later) = rest.split_at_mut(n);
            now.copy_from_slice(&value.to_le_bytes()[skip..skip + n]);
            (at, rest) = (at + n as u64, later);
        }
    }

    /// A whole register; nothing happens for a part of one.
    fn write_register(&self, offset: u64, from: &[u8]) {
        let Ok(value) = from.try_into().map(u64::from_le_bytes) else {
            return log::debug!("a write of {} bytes at {offset:#x} is no register's", from.len());
        };
        if offset == Reg::Kick as u64 {
            count(&self.bus.counts.kicks);
        }
        self.liar.before_write(self, offset, value);
        self.device.write(offset, value);
        self.liar.after_write(self, offset);
    }

    /// Doorbells or HBM.
    fn shared(&self, region: u32, offset: u64, len: usize) -> Option<NonNull<u8>> {
        if region == u32::from(pci::BAR_DOORBELLS) {
            return self.device.doorbells().at(offset, len as u64);
        }
        let size = self.device.profile().die.hbm_bytes;
        let die = (offset / size.next_power_of_two()) as u32;
        self.device.hbm(die)?.at(offset - hbm_start(die, size), len as u64)
    }

    fn open_or_close(&self) {
        let open = !self.is_removed() && self.config.lock().is_bus_master();
        self.bus.open.store(open, Ordering::Release);
    }

    /// Resets the function: as after power-on. Waits until nothing uses the guest's memory any more.
    pub fn reset(&self) {
        count(&self.bus.counts.resets);
        self.device.write(Reg::Reset as u64, RESET_FUNCTION);
        let doorbells = self.device.doorbells();
        if let Err(e) = doorbells.punch(0, doorbells.len()) {
            log::error!("the doorbell pages could not be cleared: {e}");
        }
        self.bus.memory.forget_retired();
        self.liar.after_reset();
        let serial = self.serial();
        *self.config.lock() = Config::new(&self.bars, serial);
        self.open_or_close();
    }

    fn serial(&self) -> u64 {
        let mut serial = [0; 8];
        self.config.lock().read(config::SERIAL_NUMBER, &mut serial);
        u64::from_le_bytes(serial)
    }

    /// Pulls the function out: it stops at once and reads as all ones. It does not come back; the next client finds
    /// a new one.
    pub fn remove(&self) {
        self.removed.store(true, Ordering::Release);
        self.bus.open.store(false, Ordering::Release);
        self.reset();
    }

    /// Whether it was pulled out.
    pub fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }
}

/// Why there is no function.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// The guest's memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// Loads bytes that others store to at the same time; words whole.
fn load(from: NonNull<u8>, to: &mut [u8]) {
    let p = from.as_ptr();
    // SAFETY: `from` leads to shared memory of that length, which is accessed with atomics or volatile only.
    unsafe {
        match to.len() {
            4 if p.addr().is_multiple_of(4) => {
                to.copy_from_slice(&AtomicU32::from_ptr(p.cast()).load(Ordering::Acquire).to_le_bytes());
            }
            8 if p.addr().is_multiple_of(8) => {
                to.copy_from_slice(&AtomicU64::from_ptr(p.cast()).load(Ordering::Acquire).to_le_bytes());
            }
            _ => to.iter_mut().enumerate().for_each(|(i, b)| *b = p.add(i).read_volatile()),
        }
    }
}

/// Stores bytes, words whole.
fn store(to: NonNull<u8>, from: &[u8]) {
    let p = to.as_ptr();
    // SAFETY: as in `load`.
    unsafe {
        if let (Ok(word), 0) = (from.try_into(), p.addr() % 4) {
            AtomicU32::from_ptr(p.cast()).store(u32::from_le_bytes(word), Ordering::Release);
        } else if let (Ok(word), 0) = (from.try_into(), p.addr() % 8) {
            AtomicU64::from_ptr(p.cast()).store(u64::from_le_bytes(word), Ordering::Release);
        } else {
            from.iter().enumerate().for_each(|(i, &b)| p.add(i).write_volatile(b));
        }
    }
}
