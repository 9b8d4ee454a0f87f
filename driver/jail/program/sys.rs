//! System calls, as numbers.

use core::arch::asm;

pub const MMAP: u64 = 9;
pub const MPROTECT: u64 = 10;
pub const MUNMAP: u64 = 11;
pub const CLOSE: u64 = 3;
pub const SIGACTION: u64 = 13;
pub const SIGRETURN: u64 = 15;
pub const SCHED_YIELD: u64 = 24;
pub const RECVMSG: u64 = 47;
pub const CAPSET: u64 = 126;
pub const SIGALTSTACK: u64 = 131;
pub const PRCTL: u64 = 157;
pub const GETTID: u64 = 186;
pub const FUTEX: u64 = 202;
pub const RESTART: u64 = 219;
pub const EXIT_GROUP: u64 = 231;
pub const UNSHARE: u64 = 272;
pub const PRLIMIT: u64 = 302;
pub const SECCOMP: u64 = 317;

pub const PROT_READ: u64 = 1;
pub const PROT_WRITE: u64 = 2;
pub const PROT_EXEC: u64 = 4;
pub const MAP_SHARED: u64 = 1;
pub const MAP_PRIVATE: u64 = 2;
pub const MAP_FIXED: u64 = 0x10;
pub const MAP_ANONYMOUS: u64 = 0x20;
pub const MAP_NORESERVE: u64 = 0x4000;

/// # Safety
/// As the system call.
#[inline]
pub unsafe fn call(n: u64, a: [u64; 6]) -> i64 {
    let mut r = n as i64;
    // SAFETY: the convention of the kernel; the rest is the caller's promise.
    unsafe {
        asm!("syscall", inlateout("rax") r, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2], in("r10") a[3],
             in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    r
}

/// Sleeps while the word is `value`.
pub fn futex_wait(word: &core::sync::atomic::AtomicU32, value: u32) {
    // SAFETY: the word lives; FUTEX_WAIT without a time limit.
    unsafe { call(FUTEX, [word.as_ptr() as u64, 0, value.into(), 0, 0, 0]) };
}

/// Wakes `n` who sleep on the word.
pub fn futex_wake(word: &core::sync::atomic::AtomicU32, n: u32) {
    // SAFETY: the word lives; FUTEX_WAKE.
    unsafe { call(FUTEX, [word.as_ptr() as u64, 1, n.into(), 0, 0, 0]) };
}

pub fn yield_now() {
    // SAFETY: touches nothing.
    unsafe { call(SCHED_YIELD, [0; 6]) };
}

pub fn exit(code: u64) -> ! {
    loop {
        // SAFETY: ends the process.
        unsafe { call(EXIT_GROUP, [code, 0, 0, 0, 0, 0]) };
    }
}
