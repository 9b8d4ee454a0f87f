// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

//! The watchdog: looks for hung queues, reports them, and frees the device of them.

use kernel::{ffi::c_void, prelude::*};
use vinci_core::{Cure, Driver, Errno};

use crate::entry::npu;
use crate::ffi::{vinci_coredump, vinci_trace_hung};
use crate::platform::{raw, Pci};
use crate::{module_parameters, show};

/// One look; the milliseconds until the next, or 0 if there is none.
///
/// # Safety
/// `npu` as in `vinci.h`.
#[no_mangle]
unsafe extern "C" fn vinci_rs_watch(dev: *const c_void) -> u32 {
    // SAFETY: the C side's promise.
    let npu = unsafe { npu(dev) };
    let limit = module_parameters::hang_timeout_ms.value();
    if limit == 0 {
        return 0;
    }
    let looked = npu.with(|driver| {
        if let Some(queue) = driver.hung(u64::from(limit) * 1_000_000) {
            end_hang(driver, queue);
        }
        Ok(())
    });
    match looked {
        Err(Errno::NoDev) => 0,
        _ => (limit / 4).clamp(50, 1000),
    }
}

fn end_hang(driver: &mut Driver<Pci>, queue: u32) {
    let dev = driver.platform().dev;
    if let Some(q) = driver.queue_state(queue) {
        dev_warn!(
            dev,
            "queue {} of die {} hangs at entry {}\n",
            q.id,
            q.die,
            q.completed + 1
        );
        // SAFETY: a bound device.
        unsafe { vinci_trace_hung(raw(dev), q.id, q.die, q.completed + 1) };
    }
    let mut report = show::Report::default();
    show::hang(driver, queue, &mut report);
    // SAFETY: a bound device; the report is as long as it says.
    unsafe { vinci_coredump(raw(dev), report.0.as_ptr().cast(), report.0.len()) };
    match driver.end_hang(queue) {
        Ok(Cure::Queue) => dev_warn!(dev, "queue {} was taken from its owner\n", queue),
        Ok(Cure::Die) => dev_warn!(dev, "the die of queue {} was reset\n", queue),
        Ok(Cure::Function) => dev_warn!(dev, "the function was reset\n"),
        Err(e) => dev_err!(dev, "the device does not recover: error {}\n", e as i32),
    }
}
