//! The peer for matrix products: OpenBLAS, loaded at run time.

use anyhow::{Context, Result};
use libloading::Library;

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

/// How to get it.
pub const MISSING: &str = "missing: apt-get install libopenblas0-pthread";

/// Has OpenBLAS use what the CPU can: a peer that an environment holds back to an older CPU's instructions would be no
/// peer, nor one that is older than the CPU and takes it for one with SSE3.
///
/// # Safety
/// No other thread may run yet.
pub unsafe fn prepare() {
    const CORE: &str = "OPENBLAS_CORETYPE";
    #[cfg(target_arch = "x86_64")]
    let wide = std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512vl");
    #[cfg(not(target_arch = "x86_64"))]
    let wide = false;
    // SAFETY: the caller's promise.
    unsafe {
        std::env::remove_var("OPENBLAS_L2_SIZE");
        if wide {
            std::env::set_var(CORE, "SkylakeX");
        } else {
            std::env::remove_var(CORE);
        }
    }
}

/// cblas_sgemm.
pub struct Blas {
    sgemm: Sgemm,
    _library: Library,
}

impl Blas {
    /// Loads it.
    pub fn open() -> Result<Self> {
        // SAFETY: a library without requirements at load time.
        let library = unsafe { Library::new("libopenblas.so.0") }.context(MISSING)?;
        // SAFETY: the type is the one of cblas.h.
        let sgemm = unsafe { *library.get::<Sgemm>(b"cblas_sgemm")? };
        Ok(Self { sgemm, _library: library })
    }

    /// c = a @ b, n × n, row major.
    pub fn product(&self, n: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
        assert!(a.len() == n * n && b.len() == n * n && c.len() == n * n);
        let (row_major, plain, n) = (101, 111, n as i32);
        // SAFETY: the matrices have n × n elements, as asserted.
        unsafe {
            (self.sgemm)(
                row_major,
                plain,
                plain,
                n,
                n,
                n,
                1.0,
                a.as_ptr(),
                n,
                b.as_ptr(),
                n,
                0.0,
                c.as_mut_ptr(),
                n,
            )
        };
    }
}
