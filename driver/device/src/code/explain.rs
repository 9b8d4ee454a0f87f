//! What happened to a kernel, in a sentence: kernel, block, core, line, and which memory was missed by how much.

use std::fmt::Write as _;

use vinci_code::{CodeObject, Kernel};
use vinci_hw::uapi::*;
use vinci_jail::layout::*;

use crate::fault::Cause;
use crate::mmu::AddressSpace;

/// The record of a kernel's fault. `late`: it was told to end because its time was up.
pub(super) fn explain(
    object: &CodeObject,
    kernel: &Kernel,
    blocks: u32,
    f: &Fault,
    vm: &AddressSpace,
    late: bool,
) -> Cause {
    let (cause, what) = match f.kind {
        FAULT_ADDRESS => (DRM_VINCI_FAULT_ADDRESS, access(f, vm)),
        FAULT_INSTRUCTION => (DRM_VINCI_FAULT_EXCEPTION, "trap, or an instruction that is none".into()),
        FAULT_ARITHMETIC => {
            (DRM_VINCI_FAULT_EXCEPTION, "division by zero, or its result does not fit".into())
        }
        FAULT_SYSTEM_CALL => (
            DRM_VINCI_FAULT_EXCEPTION,
            format!("system call {}: a core has no operating system", name_of_call(f.code)),
        ),
        FAULT_CHECK => check(object, f),
        FAULT_DEADLOCK => (
            DRM_VINCI_FAULT_TIMEOUT,
            "waits for another core's flag, as all blocks do that have begun".into(),
        ),
        FAULT_CANCELLED if late => (DRM_VINCI_FAULT_TIMEOUT, "ran past its time limit".into()),
        FAULT_CANCELLED => (DRM_VINCI_FAULT_TIMEOUT, "was stopped".into()),
        _ => (DRM_VINCI_FAULT_EXCEPTION, format!("the AI cores stopped, signal {}", f.code)),
    };
    let mut text = format!("kernel {}: {what}", kernel.name);
    let begun = f.base != 0;
    if begun {
        let role = match f.role {
            1 => "AIC ",
            2 => "AIV ",
            _ => "",
        };
        let _ = write!(text, "; block {} of {blocks}, core {role}{}", f.block, f.core);
    }
    // A return address, and where a system call goes on, lie behind the instruction that is meant.
    let behind = matches!(f.kind, FAULT_DEADLOCK | FAULT_SYSTEM_CALL);
    let pc = f.pc.wrapping_sub(behind.into());
    let callers = f.callers.iter().take_while(|c| **c != 0).map(|c| c.wrapping_sub(1));
    match object.line(std::iter::once(pc).chain(callers)) {
        Some(line) => {
            let _ = write!(text, ", {line}");
        }
        None if pc.wrapping_sub(object.image.base) < object.image.bytes.len() as u64 => {
            let _ = write!(text, ", code offset {:#x}", pc - object.image.base);
        }
        None => {}
    }
    let address = if f.kind == FAULT_ADDRESS { f.address } else { 0 };
    Cause {
        core: if begun { f.core } else { 0 },
        address,
        write: f.write != 0,
        size: 0,
        ..Cause::new(cause, text)
    }
}

/// An access to memory that is not there.
fn access(f: &Fault, vm: &AddressSpace) -> String {
    let verb = if f.write != 0 { "store to" } else { "load from" };
    let at = f.address;
    if at == u64::MAX {
        return "access to an address that is none".into();
    }
    if at == f.pc {
        return format!("jump to {at:#x}, which is no code");
    }
    if f.base != 0 && at.wrapping_sub(f.base) < CORE_STRIDE {
        return format!("{verb} {}", local(at - f.base));
    }
    if !(DEVICE_BASE..DEVICE_END).contains(&at) {
        let hint = if at < 0x1_0000 { " (a null pointer?)" } else { "" };
        return format!("{verb} {at:#x}, which is no device address{hint}");
    }
    let near = match vm.neighbours(at) {
        (Some((start, len)), _) if at - start < len => " does not allow it".to_owned(),
        (Some((start, len)), None) => format!(": {} bytes behind {start:#x}+{len:#x}", at - start - len),
        (Some((start, len)), Some((next, _))) if at - start - len <= next - at => {
            format!(": {} bytes behind {start:#x}+{len:#x}", at - start - len)
        }
        (_, Some((next, len))) => format!(": {} bytes before {next:#x}+{len:#x}", next - at),
        (None, None) => String::new(),
    };
    if near.starts_with(' ') {
        return format!("{verb} {at:#x}, whose mapping{near}");
    }
    format!("{verb} {at:#x}, where nothing is mapped{near}")
}

