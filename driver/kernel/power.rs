// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

//! Sleep of the machine, resets of the function by others, and errors on the bus.
//!
//! The PCI abstraction of Rust has no callbacks for these: they are put into the `struct
//! pci_driver` before it is registered. Open files and their memory stay through all of it.

use kernel::{
    bindings,
    driver::{DriverLayout, RegistrationOps},
    ffi::{c_char, c_int},
    pci,
    prelude::*,
    types::Opaque,
};
use vinci_core::{Driver, Errno};

use crate::ffi::vinci_trace_state;
use crate::npu::Npu;
use crate::pci_driver::{Function, Vinci};
use crate::platform::{raw, Pci};

/// The PCI driver with the callbacks of this module.
pub(crate) struct Adapter;

// SAFETY: as `pci::Adapter<Vinci>`, which registers it.
unsafe impl DriverLayout for Adapter {
    type DriverType = bindings::pci_driver;
    type DriverData<'bound> = Function<'bound>;
    const DEVICE_DRIVER_OFFSET: usize = core::mem::offset_of!(bindings::pci_driver, driver);
}

// SAFETY: as `pci::Adapter<Vinci>`, to which it passes on.
unsafe impl RegistrationOps for Adapter {
    unsafe fn register(
        driver: &Opaque<bindings::pci_driver>,
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> Result {
        // SAFETY: it is not registered yet.
        unsafe {
            (*driver.get()).driver.pm = &SLEEP;
            (*driver.get()).err_handler = &ERRORS;
            pci::Adapter::<Vinci>::register(driver, name, module)
        }
    }

    unsafe fn unregister(driver: &Opaque<bindings::pci_driver>) {
        // SAFETY: the caller's promise.
        unsafe { pci::Adapter::<Vinci>::unregister(driver) }
    }
}

static SLEEP: bindings::dev_pm_ops = bindings::dev_pm_ops {
    suspend: Some(suspend),
    resume: Some(resume),
    freeze: Some(suspend),
    thaw: Some(resume),
    poweroff: Some(suspend),
    restore: Some(restore),
    // SAFETY: no callbacks.
    ..unsafe { core::mem::zeroed() }
};

static ERRORS: bindings::pci_error_handlers = bindings::pci_error_handlers {
    error_detected: Some(error_detected),
    mmio_enabled: Some(mmio_enabled),
    slot_reset: Some(slot_reset),
    resume: Some(error_resume),
    reset_prepare: Some(reset_prepare),
    reset_done: Some(reset_done),
    // SAFETY: no callbacks.
    ..unsafe { core::mem::zeroed() }
};

/// The device of a bound function.
///
/// # Safety
/// A callback of a device that this driver has bound, or is about to.
unsafe fn npu<'a>(dev: *mut bindings::device) -> Option<&'a Npu> {
    // SAFETY: the data of a bound device is what `probe` made; it stays while the callback holds
    // the device's lock.
    let function = unsafe {
        bindings::dev_get_drvdata(dev)
            .cast::<Function<'_>>()
            .as_ref()
    };
    function.map(|f| f.npu())
}

/// Does something with the driver of a device, and traces it; `Errno::NoDev` if there is none.
///
/// # Safety
/// As for [`npu`].
unsafe fn with<T>(
    dev: *mut bindings::device,
    what: &CStr,
    f: impl FnOnce(&mut Driver<Pci>) -> Result<T, Errno>,
) -> Result<T, Errno> {
    // SAFETY: the caller's promise.
    let npu = unsafe { npu(dev) }.ok_or(Errno::NoDev)?;
    npu.with(|driver| {
        // SAFETY: a bound device and a string.
        unsafe {
            vinci_trace_state(
                raw(driver.platform().dev),
                what.as_char_ptr().cast::<c_char>(),
            )
        };
        let result = f(driver);
        if let Err(e) = &result {
            dev_err!(
                driver.platform().dev,
                "{}: error {}\n",
                what.to_str().unwrap_or(""),
                *e as i32
            );
        }
        result
    })
}

/// # Safety
/// Called by the PCI core for a device of this driver.
unsafe extern "C" fn suspend(dev: *mut bindings::device) -> c_int {
    // SAFETY: a callback.
    let _ = unsafe {
        with(dev, c"suspend", |driver| {
            driver.suspend();
            Ok(())
        })
    };
    0
}

/// A device that does not come back keeps answering errors; that is no reason to fail a resume.
///
/// # Safety
/// Called by the PCI core for a device of this driver.
unsafe extern "C" fn resume(dev: *mut bindings::device) -> c_int {
    // SAFETY: a callback.
    let _ = unsafe { with(dev, c"resume", |driver| driver.resume()) };
    0
}

/// # Safety
/// Called by the PCI core for a device of this driver.
unsafe extern "C" fn restore(dev: *mut bindings::device) -> c_int {
    // SAFETY: a callback.
    let _ = unsafe { with(dev, c"restore", |driver| driver.recover()) };
    0
}

fn dev_of(pdev: *mut bindings::pci_dev) -> *mut bindings::device {
    // SAFETY: callbacks are given devices.
    unsafe { &raw mut (*pdev).dev }
}

/// # Safety
/// Called by the PCI core for a device of this driver.
unsafe extern "C" fn reset_prepare(pdev: *mut bindings::pci_dev) {
    // SAFETY: a callback.
    let _ = unsafe {
        with(dev_of(pdev), c"reset prepare", |driver| {
            driver.halt();
            Ok(())
        })
    };
}

/// # Safety
/// Called by the PCI core for a device of this driver.
unsafe extern "C" fn reset_done(pdev: *mut bindings::pci_dev) {
    // SAFETY: a callback.
    let _ = unsafe { with(dev_of(pdev), c"reset done", |driver| driver.recover()) };
}

/// # Safety
/// Called by the PCI core for a device of this driver.
unsafe extern "C" fn error_detected(
    pdev: *mut bindings::pci_dev,
    state: bindings::pci_channel_state_t,
) -> bindings::pci_ers_result_t {
    // SAFETY: a callback.
    let stopped = unsafe {
        with(dev_of(pdev), c"bus error", |driver| {
            driver.halt();
            Ok(())
        })
    };
    match state {
        _ if stopped.is_err() => bindings::pci_ers_result_PCI_ERS_RESULT_DISCONNECT,
        // The registers are in reach: a reset of the function is enough.
        bindings::pci_channel_io_normal => bindings::pci_ers_result_PCI_ERS_RESULT_CAN_RECOVER,
        bindings::pci_channel_io_frozen => bindings::pci_ers_result_PCI_ERS_RESULT_NEED_RESET,
        _ => bindings::pci_ers_result_PCI_ERS_RESULT_DISCONNECT,
    }
}

/// # Safety
/// Called by the PCI core for a device of this driver.
unsafe extern "C" fn mmio_enabled(pdev: *mut bindings::pci_dev) -> bindings::pci_ers_result_t {
    // SAFETY: a callback.
    let answers = unsafe {
        with(dev_of(pdev), c"bus error, registers", |driver| {
            driver.answers()
        })
    };
    match answers {
        Ok(()) => bindings::pci_ers_result_PCI_ERS_RESULT_RECOVERED,
        Err(_) => bindings::pci_ers_result_PCI_ERS_RESULT_NEED_RESET,
    }
}

/// # Safety
/// Called by the PCI core for a device of this driver.
unsafe extern "C" fn slot_reset(pdev: *mut bindings::pci_dev) -> bindings::pci_ers_result_t {
    // SAFETY: a callback, with a device that has a saved configuration.
    unsafe {
        if bindings::pci_enable_device(pdev) != 0 {
            return bindings::pci_ers_result_PCI_ERS_RESULT_DISCONNECT;
        }
        bindings::pci_set_master(pdev);
        bindings::pci_restore_state(pdev);
    }
    bindings::pci_ers_result_PCI_ERS_RESULT_RECOVERED
}

/// # Safety
/// Called by the PCI core for a device of this driver.
unsafe extern "C" fn error_resume(pdev: *mut bindings::pci_dev) {
    // SAFETY: a callback.
    let _ = unsafe {
        with(dev_of(pdev), c"bus error over", |driver| {
            driver.reset_function()
        })
    };
}
