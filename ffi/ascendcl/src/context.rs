//! Contexts, and which one a thread uses. A device has one primary context, made and counted by aclrtSetDevice;
//! programs make more with aclrtCreateContext.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use parking_lot::Mutex;
use vinci::{Device, StreamOptions};

use crate::abi::{Handle, Out};
use crate::code::{
    Failure, INVALID_PARAM, RT_CONTEXT_NULL, RT_FEATURE_NOT_SUPPORT, RT_INVALID_DEVICEID,
    RT_SYSPARAMOPT_NOT_SET, Result, invalid,
};
use crate::handle::{Kind, Table};
use crate::{capture, device, model, stream};

pub static CONTEXTS: Table<Arc<Context>> = Table::new(Kind::Context);
/// Primary contexts by device number.
static PRIMARY: Mutex<Vec<Primary>> = Mutex::new(Vec::new());
/// Device that threads without a context use, or -1: from the configuration of aclInit.
static DEFAULT_DEVICE: AtomicI32 = AtomicI32::new(-1);
static PROCESS_OPTIONS: Mutex<Option<HashMap<u32, i64>>> = Mutex::new(None);

thread_local! {
    static CURRENT: Cell<Handle> = const { Cell::new(0) };
}

/// A device with a default stream of its own.
pub struct Context {
    pub device: Device,
    primary: bool,
    default_stream: Mutex<Handle>,
    options: Mutex<HashMap<u32, i64>>,
}

#[derive(Clone, Copy)]
struct Primary {
    handle: Handle,
    uses: u32,
}

/// The device `ordinal`, if there is one.
pub fn device(ordinal: i32) -> Result<Device> {
    let count = Device::count()?;
    match u32::try_from(ordinal) {
        Ok(number) if number < count => Ok(Device::get(number)?),
        _ => {
            let text = format!("there is no device {ordinal}; the devices are 0 to {}", i64::from(count) - 1);
            Err(Failure::new(RT_INVALID_DEVICEID, text))
        }
    }
}

/// The calling thread's current context and its handle.
pub fn current() -> Result<(Handle, Arc<Context>)> {
    let mut handle = CURRENT.get();
    if handle == 0 {
        let default = DEFAULT_DEVICE.load(Ordering::Relaxed);
        if default < 0 {
            return Err(no_context());
        }
        use_primary(default)?;
        handle = CURRENT.get();
    }
    match CONTEXTS.get(handle) {
        Ok(context) => Ok((handle, context)),
        Err(_) => Err(Failure::new(
            RT_CONTEXT_NULL,
            "the thread's current context was destroyed; call aclrtSetDevice or aclrtSetCurrentContext",
        )),
    }
}

/// Handle of the calling thread's context as it was set, or 0: it may have been destroyed since.
#[inline]
pub fn current_handle() -> Handle {
    CURRENT.get()
}

pub fn no_context() -> Failure {
    Failure::new(RT_CONTEXT_NULL, "the thread has no current context; call aclrtSetDevice first")
}

/// Threads without a context get the primary one of this device.
pub fn set_default_device(ordinal: i32) {
    DEFAULT_DEVICE.store(ordinal, Ordering::Relaxed);
}

fn make(device: Device, primary: bool) -> Result<Handle> {
    let (default_stream, options) = Default::default();
    CONTEXTS.insert(Arc::new(Context { device, primary, default_stream, options }))
}

/// Makes the primary context of a device current, counting one use.
pub fn use_primary(ordinal: i32) -> Result<()> {
    let device = device(ordinal)?;
    let number = device.ordinal() as usize;
    let mut primary = PRIMARY.lock();
    if primary.len() <= number {
        primary.resize(number + 1, Primary { handle: 0, uses: 0 });
    }
    if primary[number].uses == 0 {
        primary[number].handle = make(device, true)?;
    }
    primary[number].uses += 1;
    CURRENT.set(primary[number].handle);
    Ok(())
}

/// Takes one use back, or all of them; the last destroys the primary context and what was made in it.
pub fn release_primary(ordinal: i32, all: bool) -> Result<()> {
    let device = device(ordinal)?;
    let handle = {
        let mut primary = PRIMARY.lock();
        let Some(entry) = primary.get_mut(device.ordinal() as usize).filter(|entry| entry.uses > 0) else {
            let text =
                format!("device {ordinal} is not in use: aclrtSetDevice was not called, or it was reset");
            return Err(Failure::new(RT_CONTEXT_NULL, text));
        };
        entry.uses = if all { 0 } else { entry.uses - 1 };
        if entry.uses > 0 {
            return Ok(());
        }
        std::mem::take(&mut entry.handle)
    };
    destroy(handle)?;
    let others = CONTEXTS.all().iter().any(|(_, context)| context.device.ordinal() == device.ordinal());
    if !others {
        device.free_all()?;
    }
    Ok(())
}

