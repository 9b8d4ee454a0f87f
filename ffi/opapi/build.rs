//! Links libopapi.so with libascendcl.so, in which the process's one runtime lives.

fn main() {
    vinci_ffi_link::name("libopapi.so");
    vinci_ffi_link::with(
        "libascendcl.so",
        &[
            "vinci_kernel",
            "vinci_launch",
            "vinci_stream_check",
            "vinci_set_error",
            "vinci_memory_check",
            "vinci_observed",
            "vinci_operator_begin",
            "vinci_operator_end",
            "vinci_dump",
            "vinci_read",
            "vinci_warn",
            "aclmdlRICaptureGetInfo",
            "aclrtSynchronizeStream",
            "aclrtMemcpy",
            "vinci_described",
            "vinci_attribute",
            "aclGetDataBufferAddr",
            "aclGetDataBufferSizeV2",
            "aclrtMemPoolMallocAsync",
            "aclrtMemPoolFreeAsync",
        ],
    );
}
