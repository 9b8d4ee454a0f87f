//! For build scripts: gives a shared library its name and links it with another one of Vinci.
//!
//! Cargo does not order two shared libraries, so the linker gets a stand-in of which only the soname and the
//! symbols' names count; the loader finds the real library beside this one.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
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

/// Writes `names.rs` for `vinci_forward::forward`: the functions that `headers`, files and folders of `ffi/include`,
/// declare.
pub fn forward(library: &str, headers: &[&str]) {
    let include = Path::new("../include");
    let mut names = BTreeSet::new();
    for header in headers {
        let path = include.join(header);
        println!("cargo:rerun-if-changed={}", path.display());
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder of ffi/include can be read");
            entries.for_each(|entry| collect(&entry.expect("a folder can be read").path(), &mut names));
        } else {
            collect(&path, &mut names);
        }
    }
    let mut list = format!("vinci_forward::forward! {{ \"{library}\";\n");
    for (index, name) in names.iter().enumerate() {
        writeln!(list, "    {index} {name}").expect("a String takes everything");
    }
    list.push_str("}\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    std::fs::write(out.join("names.rs"), list).expect("OUT_DIR is writable");
}

/// The function names of one header: the word before the first parenthesis of each declaration.
fn collect(header: &Path, names: &mut BTreeSet<String>) {
    let text = std::fs::read_to_string(header).unwrap_or_else(|e| panic!("{}: {e}", header.display()));
    for declaration in text.split("\nACL_FUNC_VISIBILITY ").skip(1) {
        let head = declaration.split('(').next().unwrap_or_default();
        let name = head.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        names.insert(name.to_owned());
    }
}
