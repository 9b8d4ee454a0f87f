//! What this library uses of libascendcl.so.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::hash::BuildHasherDefault;

use vinci_hw::args::TensorArg;

use crate::objects::ByNumber;

#[cfg(test)]
use crate::host as sys;

#[cfg(not(test))]
mod sys {
    use std::ffi::c_void;

    unsafe extern "C" {
        pub fn vinci_kernel(name: *const u8, name_len: usize, kernel: *mut u64) -> i32;
        pub fn vinci_launch(
            stream: *mut c_void,
            kernel: u64,
            blocks: u32,
            args: *const u8,
            args_bytes: usize,
        ) -> i32;
        pub fn vinci_stream_check(stream: *mut c_void) -> i32;
        pub fn vinci_observed() -> u32;
        pub fn vinci_operator_begin(name: *const u8, name_len: usize);
        pub fn vinci_operator_end();
        pub fn vinci_dump(stream: *mut c_void, when: u32, launch: *const super::Shown) -> i32;
        pub fn vinci_read(tensor: *const super::TensorArg, to: *mut u8, len: usize) -> i32;
        pub fn vinci_warn(text: *const u8, text_len: usize);
        pub fn aclrtSynchronizeStream(stream: *mut c_void) -> i32;
        pub fn aclrtMemcpy(to: *mut c_void, room: usize, from: *const c_void, bytes: usize, kind: i32)
        -> i32;
        pub fn vinci_set_error(code: i32, text: *const u8, text_len: usize);
        pub fn vinci_described(
            description: *const c_void,
            to: *mut super::Described,
            constant: *mut u8,
            room: usize,
        ) -> i32;
        pub fn vinci_attribute(
            attributes: *const c_void,
            name: *const std::ffi::c_char,
            kind: *mut u32,
            to: *mut u8,
            room: usize,
            len: *mut usize,
        ) -> i32;
        pub fn aclGetDataBufferAddr(buffer: *const c_void) -> u64;
        pub fn aclGetDataBufferSizeV2(buffer: *const c_void) -> usize;
        pub fn aclrtMemPoolMallocAsync(
            to: *mut u64,
            bytes: usize,
            pool: *mut c_void,
            stream: *mut c_void,
        ) -> i32;
        pub fn aclrtMemPoolFreeAsync(address: u64, stream: *mut c_void) -> i32;
        pub fn aclmdlRICaptureGetInfo(stream: *mut c_void, status: *mut i32, model: *mut *mut c_void) -> i32;
    }
}

thread_local! {
    /// Ids that were asked for, by where their names are and how long: the other side compares texts under a lock.
    static KERNELS: RefCell<HashMap<(usize, usize), u64, BuildHasherDefault<ByNumber>>> = RefCell::default();
}

/// Id of a resident kernel, good for the life of the process; the AscendCL error code if there is none or no device.
pub fn kernel(name: &'static str) -> Result<u64, i32> {
    let place = (name.as_ptr() as usize, name.len());
    if let Some(id) = KERNELS.with_borrow(|known| known.get(&place).copied()) {
        return Ok(id);
    }
    let mut id = 0;
    // SAFETY: the name and the place for the answer are alive during the call.
    done(unsafe { sys::vinci_kernel(name.as_ptr(), name.len(), &mut id) })?;
    KERNELS.with_borrow_mut(|known| known.insert(place, id));
    Ok(id)
}

/// The code that a call answered as a result.
fn done(code: i32) -> Result<(), i32> {
    if code == 0 { Ok(()) } else { Err(code) }
}

/// What an aclTensorDesc says.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Described {
    /// An `aclDataType`.
    pub dtype: i32,
    /// An `aclMemType`.
    pub memory: i32,
    /// Dimensions.
    pub rank: usize,
    /// The first `rank` count.
    pub dims: [i64; vinci_hw::args::MAX_RANK],
    /// Bytes of the constant that came with it.
    pub constant: usize,
}

/// Reads an aclTensorDesc, and its constant where that fits into `constant`.
pub fn described(description: *const c_void, constant: &mut [u8]) -> Result<Described, i32> {
    let mut found = Described::default();
    // SAFETY: a handle that the other side checks; the places are alive during the call.
    done(unsafe { sys::vinci_described(description, &mut found, constant.as_mut_ptr(), constant.len()) })?;
    Ok(found)
}

/// The kind of an attribute and the bytes of its value; kind 0 if it was not set.
pub fn attribute(attributes: *const c_void, name: &std::ffi::CStr) -> Result<(u32, Vec<u8>), i32> {
    let mut bytes = vec![0; 64];
    loop {
        let (mut kind, mut len) = (0, 0);
        // SAFETY: a handle that the other side checks; name and places are alive during the call.
        done(unsafe {
            let to = bytes.as_mut_ptr();
            sys::vinci_attribute(attributes, name.as_ptr(), &mut kind, to, bytes.len(), &mut len)
        })?;
        let fits = len <= bytes.len();
        bytes.resize(len, 0);
        if fits {
            return Ok((kind, bytes));
        }
    }
}

/// Address and bytes of an aclDataBuffer.
pub fn buffer(buffer: *const c_void) -> (u64, usize) {
    // SAFETY: a handle, which the other side checks.
    unsafe { (sys::aclGetDataBufferAddr(buffer), sys::aclGetDataBufferSizeV2(buffer)) }
}

