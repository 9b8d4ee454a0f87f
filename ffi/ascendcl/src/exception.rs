//! What programs ask to be told: tasks that failed, streams and devices that come and go.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::abi::{Address, Handle, Out};
use crate::code::{Failure, INVALID_PARAM, RT_FEATURE_NOT_SUPPORT, Result, fault_code, invalid};
use crate::stream::Stream;

pub type StreamStateCallback = extern "C" fn(Handle, u32, Address);
pub type DeviceStateCallback = extern "C" fn(i32, u32, Address);
pub type ExceptionCallback = extern "C" fn(*const ExceptionInfo);

pub const STREAM_CREATED: u32 = 1;
pub const STREAM_DESTROYED: u32 = 2;
pub const DEVICE_SET_PRE: u32 = 0;
pub const DEVICE_SET_POST: u32 = 1;
pub const DEVICE_RESET_PRE: u32 = 2;
pub const DEVICE_RESET_POST: u32 = 3;

/// `aclrtExceptionInfo`: opaque to programs, which read it through functions.
pub struct ExceptionInfo {
    task: u32,
    stream: u32,
    thread: u32,
    device: u32,
    code: u32,
    kernel: u64,
}

/// Callbacks by the name they were registered under.
type Named<F> = Mutex<BTreeMap<String, (F, Address)>>;

static STREAM_STATE: Named<StreamStateCallback> = Mutex::new(BTreeMap::new());
static DEVICE_STATE: Named<DeviceStateCallback> = Mutex::new(BTreeMap::new());
/// The callback of aclrtSetExceptionInfoCallback, then those that were registered.
static EXCEPTION: Mutex<Vec<(bool, ExceptionCallback)>> = Mutex::new(Vec::new());
/// Stream number and task of the latest fault of each stream that callbacks were told of.
static TOLD: Mutex<BTreeMap<u32, u64>> = Mutex::new(BTreeMap::new());

thread_local! {
    /// The record that a callback on this thread may read.
    static OPEN: Cell<*const ExceptionInfo> = const { Cell::new(std::ptr::null()) };
}

fn register<F>(named: &Named<F>, name: String, callback: Option<F>, args: Address) -> Result<()> {
    if name.is_empty() {
        return Err(invalid("regName is empty"));
    }
    let mut named = named.lock();
    match callback {
        Some(_) if named.contains_key(&name) => Err(invalid(format!("\"{name}\" is registered already"))),
        Some(callback) => {
            named.insert(name, (callback, args));
            Ok(())
        }
        None => match named.remove(&name) {
            Some(_) => Ok(()),
            None => Err(invalid(format!("\"{name}\" is not registered"))),
        },
    }
}

pub fn register_stream_state(
    name: String,
    callback: Option<StreamStateCallback>,
    args: Address,
) -> Result<()> {
    register(&STREAM_STATE, name, callback, args)
}

pub fn register_device_state(
    name: String,
    callback: Option<DeviceStateCallback>,
    args: Address,
) -> Result<()> {
    register(&DEVICE_STATE, name, callback, args)
}

/// Tells of a stream that came or is about to go.
pub fn stream_state(stream: Handle, state: u32) {
    let callbacks: Vec<_> = STREAM_STATE.lock().values().copied().collect();
    for (callback, args) in callbacks {
        callback(stream, state, args);
    }
}

/// Tells of a device that is taken into use or given back.
pub fn device_state(device: i32, state: u32) {
    let callbacks: Vec<_> = DEVICE_STATE.lock().values().copied().collect();
    for (callback, args) in callbacks {
        callback(device, state, args);
    }
}

/// The failure for an error of a stream; tells exception callbacks of a fault, each fault once.
pub fn failure_of(stream: &Arc<Stream>, error: vinci::Error) -> Failure {
    if let vinci::Error::Fault(fault) = &error {
        let first = TOLD.lock().insert(stream.stream.id(), fault.task) != Some(fault.task);
        if first {
            crate::dump::on_fault(fault);
            tell(fault);
        }
    }
    error.into()
}

fn tell(fault: &vinci::Fault) {
    let info = ExceptionInfo {
        task: fault.task as u32,
        stream: fault.stream,
        thread: std::process::id(),
        device: fault.die,
        code: fault_code(fault) as u32,
        kernel: fault.kernel,
    };
    let callbacks: Vec<_> = EXCEPTION.lock().iter().map(|(_, callback)| *callback).collect();
    OPEN.set(&info);
    for callback in callbacks {
        callback(&info);
    }
    OPEN.set(std::ptr::null());
}

