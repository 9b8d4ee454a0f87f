//! The process's one connection to the driver.

use std::collections::HashMap;
use std::ffi::c_char;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use vinci_uapi::*;

use crate::device::Die;
use crate::event::slot::SlotPool;
use crate::fork;
use crate::graph::Lanes;
use crate::kernel::Resolved;
use crate::memory::alloc::Backing;
use crate::memory::limbo::{Limbo, Marks};
use crate::memory::registry::Registry;
use crate::memory::stage::StagePool;
use crate::memory::va::VaSpace;
use crate::stream::callback::Callbacks;
use crate::stream::queue::Queue;
use crate::sys::{BoHandle, Sys};
use crate::{Error, Result};

/// Where the driver runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Home {
    /// Inside this process.
    Embedded,
    /// Behind a Unix socket.
    Served,
    /// In the kernel, behind `/dev/accel`.
    Kernel,
}

/// The module as a whole.
#[derive(Clone, Debug)]
pub struct ModuleInfo {
    /// Name of the chip, such as "Ascend910C".
    pub name: String,
    /// Unique in the machine.
    pub serial: String,
    /// Name of the profile that described the chip.
    pub profile: String,
    /// Version of the device's own software.
    pub firmware: String,
    /// Dies; each is one [`crate::Device`].
    pub die_count: u32,
    /// Where the driver runs.
    pub home: Home,
    /// Lowest device address a mapping may have.
    pub va_base: u64,
    /// Bytes of device address space.
    pub va_size: u64,
    /// Granule of mappings in bytes.
    pub page_size: u64,
    /// PCI vendor and device id.
    pub pci_id: (u16, u16),
    /// Bus address, or a stand-in for it.
    pub pci_address: String,
}

/// A process that has the device open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its pid.
    pub pid: u32,
    /// Dies it holds memory or queues on, one bit each.
    pub die_mask: u32,
    /// Device memory it holds.
    pub hbm_bytes: u64,
    /// Device memory it holds on each die.
    pub hbm_die: Vec<u64>,
    /// Queues it has: at most one for each of its streams.
    pub queues: u32,
    /// Its command name.
    pub name: String,
}

/// The driver, opened once per process on first use.
///
/// ```
/// let driver = vinci::Driver::get()?;
/// println!("{} with {} dies", driver.info().name, driver.info().die_count);
/// # Ok::<(), vinci::Error>(())
/// ```
#[derive(Debug)]
pub struct Driver {
    pub(crate) sys: Sys,
    /// The process's address space; it spans all dies.
    pub(crate) vm: u32,
    pub(crate) info: ModuleInfo,
    pub(crate) dies: Box<[Die]>,
    pub(crate) va: Mutex<VaSpace>,
    pub(crate) registry: Registry,
    pub(crate) limbo: Limbo<Backing>,
    /// Every queue that work was submitted to and that was not destroyed.
    pub(crate) queues: RwLock<Vec<Arc<Queue>>>,
    pub(crate) slots: SlotPool,
    pub(crate) stages: StagePool,
    pub(crate) callbacks: Callbacks,
    pub(crate) kernels: RwLock<HashMap<Box<str>, Arc<Resolved>>>,
    /// The streams that graphs made for their lanes.
    pub(crate) lanes: Lanes,
}

static DRIVER: OnceLock<Driver> = OnceLock::new();

