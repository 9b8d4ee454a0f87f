//! Links libascend_hal.so with libascendcl.so, which knows the devices and keeps the sentences of failures.

fn main() {
    vinci_ffi_link::name("libascend_hal.so");
    vinci_ffi_link::with("libascendcl.so", &["vinci_set_error", "aclrtGetDeviceCount"]);
}
