//! `vinci device`: the NPU as a PCI function of a virtual machine.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use comfy_table::{Table, presets};
use nix::sys::signal::{SigSet, Signal};
use vinci_device::Profile;
use vinci_device_server::{Answer, Lie, Options, Request, Server, Status, ask, beside};

/// Text below the options.
pub const EXAMPLES: &str = "\
QEMU 10.1 or newer connects to the socket; the guest's memory must be a shared memfd:
  vinci device --chip 910c --socket /tmp/npu.sock &
  qemu-system-x86_64 -machine q35,memory-backend=mem -m 2G \\
    -object memory-backend-memfd,id=mem,size=2G,share=on \\
    -device '{\"driver\":\"vfio-user-pci\",\"rombar\":0,\"socket\":{\"type\":\"unix\",\"path\":\"/tmp/npu.sock\"}}' ...
`cargo xtask vm` does all of it, with Debian's kernel and vinci.ko.

The guest sees 1234:910c: registers in BAR0, doorbells in BAR2, the HBM of all dies in BAR4, 64 MSI-X vectors. A machine
that disconnects takes its function with it; the next one finds a new one. What can go wrong, from another terminal:
  vinci device inject ecc-double --die 1 --offset 0x200000 --socket /tmp/npu.sock
  vinci device inject hang           the die's next kernel does not end
  vinci device inject remove         pulled out without a word: registers read as all ones
  vinci device inject unplug         the guest is asked to give it back
  vinci device status                exits, interrupts, resets so far

For the tests of drivers, --lie makes a device that says nonsense:
  all-ones             every register reads as all ones
  unknown-completion   completions that belong to no command
  fence-backwards      fences that go back to 0";

/// Options.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Where to listen [default: $XDG_RUNTIME_DIR/vinci-device.sock, or /tmp/vinci-device-UID.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Where requests to inject errors come in [default: the socket's path and .control]
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Test facility: what the device lies about: all-ones, unknown-completion, fence-backwards
    #[arg(long, value_name = "LIE")]
    lie: Option<Lie>,
    #[command(subcommand)]
    command: Option<Cmd>,
}

#[derive(clap::Subcommand)]
enum Cmd {
    /// Make an error happen in a device that is being served
    Inject(Inject),
    /// Show what a device has done: exits of the guest, interrupts, resets
    Status {
        #[command(flatten)]
        at: At,
        /// JSON instead of a table
        #[arg(long)]
        json: bool,
    },
}

/// Which device.
#[derive(clap::Args)]
struct At {
    /// Where it listens [default: as `vinci device` without --socket]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Its control socket [default: the socket's path and .control]
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
}

impl At {
    fn path(&self) -> PathBuf {
        self.control.clone().unwrap_or_else(|| beside(&self.socket.clone().unwrap_or_else(default_socket)))
    }

    fn ask(&self, request: &Request) -> Result<Answer> {
        let path = self.path();
        ask(&path, request)
            .with_context(|| format!("{}: is `vinci device` running, with this socket?", path.display()))
    }
}

#[derive(clap::Args)]
struct Inject {
    /// What is to happen
    kind: Kind,
    /// The die that it happens to
    #[arg(long, default_value_t = 0)]
    die: u32,
    /// For ecc-double: where in the die's HBM, such as 0x200000
    #[arg(long, default_value = "0", value_parser = number)]
    offset: u64,
    #[command(flatten)]
    at: At,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// A corrected memory error: counted, and the driver hears of it
    EccSingle,
    /// An uncorrectable memory error: work that reads the 64 bytes at --offset faults, until the die is reset
    EccDouble,
    /// The die's next kernel does not end
    Hang,
    /// The die's firmware crashes at the next entry: its queue faults, the others go on
    Crash,
    /// The die's link to the others is lost, until the function is reset
    LinkDown,
    /// The function is pulled out without a word
    Remove,
    /// The guest is asked to give the function back, as for a hot unplug
    Unplug,
    /// Test facility: registers read as all ones from now on
    LieAllOnes,
    /// Test facility: completions that belong to no command, from now on
    LieUnknownCompletion,
    /// Test facility: fences go back to 0, now and after each register that is written
    LieFenceBackwards,
    /// Ends every lie
    Honest,
}

