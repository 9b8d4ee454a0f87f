//! The C libraries as a program sees them: loaded at run time, called by their CANN names.

use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use libloading::Library;

use crate::home;

pub type Handle = *mut c_void;

macro_rules! symbols {
    ($lib:expr, $($field:ident: $type:ty),* $(,)?) => {
        // SAFETY: the types are those of the headers in ffi/include.
        unsafe { ($(*$lib.get::<$type>(stringify!($field).as_bytes()).context(stringify!($field))?),*) }
    };
}

/// AscendCL and the operator library on device 0, with one stream.
pub struct Acl {
    malloc: unsafe extern "C" fn(*mut Handle, usize, i32) -> i32,
    free: unsafe extern "C" fn(Handle) -> i32,
    memcpy: unsafe extern "C" fn(Handle, usize, *const c_void, usize, i32) -> i32,
    synchronize: unsafe extern "C" fn(Handle) -> i32,
    launch: unsafe extern "C" fn(Handle, u64, u32, *const u8, usize) -> i32,
    nop: u64,
    create_tensor:
        unsafe extern "C" fn(*const i64, u64, i32, *const i64, i64, i32, *const i64, u64, Handle) -> Handle,
    matmul_prepare: unsafe extern "C" fn(Handle, Handle, Handle, i8, *mut u64, *mut Handle) -> i32,
    matmul: unsafe extern "C" fn(Handle, u64, Handle, Handle) -> i32,
    create_scalar: unsafe extern "C" fn(*const c_void, i32) -> Handle,
    add_prepare: unsafe extern "C" fn(Handle, Handle, Handle, Handle, *mut u64, *mut Handle) -> i32,
    add: unsafe extern "C" fn(Handle, u64, Handle, Handle) -> i32,
    capture_begin: unsafe extern "C" fn(Handle, i32) -> i32,
    capture_end: unsafe extern "C" fn(Handle, *mut Handle) -> i32,
    execute: unsafe extern "C" fn(Handle, Handle) -> i32,
    softmax_prepare: unsafe extern "C" fn(Handle, i64, Handle, *mut u64, *mut Handle) -> i32,
    softmax: unsafe extern "C" fn(Handle, u64, Handle, Handle) -> i32,
    load: unsafe extern "C" fn(*const c_char, *const c_void, *mut Handle) -> i32,
    unload: unsafe extern "C" fn(Handle) -> i32,
    function: unsafe extern "C" fn(Handle, *const c_char, *mut Handle) -> i32,
    launch_own: LaunchOwn,
    stream: Handle,
    _libraries: (Library, Library),
}

/// aclrtLaunchKernelWithHostArgs.
type LaunchOwn = unsafe extern "C" fn(
    Handle,
    u32,
    Handle,
    *const c_void,
    *const c_void,
    usize,
    *const c_void,
    usize,
) -> i32;

/// The operands of an addition in place, and its factor.
pub struct Adder {
    tensor: Handle,
    alpha: Handle,
}

/// Direction of a copy, as aclrtMemcpyKind.
#[derive(Clone, Copy)]
pub enum Direction {
    /// Host to device.
    ToDevice = 1,
    /// Device to host.
    ToHost = 2,
}

fn ok(what: &str, code: i32) -> Result<()> {
    if code != 0 {
        bail!("{what}: error {code}");
    }
    Ok(())
}

