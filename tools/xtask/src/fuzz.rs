//! Coverage-guided fuzzing: the targets of tests/fuzz, one after the other, each from the corpus that is kept.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::build;

/// How long each target runs, seconds: briefly, or as long as a release should have seen.
fn seconds(full: bool) -> u32 {
    if full { 600 } else { 60 }
}

fn folder() -> PathBuf {
    build::root().join("tests/fuzz")
}

/// `cargo fuzz`, with the flags that it wants of a nightly compiler on the one there is.
fn cargo_fuzz(args: &[&str]) -> Command {
    let mut c = build::cargo(&["fuzz"]);
    c.args(args).current_dir(folder()).env("RUSTC_BOOTSTRAP", "1");
    c.env("CARGO_TARGET_DIR", build::target().join("fuzz"));
    c
}

/// The targets, in the order of their names.
pub fn targets() -> Result<Vec<String>> {
    let folder = folder().join("fuzz_targets");
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut names: Vec<String> =
        entries.filter_map(|e| Some(e.ok()?.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Installs what is missing and builds the targets.
pub fn prepare() -> Result<()> {
    if !build::succeeds(build::cargo(&["fuzz", "--version"])) {
        eprintln!("installing cargo-fuzz");
        build::check(&mut build::cargo(&["install", "--locked", "cargo-fuzz"]))?;
    }
    build::check(&mut cargo_fuzz(&["build", "--fuzz-dir", "."]))
}

/// Runs a target. What it learns goes to a corpus beside the build; an input with which it fails stays in
/// tests/fuzz/artifacts, and the error names it.
pub fn run(target: &str, full: bool) -> Result<()> {
    let learnt = build::target().join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&learnt).with_context(|| learnt.display().to_string())?;
    let learnt = learnt.to_string_lossy().into_owned();
    let seconds = format!("-max_total_time={}", seconds(full));
    let mut args = vec!["run", "--fuzz-dir", ".", target, &learnt];
    // The profiles that come with Vinci are the best seeds of one.
    let kept =
        if target == "profile" { "../../driver/device/profiles".into() } else { format!("corpus/{target}") };
    if folder().join(&kept).is_dir() {
        args.push(&kept);
    }
    args.extend([
        "--",
        &seconds,
        "-timeout=60",
        "-len_control=0",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
    ]);
    let status = cargo_fuzz(&args).env("VINCI_LOG", "off").status().context("cargo fuzz")?;
    if !status.success() {
        bail!("{target}: see {}", Path::new("tests/fuzz/artifacts").join(target).display());
    }
    Ok(())
}
