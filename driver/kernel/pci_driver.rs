// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

//! The PCI function: probe and remove.

use core::ptr::NonNull;

use kernel::{
    bindings,
    device::{self, Bound, Core},
    dma::{Device as _, DmaMask},
    error::from_err_ptr,
    ffi::c_void,
    io::Io,
    irq, pci,
    prelude::*,
    sync::Arc,
};
use vinci_core::Driver;
use vinci_hw::regs::{self, Caps, Reg};
use vinci_hw::uapi::DRM_VINCI_HOME_KERNEL;

use crate::ffi::{vinci_drm_alloc, vinci_drm_register, vinci_drm_unplug};
use crate::npu::{Bells, Npu, Vector};
use crate::platform::Pci;

/// The registered DRM device; removing it lets no further call through.
struct Drm {
    drm: NonNull<c_void>,
    npu: Arc<Npu>,
}

// SAFETY: the C side's object may be used from any context.
unsafe impl Send for Drm {}

impl Drop for Drm {
    fn drop(&mut self) {
        self.npu.leave();
        // SAFETY: registered, and ended here. Files that are open stay, and find no device.
        unsafe { vinci_drm_unplug(self.drm.as_ptr()) };
        self.npu.shut_down();
    }
}

pub(crate) struct Vinci;

/// What a bound function owns, in the order in which it goes.
pub(crate) struct Function<'bound> {
    drm: Drm,
    _irqs: KVec<Pin<KBox<irq::Registration<'bound, Vector>>>>,
    _vectors: Pin<KBox<pci::IrqVectorRegistration<'bound>>>,
}

impl Function<'_> {
    pub(crate) fn npu(&self) -> &Npu {
        &self.drm.npu
    }
}

// `pci::Vendor` is a transparent u16 without a public constructor.
// SAFETY: every u16 is a vendor.
const VENDOR: pci::Vendor = unsafe { core::mem::transmute::<u16, pci::Vendor>(regs::pci::VENDOR) };

kernel::pci_device_table!(
    PCI_TABLE,
    <Vinci as pci::Driver>::IdInfo,
    [(pci::DeviceId::from_id(VENDOR, regs::pci::DEVICE as u32), ())]
);

impl pci::Driver for Vinci {
    type IdInfo = ();
    type Data<'bound> = Function<'bound>;
    const ID_TABLE: pci::IdTable<Self::IdInfo> = &PCI_TABLE;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound ()>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        pin_init::pin_init_scope(move || {
            pdev.enable_device_mem()?;
            pdev.set_master();
            // SAFETY: no DMA yet.
            unsafe { pdev.dma_set_mask_and_coherent(DmaMask::new::<64>())? };
            // A piece of a mapping may be as long as it likes.
            // SAFETY: no DMA yet.
            unsafe { pdev.dma_set_max_seg_size(u32::MAX) };
            let bound: &'bound pci::Device<Bound> = pdev;
            if bound.resource_len(regs::pci::BAR_REGISTERS.into())? < regs::BAR0_SIZE {
                dev_err!(pdev, "BAR0 is too small\n");
                return Err(ENODEV);
            }
            let bar = bound.iomap_region(regs::pci::BAR_REGISTERS.into(), c"vinci")?;
            let caps = Caps::unpack(bar.try_read64(Reg::Caps as usize)?);
            let count = u32::from(caps.vectors.clamp(1, 1024));

            let vectors = bound.alloc_irq_vectors(
                count,
                count,
                pci::IrqTypes::default().with(pci::IrqType::MsiX),
            )?;
            let vectors = KBox::pin(vectors, GFP_KERNEL)?;
            let bells = Arc::new(Bells::new(count as u16)?, GFP_KERNEL)?;
            let mut irqs = KVec::with_capacity(count as usize, GFP_KERNEL)?;
            for vector in 0..count as u16 {
                // SAFETY: the vectors are pinned, and dropped after the handlers.
                let all: &'bound pci::IrqVectorRegistration<'bound> =
                    unsafe { &*core::ptr::from_ref(&*vectors) };
                let handler = Vector {
                    bells: bells.clone(),
                    vector,
                };
                // SAFETY: the registration is dropped with the function's other data.
                let registration = unsafe {
                    irq::Registration::new(
                        all.index(vector.into())?.into(),
                        irq::Flags::TRIGGER_NONE,
                        c"vinci",
                        Ok::<_, Error>(handler),
                    )
                };
                irqs.push(KBox::try_pin_init(registration, GFP_KERNEL)?, GFP_KERNEL)?;
            }

            // SAFETY: `Drm::drop` ends the driver, and what it holds, while the function is bound.
            let (pdev, bar) = unsafe {
                (
                    &*core::ptr::from_ref(bound),
                    core::mem::transmute::<pci::Bar<'_>, pci::Bar<'static>>(bar),
                )
            };
            let raw = core::ptr::from_ref(bound).cast_mut().cast::<c_void>();
            // SAFETY: a bound function, with which the DRM device goes.
            let drm = unsafe { vinci_drm_alloc(raw, 1 << caps.queues_log2.min(16)) };
            let drm = NonNull::new(from_err_ptr(drm)?).ok_or(ENODEV)?;
            let surroundings = Pci::new(pdev, bar, drm, bells.clone())?;
            let mut driver =
                Driver::new(surroundings).map_err(|e| Error::from_errno(-(e as i32)))?;
            let name = <pci::Device<Bound> as AsRef<device::Device<Bound>>>::as_ref(bound).name();
            driver.set_home(DRM_VINCI_HOME_KERNEL, name.to_str().unwrap_or(""));
            let npu = Npu::new(driver, bells)?;
            // SAFETY: made above; the C side keeps the reference to the device that it is given.
            let added =
                unsafe { vinci_drm_register(drm.as_ptr(), Arc::into_raw(npu.clone()).cast()) };
            if let Err(e) = kernel::error::to_result(added) {
                npu.leave();
                npu.shut_down();
                return Err(e);
            }
            // What `power::slot_reset` puts back.
            // SAFETY: a bound function.
            unsafe { bindings::pci_save_state(raw.cast()) };
            Ok(Ok::<_, Error>(Function {
                drm: Drm { drm, npu },
                _irqs: irqs,
                _vectors: vectors,
            }))
        })
    }
}
