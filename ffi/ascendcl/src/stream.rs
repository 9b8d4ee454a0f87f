//! Streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use vinci::{Compare, DevicePtr, Reporter, StreamOptions};

use crate::abi::{Address, Handle, In, Out, Text, need_address};
use crate::code::{
    Failure, INVALID_PARAM, RT_ADDR_UNALIGNED, RT_EVENT_SYNC_TIMEOUT, RT_STREAM_CAPTURED, RT_STREAM_CONTEXT,
    RT_STREAM_SYNC_TIMEOUT, Result, invalid,
};
use crate::context::{self, Context};
use crate::handle::{Kind, Table};
use crate::{device, event, exception, kernel};

pub static STREAMS: Table<Arc<Stream>> = Table::new(Kind::Stream);

/// Streams that a device holds at most: what CANN's devices have.
const MOST_STREAMS: usize = 1984;
const FLAGS: u32 = 0x3f;
/// How long a stream whose kernels print is waited for when it is destroyed by force.
const PRINTING: Duration = Duration::from_secs(1);
const LOWEST_PRIORITY: u32 = 7;

/// A stream and what C programs attach to it.
pub struct Stream {
    pub stream: vinci::Stream,
    /// The context it was made in.
    pub context: Handle,
    flags: u32,
    failure_mode: AtomicU64,
    overflow_check: AtomicU32,
    tag: AtomicU32,
    cache_op_info: AtomicU32,
    /// Cube and vector cores that its launches may use; 0 is the limit of the device.
    cores: [AtomicU32; 2],
    /// Whose thread runs callbacks (aclrtSubscribeReport).
    pub reports: Mutex<Option<(u64, Reporter)>>,
    /// Whose thread runs host functions (aclrtSubscribeHostFunc).
    pub host_functions: Mutex<Option<(u64, Reporter)>>,
}

impl Stream {
    /// Cube and vector cores that a launch may occupy, 0 for all of them.
    #[inline]
    pub fn core_limits(&self) -> [u32; 2] {
        let device = device::core_limits(|| self.stream.device().ordinal());
        let own = [0, 1].map(|kind: usize| self.cores[kind].load(Ordering::Relaxed));
        [0, 1].map(|kind: usize| if own[kind] == 0 { device[kind] } else { own[kind] })
    }

    /// The ACL_STREAM_ flags it was made with.
    pub fn flags(&self) -> u32 {
        self.flags
    }
}

/// Makes a stream in a context; answers its handle.
pub fn make(handle: Handle, context: &Context, options: StreamOptions) -> Result<Handle> {
    let stream = vinci::Stream::new(&context.device, options)?;
    let stream = STREAMS.insert(Arc::new(Stream {
        stream,
        context: handle,
        flags: options.flags,
        failure_mode: AtomicU64::new(0),
        overflow_check: AtomicU32::new(0),
        tag: AtomicU32::new(0),
        cache_op_info: AtomicU32::new(0),
        cores: Default::default(),
        reports: Mutex::new(None),
        host_functions: Mutex::new(None),
    }))?;
    exception::stream_state(stream, exception::STREAM_CREATED);
    Ok(stream)
}

/// The stream that a program names for work: NULL is the default stream of the current context; any other must
/// belong to the current context.
#[inline]
pub fn named(handle: Handle) -> Result<Arc<Stream>> {
    if handle == 0 {
        let (current, context) = context::current()?;
        return STREAMS.get(context.default_stream(current)?);
    }
    let stream = STREAMS.get(handle)?;
    if stream.context == context::current_handle() { Ok(stream) } else { foreign(handle, stream) }
}

#[cold]
fn foreign(handle: Handle, stream: Arc<Stream>) -> Result<Arc<Stream>> {
    let (current, _) = context::current()?;
    if current == stream.context {
        return Ok(stream);
    }
    let text = format!(
        "stream {handle:#x} belongs to context {:#x}; context {current:#x} is current",
        stream.context
    );
    Err(Failure::new(RT_STREAM_CONTEXT, text))
}

/// Destroys the streams of a context, once their work is done.
pub fn destroy_all(context: Handle) {
    for (handle, stream) in STREAMS.all() {
        if stream.context == context && STREAMS.remove(handle).is_ok() {
            // A stream in error or lost has nothing more to wait for.
            let _ = stream.stream.destroy(false);
        }
    }
}

