// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

//! What the driver shows of itself: usage of files (fdinfo), sensors (hwmon), debugfs, and the
//! report of a hang.

use core::fmt::{self, Write};

use kernel::{
    bindings,
    ffi::{c_int, c_void},
    prelude::*,
    seq_file::{seq_print, SeqFile},
};
use vinci_core::Driver;
use vinci_hw::uapi::*;

use crate::entry::{code, npu};
use crate::ffi::Usage;
use crate::platform::Pci;

/// What `file` holds. The number of dies is answered in any case.
///
/// # Safety
/// `npu` as in `vinci.h`; `to` is the caller's place for the answer.
#[no_mangle]
unsafe extern "C" fn vinci_rs_usage(dev: *const c_void, file: u32, to: *mut Usage) -> c_int {
    // SAFETY: the C side's promises.
    let (npu, to) = unsafe { (npu(dev), &mut *to) };
    to.dies = npu.dies;
    code(npu.with(|driver| {
        let usage = driver.usage(file)?;
        (to.hbm, to.host, to.queues) = (usage.hbm, usage.host, usage.queues);
        to.busy_ns = usage.busy_ns;
        Ok(())
    }))
}

/// Temperature and power of a die.
///
/// # Safety
/// As for [`vinci_rs_usage`].
#[no_mangle]
unsafe extern "C" fn vinci_rs_sensors(
    dev: *const c_void,
    die: u32,
    temperature_mc: *mut i64,
    power_mw: *mut i64,
) -> c_int {
    // SAFETY: the C side's promise.
    let npu = unsafe { npu(dev) };
    code(npu.with(|driver| {
        let t = driver.sensors(die)?;
        // SAFETY: the C side's promise.
        unsafe {
            temperature_mc.write(t.temperature_mc.into());
            power_mw.write(t.power_mw.into());
        }
        Ok(())
    }))
}

struct Seq<'a>(&'a SeqFile);

impl Write for Seq<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        seq_print!(self.0, "{}", text);
        Ok(())
    }
}

/// Writes a file of debugfs.
///
/// # Safety
/// `npu` as in `vinci.h`; `m` is being shown.
#[no_mangle]
unsafe extern "C" fn vinci_rs_show(
    dev: *const c_void,
    what: u32,
    m: *mut bindings::seq_file,
) -> c_int {
    // SAFETY: the C side's promises.
    let (npu, mut out) = unsafe { (npu(dev), Seq(SeqFile::from_raw(m))) };
    code(npu.with(|driver| {
        // A sequence file takes everything, or is written again with more room.
        let _ = match what {
            0 => device(driver, &mut out),
            1 => files(driver, &mut out),
            _ => queues(driver, &mut out),
        };
        Ok(())
    }))
}

/// Text in memory. What there is no room for is left out.
#[derive(Default)]
pub(crate) struct Report(pub(crate) KVVec<u8>);

impl Write for Report {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0
            .extend_from_slice(text.as_bytes(), GFP_KERNEL)
            .map_err(|_| fmt::Error)
    }
}

/// A text of the interface, which ends with its first NUL.
struct Text<'a, T>(&'a [T]);

impl<T: Copy + TryInto<u8>> fmt::Display for Text<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0 {
            match (*c).try_into() {
                Ok(0) => break,
                Ok(c @ 0x20..=0x7e) => f.write_char(c.into())?,
                _ => f.write_char('?')?,
            }
        }
        Ok(())
    }
}

fn device(driver: &mut Driver<Pci>, out: &mut impl Write) -> fmt::Result {
    let d = driver.device_info();
    writeln!(out, "chip: {}", Text(&d.name))?;
    writeln!(out, "profile: {}", Text(&d.profile))?;
    writeln!(out, "firmware: {}", Text(&d.firmware))?;
    for die in 0..d.die_count {
        let Ok(t) = driver.sensors(die) else {
            writeln!(out, "die {die}: does not answer")?;
            continue;
        };
        writeln!(
            out,
            "die {die}: health {} temperature_mc {} power_mw {} clock_mhz {} hbm_used {} \
             hbm_total {} ecc_single {} ecc_double {} tasks {} wall_ns {} model_ns {}",
            t.health,
            t.temperature_mc,
            t.power_mw,
            t.clock_mhz,
            t.hbm_used,
            t.hbm_total,
            t.ecc_single,
            t.ecc_double,
            t.tasks,
            t.wall_ns,
            t.model_ns
        )?;
    }
    Ok(())
}

fn files(driver: &Driver<Pci>, out: &mut impl Write) -> fmt::Result {
    writeln!(out, "file pid name spaces queues hbm_bytes host_bytes")?;
    for file in driver.open_files() {
        let Ok(u) = driver.usage(file) else { continue };
        let hbm: u64 = u.hbm.iter().sum();
        let name = Text(&u.name);
        writeln!(
            out,
            "{file:#x} {} {name} {} {} {hbm} {}",
            u.pid, u.spaces, u.queues, u.host
        )?;
    }
    Ok(())
}

fn queues(driver: &Driver<Pci>, out: &mut impl Write) -> fmt::Result {
    writeln!(
        out,
        "queue file die priority entries state completed submitted"
    )?;
    for q in driver.queue_states() {
        let state = match q.state {
            DRM_VINCI_QUEUE_RUNNING => "running",
            DRM_VINCI_QUEUE_FAULTED => "faulted",
            _ => "lost",
        };
        writeln!(
            out,
            "{} {:#x} {} {} {} {state} {} {}",
            q.id,
            q.file,
            q.die,
            q.priority,
            q.entries,
            q.completed,
            q.tail.unwrap_or(0)
        )?;
    }
    Ok(())
}

/// Everything about a hung queue.
pub(crate) fn hang(driver: &mut Driver<Pci>, queue: u32, out: &mut Report) {
    // A report that there is no room for ends early.
    let _ = report(driver, queue, out);
}

fn report(driver: &mut Driver<Pci>, queue: u32, out: &mut Report) -> fmt::Result {
    writeln!(out, "vinci: queue {queue} hangs\n")?;
    device(driver, out)?;
    writeln!(out)?;
    files(driver, out)?;
    writeln!(out)?;
    queues(driver, out)?;
    let Some(q) = driver.queue_state(queue) else {
        return Ok(());
    };
    if let Some(fault) = q.fault {
        let text = Text(&fault.text);
        writeln!(
            out,
            "\nlast fault: cause {} entry {}: {text}",
            fault.cause, fault.entry
        )?;
    }
    writeln!(out, "\nentries of queue {queue} from the hung one on:")?;
    let left = q.tail.unwrap_or(0).wrapping_sub(q.completed);
    for index in 0..left.min(16) {
        let Some(e) = driver.queue_entry(queue, q.completed + index) else {
            break;
        };
        // SAFETY: every bit pattern is valid for every member of the union.
        let words = unsafe { e.__bindgen_anon_1.words };
        write!(
            out,
            "{}: opcode {} flags {} compare {} blocks {} words",
            q.completed + index + 1,
            e.opcode,
            e.flags,
            e.compare,
            e.blocks
        )?;
        for word in words {
            write!(out, " {word:016x}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}
