//! Launches.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use vinci::{DevicePtr, LaunchArgs, LaunchOptions, ModuleKernel};

use super::{args, binary, symbol};
use crate::abi::{Address, Handle, In, Out, need_address};
use crate::code::{FAILURE, Failure, Result, invalid};
use crate::stream::Stream;
use crate::{device, exception, stream};

thread_local! {
    /// Number of the last task that the thread submitted.
    static LAST_TASK: Cell<u32> = const { Cell::new(0) };
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Attribute {
    id: u32,
    value: [u32; 4],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Config {
    attributes: usize,
    count: usize,
}

const TIMEOUT_S: u32 = 7;
const TIMEOUT_US: u32 = 8;
const LAST_ATTRIBUTE: u32 = 9;

/// The time limit of a launch: the configuration's, else the device's.
fn timeout(config: In<Config>) -> Result<Option<Duration>> {
    let mut limit = device::execute_timeout();
    let Some(config) = config.maybe() else { return Ok(limit) };
    if config.count > 32 {
        return Err(invalid(format!("{} attributes of a launch", config.count)));
    }
    for i in 0..config.count {
        // SAFETY: `In` is a pointer; the program vouches for `count` attributes there.
        let attribute: In<Attribute> =
            unsafe { std::mem::transmute(config.attributes + i * size_of::<Attribute>()) };
        let attribute = attribute.need("attrs")?;
        match attribute.id {
            TIMEOUT_S => limit = Some(Duration::from_secs((attribute.value[0] & 0xffff).into())),
            TIMEOUT_US => {
                let us = u64::from(attribute.value[1]) << 32 | u64::from(attribute.value[0]);
                limit = Some(Duration::from_micros(us));
            }
            // How blocks are placed, local memory, profiling: nothing here depends on them.
            1..=LAST_ATTRIBUTE => {}
            other => return Err(invalid(format!("there is no attribute {other} of a launch"))),
        }
    }
    Ok(limit.filter(|t| !t.is_zero()))
}

/// The kernel that a handle names: a function, or a function of the program that stands for a kernel.
pub fn kernel_of(function: Handle) -> Result<ModuleKernel> {
    if let Some(kernel) = symbol::kernel(function)? {
        return Ok(kernel);
    }
    Ok(binary::FUNCTIONS.get(function)?.kernel.clone())
}

/// Launches on a stream that a program names.
pub fn launch(
    stream: &Arc<Stream>,
    kernel: &ModuleKernel,
    blocks: u32,
    args: LaunchArgs<'_>,
    timeout: Option<Duration>,
) -> Result<()> {
    let options = LaunchOptions { timeout, ..LaunchOptions::default() };
    // SAFETY: the program vouches for its own kernel; the device confines it to the program's device memory.
    let launched = unsafe { stream.stream.launch_module(kernel, blocks, args, options) };
    launched.map_err(|error| exception::failure_of(stream, error))?;
    LAST_TASK.set(stream.stream.progress().0 as u32);
    Ok(())
}

/// The arguments that an array of pointers leads to.
///
/// # Safety
/// Each pointer leads to as many bytes as the kernel's parameter has.
pub unsafe fn gather(kernel: &ModuleKernel, args: *const *const u8) -> Result<Vec<u8>> {
    let mut bytes = vec![0u8; kernel.args_size()];
    if args.is_null() && !kernel.params().is_empty() {
        return Err(crate::abi::null("args"));
    }
    for (i, param) in kernel.params().iter().enumerate() {
        // SAFETY: the caller's promise; the array has an element per parameter.
        let from = unsafe { args.add(i).read() };
        if from.is_null() {
            return Err(invalid(format!("argument {i} of kernel {} is NULL", kernel.name())));
        }
        let to = &mut bytes[param.offset as usize..][..param.size as usize];
        // SAFETY: the caller's promise.
        to.copy_from_slice(unsafe { std::slice::from_raw_parts(from, to.len()) });
    }
    Ok(bytes)
}

fn launch_at(
    function: Handle,
    blocks: u32,
    args: Address,
    size: usize,
    config: In<Config>,
    handle: Handle,
) -> Result<()> {
    let kernel = kernel_of(function)?;
    let timeout = timeout(config)?;
    let stream = stream::named(handle)?;
    if kernel.args_size() == 0 {
        return launch(&stream, &kernel, blocks, LaunchArgs::Bytes(&[], &[]), timeout);
    }
    need_address(args, "argsData")?;
    launch(&stream, &kernel, blocks, LaunchArgs::Device(DevicePtr(args as u64), size), timeout)
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Place {
    at: u32,
    data: u32,
}

entry! {
    /// `args` is device memory.
    fn aclrtLaunchKernel(function: Handle, blocks: u32, args: Address, size: usize, stream: Handle) {
        // SAFETY: no configuration.
        let none: In<Config> = unsafe { std::mem::transmute(0usize) };
        launch_at(function, blocks, args, size, none, stream)
    }

    /// As aclrtLaunchKernel.
    fn aclrtLaunchKernelV2(function: Handle, blocks: u32, args: Address, size: usize, config: In<Config>, stream: Handle) {
        launch_at(function, blocks, args, size, config, stream)
    }

    fn aclrtLaunchKernelWithConfig(function: Handle, blocks: u32, stream: Handle, config: In<Config>, args: Handle, reserve: Address) {
        if reserve != 0 {
            return Err(invalid("reserve is not NULL"));
        }
        let kernel = kernel_of(function)?;
        let list = args::list(args)?;
        if list.function.kernel.id() != kernel.id() {
            return Err(invalid(format!("the arguments are those of kernel {}", list.function.kernel.name())));
        }
        let (bytes, places) = list.bytes()?;
        let timeout = timeout(config)?;
        launch(&self::stream::named(stream)?, &kernel, blocks, LaunchArgs::Bytes(&bytes, &places), timeout)
    }

    /// `args` is host memory; it is copied.
    fn aclrtLaunchKernelWithHostArgs(function: Handle, blocks: u32, stream: Handle, config: In<Config>, args: *const u8, size: usize, places: In<Place>, count: usize) {
        let kernel = kernel_of(function)?;
        if args.is_null() && size != 0 {
            return Err(crate::abi::null("hostArgs"));
        }
        // SAFETY: the program vouches for `size` bytes.
        let bytes = if size == 0 { &[] } else { unsafe { std::slice::from_raw_parts(args, size) } };
        if count > size / 8 {
            return Err(invalid(format!("{count} placeholders in {size} bytes of arguments")));
        }
        let mut filled = Vec::new();
        if count != 0 {
            for place in places.slice(count, "placeHolderArray")? {
                let fits = |at: u32, len: usize| (at as usize).checked_add(len).is_some_and(|end| end <= size);
                if !fits(place.at, 8) || !fits(place.data, 0) || place.at % 8 != 0 {
                    return Err(invalid(format!("placeholder at {}, data at {}: {size} bytes of arguments", place.at, place.data)));
                }
                filled.push((place.at, place.data));
            }
        }
        let timeout = timeout(config)?;
        launch(&self::stream::named(stream)?, &kernel, blocks, LaunchArgs::Bytes(bytes, &filled), timeout)
    }

    fn aclrtLaunchKernelWithArgsArray(function: Handle, blocks: u32, stream: Handle, config: In<Config>, args: *const *const u8) {
        let kernel = kernel_of(function)?;
        // SAFETY: the program vouches for a pointer per parameter.
        let bytes = unsafe { gather(&kernel, args) }?;
        let timeout = timeout(config)?;
        launch(&self::stream::named(stream)?, &kernel, blocks, LaunchArgs::Bytes(&bytes, &[]), timeout)
    }

    fn aclrtGetThreadLastTaskId(task: Out<u32>) {
        let place = task.need("taskId")?;
        match LAST_TASK.get() {
            0 => Err(Failure::new(FAILURE, "the thread has launched no kernel")),
            last => {
                place.put(last);
                Ok(())
            }
        }
    }
}
