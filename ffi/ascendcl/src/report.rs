//! `Msprof`: what clients report to CANN's profiler. A report is dropped unless a session collects, as in CANN;
//! time and hashes are real, since clients keep them.

use std::ffi::c_void;

use crate::abi::{Address, In};

/// Nanoseconds of the clock that reports are stamped with.
#[unsafe(no_mangle)]
pub extern "C" fn MsprofSysCycleTime() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a live place for the time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_RAW, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A number for a text (FNV-1a): the same text, the same number. 0 for no text.
#[unsafe(no_mangle)]
pub extern "C" fn MsprofGetHashId(text: In<u8>, length: usize) -> u64 {
    crate::abi::call_or("MsprofGetHashId", 0, || {
        let bytes = text.slice(length, "hashInfo")?;
        Ok(bytes
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)))
    })
}

/// Whom to tell when a session starts; kept for nobody until sessions reach clients.
#[unsafe(no_mangle)]
pub extern "C" fn MsprofRegisterCallback(
    _module: u32,
    _callback: Option<extern "C" fn(u32, *mut c_void, u32) -> i32>,
) -> i32 {
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn MsprofReportApi(_ages: u32, _record: Address) -> i32 {
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn MsprofReportCompactInfo(_ages: u32, _record: Address, _length: u32) -> i32 {
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn MsprofReportAdditionalInfo(_ages: u32, _record: Address, _length: u32) -> i32 {
    0
}
