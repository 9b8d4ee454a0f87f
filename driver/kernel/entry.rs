// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

//! What `vinci_drm.c` calls: the file operations of /dev/accel/accelN.
//!
//! `npu` is always the pointer that `vinci_drm_register` was given.

use kernel::{
    bindings,
    ffi::{c_int, c_void},
    fs::File,
    prelude::*,
    sync::{poll::PollTable, Arc},
    time::{delay::fsleep, Delta},
    uaccess::{UserPtr, UserSlice},
};
use vinci_core::{Errno, Step, UserCopy};
use vinci_hw::regs::{PAGE_SIZE, VECTOR_ADMIN};
use vinci_hw::uapi::*;

use crate::npu::Npu;
use crate::platform::Pinned;

/// How long who destroys a queue sleeps while an entry of it is on the cores.
const BUSY: Delta = Delta::from_micros(500);

pub(crate) fn code(result: Result<(), Errno>) -> c_int {
    result.map_or_else(|e| -(e as c_int), |()| 0)
}

/// # Safety
/// See the module.
pub(crate) unsafe fn npu<'a>(npu: *const c_void) -> &'a Npu {
    // SAFETY: the C side holds a reference while it calls.
    unsafe { &*npu.cast::<Npu>() }
}

/// Drops the reference that `vinci_drm_register` was given.
///
/// # Safety
/// Called once, when the last file is closed and the function gone.
#[no_mangle]
unsafe extern "C" fn vinci_rs_release(npu: *const c_void) {
    // SAFETY: made by `Arc::into_raw`.
    drop(unsafe { Arc::from_raw(npu.cast::<Npu>()) });
}

/// Answers the file's number, or a negative errno.
///
/// # Safety
/// `name` holds `len` bytes; see the module.
#[no_mangle]
unsafe extern "C" fn vinci_rs_open(
    dev: *const c_void,
    pid: u32,
    name: *const u8,
    len: usize,
) -> i64 {
    // SAFETY: the C side's promises.
    let (npu, name) = unsafe { (npu(dev), core::slice::from_raw_parts(name, len)) };
    npu.with(|driver| driver.open(pid, name))
        .map_or_else(|e| -(e as i64), i64::from)
}

/// # Safety
/// See the module.
#[no_mangle]
unsafe extern "C" fn vinci_rs_close(dev: *const c_void, file: u32) {
    // SAFETY: see the module.
    let npu = unsafe { npu(dev) };
    // Without a device there is nothing left to close.
    let _ = npu.with(|driver| {
        driver.close(file);
        Ok(())
    });
}

/// # Safety
/// `payload` holds `len` bytes; see the module.
#[no_mangle]
unsafe extern "C" fn vinci_rs_ioctl(
    dev: *const c_void,
    file: u32,
    cmd: u32,
    payload: *mut u8,
    len: usize,
) -> c_int {
    // SAFETY: the C side's promises.
    let (npu, payload) = unsafe { (npu(dev), core::slice::from_raw_parts_mut(payload, len)) };
    code(match cmd {
        VINCI_IOCTL_WAIT => wait(npu, file, payload),
        VINCI_IOCTL_EVENT_READ => event_read(npu, file, payload),
        VINCI_IOCTL_QUEUE_DESTROY => queue_destroy(npu, file, payload),
        VINCI_IOCTL_BO_USERPTR => userptr(npu, file, payload),
        VINCI_IOCTL_DEV_QUERY => query(npu, file, payload),
        _ => npu.with(|driver| driver.ioctl(file, cmd, payload, Nothing)),
    })
}

fn wait(npu: &Npu, file: u32, payload: &mut [u8]) -> Result<(), Errno> {
    npu.wait(
        file,
        &drm_vinci_wait::from_bytes(payload).ok_or(Errno::Inval)?,
    )
}

/// Waits for the queue's entry on the cores without the driver's lock.
fn queue_destroy(npu: &Npu, file: u32, payload: &mut [u8]) -> Result<(), Errno> {
    let a = drm_vinci_queue_id::from_bytes(payload).ok_or(Errno::Inval)?;
    while npu.with(|driver| driver.queue_destroy_step(file, &a))? == Step::Sleep {
        if kernel::current!().signal_pending() {
            return Err(Errno::Intr);
        }
        fsleep(BUSY);
    }
    Ok(())
}

