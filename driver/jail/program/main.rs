//! What runs in the jail: workers that take kernels from shared memory and run their blocks.
//!
//! The process has one file, the socket through which the device sends memory. Everything else that it may use is
//! mapped before `close` shuts the door, or mapped when a kernel first touches it.
#![no_std]
#![no_main]

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::AtomicU32;

mod account;
mod close;
mod demand;
mod fiber;
#[path = "../src/layout.rs"]
#[allow(dead_code)]
mod layout;
mod look;
mod sched;
mod signal;
mod start;
mod sys;

use layout::*;

/// Where the shared memory and the socket are when the program starts.
pub const CONTROL_FILE: u64 = 0;
pub const SOCKET: u64 = 1;

/// The shared memory.
pub fn control() -> &'static Control {
    // SAFETY: mapped first thing and never unmapped; what both sides write is atomic, the rest changes hands with
    // the state of a job or a request.
    unsafe { &*(CONTROL_BASE as *const Control) }
}

/// Rings the device's bell.
pub fn ring() {
    control().bell.fetch_add(1, AcqRel);
    sys::futex_wake(&control().bell, 1);
}

/// A lock that is held for moments.
pub struct Spin(AtomicU32);

impl Spin {
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    pub fn lock(&self) {
        let mut tries = 0u32;
        while self.0.compare_exchange_weak(0, 1, Acquire, Relaxed).is_err() {
            tries += 1;
            if tries % 64 == 0 { sys::yield_now() } else { core::hint::spin_loop() }
        }
    }

    pub fn unlock(&self) {
        self.0.store(0, Release);
    }
}

/// Ends the process because of something outside any kernel.
pub fn die(fault: Fault) -> ! {
    // SAFETY: the device reads it only after the process has ended.
    unsafe { (&raw const control().last).cast_mut().write_volatile(fault) };
    ring();
    sys::exit(1)
}

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    start::map_control();
    control().namespaces.store(close::namespaces(), Relaxed);
    close::limits();
    start::reserve_cores();
    signal::install();
    let workers = (control().config.workers as usize).clamp(1, WORKERS);
    (1..workers).for_each(start::thread);
    settle_in(0);
    // What a worker still has to ask for, it must have asked for before the door is shut.
    while control().threads[..workers].iter().any(|thread| thread.load(Acquire) == 0) {
        sys::yield_now();
    }
    if !close::filter() {
        sys::exit(2);
    }
    control().up.store(1, SeqCst);
    ring();
    sched::run(0)
}

/// A worker's stack for signals, and its number.
fn settle_in(me: usize) {
    signal::alternate_stack(me);
    // SAFETY: asks for a number.
    let thread = unsafe { sys::call(sys::GETTID, [0; 6]) };
    control().threads[me].store(thread.max(1) as u32, Release);
}

/// A worker's life.
extern "C" fn work(me: usize) -> ! {
    settle_in(me);
    while control().up.load(SeqCst) == 0 {
        sys::yield_now();
    }
    sched::run(me)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    die(Fault { kind: FAULT_DIED, ..Fault::default() })
}
