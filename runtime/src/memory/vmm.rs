//! Virtual memory by hand: address ranges and physical memory, put together and taken apart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vinci_uapi::*;

use super::alloc::{Backing, HUGE};
use super::registry::Record;
use crate::driver::Driver;
use crate::sys::BoHandle;
use crate::{AllocationKind, Device, DevicePtr, Error, Result, fork};

/// How long [`VirtualRange::unmap`] waits for work that may use the mapping before it takes it away.
const PATIENCE: Duration = Duration::from_secs(1);

/// What work on a device may do with a mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    Read,
    /// Read and write.
    #[default]
    ReadWrite,
}

impl Access {
    fn flags(self) -> u32 {
        match self {
            Access::Read => DRM_VINCI_MAP_READ,
            Access::ReadWrite => DRM_VINCI_MAP_READ | DRM_VINCI_MAP_WRITE,
        }
    }
}

/// Memory of a die without an address. Clones name the same memory; it goes back to the die with the last
/// clone and the last mapping.
#[derive(Clone, Debug)]
pub struct PhysicalMemory(Arc<Physical>);

#[derive(Debug)]
struct Physical {
    driver: &'static Driver,
    device: Device,
    size: u64,
    handle: BoHandle,
}

impl Drop for Physical {
    fn drop(&mut self) {
        if !fork::is_child() {
            self.driver.sys.close(self.handle);
        }
    }
}

impl PhysicalMemory {
    /// What sizes and offsets are multiples of.
    pub fn granularity(_device: &Device) -> Result<u64> {
        Driver::get()?;
        Ok(HUGE)
    }

    /// Takes `size` bytes of the die, a multiple of the granularity.
    pub fn create(device: &Device, size: u64) -> Result<PhysicalMemory> {
        let driver = Driver::get()?;
        if size == 0 || !size.is_multiple_of(HUGE) {
            let what = format!("{size} bytes are not a multiple of the granularity, {HUGE}");
            return Err(Error::value("create physical memory", what));
        }
        driver.reap(true);
        let bo =
            driver.sys.bo_create("create physical memory", DRM_VINCI_PLACE_HBM, device.ordinal(), size)?;
        Ok(PhysicalMemory::of(driver, *device, size, bo.handle))
    }

    /// Memory behind an object that was imported.
    pub(crate) fn of(driver: &'static Driver, device: Device, size: u64, handle: BoHandle) -> PhysicalMemory {
        PhysicalMemory(Arc::new(Physical { driver, device, size, handle }))
    }

    pub(crate) fn object(&self) -> BoHandle {
        self.0.handle
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// The die whose memory it is.
    pub fn device(&self) -> Device {
        self.0.device
    }
}

/// A reserved range of device addresses. Dropping it removes its mappings.
///
/// ```
/// # use vinci::{Access, Device, DevicePtr, PhysicalMemory, VirtualRange, memory};
/// let device = Device::get(0)?;
/// let step = PhysicalMemory::granularity(&device)?;
/// let range = VirtualRange::reserve(4 * step, 0, DevicePtr::NULL)?;
/// let page = PhysicalMemory::create(&device, step)?;
/// let ptr = range.map(step, step, &page, 0, Access::ReadWrite)?;
/// memory::memset(ptr.into(), 1, step)?;
/// range.unmap(step)?;
/// assert!(memory::memset(ptr.into(), 1, step).is_err());
/// # Ok::<(), vinci::Error>(())
/// ```
#[derive(Debug)]
pub struct VirtualRange {
    driver: &'static Driver,
    base: u64,
    size: u64,
    /// Mappings by offset.
    parts: Mutex<BTreeMap<u64, Part>>,
}

#[derive(Debug)]
struct Part {
    size: u64,
    memory: PhysicalMemory,
    memory_offset: u64,
}

impl VirtualRange {
    /// Reserves `size` bytes aligned to `align` (0: to the granularity), at `hint` if that is free and not
    /// null.
    pub fn reserve(size: u64, align: u64, hint: DevicePtr) -> Result<VirtualRange> {
        let op = "reserve addresses";
        let driver = Driver::get()?;
        let align = if align == 0 { HUGE } else { align };
        if size == 0 || !size.is_multiple_of(driver.info.page_size) {
            let what = format!("{size} bytes are not a multiple of the page size, {}", driver.info.page_size);
            return Err(Error::value(op, what));
        }
        if !align.is_power_of_two() {
            return Err(Error::value(op, format!("alignment {align} is not a power of two")));
        }
        let wanted = !hint.is_null() && hint.0.is_multiple_of(align.max(driver.info.page_size));
        let base = if wanted && driver.va.lock().take_at(hint.0, size) {
            hint.0
        } else {
            driver.take_va(op, size, align)?
        };
        Ok(VirtualRange { driver, base, size, parts: Mutex::new(BTreeMap::new()) })
    }

