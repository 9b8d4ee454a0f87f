//! In unit tests there is no runtime: launches run at once, on host memory.
#![allow(clippy::missing_safety_doc, missing_docs)]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;

use vinci_hw::args::{ArgsView, TensorArg};
use vinci_kernels::{Access, Ctx, KernelFault, Memory};

thread_local! {
    pub static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
    pub static LAST_WARNING: RefCell<String> = const { RefCell::new(String::new()) };
    /// Whether streams are captured.
    pub static CAPTURING: Cell<bool> = const { Cell::new(false) };
}

struct Host;

impl Memory for Host {
    fn resolve(&self, va: u64, _bytes: u64, _access: Access) -> Result<NonNull<u8>, KernelFault> {
        NonNull::new(va as *mut u8).ok_or(KernelFault::Unsupported("a null tensor"))
    }
}

pub unsafe fn vinci_kernel(name: *const u8, name_len: usize, kernel: *mut u64) -> i32 {
    // SAFETY: the caller passes a live string and a place for the answer.
    unsafe {
        let name = std::str::from_utf8(std::slice::from_raw_parts(name, name_len)).unwrap();
        match vinci_kernels::lookup(name) {
            Some((id, _)) => {
                *kernel = id;
                0
            }
            None => 100_001,
        }
    }
}

pub unsafe fn vinci_launch(_: *mut c_void, kernel: u64, _: u32, args: *const u8, bytes: usize) -> i32 {
    // SAFETY: the caller passes a live block.
    let block = unsafe { std::slice::from_raw_parts(args, bytes) };
    let kernel = vinci_kernels::by_id(kernel).unwrap();
    let args = ArgsView::new(block).unwrap();
    (kernel.estimate)(&args).unwrap();
    (kernel.run)(&Ctx { memory: &Host, parallel: false }, &args)
        .map_err(|e| panic!("{}: {e}", kernel.name))
        .unwrap();
    0
}

pub unsafe fn vinci_stream_check(_: *mut c_void) -> i32 {
    0
}

pub unsafe fn vinci_observed() -> u32 {
    0
}

pub unsafe fn vinci_operator_begin(_: *const u8, _: usize) {}

pub unsafe fn vinci_operator_end() {}

pub unsafe fn vinci_dump(_: *mut c_void, _: u32, _: *const crate::link::Shown) -> i32 {
    0
}

pub unsafe fn vinci_read(tensor: *const TensorArg, to: *mut u8, len: usize) -> i32 {
    // SAFETY: the caller passes a live tensor and place.
    unsafe {
        let t = &*tensor;
        let size = t.dtype().unwrap().size();
        for at in 0..len / size {
            let (mut rest, mut element) = (at as i64, 0);
            for (dim, stride) in t.dims().iter().zip(t.strides()).rev() {
                element += rest % dim * stride;
                rest /= dim;
            }
            let from = (t.va as *const u8).offset(element as isize * size as isize);
            std::ptr::copy_nonoverlapping(from, to.add(at * size), size);
        }
    }
    0
}

pub unsafe fn vinci_warn(text: *const u8, len: usize) {
    // SAFETY: the caller passes a live string.
    let text = unsafe { std::str::from_utf8(std::slice::from_raw_parts(text, len)) }.unwrap().to_string();
    LAST_WARNING.set(text);
}

#[allow(non_snake_case)]
pub unsafe fn aclmdlRICaptureGetInfo(_: *mut c_void, status: *mut i32, _: *mut *mut c_void) -> i32 {
    // SAFETY: the caller passes a live place.
    unsafe { status.write(CAPTURING.get().into()) };
    0
}

#[allow(non_snake_case)]
pub unsafe fn aclrtSynchronizeStream(_: *mut c_void) -> i32 {
    0
}

#[allow(non_snake_case)]
pub unsafe fn aclrtMemcpy(to: *mut c_void, _: usize, from: *const c_void, bytes: usize, _: i32) -> i32 {
    // SAFETY: the caller passes live memory of this size.
    unsafe { std::ptr::copy_nonoverlapping(from.cast::<u8>(), to.cast::<u8>(), bytes) };
    0
}

pub unsafe fn vinci_set_error(_: i32, text: *const u8, len: usize) {
    // SAFETY: the caller passes a live string.
    let text = unsafe { std::str::from_utf8(std::slice::from_raw_parts(text, len)) }.unwrap().to_string();
    LAST_ERROR.set(text);
}

/// What stands for an aclTensorDesc is its content, for an aclopAttr this, for an aclDataBuffer an address and bytes.
pub type Attributes = HashMap<&'static CStr, (u32, Vec<u8>)>;

pub unsafe fn vinci_described(
    description: *const c_void,
    to: *mut crate::link::Described,
    _: *mut u8,
    _: usize,
) -> i32 {
    // SAFETY: the tests pass such; the caller passes a place.
    unsafe { to.write(*description.cast()) };
    0
}

pub unsafe fn vinci_attribute(
    attributes: *const c_void,
    name: *const c_char,
    kind: *mut u32,
    to: *mut u8,
    room: usize,
    len: *mut usize,
) -> i32 {
    // SAFETY: the tests pass such; the caller passes a name and places.
    unsafe {
        let found = (*attributes.cast::<Attributes>()).get(CStr::from_ptr(name));
        let (of, bytes) = found.map_or((0, &[][..]), |(kind, bytes)| (*kind, &bytes[..]));
        kind.write(of);
        len.write(bytes.len());
        if bytes.len() <= room {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }
    0
}

#[allow(non_snake_case)]
pub unsafe fn aclGetDataBufferAddr(buffer: *const c_void) -> u64 {
    // SAFETY: the tests pass such.
    unsafe { (*buffer.cast::<(u64, usize)>()).0 }
}

#[allow(non_snake_case)]
pub unsafe fn aclGetDataBufferSizeV2(buffer: *const c_void) -> usize {
    // SAFETY: the tests pass such.
    unsafe { (*buffer.cast::<(u64, usize)>()).1 }
}

thread_local! {
    /// Memory that operators by name have borrowed.
    static BORROWED: RefCell<HashMap<u64, Vec<u64>>> = RefCell::default();
}

#[allow(non_snake_case)]
pub unsafe fn aclrtMemPoolMallocAsync(to: *mut u64, bytes: usize, _: *mut c_void, _: *mut c_void) -> i32 {
    let memory = vec![0u64; bytes.div_ceil(8)];
    let address = memory.as_ptr() as u64;
    BORROWED.with_borrow_mut(|all| all.insert(address, memory));
    // SAFETY: the caller passes a place.
    unsafe { to.write(address) };
    0
}

#[allow(non_snake_case)]
pub unsafe fn aclrtMemPoolFreeAsync(address: u64, _: *mut c_void) -> i32 {
    if BORROWED.with_borrow_mut(|all| all.remove(&address)).is_some() { 0 } else { 100_000 }
}
