//! npu-smi: what operators of Ascend cards type, answered by Vinci.

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use vinci_tools::show;
use vinci_tools::smi::{Snapshot, VERSION};

#[derive(Parser)]
#[command(name = "npu-smi", version = VERSION, disable_version_flag = true, about = "State of the NPUs of this machine")]
struct Cli {
    /// Print the version
    #[arg(short = 'v', long)]
    version: bool,
    #[command(subcommand)]
    command: Option<Cmd>,
}

#[derive(Subcommand)]
enum Cmd {
    /// All NPUs in a table; with -l or -t something about them
    Info(Info),
}

#[derive(clap::Args)]
struct Info {
    /// List the NPUs
    #[arg(short)]
    list: bool,
    /// What to show of one NPU
    #[arg(short = 't', value_name = "TYPE")]
    topic: Option<Topic>,
    /// NPU
    #[arg(short = 'i', value_name = "NPU")]
    npu: Option<u32>,
    /// Chip of the NPU; all of them if none is named
    #[arg(short = 'c', value_name = "CHIP")]
    chip: Option<u32>,
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Topic {
    /// Name and bus address
    Board,
    /// HBM capacity
    Memory,
    /// How much of AI cores and HBM is used
    Usages,
    /// Degrees Celsius
    Temp,
    /// Watts
    Power,
    /// Health
    Health,
}

fn info(a: &Info) -> Result<()> {
    let s = Snapshot::take()?;
    if a.json {
        return show::json(&s);
    }
    let line = |name: &str, value: String| println!("\t{name:<31}: {value}");
    if a.list {
        let npus = s.chips.last().map_or(0, |c| c.npu + 1);
        line("Total Count", npus.to_string());
        for npu in 0..npus {
            println!();
            line("NPU ID", npu.to_string());
            line("Chip Count", s.chips.iter().filter(|c| c.npu == npu).count().to_string());
        }
        return Ok(());
    }
    let Some(topic) = a.topic else {
        print!("{}", s.render());
        return Ok(());
    };
    let npu = a.npu.context("name the NPU with -i; npu-smi info -l lists them")?;
    let chips = s.chips.iter().filter(|c| c.npu == npu && a.chip.is_none_or(|x| x == c.chip));
    let chips: Vec<_> = chips.collect();
    if chips.is_empty() {
        bail!("there is no NPU {npu}{}", a.chip.map_or(String::new(), |c| format!(" with a chip {c}")));
    }
    for c in chips {
        line("NPU ID", c.npu.to_string());
        line("Chip ID", c.chip.to_string());
        match topic {
            Topic::Board => {
                line("Chip Name", c.name.clone());
                line("PCIe Bus Info", c.bus_id.clone());
            }
            Topic::Memory => line("HBM Capacity(MB)", c.hbm_total_mb.to_string()),
            Topic::Usages => {
                line("HBM Capacity(MB)", c.hbm_total_mb.to_string());
                line("HBM Usage Rate(%)", (c.hbm_used_mb * 100 / c.hbm_total_mb.max(1)).to_string());
                line("Aicore Usage Rate(%)", c.aicore.to_string());
            }
            Topic::Temp => line("NPU Temperature (C)", c.temperature_c.to_string()),
            Topic::Power => {
                line("NPU Real-time Power(W)", c.power_w.map_or("-".into(), |w| format!("{w:.1}")));
            }
            Topic::Health => line("Health", c.health.clone()),
        }
        println!();
    }
    Ok(())
}

fn main() -> std::process::ExitCode {
    show::end_with_the_reader();
    let cli = Cli::parse();
    show::start_log("warn");
    let result = match cli.command {
        _ if cli.version => {
            println!("npu-smi version: {VERSION}");
            Ok(())
        }
        Some(Cmd::Info(a)) => info(&a),
        None => {
            let _ = <Cli as clap::CommandFactory>::command().print_help();
            Ok(())
        }
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("npu-smi: {e:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
