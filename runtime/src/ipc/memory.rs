//! The buffer objects behind a range of device memory, here and in the process that imports it.

use std::os::fd::OwnedFd;

use vinci_uapi::*;

use super::broken;
use super::broker::MOST_FDS;
use crate::driver::{Driver, Objects};
use crate::{DevicePtr, Error, Result};

/// A part of a buffer object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) object: crate::sys::BoHandle,
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// The pages that hold `bytes` bytes from `ptr` on, and the die that they are on.
pub(super) fn pieces(
    driver: &'static Driver,
    op: &'static str,
    ptr: DevicePtr,
    bytes: u64,
) -> Result<(Vec<Piece>, u32)> {
    if bytes == 0 {
        return Err(Error::value(op, "0 bytes"));
    }
    let found = driver.registry.check(driver, op, ptr.0, bytes)?;
    let page = driver.info.page_size;
    let (first, end) = (ptr.0 & !(page - 1), (ptr.0 + bytes).next_multiple_of(page));
    let pieces =
        driver.registry.with(found.base.0, |record| record.backing.pieces(driver, first, end - first));
    match (pieces.flatten(), found.device) {
        (Some(pieces), Some(device)) if pieces.len() <= MOST_FDS => Ok((pieces, device.ordinal())),
        _ => Err(Error::value(op, format!("{ptr} is not memory that a device allocated by itself"))),
    }
}

/// Maps pieces of imported objects one behind the other: address, bytes and objects.
pub(super) fn map(
    driver: &'static Driver,
    op: &'static str,
    places: &[[u64; 2]],
    fds: &[OwnedFd],
) -> Result<(u64, u64, Objects)> {
    let page = driver.info.page_size;
    let sum = places.iter().try_fold(0u64, |sum, [_, size]| sum.checked_add(*size));
    let sound = places.iter().flatten().all(|n| n.is_multiple_of(page));
    let size = sum.filter(|&sum| sound && sum != 0).ok_or_else(|| broken(op))?;
    let va = driver.take_va(op, size, page)?;
    let flags = DRM_VINCI_MAP_READ | DRM_VINCI_MAP_WRITE;
    let (mut at, mut objects) = (va, Objects::new());
    for (&[offset, len], fd) in places.iter().zip(fds) {
        let mapped = driver.sys.prime_import(op, fd).and_then(|object| {
            objects.push(object);
            driver.sys.vm_map(op, driver.vm, object, flags, offset, at, len)
        });
        if let Err(e) = mapped {
            let unmapped = at == va || driver.sys.vm_unmap(op, driver.vm, va, at - va).is_ok();
            objects.into_iter().for_each(|object| driver.sys.close(object));
            if unmapped {
                driver.va.lock().give(va, size);
            }
            return Err(e);
        }
        at += len;
    }
    Ok((va, size, objects))
}
