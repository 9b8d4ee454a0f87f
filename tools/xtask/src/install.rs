//! A folder shaped like an installation of CANN: what programs and build files look for is where they look.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{build, layout};

#[derive(clap::Args)]
pub struct Args {
    /// Folder to fill; made if it is not there
    #[arg(long, value_name = "DIR")]
    prefix: PathBuf,
}

pub fn run(args: &Args) -> Result<()> {
    build::release_build()?;
    lay_out(&args.prefix, &build::release())?;
    println!(
        "installed in {}; use it with: source {}/set_env.sh",
        args.prefix.display(),
        args.prefix.display()
    );
    Ok(())
}

/// Copies a file in one step: a program that has the old one mapped keeps it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut new = to.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    fs::copy(from, &new).with_context(|| format!("copy {} to {}", from.display(), new.display()))?;
    fs::rename(&new, to).with_context(|| format!("rename {} to {}", new.display(), to.display()))
}

/// Copies `from` and everything below it.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            copy(&entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Fills `prefix` from the build in the folder `built`.
pub fn lay_out(prefix: &Path, built: &Path) -> Result<()> {
    let (lib, bin, include) = (prefix.join("lib64"), prefix.join("bin"), prefix.join("include"));
    for folder in [&lib, &bin, &include] {
        fs::create_dir_all(folder)?;
    }
    layout::shape(prefix)?;
    for entry in fs::read_dir(built)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "so") {
            let name = path.file_name().context("a library has a name")?;
            copy(&path, &lib.join(name))?;
        }
    }
    for tool in ["vinci", "npu-smi"] {
        let from = built.join(tool);
        if from.is_file() {
            copy(&from, &bin.join(tool))?;
        }
    }
    copy_tree(&build::root().join("ffi/include"), &include)?;
    let env = prefix.join("set_env.sh");
    let quoted = prefix.canonicalize()?.to_string_lossy().replace('\'', r"'\''");
    fs::write(&env, SET_ENV.replace("@PREFIX@", &quoted).replace("@PROFILER@", layout::PROFILER_BIN))?;
    fs::set_permissions(&env, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

const SET_ENV: &str = r#"# Sets the environment of programs for CANN to this installation of Vinci: source it.
# bash and zsh know where this file is; in other shells it is where it was installed.
__vinci_home="$(cd "$(dirname "${BASH_SOURCE:-$0}")" && pwd)"
[ -e "$__vinci_home/lib64/libascendcl.so" ] || __vinci_home='@PREFIX@'
export ASCEND_HOME_PATH="$__vinci_home"
export ASCEND_TOOLKIT_HOME="$__vinci_home"
export ASCEND_OPP_PATH="$__vinci_home/opp"
export ASCEND_AICPU_PATH="$__vinci_home"
export ASCENDC_CMAKE_DIR="$__vinci_home/include/ascendc/cmake"
export LD_LIBRARY_PATH="$__vinci_home/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export PATH="$__vinci_home/bin:$__vinci_home/@PROFILER@:$PATH"
unset __vinci_home
"#;
