//! `cargo xtask vm`: Debian's Linux 7.3 in QEMU with an Ascend 910C as a PCI function and vinci.ko for it. Makes
//! what that needs once, in a cache; then builds the module, boots and works, in seconds.

mod cache;
mod checks;
mod chroot;
mod guest;
mod initrd;
mod kernel;
mod qemu;
mod splat;
mod steps;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use comfy_table::{Cell, CellAlignment, Table, presets};

use self::cache::{Cache, RunFolder};
use self::chroot::Chroot;
pub use self::chroot::missing;
use self::kernel::Kernel;
use self::qemu::{Device, Did, Machine, Outcome, SKIPPED, Terminal};
use crate::{build, conformance, packages};

#[derive(clap::Parser)]
pub struct Args {
    /// The debug kernel: KASAN, lockdep, kmemleak, fault injection
    #[arg(long)]
    debug: bool,
    /// Only make what the VM needs
    #[arg(long, conflicts_with_all = ["shell", "smoke", "lies", "command"])]
    setup: bool,
    /// A prompt in the guest
    #[arg(long, conflicts_with_all = ["smoke", "lies", "command"])]
    shell: bool,
    /// Only load the module, ask npu-smi, run the demo and one test of the module, and unload it. Without this, and if
    /// nothing else is asked for: check the module's sources, too, and run all C programs and all tests of the module
    #[arg(long, conflicts_with = "command")]
    smoke: bool,
    /// Random requests from several processes, so many
    #[arg(long, value_name = "CALLS", conflicts_with_all = ["shell", "smoke", "lies", "command"])]
    fuzz: Option<u64>,
    /// Let the device lie, hang and vanish under the module
    #[arg(long, conflicts_with_all = ["command", "no_device"])]
    lies: bool,
    /// Chip of the device
    #[arg(long, default_value = "910c")]
    chip: String,
    /// Take the development build instead of the release build, which takes longer to make
    #[arg(long)]
    dev: bool,
    /// Boot without a device
    #[arg(long)]
    no_device: bool,
    /// Folder of the module's Kbuild file
    #[arg(long, value_name = "DIR", default_value = "driver/kernel")]
    module: PathBuf,
    /// A program to put into the guest's path, with the libraries it needs; may be repeated
    #[arg(long, value_name = "FILE")]
    with: Vec<PathBuf>,
    /// Processors of the guest
    #[arg(long, default_value_t = 2)]
    cpus: u32,
    /// Memory of the guest in MiB
    #[arg(long, default_value_t = 2048)]
    memory: u32,
    /// Seconds after which the guest is turned off [default: 600, of the debug kernel 2400, of a shell or --fuzz a day]
    #[arg(long)]
    timeout: Option<u64>,
    /// A command for the guest; its exit status becomes this command's
    #[arg(last = true)]
    command: Vec<String>,
}

/// What the guest does.
enum Work {
    /// All there is.
    Suite,
    /// What shows in half a minute that it works at all.
    Smoke,
    Lies,
    Fuzz(u64),
    Shell,
    Command(Vec<String>),
}

impl Args {
    fn kernel(&self) -> Kernel {
        if self.debug { Kernel::Debug } else { Kernel::Stock }
    }

    fn work(&self) -> Work {
        match self.fuzz {
            _ if self.shell => Work::Shell,
            _ if self.lies => Work::Lies,
            Some(calls) => Work::Fuzz(calls),
            None if !self.command.is_empty() => Work::Command(self.command.clone()),
            None if self.smoke => Work::Smoke,
            None => Work::Suite,
        }
    }

    fn limit(&self) -> Duration {
        let default = match (self.shell || self.fuzz.is_some(), self.debug) {
            (true, _) => 24 * 3600,
            (false, true) => 2400,
            (false, false) => 600,
        };
        Duration::from_secs(self.timeout.unwrap_or(default))
    }
}

/// Makes what `cargo xtask vm` needs for these arguments.
pub fn prepare(arguments: &[&str]) -> Result<()> {
    let args = Args::try_parse_from([&["vm"], arguments].concat())?;
    set_up(args.kernel()).map(drop)
}

/// What `cargo xtask vm` does with these arguments, for `cargo xtask test`: how much passed, failed and was skipped.
pub fn tier(arguments: &[&str]) -> Result<(u32, u32, u32)> {
    let verdict = boot(&Args::try_parse_from([&["vm"], arguments].concat())?)?;
    Ok((verdict.passed, verdict.failures, verdict.skipped))
}

