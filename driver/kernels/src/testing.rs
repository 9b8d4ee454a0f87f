//! What the tests of kernels share: a memory, tensors in it, and launches.

use std::cell::UnsafeCell;
use std::ptr::NonNull;

use vinci_hw::args::{ArgsBuilder, ArgsView, DType, TensorArg};

use crate::lane::{Lane, LaneKind, with_lane};
use crate::{Access, Ctx, KernelFault, Memory, lookup};

/// Device address at which the test's memory begins.
pub const BASE: u64 = 0x7_0000_0000;

/// A memory of some words; everything outside it faults.
pub struct Ram(Box<[UnsafeCell<u64>]>);

// SAFETY: accessed through raw pointers only, by kernels that divide it among their threads.
unsafe impl Sync for Ram {}

impl Memory for Ram {
    fn resolve(&self, va: u64, bytes: u64, access: Access) -> Result<NonNull<u8>, KernelFault> {
        let at = va.wrapping_sub(BASE);
        if at.checked_add(bytes).is_none_or(|end| end > self.0.len() as u64 * 8) {
            return Err(KernelFault::Address { va, bytes, write: access == Access::Write, cause: 1 });
        }
        // SAFETY: `at` lies inside the allocation.
        Ok(unsafe { NonNull::new_unchecked(self.0.as_ptr().cast::<u8>().cast_mut().add(at as usize)) })
    }
}

impl Ram {
    pub fn new(bytes: usize) -> Self {
        Self(
            (0..bytes.div_ceil(8))
                .map(|i| UnsafeCell::new((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
                .collect(),
        )
    }

    pub fn bytes(&mut self) -> Vec<u8> {
        self.0.iter_mut().flat_map(|w| w.get_mut().to_ne_bytes()).collect()
    }

    /// Element offsets of `t` in row-major order of its indices.
    fn offsets(t: &TensorArg) -> Vec<i64> {
        let mut all = vec![0];
        for (&d, &s) in t.dims().iter().zip(t.strides()) {
            all = all.iter().flat_map(|&o| (0..d).map(move |i| o + i * s)).collect();
        }
        all
    }

    fn address(&self, t: &TensorArg, offset: i64) -> *mut u8 {
        let size = t.dtype().unwrap().size();
        let va = t.va.wrapping_add_signed(offset * size as i64);
        self.resolve(va, size as u64, Access::Write).unwrap().as_ptr()
    }

    /// Writes the values, in row-major order.
    pub fn write<L: Lane>(&self, t: &TensorArg, values: &[L]) {
        let offsets = Self::offsets(t);
        assert_eq!(offsets.len(), values.len());
        for (o, v) in offsets.into_iter().zip(values) {
            // SAFETY: `address` checked it.
            unsafe { L::storer(t.dtype().unwrap())(self.address(t, o), 1, &[*v]) };
        }
    }

    /// Reads the values, in row-major order.
    pub fn read<L: Lane>(&self, t: &TensorArg) -> Vec<L> {
        let get = |o| {
            let mut v = [L::ZERO];
            // SAFETY: `address` checked it.
            unsafe { L::loader(t.dtype().unwrap())(self.address(t, o), 1, &mut v) };
            v[0]
        };
        Self::offsets(t).into_iter().map(get).collect()
    }

    /// [`Self::read`] as `f64`.
    pub fn floats(&self, t: &TensorArg) -> Vec<f64> {
        with_lane!(crate::lane::lane_of(t.dtype().unwrap()), L => {
            self.read::<L>(t).into_iter().map(crate::arith::Arith::to_f64).collect()
        })
    }

    /// Launches a kernel.
    pub fn launch(&self, name: &str, tensors: &[TensorArg], attrs: &[u64]) -> Result<(), KernelFault> {
        let mut b = ArgsBuilder::<512>::new();
        for t in tensors {
            b.tensor(t).unwrap();
        }
        for &a in attrs {
            b.attr(a).unwrap();
        }
        let (_, kernel) = lookup(name).unwrap_or_else(|| panic!("no kernel {name}"));
        let args = ArgsView::new(b.finish()).unwrap();
        (kernel.estimate)(&args)?;
        (kernel.run)(&Ctx { memory: self, parallel: true }, &args)
    }
}

/// Hands out addresses of a [`Ram`].
pub struct Layout(u64);

impl Layout {
    pub fn new() -> Self {
        Self(BASE)
    }

    /// A contiguous tensor.
    pub fn dense(&mut self, dtype: DType, dims: &[i64]) -> TensorArg {
        let identity: Vec<usize> = (0..dims.len()).collect();
        self.strided(dtype, dims, &identity, 0, 1)
    }

    /// A tensor whose dimension `order[0]` is outermost in memory, spaced by `step` elements; the dimensions
    /// whose bit is set in `flip` run backwards.
    pub fn strided(&mut self, dtype: DType, dims: &[i64], order: &[usize], flip: u8, step: i64) -> TensorArg {
        let mut strides = vec![0; dims.len()];
        let (mut stride, mut first) = (step, 0);
        for &d in order.iter().rev() {
            strides[d] = stride;
            stride *= dims[d].max(1);
            if flip >> d & 1 == 1 {
                first += (dims[d].max(1) - 1) * strides[d];
                strides[d] = -strides[d];
            }
        }
        let size = dtype.size() as i64;
        let t = TensorArg::new(self.0 + (first * size) as u64, dtype, dims, &strides).unwrap();
        self.0 += (stride * size) as u64 + 64;
        self.0 = self.0.next_multiple_of(8);
        t
    }
}

/// Attribute bits of a type.
pub fn ty(dtype: DType) -> u64 {
    u64::from(dtype as u32)
}

/// Attribute bits of a float.
pub fn f(v: f64) -> u64 {
    v.to_bits()
}

/// Which lane `dtype` computes in, for tests that must know.
pub fn is_float(dtype: DType) -> bool {
    matches!(crate::lane::lane_of(dtype), LaneKind::F32 | LaneKind::F64)
}
