//! What other libraries of Vinci in the process (libopapi.so) call: the runtime lives here and only here.
//! These symbols are no part of AscendCL.

use std::ffi::c_char;
use std::sync::OnceLock;

use parking_lot::Mutex;
use vinci::{DevicePtr, Kernel, LaunchOptions, memory};
use vinci_hw::args::TensorArg;

use crate::abi::{Address, Handle, In, Out, need_address};
use crate::code::{Failure, INVALID_PARAM, Result, invalid};
use crate::{device, dump, error, exception, prof, stream};

/// A launch, as libopapi.so lays it out.
#[derive(Clone, Copy)]
#[repr(C)]
struct Shown {
    name: *const u8,
    name_len: usize,
    args: *const u8,
    args_bytes: usize,
    outputs: usize,
}

const MOST_KERNELS: usize = 1024;
/// Kernels by the number that `vinci_kernel` gave out, less one.
static KERNELS: [OnceLock<Kernel>; MOST_KERNELS] = [const { OnceLock::new() }; MOST_KERNELS];
static NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Bytes that another library of Vinci vouches for.
///
/// # Safety
/// `data` is null or readable for `len` bytes while the slice lives.
unsafe fn bytes<'a>(data: *const u8, len: usize, name: &str) -> Result<&'a [u8]> {
    if data.is_null() {
        return Err(crate::abi::null(name));
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}

fn resolve(name: &str) -> Result<u64> {
    let mut names = NAMES.lock();
    if let Some(position) = names.iter().position(|known| known == name) {
        return Ok(position as u64 + 1);
    }
    let kernel = Kernel::resident(name)?;
    let slot =
        KERNELS.get(names.len()).ok_or_else(|| invalid(format!("more than {MOST_KERNELS} kernels")))?;
    let _ = slot.set(kernel);
    names.push(name.to_owned());
    Ok(names.len() as u64)
}

entry! {
    /// Resolves a resident kernel; the number is good for the life of the process.
    fn vinci_kernel(name: *const u8, len: usize, kernel: Out<u64>) {
        let place = kernel.need("kernel")?;
        // SAFETY: the library that calls vouches for its name.
        let name = unsafe { bytes(name, len, "name") }?;
        let name = std::str::from_utf8(name).map_err(|e| Failure::new(INVALID_PARAM, format!("kernel name: {e}")))?;
        place.put(resolve(name)?);
        Ok(())
    }

    /// Launches a kernel of `vinci_kernel`; the arguments are copied.
    fn vinci_launch(handle: Handle, kernel: u64, blocks: u32, args: *const u8, len: usize) {
        let stream = stream::named(handle)?;
        let kernel = (kernel as usize).checked_sub(1).and_then(|index| KERNELS.get(index)?.get());
        let kernel = kernel.ok_or_else(|| invalid("vinci_launch: no such kernel"))?;
        // SAFETY: the library that calls vouches for its arguments.
        let args = if len == 0 { &[] } else { unsafe { bytes(args, len, "args") }? };
        let [aic_cores, aiv_cores] = stream.core_limits();
        let options = LaunchOptions { timeout: device::execute_timeout(), aic_cores, aiv_cores };
        stream.stream.launch_with(kernel, blocks, args, options).map_err(|error| exception::failure_of(&stream, error))
    }

    /// Shows a launch, before (0) or after it (1), to whoever dumps operators.
    fn vinci_dump(handle: Handle, when: u32, shown: In<Shown>) {
        let shown = shown.need("launch")?;
        // SAFETY: the library that calls vouches for what the launch names.
        let (name, args) = unsafe { (bytes(shown.name, shown.name_len, "name")?, bytes(shown.args, shown.args_bytes, "args")?) };
        dump::show(handle, when, dump::Shown { name, args, outputs: shown.outputs })
    }

    /// Reads the elements of a tensor, one behind the other, to `len` bytes. Waits for nothing.
    fn vinci_read(tensor: In<TensorArg>, to: *mut u8, len: usize) {
        let read = dump::Place::of(&tensor.need("tensor")?, false).read()?.bytes;
        if read.len() != len {
            return Err(invalid(format!("vinci_read: a tensor of {} bytes to a place of {len}", read.len())));
        }
        // SAFETY: the library that calls vouches for its place.
        unsafe { std::ptr::copy_nonoverlapping(read.as_ptr(), to, len) };
        Ok(())
    }

    /// Whether work can be given to a stream.
    fn vinci_stream_check(handle: Handle) {
        stream::named(handle).map(drop)
    }

    /// Whether a range lies in one allocation that the device reaches.
    fn vinci_memory_check(address: Address, len: usize) {
        need_address(address, "address")?;
        memory::check_range("memory", DevicePtr(address as u64), len as u64)
            .map_err(crate::code::of_memory)?;
        Ok(())
    }
}

/// What somebody wants to know: which operator launches (1: `vinci_operator_begin` and `_end` are to be called), and
/// what (2: `vinci_dump` is to be called before each launch; 4: and after it).
#[unsafe(no_mangle)]
pub extern "C" fn vinci_observed() -> u32 {
    u32::from(prof::wants_operators()) | dump::wanted()
}

/// Makes later launches of the calling thread those of an operator.
#[unsafe(no_mangle)]
pub extern "C" fn vinci_operator_begin(name: *const u8, len: usize) {
    // SAFETY: the library that calls vouches for its text.
    if let Ok(name) = unsafe { bytes(name, len, "name") } {
        prof::operator_begin(&String::from_utf8_lossy(name));
    }
}

/// Ends [`vinci_operator_begin`].
#[unsafe(no_mangle)]
pub extern "C" fn vinci_operator_end() {
    prof::operator_end();
}

/// Logs a warning of another library, whose own copy of the log goes nowhere.
#[unsafe(no_mangle)]
pub extern "C" fn vinci_warn(text: *const c_char, len: usize) {
    vinci_abi::journal::start();
    // SAFETY: the library that calls vouches for its text.
    if let Ok(text) = unsafe { bytes(text.cast(), len, "text") } {
        log::warn!("{}", String::from_utf8_lossy(text));
    }
}

/// Makes a sentence and a code the calling thread's last.
#[unsafe(no_mangle)]
pub extern "C" fn vinci_set_error(code: i32, text: *const c_char, len: usize) {
    // SAFETY: the library that calls vouches for its text.
    if let Ok(text) = unsafe { bytes(text.cast(), len, "text") } {
        let text = String::from_utf8_lossy(text).into_owned();
        log::debug!("{text}");
        error::set(code, text);
    }
}
