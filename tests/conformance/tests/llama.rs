//! llama.cpp's CANN backend, unmodified, against llama.cpp's CPU backend: VINCI_LLAMA_CPP names a `test-backend-ops`
//! that was built with GGML_CANN=ON. Nothing of it is in this repository.

use std::path::PathBuf;
use std::process::{self, Command};
use std::time::Duration;
use std::{env, fs};

use conformance::{Line, Verdict, Workspace, report, run_within};

/// All of its cases on two cores, with other work beside them.
const LIMIT: Duration = Duration::from_secs(3600);

/// Cases of ggml 0.25.3, as llama-cpp-python 0.3.36 brings it, that the backend says it supports; a later one may have
/// more.
const CASES: usize = 6480;

/// Those of them that llama.cpp's CPU backend has not, so that there is nothing to compare with.
const ALONE: usize = 284;

/// Cases that fail by what the backend does with any CANN, how many there are, and why.
const BACKEND: &[(&str, &str, usize, &str)] = &[
    ("SET_ROWS(type_src=f16,type_dst=f32", "", 16, "reads a float16 source as float32"),
    ("GET_ROWS(type=q8_0", "vs0=1", 4, "looks for the scales of a view behind the view"),
    ("MUL_MAT_ID(type_a=q8_0", "amax=100000", 3, "computes in float16, which ends at 65504"),
    ("ROPE(type=f32,ne_a=[256,8,512,1],n_dims=256,mode=2", "", 1, "keeps a cache of sines that is too short"),
    (
        "ROPE(type=f32,ne_a=[512,8,512,1],n_dims=128,mode=2",
        "ff=1",
        1,
        "keeps a cache of sines that is too short",
    ),
    // They follow ROPE_SET_ROWS with freq_scale 1.4; without that before them they pass.
    (
        "RMS_NORM_MUL_ROPE(ne=[128,4,7,2],eps=0.000001,multi_add=0,mul=1,rope=1",
        "broadcast=0,mode=0,set_rows_type=f16",
        2,
        "keeps frequencies that an operation before has scaled in place",
    ),
];

/// All but the joining of quantised tensors: the backend gives them types that aclnnCat refuses, and then aborts.
const PARAMETERS: &str = r"^(?!type=q\d_\d,ne_a=\[128,12,13,14\],ne_b_d)";
/// How many those are.
const ABORTS: usize = 80;

fn main() {
    let name = "test-backend-ops -b CANN0";
    let row = |verdict, detail: String, time| Line::once(name, verdict, detail, time);
    let Some(program) = env::var_os("VINCI_LLAMA_CPP").map(PathBuf::from) else {
        let skipped = row(Verdict::Skip, "skipped: set VINCI_LLAMA_CPP".into(), Duration::ZERO);
        report("llama.cpp", &[""], &[skipped]);
        return;
    };
    let workspace = Workspace::build();
    let mut command: Command = workspace.command(&program);
    // Its own libraries lie beside it.
    let beside = program.parent().map(|folder| folder.to_owned()).unwrap_or_default();
    let path = env::join_paths([workspace.lib.clone(), beside]).expect("folders without a colon");
    command
        .env("LD_LIBRARY_PATH", path)
        .env("VINCI_CHIP", "910b3")
        .args(["test", "-b", "CANN0", "-p", PARAMETERS]);
    let outcome = run_within(command, LIMIT).expect("VINCI_LLAMA_CPP names a program");
    let log = workspace.scratch.join("llama.log");
    fs::write(&log, &outcome.output).expect("the target folder can be written");
    let plain = without_colours(&outcome.output);
    let known =
        |line: &str| BACKEND.iter().any(|(name, with, ..)| line.contains(name) && line.contains(with));
    let cases = plain.lines().filter(|line| line.contains("): "));
    let failed: Vec<_> = cases.clone().filter(|line| line.ends_with("): FAIL")).map(str::trim).collect();
    let passed = cases.filter(|line| line.ends_with("): OK")).count();
    let (excused, failed): (Vec<_>, Vec<_>) = failed.into_iter().partition(|line| known(line));
    let expected = CASES - ALONE - ABORTS - BACKEND.iter().map(|(.., n, _)| n).sum::<usize>();
    let summary = format!(
        "{passed} of {CASES} passed, {ALONE} have nothing to be compared with, {ABORTS} of CONCAT are left out; {} \
         failed by the backend, {} by us; all it said is in {}",
        excused.len(),
        failed.len(),
        log.display()
    );
    // It ends with an error whenever a case failed, so only a signal is one of its own.
    let died = outcome.failure.filter(|why| why.contains("signal") || why.contains("no end"));
    let verdict = match died {
        Some(why) => row(Verdict::Fail, format!("{why}; {summary}\n{}", failed.join("\n")), outcome.time),
        None if failed.is_empty() && passed >= expected => row(Verdict::Pass, summary, outcome.time),
        None => row(
            Verdict::Fail,
            format!("{expected} should pass; {summary}\n{}", failed.join("\n")),
            outcome.time,
        ),
    };
    if !report("llama.cpp", &[""], &[verdict]) {
        process::exit(1);
    }
}

/// Text without the escape sequences of a terminal.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split('\u{1b}');
    plain.push_str(parts.next().unwrap_or_default());
    parts.for_each(|part| plain.push_str(part.split_once('m').map_or("", |(_, rest)| rest)));
    plain
}
