//! `libc_sec.so`: copies that know the room of their destination, which programs for CANN link beside it.
//!
//! # Safety
//! As in C: a destination that is not null has `room` bytes, a source the bytes that are read of it.
#![deny(unsafe_op_in_unsafe_fn)]
#![allow(clippy::missing_safety_doc)]

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

const MOST: usize = 0x7fff_ffff;
const EINVAL: c_int = libc::EINVAL;
const ERANGE: c_int = libc::ERANGE;
const RESET: c_int = 128;
/// The destination was emptied.
const EINVAL_AND_RESET: c_int = EINVAL | RESET;
const ERANGE_AND_RESET: c_int = ERANGE | RESET;
const EOVERLAP_AND_RESET: c_int = 54 | RESET;

/// Fills `count` bytes; as many as there is room for if that is less, and says so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset_s(to: *mut c_void, room: usize, value: c_int, count: usize) -> c_int {
    if room == 0 || room > MOST {
        return ERANGE;
    }
    if to.is_null() {
        return EINVAL;
    }
    // SAFETY: the crate's contract.
    unsafe { to.cast::<u8>().write_bytes(value as u8, count.min(room)) };
    if count > room { ERANGE_AND_RESET } else { 0 }
}

/// Whether two ranges of `len` bytes share one.
fn overlap(a: *const c_void, b: *const c_void, len: usize) -> bool {
    a.addr().abs_diff(b.addr()) < len
}

/// What [`memcpy_s`] and [`memmove_s`] refuse; `None` if the copy can be made.
unsafe fn refusal(
    to: *mut c_void,
    room: usize,
    from: *const c_void,
    count: usize,
    moves: bool,
) -> Option<c_int> {
    if room == 0 || room > MOST {
        return Some(ERANGE);
    }
    if to.is_null() {
        return Some(EINVAL);
    }
    let why = if from.is_null() {
        EINVAL_AND_RESET
    } else if count > room {
        ERANGE_AND_RESET
    } else if !moves && to.cast_const() != from && overlap(to, from, count) {
        EOVERLAP_AND_RESET
    } else {
        return None;
    };
    // SAFETY: the crate's contract.
    unsafe { to.cast::<u8>().write_bytes(0, room) };
    Some(why)
}

/// Copies between ranges that do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_s(to: *mut c_void, room: usize, from: *const c_void, count: usize) -> c_int {
    // SAFETY: the crate's contract.
    unsafe { refusal(to, room, from, count, false) }.unwrap_or_else(|| {
        // SAFETY: as above, and `count` is at most `room`.
        unsafe { ptr::copy(from.cast::<u8>(), to.cast(), count) };
        0
    })
}

/// Copies between ranges that may overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memmove_s(to: *mut c_void, room: usize, from: *const c_void, count: usize) -> c_int {
    // SAFETY: the crate's contract.
    unsafe { refusal(to, room, from, count, true) }.unwrap_or_else(|| {
        // SAFETY: as above, and `count` is at most `room`.
        unsafe { ptr::copy(from.cast::<u8>(), to.cast(), count) };
        0
    })
}

/// Stores at most `count` bytes of `from` and a zero at `to + start`; empties `to` if they do not fit.
unsafe fn store(to: *mut c_char, room: usize, start: usize, from: *const c_char, count: usize) -> c_int {
    if room == 0 || room > MOST {
        return ERANGE;
    }
    if to.is_null() {
        return EINVAL;
    }
    // SAFETY: the crate's contract: there is room for at least one byte.
    let empty = |why| unsafe {
        to.write(0);
        why
    };
    if from.is_null() {
        return empty(EINVAL_AND_RESET);
    }
    // SAFETY: the crate's contract: the source ends with a zero or has `count` bytes.
    let len = unsafe { libc::strnlen(from, count) };
    if start >= room || len >= room - start {
        return empty(ERANGE_AND_RESET);
    }
    // SAFETY: `start + len` is less than `room`.
    let at = unsafe { to.add(start) };
    if at.cast_const() != from && overlap(at.cast(), from.cast(), len + 1) {
        return empty(EOVERLAP_AND_RESET);
    }
    // SAFETY: as above.
    unsafe {
        ptr::copy(from, at, len);
        at.add(len).write(0);
    }
    0
}

/// Copies a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn strcpy_s(to: *mut c_char, room: usize, from: *const c_char) -> c_int {
    // SAFETY: the crate's contract.
    unsafe { store(to, room, 0, from, MOST) }
}

/// Copies at most `count` bytes of a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn strncpy_s(to: *mut c_char, room: usize, from: *const c_char, count: usize) -> c_int {
    // SAFETY: the crate's contract.
    unsafe { store(to, room, 0, from, count) }
}

/// Appends a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn strcat_s(to: *mut c_char, room: usize, from: *const c_char) -> c_int {
    let start = if to.is_null() || room > MOST {
        0
    } else {
        // SAFETY: the crate's contract: the destination has `room` bytes.
        unsafe { libc::strnlen(to, room) }
    };
    // SAFETY: the crate's contract.
    unsafe { store(to, room, start, from, MOST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_kept_and_refusals_empty_the_destination() {
        let mut room = [7u8; 4];
        let to = room.as_mut_ptr().cast::<c_void>();
        // SAFETY: sizes are those of the arrays.
        unsafe {
            assert_eq!(memset_s(to, 4, 1, 5), ERANGE_AND_RESET);
            assert_eq!(memcpy_s(to, 4, [9u8; 8].as_ptr().cast(), 5), ERANGE_AND_RESET);
            assert_eq!(room, [0; 4]);
            assert_eq!(memcpy_s(to, 4, to.cast::<u8>().add(1).cast(), 3), EOVERLAP_AND_RESET);
            assert_eq!(memmove_s(to, 4, to.cast::<u8>().add(1).cast(), 3), 0);
            assert_eq!(memcpy_s(ptr::null_mut(), 4, to, 1), EINVAL);
            assert_eq!(memset_s(to, 0, 1, 1), ERANGE);
        }
    }

    #[test]
    fn texts_end_with_a_zero_or_are_empty() {
        let mut room = [7 as c_char; 4];
        let to = room.as_mut_ptr();
        // SAFETY: sizes are those of the array; the texts end with zeros.
        unsafe {
            assert_eq!(strcpy_s(to, 4, c"abcd".as_ptr()), ERANGE_AND_RESET);
            assert_eq!(room[0], 0);
            assert_eq!(strcpy_s(to, 4, c"ab".as_ptr()), 0);
            assert_eq!(strcat_s(to, 4, c"c".as_ptr()), 0);
            assert_eq!(libc::strlen(to), 3);
            assert_eq!(strcat_s(to, 4, c"d".as_ptr()), ERANGE_AND_RESET);
            assert_eq!(strncpy_s(to, 4, c"abcd".as_ptr(), 3), 0);
            assert_eq!(libc::strlen(to), 3);
        }
    }
}
