//! Collects the names that the headers declare: the one list of the surface.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let include = Path::new("../include/acl");
    println!("cargo:rerun-if-changed={}", include.display());
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libacl_rt.so");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-rpath,$ORIGIN");

    let mut names = BTreeSet::new();
    // Only what libascendcl.so exports: other headers there belong to libraries of their own.
    for header in ["acl_base_rt.h", "acl_rt_allocator.h", "acl_rt_memory_soma.h"] {
        collect(&include.join(header), &mut names)?;
    }
    for header in fs::read_dir(include.join("rt"))? {
        collect(&header?.path(), &mut names)?;
    }
    let mut list = String::from("forward! {\n");
    for (index, name) in names.iter().enumerate() {
        writeln!(list, "    {index} {name}").expect("a String takes everything");
    }
    list.push_str("}\n");
    fs::write(PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("names.rs"), list)
}

/// The function names of one header: the word before the first parenthesis of each declaration.
fn collect(header: &Path, names: &mut BTreeSet<String>) -> io::Result<()> {
    let text = fs::read_to_string(header)?;
    for declaration in text.split("\nACL_FUNC_VISIBILITY ").skip(1) {
        let head = declaration.split('(').next().unwrap_or_default();
        let name = head.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        names.insert(name.to_owned());
    }
    Ok(())
}
