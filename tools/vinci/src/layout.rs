//! The shape of an installation of CANN: folders and version files where clients look for them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::{fs, io};

/// The CANN release whose interface the headers describe.
pub const CANN_VERSION: &str = "8.5.0";

/// Folder of CANN's msprof, in a home.
pub const PROFILER_BIN: &str = "tools/profiler/bin";
/// torch_npu runs the first, if it finds the second.
const MSPROF: &str = "tools/profiler/bin/msprof";
const MSPROF_PY: &str = "tools/profiler/profiler_tool/analysis/msprof/msprof.py";

const MSPROF_TEXT: &str = r#"#!/bin/sh
# CANN's msprof, answered by vinci, which lies in bin/, or beside the libraries of a build.
home=$(dirname "$(readlink -f "$0")")/../../..
vinci=$home/bin/vinci
[ -x "$vinci" ] || vinci=$home/lib64/vinci
exec "$vinci" msprof "$@"
"#;

const MSPROF_PY_TEXT: &str = r#"#!/usr/bin/env python3
"""msprof.py export summary|timeline -dir FOLDER, by msprof."""
import argparse
import os

parser = argparse.ArgumentParser(prog="msprof.py")
parser.add_argument("command", choices=["export"])
parser.add_argument("kind", choices=["summary", "timeline"])
parser.add_argument("-dir", required=True, dest="folder")
args = parser.parse_args()
msprof = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../../bin/msprof")
os.execv(msprof, ["msprof", "--export=on", "--output=" + args.folder])
"#;

/// Makes the folders and version files of `home` that are not there; the libraries come to `home/lib64`.
pub fn shape(home: &Path) -> io::Result<()> {
    for folder in ["opp", "compiler", "runtime", "tools"] {
        fs::create_dir_all(home.join(folder))?;
    }
    let toolkit = format!("{}-linux", std::env::consts::ARCH);
    fs::create_dir_all(home.join(&toolkit))?;
    let version = format!("Version={CANN_VERSION}\n");
    let install = format!(
        "package_name=Ascend-cann-toolkit\nversion={CANN_VERSION}\narch={}\n",
        std::env::consts::ARCH
    );
    let files = [
        ("version.cfg".to_owned(), format!("runtime_running_version=[{CANN_VERSION}:{CANN_VERSION}]\n")),
        ("runtime/version.info".to_owned(), version.clone()),
        ("compiler/version.info".to_owned(), version.clone()),
        ("opp/version.info".to_owned(), version),
        (format!("{toolkit}/ascend_toolkit_install.info"), install),
    ];
    for (name, text) in files {
        let path = home.join(name);
        if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            fs::write(path, text)?;
        }
    }
    for (name, text) in [(MSPROF, MSPROF_TEXT), (MSPROF_PY, MSPROF_PY_TEXT)] {
        let path = home.join(name);
        fs::create_dir_all(path.parent().unwrap_or(home))?;
        if fs::read_to_string(&path).ok().as_deref() != Some(text) {
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
    }
    for place in ["runtime/lib64", "compiler/lib64"] {
        link("../lib64", &home.join(place))?;
    }
    Ok(())
}

/// A symbolic link, unless something is there. Others may make it at the same time.
pub fn link(to: impl AsRef<Path>, at: &Path) -> io::Result<()> {
    match std::os::unix::fs::symlink(to, at) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}