/// Device memory that work given to the stream from now on may use.
pub fn borrow(bytes: u64, stream: *mut c_void) -> Result<u64, i32> {
    let mut address = 0;
    // SAFETY: the place is alive during the call; the stream is a handle that the other side checks.
    done(unsafe {
        sys::aclrtMemPoolMallocAsync(&mut address, bytes as usize, std::ptr::null_mut(), stream)
    })?;
    Ok(address)
}

/// Gives back what [`borrow`] gave, once the work that the stream has by now is done.
pub fn give_back(address: u64, stream: *mut c_void) -> Result<(), i32> {
    // SAFETY: an address and a handle that the other side checks.
    done(unsafe { sys::aclrtMemPoolFreeAsync(address, stream) })
}

/// Whether what a stream is given is recorded.
pub fn is_captured(stream: *mut c_void) -> Result<bool, i32> {
    let (mut status, mut model) = (0, std::ptr::null_mut());
    // SAFETY: the places are alive during the call; the stream is a handle that the other side checks.
    done(unsafe { sys::aclmdlRICaptureGetInfo(stream, &mut status, &mut model) })?;
    Ok(status != 0)
}

/// Launches a kernel; the arguments are copied before this returns.
pub fn launch(stream: *mut c_void, kernel: u64, args: &[u64]) -> Result<(), i32> {
    // SAFETY: the block is alive during the call; the stream is a handle that the other side checks.
    done(unsafe { sys::vinci_launch(stream, kernel, 1, args.as_ptr().cast(), size_of_val(args)) })
}

/// Whether a stream handle is good.
pub fn check_stream(stream: *mut c_void) -> Result<(), i32> {
    // SAFETY: a handle, which the other side checks.
    done(unsafe { sys::vinci_stream_check(stream) })
}

/// Makes `text` what aclGetRecentErrMsg answers on this thread.
pub fn set_error(code: i32, text: &str) {
    // SAFETY: the text is alive during the call.
    unsafe { sys::vinci_set_error(code, text.as_ptr(), text.len()) }
}

/// A bit of [`observed`]: [`operator_begin`] and [`operator_end`] are to be called.
pub const OPERATORS: u32 = 1;
/// A bit of [`observed`]: launches are to be shown to [`dump`] before they are made.
pub const BEFOREHAND: u32 = 2;
/// A bit of [`observed`]: and after that.
pub const AFTERWARDS: u32 = 4;
/// When a launch is shown.
pub const BEFORE: u32 = 0;
/// As [`BEFORE`].
pub const AFTER: u32 = 1;

/// A launch as it is shown.
#[repr(C)]
pub struct Shown {
    name: *const u8,
    name_len: usize,
    args: *const u64,
    args_bytes: usize,
    outputs: usize,
}

/// Whether anybody wants to know of operators: not 0.
pub fn observed() -> u32 {
    // SAFETY: takes nothing.
    unsafe { sys::vinci_observed() }
}

/// Makes later launches of this thread those of operator `name`.
pub fn operator_begin(name: &str) {
    // SAFETY: the name is alive during the call.
    unsafe { sys::vinci_operator_begin(name.as_ptr(), name.len()) }
}

/// Ends [`operator_begin`].
pub fn operator_end() {
    // SAFETY: takes nothing.
    unsafe { sys::vinci_operator_end() }
}

/// Shows a launch, whose first `outputs` tensors are outputs.
#[cold]
pub fn dump(
    stream: *mut c_void,
    when: u32,
    name: &'static str,
    outputs: usize,
    args: &[u64],
) -> Result<(), i32> {
    let (name, name_len) = (name.as_ptr(), name.len());
    let shown = Shown { name, name_len, args: args.as_ptr(), args_bytes: size_of_val(args), outputs };
    // SAFETY: all that `shown` names is alive during the call; the stream is a handle that the other side checks.
    done(unsafe { sys::vinci_dump(stream, when, &shown) })
}

/// Reads the elements of a tensor, one behind the other: `bytes` of them.
pub fn read(tensor: &TensorArg, bytes: usize) -> Result<Vec<u8>, i32> {
    let mut to = vec![0; bytes];
    // SAFETY: the tensor and the place are alive during the call.
    done(unsafe { sys::vinci_read(tensor, to.as_mut_ptr(), bytes) })?;
    Ok(to)
}

/// Shows a warning in the log.
pub fn warn(text: &str) {
    // SAFETY: the text is alive during the call.
    unsafe { sys::vinci_warn(text.as_ptr(), text.len()) }
}

/// Waits for a stream.
pub fn wait(stream: *mut c_void) -> Result<(), i32> {
    // SAFETY: a handle, which the other side checks.
    done(unsafe { sys::aclrtSynchronizeStream(stream) })
}

/// Waits for a stream, then reads an integer that work on it left at a device address.
pub fn read_back(stream: *mut c_void, address: u64) -> Result<i64, i32> {
    const DEVICE_TO_HOST: i32 = 2;
    let mut value = 0i64;
    wait(stream)?;
    // SAFETY: an address that the other side checks; the value is alive during the call.
    done(unsafe {
        sys::aclrtMemcpy((&raw mut value).cast(), 8, address as *const c_void, 8, DEVICE_TO_HOST)
    })?;
    Ok(value)
}
