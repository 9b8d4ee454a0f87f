//! Links libhccl.so with libascendcl.so, which copies and keeps the sentences of failures.

fn main() {
    vinci_ffi_link::name("libhccl.so");
    vinci_ffi_link::with("libascendcl.so", &["vinci_set_error", "aclrtMemcpyAsync", "aclrtGetDevice"]);
}