fn destroy(handle: Handle, force: bool) -> Result<()> {
    need_address(handle, "stream")?;
    let stream = named(handle)?;
    if context::CONTEXTS.get(stream.context)?.is_default(handle) {
        return Err(invalid("the default stream ends with its context"));
    }
    if stream.stream.capture().is_some() {
        let text = format!("stream {handle:#x} is being captured; aclmdlRICaptureEnd comes first");
        return Err(Failure::new(RT_STREAM_CAPTURED, text));
    }
    exception::stream_state(handle, exception::STREAM_DESTROYED);
    STREAMS.remove(handle)?;
    if stream.stream.prints() {
        // What its kernels print comes out, as it would where they had run long before.
        let _ = stream.stream.synchronize(Some(PRINTING));
    }
    let destroyed = stream.stream.destroy(force);
    kernel::text::flush(&stream);
    Ok(destroyed?)
}

/// A timeout in ms: -1 waits for ever, anything else is positive.
pub fn timeout_ms(timeout: i32) -> Result<Option<Duration>> {
    match timeout {
        -1 => Ok(None),
        1.. => Ok(Some(Duration::from_millis(timeout as u64))),
        _ => Err(invalid(format!("timeout {timeout} is neither -1 (for ever) nor a number of ms above 0"))),
    }
}

fn create(stream: Out<Handle>, priority: u32, flags: u32) -> Result<()> {
    let place = stream.need("stream")?;
    let (handle, context) = context::current()?;
    // Flags that mean nothing are ignored, as CANN documents; priorities beyond the last count as the last.
    let options = StreamOptions { priority: priority.min(LOWEST_PRIORITY), flags: flags & FLAGS };
    place.put(make(handle, &context, options)?);
    Ok(())
}

fn synchronize(handle: Handle, timeout: i32) -> Result<()> {
    let timeout = timeout_ms(timeout)?;
    let stream = named(handle)?;
    let done = stream.stream.synchronize(timeout);
    kernel::text::flush(&stream);
    done.map_err(|error| exception::failure_of(&stream, error))
}

