//! Links libnnopbase.so with libopapi.so through a stand-in of which only the soname counts, as libopapi.so is
//! linked with libascendcl.so.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let stub = out.join("stub.c");
    std::fs::write(&stub, "int aclCreateTensor(void) { return 0; }\n").expect("OUT_DIR is writable");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wl,-soname,libopapi.so", "-o"])
        .arg(out.join("libopapi.so"))
        .arg(&stub)
        .status()
        .expect("a C compiler links the libraries (Debian: gcc)");
    assert!(status.success(), "cc could not make the stand-in for libopapi.so");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libnnopbase.so");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-rpath,$ORIGIN");
    println!("cargo:rustc-cdylib-link-arg=-Wl,--no-as-needed");
    println!("cargo:rustc-cdylib-link-arg={}", out.join("libopapi.so").display());
}
