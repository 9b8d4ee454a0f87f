//! Whatever the arguments say, a kernel computes or faults; it never panics, hangs or leaves the memory.

use proptest::prelude::*;
use vinci_hw::args::{DType, TensorArg};

use crate::KERNELS;
use crate::testing::{BASE, Ram};

fn dimension() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0i64..4, 2 => Just(17), 1 => Just(1 << 41), 1 => Just(i64::MAX)]
}

fn stride() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -4i64..20, 1 => any::<i64>()]
}

fn tensor() -> impl Strategy<Value = TensorArg> {
    let types = [0u32, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 27].map(|t| DType::from_raw(t).unwrap());
    let place = prop_oneof![8 => BASE + 2048..BASE + 6000, 1 => any::<u64>()];
    let shape = proptest::collection::vec((dimension(), stride()), 0..=8);
    (place, prop::sample::select(types.to_vec()), shape).prop_map(|(va, t, shape)| {
        let (dims, strides): (Vec<_>, Vec<_>) = shape.into_iter().unzip();
        TensorArg::new(va, t, &dims, &strides).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_arguments(
        kernel in 0..KERNELS.len(),
        mut tensors in proptest::collection::vec(tensor(), 0..7),
        same_shape: bool,
        attrs in proptest::collection::vec(prop_oneof![0u64..4, any::<u64>(), Just(1f64.to_bits())], 0..6),
    ) {
        // Mostly refused for their shapes; half of the cases share one.
        if let (true, Some(&first)) = (same_shape, tensors.first()) {
            tensors.iter_mut().for_each(|t| (t.rank, t.dims) = (first.rank, first.dims));
        }
        let ram = Ram::new(8192);
        let _ = ram.launch(KERNELS[kernel].name, &tensors, &attrs);
    }
}
