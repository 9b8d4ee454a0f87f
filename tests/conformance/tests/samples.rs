//! CANN's own samples, unmodified, from the checkout that VINCI_CANN_SAMPLES names (the folder `example` of
//! github.com/hicann/runtime). Those that bring no kernel of their own are here; nothing of them is in this repository.

use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::Duration;
use std::{env, fs};

use conformance::{Row, Workspace, compile, report, run};

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

/// Samples without a kernel whose libraries or functions Vinci lacks, and what is lacking.
const MISSING: &[(&str, &str)] = &[
    ("2_advanced_features/ipcevent/0_ipcevent", "two processes: IPC events"),
    ("2_advanced_features/ipcevent/1_ipcevent_multi_device", "two processes: IPC events"),
];

fn main() {
    let Some(root) = env::var_os("VINCI_CANN_SAMPLES").map(PathBuf::from) else {
        let row = |folder: &str| skipped(folder, "skipped: set VINCI_CANN_SAMPLES");
        report("samples of CANN", &SAMPLES.iter().map(|sample| row(sample.folder)).collect::<Vec<_>>());
        return;
    };
    let root = if root.join("example").is_dir() { root.join("example") } else { root };
    let workspace = Workspace::build(&[
        "vinci-ascendcl",
        "vinci-acl-rt",
        "opapi",
        "nnopbase",
        "vinci-acl-tdt-channel",
        "vinci-acl-tdt-queue",
        "vinci-msprofiler",
        "vinci-ascend-dump",
        "vinci-c-sec",
    ]);
    let mut rows: Vec<_> = SAMPLES.iter().map(|sample| attempt(&workspace, &root, sample)).collect();
    rows.extend(
        MISSING.iter().map(|(folder, what)| skipped(folder, &format!("not in this version: {what}"))),
    );
    if !report("samples of CANN", &rows) {
        process::exit(1);
    }
}

fn skipped(folder: &str, detail: &str) -> Row {
    Row { name: folder.to_owned(), verdict: "skip", detail: detail.to_owned(), time: Duration::ZERO }
}

/// Builds and runs a sample.
fn attempt(workspace: &Workspace, root: &Path, sample: &Sample) -> Row {
    let name = sample.folder.to_owned();
    let fail = |detail: String, time| Row { name: name.clone(), verdict: "FAIL", detail, time };
    let folder = root.join(sample.folder);
    if !folder.is_dir() {
        return fail(format!("{} is not there", folder.display()), Duration::ZERO);
    }
    let place = workspace.scratch.join(sample.folder.replace('/', "-"));
    fs::create_dir_all(&place).expect("the target folder can be written");
    let binary = place.join("main");
    let mut compiler = workspace.compiler(Path::new("main.cpp"));
    compiler.args(["-std=c++17", "-O1", "-w", "-pthread", "-I"]).arg(root);
    compiler.arg("-I").arg(folder.join("..")).arg("-I").arg(&folder).arg("-o").arg(&binary);
    compiler.args(sample.sources.iter().map(|source| folder.join(source)));
    workspace.link(&mut compiler, sample.libraries);
    compiler.arg("-ldl");
    if let Some(text) = compile(compiler).expect("a C++ compiler runs") {
        return fail(format!("does not build:\n{text}"), Duration::ZERO);
    }
    // A configuration is read from where the sample runs.
    let json = folder.join("acl.json");
    if json.is_file() {
        fs::copy(&json, place.join("acl.json")).expect("the configuration can be copied");
    }
    let mut command: Command = workspace.command(&binary);
    command.current_dir(&place);
    let outcome = run(command).expect("the sample runs");
    // Samples print what fails; not all of them return it. What 1_error_handling provokes is its subject.
    let complaint = outcome.output.lines().find(|line| line.contains("Operation failed"));
    match outcome.failure.or(complaint.map(str::to_owned)) {
        None => Row { name, verdict: "pass", detail: String::new(), time: outcome.time },
        Some(why) => fail(format!("{why}\n{}", outcome.output), outcome.time),
    }
}
