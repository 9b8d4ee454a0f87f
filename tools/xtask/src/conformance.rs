//! `cargo xtask conformance`: the C programs in each home of the driver, as one table. The embedded and the served
//! home run here; the kernel's results are those of `cargo xtask vm`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::{build, vm};

const HOMES: [&str; 3] = ["embedded", "served", "kernel"];

#[derive(clap::Args)]
pub struct Args {
    /// Run the programs in the VM now; without it the kernel's column is that of the last `cargo xtask vm`
    #[arg(long)]
    vm: bool,
    /// With --vm: on the debug kernel
    #[arg(long, requires = "vm")]
    debug: bool,
}

fn results(of: &str) -> PathBuf {
    build::target().join(format!("conformance-{of}.tsv"))
}

/// Keeps what the programs came to in the VM: name, whether it passed, milliseconds.
pub fn save_kernel<'a>(steps: impl Iterator<Item = (&'a str, bool, f64)>) -> Result<()> {
    let line = |(name, passed, seconds): (&str, bool, f64)| {
        let name = name.strip_prefix("conformance/")?;
        let verdict = if passed { "pass" } else { "FAIL" };
        Some(format!("{name}\tkernel\t{verdict}\t{:.0}\n", seconds * 1000.0))
    };
    let path = results("kernel");
    fs::write(&path, steps.filter_map(line).collect::<String>()).with_context(|| path.display().to_string())
}

/// By name: verdict and milliseconds in each home.
type Rows = BTreeMap<String, [Option<(String, String)>; 3]>;

fn read(of: &str, rows: &mut Rows) {
    let text = fs::read_to_string(results(of)).unwrap_or_default();
    for line in text.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let [name, home, verdict, ms] = fields[..] else { continue };
        if let Some(column) = HOMES.iter().position(|h| *h == home) {
            rows.entry(name.into()).or_default()[column] = Some((verdict.into(), ms.into()));
        }
    }
}

pub fn run(args: &Args) -> Result<()> {
    build::release_build()?;
    let own = results("own");
    let _ = fs::remove_file(&own);
    let mut tests = build::cargo(&["test", "--release", "-p", "conformance", "--test", "programs"]);
    let passed = tests.env("VINCI_CONFORMANCE_RESULTS", &own).stdin(Stdio::null()).status()?.success();
    let mut in_vm = Ok((0, 0, 0));
    if args.vm {
        in_vm = vm::tier(if args.debug { &["--debug"] } else { &[] });
    }
    let mut rows = Rows::new();
    read("own", &mut rows);
    read("kernel", &mut rows);
    if rows.is_empty() {
        bail!("no program ran");
    }
    println!("{}", table(&rows));
    let (_, failures, _) = in_vm?;
    if !passed || failures != 0 {
        bail!("programs failed");
    }
    Ok(())
}

fn table(rows: &Rows) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_BORDERS_ONLY_CONDENSED).set_header(["program"].iter().chain(&HOMES));
    for (name, cells) in rows {
        // What does not run in a home says nothing about it: headers, libraries.
        let cell = |found: &Option<(String, String)>| match found {
            Some((verdict, ms)) if ms != "0" => format!("{verdict} {ms:>6} ms"),
            Some((verdict, _)) => format!("{verdict}          "),
            None => "-".into(),
        };
        let right = |text| Cell::new(text).set_alignment(CellAlignment::Right);
        table.add_row([Cell::new(name)].into_iter().chain(cells.iter().map(|c| right(cell(c)))));
    }
    let count = |column: usize, wanted: &str| {
        rows.values().flat_map(|cells| &cells[column]).filter(|(verdict, _)| verdict == wanted).count()
    };
    let sums = (0..HOMES.len()).map(|column| match (count(column, "pass"), count(column, "FAIL")) {
        (0, 0) => "cargo xtask vm".into(),
        (passed, failed) => format!("{passed} pass, {failed} fail"),
    });
    table.add_row(std::iter::once("all".to_owned()).chain(sums));
    table
}
