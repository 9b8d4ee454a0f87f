//! Links libacl_tdt_queue.so with libascendcl.so, which keeps the sentences of failures.

fn main() {
    vinci_ffi_link::name("libacl_tdt_queue.so");
    vinci_ffi_link::with("libascendcl.so", &["vinci_set_error"]);
}