/// A place among a core's memories: in which, or how far from which.
fn local(offset: u64) -> String {
    if offset < STACK_BYTES {
        return "the stack's end: it is full".into();
    }
    let below = LOCALS.iter().rev().find(|(_, at)| *at <= offset);
    match below {
        Some((name, at)) => format!("{name}+{:#x}, behind its end", offset - at),
        None => format!("{:#x} bytes before UB", LOCALS[0].1 - offset),
    }
}

/// Numbers of `ascendc/impl/check.h`.
fn check(object: &CodeObject, f: &Fault) -> (drm_vinci_fault_cause, String) {
    let [a, b, c, d, name, _] = f.check;
    let name = text_at(object, name);
    let memory = |i: u64| LOCALS.get(i as usize).map_or("?", |l| l.0);
    let text = match f.code {
        1 if (b as i64) < 0 => {
            format!("{name}: {c} bytes that begin {} bytes before {}", b.wrapping_neg(), memory(a))
        }
        1 => {
            let over = b.wrapping_add(c).wrapping_sub(d);
            format!("{name}: {}+{b:#x}, {c} bytes: leaves {} of {d} bytes by {over}", memory(a), memory(a))
        }
        2 => format!("{name}: {}+{b:#x} is not a multiple of {c}", memory(a)),
        3 => format!("{name}: address {a:#x} is not a multiple of {b}"),
        4 => format!("{name}: {b} is more than {c}"),
        5 if a == 1 => format!("WaitFlag from {} to {}, event {d}: nobody has set it", pipe(b), pipe(c)),
        5 => format!("{name}: the queue at {} is empty: nothing was enqueued", position(b)),
        6 if c != 0 => format!("{name}: a tensor that is not the queue's, at {}", position(a)),
        6 => format!("{name}: the queue at {} takes {b} tensors", position(a)),
        7 => format!("{name}: {b} bytes are more than the {c} that are left of {}", memory(a)),
        8 => format!("assertion failed in line {a}: {name}"),
        9 if a == 1 => format!("{name}: {b} bytes are not a multiple of {c}"),
        9 => format!("{name}: {b} is more than {c}, or does not go with it"),
        10 => format!("{name} works on {}, and was given {}", memory(b), memory(a)),
        11 => format!("{name} is not in this version"),
        12 => format!("{name}: all {b} buffers of the queue at {} are taken: none was freed", position(a)),
        13 => format!("SetFlag from {} to {}, event {c}: it is set already", pipe(a), pipe(b)),
        other => format!("check {other} failed"),
    };
    // On the chip these are pipes that wait for ever.
    let waits = matches!(f.code, 5 | 12 | 13);
    (if waits { DRM_VINCI_FAULT_TIMEOUT } else { DRM_VINCI_FAULT_EXCEPTION }, text)
}

/// A constant of the object's.
fn text_at(object: &CodeObject, address: u64) -> String {
    let at = address.wrapping_sub(object.image.base);
    let rest = usize::try_from(at).ok().and_then(|at| object.image.bytes.get(at..)).unwrap_or(&[]);
    let bytes: Vec<u8> = rest.iter().copied().take_while(|b| *b >= 0x20).take(100).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(super) fn pipe(i: u64) -> &'static str {
    ["S", "V", "M", "MTE1", "MTE2", "MTE3", "FIX"].get(i as usize).copied().unwrap_or("?")
}

fn position(i: u64) -> &'static str {
    const NAMES: [&str; 15] = [
        "GM",
        "A1",
        "A2",
        "B1",
        "B2",
        "C1",
        "C2",
        "CO1",
        "CO2",
        "VECIN",
        "VECOUT",
        "VECCALC",
        "SPM",
        "TSCM",
        "C2PIPE2GM",
    ];
    NAMES.get(i as usize).copied().unwrap_or("?")
}

/// Names of the system calls that programs try first.
fn name_of_call(number: u32) -> String {
    let known = [
        (0, "read"),
        (1, "write"),
        (2, "open"),
        (9, "mmap"),
        (12, "brk"),
        (39, "getpid"),
        (41, "socket"),
        (47, "recvmsg"),
        (56, "clone"),
        (57, "fork"),
        (58, "vfork"),
        (59, "execve"),
        (62, "kill"),
        (101, "ptrace"),
        (257, "openat"),
        (310, "process_vm_readv"),
        (319, "memfd_create"),
        (435, "clone3"),
    ];
    let name = known.iter().find(|(n, _)| *n == number);
    name.map_or_else(|| number.to_string(), |(_, name)| format!("{name} ({number})"))
}
