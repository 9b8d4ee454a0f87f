//! Links libnnopbase.so with libopapi.so, as libopapi.so is linked with libascendcl.so.

fn main() {
    vinci_ffi_link::name("libnnopbase.so");
    vinci_ffi_link::with("libopapi.so", &["aclCreateTensor"]);
}
