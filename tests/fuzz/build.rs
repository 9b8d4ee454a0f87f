//! Compiles the tile instructions of Ascend C for the target `tile`, with the same instrumentation as the rest.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::{env, fs};

const SOURCES: [&str; 4] = ["core", "moves", "vectors", "tile"];
const CLANG: &str = "clang++-19";

fn compile(source: &str, out: &Path) -> Option<(PathBuf, Child)> {
    let object = out.join(source).with_extension("o");
    let mut clang = Command::new(CLANG);
    clang.args(["-std=c++17", "-O1", "-gline-tables-only", "-fno-omit-frame-pointer", "-ffp-contract=off"]);
    clang.args(["-fno-exceptions", "-fno-rtti", "-fPIC", "-Wno-everything"]);
    if cfg!(target_arch = "x86_64") {
        clang.arg("-march=x86-64-v3");
    }
    if env::var_os("CARGO_CFG_FUZZING").is_some() {
        clang.arg("-fsanitize=address,fuzzer-no-link");
    }
    clang.args(["-D__VINCI_CC__", "-D__VINCI_DEVICE__=1", "-D__VINCI_HARNESS__=1"]);
    clang.args(["-I../../ffi/include/ascendc", "-I../../ffi/include", "-c"]);
    clang.arg(Path::new("tile").join(source).with_extension("cpp")).arg("-o").arg(&object);
    Some((object, clang.spawn().ok()?))
}

fn main() {
    println!("cargo::rustc-check-cfg=cfg(tile)");
    for path in ["tile", "../../ffi/include/ascendc"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let started: Vec<_> = SOURCES.iter().map_while(|source| compile(source, &out)).collect();
    if started.len() != SOURCES.len() {
        println!("cargo::warning=without {CLANG} (Debian: clang-19) the target `tile` does nothing");
        return;
    }
    let archive = out.join("libvinci_tile.a");
    let _ = fs::remove_file(&archive);
    let mut ar = Command::new("ar");
    ar.arg("rcs").arg(&archive);
    for (object, mut clang) in started {
        assert!(clang.wait().expect("clang was started").success(), "{} does not compile", object.display());
        ar.arg(object);
    }
    assert!(ar.status().expect("ar runs").success(), "{} cannot be made", archive.display());
    println!("cargo::rustc-link-search=native={}", out.display());
    println!("cargo::rustc-link-lib=static=vinci_tile");
    println!("cargo::rustc-cfg=tile");
}
