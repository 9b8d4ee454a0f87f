// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

//! Registers, memory and time, as driver/core asks for them.

use core::ptr::NonNull;

use kernel::{
    bindings,
    device::{self, Bound},
    dma::Coherent,
    ffi::c_void,
    io::Io,
    new_mutex, pci,
    prelude::*,
    sync::{Arc, Mutex},
    time::{delay::fsleep, Delta},
};
use vinci_core::{DmaMemory, Errno, PinnedMemory, Platform};
use vinci_hw::regs::{queue_vector, Reg, VECTOR_ADMIN};

use crate::npu::Bells;

/// ns of the monotonic clock.
pub(crate) fn now_ns() -> u64 {
    // SAFETY: no requirements.
    unsafe { bindings::ktime_get() as u64 }
}

/// Memory that the device reaches, shared with those who mapped it.
#[derive(Clone)]
pub(crate) struct Dma(Arc<Coherent<[u8]>>);

impl Dma {
    pub(crate) fn memory(&self) -> &Coherent<[u8]> {
        &self.0
    }
}

impl DmaMemory for Dma {
    fn bus(&self) -> u64 {
        self.0.dma_address()
    }

    fn ptr(&self) -> NonNull<u8> {
        // SAFETY: memory has an address.
        unsafe { NonNull::new_unchecked(self.0.as_mut_ptr().cast()) }
    }

    fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

extern "C" {
    fn vinci_pin(
        dev: *mut c_void,
        addr: u64,
        bytes: u64,
        readonly: bool,
        segments: *mut u32,
    ) -> *mut c_void;
    fn vinci_pin_segment(pinned: *mut c_void, index: u32, addr: *mut u64, bytes: *mut u64);
    fn vinci_unpin(pinned: *mut c_void);
}

/// Pages of a process, pinned and mapped for the device.
pub(crate) struct Pinned {
    pages: *mut c_void,
    segments: KVVec<(u64, u64)>,
}

// SAFETY: pinned pages belong to nobody's context.
unsafe impl Send for Pinned {}

impl Pinned {
    /// Pins pages of the calling process.
    pub(crate) fn new(
        dev: &device::Device<Bound>,
        addr: u64,
        bytes: u64,
        readonly: bool,
    ) -> Result<Self, Errno> {
        let raw = core::ptr::from_ref(dev).cast_mut().cast::<c_void>();
        let mut count = 0;
        // SAFETY: a bound device; the C side checks the range.
        let pages = unsafe { vinci_pin(raw, addr, bytes, readonly, &mut count) };
        // SAFETY: `vinci_pin` answers an object or an ERR_PTR, never NULL.
        if unsafe { bindings::IS_ERR(pages) } {
            // SAFETY: as above.
            let code = unsafe { bindings::PTR_ERR(pages) } as i32;
            return Err(if code == -(bindings::ENOMEM as i32) { Errno::NoMem } else { Errno::Fault });
        }
        let mut pinned = Self { pages, segments: KVVec::new() };
        for index in 0..count {
            let (mut at, mut len) = (0, 0);
            // SAFETY: the object has `count` segments.
            unsafe { vinci_pin_segment(pages, index, &mut at, &mut len) };
            pinned.segments.push((at, len), GFP_KERNEL).map_err(|_| Errno::NoMem)?;
        }
        Ok(pinned)
    }
}

impl PinnedMemory for Pinned {
    fn segments(&self) -> &[(u64, u64)] {
        &self.segments
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: made by `vinci_pin`, ended here.
        unsafe { vinci_unpin(self.pages) };
    }
}

/// The driver's surroundings: one bound PCI function.
///
/// The references live as long as the function is bound; `npu::Npu::shut_down` ends this object before that.
pub(crate) struct Pci {
    pub(crate) dev: &'static device::Device<Bound>,
    pub(crate) registers: pci::Bar<'static>,
    pub(crate) bells: Arc<Bells>,
    /// Pages that were pinned before the driver's lock was taken: a fault under it could not be served.
    pub(crate) prepared: Pin<KBox<Mutex<Option<Result<Pinned, Errno>>>>>,
}

impl Pci {
    pub(crate) fn new(
        dev: &'static device::Device<Bound>,
        registers: pci::Bar<'static>,
        bells: Arc<Bells>,
    ) -> Result<Self> {
        Ok(Self { dev, registers, bells, prepared: KBox::pin_init(new_mutex!(None), GFP_KERNEL)? })
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
        let len = usize::try_from(bytes).map_err(|_| Errno::NoMem)?;
        let memory = Coherent::zeroed_slice(self.dev, len, GFP_KERNEL).map_err(|_| Errno::NoMem)?;
        Arc::new(memory, GFP_KERNEL).map(Dma).map_err(|_| Errno::NoMem)
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
        self.bells.of(queue_vector(queue, self.bells.count())).ring();
    }

    fn wake_file(&self, _file: u32) {
        self.bells.of(VECTOR_ADMIN).ring();
    }
}
