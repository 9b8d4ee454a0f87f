//! Compiles the program that runs in the jail: a static executable without libraries, which the crate embeds.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=program");
    println!("cargo::rerun-if-changed=src/layout.rs");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let binary = Path::new(&out).join("jail");
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("x86_64")
        || env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux")
    {
        fs::write(&binary, []).expect("OUT_DIR can be written");
        return;
    }
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let mut command = Command::new(rustc);
    command.args(["--edition", "2024", "--crate-type", "bin", "--crate-name", "jail", "--target", &target]);
    command.args(["-C", "opt-level=2", "-C", "panic=abort", "-C", "debuginfo=0", "-C", "strip=symbols"]);
    command.args(["-C", "relocation-model=static", "-C", "target-feature=+crt-static"]);
    for argument in
        ["-nostdlib", "-nostartfiles", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,noexecstack"]
    {
        command.arg("-C").arg(format!("link-arg={argument}"));
    }
    command.arg("-o").arg(&binary).arg("program/main.rs");
    // Flags for the crate, such as a sanitizer, are not for the program.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let status = command.status().expect("rustc runs");
    assert!(status.success(), "the program of the jail does not build");
}
