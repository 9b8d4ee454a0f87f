//! The resident kernels of the device: what aclnn operators launch.
//!
//! A kernel gets its arguments as an [`ArgsView`] and sees memory only through [`Memory`], the device's MMU.
//! [`lookup`] finds one by name; [`Kernel::estimate`] says what it will cost before it runs, from the shapes
//! alone, so that the scheduler can place it and the model clock can charge it.

use std::fmt;
use std::ptr::NonNull;

use vinci_hw::args::{ArgsError, ArgsView};

mod activation;
#[cfg(test)]
mod argument_tests;
mod arith;
mod attention;
mod attention_gradient;
#[cfg(test)]
mod attention_tests;
mod bag;
mod bins;
mod bitwise;
mod columns;
mod compare;
mod complex;
mod cost;
mod ctc;
mod distance;
mod draw;
mod elementwise;
#[cfg(test)]
mod elementwise_tests;
mod found;
mod grid;
mod half_float;
mod index;
mod indexing;
mod lane;
mod linalg;
mod loss;
mod math;
mod matmul;
mod moe;
mod movement;
mod norm;
mod norm_backward;
mod optimizer;
mod order;
mod pointwise;
mod pool;
mod quantized;
mod random;
mod recurrent;
mod reduce;
#[cfg(test)]
mod reduce_tests;
mod registry;
mod resample;
mod rotary;
mod rows;
mod scan;
mod scratch;
mod simd;
mod softmax;
mod sort;
mod ternary;
#[cfg(test)]
mod testing;
mod tile;
mod training;
mod triangle;
mod unary;
mod view;

pub use registry::KERNELS;

/// What a kernel does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Loads.
    Read,
    /// Stores, or loads and stores.
    Write,
}

/// The device's memory as work in one address space sees it.
pub trait Memory: Sync {
    /// Pointer to `bytes` contiguous bytes at `va`; good until the kernel returns. Others may access the
    /// bytes at the same time, so no reference to them is ever made.
    fn resolve(&self, va: u64, bytes: u64, access: Access) -> Result<NonNull<u8>, KernelFault>;
}

/// Why a kernel stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelFault {
    /// An address could not be used.
    Address {
        /// First address that could not.
        va: u64,
        /// Bytes of the access.
        bytes: u64,
        /// Whether it was a store.
        write: bool,
        /// Which `drm_vinci_fault_cause` it is.
        cause: u32,
    },
    /// The argument block is not what this kernel takes.
    Args(ArgsError),
    /// The kernel does not compute this; which type or shape.
    Unsupported(&'static str),
    /// The data makes the kernel trap, such as a class index out of range.
    Exception {
        /// What happened.
        what: &'static str,
        /// The value that caused it.
        value: i64,
    },
}

impl From<ArgsError> for KernelFault {
    fn from(e: ArgsError) -> Self {
        Self::Args(e)
    }
}

impl fmt::Display for KernelFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { va, bytes, write, .. } => {
                write!(f, "{} of {bytes} bytes at {va:#x}", if *write { "store" } else { "load" })
            }
            Self::Args(e) => e.fmt(f),
            Self::Unsupported(what) => write!(f, "not computed by this kernel: {what}"),
            Self::Exception { what, value } => write!(f, "{what}: {value}"),
        }
    }
}

impl std::error::Error for KernelFault {}

/// What a launch costs, from its shapes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Multiply-adds on the cube cores, times two.
    pub cube_flops: u64,
    /// Bytes of an element that the cube multiplies (4, 2 or 1).
    pub cube_element: u8,
    /// Operations on the vector cores.
    pub vector_ops: u64,
    /// Bytes from HBM.
    pub bytes_read: u64,
    /// Bytes to HBM.
    pub bytes_written: u64,
}

/// Which cores a kernel occupies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoreType {
    /// Cube.
    Aic,
    /// Vector.
    Aiv,
    /// Both.
    Mix,
}

/// What a kernel may use while it runs.
pub struct Ctx<'a> {
    /// The address space.
    pub memory: &'a dyn Memory,
    /// Whether rayon may be used; without it the kernel stays on this thread.
    pub parallel: bool,
}

/// A resident kernel.
pub struct Kernel {
    /// What a program asks for.
    pub name: &'static str,
    /// Cores it occupies.
    pub core: CoreType,
    /// What a launch costs; never touches memory.
    pub estimate: fn(&ArgsView<'_>) -> Result<Work, ArgsError>,
    /// Runs a launch.
    pub run: fn(&Ctx<'_>, &ArgsView<'_>) -> Result<(), KernelFault>,
}

/// The kernel of an id.
pub fn by_id(id: u64) -> Option<&'static Kernel> {
    KERNELS.get(usize::try_from(id.checked_sub(1)?).ok()?)
}

/// A kernel and its id, by name.
pub fn lookup(name: &str) -> Option<(u64, &'static Kernel)> {
    KERNELS.iter().position(|k| k.name == name).map(|i| (i as u64 + 1, &KERNELS[i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_agree() {
        for k in KERNELS {
            let (id, found) = lookup(k.name).unwrap();
            assert!(
                std::ptr::eq(found, k) && std::ptr::eq(by_id(id).unwrap(), k),
                "{} is declared twice",
                k.name
            );
        }
        assert!(by_id(0).is_none() && by_id(KERNELS.len() as u64 + 1).is_none() && lookup("").is_none());
    }
}
