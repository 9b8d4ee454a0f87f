//! `vinci serve`: one device for several processes.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal};
use vinci_device::Profile;
use vinci_driver::{Limits, Policy, Server};

/// Text below the options.
pub const EXAMPLES: &str = "\
Programs find the device through VINCI_DEVICE, and need nothing else:
  vinci serve --socket /tmp/npu.sock &
  export VINCI_DEVICE=unix:/tmp/npu.sock
  vinci run -- ./my_acl_program      as many of them as you like, at the same time
  vinci top                          all processes, live
  npu-smi info                       the same, as the vendor's tool shows it

Root and the user who started the server may connect; --allow-uid and --allow-gid add others. Only the former may
reset the device or inject errors. A process that ends, however it ends, is cleaned up at once. Ctrl-C or SIGTERM ends
the server: every call of a program that still runs then fails, and none hangs.";

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// Where to listen [default: $XDG_RUNTIME_DIR/vinci.sock, or /tmp/vinci-UID.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Let the processes of this user in, too; may be repeated
    #[arg(long, value_name = "UID")]
    allow_uid: Vec<u32>,
    /// Let processes of this group in, too; may be repeated
    #[arg(long, value_name = "GID")]
    allow_gid: Vec<u32>,
    /// HBM that one process may hold, such as 8G
    #[arg(long, value_name = "SIZE", value_parser = size)]
    quota_hbm: Option<u64>,
    /// Host memory that one process may have made or pinned, such as 512M
    #[arg(long, value_name = "SIZE", value_parser = size)]
    quota_host: Option<u64>,
    /// Queues (streams) that one process may have; the device has 1023
    #[arg(long, value_name = "COUNT")]
    quota_queues: Option<u32>,
    /// Address spaces that one process may have; a program for CANN needs one, the device has 1023
    #[arg(long, value_name = "COUNT")]
    quota_spaces: Option<u32>,
    /// Buffer objects that one process may have; each may cost the server a descriptor
    #[arg(long, value_name = "COUNT")]
    quota_objects: Option<u32>,
}

/// Bytes, with K, M, G or T for powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().trim_end_matches("IB").trim_end_matches('B') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        unit => return Err(format!("unknown unit {unit}; use K, M, G or T")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{digits:?} is not a number"))?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".into())
}

/// The socket if none is named.
pub fn default_socket() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir).join("vinci.sock"),
        None => std::env::temp_dir().join(format!("vinci-{}.sock", nix::unistd::getuid())),
    }
}

/// Serves until a signal ends it.
pub fn run(args: &Args) -> Result<()> {
    let socket = args.socket.clone().unwrap_or_else(default_socket);
    let most = Policy::default().limits;
    let policy = Policy {
        uids: args.allow_uid.clone(),
        gids: args.allow_gid.clone(),
        limits: Limits {
            hbm: args.quota_hbm.unwrap_or(most.hbm),
            host: args.quota_host.unwrap_or(most.host),
            queues: args.quota_queues.unwrap_or(most.queues),
            spaces: args.quota_spaces.unwrap_or(most.spaces),
            objects: args.quota_objects.unwrap_or(most.objects),
        },
    };
    // Before any thread is there, so that the signals come to the one that waits for them.
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGINT);
    ends.add(Signal::SIGTERM);
    ends.thread_block().context("the signals cannot be blocked")?;
    let server = Server::bind(&socket, Profile::from_env()?, policy)?;
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
    let shown = std::path::absolute(&socket).unwrap_or(socket);
    let Some(shown) = shown.to_str() else { bail!("{}: not UTF-8", shown.display()) };
    eprintln!("serving {}", server.describe());
    eprintln!("  export VINCI_DEVICE=unix:{shown}");
    server.run()?;
    eprintln!("stopped");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!((size("4096"), size("8G"), size("512MiB")), (Ok(4096), Ok(8 << 30), Ok(512 << 20)));
        assert!(size("8X").is_err() && size("G").is_err() && size("99999999T").is_err());
    }
}
