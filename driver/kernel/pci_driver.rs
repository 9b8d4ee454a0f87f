// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

//! The PCI function: probe and remove.

use kernel::{
    device::{self, Bound, Core},
    dma::{Device as _, DmaMask},
    ffi::{c_int, c_void},
    io::Io,
    irq, pci,
    prelude::*,
    sync::Arc,
};
use vinci_core::Driver;
use vinci_hw::regs::{self, Caps, Reg};
use vinci_hw::uapi::DRM_VINCI_HOME_KERNEL;

use crate::npu::{Bells, Npu, Vector};
use crate::platform::Pci;

extern "C" {
    fn vinci_drm_add(pdev: *mut c_void, npu: *const c_void, out: *mut *mut c_void) -> c_int;
    fn vinci_drm_remove(drm: *mut c_void);
}

/// The registered DRM device; removing it lets no further call through.
struct Drm {
    drm: *mut c_void,
    npu: Arc<Npu>,
}

// SAFETY: the C side's object may be used from any context.
unsafe impl Send for Drm {}

impl Drop for Drm {
    fn drop(&mut self) {
        // SAFETY: made by `vinci_drm_add`, ended here. Files that are open stay, and find no device.
        unsafe { vinci_drm_remove(self.drm) };
        self.npu.shut_down();
    }
}

pub(crate) struct Vinci;

/// What a bound function owns, in the order in which it goes.
pub(crate) struct Function<'bound> {
    _drm: Drm,
    _irqs: KVec<Pin<KBox<irq::Registration<'bound, Vector>>>>,
    _vectors: Pin<KBox<pci::IrqVectorRegistration<'bound>>>,
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
                let handler = Vector { bells: bells.clone(), vector };
                // SAFETY: the registration is dropped with the function's other data, and not leaked.
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

            // SAFETY: `Drm::drop` ends the driver, and what it holds, while the function is still bound.
            let (dev, bar) = unsafe {
                let dev: &device::Device<Bound> = bound.as_ref();
                (
                    &*core::ptr::from_ref(dev),
                    core::mem::transmute::<pci::Bar<'_>, pci::Bar<'static>>(bar),
                )
            };
            let mut driver = Driver::new(Pci::new(dev, bar, bells.clone())?)
                .map_err(|e| Error::from_errno(-(e as i32)))?;
            driver.set_home(DRM_VINCI_HOME_KERNEL, "");
            let npu = Npu::new(driver, bells)?;

            let mut drm = core::ptr::null_mut();
            let raw = core::ptr::from_ref(bound).cast_mut().cast::<c_void>();
            // SAFETY: a bound function; the C side keeps the reference to the device that it is given.
            let added =
                unsafe { vinci_drm_add(raw, Arc::into_raw(npu.clone()).cast(), &mut drm) };
            if let Err(e) = kernel::error::to_result(added) {
                npu.shut_down();
                return Err(e);
            }
            Ok(Ok::<_, Error>(Function { _drm: Drm { drm, npu }, _irqs: irqs, _vectors: vectors }))
        })
    }
}
