//! Requests of any number and any contents, one after the other, on two files of one device.
#![no_main]

use std::sync::{Arc, OnceLock};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use vinci_driver::uapi::*;
use vinci_driver::{Embedded, Handle};

/// A field's value: near what counts, or anything.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Value {
    Small(u8),
    /// So many pages.
    Pages(u8),
    /// So many pages above the first device address.
    Address(u16),
    /// What the request so many requests ago answered in its word so much.
    Answer(u8, u8),
    Any(u64),
}

#[derive(Arbitrary, Debug)]
enum Call {
    /// A request with its fields as 32-bit words; a [`Value`] fills as many as it is told.
    Request {
        file: bool,
        number: u8,
        words: Vec<(Value, bool)>,
    },
    /// A number that may be none.
    Wild {
        file: bool,
        number: u32,
        bytes: Vec<u8>,
    },
    Map {
        file: bool,
        offset: Value,
        len: Value,
    },
}

const ALL: &[u32] = &[
    VINCI_IOCTL_VM_CREATE,
    VINCI_IOCTL_VM_DESTROY,
    VINCI_IOCTL_VM_MAP,
    VINCI_IOCTL_VM_UNMAP,
    VINCI_IOCTL_VM_PEER,
    VINCI_IOCTL_BO_CREATE,
    VINCI_IOCTL_BO_INFO,
    VINCI_IOCTL_QUEUE_CREATE,
    VINCI_IOCTL_QUEUE_DESTROY,
    VINCI_IOCTL_QUEUE_RESET,
    VINCI_IOCTL_QUEUE_KICK,
    VINCI_IOCTL_QUEUE_RESUME,
    VINCI_IOCTL_QUEUE_QUERY,
    VINCI_IOCTL_TELEMETRY,
    VINCI_IOCTL_RESET,
    VINCI_IOCTL_INJECT,
    VINCI_IOCTL_CODE_LOAD,
    VINCI_IOCTL_CODE_UNLOAD,
    IOCTL_GEM_CLOSE,
];
/// Requests whose fields are addresses of this process or may sleep for ever: with wild fields, they would do to
/// the fuzzer what they were told.
const TAMED: &[u32] = &[
    VINCI_IOCTL_DEV_QUERY,
    VINCI_IOCTL_BO_USERPTR,
    VINCI_IOCTL_WAIT,
    VINCI_IOCTL_EVENT_READ,
    IOCTL_PRIME_HANDLE_TO_FD,
    IOCTL_PRIME_FD_TO_HANDLE,
];
const MAPPED_AT_MOST: u64 = 1 << 28;

struct Run {
    files: [Handle; 2],
    base: u64,
    answers: Vec<Vec<u8>>,
}

impl Run {
    fn value(&self, value: Value) -> u64 {
        match value {
            Value::Small(n) => n.into(),
            Value::Pages(n) => u64::from(n) << 12,
            Value::Address(n) => self.base + (u64::from(n) << 12),
            Value::Answer(back, word) => {
                let from = self.answers.len().checked_sub(1 + usize::from(back));
                let answer = from.map_or(&[][..], |i| &self.answers[i]);
                let at = 4 * usize::from(word);
                answer.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]).into())
            }
            Value::Any(n) => n,
        }
    }

    fn request(&mut self, file: bool, number: u32, mut bytes: Vec<u8>) {
        bytes.resize((number >> 16 & 0x3fff) as usize, 0);
        let done = self.files[usize::from(file)].node().ioctl(number, &mut bytes);
        if done.is_ok() {
            self.answers.push(bytes);
        }
    }

    fn call(&mut self, call: &Call) {
        match call {
            Call::Request { file, number, words } => {
                let bytes = words.iter().flat_map(|&(value, wide)| {
                    let bytes = self.value(value).to_le_bytes();
                    bytes.into_iter().take(if wide { 8 } else { 4 })
                });
                let bytes = bytes.collect();
                self.request(*file, ALL[usize::from(*number) % ALL.len()], bytes);
            }
            Call::Wild { file, number, bytes } if !TAMED.iter().any(|t| t & 0xffff == number & 0xffff) => {
                self.request(*file, *number, bytes.clone());
            }
            Call::Wild { .. } => {}
            Call::Map { file, offset, len } => {
                let (offset, len) = (self.value(*offset), self.value(*len));
                if len <= MAPPED_AT_MOST {
                    let _ = self.files[usize::from(*file)].mmap(offset, len);
                }
            }
        }
    }
}

fuzz_target!(|calls: Vec<Call>| {
    static DEVICE: OnceLock<Embedded> = OnceLock::new();
    let device = DEVICE.get_or_init(vinci_fuzz::device);
    let open = || Handle::new(Arc::new(device.reopen().expect("a file")));
    let files = [open(), open()];
    let base = files[0].device_info().expect("the device's facts").va_base;
    let mut run = Run { files, base, answers: Vec::new() };
    calls.iter().take(64).for_each(|call| run.call(call));
    drop(run);
    // Closed files leave nothing. Only an injected double-bit error keeps a page back.
    let left = open();
    let _ = left.reset_function();
    for die in 0..2 {
        assert_eq!(
            left.telemetry(die).expect("telemetry").hbm_used,
            0,
            "die {die} has memory that nobody has"
        );
    }
});