    /// Its first address.
    pub fn base(&self) -> DevicePtr {
        DevicePtr(self.base)
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Maps `size` bytes of `memory` from `memory_offset` on at `offset` of the range. All three are
    /// multiples of the page size.
    pub fn map(
        &self,
        offset: u64,
        size: u64,
        memory: &PhysicalMemory,
        memory_offset: u64,
        access: Access,
    ) -> Result<DevicePtr> {
        let op = "map";
        fork::check()?;
        let page = self.driver.info.page_size;
        if size == 0 || [offset, size, memory_offset].iter().any(|n| n % page != 0) {
            let what = format!(
                "offset {offset:#x}, size {size:#x} or memory offset {memory_offset:#x} is not a multiple of {page}"
            );
            return Err(Error::value(op, what));
        }
        let fits = |at: u64, all: u64| at.checked_add(size).is_some_and(|end| end <= all);
        if !fits(offset, self.size) || !fits(memory_offset, memory.size()) {
            return Err(Error::value(
                op,
                format!(
                    "{size} bytes at {offset:#x} of a range of {} and {memory_offset:#x} of a memory of {}",
                    self.size,
                    memory.size()
                ),
            ));
        }
        let mut parts = self.parts.lock();
        let before = parts.range(..offset + size).next_back();
        if let Some((&at, part)) = before.filter(|(at, part)| **at + part.size > offset) {
            let what = format!("{:#x}..{:#x} is mapped", self.base + at, self.base + at + part.size);
            return Err(Error::Busy { op, what });
        }
        let va = self.base + offset;
        let sys = &self.driver.sys;
        sys.vm_map(op, self.driver.vm, memory.0.handle, access.flags(), memory_offset, va, size)?;
        parts.insert(offset, Part { size, memory: memory.clone(), memory_offset });
        let record = Record {
            size,
            kind: AllocationKind::Mapped,
            die: Some(memory.device().ordinal()),
            host: None,
            backing: Backing::Part,
        };
        self.driver.registry.insert(va, record);
        Ok(DevicePtr(va))
    }

    /// Changes what may be done with the mapping at `offset`. Nothing may run on it meanwhile.
    pub fn set_access(&self, offset: u64, access: Access) -> Result<()> {
        let op = "set access";
        fork::check()?;
        let parts = self.parts.lock();
        let part = parts.get(&offset).ok_or_else(|| self.no_part(op, offset))?;
        let (vm, va) = (self.driver.vm, self.base + offset);
        self.driver.sys.vm_unmap(op, vm, va, part.size)?;
        let handle = part.memory.0.handle;
        self.driver.sys.vm_map(op, vm, handle, access.flags(), part.memory_offset, va, part.size)
    }

    /// Removes the mapping that [`VirtualRange::map`] made at `offset`. Waits for the work that was
    /// submitted so far, at most a second; work that comes to the addresses later faults.
    pub fn unmap(&self, offset: u64) -> Result<()> {
        let op = "unmap";
        fork::check()?;
        let part = self.parts.lock().remove(&offset).ok_or_else(|| self.no_part(op, offset))?;
        self.driver.registry.remove(self.base + offset, |_| true);
        self.driver.marks().wait(Instant::now() + PATIENCE);
        self.driver.sys.vm_unmap(op, self.driver.vm, self.base + offset, part.size)
    }

    fn no_part(&self, op: &'static str, offset: u64) -> Error {
        Error::InvalidHandle { op, what: "mapping", handle: self.base.wrapping_add(offset) }
    }
}

impl Drop for VirtualRange {
    fn drop(&mut self) {
        if fork::is_child() {
            return;
        }
        let offsets: Vec<u64> = self.parts.lock().keys().copied().collect();
        for offset in offsets {
            if let Err(e) = self.unmap(offset) {
                // The addresses are not given out again: the device may still translate them.
                log::error!("range at {:#x}: {e}", self.base);
                return;
            }
        }
        self.driver.va.lock().give(self.base, self.size);
    }
}
