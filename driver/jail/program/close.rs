//! Closing the jail: namespaces, limits, and the filter of system calls.

use crate::sys::*;

const PR_SET_DUMPABLE: u64 = 4;
const PR_SET_PTRACER: u64 = 0x5961_6d61;
const PR_SET_NO_NEW_PRIVS: u64 = 38;
const PR_CAPBSET_DROP: u64 = 24;

/// Mount, cgroup, UTS, IPC, user and net namespaces: flags of unshare(2), tried one after the other, since a
/// host may allow some and not others. User comes first: it allows the rest.
const NAMESPACES: [u32; 6] = [0x1000_0000, 0x0002_0000, 0x0400_0000, 0x0800_0000, 0x0200_0000, 0x4000_0000];

/// Leaves what the host lets it leave; the flags of what was left.
pub fn namespaces() -> u32 {
    let all = NAMESPACES.iter().fold(0, |sum, flag| sum | flag);
    let leave = |flags: u32| {
        // SAFETY: changes what this process sees, and nothing in it.
        unsafe { call(UNSHARE, [flags.into(), 0, 0, 0, 0, 0]) == 0 }
    };
    if leave(all) {
        return all;
    }
    NAMESPACES.iter().filter(|&&flag| leave(flag)).fold(0, |sum, flag| sum | flag)
}

/// Gives up what the process could still make more of: files, processes, core dumps, capabilities.
pub fn limits() {
    // RLIMIT_CORE, RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_MEMLOCK, RLIMIT_FSIZE, RLIMIT_MSGQUEUE, RLIMIT_DATA.
    for (resource, limit) in [(4u64, 0u64), (6, 0), (7, 16), (8, 0), (1, 0), (12, 0), (2, 4 << 30)] {
        let pair = [limit, limit];
        // SAFETY: lowers a limit of this process.
        unsafe { call(PRLIMIT, [0, resource, pair.as_ptr() as u64, 0, 0, 0]) };
    }
    // SAFETY: prctl of this process.
    unsafe {
        if crate::control().config.debug != 0 {
            // Whoever may debug this user's programs, though it is no ancestor.
            call(PRCTL, [PR_SET_PTRACER, u64::MAX, 0, 0, 0, 0]);
        } else {
            call(PRCTL, [PR_SET_DUMPABLE, 0, 0, 0, 0, 0]);
        }
        for capability in 0..64 {
            call(PRCTL, [PR_CAPBSET_DROP, capability, 0, 0, 0, 0]);
        }
        // The header names the version with 64-bit sets and this process.
        call(CAPSET, [[0x2008_0522u32, 0].as_ptr() as u64, [0u32; 6].as_ptr() as u64, 0, 0, 0, 0]);
    }
}

#[repr(C)]
struct Filter {
    code: u16,
    yes: u8,
    no: u8,
    k: u32,
}

#[repr(C)]
struct Program {
    len: u16,
    filter: *const Filter,
}

const LOAD: u16 = 0x20;
const EQUAL: u16 = 0x15;
const ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const TRAP: u32 = 0x0003_0000;
const KILL: u32 = 0x8000_0000;
const X86_64: u32 = 0xc000_003e;

const fn op(code: u16, k: u32) -> Filter {
    Filter { code, yes: 0, no: 0, k }
}
const fn test(code: u16, k: u32, yes: u8, no: u8) -> Filter {
    Filter { code, yes, no, k }
}

/// Offsets in struct seccomp_data.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARG0: u32 = 16;
const ARG3: u32 = 40;

/// What a worker needs, and nothing else: to sleep and wake, to map files that the device sends, to end. Memory
/// without a file cannot be had. Anything else is a SIGSYS, which is reported.
static FILTER: [Filter; 20] = [
    op(LOAD, ARCH),
    test(EQUAL, X86_64, 1, 0),
    op(RETURN, KILL),
    op(LOAD, NUMBER),
    test(EQUAL, MMAP as u32, 9, 0),
    test(EQUAL, RECVMSG as u32, 10, 0),
    test(EQUAL, FUTEX as u32, 11, 0),
    test(EQUAL, SCHED_YIELD as u32, 10, 0),
    test(EQUAL, SIGRETURN as u32, 9, 0),
    test(EQUAL, MUNMAP as u32, 8, 0),
    test(EQUAL, MPROTECT as u32, 7, 0),
    test(EQUAL, CLOSE as u32, 6, 0),
    test(EQUAL, RESTART as u32, 5, 0),
    test(EQUAL, EXIT_GROUP as u32, 4, 5),
    op(LOAD, ARG3),
    test(ANY_BIT, MAP_ANONYMOUS as u32, 3, 2),
    op(LOAD, ARG0),
    test(EQUAL, crate::SOCKET as u32, 0, 1),
    op(RETURN, ALLOW),
    op(RETURN, TRAP),
];

/// Closes the door for all threads; false if the kernel has no seccomp.
pub fn filter() -> bool {
    let program = Program { len: FILTER.len() as u16, filter: FILTER.as_ptr() };
    // SAFETY: the filter lives; it binds this process only.
    unsafe {
        call(PRCTL, [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0]);
        // SECCOMP_SET_MODE_FILTER with SECCOMP_FILTER_FLAG_TSYNC.
        call(SECCOMP, [1, 1, &raw const program as u64, 0, 0, 0]) == 0
    }
}
