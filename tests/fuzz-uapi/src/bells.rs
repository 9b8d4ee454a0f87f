//! Doorbells that went with their queue: the kernel's driver takes the page away, so that nobody rings the next queue of
//! that number, and who touches it faults. Here that is what is wanted, and no reason to die; every other fault is.

use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use vinci_driver::Mapping;

const PAGE: usize = 4096;
/// Pages where a doorbell was mapped, the latest of many. The handler may run at any time, so these are plain words.
static PAGES: [AtomicUsize; 1024] = [const { AtomicUsize::new(0) }; 1024];
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// What an mmap offset of a doorbell begins with.
const DOORBELL: u64 = 3;

/// Notes a mapping if it is a doorbell's.
pub fn note(offset: u64, map: &Mapping) {
    if offset >> 60 == DOORBELL {
        let at = NEXT.fetch_add(1, Ordering::Relaxed) % PAGES.len();
        PAGES[at].store(map.ptr().as_ptr() as usize, Ordering::Release);
    }
}

/// From now on a doorbell that is gone is a page of zeroes.
pub fn survive() -> nix::Result<()> {
    let action = SigAction::new(SigHandler::SigAction(on_fault), SaFlags::SA_SIGINFO, SigSet::empty());
    // SAFETY: the handler calls mmap(2) and signal(2) and reads atomics, all of which a handler may.
    unsafe { sigaction(Signal::SIGBUS, &action).map(drop) }
}

extern "C" fn on_fault(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a handler its siginfo.
    let page = unsafe { (*info).si_addr() } as usize & !(PAGE - 1);
    let is_doorbell = page != 0 && PAGES.iter().any(|p| p.load(Ordering::Acquire) == page);
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED);
    // SAFETY: replaces the page that was a doorbell's, which is as large; or lets the fault end the process when it
    // happens again.
    unsafe {
        let old = *libc::__errno_location();
        let patched = is_doorbell
            && libc::mmap(page as *mut libc::c_void, PAGE, access, kind, -1, 0) != libc::MAP_FAILED;
        if !patched {
            libc::signal(libc::SIGBUS, libc::SIG_DFL);
        }
        *libc::__errno_location() = old;
    }
}
