//! The rows: what is measured, against what, and what is aimed at.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use vinci::{Device, Kernel, Stream, StreamOptions};

use super::acl::{Acl, Direction};
use super::matmul::{Type, halves, measure as matmul};
use super::memory::{copy, malloc_free};
use super::opencl::{MISSING, Pocl};
use super::{Effort, Samples, median, own, turns};

/// A row.
pub struct RowKind {
    /// As it is asked for.
    pub name: &'static str,
    /// Of the value.
    pub unit: &'static str,
    /// Else lower is.
    pub higher_is_better: bool,
    /// What is aimed at, in words.
    pub target: &'static str,
    /// Whether value and ratio reach it; `None` if the peer is missing.
    pub met: fn(f64, Option<f64>) -> Option<bool>,
    /// Measures; names the peer.
    pub measure: fn(Effort) -> Result<(Samples, String)>,
}

macro_rules! row {
    ($name:literal, $unit:literal, $better:ident, $target:literal, $met:expr, $measure:expr) => {
        RowKind {
            name: $name,
            unit: $unit,
            higher_is_better: row!($better),
            target: $target,
            met: $met,
            measure: $measure,
        }
    };
    (higher) => {
        true
    };
    (lower) => {
        false
    };
}

/// All rows.
#[rustfmt::skip]
pub const ROWS: &[RowKind] = &[
    row!("launch_rate", "launches/s", higher, ">= 5,000,000 and >= 10 x", |v, r| Some(v >= 5e6 && r? >= 10.0), launch_rate),
    row!("launch_sync", "us", lower, "<= 1/5 of the time", |_, r| Some(r? >= 5.0), launch_sync),
    row!("served_launch_rate", "launches/s", higher, ">= 0.8 x", |_, r| Some(r? >= 0.8), |e| super::served::measure(e, "rate", 1.0)),
    row!("served_launch_sync", "us", lower, "<= 1.5 x the time", |_, r| Some(r? >= 1.0 / 1.5), |e| super::served::measure(e, "sync", 0.5)),
    row!("graph_replay", "ns/operator", lower, "<= 1/5 of the time", |_, r| Some(r? >= 5.0), super::graph::replay),
    row!("memcpy_h2d", "GB/s", higher, ">= 0.95 x", |_, r| Some(r? >= 0.95), |e| copy(e, Direction::ToDevice)),
    row!("memcpy_d2h", "GB/s", higher, ">= 0.95 x", |_, r| Some(r? >= 0.95), |e| copy(e, Direction::ToHost)),
    row!("malloc_free", "ns", lower, "<= 1 us", |v, _| Some(v <= 1000.0), malloc_free),
    row!("matmul_f32_1024", "GFLOP/s", higher, ">= 0.9 x", |_, r| Some(r? >= 0.9), |e| matmul(e, 1024, Type::F32)),
    row!("matmul_f32_4096", "GFLOP/s", higher, ">= 0.9 x", |_, r| Some(r? >= 0.9), |e| matmul(Effort { turns: e.turns.min(3), ..e }, 4096, Type::F32)),
    row!("matmul_bf16_1024", "GFLOP/s", higher, "", |_, _| None, |e| matmul(e, 1024, Type::Bf16)),
    row!("matmul_f16_1024", "GFLOP/s", higher, ">= 1 x, within 2 %", |_, r| Some(r? >= 0.98), |e| halves(e, 1024)),
    row!("own_launch_rate", "launches/s", higher, ">= 200,000", |v, _| Some(v >= 2e5), own::launch_rate),
    row!("own_launch_sync", "us", lower, "<= 5 us more", |v, r| Some(v - v * r? <= 5.0), own::launch_sync),
    row!("own_add_f16", "ms", lower, "<= 3 x the time", |_, r| Some(r? >= 1.0 / 3.0), own::add),
    row!("own_matmul_f16_1024", "GFLOP/s", higher, ">= 0.3 x", |_, r| Some(r? >= 0.3), own::product),
    row!("own_softmax_f32", "ms", lower, "", |_, _| None, own::softmax),
    row!("own_compile", "s", lower, "<= 3 s", |v, _| Some(v <= 3.0), own::compile),
    row!("own_load", "ms", lower, "<= 5 ms", |v, _| Some(v <= 5.0), own::load),
    row!("own_first", "ms", lower, "<= 20 ms", |v, _| Some(v <= 20.0), own::first),
    row!("rss_open", "MiB", lower, "< 64 MiB", |v, _| Some(v < 64.0), rss_open),
];

fn peer_name(pocl: &Option<Pocl>) -> String {
    if pocl.is_some() { "PoCL".into() } else { format!("PoCL {MISSING}") }
}

/// Empty kernels launched in a second, over `time`.
pub fn rate(acl: &Acl, time: Duration) -> Result<f64> {
    rate_of(acl, time, || acl.launch())
}

/// Launches in a second, over `time`.
pub fn rate_of(acl: &Acl, time: Duration, launch: impl Fn() -> Result<()>) -> Result<f64> {
    let (start, mut n) = (Instant::now(), 0u32);
    while start.elapsed() < time {
        (0..10_000).try_for_each(|_| launch())?;
        n += 10_000;
    }
    acl.synchronize()?;
    Ok(f64::from(n) / start.elapsed().as_secs_f64())
}

/// The median of microseconds from the launch of an empty kernel to its end, over `time`.
pub fn round_trip(acl: &Acl, time: Duration) -> Result<f64> {
    round_trip_of(acl, time, || acl.launch())
}

/// The median of microseconds from a launch to its end, over `time`.
pub fn round_trip_of(acl: &Acl, time: Duration, launch: impl Fn() -> Result<()>) -> Result<f64> {
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < time {
        let t = Instant::now();
        launch()?;
        acl.synchronize()?;
        times.push(t.elapsed().as_secs_f64() * 1e6);
    }
    median(&times).context("no launch ended in time")
}

fn launch_rate(effort: Effort) -> Result<(Samples, String)> {
    let acl = Acl::open()?;
    let pocl = Pocl::open().ok();
    let samples = turns(effort, || rate(&acl, effort.turn), pocl.as_ref().map(|p| || p.rate(effort)))?;
    Ok((samples, peer_name(&pocl)))
}

fn launch_sync(effort: Effort) -> Result<(Samples, String)> {
    let acl = Acl::open()?;
    let pocl = Pocl::open().ok();
    let samples =
        turns(effort, || round_trip(&acl, effort.turn / 2), pocl.as_ref().map(|p| || p.round_trip(effort)))?;
    Ok((samples, peer_name(&pocl)))
}

/// Resident MiB of a fresh process that opened the default chip.
fn rss_open(_: Effort) -> Result<(Samples, String)> {
    let exe = std::env::current_exe()?;
    let out = Command::new(exe).args(["bench", "--open-and-measure"]).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    let mib: f64 = text.trim().parse().with_context(|| format!("the child said {text:?}"))?;
    Ok((Samples { ours: vec![mib], peer: vec![64.0] }, "the target of 64 MiB".into()))
}

/// The child of `rss_open`.
pub fn open_and_measure() -> Result<()> {
    let stream = Stream::new(&Device::get(0)?, StreamOptions::default())?;
    stream.launch(&Kernel::resident("nop")?, 1, &[])?;
    stream.synchronize(None)?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|l| l.starts_with("VmRSS")).context("no VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    println!("{}", kib / 1024.0);
    Ok(())
}
