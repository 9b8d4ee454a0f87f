//! The beginning: the entry point, the first mappings, threads; and what the compiler expects of a C library.

use core::arch::global_asm;
use core::cell::UnsafeCell;

use crate::layout::*;
use crate::sys::*;

/// Stack of a worker outside kernels, and again as much for its signals.
pub const STACK: usize = 0x1_0000;

#[repr(C, align(4096))]
pub struct Stacks(pub UnsafeCell<[[u8; STACK]; 2 * WORKERS]>);
// SAFETY: each worker uses its own two.
unsafe impl Sync for Stacks {}
pub static STACKS: Stacks = Stacks(UnsafeCell::new([[0; STACK]; 2 * WORKERS]));

/// First byte of stack `i`.
pub fn stack(i: usize) -> u64 {
    STACKS.0.get() as u64 + (i * STACK) as u64
}

global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "and rsp, -16",
    "call main",
    "ud2",
    // thread(flags, stack with the worker's number on top)
    ".globl vinci_thread",
    "vinci_thread:",
    "mov eax, 56",
    "xor edx, edx",
    "xor r10d, r10d",
    "xor r8d, r8d",
    "syscall",
    "test rax, rax",
    "jnz 2f",
    "xor ebp, ebp",
    "pop rdi",
    "and rsp, -16",
    "call {work}",
    "ud2",
    "2: ret",
    // No libc: these are what the compiler calls.
    ".globl memmove", "memmove:",
    "mov rax, rdi", "mov rcx, rdx", "mov r8, rdi", "sub r8, rsi", "cmp r8, rdx", "jb 3f", "rep movsb", "ret",
    "3: lea rdi, [rdi + rdx - 1]", "lea rsi, [rsi + rdx - 1]", "std", "rep movsb", "cld", "ret",
    ".globl memcpy", "memcpy:", "mov rax, rdi", "mov rcx, rdx", "rep movsb", "ret",
    ".globl memset", "memset:", "mov r8, rdi", "mov eax, esi", "mov rcx, rdx", "rep stosb", "mov rax, r8", "ret",
    work = sym crate::work,
);

unsafe extern "C" {
    fn vinci_thread(flags: u64, stack: u64) -> i64;
}

pub fn map_control() {
    let prot = PROT_READ | PROT_WRITE;
    let flags = MAP_SHARED | MAP_FIXED;
    // SAFETY: the first mapping, at an address that is free; the file has that size.
    let p = unsafe { call(MMAP, [CONTROL_BASE, CONTROL_BYTES as u64, prot, flags, crate::CONTROL_FILE, 0]) };
    if p as u64 != CONTROL_BASE || crate::control().config.abi != ABI {
        exit(3);
    }
    // SAFETY: nobody uses it any more.
    unsafe { call(CLOSE, [crate::CONTROL_FILE, 0, 0, 0, 0, 0]) };
}

/// Takes the addresses of the cores and of device memory, so that nothing else lands there.
pub fn reserve_cores() {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    let cores = CORES as u64 * CORE_STRIDE;
    // SAFETY: both ranges are free.
    let p = unsafe { call(MMAP, [CORES_BASE, cores, 0, flags, u64::MAX, 0]) };
    if p as u64 != CORES_BASE {
        exit(4);
    }
}

/// Starts worker `me`.
pub fn thread(me: usize) {
    // VM, FS, FILES, SIGHAND, THREAD, SYSVSEM.
    const FLAGS: u64 = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x4_0000;
    let top = stack(me) + STACK as u64 - 16;
    // SAFETY: the worker's own stack, which nobody uses yet.
    unsafe {
        (top as *mut u64).write(me as u64);
        if vinci_thread(FLAGS, top) < 0 {
            exit(5);
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
