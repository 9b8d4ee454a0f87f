//! Links libruntime.so with libascendcl.so.

fn main() {
    vinci_ffi_link::name("libruntime.so");
    vinci_ffi_link::with("libascendcl.so", &["rtKernelLaunch"]);
}
