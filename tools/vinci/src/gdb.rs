//! `vinci run --gdb-kernel`: runs a program until a kernel of its own is launched, and attaches gdb to the process of
//! the AI cores before the kernel's first instruction.

use std::ffi::OsString;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;
use std::{env, fs, process, thread};

use anyhow::{Context, Result, bail};

use crate::home;

/// The program's exit code.
pub fn run(kernel: &str, command: &[OsString]) -> Result<u8> {
    if env::var("VINCI_DEVICE").is_ok_and(|home| !home.is_empty() && home != "embedded") {
        bail!("only kernels of the embedded home can be debugged from here");
    }
    let (program, args) = command.split_first().context("no program is named")?;
    let at = home::find()?;
    let folder = env::temp_dir().join(format!("vinci-gdb-{}", process::id()));
    fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
    let started = Command::new(program)
        .args(args)
        .envs(home::environment(&at))
        .env("VINCI_GDB_KERNEL", kernel)
        .env("VINCI_GDB_FOLDER", &folder)
        // Ctrl-C is for gdb.
        .process_group(0)
        .spawn();
    let result = started
        .with_context(|| format!("{} could not be started", program.to_string_lossy()))
        .and_then(|child| debug(child, kernel, &folder));
    let _ = fs::remove_dir_all(&folder);
    let status = result?;
    Ok(status.code().map_or(128 | status.signal().unwrap_or(0) as u8, |code| code as u8))
}

extern "C" fn ignore(_: libc::c_int) {}

fn debug(mut child: Child, kernel: &str, folder: &Path) -> Result<ExitStatus> {
    let pid = loop {
        if let Ok(pid) = fs::read_to_string(folder.join("pid")) {
            break pid;
        }
        if let Some(status) = child.try_wait()? {
            eprintln!("vinci: the program has ended, and has launched no kernel {kernel}");
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(5));
    };
    // SAFETY: the handler does nothing. gdb takes the interrupts of the terminal; it must not inherit that they are
    // ignored, and handlers are not inherited.
    let before = unsafe { libc::signal(libc::SIGINT, ignore as *const () as libc::sighandler_t) };
    let gdb = Command::new("gdb")
        .args(["-q", "-iex", "set sysroot", "-iex", "set debuginfod enabled off", "-p", pid.trim(), "-x"])
        .arg(folder.join("commands.gdb"))
        .status();
    // SAFETY: as above.
    unsafe { libc::signal(libc::SIGINT, before) };
    if let Err(e) = gdb {
        let _ = child.kill();
        let _ = child.wait();
        return Err(e).context("gdb could not be started (Debian: gdb)");
    }
    Ok(child.wait()?)
}
