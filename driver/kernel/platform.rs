// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

//! Registers, memory and time, as driver/core asks for them.

use core::ptr::NonNull;

use kernel::{
    bindings,
    device::{self, Bound},
    ffi::c_void,
    io::Io,
    new_mutex, pci,
    prelude::*,
    sync::{Arc, Mutex},
    time::{delay::fsleep, Delta},
};
use vinci_core::{DmaMemory, Errno, PinnedMemory, Platform};
use vinci_hw::regs::{queue_vector, Reg, PAGE_SIZE, VECTOR_ADMIN};

use crate::ffi::{self, Segment};
use crate::npu::Bells;

/// ns of the monotonic clock.
pub(crate) fn now_ns() -> u64 {
    // SAFETY: no requirements.
    unsafe { bindings::ktime_get() as u64 }
}

/// What a C function answered: an object, or an error in its place.
fn checked(p: *mut c_void) -> Result<NonNull<c_void>, Errno> {
    // SAFETY: no requirements.
    if unsafe { bindings::IS_ERR(p) } {
        // SAFETY: no requirements.
        let code = unsafe { bindings::PTR_ERR(p) } as i32;
        return Err(Errno::from_raw(-code).unwrap_or(Errno::Fault));
    }
    NonNull::new(p).ok_or(Errno::NoMem)
}

pub(crate) fn raw(dev: &device::Device<Bound>) -> *mut c_void {
    core::ptr::from_ref(dev).cast_mut().cast()
}

/// A reference to pages of the host.
pub(crate) struct Pages(NonNull<c_void>);

// SAFETY: pages belong to nobody's context, and their references are counted atomically.
unsafe impl Send for Pages {}

impl Pages {
    fn alloc(bytes: u64, together: bool) -> Result<Self, Errno> {
        // SAFETY: no requirements.
        checked(unsafe { ffi::vinci_pages_alloc(bytes, together) }).map(Self)
    }

    /// Another reference, for C to give back.
    pub(crate) fn share(&self) -> *mut c_void {
        // SAFETY: `self` is a reference.
        unsafe { ffi::vinci_pages_get(self.0.as_ptr()) };
        self.0.as_ptr()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the reference that this was.
        unsafe { ffi::vinci_pages_put(self.0.as_ptr()) };
    }
}

/// Memory mapped for the device: what lies where on the bus.
struct Mapping {
    sg: NonNull<c_void>,
    /// Bus address and bytes.
    segments: KVVec<(u64, u64)>,
    /// Where each begins in the memory.
    starts: KVVec<u64>,
}

// SAFETY: nothing of it belongs to a context.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Owns what a C function answered.
    fn new(sg: *mut c_void) -> Result<Self, Errno> {
        let sg = checked(sg)?;
        let mut mapping = Self {
            sg,
            segments: KVVec::new(),
            starts: KVVec::new(),
        };
        // SAFETY: a living object.
        let count = unsafe { ffi::vinci_sg_count(sg.as_ptr()) } as usize;
        let empty = Segment { bus: 0, bytes: 0 };
        let no_memory = |_| Errno::NoMem;
        let mut list = KVVec::from_elem(empty, count, GFP_KERNEL).map_err(no_memory)?;
        // SAFETY: it has `count` segments.
        unsafe { ffi::vinci_sg_fill(sg.as_ptr(), list.as_mut_ptr()) };
        let mut at = 0;
        let (segments, starts) = (&mut mapping.segments, &mut mapping.starts);
        segments.reserve(count, GFP_KERNEL).map_err(no_memory)?;
        starts.reserve(count, GFP_KERNEL).map_err(no_memory)?;
        for s in list {
            // Pieces that lie together are one for the device's tables too.
            match segments.last_mut() {
                Some((bus, bytes)) if *bus + *bytes == s.bus => *bytes += s.bytes,
                _ => {
                    let end = (s.bus, s.bytes);
                    segments.push(end, GFP_KERNEL).map_err(no_memory)?;
                    starts.push(at, GFP_KERNEL).map_err(no_memory)?;
                }
            }
            at += s.bytes;
        }
        Ok(mapping)
    }

    fn piece(&self, offset: u64) -> Option<(u64, u64)> {
        let i = self
            .starts
            .partition_point(|&start| start <= offset)
            .checked_sub(1)?;
        let ((bus, bytes), into) = (*self.segments.get(i)?, offset - self.starts[i]);
        (into < bytes).then(|| (bus + into, bytes - into))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: owned since `new`.
        unsafe { ffi::vinci_sg_free(self.sg.as_ptr()) };
    }
}

/// Host memory that the device reaches. Whoever maps it keeps the pages, not their place on the
/// bus.
pub(crate) struct Dma {
    mapping: Mapping,
    pub(crate) pages: Pages,
    bytes: u64,
}

impl DmaMemory for Dma {
    fn bus(&self) -> u64 {
        self.mapping.segments[0].0
    }

    fn ptr(&self) -> NonNull<u8> {
        // SAFETY: pages of the kernel have addresses.
        unsafe { NonNull::new_unchecked(ffi::vinci_pages_address(self.pages.0.as_ptr()).cast()) }
    }

    fn len(&self) -> u64 {
        self.bytes
    }

    fn piece(&self, offset: u64) -> Option<(u64, u64)> {
        self.mapping.piece(offset)
    }
}

/// Pages of a process, or of another driver, mapped for the device.
pub(crate) struct Pinned(Mapping);