impl Acl {
    /// Loads the libraries of this installation and opens device 0.
    pub fn open() -> Result<Self> {
        let lib = home::find()?.lib;
        // SAFETY: our own libraries, whose initialisation has no requirements.
        let (acl, ops) =
            unsafe { (Library::new(lib.join("libascendcl.so"))?, Library::new(lib.join("libopapi.so"))?) };
        let (init, set_device, create_stream) = symbols!(acl,
            aclInit: unsafe extern "C" fn(*const i8) -> i32,
            aclrtSetDevice: unsafe extern "C" fn(i32) -> i32,
            aclrtCreateStream: unsafe extern "C" fn(*mut Handle) -> i32,
        );
        let (malloc, free, memcpy, synchronize) = symbols!(acl,
            aclrtMalloc: unsafe extern "C" fn(*mut Handle, usize, i32) -> i32,
            aclrtFree: unsafe extern "C" fn(Handle) -> i32,
            aclrtMemcpy: unsafe extern "C" fn(Handle, usize, *const c_void, usize, i32) -> i32,
            aclrtSynchronizeStream: unsafe extern "C" fn(Handle) -> i32,
        );
        // An empty kernel is no operator: it is launched as the operator library launches its kernels.
        let (kernel, launch) = symbols!(acl,
            vinci_kernel: unsafe extern "C" fn(*const u8, usize, *mut u64) -> i32,
            vinci_launch: unsafe extern "C" fn(Handle, u64, u32, *const u8, usize) -> i32,
        );
        let (create_tensor, matmul_prepare, matmul) = symbols!(ops,
            aclCreateTensor: unsafe extern "C" fn(*const i64, u64, i32, *const i64, i64, i32, *const i64, u64, Handle) -> Handle,
            aclnnMatmulGetWorkspaceSize: unsafe extern "C" fn(Handle, Handle, Handle, i8, *mut u64, *mut Handle) -> i32,
            aclnnMatmul: unsafe extern "C" fn(Handle, u64, Handle, Handle) -> i32,
        );
        let (create_scalar, add_prepare, add) = symbols!(ops,
            aclCreateScalar: unsafe extern "C" fn(*const c_void, i32) -> Handle,
            aclnnAddGetWorkspaceSize: unsafe extern "C" fn(Handle, Handle, Handle, Handle, *mut u64, *mut Handle) -> i32,
            aclnnAdd: unsafe extern "C" fn(Handle, u64, Handle, Handle) -> i32,
        );
        let (capture_begin, capture_end, execute) = symbols!(acl,
            aclmdlRICaptureBegin: unsafe extern "C" fn(Handle, i32) -> i32,
            aclmdlRICaptureEnd: unsafe extern "C" fn(Handle, *mut Handle) -> i32,
            aclmdlRIExecuteAsync: unsafe extern "C" fn(Handle, Handle) -> i32,
        );
        let (softmax_prepare, softmax) = symbols!(ops,
            aclnnSoftmaxGetWorkspaceSize: unsafe extern "C" fn(Handle, i64, Handle, *mut u64, *mut Handle) -> i32,
            aclnnSoftmax: unsafe extern "C" fn(Handle, u64, Handle, Handle) -> i32,
        );
        let (load, unload, function, launch_own) = symbols!(acl,
            aclrtBinaryLoadFromFile: unsafe extern "C" fn(*const c_char, *const c_void, *mut Handle) -> i32,
            aclrtBinaryUnLoad: unsafe extern "C" fn(Handle) -> i32,
            aclrtBinaryGetFunction: unsafe extern "C" fn(Handle, *const c_char, *mut Handle) -> i32,
            aclrtLaunchKernelWithHostArgs: LaunchOwn,
        );
        let (mut stream, mut nop) = (std::ptr::null_mut(), 0);
        // SAFETY: called as the headers say; initialising twice is answered with a code that is no matter here.
        unsafe {
            init(std::ptr::null());
            ok("aclrtSetDevice", set_device(0))?;
            ok("aclrtCreateStream", create_stream(&mut stream))?;
            ok("vinci_kernel", kernel(b"nop".as_ptr(), 3, &mut nop))?;
        }
        Ok(Self {
            malloc,
            free,
            memcpy,
            synchronize,
            launch,
            nop,
            create_tensor,
            matmul_prepare,
            matmul,
            create_scalar,
            add_prepare,
            add,
            capture_begin,
            capture_end,
            execute,
            softmax_prepare,
            softmax,
            load,
            unload,
            function,
            launch_own,
            stream,
            _libraries: (acl, ops),
        })
    }

    /// Launches an empty kernel.
    pub fn launch(&self) -> Result<()> {
        // SAFETY: a live stream; no arguments.
        ok("vinci_launch", unsafe { (self.launch)(self.stream, self.nop, 1, std::ptr::null(), 0) })
    }

    /// aclrtSynchronizeStream.
    pub fn synchronize(&self) -> Result<()> {
        // SAFETY: a live stream.
        ok("aclrtSynchronizeStream", unsafe { (self.synchronize)(self.stream) })
    }

    /// aclrtMalloc.
    pub fn malloc(&self, bytes: usize) -> Result<Handle> {
        let mut p = std::ptr::null_mut();
        // SAFETY: the place for the answer is a local.
        ok("aclrtMalloc", unsafe { (self.malloc)(&mut p, bytes, 0) })?;
        Ok(p)
    }

    /// aclrtFree.
    pub fn free(&self, p: Handle) -> Result<()> {
        // SAFETY: the library checks the pointer.
        ok("aclrtFree", unsafe { (self.free)(p) })
    }

    /// aclrtMemcpy of a whole host buffer.
    pub fn copy(&self, device: Handle, host: &mut [u8], direction: Direction) -> Result<()> {
        let p = host.as_mut_ptr().cast();
        let (dst, src) = if matches!(direction, Direction::ToDevice) { (device, p) } else { (p, device) };
        // SAFETY: the host buffer is as long as it says; the library checks the device's.
        ok("aclrtMemcpy", unsafe { (self.memcpy)(dst, host.len(), src, host.len(), direction as i32) })
    }

    /// A square tensor over device memory.
    pub fn square(&self, dtype: i32, n: i64, data: Handle) -> Handle {
        self.matrix(dtype, [n, n], data)
    }

    /// A tensor of rows and columns over device memory.
    pub fn matrix(&self, dtype: i32, dims: [i64; 2], data: Handle) -> Handle {
        let storage = [dims[0] * dims[1]];
        // SAFETY: the arrays are as long as their counts say.
        unsafe {
            (self.create_tensor)(dims.as_ptr(), 2, dtype, std::ptr::null(), 0, 2, storage.as_ptr(), 1, data)
        }
    }

