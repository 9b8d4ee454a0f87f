//! Debian packages that builds and tests need, installed when they are missing.

use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Stdio};

/// A package, how to see that it is there, and what is not done without it.
pub struct Package {
    /// As apt knows it.
    pub name: &'static str,
    /// Whether it, or what replaces it, is there.
    pub present: fn() -> bool,
    /// What is not done without it.
    pub without: &'static str,
}

/// Whether a program is on the path.
pub fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|p| std::env::split_paths(&p).any(|d| d.join(program).is_file()))
}

/// Whether a library whose file name begins with `prefix` is where Debian puts libraries, of any architecture
/// or any release of LLVM.
fn library(prefix: &str) -> bool {
    let entries = |p: &Path| std::fs::read_dir(p).into_iter().flatten().flatten();
    let folders = entries(Path::new("/usr/lib")).filter_map(|e| {
        let name = e.file_name().to_string_lossy().into_owned();
        match name {
            n if n.ends_with("-linux-gnu") => Some(e.path()),
            n if n.starts_with("llvm-") => Some(e.path().join("lib")),
            _ => None,
        }
    });
    folders.into_iter().any(|f| entries(&f).any(|e| e.file_name().to_string_lossy().starts_with(prefix)))
}

/// What building the demo needs.
pub const DEMO: &[Package] = &[
    Package {
        name: "gcc",
        present: || on_path("cc"),
        without: "the C program of the demo cannot be compiled",
    },
    Package {
        name: "libc6-dev",
        present: || Path::new("/usr/include/stdio.h").is_file(),
        without: "the C program of the demo cannot be compiled",
    },
];

/// What the tests of the kernel module need besides.
pub const VM: &[Package] = &[Package {
    name: "libdrm-dev",
    present: || Path::new("/usr/include/libdrm/drm.h").is_file() && library("libdrm.so.2"),
    without: "the tests of the kernel module cannot be compiled",
}];

/// What the tests need besides.
pub const TEST: &[Package] = &[
    Package { name: "g++", present: || on_path("c++"), without: "the headers are not tried as C++" },
    Package {
        name: "libclang-dev",
        present: || library("libclang.so") || library("libclang-"),
        without: "the bindings of the uapi header are not regenerated and compared",
    },
    Package {
        name: "libdrm-dev",
        present: || {
            Path::new("/usr/include/libdrm/drm.h").is_file() || Path::new("/usr/include/drm/drm.h").is_file()
        },
        without: "the uapi header is not compiled",
    },
    Package {
        name: "clang-19",
        present: || on_path("clang-19"),
        without: "kernels in Ascend C are not compiled, unless there is another clang of at least 16",
    },
    Package {
        name: "cmake",
        present: || on_path("cmake"),
        without: "CANN's samples with kernels are not built",
    },
    Package {
        name: "ocl-icd-libopencl1",
        present: || library("libOpenCL.so.1"),
        without: "the benchmark has no PoCL to compare with",
    },
    Package {
        name: "pocl-opencl-icd",
        present: || library("libpocl.so"),
        without: "the benchmark has no PoCL to compare with",
    },
    Package {
        name: "libopenblas0-pthread",
        present: || library("libopenblas.so.0"),
        without: "the benchmark has no OpenBLAS to compare with",
    },
];

/// A command that runs as root: as it is for root, through sudo for others. sudo asks for a password only where
/// somebody can answer.
pub fn as_root(program: &str) -> Command {
    if std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0) {
        return Command::new(program);
    }
    let mut c = Command::new("sudo");
    if !std::io::stdin().is_terminal() {
        c.arg("-n");
    }
    c.arg(program);
    c
}

fn apt(args: &[&str]) -> bool {
    // sudo clears the environment, env comes after it.
    let mut c = as_root("env");
    c.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    c.status().is_ok_and(|s| s.success())
}

/// Installs what is missing. Each answer is a sentence about something that could not be, and what it costs.
pub fn install(lists: &[&[Package]]) -> Vec<String> {
    let missing: Vec<_> = lists.iter().copied().flatten().filter(|p| !(p.present)()).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let names: Vec<_> = missing.iter().map(|p| p.name).collect();
    eprintln!("installing Debian packages: {}", names.join(" "));
    apt(&["update", "-qq"]);
    let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
    args.extend(&names);
    if !apt(&args) {
        // One that does not exist here must not keep the others out.
        for name in &names {
            apt(&["install", "-y", "-qq", "--no-install-recommends", name]);
        }
    }
    let still = missing.iter().filter(|p| !(p.present)());
    still
        .map(|p| format!("{} could not be installed (apt-get install {}): {}", p.name, p.name, p.without))
        .collect()
}
