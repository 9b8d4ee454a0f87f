//! For build scripts: gives a shared library its name and links it with another one of Vinci.
//!
//! Cargo does not order two shared libraries, so the linker gets a stand-in of which only the soname and the
//! symbols' names count; the loader finds the real library beside this one.

use std::path::PathBuf;
use std::process::Command;

/// Makes this crate's library `soname`, which finds its neighbours in its own folder.
pub fn name(soname: &str) {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{soname}");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-rpath,$ORIGIN");
}

/// Links it with the library `other`, of which it uses `symbols`.
pub fn with(other: &str, symbols: &[&str]) {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let (source, library) = (out.join("stub.c"), out.join(other));
    let text: String = symbols.iter().map(|name| format!("void {name}(void) {{}}\n")).collect();
    std::fs::write(&source, text).expect("OUT_DIR is writable");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-fno-builtin"]).arg(format!("-Wl,-soname,{other}"));
    let status = cc.arg("-o").arg(&library).arg(&source).status();
    let status = status.expect("a C compiler links the libraries (Debian: gcc)");
    assert!(status.success(), "cc could not make the stand-in for {other}");
    println!("cargo:rustc-cdylib-link-arg=-Wl,--no-as-needed");
    println!("cargo:rustc-cdylib-link-arg={}", library.display());
}
