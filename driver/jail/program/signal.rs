//! What happens when a kernel does something that it cannot: its fiber is abandoned, and its worker goes on.

use crate::fiber::{base, vinci_land};
use crate::layout::*;
use crate::sched::{Left, job_of, running, worker};
use crate::start::{STACK, stack};
use crate::sys::*;
use crate::{demand, die};

const SIGILL: i32 = 4;
const SIGTRAP: i32 = 5;
const SIGBUS: i32 = 7;
const SIGFPE: i32 = 8;
const SIGUSR1: i32 = 10;
const SIGSEGV: i32 = 11;
const SIGSYS: i32 = 31;

#[repr(C)]
struct Action {
    handler: u64,
    flags: u64,
    restorer: u64,
    mask: u64,
}

#[repr(C)]
struct Stack {
    sp: u64,
    flags: u32,
    pad: u32,
    size: u64,
}

/// Registers in the context of a signal, as indices of 64-bit words.
const REG_RBP: usize = 5 + 10;
const REG_RSP: usize = 5 + 15;
const REG_RIP: usize = 5 + 16;
const REG_ERR: usize = 5 + 19;

core::arch::global_asm!(
    ".globl vinci_restore", "vinci_restore:", "mov eax, 15", "syscall", "ud2",
);

unsafe extern "C" {
    fn vinci_restore();
}

pub fn install() {
    // SIGINFO, ONSTACK, RESTORER, NODEFER.
    const FLAGS: u64 = 4 | 0x0800_0000 | 0x0400_0000 | 0x4000_0000;
    for signal in [SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGUSR1, SIGSEGV, SIGSYS] {
        let action = Action {
            handler: handle as *const () as u64,
            flags: FLAGS,
            restorer: vinci_restore as *const () as u64,
            mask: 0,
        };
        // SAFETY: the handler below.
        unsafe { call(SIGACTION, [signal as u64, &raw const action as u64, 0, 8, 0, 0]) };
    }
}

/// Gives worker `me` a stack for its signals.
pub fn alternate_stack(me: usize) {
    let s = Stack { sp: stack(WORKERS + me), flags: 0, pad: 0, size: STACK as u64 };
    // SAFETY: the worker's own.
    unsafe { call(SIGALTSTACK, [&raw const s as u64, 0, 0, 0, 0, 0]) };
}

/// Follows the frames of a core's stack from frame pointer `frame` on.
pub fn walk(core: usize, mut frame: u64, callers: &mut [u64]) {
    let stack = base(core) + CONTEXT_BYTES + 0x1000..base(core) + STACK_BYTES - 16;
    for caller in callers {
        if !stack.contains(&frame) || frame % 8 != 0 {
            return;
        }
        // SAFETY: two words inside the core's own stack.
        let (next, address) = unsafe { (*(frame as *const u64), *(frame as *const u64).add(1)) };
        *caller = address;
        if next <= frame {
            return;
        }
        frame = next;
    }
}

extern "C" fn handle(signal: i32, info: *const u8, context: *mut u64) {
    let me = (context as u64).wrapping_sub(stack(WORKERS)) as usize / STACK;
    // SAFETY: the kernel made both.
    let (address, code, syscall) = unsafe {
        (info.add(16).cast::<u64>().read(), info.add(8).cast::<i32>().read(), info.add(24).cast::<i32>().read())
    };
    // SAFETY: as above.
    let register = |i: usize| unsafe { context.add(i).read() };
    let (pc, sp) = (register(REG_RIP), register(REG_RSP));
    let core = (me < WORKERS).then(|| running(me)).flatten();
    let write = register(REG_ERR) & 2 != 0;
    if signal == SIGUSR1 {
        let in_kernel = core.is_some_and(|c| sp >= base(c) && sp < base(c) + CORE_STRIDE);
        if !in_kernel || core.is_some_and(|c| job_of(c).cancel.load(core::sync::atomic::Ordering::Relaxed) == 0) {
            return;
        }
    }
    // SEGV_MAPERR and SEGV_ACCERR carry an address; a general protection fault does not.
    let accessed = signal == SIGSEGV && code > 0 && code < 0x80;
    if accessed && demand::bring(address, write) {
        return;
    }
    let mut fault = Fault { pc, write: write.into(), code: signal as u32, ..Fault::default() };
    let Some(core) = core else {
        (fault.kind, fault.address) = (FAULT_DIED, address);
        die(fault);
    };
    // SAFETY: the context of the worker's own core, which is always mapped.
    let c = unsafe { &*(base(core) as *const Core) };
    (fault.block, fault.core, fault.role, fault.base) = (c.block, c.core, c.role, base(core));
    walk(core, register(REG_RBP), &mut fault.callers);
    match signal {
        SIGUSR1 => fault.kind = FAULT_CANCELLED,
        SIGFPE => fault.kind = FAULT_ARITHMETIC,
        SIGSYS => (fault.kind, fault.code) = (FAULT_SYSTEM_CALL, syscall as u32),
        SIGILL if c.check[0] != 0 => {
            (fault.kind, fault.code) = (FAULT_CHECK, c.check[0] as u32);
            fault.check.copy_from_slice(&c.check[1..]);
        }
        SIGILL | SIGTRAP => fault.kind = FAULT_INSTRUCTION,
        _ => (fault.kind, fault.address) = (FAULT_ADDRESS, if accessed { address } else { u64::MAX }),
    }
    let w = worker(me);
    (w.left, w.fault) = (Left::Abandoned, fault);
    // SAFETY: the context that the return from this handler restores: on the worker's stack, in `vinci_switch`.
    unsafe {
        context.add(REG_RSP).write(w.sp);
        context.add(REG_RIP).write(vinci_land as *const () as u64);
    }
}
