//! The peer for launches: an empty kernel on PoCL, through OpenCL loaded at run time.

use std::ffi::{CStr, c_void};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use libloading::Library;

use super::Effort;

type Object = *mut c_void;

/// How to get it.
pub const MISSING: &str = "missing: apt-get install pocl-opencl-icd ocl-icd-libopencl1";

type Enqueue = unsafe extern "C" fn(
    Object,
    Object,
    u32,
    *const usize,
    *const usize,
    *const usize,
    u32,
    *const Object,
    *mut Object,
) -> i32;

/// A queue and an empty kernel.
pub struct Pocl {
    enqueue: Enqueue,
    finish: unsafe extern "C" fn(Object) -> i32,
    queue: Object,
    kernel: Object,
    _library: Library,
}

fn ok(what: &str, code: i32) -> Result<()> {
    if code != 0 {
        bail!("{what}: OpenCL error {code}");
    }
    Ok(())
}

impl Pocl {
    /// Opens PoCL's device and compiles an empty kernel.
    pub fn open() -> Result<Self> {
        // SAFETY: the loader of OpenCL has no requirements; the types below are those of CL/cl.h.
        unsafe {
            let lib = Library::new("libOpenCL.so.1").context(MISSING)?;
            macro_rules! f {
                ($name:literal, $type:ty) => {
                    *lib.get::<$type>($name).context(MISSING)?
                };
            }
            type Ids = unsafe extern "C" fn(u32, *mut Object, *mut u32) -> i32;
            type Info = unsafe extern "C" fn(Object, u32, usize, *mut c_void, *mut usize) -> i32;
            type Devices = unsafe extern "C" fn(Object, u64, u32, *mut Object, *mut u32) -> i32;
            type Context_ =
                unsafe extern "C" fn(*const isize, u32, *const Object, Object, Object, *mut i32) -> Object;
            type Queue = unsafe extern "C" fn(Object, Object, u64, *mut i32) -> Object;
            type Source =
                unsafe extern "C" fn(Object, u32, *const *const i8, *const usize, *mut i32) -> Object;
            type Build = unsafe extern "C" fn(Object, u32, *const Object, *const i8, Object, Object) -> i32;
            type Kernel = unsafe extern "C" fn(Object, *const i8, *mut i32) -> Object;
            let mut platforms = [std::ptr::null_mut(); 16];
            let mut count = 0;
            ok("clGetPlatformIDs", f!(b"clGetPlatformIDs", Ids)(16, platforms.as_mut_ptr(), &mut count))?;
            let info = f!(b"clGetPlatformInfo", Info);
            let is_pocl = |&p: &Object| {
                let mut name = [0u8; 256];
                let name_of_platform = 0x0902;
                info(p, name_of_platform, 255, name.as_mut_ptr().cast(), std::ptr::null_mut()) == 0
                    && CStr::from_bytes_until_nul(&name)
                        .is_ok_and(|n| n.to_string_lossy().contains("Portable"))
            };
            let platform = platforms[..count as usize].iter().copied().find(is_pocl).context(MISSING)?;
            let mut device = std::ptr::null_mut();
            let all = 0xffff_ffff;
            ok(
                "clGetDeviceIDs",
                f!(b"clGetDeviceIDs", Devices)(platform, all, 1, &mut device, std::ptr::null_mut()),
            )?;
            let (mut e, null) = (0, std::ptr::null_mut());
            let context = f!(b"clCreateContext", Context_)(std::ptr::null(), 1, &device, null, null, &mut e);
            ok("clCreateContext", e)?;
            let queue = f!(b"clCreateCommandQueue", Queue)(context, device, 0, &mut e);
            ok("clCreateCommandQueue", e)?;
            let text = c"__kernel void empty(void) {}".as_ptr();
            let program =
                f!(b"clCreateProgramWithSource", Source)(context, 1, &text, std::ptr::null(), &mut e);
            ok("clCreateProgramWithSource", e)?;
            let none = c"".as_ptr();
            ok("clBuildProgram", f!(b"clBuildProgram", Build)(program, 1, &device, none, null, null))?;
            let kernel = f!(b"clCreateKernel", Kernel)(program, c"empty".as_ptr(), &mut e);
            ok("clCreateKernel", e)?;
            let enqueue = f!(b"clEnqueueNDRangeKernel", Enqueue);
            let finish = f!(b"clFinish", unsafe extern "C" fn(Object) -> i32);
            Ok(Self { enqueue, finish, queue, kernel, _library: lib })
        }
    }

    fn launch(&self) -> Result<()> {
        let one = 1usize;
        let (none, null) = (std::ptr::null(), std::ptr::null_mut());
        // SAFETY: live objects; one work item.
        let code = unsafe {
            (self.enqueue)(self.queue, self.kernel, 1, none, &one, &one, 0, std::ptr::null(), null)
        };
        ok("clEnqueueNDRangeKernel", code)
    }

    fn finish(&self) -> Result<()> {
        // SAFETY: a live queue.
        ok("clFinish", unsafe { (self.finish)(self.queue) })
    }

    /// Launches per second over a turn.
    pub fn rate(&self, effort: Effort) -> Result<f64> {
        let (start, mut n) = (Instant::now(), 0);
        while start.elapsed() < effort.turn {
            // PoCL keeps what was enqueued until it is finished: do not let it grow without end.
            (0..10_000).try_for_each(|_| self.launch())?;
            self.finish()?;
            n += 10_000;
        }
        Ok(f64::from(n) / start.elapsed().as_secs_f64())
    }

    /// Median µs of a launch and the wait for it.
    pub fn round_trip(&self, effort: Effort) -> Result<f64> {
        let mut times = Vec::new();
        let start = Instant::now();
        while start.elapsed() < effort.turn / 2 {
            let t = Instant::now();
            self.launch()?;
            self.finish()?;
            times.push(t.elapsed().as_secs_f64() * 1e6);
        }
        super::median(&times).context("no launch ended in time")
    }
}