entry! {
    fn aclrtCreateStream(stream: Out<Handle>) {
        create(stream, 0, 0)
    }

    fn aclrtCreateStreamWithConfig(stream: Out<Handle>, priority: u32, flag: u32) {
        create(stream, priority, flag)
    }

    fn aclrtCreateStreamV2(stream: Out<Handle>, config: In<StreamConfig>) {
        let config = config.maybe().unwrap_or_default();
        create(stream, config.priority, config.flag as u32)
    }

    fn aclrtDestroyStream(stream: Handle) {
        destroy(stream, false)
    }

    fn aclrtDestroyStreamForce(stream: Handle) {
        destroy(stream, true)
    }

    fn aclrtSynchronizeStream(stream: Handle) {
        synchronize(stream, -1)
    }

    fn aclrtSynchronizeStreamWithTimeout(stream: Handle, timeout: i32) {
        synchronize(stream, timeout)
    }

    fn aclrtStreamQuery(stream: Handle, status: Out<u32>) {
        let place = status.need("status")?;
        let stream = named(stream)?;
        let done = stream.stream.query().map_err(|error| exception::failure_of(&stream, error))?;
        place.put(u32::from(!done));
        Ok(())
    }

    fn aclrtStreamGetPriority(stream: Handle, priority: Out<u32>) {
        let place = priority.need("priority")?;
        place.put(named(stream)?.stream.options().priority);
        Ok(())
    }

    fn aclrtStreamGetFlags(stream: Handle, flags: Out<u32>) {
        let place = flags.need("flags")?;
        place.put(named(stream)?.flags);
        Ok(())
    }

    fn aclrtStreamGetId(stream: Handle, stream_id: Out<i32>) {
        let place = stream_id.need("streamId")?;
        place.put(named(stream)?.stream.id() as i32);
        Ok(())
    }

    fn aclrtGetStreamAvailableNum(count: Out<u32>) {
        let place = count.need("streamCount")?;
        context::current()?;
        place.put(MOST_STREAMS.saturating_sub(STREAMS.all().len()) as u32);
        Ok(())
    }

    fn aclrtStreamAbort(stream: Handle) {
        need_address(stream, "stream")?;
        named(stream)?.stream.abort()?;
        Ok(())
    }

    fn aclrtStreamWaitEvent(stream: Handle, event: Handle) {
        event::wait(stream, event, None)
    }

    fn aclrtStreamWaitEventWithTimeout(stream: Handle, event: Handle, timeout: i32) {
        event::wait(stream, event, timeout_ms(timeout)?)
    }

    fn aclrtStreamWaitEventWithFlag(stream: Handle, event: Handle, timeout: u32, flag: u32) {
        if flag > 1 {
            return Err(invalid(format!("flag {flag:#x} is not an ACL_EVENT_WAIT_ flag")));
        }
        let timeout = (timeout != 0).then(|| Duration::from_millis(timeout.into()));
        if flag == event::EXTERNAL_WAIT { event::wait_external(stream, event, timeout) } else { event::wait(stream, event, timeout) }
    }

    fn aclrtSetStreamFailureMode(stream: Handle, mode: u64) {
        if mode > 1 {
            return Err(invalid(format!("mode {mode} is neither ACL_CONTINUE_ON_FAILURE nor ACL_STOP_ON_FAILURE")));
        }
        need_address(stream, "stream")?;
        named(stream)?.failure_mode.store(mode, Ordering::Relaxed);
        Ok(())
    }

    fn aclrtSetStreamOverflowSwitch(stream: Handle, flag: u32) {
        if flag > 1 {
            return Err(invalid(format!("flag {flag} is neither 0 nor 1")));
        }
        named(stream)?.overflow_check.store(flag, Ordering::Relaxed);
        Ok(())
    }

    fn aclrtGetStreamOverflowSwitch(stream: Handle, flag: Out<u32>) {
        let place = flag.need("flag")?;
        place.put(named(stream)?.overflow_check.load(Ordering::Relaxed));
        Ok(())
    }

    fn aclrtSetStreamAttribute(stream: Handle, attribute: u32, value: In<u64>) {
        let value = value.need("value")?;
        let stream = named(stream)?;
        match attribute {
            FAILURE_MODE if value <= 1 => stream.failure_mode.store(value, Ordering::Relaxed),
            OVERFLOW_CHECK if value as u32 <= 1 => stream.overflow_check.store(value as u32, Ordering::Relaxed),
            CUSTOM_TAG => stream.tag.store(value as u32, Ordering::Relaxed),
            CACHE_OP_INFO if value as u32 <= 1 => stream.cache_op_info.store(value as u32, Ordering::Relaxed),
            PRIORITY => return Err(invalid("the priority of a stream is set when it is made")),
            FAILURE_MODE..=PRIORITY => {
                return Err(invalid(format!("{value} is not a value of stream attribute {attribute}")));
            }
            _ => return Err(invalid(format!("there is no stream attribute {attribute}"))),
        }
        Ok(())
    }

    fn aclrtGetStreamAttribute(stream: Handle, attribute: u32, value: Out<[u32; 4]>) {
        let place = value.need("value")?;
        let stream = named(stream)?;
        let value = match attribute {
            FAILURE_MODE => stream.failure_mode.load(Ordering::Relaxed) as u32,
            OVERFLOW_CHECK => stream.overflow_check.load(Ordering::Relaxed),
            CUSTOM_TAG => stream.tag.load(Ordering::Relaxed),
            CACHE_OP_INFO => stream.cache_op_info.load(Ordering::Relaxed),
            PRIORITY => stream.stream.options().priority,
            _ => return Err(invalid(format!("there is no stream attribute {attribute}"))),
        };
        place.put([value, 0, 0, 0]);
        Ok(())
    }

    fn aclrtGetStreamResLimit(stream: Handle, kind: u32, value: Out<u32>) {
        let place = value.need("value")?;
        let stream = named(stream)?;
        let limit = device::core_limit(&stream.stream.device(), kind)?;
        let own = stream.cores[kind as usize].load(Ordering::Relaxed);
        place.put(if own == 0 { limit } else { own });
        Ok(())
    }

    fn aclrtSetStreamResLimit(stream: Handle, kind: u32, value: u32) {
        let stream = named(stream)?;
        let all = device::all_cores(&stream.stream.device(), kind)?;
        if value == 0 || value > all {
            return Err(invalid(format!("{value} is not a number of cores from 1 to {all}")));
        }
        stream.cores[kind as usize].store(value, Ordering::Relaxed);
        Ok(())
    }

    fn aclrtResetStreamResLimit(stream: Handle) {
        let stream = named(stream)?;
        stream.cores.iter().for_each(|cores| cores.store(0, Ordering::Relaxed));
        Ok(())
    }

    fn aclrtValueWrite(address: Address, value: u64, flag: u32, stream: Handle) {
        check_word(address)?;
        if flag != 0 {
            return Err(invalid(format!("flag {flag:#x} is not 0")));
        }
        named(stream)?.stream.write_value(DevicePtr(address as u64), value)?;
        Ok(())
    }

    fn aclrtValueWait(address: Address, value: u64, flag: u32, stream: Handle) {
        check_word(address)?;
        let compare = match flag {
            0 => Compare::Geq,
            1 => Compare::Eq,
            2 => Compare::And,
            3 => Compare::Nor,
            _ => return Err(invalid(format!("flag {flag:#x} is not an ACL_STREAM_WAIT_VALUE_ comparison"))),
        };
        named(stream)?.stream.wait_value(DevicePtr(address as u64), value, compare)?;
        Ok(())
    }

    fn aclrtGetOverflowStatus(address: Address, size: usize, stream: Handle) {
        overflow_status(address, size as u64, stream)
    }

    fn aclrtGetFloatOverflowStatus(address: Address, size: u64, stream: Handle) {
        overflow_status(address, size, stream)
    }

    fn aclrtResetOverflowStatus(stream: Handle) {
        named(stream).map(drop)
    }

    fn aclrtResetFloatOverflowStatus(stream: Handle) {
        named(stream).map(drop)
    }

    fn aclrtRegStreamStateCallback(name: Text, callback: Option<exception::StreamStateCallback>, args: Address) {
        exception::register_stream_state(name.need("regName")?, callback, args)
    }
}