    /// aclnnMatmul, both phases, and the wait for it.
    pub fn matmul(&self, a: Handle, b: Handle, out: Handle) -> Result<()> {
        let (mut size, mut executor) = (0, std::ptr::null_mut());
        // SAFETY: handles that the library checks; places for answers are locals.
        unsafe {
            ok("aclnnMatmulGetWorkspaceSize", (self.matmul_prepare)(a, b, out, 0, &mut size, &mut executor))?;
            let space = if size == 0 { std::ptr::null_mut() } else { self.malloc(size as usize)? };
            ok("aclnnMatmul", (self.matmul)(space, size, executor, self.stream))?;
            ok("aclrtSynchronizeStream", (self.synchronize)(self.stream))?;
            if !space.is_null() {
                self.free(space)?;
            }
        }
        Ok(())
    }

    /// A square float32 tensor that is added to itself.
    pub fn adder(&self, n: usize) -> Result<Adder> {
        let (float32, one) = (0, 1f32);
        let data = self.malloc(n * n * 4)?;
        let tensor = self.square(float32, n as i64, data);
        // SAFETY: the value is a local, which is copied.
        let alpha = unsafe { (self.create_scalar)((&raw const one).cast(), float32) };
        Ok(Adder { tensor, alpha })
    }

    /// aclnnAdd, both phases, submitted.
    pub fn add(&self, of: &Adder) -> Result<()> {
        let (mut size, mut executor) = (0, std::ptr::null_mut());
        // SAFETY: handles that the library checks; places for answers are locals.
        unsafe {
            let prepared =
                (self.add_prepare)(of.tensor, of.tensor, of.alpha, of.tensor, &mut size, &mut executor);
            ok("aclnnAddGetWorkspaceSize", prepared)?;
            ok("aclnnAdd", (self.add)(std::ptr::null_mut(), size, executor, self.stream))
        }
    }

    /// aclmdlRICaptureBegin, forbidding nothing.
    pub fn capture_begin(&self) -> Result<()> {
        let relaxed = 2;
        // SAFETY: a live stream.
        ok("aclmdlRICaptureBegin", unsafe { (self.capture_begin)(self.stream, relaxed) })
    }

    /// aclmdlRICaptureEnd.
    pub fn capture_end(&self) -> Result<Handle> {
        let mut model = std::ptr::null_mut();
        // SAFETY: a live stream; the place for the answer is a local.
        ok("aclmdlRICaptureEnd", unsafe { (self.capture_end)(self.stream, &mut model) })?;
        Ok(model)
    }

    /// aclmdlRIExecuteAsync.
    pub fn execute(&self, model: Handle) -> Result<()> {
        // SAFETY: handles that the library checks.
        ok("aclmdlRIExecuteAsync", unsafe { (self.execute)(model, self.stream) })
    }

    /// aclnnSoftmax along rows, both phases, and the wait for it.
    pub fn softmax(&self, x: Handle, out: Handle) -> Result<()> {
        let (mut size, mut executor) = (0, std::ptr::null_mut());
        // SAFETY: handles that the library checks; places for answers are locals.
        unsafe {
            ok("aclnnSoftmaxGetWorkspaceSize", (self.softmax_prepare)(x, 1, out, &mut size, &mut executor))?;
            let space = if size == 0 { std::ptr::null_mut() } else { self.malloc(size as usize)? };
            ok("aclnnSoftmax", (self.softmax)(space, size, executor, self.stream))?;
            self.synchronize()?;
            if !space.is_null() {
                self.free(space)?;
            }
        }
        Ok(())
    }

    /// aclrtBinaryLoadFromFile.
    pub fn load(&self, code: &Path) -> Result<Handle> {
        let (path, mut binary) = (CString::new(code.as_os_str().as_bytes())?, std::ptr::null_mut());
        // SAFETY: a string that ends with NUL; the place for the answer is a local.
        ok("aclrtBinaryLoadFromFile", unsafe { (self.load)(path.as_ptr(), std::ptr::null(), &mut binary) })?;
        Ok(binary)
    }

    /// aclrtBinaryUnLoad.
    pub fn unload(&self, binary: Handle) -> Result<()> {
        // SAFETY: a handle that the library checks.
        ok("aclrtBinaryUnLoad", unsafe { (self.unload)(binary) })
    }

    /// aclrtBinaryGetFunction.
    pub fn function(&self, binary: Handle, name: &CStr) -> Result<Handle> {
        let mut function = std::ptr::null_mut();
        // SAFETY: as in `load`.
        ok("aclrtBinaryGetFunction", unsafe { (self.function)(binary, name.as_ptr(), &mut function) })?;
        Ok(function)
    }

    /// aclrtLaunchKernelWithHostArgs, of arguments of eight bytes each.
    pub fn launch_own(&self, function: Handle, blocks: u32, args: &[u64]) -> Result<()> {
        let none = std::ptr::null();
        let (at, len) = (args.as_ptr().cast(), size_of_val(args));
        // SAFETY: a live stream, a handle that the library checks, and arguments that it copies.
        ok("aclrtLaunchKernelWithHostArgs", unsafe {
            (self.launch_own)(function, blocks, self.stream, none, at, len, none, 0)
        })
    }
}
