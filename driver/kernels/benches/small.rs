//! Time of a launch for small shapes: `cargo bench -p vinci-kernels --bench small`.

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

/// Time of one launch in nanoseconds.
fn launch(name: &str, tensors: &[TensorArg], attrs: &[u64]) -> f64 {
    let mut block = ArgsBuilder::<256>::new();
    for t in tensors {
        block.tensor(t).unwrap();
    }
    for &a in attrs {
        block.attr(a).unwrap();
    }
    let args = ArgsView::new(block.finish()).unwrap();
    let (_, kernel) = lookup(name).unwrap();
    let batch = |n: u32| {
        let start = Instant::now();
        for _ in 0..n {
            (kernel.run)(&Ctx { memory: &Flat, parallel: true }, &args).unwrap();
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(n)
    };
    let n = (2e6 / batch(3)).clamp(3.0, 1e5) as u32;
    (0..20).map(|_| batch(n)).fold(f64::INFINITY, f64::min)
}

fn main() {
    let mut storage = vec![vec![0x3f80_3f80u32; 1 << 22]; 4];
    let bases: Vec<u64> = storage.iter_mut().map(|s| s.as_mut_ptr() as u64).collect();
    let tensor = |i: usize, t: DType, dims: &[i64], strides: &[i64]| {
        TensorArg::new(bases[i], t, dims, strides).unwrap()
    };
    let row = |label: &str, ns: f64| println!("{label:<44} {:>10.2} µs", ns / 1e3);
    let one = 1f64.to_bits();
    for t in [DType::F32, DType::BF16] {
        let ty = u64::from(t as u32);
        for n in [100, 10_000, 1_000_000] {
            let v = |i| tensor(i, t, &[n], &[1]);
            row(&format!("add {t:?} {n}"), launch("add", &[v(0), v(1), v(2)], &[ty, one, 1]));
            row(&format!("mul_s {t:?} {n}"), launch("mul_s", &[v(0), v(1)], &[ty, one, 1]));
            row(&format!("exp {t:?} {n}"), launch("exp", &[v(0), v(1)], &[ty]));
            row(&format!("tanh {t:?} {n}"), launch("tanh", &[v(0), v(1)], &[ty]));
            row(&format!("copy {t:?} {n}"), launch("copy", &[v(0), v(1)], &[]));
            row(
                &format!("reduce_sum {t:?} {n}"),
                launch("reduce_sum", &[tensor(0, t, &[1], &[1]), v(1)], &[ty]),
            );
        }
    }
    let t = DType::F32;
    for (r, c) in [(128, 10), (128, 128), (1000, 1000)] {
        let m = |i| tensor(i, t, &[r, c], &[c, 1]);
        let bias = tensor(2, t, &[r, c], &[0, 1]);
        row(&format!("add bias {r} {c}"), launch("add", &[m(0), m(1), bias], &[0, one, 1]));
        row(
            &format!("copy transposed {r} {c}"),
            launch("copy", &[m(0), tensor(1, t, &[r, c], &[1, r])], &[]),
        );
        row(&format!("log_softmax {r} {c}"), launch("log_softmax", &[m(0), m(1)], &[1]));
        row(
            &format!("reduce_sum rows {r} {c}"),
            launch("reduce_sum", &[tensor(0, t, &[r, 1], &[1, 1]), m(1)], &[0]),
        );
        row(
            &format!("reduce_sum columns {r} {c}"),
            launch("reduce_sum", &[tensor(0, t, &[1, c], &[c, 1]), m(1)], &[0]),
        );
        row(
            &format!("argmax {r} {c}"),
            launch("argmax", &[tensor(0, DType::I64, &[r, 1], &[1, 1]), m(1)], &[1]),
        );
    }
    for (m, n, k) in [(1, 10, 64), (128, 10, 64), (128, 64, 64), (128, 128, 64), (64, 128, 128)] {
        let v = |i, r: i64, c: i64| tensor(i, t, &[r, c], &[c, 1]);
        row(
            &format!("matmul {m} {n} {k}"),
            launch("matmul", &[v(0, m, n), v(1, m, k), v(2, k, n)], &[one, 0, 0]),
        );
    }
}