const FAILURE_MODE: u32 = 1;
const OVERFLOW_CHECK: u32 = 2;
const CUSTOM_TAG: u32 = 3;
const CACHE_OP_INFO: u32 = 4;
const PRIORITY: u32 = 5;

/// Kernels compute with infinities and NaNs, where nothing raises the flag: the status is all zeros.
fn overflow_status(address: Address, size: u64, stream: Handle) -> Result<()> {
    const STATUS_BYTES: u64 = 64;
    need_address(address, "outputAddr")?;
    if size < STATUS_BYTES {
        return Err(invalid(format!("outputSize {size} is less than {STATUS_BYTES}")));
    }
    named(stream)?.stream.memset_async(DevicePtr(address as u64).into(), 0, STATUS_BYTES)?;
    Ok(())
}

fn check_word(address: Address) -> Result<()> {
    need_address(address, "devAddr")?;
    if !address.is_multiple_of(8) {
        return Err(Failure::new(RT_ADDR_UNALIGNED, format!("devAddr {address:#x} is not a multiple of 8")));
    }
    vinci::memory::check_range("value", DevicePtr(address as u64), 8).map_err(crate::code::of_memory)?;
    Ok(())
}

/// The timeout of a wait for an event has a code of its own.
pub fn event_timeout(failure: Failure) -> Failure {
    if failure.code == RT_STREAM_SYNC_TIMEOUT { failure.code(RT_EVENT_SYNC_TIMEOUT) } else { failure }
}

/// `aclrtStreamConfigHandle`, a structure that programs could read.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct StreamConfig {
    work: usize,
    work_size: usize,
    flag: usize,
    priority: u32,
}

#[unsafe(no_mangle)]
pub extern "C" fn aclrtCreateStreamConfigHandle() -> *mut StreamConfig {
    crate::abi::call_or("aclrtCreateStreamConfigHandle", std::ptr::null_mut(), || {
        let config = Box::into_raw(Box::<StreamConfig>::default());
        CONFIGS.lock().push(config as usize);
        Ok(config)
    })
}

/// The configurations that are alive; any other address is not followed.
static CONFIGS: Mutex<Vec<usize>> = Mutex::new(Vec::new());

entry! {
    fn aclrtDestroyStreamConfigHandle(config: Address) {
        need_address(config, "handle")?;
        let mut configs = CONFIGS.lock();
        let position = configs.iter().position(|live| *live == config).ok_or_else(|| no_config(config))?;
        configs.swap_remove(position);
        // SAFETY: it is a box of aclrtCreateStreamConfigHandle, and no longer in the list.
        drop(unsafe { Box::from_raw(config as *mut StreamConfig) });
        Ok(())
    }

    fn aclrtSetStreamConfigOpt(config: Address, attribute: u32, value: In<u8>, size: usize) {
        need_address(config, "handle")?;
        let configs = CONFIGS.lock();
        if !configs.contains(&config) {
            return Err(no_config(config));
        }
        let bytes = value.slice(size.min(8), "attrValue")?;
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(&bytes);
        let number = u64::from_le_bytes(word) as usize;
        // SAFETY: it is a live box of aclrtCreateStreamConfigHandle, and the lock on the list keeps it alive.
        let config = unsafe { &mut *(config as *mut StreamConfig) };
        // Programs pass flags as a size_t or as the uint32_t that aclrtCreateStreamWithConfig takes.
        let right_size = match attribute {
            0 | 1 => size == size_of::<usize>(),
            2 => size == size_of::<usize>() || size == size_of::<u32>(),
            3 => size == size_of::<u32>(),
            _ => return Err(Failure::new(INVALID_PARAM, format!("there is no attribute {attribute} of a stream"))),
        };
        if !right_size {
            return Err(Failure::new(INVALID_PARAM, format!("attribute {attribute} does not have {size} bytes")));
        }
        match attribute {
            0 => config.work = number,
            1 => config.work_size = number,
            2 => config.flag = number,
            _ => config.priority = number as u32,
        }
        Ok(())
    }
}

fn no_config(config: Address) -> Failure {
    Failure::new(crate::code::RT_INVALID_HANDLE, format!("{config:#x} is not a live stream configuration"))
}
