//! Run-time choice of the instruction set.
//!
//! The compiler vectorises plain loops; [`vectorize`] compiles such a loop once per [`Level`] and picks the
//! best one that this CPU has.

use std::sync::atomic::{AtomicU8, Ordering};

/// Instruction sets that loops are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every CPU of the target has.
    Baseline = 1,
    /// AVX2, FMA and F16C.
    V3 = 2,
    /// AVX-512 F, BW, DQ and VL.
    V4 = 3,
    /// V4 and products of BF16 that are faster than those of f32.
    V4Bf16 = 4,
}

static LEVEL: AtomicU8 = AtomicU8::new(0);

/// The best level of this CPU.
#[inline]
pub fn level() -> Level {
    match LEVEL.load(Ordering::Relaxed) {
        1 => Level::Baseline,
        2 => Level::V3,
        3 => Level::V4,
        4 => Level::V4Bf16,
        _ => detect(),
    }
}

#[cold]
fn detect() -> Level {
    let level = probe();
    LEVEL.store(level as u8, Ordering::Relaxed);
    level
}

#[cfg(target_arch = "x86_64")]
fn probe() -> Level {
    use std::arch::is_x86_feature_detected as has;
    let v3 = has!("avx2") && has!("fma") && has!("f16c");
    let v4 = v3 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
    // Intel's cores do no more products of BF16 in a cycle than of f32, those with AMX half as many.
    let intel = std::arch::x86_64::__cpuid(0).ebx == u32::from_le_bytes(*b"Genu");
    match (v3, v4, has!("avx512bf16") && !intel) {
        (_, true, true) => Level::V4Bf16,
        (_, true, false) => Level::V4,
        (true, ..) => Level::V3,
        _ => Level::Baseline,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn probe() -> Level {
    Level::Baseline
}

/// Calls for a line of memory that will be read soon.
#[inline(always)]
pub fn prefetch(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; no address is wrong.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast())
    };
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// A loop to compile for every level; `call` and what it calls must be `#[inline(always)]`.
pub trait Task {
    /// What it results in.
    type Output;
    /// The loop.
    fn call(self) -> Self::Output;
}

/// Runs `task` as compiled for the best level.
#[inline(always)]
pub fn vectorize<T: Task>(task: T) -> T::Output {
    #[cfg(target_arch = "x86_64")]
    match level() {
        // SAFETY: the CPU has these features, as `probe` saw.
        Level::V4 | Level::V4Bf16 => return unsafe { call_v4(task) },
        // SAFETY: as above.
        Level::V3 => return unsafe { call_v3(task) },
        Level::Baseline => {}
    }
    task.call()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn call_v4<T: Task>(task: T) -> T::Output {
    task.call()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn call_v3<T: Task>(task: T) -> T::Output {
    task.call()
}
