//! The tests, tier by tier. Nothing is left out silently: what cannot run counts as skipped, with a reason.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;
use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::{build, fuzz, packages, torch, vm};

/// A group of checks that run together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tier {
    /// cargo fmt --check
    Fmt,
    /// cargo clippy -D warnings
    Clippy,
    /// cargo doc -D warnings
    Doc,
    /// unit, property and end-to-end tests, and the examples in the documentation
    Unit,
    /// model checking of the lock-free parts
    Loom,
    /// the tests of driver and runtime, and the C programs, under AddressSanitizer
    Asan,
    /// the C programs over the whole surface, against the release libraries
    Conformance,
    /// the demo, with its accuracy checked
    Demo,
    /// every row of the benchmark, quickly
    Bench,
    /// the targets of tests/fuzz under libFuzzer and AddressSanitizer, a minute each; with --full ten
    Fuzz,
    /// PyTorch with torch_npu as they are published, on the release libraries, compared with the cpu
    Torch,
    /// the tools, the demo and the C programs on Debian's kernel with vinci.ko, in QEMU; then with a device that lies
    Vm,
    /// the same on a kernel with KASAN, lockdep, kmemleak
    VmDebug,
    /// a million random requests on that kernel
    VmFuzz,
}

#[derive(clap::Args)]
pub struct Args {
    /// Tiers to run; all but fuzz, vm-debug and vm-fuzz if none is named
    tiers: Vec<Tier>,
    /// Go on with the next tier after one failed
    #[arg(long)]
    keep_going: bool,
    /// Run what is long, too
    #[arg(long)]
    full: bool,
}

/// What came of a tier.
#[derive(Default)]
struct Outcome {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl std::ops::Add for Outcome {
    type Output = Self;

    fn add(self, b: Self) -> Self {
        Self {
            passed: self.passed + b.passed,
            failed: self.failed + b.failed,
            skipped: self.skipped + b.skipped,
        }
    }
}

const SANITIZED: &[&str] = &[
    "vinci-hw",
    "vinci-core",
    "vinci-kernels",
    "vinci-device",
    "vinci-driver",
    "vinci",
    "vinci-abi",
    "vinci-ascendcl",
    "vinci-acl-tdt-channel",
    "vinci-acl-tdt-queue",
    "vinci-c-sec",
    "opapi",
];
/// Tiers that run only when they are asked for. What fuzzing finds next is not what a change broke; the debug kernel
/// takes ten minutes to make, and a million requests on it half an hour or more.
const NAMED_ONLY: &[Tier] = &[Tier::Fuzz, Tier::VmDebug, Tier::VmFuzz];
const MODELLED: &[&str] = &["vinci-hw", "vinci-device", "vinci"];

pub fn run(args: &Args) -> Result<()> {
    let problems = packages::install(&[packages::DEMO, packages::TEST]);
    problems.iter().for_each(|p| eprintln!("warning: {p}"));
    let mut tiers = args.tiers.clone();
    if tiers.is_empty() {
        tiers = Tier::value_variants().iter().copied().filter(|tier| !NAMED_ONLY.contains(tier)).collect();
    }
    let mut rows: Vec<(Tier, Outcome, Duration)> = Vec::new();
    for (i, &tier) in tiers.iter().enumerate() {
        eprintln!("\n[{}/{}] {}", i + 1, tiers.len(), name(tier));
        let start = Instant::now();
        let outcome = run_tier(tier, args.full);
        let failed = outcome.failed != 0;
        rows.push((tier, outcome, start.elapsed()));
        if failed && !args.keep_going {
            break;
        }
    }
    report(&rows, problems.len() as u32)
}

fn name(tier: Tier) -> String {
    tier.to_possible_value().map_or_else(String::new, |v| v.get_name().to_string())
}

fn report(rows: &[(Tier, Outcome, Duration)], problems: u32) -> Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(["tier", "passed", "failed", "skipped", "time"]);
    let number = |n: u32| Cell::new(n).set_alignment(CellAlignment::Right);
    for (tier, o, time) in rows {
        let time = Cell::new(format!("{:.0} s", time.as_secs_f64())).set_alignment(CellAlignment::Right);
        table.add_row([Cell::new(name(*tier)), number(o.passed), number(o.failed), number(o.skipped), time]);
    }
    println!("\n{table}");
    let sum = |f: fn(&Outcome) -> u32| rows.iter().map(|(_, o, _)| f(o)).sum::<u32>();
    let (passed, failed, skipped) = (sum(|o| o.passed), sum(|o| o.failed), sum(|o| o.skipped) + problems);
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed != 0 {
        bail!("tests failed");
    }
    Ok(())
}

