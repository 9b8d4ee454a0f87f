//! The types that kernels compute in, and the way between them and the types that memory holds.
//!
//! Memory holds thirteen types, kernels compute in five: f16 and bf16 in `f32`, small integers in `i32`. A
//! result that is wider than the stored type wraps there, as it would have in the narrow type.

use half::{bf16, f16};
use vinci_hw::args::DType;

use crate::half_float::{load_f16, store_f16};
use crate::simd::{Task, vectorize};

/// Elements that a kernel holds at once: its unified buffer.
pub const TILE: usize = 512;

/// Which [`Lane`] a type computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneKind {
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `i32`
    I32,
    /// `i64`
    I64,
    /// `u64`
    U64,
}

/// The lane in which values of `dtype` compute.
pub fn lane_of(dtype: DType) -> LaneKind {
    match dtype {
        DType::F32 | DType::F16 | DType::BF16 => LaneKind::F32,
        // Arguments of complex types are refused before a kernel runs.
        DType::F64 | DType::C64 | DType::C128 => LaneKind::F64,
        DType::I64 | DType::U32 => LaneKind::I64,
        DType::U64 => LaneKind::U64,
        DType::I8 | DType::U8 | DType::I16 | DType::U16 | DType::I32 | DType::Bool => LaneKind::I32,
    }
}

/// The lane that holds the values of both types.
pub fn common_lane(a: DType, b: DType) -> LaneKind {
    join(lane_of(a), lane_of(b))
}

/// The lane that holds the values of both lanes.
pub fn join(a: LaneKind, b: LaneKind) -> LaneKind {
    use LaneKind::{F32, F64, I32, I64, U64};
    match (a, b) {
        (F64, _) | (_, F64) => F64,
        (F32, _) | (_, F32) => F32,
        (U64, U64) => U64,
        (I32, I32) => I32,
        (I64 | U64, _) | (_, I64 | U64) => I64,
    }
}

/// Evaluates `$body` with the type name `$L` standing for the lane of a kind.
macro_rules! with_lane {
    ($kind:expr, $L:ident => $body:expr) => {
        match $kind {
            $crate::lane::LaneKind::F32 => {
                type $L = f32;
                $body
            }
            $crate::lane::LaneKind::F64 => {
                type $L = f64;
                $body
            }
            $crate::lane::LaneKind::I32 => {
                type $L = i32;
                $body
            }
            $crate::lane::LaneKind::I64 => {
                type $L = i64;
                $body
            }
            $crate::lane::LaneKind::U64 => {
                type $L = u64;
                $body
            }
        }
    };
}
pub(crate) use with_lane;

/// A type that memory holds, on its way to and from the lane `L`. Floats saturate when they become integers
/// (NaN becomes 0), integers wrap.
pub trait Stored<L>: Copy {
    /// To the lane.
    fn widen(self) -> L;
    /// From the lane.
    fn narrow(v: L) -> Self;
}

macro_rules! stored {
    ($($T:ty),*) => { $(stored!(@lanes $T: f32, f64, i32, i64, u64);)* };
    (@lanes $T:ty: $($L:ty),*) => { $(
        impl Stored<$L> for $T {
            #[inline(always)]
            fn widen(self) -> $L { self as $L }
            #[inline(always)]
            fn narrow(v: $L) -> Self { v as $T }
        }
    )* };
}
stored!(f32, f64, i8, i16, i32, i64, u8, u16, u32, u64);

/// A byte that means false or true.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Boolean(u8);

/// bfloat16 as bits.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Bf16(u16);

/// binary16 as bits.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct F16(u16);

/// The nearest bfloat16, ties to even; without branches, so that loops vectorise.
#[inline(always)]
pub fn bf16_bits(v: f32) -> u16 {
    let bits = v.to_bits();
    let rounded = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
    if v.is_nan() { (bits >> 16) as u16 | 0x40 } else { rounded }
}

macro_rules! stored_small {
    ($($L:ty),*) => { $(
        impl Stored<$L> for Boolean {
            #[inline(always)]
            fn widen(self) -> $L { (self.0 != 0) as u8 as $L }
            #[inline(always)]
            fn narrow(v: $L) -> Self { Self((v != 0 as $L) as u8) }
        }
    )* };
}
stored_small!(f32, f64, i32, i64, u64);

macro_rules! stored_half {
    ($($L:ty),*) => { $(
        impl Stored<$L> for Bf16 {
            #[inline(always)]
            fn widen(self) -> $L { f32::from_bits(u32::from(self.0) << 16) as $L }
            #[inline(always)]
            fn narrow(v: $L) -> Self { Self(bf16_bits(v as f32)) }
        }
        impl Stored<$L> for F16 {
            #[inline(always)]
            fn widen(self) -> $L { f16::from_bits(self.0).to_f32() as $L }
            #[inline(always)]
            fn narrow(v: $L) -> Self { Self(f16::from_f32(v as f32).to_bits()) }
        }
    )* };
}
stored_half!(f32, i32, i64, u64);

impl Stored<f64> for Bf16 {
    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(f32::from_bits(u32::from(self.0) << 16))
    }
    #[inline(always)]
    fn narrow(v: f64) -> Self {
        Self(bf16::from_f64(v).to_bits())
    }
}