impl Driver {
    /// The process's driver; opens it on the first call. `VINCI_DEVICE` chooses the home.
    ///
    /// [`Error::NoDevice`] if there is none, [`Error::Forked`] in a child of the process that opened it.
    pub fn get() -> Result<&'static Driver> {
        fork::check()?;
        match DRIVER.get() {
            Some(driver) => Ok(driver),
            None => Self::open_once(),
        }
    }

    /// The driver if it is open and this process's.
    pub(crate) fn opened() -> Option<&'static Driver> {
        if fork::is_child() { None } else { DRIVER.get() }
    }

    #[cold]
    fn open_once() -> Result<&'static Driver> {
        static OPENING: Mutex<()> = Mutex::new(());
        let _guard = OPENING.lock();
        if let Some(driver) = DRIVER.get() {
            return Ok(driver);
        }
        let driver = Self::open()?;
        Ok(DRIVER.get_or_init(|| driver))
    }

    fn open() -> Result<Driver> {
        let sys = Sys::open()?;
        let raw = sys.device_info()?;
        let info = ModuleInfo {
            name: text(&raw.name),
            serial: text(&raw.serial),
            profile: text(&raw.profile),
            firmware: text(&raw.firmware),
            die_count: raw.die_count,
            home: match raw.home {
                DRM_VINCI_HOME_SERVED => Home::Served,
                DRM_VINCI_HOME_KERNEL => Home::Kernel,
                _ => Home::Embedded,
            },
            va_base: raw.va_base,
            va_size: raw.va_size,
            page_size: u64::from(raw.page_size),
            pci_id: (raw.pci_vendor, raw.pci_device),
            pci_address: text(&raw.pci_address),
        };
        let vm = sys.vm_create()?;
        let dies = (0..info.die_count).map(|n| Die::open(&sys, n)).collect::<Result<_>>()?;
        log::debug!("opened {} ({}), {} dies, {:?}", info.name, info.profile, info.die_count, info.home);
        Ok(Driver {
            vm,
            dies,
            va: Mutex::new(VaSpace::new(info.va_base, info.va_size)),
            registry: Registry::default(),
            limbo: Limbo::new(),
            queues: RwLock::new(Vec::new()),
            slots: SlotPool::default(),
            stages: StagePool::default(),
            callbacks: Callbacks::default(),
            kernels: RwLock::default(),
            lanes: Lanes::default(),
            sys,
            info,
        })
    }

    /// What the module is.
    pub fn info(&self) -> &ModuleInfo {
        &self.info
    }

    /// The processes that have the device open.
    pub fn processes(&self) -> Result<Vec<ProcessInfo>> {
        fork::check()?;
        let mut found = Vec::new();
        while let Some(p) = self.sys.process(found.len() as u32)? {
            found.push(ProcessInfo {
                pid: p.pid,
                die_mask: p.die_mask,
                hbm_bytes: p.hbm_bytes,
                hbm_die: p.hbm_die[..self.dies.len().min(8)].to_vec(),
                queues: p.queues,
                name: text(&p.name),
            });
        }
        Ok(found)
    }

    /// What all queues still have to do.
    pub(crate) fn marks(&self) -> Marks {
        Marks::of(self.queues.read().iter())
    }

    /// Number of the stream a queue belongs to; 0 if it is gone.
    pub(crate) fn stream_of_queue(&self, id: u32) -> u32 {
        self.queues.read().iter().find(|queue| queue.id == id).map_or(0, |queue| queue.stream())
    }

    /// Takes device addresses.
    pub(crate) fn take_va(&self, op: &'static str, size: u64, align: u64) -> Result<u64> {
        let align = align.max(self.info.page_size);
        self.va
            .lock()
            .take(size, align)
            .ok_or_else(|| Error::value(op, format!("no {size} bytes of device addresses are left")))
    }

    /// Takes `bytes` of a die's memory and maps them; answers address, size and objects.
    ///
    /// The driver's blocks are powers of two, so a size that is far from one is put together from several.
    pub(crate) fn map_hbm(&self, die: u32, bytes: u64, align: u64) -> Result<(u64, u64, Objects)> {
        let op = "malloc";
        let size = bytes.next_multiple_of(self.info.page_size);
        let va = self.take_va(op, size, align)?;
        let flags = DRM_VINCI_MAP_READ | DRM_VINCI_MAP_WRITE;
        let mut objects = Objects::new();
        let mut at = va;
        for piece in pieces(size) {
            let made = self.sys.bo_create(op, DRM_VINCI_PLACE_HBM, die, piece).and_then(|bo| {
                objects.push(bo.handle);
                self.sys.vm_map(op, self.vm, bo.handle, flags, 0, at, piece)
            });
            if let Err(e) = made {
                let unmapped = at == va || self.sys.vm_unmap(op, self.vm, va, at - va).is_ok();
                objects.into_iter().for_each(|object| self.sys.close(object));
                if unmapped {
                    self.va.lock().give(va, size);
                }
                return Err(e);
            }
            at += piece;
        }
        Ok((va, size, objects))
    }

    /// Maps a whole object wherever there is room.
    pub(crate) fn map_object(
        &self,
        op: &'static str,
        handle: BoHandle,
        size: u64,
        align: u64,
        flags: u32,
    ) -> Result<u64> {
        let va = self.take_va(op, size, align)?;
        match self.sys.vm_map(op, self.vm, handle, flags, 0, va, size) {
            Ok(()) => Ok(va),
            Err(e) => {
                self.va.lock().give(va, size);
                Err(e)
            }
        }
    }

    /// Undoes [`Driver::map_object`] or [`Driver::map_hbm`] and closes the objects.
    pub(crate) fn unmap(&self, va: u64, size: u64, objects: &[BoHandle]) {
        match self.sys.vm_unmap("free", self.vm, va, size) {
            Ok(()) => self.va.lock().give(va, size),
            // The addresses are not given out again: the device may still translate them.
            Err(e) => log::error!("free: {va:#x}..{:#x} stays mapped: {e}", va + size),
        }
        objects.iter().for_each(|&object| self.sys.close(object));
    }
}

/// A NUL-terminated field as a string.
pub(crate) fn text(field: &[c_char]) -> String {
    let bytes: Vec<u8> = field.iter().take_while(|&&c| c != 0).map(|&c| c as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The objects behind one mapping.
pub(crate) type Objects = Vec<BoHandle>;

/// Cuts `size` into at most four pieces, so that rounding them up to powers of two wastes little.
pub(crate) fn pieces(size: u64) -> impl Iterator<Item = u64> {
    let mut rest = size;
    (0..4).map_while(move |n| {
        let waste = rest.checked_next_power_of_two().map_or(0, |power| power - rest);
        let piece = match rest {
            0 => return None,
            _ if n == 3 || waste <= size / 16 => rest,
            _ => 1 << rest.ilog2(),
        };
        rest -= piece;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_the_size_and_waste_little() {
        const MIB: u64 = 1 << 20;
        for size in [4096, 64 * MIB, 40 * MIB, 33 * 1024 * MIB, 63 * MIB, 47 * MIB + 4096, 10240 * MIB + 4096]
        {
            let all: Vec<u64> = pieces(size).collect();
            assert_eq!(all.iter().sum::<u64>(), size);
            assert!(all.iter().all(|piece| piece % 4096 == 0));
            let taken: u64 = all.iter().map(|piece| piece.next_power_of_two()).sum();
            assert!(taken <= size + size / 8, "{size}: {all:?}");
        }
    }
}
