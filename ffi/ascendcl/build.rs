//! Gives the library its name, so that programs and libopapi.so record it as `libascendcl.so`.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libascendcl.so");
}
