//! Whatever stands in a ring: the device does it, or says what is wrong with it, and the queue can be reset.
#![no_main]

use std::sync::{Mutex, OnceLock};

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use vinci_fuzz::{Bench, MIB};
use vinci_hw::sqe::{self, Sqe};

/// An address: in the memory or near its ends, of the part that may only be read, or anything.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Place {
    Memory(u32),
    End(i8),
    Constant(u32),
    Any(u64),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Entry {
    Copy(Place, Place, u32),
    Rows(Place, u64, Place, u64, u32, u16),
    Fill(Place, u64, u8),
    Record(Place, u64),
    Wait(Place, u64, u8),
    Notify(Place),
    NotifyWait(Place, u8),
    Write(Place, u64),
    WaitValue(Place, u64, u32, u8),
    Call(u64),
    Kernel { id: u64, blocks: u32, args: Place, size: u32, cores: (u32, u32) },
    Stamped(Place, u64),
    Raw([u64; 8]),
}

fn at(b: &Bench, place: Place) -> u64 {
    match place {
        Place::Memory(n) => b.va + u64::from(n) % MIB,
        Place::End(n) => (b.va + MIB).wrapping_add_signed(n.into()),
        Place::Constant(n) => b.constant + u64::from(n) % MIB,
        Place::Any(n) => n,
    }
}

/// Milliseconds that a wait may last: never 0, which means for ever.
fn brief(ms: u8) -> u64 {
    u64::from(ms % 4) + 1
}

fn entry(b: &Bench, e: Entry) -> Sqe {
    match e {
        Entry::Copy(to, from, bytes) => sqe::copy(at(b, to), at(b, from), u64::from(bytes)),
        Entry::Rows(to, to_pitch, from, from_pitch, width, height) => {
            sqe::copy_2d(at(b, to), to_pitch, at(b, from), from_pitch, width.into(), height.into())
        }
        Entry::Fill(to, bytes, value) => sqe::fill(at(b, to), bytes, value),
        Entry::Record(to, value) => sqe::event_record(at(b, to), value),
        Entry::Wait(on, value, ms) => sqe::event_wait(at(b, on), value, brief(ms)),
        Entry::Notify(to) => sqe::notify_record(at(b, to)),
        Entry::NotifyWait(on, ms) => sqe::notify_wait(at(b, on), brief(ms)),
        Entry::Write(to, value) => sqe::write_value(at(b, to), value),
        Entry::WaitValue(on, value, compare, ms) => sqe::wait_value(at(b, on), value, compare, brief(ms)),
        Entry::Call(cookie) => sqe::host_call(cookie),
        Entry::Kernel { id, blocks, args, size, cores } => {
            let mut e = sqe::kernel(id % 1024, blocks, at(b, args), size % 4096, 10_000);
            sqe::set_cores(&mut e, cores.0, cores.1);
            e
        }
        Entry::Stamped(to, stamp) => {
            let mut e = sqe::fill(at(b, to), 8, 1);
            sqe::set_stamp(&mut e, stamp);
            e
        }
        Entry::Raw(words) => {
            // SAFETY: an entry is 64 bytes of integers.
            let mut e: Sqe = unsafe { std::mem::transmute(words) };
            // A wait for ever is what it says; and so is a kernel that may run for ever.
            if matches!(e.opcode, 5 | 7 | 9) {
                e.opcode = 1;
            }
            e
        }
    }
}

fuzz_target!(|data: &[u8]| {
    static BENCH: OnceLock<Mutex<Bench>> = OnceLock::new();
    let mut b = BENCH.get_or_init(Mutex::default).lock().expect("no panic before");
    let mut u = Unstructured::new(data);
    let entries: Vec<_> =
        std::iter::from_fn(|| (!u.is_empty()).then(|| Entry::arbitrary(&mut u).ok()).flatten())
            .take(64)
            .collect();
    let entries: Vec<_> = entries.into_iter().map(|e| entry(&b, e)).collect();
    b.submit(&entries);
    b.settle();
});
