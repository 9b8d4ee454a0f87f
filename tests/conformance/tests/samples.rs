//! CANN's own samples, unmodified, from the checkout that VINCI_CANN_SAMPLES names (the folder `example` of
//! github.com/hicann/runtime). Those that bring no kernel of their own are here; nothing of them is in this repository.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs, thread};

use conformance::{Cell, Home, Line, Verdict, Workspace, compile, conclude, homes, report, run};

/// A sample: its folder, its sources, and the libraries of Vinci that its CMakeLists.txt links.
struct Sample {
    folder: &'static str,
    sources: &'static [&'static str],
    libraries: &'static [&'static str],
}

const fn sample(folder: &'static str, libraries: &'static [&'static str]) -> Sample {
    Sample { folder, sources: &["main.cpp"], libraries }
}

const RUNTIME: &[&str] = &["acl_rt"];
const ASCENDCL: &[&str] = &["ascendcl"];
const OPERATORS: &[&str] = &["acl_rt", "opapi"];

const CHANNEL: &[&str] = &["acl_tdt_channel", "ascendcl"];
// The queue samples share a header of the channels' with them.
const QUEUE: &[&str] = &["acl_tdt_queue", "acl_tdt_channel", "ascendcl"];

const MODEL: &[&str] = &["main.cpp", "../model_utils.cpp"];
const MODEL_LIBRARIES: &[&str] = &["ascendcl", "nnopbase", "opapi"];

const DUMP: &[&str] = &["ascendcl", "nnopbase", "opapi", "ascend_dump", "c_sec"];
const PROFILER: &[&str] = &["msprofiler", "ascendcl", "c_sec"];

/// Samples that must pass.
const SAMPLES: &[Sample] = &[
    sample("0_quickstart/0_hello_cann", OPERATORS),
    sample("0_quickstart/1_error_handling", RUNTIME),
    sample("0_quickstart/2_system_info", RUNTIME),
    sample("0_quickstart/3_cross_version/0_runtime_compatibility", RUNTIME),
    sample("1_basic_features/context/0_context_query", RUNTIME),
    sample("1_basic_features/device/0_device_normal", OPERATORS),
    sample("1_basic_features/device/2_device_P2P", ASCENDCL),
    sample("1_basic_features/memory/0_h2h_memory_copy", ASCENDCL),
    Sample {
        folder: "1_basic_features/memory/9_multistream_sync_memory",
        sources: &["main.cpp", "file_ops.cpp"],
        libraries: ASCENDCL,
    },
    sample("1_basic_features/stream/3_stream_config_query", RUNTIME),
    sample("2_advanced_features/built_in_task/0_reduce_task", RUNTIME),
    sample("2_advanced_features/built_in_task/1_random_num_task", RUNTIME),
    sample("2_advanced_features/label/0_simple_label", ASCENDCL),
    Sample {
        folder: "2_advanced_features/model_ri/0_simple_model",
        sources: MODEL,
        libraries: MODEL_LIBRARIES,
    },
    Sample {
        folder: "2_advanced_features/model_ri/1_model_update",
        sources: MODEL,
        libraries: MODEL_LIBRARIES,
    },
    sample("2_advanced_features/model_ri/4_model_sync_external", ASCENDCL),
    sample("2_advanced_features/tdt_channel/0_simple_channel", CHANNEL),
    sample("2_advanced_features/tdt_channel/1_channel_capacity", CHANNEL),
    sample("2_advanced_features/tdt_queue/0_simple_queue", QUEUE),
    sample("2_advanced_features/tdt_queue/1_queue_route", QUEUE),
    sample("3_memory_advanced/allocator/0_custom_allocator", ASCENDCL),
    sample("4_reliability/overflow_detection/0_overflow_detection", ASCENDCL),
    sample("5_performance/adump/0_adump_args", DUMP),
    sample("5_performance/adump/1_adump_callback", DUMP),
    sample("5_performance/adump/2_model_dump_config", DUMP),
    sample("5_performance/adump/3_save_exception_info", DUMP),
    sample("5_performance/profiling/0_create_config", PROFILER),
    sample("5_performance/profiling/1_msproftx", PROFILER),
    sample("5_performance/profiling/2_subscribe_model", PROFILER),
    Sample {
        folder: "5_performance/profiling/3_mstx_with_domain",
        sources: &["mstx_with_domain.cpp"],
        libraries: &["ascendcl", "nnopbase", "msprofiler", "opapi", "c_sec"],
    },
];

/// Samples of two processes that share a device: the folder, and the arguments of proc_a and proc_b.
const PAIRS: &[(&str, &[&str], &[&str])] = &[
    ("2_advanced_features/ipcevent/0_ipcevent", &[], &[]),
    ("2_advanced_features/ipcevent/1_ipcevent_multi_device", &["1"], &["1", "1"]),
];

fn main() {
    let Some(root) = env::var_os("VINCI_CANN_SAMPLES").map(PathBuf::from) else {
        let folders = SAMPLES.iter().map(|sample| sample.folder).chain(PAIRS.iter().map(|pair| pair.0));
        let lines: Vec<_> = folders.map(|name| skipped(name, "skipped: set VINCI_CANN_SAMPLES")).collect();
        report("samples of CANN", &[""], &lines);
        return;
    };
    let root = if root.join("example").is_dir() { root.join("example") } else { root };
    let workspace = Workspace::build();
    let homes = homes(&workspace);
    let mut lines: Vec<_> = SAMPLES.iter().map(|sample| attempt(&workspace, &homes, &root, sample)).collect();
    lines.extend(PAIRS.iter().map(|pair| attempt_pair(&workspace, &homes, &root, pair)));
    conclude("samples of CANN", homes, &lines);
}

fn cell(verdict: Verdict, detail: impl Into<String>, time: Duration) -> Cell {
    Cell { verdict, detail: detail.into(), time }
}

fn skipped(folder: &str, detail: &str) -> Line {
    Line { name: folder.to_owned(), cells: vec![cell(Verdict::Skip, detail, Duration::ZERO)] }
}

/// Builds a program of a sample.
fn build(
    workspace: &Workspace,
    root: &Path,
    folder: &str,
    (name, sources): (&str, &[&str]),
    libraries: &[&str],
) -> Result<PathBuf, String> {
    let from = root.join(folder);
    if !from.is_dir() {
        return Err(format!("{} is not there", from.display()));
    }
    let place = workspace.scratch.join(folder.replace('/', "-"));
    fs::create_dir_all(&place).expect("the target folder can be written");
    let binary = place.join(name);
    let mut compiler = workspace.compiler(Path::new("main.cpp"));
    compiler.args(["-std=c++17", "-O1", "-w", "-pthread", "-I"]).arg(root);
    compiler.arg("-I").arg(from.join("..")).arg("-I").arg(&from).arg("-o").arg(&binary);
    compiler.args(sources.iter().map(|source| from.join(source)));
    workspace.link(&mut compiler, libraries);
    compiler.arg("-ldl");
    if let Some(text) = compile(compiler).expect("a C++ compiler runs") {
        return Err(format!("does not build:\n{text}"));
    }
    // A configuration is read from where the sample runs.
    let json = from.join("acl.json");
    if json.is_file() {
        fs::copy(&json, place.join("acl.json")).expect("the configuration can be copied");
    }
    Ok(binary)
}

/// A program of a sample, in the folder where it was built.
fn start(workspace: &Workspace, home: &Home, binary: &Path) -> Command {
    let mut command = workspace.command(binary);
    command.current_dir(binary.parent().expect("it lies in a folder"));
    home.set(&mut command);
    command
}

fn judge(outcome: conformance::Outcome) -> Cell {
    // Samples print what fails; not all of them return it. What 1_error_handling provokes is its subject.
    let complaint = outcome.output.lines().find(|line| line.contains("Operation failed"));
    match outcome.failure.or(complaint.map(str::to_owned)) {
        None => cell(Verdict::Pass, "", outcome.time),
        Some(why) => cell(Verdict::Fail, format!("{why}\n{}", outcome.output), outcome.time),
    }
}

/// Builds a sample and runs it in each home.
fn attempt(workspace: &Workspace, homes: &[Home], root: &Path, sample: &Sample) -> Line {
    let built = build(workspace, root, sample.folder, ("main", sample.sources), sample.libraries);
    match built {
        Err(why) => Line::alone(sample.folder, Some(why), ""),
        Ok(binary) => {
            let run = |home| judge(run(start(workspace, home, &binary)).expect("the sample runs"));
            Line { name: sample.folder.to_owned(), cells: homes.iter().map(run).collect() }
        }
    }
}

/// The same for a sample of two processes, which run at the same time.
fn attempt_pair(
    workspace: &Workspace,
    homes: &[Home],
    root: &Path,
    &(folder, args_a, args_b): &(&str, &[&str], &[&str]),
) -> Line {
    let part = |name: &str| build(workspace, root, folder, (name, &[&format!("{name}.cpp")]), ASCENDCL);
    let (a, b) = match (part("proc_a"), part("proc_b")) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(why), _) | (_, Err(why)) => return Line::alone(folder, Some(why), ""),
    };
    let run_both = |home: &Home| {
        if !home.is_shared() {
            return cell(Verdict::Skip, "the processes have a device each", Duration::ZERO);
        }
        let mut commands = [start(workspace, home, &a), start(workspace, home, &b)];
        commands[0].args(args_a);
        commands[1].args(args_b);
        let running = commands.map(|command| thread::spawn(|| run(command).expect("the sample runs")));
        let mut cells = running.map(|thread| judge(thread.join().expect("run does not panic")));
        cells.sort_by_key(|cell| cell.verdict != Verdict::Fail);
        let [first, _] = cells;
        first
    };
    Line { name: folder.to_owned(), cells: homes.iter().map(run_both).collect() }
}
