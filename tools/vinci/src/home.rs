//! Where this installation's libraries are, and the environment in which programs for CANN find them.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use anyhow::{Context, Result, bail};

use crate::layout;

/// What `vinci run --help` ends with.
pub const EXAMPLES: &str = "Examples:\n  vinci run -- ./my_acl_program                  unmodified\n  \
                            vinci run --record ops -- python train.py      ops/000001-aclnnAdd.safetensors and so on, a file\n  \
                            \u{20}                                             for each operator\n  \
                            python tests/torch/records.py ops              compare them with PyTorch on the CPU";

/// The variable that has libopapi.so record operators.
pub const RECORD: &str = "VINCI_RECORD";

/// Folders of an installation, or of a build.
#[derive(Clone, Debug)]
pub struct Installation {
    /// What ASCEND_HOME_PATH names.
    pub home: PathBuf,
    /// Where the libraries are.
    pub lib: PathBuf,
}

/// Finds the libraries beside this program: `bin/../lib64` of an installation, or the build's own folder.
pub fn find() -> Result<Installation> {
    let exe = std::env::current_exe().context("this program's own path")?;
    let bin = exe.parent().context("this program lies in no folder")?;
    if bin.join("../lib64/libascendcl.so").is_file() {
        let home = bin.join("..").canonicalize()?;
        return Ok(Installation { lib: home.join("lib64"), home });
    }
    if bin.join("libascendcl.so").is_file() {
        // A build: a folder of CANN's shape beside the libraries.
        let home = bin.canonicalize()?.join("cann");
        layout::shape(&home).and_then(|()| layout::link("..", &home.join("lib64"))).with_context(|| {
            format!("{} could not be laid out as clients of CANN expect it", home.display())
        })?;
        return Ok(Installation { lib: bin.canonicalize()?, home });
    }
    bail!(
        "libascendcl.so is neither in {}/../lib64 nor beside {}; build it with `cargo build --release`, or install with \
         `cargo xtask install --prefix DIR`",
        bin.display(),
        exe.display()
    )
}

/// The variables that CANN's set_env.sh sets.
pub fn environment(at: &Installation) -> Vec<(&'static str, OsString)> {
    let before = |name: &str, first: &[&Path]| {
        let mut paths: Vec<_> = first.iter().map(|path| path.to_path_buf()).collect();
        paths.extend(std::env::var_os(name).iter().flat_map(std::env::split_paths));
        std::env::join_paths(paths).unwrap_or_else(|_| first[0].into())
    };
    vec![
        ("ASCEND_HOME_PATH", at.home.clone().into()),
        ("ASCEND_TOOLKIT_HOME", at.home.clone().into()),
        ("ASCEND_OPP_PATH", at.home.join("opp").into()),
        ("ASCEND_AICPU_PATH", at.home.clone().into()),
        ("LD_LIBRARY_PATH", before("LD_LIBRARY_PATH", &[&at.lib])),
        ("PATH", before("PATH", &[&at.home.join("bin"), &at.home.join(layout::PROFILER_BIN)])),
    ]
}

/// The exit code of a program that could not be started, as a shell gives it: 127 if there is none, 126 if it
/// cannot be executed, 1 if the libraries are not there.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::NotFound) => 127,
        Some(_) => 126,
        None => 1,
    }
}

/// Replaces this process by a program in that environment; returns only if that fails.
pub fn run(command: &[OsString]) -> Result<Infallible> {
    let (program, args) =
        command.split_first().context("no program is named; try: vinci run -- PROGRAM ARGS")?;
    let at = find()?;
    let error = Command::new(program).args(args).envs(environment(&at)).exec();
    Err(error).with_context(|| format!("{} could not be started", program.to_string_lossy()))
}

/// Makes the folder of `vinci run --record`, and sees that files can be written there; its absolute path.
pub fn record_folder(folder: &Path) -> Result<PathBuf> {
    let failed = || format!("--record {}", folder.display());
    fs::create_dir_all(folder).with_context(failed)?;
    let probe = folder.join(format!(".vinci-{}", std::process::id()));
    fs::write(&probe, "").and_then(|()| fs::remove_file(&probe)).with_context(failed)?;
    folder.canonicalize().with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_need_a_folder_that_can_be_written() {
        let place = std::env::temp_dir().join(format!("vinci-record-{}", std::process::id()));
        let folder = record_folder(&place.join("a/b")).unwrap();
        assert!(folder.is_absolute() && folder.is_dir());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        let file = folder.join("file");
        fs::write(&file, "").unwrap();
        let error = format!("{:#}", record_folder(&file).unwrap_err());
        assert!(error.contains("--record") && error.contains("file"), "{error}");
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn exit_codes_are_a_shells() {
        let started = |kind: io::ErrorKind| anyhow::Error::from(io::Error::from(kind)).context("started");
        assert_eq!(exit_code(&started(io::ErrorKind::NotFound)), 127);
        assert_eq!(exit_code(&started(io::ErrorKind::PermissionDenied)), 126);
        assert_eq!(exit_code(&anyhow::anyhow!("no libraries")), 1);
    }
}