fn event_read(npu: &Npu, file: u32, payload: &mut [u8]) -> Result<(), Errno> {
    let mut a = drm_vinci_event_read::from_bytes(payload).ok_or(Errno::Inval)?;
    (a.event, a.lost) = npu.event(file, a.timeout_ns)?;
    payload[..size_of_val(&a)].copy_from_slice(a.bytes());
    Ok(())
}

/// Pins before the driver is locked: mmap(2) comes to the driver with the lock that a fault would
/// take.
fn userptr(npu: &Npu, file: u32, payload: &mut [u8]) -> Result<(), Errno> {
    let a = drm_vinci_bo_userptr::from_bytes(payload).ok_or(Errno::Inval)?;
    let sound =
        a.size != 0 && (a.addr | a.size) % PAGE_SIZE == 0 && a.addr.checked_add(a.size).is_some();
    let dev = npu.with(|driver| Ok(driver.platform().dev))?;
    let readonly = a.flags & DRM_VINCI_USERPTR_READONLY != 0;
    let pinned = if sound {
        Some(Pinned::new(dev, a.addr, a.size, readonly))
    } else {
        None
    };
    npu.with(|driver| {
        *driver.platform().prepared.lock() = pinned;
        let done = driver.ioctl(file, VINCI_IOCTL_BO_USERPTR, payload, Nothing);
        let left = driver.platform().prepared.lock().take();
        drop(left);
        done
    })
}

/// Copies before and after the driver is locked, for the same reason.
fn query(npu: &Npu, file: u32, payload: &mut [u8]) -> Result<(), Errno> {
    let a = drm_vinci_dev_query::from_bytes(payload).ok_or(Errno::Inval)?;
    let mut bounce = Bounce {
        at: a.data,
        bytes: [0; 512],
        read: 0,
        written: 0,
    };
    let len = (a.size as usize).min(bounce.bytes.len());
    if a.data != 0
        && user(a.data, len)
            .reader()
            .read_slice(&mut bounce.bytes[..len])
            .is_ok()
    {
        bounce.read = len;
    }
    npu.with(|driver| driver.ioctl(file, VINCI_IOCTL_DEV_QUERY, payload, &mut bounce))?;
    let answer = &bounce.bytes[..bounce.written];
    user(a.data, answer.len())
        .writer()
        .write_slice(answer)
        .map_err(|_| Errno::Fault)
}

fn user(at: u64, len: usize) -> UserSlice {
    UserSlice::new(UserPtr::from_addr(at as usize), len)
}

/// For requests that point to nothing.
struct Nothing;

impl UserCopy for Nothing {
    fn copy_in(&mut self, _: &mut [u8], _: u64) -> Result<(), Errno> {
        Err(Errno::Fault)
    }

    fn copy_out(&mut self, _: u64, _: &[u8]) -> Result<(), Errno> {
        Err(Errno::Fault)
    }
}

/// The caller's structure, on its way in and out.
struct Bounce {
    at: u64,
    bytes: [u8; 512],
    read: usize,
    written: usize,
}

impl UserCopy for &mut Bounce {
    fn copy_in(&mut self, to: &mut [u8], from: u64) -> Result<(), Errno> {
        if from != self.at || to.len() > self.read {
            return Err(Errno::Fault);
        }
        to.copy_from_slice(&self.bytes[..to.len()]);
        Ok(())
    }

    fn copy_out(&mut self, to: u64, from: &[u8]) -> Result<(), Errno> {
        if to != self.at || from.len() > self.bytes.len() {
            return Err(Errno::Fault);
        }
        self.bytes[..from.len()].copy_from_slice(from);
        self.written = from.len();
        Ok(())
    }
}

/// Whether there is an event to read: 1, or 0, or a negative errno.
///
/// # Safety
/// `file` and `table` are those of a poll operation; see the module.
#[no_mangle]
unsafe extern "C" fn vinci_rs_poll(
    dev: *const c_void,
    id: u32,
    file: *mut bindings::file,
    table: *mut bindings::poll_table,
) -> c_int {
    // SAFETY: the C side's promises.
    let (npu, file, table) = unsafe {
        (
            npu(dev),
            File::from_raw_file(file),
            PollTable::from_raw(table),
        )
    };
    table.register_wait(file, &npu.bells.of(VECTOR_ADMIN).rung);
    npu.with(|driver| Ok(driver.has_events(id).into()))
        .unwrap_or_else(|e| -(e as c_int))
}
