//! Running cargo and other programs from the project's root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The project's root.
pub fn root() -> &'static Path {
    // tools/xtask is two folders below it.
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tools/xtask lies in the project")
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where a release build is.
pub fn release() -> PathBuf {
    target().join("release")
}

/// A program that runs in the root.
pub fn command(program: &str, args: &[&str]) -> Command {
    let mut c = Command::new(program);
    c.args(args).current_dir(root());
    c
}

/// The cargo that runs this.
pub fn cargo(args: &[&str]) -> Command {
    command(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()), args)
}

/// Runs to the end; an error names the command and how it ended.
pub fn check(c: &mut Command) -> Result<()> {
    let status = c.status().with_context(|| format!("could not start {:?}", c.get_program()))?;
    if !status.success() {
        bail!("{:?} {}", c, status);
    }
    Ok(())
}

/// Whether a command that says nothing of interest ends well.
pub fn succeeds(mut c: Command) -> bool {
    c.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Builds libraries and tools, as a user gets them.
pub fn release_build() -> Result<()> {
    check(&mut cargo(&["build", "--release", "--workspace", "--exclude", "xtask"]))
}

/// Builds them as a developer does, faster; answers where they are.
pub fn dev_build() -> Result<PathBuf> {
    check(&mut cargo(&["build", "--workspace", "--exclude", "xtask"]))?;
    Ok(target().join("debug"))
}