impl Stored<f64> for F16 {
    #[inline(always)]
    fn widen(self) -> f64 {
        f16::from_bits(self.0).to_f64()
    }
    #[inline(always)]
    fn narrow(v: f64) -> Self {
        Self(f16::from_f64(v).to_bits())
    }
}

/// Reads `out.len()` elements that lie `stride` elements apart.
///
/// # Safety
/// Each of those elements must lie in memory that may be read.
pub type Load<L> = unsafe fn(from: *const u8, stride: isize, out: &mut [L]);

/// Writes the elements of `values` `stride` elements apart.
///
/// # Safety
/// Each of those elements must lie in memory that may be written.
pub type Store<L> = unsafe fn(to: *mut u8, stride: isize, values: &[L]);

struct LoadTask<'a, T, L> {
    from: *const T,
    stride: isize,
    out: &'a mut [L],
}

impl<T: Stored<L>, L: Copy> Task for LoadTask<'_, T, L> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let Self { from, stride, out } = self;
        // SAFETY: `Load`'s contract: element `i * stride` may be read, aligned or not.
        unsafe {
            match stride {
                0 => out.fill(from.read_unaligned().widen()),
                1 => out.iter_mut().enumerate().for_each(|(i, o)| *o = from.add(i).read_unaligned().widen()),
                _ => {
                    for (i, o) in out.iter_mut().enumerate() {
                        *o = from.offset(i as isize * stride).read_unaligned().widen();
                    }
                }
            }
        }
    }
}

struct StoreTask<'a, T, L> {
    to: *mut T,
    stride: isize,
    values: &'a [L],
}

impl<T: Stored<L>, L: Copy> Task for StoreTask<'_, T, L> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let Self { to, stride, values } = self;
        // SAFETY: `Store`'s contract: element `i * stride` may be written, aligned or not.
        unsafe {
            if stride == 1 {
                values.iter().enumerate().for_each(|(i, &v)| to.add(i).write_unaligned(T::narrow(v)));
            } else {
                for (i, &v) in values.iter().enumerate() {
                    to.offset(i as isize * stride).write_unaligned(T::narrow(v));
                }
            }
        }
    }
}

unsafe fn load<T: Stored<L>, L: Copy>(from: *const u8, stride: isize, out: &mut [L]) {
    if !out.is_empty() {
        vectorize(LoadTask { from: from.cast::<T>(), stride, out });
    }
}

unsafe fn store<T: Stored<L>, L: Copy>(to: *mut u8, stride: isize, values: &[L]) {
    vectorize(StoreTask { to: to.cast::<T>(), stride, values });
}

/// A type that kernels compute in.
pub trait Lane:
    Copy + Default + PartialOrd + Send + Sync + std::fmt::Debug + crate::arith::Arith + 'static
{
    /// Which one it is.
    const KIND: LaneKind;
    /// How it lies in memory.
    const DTYPE: DType;
    /// How memory of `dtype` is read.
    fn loader(dtype: DType) -> Load<Self>;
    /// How memory of `dtype` is written.
    fn storer(dtype: DType) -> Store<Self>;
}

macro_rules! lane {
    ($L:ty, $kind:ident, $load_f16:expr, $store_f16:expr) => {
        impl Lane for $L {
            const KIND: LaneKind = LaneKind::$kind;
            const DTYPE: DType = DType::$kind;
            fn loader(dtype: DType) -> Load<Self> {
                match dtype {
                    DType::F32 => load::<f32, $L>,
                    DType::F64 => load::<f64, $L>,
                    DType::F16 => $load_f16,
                    DType::BF16 => load::<Bf16, $L>,
                    DType::I8 => load::<i8, $L>,
                    DType::I16 => load::<i16, $L>,
                    DType::I32 => load::<i32, $L>,
                    DType::I64 => load::<i64, $L>,
                    DType::U8 => load::<u8, $L>,
                    DType::U16 => load::<u16, $L>,
                    DType::U32 => load::<u32, $L>,
                    DType::U64 => load::<u64, $L>,
                    DType::Bool => load::<Boolean, $L>,
                    DType::C64 | DType::C128 => unreachable!("no argument is of a complex type"),
                }
            }
            fn storer(dtype: DType) -> Store<Self> {
                match dtype {
                    DType::F32 => store::<f32, $L>,
                    DType::F64 => store::<f64, $L>,
                    DType::F16 => $store_f16,
                    DType::BF16 => store::<Bf16, $L>,
                    DType::I8 => store::<i8, $L>,
                    DType::I16 => store::<i16, $L>,
                    DType::I32 => store::<i32, $L>,
                    DType::I64 => store::<i64, $L>,
                    DType::U8 => store::<u8, $L>,
                    DType::U16 => store::<u16, $L>,
                    DType::U32 => store::<u32, $L>,
                    DType::U64 => store::<u64, $L>,
                    DType::Bool => store::<Boolean, $L>,
                    DType::C64 | DType::C128 => unreachable!("no argument is of a complex type"),
                }
            }
        }
    };
}
lane!(f32, F32, load_f16, store_f16);
lane!(f64, F64, load::<F16, f64>, store::<F16, f64>);
lane!(i32, I32, load::<F16, i32>, store::<F16, i32>);
lane!(i64, I64, load::<F16, i64>, store::<F16, i64>);
lane!(u64, U64, load::<F16, u64>, store::<F16, u64>);
