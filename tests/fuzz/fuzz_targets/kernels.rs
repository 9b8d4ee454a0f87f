//! Every resident kernel, with arguments of any type, shape and place: it computes or refuses, and stays within what
//! is mapped (AddressSanitizer sees what it does in this process).
#![no_main]

use std::sync::{Mutex, OnceLock};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use vinci_fuzz::{Bench, MIB};
use vinci_hw::args::{ArgsBuilder, DType, TensorArg};
use vinci_hw::sqe;

#[derive(Arbitrary, Debug)]
struct Tensor {
    place: u32,
    /// In the part that may only be read, or anywhere.
    odd: Option<u64>,
    dtype: u8,
    /// Length and stride of each dimension.
    dims: Vec<(u8, Stride)>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Stride {
    /// As a tensor without gaps has it.
    Dense,
    Small(i8),
    Any(i64),
}

#[derive(Arbitrary, Debug)]
enum Attribute {
    Small(i8),
    Real(f32),
    Type(u8),
    Any(u64),
}

#[derive(Arbitrary, Debug)]
struct Launch {
    kernel: u16,
    /// How far the lengths go: most kernels want several tensors of one shape.
    same: bool,
    tensors: Vec<Tensor>,
    attributes: Vec<Attribute>,
    fill: u8,
}

/// Elements of a tensor at most: kernels are quadratic and worse in some lengths.
const ELEMENTS: i64 = 256;

fn dtype(raw: u8) -> DType {
    let all: Vec<_> = (0..64).filter_map(DType::from_raw).collect();
    all[usize::from(raw) % all.len()]
}

fn tensor(b: &Bench, t: &Tensor, shape: &[(u8, Stride)], dtype: DType) -> Option<TensorArg> {
    let mut left = ELEMENTS;
    let dims: Vec<i64> = shape
        .iter()
        .take(8)
        .map(|&(n, _)| {
            let n = i64::from(n % 17).min(left);
            left /= n.max(1);
            n
        })
        .collect();
    let mut strides = vec![0; dims.len()];
    let mut dense = 1;
    for i in (0..dims.len()).rev() {
        strides[i] = match shape[i].1 {
            Stride::Dense => dense,
            Stride::Small(n) => n.into(),
            Stride::Any(n) => n,
        };
        dense *= dims[i].max(1);
    }
    let va = match t.odd {
        None => b.va + 65536 + u64::from(t.place) % (MIB - 65536),
        Some(n) if n % 2 == 0 => b.constant + n % MIB,
        Some(n) => n,
    };
    TensorArg::new(va, dtype, &dims, &strides)
}

fuzz_target!(|launch: Launch| {
    static BENCH: OnceLock<Mutex<Bench>> = OnceLock::new();
    let mut b = BENCH.get_or_init(Mutex::default).lock().expect("no panic before");
    let mut args = ArgsBuilder::<512>::new();
    let first = launch.tensors.first();
    for t in launch.tensors.iter().take(12) {
        let like = first.filter(|_| launch.same).unwrap_or(t);
        let Some(arg) = tensor(&b, t, &like.dims, dtype(like.dtype)) else { return };
        if args.tensor(&arg).is_err() {
            return;
        }
    }
    for a in launch.attributes.iter().take(32) {
        let done = match *a {
            Attribute::Small(n) => args.attr_i64(n.into()),
            Attribute::Real(x) => args.attr_f64(x.into()),
            Attribute::Type(n) => args.attr_dtype(dtype(n)),
            Attribute::Any(bits) => args.attr(bits),
        };
        if done.is_err() {
            return;
        }
    }
    let block = args.finish().to_vec();
    b.write(0, &vec![launch.fill; MIB as usize]);
    b.write(0, &block);
    // One more than there are kernels now: an id of none is a case, too.
    let id = u64::from(launch.kernel) % 768;
    let entry = sqe::kernel(id, 1, b.va, block.len() as u32, 10_000);
    b.submit(&[entry]);
    b.settle();
});