/// One number of the record, or 0xFFFFFFFF if this is not a record that is open on this thread.
fn number(info: *const ExceptionInfo, field: impl FnOnce(&ExceptionInfo) -> u32) -> u32 {
    if info.is_null() || info != OPEN.get() {
        crate::error::set(INVALID_PARAM, format!("{info:p} is not the record of an exception callback"));
        return u32::MAX;
    }
    // SAFETY: it is the record that `tell` holds on this thread's stack while the callback runs.
    field(unsafe { &*info })
}

#[unsafe(no_mangle)]
pub extern "C" fn aclrtGetTaskIdFromExceptionInfo(info: *const ExceptionInfo) -> u32 {
    number(info, |info| info.task)
}

#[unsafe(no_mangle)]
pub extern "C" fn aclrtGetStreamIdFromExceptionInfo(info: *const ExceptionInfo) -> u32 {
    number(info, |info| info.stream)
}

#[unsafe(no_mangle)]
pub extern "C" fn aclrtGetThreadIdFromExceptionInfo(info: *const ExceptionInfo) -> u32 {
    number(info, |info| info.thread)
}

#[unsafe(no_mangle)]
pub extern "C" fn aclrtGetDeviceIdFromExceptionInfo(info: *const ExceptionInfo) -> u32 {
    number(info, |info| info.device)
}

#[unsafe(no_mangle)]
pub extern "C" fn aclrtGetErrorCodeFromExceptionInfo(info: *const ExceptionInfo) -> u32 {
    number(info, |info| info.code)
}

/// `aclrtErrorInfo`, as far as it is written: the rest is detail that there is none of.
#[repr(C)]
pub struct ErrorInfo {
    try_repair: u8,
    has_detail: u8,
    reserved: [u8; 2],
    kind: u32,
}

entry! {
    fn aclrtSetExceptionInfoCallback(callback: Option<ExceptionCallback>) {
        let mut callbacks = EXCEPTION.lock();
        callbacks.retain(|(set, _)| !set);
        if let Some(callback) = callback {
            callbacks.insert(0, (true, callback));
        }
        Ok(())
    }

    fn aclrtExceptionInfoCallbackRegister(callback: Option<ExceptionCallback>) {
        let callback = callback.ok_or_else(|| crate::abi::null("callback"))?;
        let mut callbacks = EXCEPTION.lock();
        if callbacks.iter().any(|(set, known)| !set && *known as usize == callback as usize) {
            return Err(invalid("the callback is registered already"));
        }
        callbacks.push((false, callback));
        Ok(())
    }

    fn aclrtExceptionInfoCallbackUnregister(callback: Option<ExceptionCallback>) {
        let callback = callback.ok_or_else(|| crate::abi::null("callback"))?;
        let mut callbacks = EXCEPTION.lock();
        let position = callbacks.iter().position(|(set, known)| !set && *known as usize == callback as usize);
        callbacks.remove(position.ok_or_else(|| invalid("the callback is not registered"))?);
        Ok(())
    }

    fn aclrtGetArgsFromExceptionInfo(info: *const ExceptionInfo, args: Out<Address>, size: Out<u32>) {
        args.need("devArgsPtr")?;
        size.need("devArgsLen")?;
        let _ = info;
        Err(Failure::new(RT_FEATURE_NOT_SUPPORT, "the arguments of the task are not kept"))
    }

    fn aclrtGetFuncHandleFromExceptionInfo(info: *const ExceptionInfo, function: Out<Handle>) {
        let place = function.need("func")?;
        if info.is_null() || info != OPEN.get() {
            return Err(Failure::new(INVALID_PARAM, format!("{info:p} is not the record of an exception callback")));
        }
        // SAFETY: it is the record that `tell` holds on this thread's stack while the callback runs.
        let kernel = unsafe { (*info).kernel };
        let found = crate::kernel::binary::function_of(kernel);
        place.put(found.ok_or_else(|| Failure::new(RT_FEATURE_NOT_SUPPORT, "no handle was asked for the task's function"))?);
        Ok(())
    }

    fn aclrtGetErrorVerbose(device_id: i32, info: Out<ErrorInfo>) {
        const NO_ERROR: u32 = 0;
        const OTHER: u32 = 0xffff;
        let place = info.need("errorInfo")?;
        let health = crate::context::device(device_id)?.telemetry()?.health;
        let kind = if health == vinci::Health::Ok { NO_ERROR } else { OTHER };
        place.put(ErrorInfo { try_repair: 0, has_detail: 0, reserved: [0; 2], kind });
        Ok(())
    }
}