/// Destroys a context with its streams, once their work is done.
fn destroy(handle: Handle) -> Result<()> {
    let context = CONTEXTS.remove(handle)?;
    capture::end_all(handle);
    model::destroy_all(handle);
    stream::destroy_all(handle);
    drop(context);
    if CURRENT.get() == handle {
        CURRENT.set(0);
    }
    Ok(())
}

/// Devices whose primary context is in use.
pub fn primaries() -> Vec<i32> {
    let primary = PRIMARY.lock();
    (0..).zip(primary.iter()).filter(|(_, entry)| entry.uses > 0).map(|(number, _)| number).collect()
}

impl Context {
    /// Handle of the default stream; made on first use.
    pub fn default_stream(&self, context: Handle) -> Result<Handle> {
        let mut default = self.default_stream.lock();
        if *default == 0 {
            *default = stream::make(context, self, StreamOptions::default())?;
        }
        Ok(*default)
    }

    /// True if `stream` is the default stream.
    pub fn is_default(&self, stream: Handle) -> bool {
        *self.default_stream.lock() == stream
    }
}

entry! {
    fn aclrtCreateContext(context: Out<Handle>, device_id: i32) {
        let place = context.need("context")?;
        let device = device(device_id)?;
        let handle = make(device, false)?;
        CURRENT.set(handle);
        place.put(handle);
        Ok(())
    }

    fn aclrtDestroyContext(context: Handle) {
        crate::abi::need_address(context, "context")?;
        if CONTEXTS.get(context)?.primary {
            return Err(invalid("the primary context of a device ends with aclrtResetDevice"));
        }
        destroy(context)
    }

    fn aclrtSetCurrentContext(context: Handle) {
        crate::abi::need_address(context, "context")?;
        CONTEXTS.get(context)?;
        CURRENT.set(context);
        Ok(())
    }

    fn aclrtGetCurrentContext(context: Out<Handle>) {
        let place = context.need("context")?;
        place.put(current()?.0);
        Ok(())
    }

    fn aclrtCtxGetCurrentDefaultStream(stream: Out<Handle>) {
        let place = stream.need("stream")?;
        let (handle, context) = current()?;
        place.put(context.default_stream(handle)?);
        Ok(())
    }

    fn aclrtGetPrimaryCtxState(device_id: i32, flags: Out<u32>, active: Out<i32>) {
        let place = active.need("active")?;
        device(device_id)?;
        if let Some(flags) = flags.maybe() {
            flags.put(0);
        }
        place.put(i32::from(primaries().contains(&device_id)));
        Ok(())
    }

    fn aclrtCtxGetSysParamOpt(opt: u32, value: Out<i64>) {
        let place = value.need("value")?;
        check_option(opt)?;
        let value = current()?.1.options.lock().get(&opt).copied();
        place.put(value.ok_or_else(|| not_set(opt))?);
        Ok(())
    }

    fn aclrtCtxSetSysParamOpt(opt: u32, value: i64) {
        check_option(opt)?;
        current()?.1.options.lock().insert(opt, value);
        Ok(())
    }

    fn aclrtGetSysParamOpt(opt: u32, value: Out<i64>) {
        let place = value.need("value")?;
        check_option(opt)?;
        let value = PROCESS_OPTIONS.lock().as_ref().and_then(|options| options.get(&opt).copied());
        place.put(value.ok_or_else(|| not_set(opt))?);
        Ok(())
    }

    fn aclrtSetSysParamOpt(opt: u32, value: i64) {
        check_option(opt)?;
        PROCESS_OPTIONS.lock().get_or_insert_default().insert(opt, value);
        Ok(())
    }

    /// Cores that the thread's launches may use: the limit of its device.
    fn aclrtGetResInCurrentThread(kind: u32, value: Out<u32>) {
        let place = value.need("value")?;
        let (_, context) = current()?;
        place.put(device::core_limit(&context.device, kind)?);
        Ok(())
    }

    fn aclrtCtxGetFloatOverflowAddr(address: Out<usize>) {
        address.need("overflowAddr")?;
        Err(Failure::new(RT_FEATURE_NOT_SUPPORT, "overflow is not kept at an address of its own"))
    }
}

fn check_option(opt: u32) -> Result<()> {
    if opt <= 3 { Ok(()) } else { Err(Failure::new(INVALID_PARAM, format!("there is no option {opt}"))) }
}

fn not_set(opt: u32) -> Failure {
    Failure::new(RT_SYSPARAMOPT_NOT_SET, format!("option {opt} was never set"))
}
