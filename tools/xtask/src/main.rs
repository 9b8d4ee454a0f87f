//! `cargo xtask`: the project's own commands. `demo` runs the main job, `test` passes all tests.

mod build;
mod conformance;
mod demo;
mod fuzz;
mod install;
/// As `vinci run` lays out a build, so that both have one shape; xtask does not link the tools.
#[path = "../../vinci/src/layout.rs"]
mod layout;
mod packages;
mod test;
mod torch;
mod vm;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Builds, checks and demonstrates Vinci", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Cmd,
}

const EXAMPLES: &str = "Examples:\n  cargo xtask demo                 train a classifier on an embedded Ascend 910C\n  \
                        cargo xtask test                 install what is needed, pass all tests\n  \
                        cargo xtask test clippy unit     only these tiers\n  \
                        cargo xtask conformance --vm     the C programs in every home, as one table\n  \
                        cargo xtask install --prefix /opt/vinci\n  \
                        cargo xtask vm                   the same programs on a kernel with vinci.ko\n  \
                        cargo xtask vm --debug -- CMD    a command there, under KASAN and lockdep";

#[derive(Subcommand)]
enum Cmd {
    /// Build everything and train a classifier on the UCI digits on an embedded Ascend 910C
    Demo(demo::Args),
    /// Install what the tests need and pass all of them
    Test(test::Args),
    /// Run the C programs in each home of the driver and show one table
    Conformance(conformance::Args),
    /// Lay out libraries, headers and tools in a folder shaped like CANN's
    Install(install::Args),
    /// Boot Debian's Linux 7.3 in QEMU, with an Ascend 910C on its PCI bus and vinci.ko
    Vm(vm::Args),
}

fn main() {
    let result = match Cli::parse().command {
        Cmd::Demo(args) => demo::run(&args),
        Cmd::Test(args) => test::run(&args),
        Cmd::Conformance(args) => conformance::run(&args),
        Cmd::Install(args) => install::run(&args),
        Cmd::Vm(args) => vm::run(&args),
    };
    if let Err(e) = result {
        eprintln!("error: {e:#}");
        std::process::exit(1);
    }
}
