//! A block of a kernel as a thread of control of its own, which a worker enters and which gives itself up when it
//! waits for another block.

use core::arch::global_asm;

use crate::layout::*;
use crate::sys::*;

global_asm!(
    // switch(where to keep the stack pointer, stack pointer to go on with)
    ".globl vinci_switch",
    "vinci_switch:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    "stmxcsr [rsp]",
    "fnstcw [rsp + 4]",
    "mov [rdi], rsp",
    "mov rsp, rsi",
    ".globl vinci_land",
    "vinci_land:",
    "cld",
    "ldmxcsr [rsp]",
    "fldcw [rsp + 4]",
    "add rsp, 8",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    // Where a new fiber begins: r12 is the entry, r13 the arguments, r14 the core.
    ".globl vinci_begin",
    "vinci_begin:",
    "xor ebp, ebp",
    "mov rdi, r13",
    "call r12",
    "mov rdi, r14",
    "call {ended}",
    "ud2",
    ended = sym crate::sched::ended,
);

unsafe extern "C" {
    pub fn vinci_switch(keep: *mut u64, to: u64);
    pub fn vinci_land();
    fn vinci_begin();
}

/// First address of a core.
pub fn base(core: usize) -> u64 {
    CORES_BASE + core as u64 * CORE_STRIDE
}

/// Gives a core its memories, with pages that cannot be touched between them.
pub fn furnish(core: usize, config: &Config) {
    let base = base(core);
    let open = |at: u64, len: u64| {
        // SAFETY: inside the range that `reserve_cores` took.
        if unsafe { call(MPROTECT, [base + at, len, PROT_READ | PROT_WRITE, 0, 0, 0]) } != 0 {
            exit(6);
        }
    };
    open(0, CONTEXT_BYTES);
    let stack = CONTEXT_BYTES + 0x1000;
    open(stack, STACK_BYTES - stack);
    for ((_, at), &len) in LOCALS.iter().zip(&config.local).filter(|(_, len)| **len != 0) {
        open(*at, len.into());
    }
}

/// The stack of a new fiber on a core: what to hand to `vinci_switch`.
pub fn prepare(core: usize, entry: u64, args: u64) -> u64 {
    let base = base(core);
    // Ten words: control registers, r15 to r12, rbx, rbp, the return address, and two to spare for alignment.
    let top = base + STACK_BYTES - 96;
    let words = top as *mut u64;
    const MXCSR_AND_FCW: u64 = 0x1f80 | 0x037f << 32;
    // SAFETY: inside the core's stack, which no fiber uses.
    unsafe {
        words.write(MXCSR_AND_FCW);
        words.add(1).write(0);
        words.add(2).write(base);
        words.add(3).write(args);
        words.add(4).write(entry);
        words.add(5).write(0);
        words.add(6).write(0);
        words.add(7).write(vinci_begin as *const () as u64);
    }
    top
}
