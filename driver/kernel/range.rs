// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

//! What mmap offsets and handles name, for `vinci_view.c` and `vinci_prime.c`.

use kernel::{
    ffi::{c_int, c_void},
    prelude::*,
};
use vinci_core::{Driver, Errno, Mapped};
use vinci_hw::regs::PAGE_SIZE;

use crate::entry::{code, npu};
use crate::ffi::Range;
use crate::platform::{Dma, Pci, Pinned};

/// `bytes` of it, without a buffer object that is held.
fn range(driver: &Driver<Pci>, mapped: Mapped<'_, Dma>, bytes: u64) -> Result<Range, Errno> {
    let mut range = Range {
        pages: core::ptr::null_mut(),
        start: 0,
        bytes,
        buffer: 0,
        queue: 0,
        generation: 0,
    };
    let pci = driver.platform();
    match mapped {
        Mapped::Dma(dma, at) => (range.pages, range.start) = (dma.pages.share(), at),
        Mapped::Hbm(die, at) => {
            let (start, len) = pci.hbm;
            let at = driver.hbm_start(die) + at;
            if at.checked_add(bytes).is_none_or(|end| end > len) {
                return Err(Errno::Inval);
            }
            range.start = start + at;
        }
        Mapped::Doorbell(queue) => {
            range.start = pci.doorbells_start + u64::from(queue) * PAGE_SIZE;
            (range.queue, range.generation) = (queue, pci.doorbell_generation(queue));
        }
    }
    Ok(range)
}

/// What `bytes` at an mmap offset are.
///
/// # Safety
/// `npu` as in `vinci.h`; `to` is the caller's place for the answer.
#[no_mangle]
unsafe extern "C" fn vinci_rs_range(
    dev: *const c_void,
    file: u32,
    offset: u64,
    bytes: u64,
    to: *mut Range,
) -> c_int {
    // SAFETY: the C side's promise.
    let npu = unsafe { npu(dev) };
    code(npu.with(|driver| {
        let mapped = driver.mapped(file, offset, bytes)?;
        let is_hbm = matches!(mapped, Mapped::Hbm(..));
        let mut found = range(driver, mapped, bytes)?;
        if is_hbm {
            // Pages are counted themselves; HBM is the buffer object's.
            found.buffer = driver.hold(file, offset)?;
        }
        // SAFETY: the C side's promise.
        unsafe { to.write(found) };
        Ok(())
    }))
}

/// The memory of a buffer object, which is held until `vinci_rs_unhold`.
///
/// # Safety
/// As for [`vinci_rs_range`].
#[no_mangle]
unsafe extern "C" fn vinci_rs_export(
    dev: *const c_void,
    file: u32,
    handle: u32,
    to: *mut Range,
) -> c_int {
    // SAFETY: the C side's promise.
    let npu = unsafe { npu(dev) };
    code(npu.with(|driver| {
        let buffer = driver.export(file, handle)?;
        let found = driver
            .memory_of(buffer)
            .and_then(|(mapped, bytes)| range(driver, mapped, bytes));
        match found {
            Ok(found) => {
                // SAFETY: the C side's promise.
                unsafe { to.write(Range { buffer, ..found }) };
                Ok(())
            }
            Err(e) => {
                driver.unexport(buffer);
                Err(e)
            }
        }
    }))
}

/// A handle of a buffer object that is held.
///
/// # Safety
/// As for [`vinci_rs_range`].
#[no_mangle]
unsafe extern "C" fn vinci_rs_import(
    dev: *const c_void,
    file: u32,
    buffer: u32,
    handle: *mut u32,
) -> c_int {
    // SAFETY: the C side's promise.
    let npu = unsafe { npu(dev) };
    code(npu.with(|driver| {
        let imported = driver.import(file, buffer)?;
        // SAFETY: the C side's promise.
        unsafe { handle.write(imported) };
        Ok(())
    }))
}

/// A handle of another driver's memory. Takes over `sg`, whatever it answers.
///
/// # Safety
/// As for [`vinci_rs_range`].
#[no_mangle]
unsafe extern "C" fn vinci_rs_import_foreign(
    dev: *const c_void,
    file: u32,
    sg: *mut c_void,
    bytes: u64,
    handle: *mut u32,
) -> c_int {
    // SAFETY: the C side's promise.
    let npu = unsafe { npu(dev) };
    let mut pages = match Pinned::foreign(sg) {
        Ok(pages) => Some(pages),
        Err(e) => return code(Err(e)),
    };
    let result = npu.with(|driver| {
        let pages = pages.take().ok_or(Errno::Inval)?;
        let imported = driver.import_foreign(file, pages, bytes)?;
        // SAFETY: the C side's promise.
        unsafe { handle.write(imported) };
        Ok(())
    });
    code(result)
}

/// Ends a hold.
///
/// # Safety
/// As for [`vinci_rs_range`].
#[no_mangle]
unsafe extern "C" fn vinci_rs_unhold(dev: *const c_void, buffer: u32) {
    // SAFETY: the C side's promise.
    let npu = unsafe { npu(dev) };
    // Without a device there is nothing to give back.
    let _ = npu.with(|driver| {
        driver.unexport(buffer);
        Ok(())
    });
}
