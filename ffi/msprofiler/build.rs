//! Collects the names that the headers declare.

fn main() {
    vinci_ffi_link::name("libmsprofiler.so");
    vinci_ffi_link::forward("libmsprofiler.so", &["acl/acl_prof.h", "mstx/ms_tools_ext.h"]);
}
