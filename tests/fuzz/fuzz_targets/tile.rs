//! Tile instructions of Ascend C with operands, offsets, strides, masks and repeats of any kind, on the memories of a
//! 910B: their checks let nothing through that leaves a memory (AddressSanitizer sees the gaps between them), and a
//! fault leaves the core's own words alone. The instructions are in `tile/`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[cfg(tile)]
unsafe extern "C" {
    fn vinci_fuzz_tile(data: *const u8, size: usize);
}

fuzz_target!(|data: &[u8]| {
    #[cfg(tile)]
    // SAFETY: so many bytes, which are only read.
    unsafe {
        vinci_fuzz_tile(data.as_ptr(), data.len());
    }
    #[cfg(not(tile))]
    panic!("built without clang (Debian: clang-19); {} bytes are not looked at", data.len());
});
