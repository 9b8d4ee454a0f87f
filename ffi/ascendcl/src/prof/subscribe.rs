//! Subscriptions: records of kernels, written to a pipe of the program as they complete.

use std::collections::BTreeMap;
use std::ffi::c_char;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{FromRawFd, RawFd};
use std::time::Duration;

use parking_lot::Mutex;
use vinci::profile::{Task, Work};

use super::collect::Fetcher;
use super::names::operator;
use crate::abi::{Address, Handle, In, Out, TextOut, call_or, need_address};
use crate::code::{
    Failure, INVALID_PARAM, PROF_API_CONFLICT, PROF_REPEAT_SUBSCRIBE, PROFILING_FAILURE, Result,
};
use crate::context;
use crate::handle::{Kind, Table};

/// The descriptors of subscriptions.
static CONFIGS: Table<RawFd> = Table::new(Kind::ProfSubscription);
/// Devices of models.
static MODELS: Mutex<BTreeMap<u32, u32>> = Mutex::new(BTreeMap::new());
static SUBSCRIBED: Mutex<BTreeMap<u32, Fetcher>> = Mutex::new(BTreeMap::new());

const PATIENCE: Duration = Duration::from_secs(5);
const NAME: usize = 257;
const TYPE: usize = 65;

/// A record in the pipe.
#[derive(Clone, Copy)]
#[repr(C)]
struct Record {
    model: u32,
    thread: u32,
    /// us.
    start: u64,
    end: u64,
    duration: u64,
    kind: [u8; TYPE],
    name: [u8; NAME],
    /// The thread as a text.
    thread_text: [u8; 14],
}

const SIZE: usize = size_of::<Record>();
// Records reach the reader whole.
const _: () = assert!(SIZE <= libc::PIPE_BUF && SIZE == 24 + 8 + TYPE + NAME + 14);

fn fixed<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let len = text.len().min(N - 1);
    bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
    bytes
}

impl Record {
    fn of(model: u32, task: &Task) -> Record {
        let (kind, name) = operator(task);
        Record {
            model,
            thread: task.thread,
            start: task.start_ns / 1000,
            end: task.end_ns / 1000,
            duration: (task.end_ns - task.start_ns) / 1000,
            kind: fixed(&kind),
            name: fixed(&name),
            thread_text: fixed(&task.thread.to_string()),
        }
    }

    fn bytes(&self) -> &[u8; SIZE] {
        // SAFETY: the record has no padding (checked above), so all its bytes are initialised.
        unsafe { &*std::ptr::from_ref(self).cast() }
    }
}

/// True while some model is subscribed.
pub fn is_subscribed() -> bool {
    !SUBSCRIBED.lock().is_empty()
}

