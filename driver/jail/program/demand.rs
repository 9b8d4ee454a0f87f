//! Memory that is mapped when a kernel first touches it, and unmapped when the device takes it back.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::layout::*;
use crate::sys::*;
use crate::{SOCKET, Spin, control, ring};

static ONE: Spin = Spin::new();

#[repr(C)]
struct Message {
    name: u64,
    name_len: u32,
    pad0: u32,
    pieces: u64,
    piece_count: u64,
    control: u64,
    control_len: u64,
    flags: i32,
    pad1: u32,
}

/// Whether an access to `va` can be tried again: the device was asked for the memory and sent it.
pub fn bring(va: u64, write: bool) -> bool {
    let code = CODE_BASE..CODE_BASE + CODES * CODE_STRIDE;
    if !(DEVICE_BASE..DEVICE_END).contains(&va) && !code.contains(&va) {
        return false;
    }
    ONE.lock();
    let r = &control().request;
    r.va.store(va, Relaxed);
    r.write.store(write.into(), Relaxed);
    r.state.store(ASKED, Release);
    ring();
    while r.state.load(Acquire) == ASKED {
        futex_wait(&r.state, ASKED);
    }
    let answer = r.state.swap(IDLE, AcqRel);
    let good = match answer {
        SENT => receive(),
        PRESENT => true,
        WRITABLE => {
            let (start, len) = (r.start.load(Relaxed), r.len.load(Relaxed));
            // SAFETY: a range of device memory.
            unsafe { call(MPROTECT, [start, len, PROT_READ | PROT_WRITE, 0, 0, 0]) == 0 }
        }
        _ => false,
    };
    ONE.unlock();
    good
}

/// Takes a file from the socket and maps it.
fn receive() -> bool {
    let mut map = Map::default();
    let mut space = [0u64; 8];
    let piece = [&raw mut map as u64, size_of::<Map>() as u64];
    let message = Message {
        name: 0,
        name_len: 0,
        pad0: 0,
        pieces: piece.as_ptr() as u64,
        piece_count: 1,
        control: space.as_mut_ptr() as u64,
        control_len: 64,
        flags: 0,
        pad1: 0,
    };
    // SAFETY: the buffers live during the call.
    let got = unsafe { call(RECVMSG, [SOCKET, &raw const message as u64, 0, 0, 0, 0]) };
    // A control message: length, level and type, then the file.
    if got != size_of::<Map>() as i64 || space[0] != 20 {
        return false;
    }
    let file = space[2] & 0xffff_ffff;
    let map = core::hint::black_box(map);
    let prot = u64::from(map.access & 7);
    let kind = if map.private != 0 { MAP_PRIVATE } else { MAP_SHARED };
    let flags = kind | MAP_FIXED | MAP_NORESERVE;
    // SAFETY: the device chose a range of device memory or of code.
    unsafe {
        let p = call(MMAP, [map.va, map.len, prot, flags, file, map.offset]);
        call(CLOSE, [file, 0, 0, 0, 0, 0]);
        p as u64 == map.va
    }
}

/// Unmaps what the device has taken back, up to range number `to`.
pub fn forget(to: u32) {
    let control = control();
    let mut at = control.forget_head.load(Relaxed);
    while (to.wrapping_sub(at) as i32) > 0 {
        let f = &control.forgets[at as usize % FORGETS];
        let (va, len) = (f.va.load(Acquire), f.len.load(Acquire));
        if va >= CODE_BASE && va.saturating_add(len) <= DEVICE_END {
            // SAFETY: a range of device memory or of code, which no kernel uses any more.
            unsafe { call(MUNMAP, [va, len, 0, 0, 0, 0]) };
        }
        at = at.wrapping_add(1);
        control.forget_head.store(at, Release);
    }
}
