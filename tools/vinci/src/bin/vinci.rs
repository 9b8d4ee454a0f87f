//! vinci: one command for everything about this driver and its devices.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use vinci_tools::{bench, cc, chips, device, doctor, gdb, home, info, msprof, serve, show, top, trace};

#[derive(Parser)]
#[command(name = "vinci", version, about = "Ascend NPUs in software: driver, runtime, device", after_help = EXAMPLES)]
struct Cli {
    /// Chip of the embedded device: a name of `vinci chips`, or a profile's file
    #[arg(long, global = true, env = "VINCI_CHIP", value_name = "CHIP", hide_env_values = true)]
    chip: Option<String>,
    /// Home of the driver: embedded, /dev/accel/accelN or unix:PATH
    #[arg(long, global = true, env = "VINCI_DEVICE", value_name = "HOME", hide_env_values = true)]
    device: Option<String>,
    #[command(subcommand)]
    command: Cmd,
}

const EXAMPLES: &str = "Examples:\n  vinci info                        what device there is\n  \
                        vinci run -- ./my_acl_program     run a program for CANN, unmodified\n  \
                        vinci --chip 910b1 info           another chip\n  \
                        vinci bench memcpy_h2d --json     one row, for a script\n  \
                        vinci doctor                      what is missing, and how to mend it";

#[derive(Subcommand)]
enum Cmd {
    /// Show the module and its dies
    Info {
        /// JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Run a program for CANN with the libraries of this installation
    #[command(after_help = home::EXAMPLES)]
    Run {
        /// Stop at the first instruction of this kernel in gdb, the first time that it is launched
        #[arg(long, value_name = "NAME")]
        gdb_kernel: Option<String>,
        /// Write a file for each operator that runs: its arguments, its inputs before and its outputs after it (safetensors)
        #[arg(long, value_name = "FOLDER")]
        record: Option<PathBuf>,
        /// The program and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
    /// Run a program and show what its own kernels did in model time
    #[command(after_help = trace::EXAMPLES)]
    Trace(trace::Args),
    /// Host one device on a Unix socket, for several processes
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::Args),
    /// Be the NPU of a virtual machine: a PCI function, for QEMU (vfio-user)
    #[command(after_help = device::EXAMPLES)]
    Device(device::Args),
    /// Compile Ascend C kernels with stock clang
    #[command(after_help = cc::EXAMPLES)]
    Cc(cc::Args),
    /// Watch dies and processes, live
    #[command(after_help = top::EXAMPLES)]
    Top(top::Args),
    /// What CANN's msprof answers: exports collections of the profiler
    #[command(after_help = msprof::EXAMPLES)]
    Msprof(msprof::Args),
    /// Measure, each row beside a peer in the same run
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::Args),
    /// Check this machine and say what is missing
    Doctor {
        /// JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// List the chips that are built in
    Chips {
        /// JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Print a completion script for a shell
    Completions {
        /// bash, zsh, fish, …
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    show::end_with_the_reader();
    let cli = Cli::parse();
    for (name, value) in [("VINCI_CHIP", &cli.chip), ("VINCI_DEVICE", &cli.device)] {
        if let Some(value) = value {
            // SAFETY: no other thread runs yet.
            unsafe { std::env::set_var(name, value) };
        }
    }
    show::start_log(if matches!(cli.command, Cmd::Serve(_) | Cmd::Device(_)) { "info" } else { "warn" });
    if let Cmd::Run { record: Some(folder), .. } = &cli.command {
        match home::record_folder(folder) {
            // SAFETY: no other thread runs yet.
            Ok(folder) => unsafe { std::env::set_var(home::RECORD, folder) },
            Err(e) => {
                eprintln!("vinci: {e:#}");
                return ExitCode::FAILURE;
            }
        }
    }
    let result: Result<()> = match cli.command {
        Cmd::Info { json } => info::print(json),
        Cmd::Run { gdb_kernel: Some(kernel), command, .. } => match gdb::run(&kernel, &command) {
            Ok(code) => return ExitCode::from(code),
            Err(e) => Err(e),
        },
        Cmd::Run { gdb_kernel: None, command, .. } => match home::run(&command) {
            Ok(never) => match never {},
            Err(e) => {
                eprintln!("vinci: {e:#}");
                return ExitCode::from(home::exit_code(&e));
            }
        },
        Cmd::Trace(args) => match trace::run(&args) {
            Ok(code) => return ExitCode::from(code),
            Err(e) => Err(e),
        },
        Cmd::Serve(args) => serve::run(&args),
        Cmd::Device(args) => device::run(&args),
        Cmd::Cc(args) => cc::run(&args),
        Cmd::Top(args) => top::run(&args),
        Cmd::Msprof(args) => msprof::run(&args),
        Cmd::Bench(args) => bench::run(&args),
        Cmd::Doctor { json } => doctor::print(json),
        Cmd::Chips { json } => chips::print(json),
        Cmd::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "vinci", &mut std::io::stdout());
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("vinci: {e:#}");
            ExitCode::FAILURE
        }
    }
}
