//! `cargo xtask vm`: Debian's Linux 7.3 in QEMU with an Ascend 910C as a PCI function and vinci.ko for it. Makes
//! what that needs once, in a cache; then builds the module, boots and works, in seconds.

mod cache;
mod chroot;
mod guest;
mod initrd;
mod kernel;
mod qemu;
mod splat;
mod steps;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use comfy_table::{Cell, CellAlignment, Table, presets};

use self::cache::{Cache, RunFolder};
use self::chroot::Chroot;
pub use self::chroot::missing;
use self::kernel::Kernel;
use self::qemu::{Device, Did, Machine, Outcome, Terminal};
use crate::{build, conformance, packages};

#[derive(clap::Parser)]
pub struct Args {
    /// The debug kernel: KASAN, lockdep, kmemleak, fault injection
    #[arg(long)]
    debug: bool,
    /// Only make what the VM needs
    #[arg(long, conflicts_with_all = ["shell", "smoke", "command"])]
    setup: bool,
    /// A prompt in the guest
    #[arg(long, conflicts_with_all = ["smoke", "command"])]
    shell: bool,
    /// Load the module, run the tools, the demo and the C programs, unload it (what is done if nothing is asked for)
    #[arg(long, conflicts_with = "command")]
    smoke: bool,
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
    /// Seconds after which the guest is turned off [default: 300, of the debug kernel 1200, of a shell a day]
    #[arg(long)]
    timeout: Option<u64>,
    /// A command for the guest; its exit status becomes this command's
    #[arg(last = true)]
    command: Vec<String>,
}

/// What the guest does.
enum Work {
    Smoke,
    Shell,
    Command(Vec<String>),
}

impl Args {
    fn kernel(&self) -> Kernel {
        if self.debug { Kernel::Debug } else { Kernel::Stock }
    }

    fn work(&self) -> Work {
        match () {
            () if self.shell => Work::Shell,
            () if !self.command.is_empty() => Work::Command(self.command.clone()),
            () => Work::Smoke,
        }
    }

    fn limit(&self) -> Duration {
        let default = match (self.shell, self.debug) {
            (true, _) => 24 * 3600,
            (false, true) => 1200,
            (false, false) => 300,
        };
        Duration::from_secs(self.timeout.unwrap_or(default))
    }
}

/// The smoke test on the stock or the debug kernel, for `cargo xtask test`; answers what passed and what failed.
pub fn smoke(debug: bool) -> Result<(u32, u32)> {
    let flags = if debug { &["vm", "--debug"][..] } else { &["vm"] };
    let verdict = boot(&Args::try_parse_from(flags)?)?;
    Ok((verdict.passed, verdict.failures))
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
    let missing = packages::install(&[packages::DEMO]);
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
        Work::Smoke => Terminal::Log,
        Work::Shell => Terminal::Interactive,
        Work::Command(_) => Terminal::Output,
    };
    eprintln!("booting Linux {release} in QEMU");
    let mut outcome = machine.run(&terminal, &folder, device.as_ref(), |did| {
        eprintln!("{:28} {:>6}  {:5.1} s", did.name, word(did), did.ended - did.began);
    })?;
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
    if matches!(work, Work::Smoke) {
        let steps = outcome.steps.iter();
        let took = |did: &Did| did.ended - did.began;
        conformance::save_kernel(steps.map(|did| (did.name.as_str(), did.status == Some(0), took(did))))?;
        let seconds = |t: Duration| t.as_secs_f64();
        eprintln!(
            "build {:.1} s, module {:.1} s, initrd {:.1} s, guest {:.1} s",
            seconds(built),
            seconds(compiled - built),
            seconds(packed - compiled),
            seconds(start.elapsed() - packed)
        );
        println!("{}", table(&outcome));
        println!("{} passed, {} failed", verdict.passed, verdict.failures);
    }
    Ok(verdict)
}

fn word(did: &Did) -> String {
    match did.status {
        Some(0) => "pass".into(),
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
    for did in outcome.steps.iter().filter(|did| did.status != Some(0)) {
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
    let passed = outcome.steps.iter().filter(|did| did.status == Some(0)).count() as u32;
    Verdict { guest: outcome.status, failures, passed }
}