pub fn run(args: &Args) -> Result<()> {
    let status = match args.setup {
        true => set_up(args.kernel()).map(|_| 0)?,
        false => boot(args)?.status(),
    };
    match status {
        0 => Ok(()),
        status => std::process::exit(status),
    }
}

/// Makes what is missing of what `kernel` needs.
fn set_up(kernel: Kernel) -> Result<(Cache, Chroot)> {
    let missing = missing();
    if !missing.is_empty() {
        bail!("{}", missing.join("\n"));
    }
    let cache = Cache::open()?;
    let chroot = Chroot::of(&cache);
    let mut list = chroot.steps();
    list.extend(Kernel::Stock.steps(&chroot));
    if kernel == Kernel::Debug {
        // The source is unpacked once for both.
        list.extend(Kernel::Debug.steps(&chroot).into_iter().filter(|step| step.name != "source"));
    }
    // Who needs nothing does not wait for who makes another kernel.
    if !steps::all_done(&cache, &list) {
        let lock = cache.lock("lock")?;
        steps::make(&cache, &lock, &list)?;
    }
    drop(list);
    Ok((cache, chroot))
}

/// What a run in the VM came to.
struct Verdict {
    guest: Option<i32>,
    failures: u32,
    passed: u32,
    skipped: u32,
}

impl Verdict {
    fn status(&self) -> i32 {
        match (self.guest, self.failures) {
            (Some(status), 0) => status,
            (Some(status), _) if status != 0 => status,
            _ => 1,
        }
    }
}

fn boot(args: &Args) -> Result<Verdict> {
    guest::check(&args.with)?;
    let kernel = args.kernel();
    let (cache, chroot) = set_up(kernel)?;
    let missing = packages::install(&[packages::DEMO, packages::VM]);
    if !missing.is_empty() {
        bail!("{}", missing.join("\n"));
    }
    let start = Instant::now();
    let libraries = match args.dev {
        true => build::dev_build()?,
        false => build::release_build().map(|()| build::release())?,
    };
    let built = start.elapsed();
    let project = build::root();
    let modules = {
        let _lock = cache.lock(&format!("lock-{}", kernel.name()))?;
        kernel::module(kernel, &chroot, &cache, project, &std::path::absolute(project.join(&args.module))?)?
    };
    let compiled = start.elapsed();
    let folder = RunFolder::new()?;
    let work = args.work();
    let initrd = folder.file("initrd");
    std::fs::write(&initrd, guest::image(&chroot, &libraries, &modules, &args.with, &work)?)
        .with_context(|| initrd.display().to_string())?;
    let packed = start.elapsed();
    let (image, release) = kernel.image(&chroot)?;
    let mut device = match args.no_device {
        true => None,
        false => Some(Device::start(&libraries.join("vinci"), &args.chip, &folder)?),
    };
    let machine = Machine {
        chroot: &chroot,
        image: &image,
        initrd: &initrd,
        options: if args.debug { "kasan_multi_shot" } else { "" },
        cpus: args.cpus,
        memory: args.memory,
        limit: args.limit(),
    };
    let terminal = match work {
        Work::Suite | Work::Smoke | Work::Lies | Work::Fuzz(_) => Terminal::Log,
        Work::Shell => Terminal::Interactive,
        Work::Command(_) => Terminal::Output,
    };
    let tell = |did: &Did| eprintln!("{:28} {:>6}  {:5.1} s", did.name, word(did), did.ended - did.began);
    let (mut checks, mut said) = (Vec::new(), String::new());
    let own = args.module == Path::new("driver/kernel");
    if let Some(module) = modules.last().filter(|_| matches!(work, Work::Suite) && own && !args.debug) {
        checks = checks::run(&chroot, project, module, &mut said, tell)?;
    }
    eprintln!("booting Linux {release} in QEMU");
    let mut outcome = machine.run(&terminal, &folder, device.as_ref(), tell)?;
    outcome.steps.splice(0..0, checks);
    outcome.output.insert_str(0, &said);
    std::fs::write(cache.log("console"), &outcome.console)?;
    std::fs::write(cache.log("guest"), &outcome.output)?;
    if let Some(device) = &device {
        std::fs::write(cache.log("device"), device.said())?;
    }
    if matches!(work, Work::Shell) {
        // Who turns the machine off at the prompt wanted just that.
        outcome.status = outcome.status.or(Some(0));
    }
    let verdict = judge(&outcome, device.as_mut(), &cache);
    if let Work::Fuzz(_) = work {
        let fuzzed = outcome.steps.iter().filter(|did| did.name.starts_with("fuzz-uapi"));
        fuzzed.for_each(|did| println!("{}", outcome.said(&did.name).trim_end()));
        println!("{}", table(&outcome));
    }
    if matches!(work, Work::Lies) {
        println!("{}", table(&outcome));
        println!("{} passed, {} failed", verdict.passed, verdict.failures);
    }
    if matches!(work, Work::Suite) {
        let steps = outcome.steps.iter();
        let took = |did: &Did| did.ended - did.began;
        conformance::save_kernel(steps.map(|did| (did.name.as_str(), did.status == Some(0), took(did))))?;
    }
    if matches!(work, Work::Suite | Work::Smoke) {
        let seconds = |t: Duration| t.as_secs_f64();
        eprintln!(
            "build {:.1} s, module {:.1} s, initrd {:.1} s, guest {:.1} s",
            seconds(built),
            seconds(compiled - built),
            seconds(packed - compiled),
            seconds(start.elapsed() - packed)
        );
        println!("{}", table(&outcome));
        println!("{} passed, {} failed, {} skipped", verdict.passed, verdict.failures, verdict.skipped);
    }
    Ok(verdict)
}

