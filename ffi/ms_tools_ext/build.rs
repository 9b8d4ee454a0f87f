//! Collects the names that the headers declare.

fn main() {
    vinci_ffi_link::name("libms_tools_ext.so");
    vinci_ffi_link::forward("libms_tools_ext.so", &["mstx/ms_tools_ext.h"]);
}
