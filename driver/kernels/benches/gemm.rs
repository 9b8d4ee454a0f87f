//! Matrix products beside OpenBLAS, where it is installed: `cargo bench -p vinci-kernels --bench gemm`.

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;
use std::time::Instant;

use vinci_hw::args::{ArgsBuilder, ArgsView, DType, TensorArg};
use vinci_kernels::{Access, Ctx, KernelFault, Memory, lookup};

/// Host memory at its own address.
struct Flat;

impl Memory for Flat {
    fn resolve(&self, va: u64, bytes: u64, access: Access) -> Result<NonNull<u8>, KernelFault> {
        let fault = KernelFault::Address { va, bytes, write: access == Access::Write, cause: 0 };
        NonNull::new(va as *mut u8).ok_or(fault)
    }
}

type Sgemm = unsafe extern "C" fn(
    i32,
    i32,
    i32,
    i32,
    i32,
    i32,
    f32,
    *const f32,
    i32,
    *const f32,
    i32,
    f32,
    *mut f32,
    i32,
);

fn openblas() -> Option<Sgemm> {
    let open = |name: &CStr| {
        // SAFETY: the name is a C string.
        NonNull::new(unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) })
    };
    let library = open(c"libopenblas.so.0")?;
    // SAFETY: the library is open, the name is a C string.
    let symbol = NonNull::new(unsafe { libc::dlsym(library.as_ptr(), c"cblas_sgemm".as_ptr()) })?;
    // SAFETY: the CBLAS interface declares it so.
    Some(unsafe { std::mem::transmute::<*mut c_void, Sgemm>(symbol.as_ptr()) })
}

/// Best time of some runs, in seconds.
fn best(flops: f64, mut run: impl FnMut()) -> f64 {
    run();
    let runs = (4e11 / flops).clamp(2.0, 2000.0) as usize;
    (0..runs)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

fn product(dtype: DType, (m, n, k): (usize, usize, usize), transposed: bool, buffers: &[Vec<u32>]) -> f64 {
    let dense = |i: usize, r: usize, c: usize, transposed: bool| {
        let strides = if transposed { [1, r as i64] } else { [c as i64, 1] };
        TensorArg::new(buffers[i].as_ptr() as u64, dtype, &[r as i64, c as i64], &strides).unwrap()
    };
    let mut block = ArgsBuilder::<256>::new();
    for t in [dense(2, m, n, false), dense(0, m, k, transposed), dense(1, k, n, transposed)] {
        block.tensor(&t).unwrap();
    }
    block.attr_f64(1.0).unwrap().attr_f64(0.0).unwrap().attr(0).unwrap();
    let args = ArgsView::new(block.finish()).unwrap();
    let (_, kernel) = lookup("matmul").unwrap();
    let flops = 2.0 * (m * n * k) as f64;
    best(flops, || (kernel.run)(&Ctx { memory: &Flat, parallel: true }, &args).unwrap())
}

fn main() {
    let openblas = openblas();
    println!(
        "{:>18} {:>10} {:>8} {:>8} {:>8} {:>8}   GFLOP/s",
        "m n k", "openblas", "f32", "f32 T", "bf16", "f16"
    );
    for shape in [(128, 10, 64), (128, 64, 128), (512, 512, 512), (1024, 1024, 1024), (4096, 4096, 4096)] {
        let (m, n, k) = shape;
        let flops = 2.0 * (m * n * k) as f64;
        let rate = |seconds: f64| flops / seconds / 1e9;
        // 0x3f80_3f80 is 1.0 and a little in f32, 1.0 twice in bfloat16.
        let buffers: Vec<_> = [m * k, k * n, m * n].iter().map(|&n| vec![0x3f80_3f80u32; n]).collect();
        let peer = openblas.map_or(f64::NAN, |sgemm| {
            let mut c = vec![0f32; m * n];
            let (a, b) = (buffers[0].as_ptr().cast(), buffers[1].as_ptr().cast());
            let [m, n, k] = [m, n, k].map(|v| v as i32);
            // SAFETY: row-major matrices of these sizes.
            best(flops, || unsafe { sgemm(101, 111, 111, m, n, k, 1.0, a, k, b, n, 0.0, c.as_mut_ptr(), n) })
        });
        println!(
            "{:>18} {:>10.1} {:>8.1} {:>8.1} {:>8.1} {:>8.1}",
            format!("{m} {n} {k}"),
            rate(peer),
            rate(product(DType::F32, shape, false, &buffers)),
            rate(product(DType::F32, shape, true, &buffers)),
            rate(product(DType::BF16, shape, false, &buffers)),
            rate(product(DType::F16, shape, false, &buffers)),
        );
    }
}