fn word(did: &Did) -> String {
    match did.status {
        Some(0) => "pass".into(),
        Some(SKIPPED) => "skip".into(),
        Some(137) => "KILLED".into(),
        Some(status) => format!("FAIL {status}"),
        None => "NO END".into(),
    }
}

fn table(outcome: &Outcome) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_BORDERS_ONLY_CONDENSED).set_header(["step", "result", "time"]);
    let row = |name: &str, word: String, time: f64| {
        let time = Cell::new(format!("{time:.1} s")).set_alignment(CellAlignment::Right);
        [Cell::new(name), Cell::new(word), time]
    };
    if let Some((release, at)) = &outcome.up {
        table.add_row(row(&format!("boot {release}"), "pass".into(), *at));
    }
    for did in &outcome.steps {
        table.add_row(row(&did.name, word(did), did.ended - did.began));
    }
    table
}

/// Counts what went well and what did not, and says what did not.
fn judge(outcome: &Outcome, device: Option<&mut Device>, cache: &Cache) -> Verdict {
    let mut failures = 0;
    let mut fail = |text: String| {
        failures += 1;
        eprintln!("\nFAIL: {text}");
    };
    for did in outcome.steps.iter().filter(|did| !matches!(did.status, Some(0 | SKIPPED))) {
        fail(format!("{}: {}\n{}", did.name, word(did), outcome.said(&did.name).trim_end()));
    }
    const SHOWN: usize = 6;
    let reports = splat::reports(&outcome.console);
    for report in reports.iter().take(SHOWN) {
        fail(format!("the kernel reports:\n{report}"));
    }
    if reports.len() > SHOWN {
        fail(format!("the kernel has {} more reports", reports.len() - SHOWN));
    }
    if outcome.timed_out {
        fail("the guest was turned off: it took longer than --timeout".into());
    } else if outcome.up.is_none() {
        fail("the guest did not boot".into());
    } else if outcome.status.is_none() {
        fail("the guest ended without a result".into());
    }
    if let Some(device) = device
        && let Some(how) = device.ended()
        && how != "exit status: 0"
    {
        fail(format!("vinci device ended ({how}):\n{}", device.said()));
    }
    if failures != 0 {
        let said: Vec<_> = outcome.console.lines().rev().take(10).collect();
        eprintln!("\nthe kernel's last words:");
        said.iter().rev().for_each(|line| eprintln!("  {line}"));
        let logs = ["console", "guest", "device"].map(|log| cache.log(log).display().to_string());
        eprintln!("all of it: {}", logs.join(", "));
    }
    for did in outcome.steps.iter().filter(|did| did.status == Some(SKIPPED)) {
        eprintln!("{}: {}", did.name, outcome.said(&did.name).trim_end());
    }
    let count = |status| outcome.steps.iter().filter(|did| did.status == Some(status)).count() as u32;
    Verdict { guest: outcome.status, failures, passed: count(0), skipped: count(SKIPPED) }
}