#[unsafe(no_mangle)]
pub extern "C" fn MsprofSetDeviceIdByGeModelIdx(model: u32, device: u32) -> i32 {
    crate::abi::call("MsprofSetDeviceIdByGeModelIdx", || {
        context::device(device as i32)?;
        MODELS.lock().insert(model, device);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn MsprofUnsetDeviceIdByGeModelIdx(model: u32, device: u32) -> i32 {
    crate::abi::call("MsprofUnsetDeviceIdByGeModelIdx", || {
        let mut models = MODELS.lock();
        if models.get(&model) != Some(&device) {
            return Err(Failure::new(INVALID_PARAM, format!("model {model} is not on device {device}")));
        }
        models.remove(&model);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn aclprofCreateSubscribeConfig(_times: i8, _metrics: u32, fd: In<i32>) -> Handle {
    call_or("aclprofCreateSubscribeConfig", 0, || {
        let fd = fd.need("fd")?;
        // SAFETY: asks about a number; nothing is changed.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
            return Err(Failure::new(INVALID_PARAM, format!("{fd} is no open descriptor")));
        }
        CONFIGS.insert(fd)
    })
}

entry! {
    fn aclprofDestroySubscribeConfig(config: Handle) {
        need_address(config, "profSubscribeConfig")?;
        CONFIGS.remove(config).map(drop).map_err(|failure| failure.code(INVALID_PARAM))
    }

    fn aclprofModelSubscribe(model: u32, config: Handle) {
        need_address(config, "profSubscribeConfig")?;
        let fd = CONFIGS.get(config).map_err(|failure| failure.code(INVALID_PARAM))?;
        if super::is_initialised() {
            return Err(Failure::new(PROF_API_CONFLICT, "profiling is initialised: call aclprofFinalize first"));
        }
        let device = MODELS.lock().get(&model).copied();
        let device = device.ok_or_else(|| Failure::new(INVALID_PARAM, format!("there is no model {model}")))?;
        let mut subscribed = SUBSCRIBED.lock();
        if subscribed.contains_key(&model) {
            return Err(Failure::new(PROF_REPEAT_SUBSCRIBE, format!("model {model} is subscribed already")));
        }
        // SAFETY: the program gives the writing end away, for this library to close: that is what ends its reader.
        let mut pipe = unsafe { File::from_raw_fd(fd) };
        let fetcher = Fetcher::start(move |tasks| {
            let is_kernel = |task: &&Task| task.die == device && matches!(task.work, Work::Kernel { .. });
            for task in tasks.iter().filter(is_kernel) {
                // A reader that is gone has had enough.
                if pipe.write_all(Record::of(model, task).bytes()).is_err() {
                    break;
                }
            }
            Vec::new()
        })?;
        subscribed.insert(model, fetcher);
        Ok(())
    }

    fn aclprofModelUnSubscribe(model: u32) {
        let fetcher = SUBSCRIBED.lock().remove(&model);
        let fetcher =
            fetcher.ok_or_else(|| Failure::new(PROFILING_FAILURE, format!("model {model} is not subscribed")))?;
        fetcher.finish(PATIENCE);
        Ok(())
    }

    fn aclprofGetOpDescSize(size: Out<usize>) {
        size.need("opDescSize")?.put(SIZE);
        Ok(())
    }

    fn aclprofGetOpNum(data: Address, len: usize, count: Out<u32>) {
        let place = count.need("opNumber")?;
        need_address(data, "opInfo")?;
        if len == 0 || !len.is_multiple_of(SIZE) {
            return Err(Failure::new(INVALID_PARAM, format!("{len} bytes are no whole records of {SIZE}")));
        }
        place.put((len / SIZE) as u32);
        Ok(())
    }

    fn aclprofGetOpTypeLen(data: Address, len: usize, index: u32, size: Out<usize>) {
        let place = size.need("opTypeLen")?;
        place.put(text(&record(data, len, index)?.kind).len() + 1);
        Ok(())
    }

    fn aclprofGetOpType(data: Address, len: usize, index: u32, to: TextOut, room: usize) {
        let record = record(data, len, index)?;
        to.put("opType", room, text(&record.kind))
    }

    fn aclprofGetOpNameLen(data: Address, len: usize, index: u32, size: Out<usize>) {
        let place = size.need("opNameLen")?;
        place.put(text(&record(data, len, index)?.name).len() + 1);
        Ok(())
    }

    fn aclprofGetOpName(data: Address, len: usize, index: u32, to: TextOut, room: usize) {
        let record = record(data, len, index)?;
        to.put("opName", room, text(&record.name))
    }
}

/// Record `index` of those that the program has read.
fn record(data: Address, len: usize, index: u32) -> Result<Record> {
    need_address(data, "opInfo")?;
    let at = index as usize * SIZE;
    if at + SIZE > len {
        return Err(Failure::new(INVALID_PARAM, format!("{len} bytes hold no record {index}")));
    }
    // SAFETY: the program vouches for `len` bytes; every bit pattern is a record, and no alignment is assumed.
    Ok(unsafe { ((data + at) as *const Record).read_unaligned() })
}

fn text(field: &[u8]) -> &str {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    std::str::from_utf8(&field[..end]).unwrap_or("")
}

macro_rules! fields {
    ($($name:ident -> $ty:ty: $field:ident;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(data: Address, len: usize, index: u32) -> $ty {
            call_or(stringify!($name), 0, || Ok(<$ty>::from(record(data, len, index)?.$field as $ty)))
        }
    )*};
}

fields! {
    aclprofGetOpStart -> u64: start;
    aclprofGetOpEnd -> u64: end;
    aclprofGetOpDuration -> u64: duration;
    aclprofGetModelId -> usize: model;
}

/// Every record is an operator.
#[unsafe(no_mangle)]
pub extern "C" fn aclprofGetOpFlag(data: Address, len: usize, index: u32) -> u32 {
    const OP: u32 = 0;
    const NONE: u32 = 0xff;
    call_or("aclprofGetOpFlag", NONE, || record(data, len, index).map(|_| OP))
}

/// The number of the thread that submitted it, in the program's own memory.
#[unsafe(no_mangle)]
pub extern "C" fn aclprofGetOpAttriValue(
    data: Address,
    len: usize,
    index: u32,
    attribute: u32,
) -> *const c_char {
    const THREAD: u32 = 0;
    call_or("aclprofGetOpAttriValue", std::ptr::null(), || {
        record(data, len, index)?;
        if attribute != THREAD {
            return Err(Failure::new(INVALID_PARAM, format!("there is no attribute {attribute}")));
        }
        let at = data + index as usize * SIZE + std::mem::offset_of!(Record, thread_text);
        Ok(at as *const c_char)
    })
}
