//! llama.cpp's CANN backend, unmodified, against llama.cpp's CPU backend: VINCI_LLAMA_CPP names a `test-backend-ops`
//! that was built with GGML_CANN=ON. Nothing of it is in this repository.

use std::path::PathBuf;
use std::process::{self, Command};
use std::time::Duration;
use std::{env, fs};

use conformance::{Row, Workspace, report, run_within};

/// All of its cases on two cores, with other work beside them.
const LIMIT: Duration = Duration::from_secs(3600);

/// Cases of ggml 0.25.3 that the backend says it supports; a later one may have more.
const CASES: usize = 5116;

fn main() {
    let name = "test-backend-ops -b CANN0";
    let row = |verdict, detail: String, time| Row { name: name.to_owned(), verdict, detail, time };
    let Some(program) = env::var_os("VINCI_LLAMA_CPP").map(PathBuf::from) else {
        let skipped = row("skip", "skipped: set VINCI_LLAMA_CPP".into(), Duration::ZERO);
        report("llama.cpp", &[skipped]);
        return;
    };
    let workspace = Workspace::build(&["vinci-ascendcl", "opapi", "nnopbase", "vinci-acl-op-compiler"]);
    let mut command: Command = workspace.command(&program);
    // Its own libraries lie beside it.
    let beside = program.parent().map(|folder| folder.to_owned()).unwrap_or_default();
    let path = env::join_paths([workspace.lib.clone(), beside]).expect("folders without a colon");
    command.env("LD_LIBRARY_PATH", path).env("VINCI_CHIP", "910b3").args(["test", "-b", "CANN0"]);
    let outcome = run_within(command, LIMIT).expect("VINCI_LLAMA_CPP names a program");
    let log = workspace.scratch.join("llama.log");
    fs::write(&log, &outcome.output).expect("the target folder can be written");
    let plain = without_colours(&outcome.output);
    let failed: Vec<_> = plain.lines().filter(|line| line.ends_with(": FAIL")).map(str::trim).collect();
    let passed = plain.lines().filter(|line| line.ends_with(": OK")).count();
    let summary = format!("{passed} passed, {} failed; all it said is in {}", failed.len(), log.display());
    let verdict = match &outcome.failure {
        Some(why) => row("FAIL", format!("{why}; {summary}\n{}", failed.join("\n")), outcome.time),
        None if failed.is_empty() && passed >= CASES => row("pass", summary, outcome.time),
        None => row("FAIL", format!("{CASES} should pass; {summary}\n{}", failed.join("\n")), outcome.time),
    };
    if !report("llama.cpp", &[verdict]) {
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
