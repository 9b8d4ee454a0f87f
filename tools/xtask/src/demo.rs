//! The main job: a C program for CANN trains a classifier on an embedded Ascend 910C.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::{build, install, packages};

#[derive(clap::Args, Default)]
pub struct Args {
    /// Chip to run on: 910c, 910b1, 920, … or a profile's path
    #[arg(long, default_value = "910c")]
    chip: String,
    /// Arguments for the program; try `-- --help`
    #[arg(last = true)]
    program: Vec<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let chip = if args.chip.is_empty() { "910c" } else { &args.chip };
    let missing = packages::install(&[packages::DEMO]);
    if !missing.is_empty() {
        bail!("{}", missing.join("\n"));
    }
    let root = build::root();
    let prefix = build::target().join("cann");
    eprintln!("building the driver, the runtime, the libraries and the tools (release)");
    build::release_build()?;
    install::lay_out(&prefix, &build::release())?;
    let program = build::target().join("digits");
    let lib = prefix.join("lib64");
    eprintln!("compiling tests/digits/digits.c against ffi/include, linking libascendcl.so and libopapi.so");
    let mut cc = build::command(
        "cc",
        &["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "tests/digits/digits.c", "-o"],
    );
    cc.arg(&program).arg("-I").arg(prefix.join("include")).arg("-L").arg(&lib);
    cc.args(["-lascendcl", "-lopapi", "-lm"]);
    build::check(&mut cc)?;
    let started = Instant::now();
    let mut run = build::command(&program.to_string_lossy(), &[]);
    run.args(["--data", &root.join("tests/data/digits/digits.csv").to_string_lossy()]).args(&args.program);
    run.env("LD_LIBRARY_PATH", &lib).env("VINCI_CHIP", chip);
    build::check(&mut run)?;
    println!();
    let mut smi = build::command(&prefix.join("bin/npu-smi").to_string_lossy(), &["info"]);
    smi.env("VINCI_CHIP", chip);
    build::check(&mut smi)?;
    eprintln!("done in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}