fn run_tier(tier: Tier, full: bool) -> Outcome {
    match tier {
        Tier::Fmt => single(&mut build::cargo(&["fmt", "--all", "--", "--check"])),
        Tier::Clippy => {
            single(&mut build::cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
        }
        Tier::Doc => {
            let mut c = build::cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
            single(c.env("RUSTDOCFLAGS", "-D warnings"))
        }
        Tier::Unit => {
            counted(&mut build::cargo(&["test", "--workspace", "--exclude", "conformance", "--no-fail-fast"]))
        }
        Tier::Loom => {
            let mut c = build::cargo(&["test", "--release", "--lib", "--test", "loom_ring"]);
            c.args(MODELLED.iter().flat_map(|p| ["-p", p]));
            counted(c.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", build::target().join("loom")))
        }
        Tier::Asan => {
            let mut crates = sanitized(&["--lib", "--tests"]);
            crates.args(SANITIZED.iter().flat_map(|p| ["-p", p]));
            counted(&mut crates) + counted(&mut sanitized(&["-p", "conformance", "--test", "programs"]))
        }
        Tier::Conformance => built(|| {
            counted(&mut build::cargo(&["test", "--release", "-p", "conformance", "--no-fail-fast"]))
        }),
        Tier::Demo => single(&mut build::cargo(&["run", "--quiet", "--package", "xtask", "--", "demo"])),
        Tier::Bench => built(|| {
            single(&mut build::command(
                &build::release().join("vinci").to_string_lossy(),
                &["bench", "--quick"],
            ))
        }),
        Tier::Fuzz => fuzzed(full),
        Tier::Torch => built(|| torch_tests(full)),
        Tier::Vm => in_vm(&[]) + in_vm(&["--lies"]),
        Tier::VmDebug => in_vm(&["--debug"]) + in_vm(&["--debug", "--lies"]),
        Tier::VmFuzz => in_vm(&["--debug", "--fuzz", "1000000"]),
    }
}

/// Each target counts as a test.
fn fuzzed(full: bool) -> Outcome {
    let targets = fuzz::prepare().and_then(|()| fuzz::targets());
    let targets = match targets {
        Ok(targets) => targets,
        Err(e) => {
            eprintln!("{e:#}");
            return Outcome { failed: 1, ..Outcome::default() };
        }
    };
    let mut outcome = Outcome::default();
    for target in targets {
        match fuzz::run(&target, full) {
            Ok(()) => outcome.passed += 1,
            Err(e) => {
                eprintln!("{e:#}");
                outcome.failed += 1;
            }
        }
    }
    outcome
}

/// The tests of torch_npu, in an environment that is made for them.
fn torch_tests(full: bool) -> Outcome {
    match torch::command(full) {
        Ok(mut command) => counted(&mut command),
        Err(e) => {
            eprintln!("skipped: PyTorch with torch_npu: {e:#}");
            Outcome { skipped: 1, ..Outcome::default() }
        }
    }
}

/// A tier that runs in the VM.
fn in_vm(arguments: &[&str]) -> Outcome {
    let missing = vm::missing();
    missing.iter().for_each(|what| eprintln!("skipped: {what}"));
    if !missing.is_empty() {
        return Outcome { skipped: missing.len() as u32, ..Outcome::default() };
    }
    // A machine where a chroot or a kernel cannot be made says nothing about Vinci.
    if let Err(e) = vm::prepare(arguments) {
        eprintln!("skipped: what the VM needs could not be made: {e:#}");
        return Outcome { skipped: 1, ..Outcome::default() };
    }
    match vm::tier(arguments) {
        Ok((passed, failed, skipped)) => Outcome { passed, failed, skipped },
        Err(e) => {
            eprintln!("{e:#}");
            Outcome { failed: 1, ..Outcome::default() }
        }
    }
}

/// `cargo test` under AddressSanitizer, which stable compilers have too, only not under this name.
fn sanitized(args: &[&str]) -> Command {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut c = build::cargo(&["test", "--target", &target, "--no-fail-fast"]);
    c.args(args).env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
    c.env("CARGO_TARGET_DIR", build::target().join("asan")).env("VINCI_SANITIZED", "1");
    c
}

/// A tier that uses the release build.
fn built(tier: impl FnOnce() -> Outcome) -> Outcome {
    match build::release_build() {
        Ok(()) => tier(),
        Err(e) => {
            eprintln!("{e:#}");
            Outcome { failed: 1, ..Outcome::default() }
        }
    }
}

/// A command that passes or fails as a whole.
fn single(c: &mut Command) -> Outcome {
    match build::check(c.stdin(Stdio::null())) {
        Ok(()) => Outcome { passed: 1, ..Outcome::default() },
        Err(e) => {
            eprintln!("{e:#}");
            Outcome { failed: 1, ..Outcome::default() }
        }
    }
}

/// A test run: shows its output and adds up what its closing lines say. One that ends badly without saying
/// so (a crash, a build that fails) counts as a failure.
fn counted(c: &mut Command) -> Outcome {
    let mut outcome = Outcome::default();
    let child = c.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) => {
            eprintln!("could not start {c:?}: {e}");
            return Outcome { failed: 1, ..outcome };
        }
    };
    let lines =
        child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok);
    for line in lines {
        println!("{line}");
        let numbers = || {
            line.split(';').filter_map(|part| {
                let mut words = part.split_whitespace().rev();
                let (what, n) = (words.next()?, words.next()?);
                Some((what.to_string(), n.parse::<u32>().ok()?))
            })
        };
        if line.starts_with("test result:") {
            for (what, n) in numbers() {
                match what.as_str() {
                    "passed" => outcome.passed += n,
                    "failed" => outcome.failed += n,
                    "ignored" => outcome.skipped += n,
                    _ => {}
                }
            }
        }
    }
    if !child.wait().is_ok_and(|s| s.success()) && outcome.failed == 0 {
        outcome.failed = 1;
    }
    outcome
}
