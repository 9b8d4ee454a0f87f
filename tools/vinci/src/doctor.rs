//! `vinci doctor`: what is missing on this machine, and how to mend it.

use std::path::Path;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::{home, show};

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Slow,
    Missing,
}

#[derive(Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    found: String,
    /// What to do about it; empty if nothing.
    fix: String,
}

fn finding(
    check: &'static str,
    ok: bool,
    otherwise: State,
    found: impl Into<String>,
    fix: impl Into<String>,
) -> Finding {
    let (state, fix) = if ok { (State::Ok, String::new()) } else { (otherwise, fix.into()) };
    Finding { check, state, found: found.into(), fix }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_string()
}

/// What a CANN program can be linked with.
const LIBRARIES: &[&str] = &[
    "libascendcl.so",
    "libacl_rt.so",
    "libopapi.so",
    "libnnopbase.so",
    "libacl_tdt_channel.so",
    "libacl_tdt_queue.so",
    "libmsprofiler.so",
    "libms_tools_ext.so",
    "libascend_dump.so",
    "libc_sec.so",
];

fn libraries() -> Finding {
    match home::find() {
        Ok(at) => {
            let missing: Vec<_> = LIBRARIES.iter().copied().filter(|l| !at.lib.join(l).is_file()).collect();
            let fix = format!("cargo build --release builds {}", missing.join(", "));
            finding("libraries", missing.is_empty(), State::Missing, at.lib.display().to_string(), fix)
        }
        Err(e) => finding("libraries", false, State::Missing, "none", e.to_string()),
    }
}

fn cpu() -> Finding {
    #[cfg(target_arch = "x86_64")]
    let found: Vec<&str> = [
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ("avx512_bf16", std::arch::is_x86_feature_detected!("avx512bf16")),
    ]
    .into_iter()
    .filter_map(|(name, there)| there.then_some(name))
    .collect();
    #[cfg(not(target_arch = "x86_64"))]
    let found: Vec<&str> = Vec::new();
    let fix = "everything runs; matrix products are fastest with AVX-512 and its BF16 instructions";
    finding("processor", found.contains(&"avx512_bf16"), State::Slow, found.join(" "), fix)
}

fn overcommit() -> Finding {
    let mode = read("/proc/sys/vm/overcommit_memory");
    let fix = "strict overcommit refuses sparse HBM: sysctl vm.overcommit_memory=0";
    finding("overcommit", mode != "2", State::Missing, format!("vm.overcommit_memory={mode}"), fix)
}

fn address_space() -> Finding {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is the caller's own.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) } == 0;
    let unlimited = !known || limit.rlim_cur == libc::RLIM_INFINITY;
    let found = if unlimited { "unlimited".into() } else { format!("{} MiB", limit.rlim_cur >> 20) };
    finding("address space", unlimited, State::Missing, found, "a die maps 64 GiB: ulimit -v unlimited")
}

fn memory() -> Finding {
    let info = read("/proc/meminfo");
    let line = info.lines().find(|l| l.starts_with("MemAvailable")).unwrap_or_default();
    let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    let fix = "HBM costs the host's memory where it is touched; large models need more";
    finding("memory", kib > 2 << 20, State::Slow, format!("{} MiB available", kib >> 10), fix)
}

fn node() -> Finding {
    let chosen = std::env::var("VINCI_DEVICE").unwrap_or_default();
    let found = match chosen.as_str() {
        "" if Path::new("/sys/class/accel").is_dir() => "embedded, or vinci.ko if it is loaded".into(),
        "" => "embedded".to_string(),
        other => format!("VINCI_DEVICE={other}"),
    };
    finding("home", true, State::Ok, found, "")
}

fn device() -> Finding {
    match vinci::Device::count().and_then(|n| Ok((n, vinci::Device::get(0)?.info().soc_name.clone()))) {
        Ok((n, soc)) => finding("device", true, State::Ok, format!("{n} × {soc}"), ""),
        Err(e) => finding("device", false, State::Missing, "none", e.to_string()),
    }
}

/// Checks everything; an error if something is missing without which nothing runs.
pub fn print(json: bool) -> Result<()> {
    let findings = [libraries(), cpu(), overcommit(), address_space(), memory(), node(), device()];
    if json {
        show::json(&findings)?;
    } else {
        let rows: Vec<Vec<String>> = findings
            .iter()
            .map(|f| {
                vec![f.check.into(), format!("{:?}", f.state).to_lowercase(), f.found.clone(), f.fix.clone()]
            })
            .collect();
        show::table(&["check", "state", "found", "what to do"], &rows, &[]);
    }
    let missing = findings.iter().filter(|f| f.state == State::Missing).count();
    if missing != 0 {
        bail!("{missing} of {} checks found something missing", findings.len());
    }
    Ok(())
}
