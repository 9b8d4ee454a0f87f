//! Collects the names that the headers declare.

fn main() {
    vinci_ffi_link::name("libascend_dump.so");
    vinci_ffi_link::forward("libascend_dump.so", &["acl/acl_dump.h"]);
}