impl Inject {
    fn request(&self) -> Request {
        let die = self.die;
        match self.kind {
            Kind::EccSingle => Request::EccSingle { die },
            Kind::EccDouble => Request::EccDouble { die, offset: self.offset },
            Kind::Hang => Request::Hang { die },
            Kind::Crash => Request::Crash { die },
            Kind::LinkDown => Request::LinkDown { die },
            Kind::Remove => Request::Remove,
            Kind::Unplug => Request::Unplug,
            Kind::LieAllOnes => Request::Lie { lie: Some(Lie::AllOnes) },
            Kind::LieUnknownCompletion => Request::Lie { lie: Some(Lie::UnknownCompletion) },
            Kind::LieFenceBackwards => Request::Lie { lie: Some(Lie::FenceBackwards) },
            Kind::Honest => Request::Lie { lie: None },
        }
    }
}

/// A number, decimal or with 0x.
fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|e| format!("{text:?} is not a number: {e}"))
}

fn default_socket() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir).join("vinci-device.sock"),
        None => std::env::temp_dir().join(format!("vinci-device-{}.sock", nix::unistd::getuid())),
    }
}

/// Serves a device until a signal ends it, or asks one for something.
pub fn run(args: &Args) -> Result<()> {
    match &args.command {
        None => serve(args),
        Some(Cmd::Inject(inject)) => match inject.at.ask(&inject.request())? {
            Answer::Refused(why) => bail!("{why}"),
            Answer::Done | Answer::Status(_) => Ok(()),
        },
        Some(Cmd::Status { at, json }) => match at.ask(&Request::Status)? {
            Answer::Status(status) if *json => {
                println!("{}", serde_json::to_string(&status)?);
                Ok(())
            }
            Answer::Status(status) => {
                println!("{}", table(&status));
                Ok(())
            }
            Answer::Refused(why) => bail!("{why}"),
            Answer::Done => bail!("the device did not say"),
        },
    }
}

fn table(s: &Status) -> Table {
    let yes = |b: bool| if b { "yes" } else { "no" }.to_string();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for (name, value) in [
        ("a machine is connected", yes(s.connected)),
        ("pulled out", yes(s.removed)),
        ("enabled by its driver", yes(s.enabled)),
        ("guest memory in reach (MiB)", (s.guest_memory >> 20).to_string()),
        ("MSI-X vectors routed", s.vectors.to_string()),
        ("register reads", s.register_reads.to_string()),
        ("register writes", s.register_writes.to_string()),
        ("  of them kicks", s.kicks.to_string()),
        ("unmapped doorbell and HBM accesses", s.unmapped_accesses.to_string()),
        ("config space accesses", s.config_accesses.to_string()),
        ("interrupts", s.interrupts.to_string()),
        ("function resets", s.resets.to_string()),
        ("lies", s.lies.to_string()),
    ] {
        table.add_row([name.to_string(), value]);
    }
    table
}

fn serve(args: &Args) -> Result<()> {
    let socket = args.socket.clone().unwrap_or_else(default_socket);
    let control = args.control.clone().unwrap_or_else(|| beside(&socket));
    // Before any thread is there, so that the signals come to the one that waits for them.
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGINT);
    ends.add(Signal::SIGTERM);
    ends.thread_block().context("the signals cannot be blocked")?;
    let options = Options { profile: Profile::from_env()?, socket, control, lie: args.lie };
    let shown = shown(&options.socket);
    let server = Server::bind(options)?;
    let stopper = server.stopper();
    std::thread::Builder::new().name("vinci-signals".into()).spawn(move || {
        if let Ok(signal) = ends.wait() {
            log::info!("{signal}: the device goes away");
            stopper.stop();
        }
        // Whoever asks twice does not want to wait.
        if ends.wait().is_ok() {
            std::process::exit(130);
        }
    })?;
    eprintln!("{} as PCI function 1234:910c at {shown}", server.describe());
    if let Some(lie) = args.lie {
        eprintln!("it lies ({lie:?}): for tests of drivers only");
    }
    server.run()?;
    eprintln!("stopped");
    Ok(())
}

fn shown(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_be_hexadecimal() {
        assert_eq!((number("4096"), number("0x1000")), (Ok(4096), Ok(4096)));
        assert!(number("0xg").is_err() && number("-1").is_err() && number("").is_err());
    }
}
