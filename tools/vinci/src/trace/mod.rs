//! `vinci trace`: what a program's own kernels did in model time, as msprof's columns, JSON, or a timeline.

mod columns;
mod timeline;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::{Context, Result, bail};
use vinci_device::trace::{KernelTrace, VARIABLE};

use crate::{home, show};

/// What `--help` shows.
pub const EXAMPLES: &str = "Examples:\n  vinci trace -- ./my_acl_program                 a table of its kernels\n  \
    vinci trace --each --json -- ./my_acl_program   each launch, for a script\n  \
    vinci trace --output t.json -- ./my_acl_program and a timeline for ui.perfetto.dev or chrome://tracing\n\n\
    Times are those of the profile's chip (--chip), not of this machine. Only kernels of one's own are shown, and only\n\
    in the embedded home; of a `vinci serve`, set VINCI_TRACE=FILE for the server.";

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Each launch by itself, not the launches of a kernel on as many blocks together
    #[arg(long)]
    each: bool,
    /// Write a timeline in Chrome's trace format
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

/// Runs the program, then prints what its kernels did. The program's exit code is this one's.
pub fn run(args: &Args) -> Result<u8> {
    if std::env::var("VINCI_DEVICE").is_ok_and(|home| !home.is_empty() && home != "embedded") {
        bail!(
            "only the embedded home can be traced from here; of a server, set {VARIABLE}=FILE where it starts"
        );
    }
    let file = std::env::temp_dir().join(format!("vinci-trace-{}.jsonl", process::id()));
    let _ = fs::remove_file(&file);
    let at = home::find()?;
    let (program, rest) = args.command.split_first().context("no program is named")?;
    let status = Command::new(program)
        .args(rest)
        .envs(home::environment(&at))
        .env(VARIABLE, &file)
        .status()
        .with_context(|| format!("{} could not be started", program.to_string_lossy()))?;
    let kernels = read(&file);
    let _ = fs::remove_file(&file);
    let kernels = kernels?;
    if let Some(output) = &args.output {
        let to = File::create(output).with_context(|| output.display().to_string())?;
        timeline::write(&kernels, std::io::BufWriter::new(to))
            .with_context(|| output.display().to_string())?;
    }
    let rows = columns::rows(&kernels, args.each);
    if args.json {
        show::json(&rows.iter().map(columns::Row::json).collect::<Vec<_>>())?;
    } else {
        columns::print(&rows);
    }
    if let Some(signal) = status.signal() {
        eprintln!("vinci: {} ended with signal {signal}", program.to_string_lossy());
    }
    Ok(status.code().map_or(128 | status.signal().unwrap_or(0) as u8, |code| code as u8))
}

/// The kernels of a file; one that ends in the middle of a line was cut off.
fn read(file: &Path) -> Result<Vec<KernelTrace>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let lines = BufReader::new(File::open(file)?).lines();
    let mut kernels = Vec::new();
    for line in lines {
        match serde_json::from_str(&line?) {
            Ok(kernel) => kernels.push(kernel),
            Err(e) => log::warn!("a kernel's trace cannot be read: {e}"),
        }
    }
    Ok(kernels)
}