impl Pinned {
    /// Pins pages of the calling process.
    pub(crate) fn new(
        dev: &device::Device<Bound>,
        addr: u64,
        bytes: u64,
        readonly: bool,
    ) -> Result<Self, Errno> {
        // SAFETY: a bound device; the C side checks the range.
        Mapping::new(unsafe { ffi::vinci_pin(raw(dev), addr, bytes, readonly) }).map(Self)
    }

    /// Memory of another driver.
    pub(crate) fn foreign(sg: *mut c_void) -> Result<Self, Errno> {
        Mapping::new(sg).map(Self)
    }
}

impl PinnedMemory for Pinned {
    fn segments(&self) -> &[(u64, u64)] {
        &self.0.segments
    }

    fn piece(&self, offset: u64) -> Option<(u64, u64)> {
        self.0.piece(offset)
    }
}

/// What pinning came to, until the driver asks for it.
type Prepared = Option<Result<Pinned, Errno>>;

/// The driver's surroundings: one bound PCI function.
///
/// The references live as long as the function is bound; `npu::Npu::shut_down` ends this object
/// before that.
pub(crate) struct Pci {
    pub(crate) dev: &'static device::Device<Bound>,
    registers: pci::Bar<'static>,
    doorbells: pci::Bar<'static>,
    /// Of the BAR: its physical address and bytes.
    pub(crate) hbm: (u64, u64),
    pub(crate) doorbells_start: u64,
    drm: NonNull<c_void>,
    bells: Arc<Bells>,
    /// Pages that were pinned before the driver's lock was taken: a fault under it could not be
    /// served.
    pub(crate) prepared: Pin<KBox<Mutex<Prepared>>>,
}

// SAFETY: the DRM device may be used from any context.
unsafe impl Send for Pci {}

impl Pci {
    pub(crate) fn new(
        pdev: &'static pci::Device<Bound>,
        registers: pci::Bar<'static>,
        drm: NonNull<c_void>,
        bells: Arc<Bells>,
    ) -> Result<Self> {
        use vinci_hw::regs::pci::{BAR_DOORBELLS, BAR_HBM};
        let bar = |bar: u8| -> Result<(u64, u64)> {
            Ok((
                pdev.resource_start(bar.into())?,
                pdev.resource_len(bar.into())?,
            ))
        };
        Ok(Self {
            dev: pdev.as_ref(),
            registers,
            doorbells: pdev.iomap_region(BAR_DOORBELLS.into(), c"vinci doorbells")?,
            hbm: bar(BAR_HBM)?,
            doorbells_start: bar(BAR_DOORBELLS)?.0,
            drm,
            bells,
            prepared: KBox::pin_init(new_mutex!(None), GFP_KERNEL)?,
        })
    }

    /// How often the doorbell of a queue changed hands.
    pub(crate) fn doorbell_generation(&self, queue: u32) -> u32 {
        // SAFETY: the DRM device lives as long as the function is bound; `queue` is one of its.
        unsafe { ffi::vinci_doorbell_generation(self.drm.as_ptr(), queue) }
    }

    fn alloc_pages(&self, bytes: u64, together: bool) -> Result<Dma, Errno> {
        let pages = Pages::alloc(bytes, together)?;
        // SAFETY: a bound device and living pages.
        let sg = unsafe { ffi::vinci_pages_map(raw(self.dev), pages.0.as_ptr()) };
        let mapping = Mapping::new(sg)?;
        if together && mapping.segments.len() != 1 {
            return Err(Errno::NoMem);
        }
        Ok(Dma {
            mapping,
            pages,
            bytes,
        })
    }
}

impl Platform for Pci {
    type Dma = Dma;
    type Pinned = Pinned;

    fn read(&self, reg: Reg) -> u64 {
        // A function that was pulled out reads as all ones.
        self.registers.try_read64(reg as usize).unwrap_or(u64::MAX)
    }

    fn write(&self, reg: Reg, value: u64) {
        // An offset of `Reg` is inside the BAR, whose size was checked.
        let _ = self.registers.try_write64(value, reg as usize);
    }

    fn alloc(&self, bytes: u64) -> Result<Dma, Errno> {
        self.alloc_pages(bytes.next_multiple_of(PAGE_SIZE).next_power_of_two(), true)
    }

    fn alloc_pieces(&self, bytes: u64) -> Result<Dma, Errno> {
        self.alloc_pages(bytes, false)
    }

    fn pin(&self, _: u64, _: u64, _: bool) -> Result<Pinned, Errno> {
        self.prepared.lock().take().unwrap_or(Err(Errno::Fault))
    }

    fn pause(&self) {
        fsleep(Delta::from_micros(20));
    }

    fn now_ns(&self) -> u64 {
        now_ns()
    }

    fn wake_queue(&self, queue: u32) {
        self.bells
            .of(queue_vector(queue, self.bells.count()))
            .ring();
    }

    fn wake_file(&self, _file: u32) {
        self.bells.of(VECTOR_ADMIN).ring();
    }

    fn tail(&self, queue: u32) -> Option<u64> {
        let at = queue as usize * PAGE_SIZE as usize;
        self.doorbells.try_read64(at).ok()
    }

    fn queue_freed(&self, queue: u32, doorbell: u64) {
        // SAFETY: the DRM device lives as long as the function is bound; `queue` is one of its.
        unsafe { ffi::vinci_doorbell_revoke(self.drm.as_ptr(), queue, doorbell) };
    }
}
