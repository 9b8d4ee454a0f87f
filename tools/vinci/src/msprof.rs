//! `vinci msprof`: the part of CANN's msprof that clients run. Collections of the profiler come with what they are
//! exported to; exporting puts it where it belongs once more.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

/// Shown below `--help`.
pub const EXAMPLES: &str = "Examples:\n  vinci msprof --export=on --output=prof              every collection in a folder\n  \
     vinci msprof --export=on --output=prof/PROF_000001_…  one\n\n\
     A program is profiled by aclprof*, torch_npu.profiler or, for kernels of its own, vinci trace.";

/// Where the exported files are kept, and where they are wanted, in a collection's folder.
const KEPT: &str = "host/data/exported";
const EXPORTED: &str = "mindstudio_profiler_output";

/// torch_npu looks for the files this often, beside running the command, and takes what it has not seen when the
/// command ends for missing.
const SEEN: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// Arguments of `vinci msprof`.
#[derive(clap::Args)]
pub struct Args {
    /// Export collections to tables and a timeline
    #[arg(long, value_name = "SWITCH", default_value = "off")]
    export: Switch,
    /// Analyse the communication of collections: there is none, since HCCL has one rank here
    #[arg(long, value_name = "SWITCH", default_value = "off")]
    analyze: Switch,
    /// What to analyse
    #[arg(long, value_name = "RULES", requires = "analyze")]
    rule: Option<String>,
    /// Folder of a collection, PROF_…, or one that holds such folders
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
}

/// The collections that `folder` is or holds.
fn collections(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.join("host").is_dir() {
        return Ok(vec![folder.to_path_buf()]);
    }
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("PROF_") && entry.path().join("host").is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    if found.is_empty() {
        bail!("{} is no collection (PROF_…) and holds none", folder.display());
    }
    Ok(found)
}

/// Puts the files of a collection where exported ones are looked for; answers how many.
fn export(collection: &Path) -> Result<usize> {
    let (kept, exported) = (collection.join(KEPT), collection.join(EXPORTED));
    let entries = fs::read_dir(&kept)
        .with_context(|| format!("{} was not collected by Vinci, or not to the end", collection.display()))?;
    fs::create_dir_all(&exported)?;
    let mut count = 0;
    for entry in entries {
        let entry = entry?;
        let (from, to) = (entry.path(), exported.join(entry.file_name()));
        if !to.exists() && fs::hard_link(&from, &to).is_err() {
            // Such a folder may have been copied to where there are no links.
            fs::copy(&from, &to).with_context(|| format!("{} cannot be written", to.display()))?;
        }
        count += 1;
    }
    Ok(count)
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    if (args.export, args.analyze) == (Switch::Off, Switch::Off) {
        bail!("nothing to do: --export=on");
    }
    for collection in collections(&args.output)? {
        if args.export == Switch::On {
            let count = export(&collection)?;
            println!("{}: {count} files in {EXPORTED}", collection.display());
            thread::sleep(SEEN);
        }
        if args.analyze == Switch::On {
            println!("{}: no communication to analyse", collection.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_thrown_away_is_exported_again() {
        let base = std::env::temp_dir().join(format!("vinci-msprof-{}", std::process::id()));
        let collection = base.join("PROF_000001_20260101000000000_ABCDEFGH");
        fs::create_dir_all(collection.join(KEPT)).unwrap();
        fs::write(collection.join(KEPT).join("op_summary_1.csv"), "a,b\n").unwrap();
        let args = |output: &Path| Args {
            export: Switch::On,
            analyze: Switch::Off,
            rule: None,
            output: output.to_path_buf(),
        };
        let file = collection.join(EXPORTED).join("op_summary_1.csv");
        for output in [&base, &collection, &collection] {
            run(&args(output)).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), "a,b\n");
        }
        fs::remove_dir_all(collection.join(EXPORTED)).unwrap();
        run(&args(&base)).unwrap();
        assert!(file.is_file());
        assert!(run(&args(&collection.join("host"))).unwrap_err().to_string().contains("no collection"));
        fs::remove_dir_all(&base).unwrap();
    }
}
