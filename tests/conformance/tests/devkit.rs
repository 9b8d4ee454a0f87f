//! The samples of asc-devkit, unmodified, from the checkout that VINCI_ASC_DEVKIT names: those of the introduction and of
//! the basic API whose README says that they run on a 910B. Each is built and run by the commands of its README, once for
//! each of its scenarios, and checked by its own script. Nothing of them is in this repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::{Duration, Instant};
use std::{env, fs, io};

use conformance::{Line, Outcome, Verdict, Workspace, report, run};

/// Folders of samples, and the architecture that their READMEs name.
const PARTS: [&str; 2] = ["00_introduction", "03_basic_api"];
const ARCH: &str = "dav-2201";
/// The variable with the number of a scenario, in READMEs and in CMakeLists.txt.
const SCENARIO: &str = "SCENARIO_NUM";

fn main() {
    let skip_all = |why: &str| {
        let line = Line::once(PARTS.join(", "), Verdict::Skip, format!("skipped: {why}"), Duration::ZERO);
        report("samples of asc-devkit", &[""], &[line]);
    };
    let Some(root) = env::var_os("VINCI_ASC_DEVKIT").map(PathBuf::from) else {
        return skip_all("set VINCI_ASC_DEVKIT");
    };
    for (program, args, why) in [
        ("cmake", &["--version"][..], "no cmake (Debian: cmake)"),
        ("python3", &["-c", "import numpy, ml_dtypes"], "python3 has no numpy or no ml_dtypes"),
        ("clang-19", &["--version"], "no clang-19 (Debian: clang-19)"),
    ] {
        if !Command::new(program).args(args).output().is_ok_and(|o| o.status.success()) {
            return skip_all(why);
        }
    }
    let below = root.join("examples/01_simd_cpp_api");
    let root = if below.is_dir() { below } else { root };
    let workspace = Workspace::build();
    let mut samples = BTreeMap::new();
    for part in PARTS {
        find(&root.join(part), &mut samples)
            .unwrap_or_else(|e| panic!("{} is no checkout of asc-devkit: {e}", root.display()));
    }
    let mut lines = Vec::new();
    let mut good = 0;
    for (folder, commands) in &samples {
        let name = folder.strip_prefix(&root).unwrap_or(folder).display().to_string();
        let before = lines.len();
        attempt(&workspace, folder, &name, commands, &mut lines);
        good += usize::from(lines[before..].iter().all(passed));
    }
    println!("{} samples, of which {good} pass with all their scenarios", samples.len());
    if !report("samples of asc-devkit", &[""], &lines) {
        process::exit(1);
    }
}

fn passed(line: &Line) -> bool {
    line.cells.iter().all(|cell| cell.verdict == Verdict::Pass)
}

/// The folders below `at` that have a CMakeLists.txt, and the commands of their READMEs.
fn find(at: &Path, samples: &mut BTreeMap<PathBuf, String>) -> io::Result<()> {
    for entry in fs::read_dir(at)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        if !path.join("CMakeLists.txt").is_file() {
            find(&path, samples)?;
        } else if let Some(commands) =
            fs::read_to_string(path.join("README.md")).ok().and_then(|t| commands(&t))
        {
            samples.insert(path, commands);
        }
    }
    Ok(())
}

/// The block of a README that builds and runs the sample, if it knows the architecture.
fn commands(readme: &str) -> Option<String> {
    let blocks = readme.split("```bash").skip(1).filter_map(|rest| rest.split("```").next());
    let mut wanted = blocks
        .filter(|b| b.contains("cmake") && b.contains("./demo") && (b.contains(ARCH) || !b.contains("dav-")));
    wanted.next().filter(|_| readme.contains(ARCH)).map(str::to_owned)
}

/// Runs a sample, or each of its scenarios.
fn attempt(workspace: &Workspace, folder: &Path, name: &str, commands: &str, lines: &mut Vec<Line>) {
    if !commands.contains(SCENARIO) {
        lines.extend(scenario(workspace, folder, name, commands));
        return;
    }
    let readme = fs::read_to_string(folder.join("README.md")).unwrap_or_default();
    for number in scenarios(&readme) {
        let chosen = |line: &str| match line.trim_start().starts_with(&format!("{SCENARIO}=")) {
            true => format!("{SCENARIO}={number}"),
            false => line.to_owned(),
        };
        let text = commands.lines().map(chosen).collect::<Vec<_>>().join("\n");
        lines.extend(scenario(workspace, folder, &format!("{name} {number}"), &text));
    }
}

/// The numbers in a README's table of options: `1`, `2`, `3`, or 1-5.
fn scenarios(readme: &str) -> Vec<u32> {
    let row = readme.lines().map(str::trim).rfind(|l| l.starts_with(&format!("| `{SCENARIO}`")));
    let text = row.and_then(|row| row.split('|').nth(2)).unwrap_or("").replace('`', "");
    let mut numbers = Vec::new();
    for part in text.split(['、', ',', ' ']) {
        let ends: Vec<u32> = part
            .split(['-', '~'])
            .map_while(|n| n.trim_matches(|c: char| !c.is_ascii_digit()).parse().ok())
            .collect();
        if let (Some(first), Some(last)) = (ends.first(), ends.last()) {
            numbers.extend(*first..=*last);
        }
    }
    numbers
}

/// Runs a sample's commands in a copy of its folder. Nothing if its CMakeLists.txt knows no such scenario for the
/// architecture.
fn scenario(workspace: &Workspace, folder: &Path, name: &str, commands: &str) -> Option<Line> {
    let place = workspace.scratch.join("devkit").join(name.replace(['/', ' '], "-"));
    let _ = fs::remove_dir_all(&place);
    copy(folder, &place).expect("the target folder can be written");
    let start = Instant::now();
    let mut bash = workspace.command(Path::new("bash"));
    // What makes must not be told to take every core, and what fails ends the rest.
    bash.args(["-ec", &commands.replace("make -j", "make")]).current_dir(&place);
    bash.env("ASC_DIR", workspace.include.join("ascendc/cmake"));
    bash.env("VINCI_CC", workspace.lib.join("vinci")).env("VINCI_LIBRARIES", &workspace.lib);
    bash.env("VINCI_ASCENDC_INCLUDE", workspace.include.join("ascendc"));
    bash.env("VINCI_CHIP", "910b1").env("VINCI_LOG", "off");
    let Outcome { output, failure, .. } = run(bash).expect("bash runs");
    let line = |verdict, detail: String| Line::once(name, verdict, detail, start.elapsed());
    if failure.is_some() && output.contains("CMake Error") && output.contains(SCENARIO) {
        return None;
    }
    Some(match failure {
        Some(why) => line(Verdict::Fail, format!("{why}\n{output}")),
        None => line(Verdict::Pass, String::new()),
    })
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
