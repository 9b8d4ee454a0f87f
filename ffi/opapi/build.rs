//! Links libopapi.so with libascendcl.so, in which the process's one runtime lives.
//!
//! Cargo does not order two shared libraries, so the linker gets a stand-in of which only the soname counts;
//! the loader finds the real library beside this one.

use std::path::PathBuf;
use std::process::Command;

const STUB: &str = "int vinci_kernel(void) { return 0; }\nint vinci_launch(void) { return 0; }\n\
                    int vinci_stream_check(void) { return 0; }\nvoid vinci_set_error(void) {}\n\
                    int vinci_memory_check(void) { return 0; }\n";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let stub = out.join("stub.c");
    std::fs::write(&stub, STUB).expect("OUT_DIR is writable");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wl,-soname,libascendcl.so", "-o"])
        .arg(out.join("libascendcl.so"))
        .arg(&stub)
        .status()
        .expect("a C compiler links the libraries (Debian: gcc)");
    assert!(status.success(), "cc could not make the stand-in for libascendcl.so");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libopapi.so");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-rpath,$ORIGIN");
    println!("cargo:rustc-cdylib-link-arg=-Wl,--no-as-needed");
    println!("cargo:rustc-cdylib-link-arg={}", out.join("libascendcl.so").display());
}
