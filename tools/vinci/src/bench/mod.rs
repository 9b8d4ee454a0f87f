//! `vinci bench`: figures, each beside a peer that is measured in the same run, turn by turn.

mod acl;
mod blas;
mod graph;
mod matmul;
mod memory;
mod opencl;
mod own;
mod rows;
mod served;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;

use crate::show;
use rows::ROWS;

/// Shown below the help.
pub const EXAMPLES: &str = "Ours and the peer are measured turn by turn, and the medians are shown: a ratio above 1 is \
better than the peer.\nOther work on the machine makes both slower: repeat a row that surprises.\n\nExamples:\n  \
vinci bench                        all rows, about three minutes\n  \
vinci bench memcpy_d2h             one row\n  \
vinci bench --json | jq .ratio     for a script\n  \
vinci bench --check                fails if a row misses its target";

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Rows to measure; all if none is named
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(ROWS.iter().map(|r| r.name)))]
    rows: Vec<String>,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
    /// Few repetitions: shows that the rows work, not how fast they are
    #[arg(long)]
    quick: bool,
    /// End with an error if a row misses its target, or cannot be judged because what it needs is missing
    #[arg(long)]
    check: bool,
    /// Prints the resident memory of a process that opened the device, for the row rss_open
    #[arg(long, hide = true)]
    open_and_measure: bool,
    /// Launches when it is told to, for the rows served_*
    #[arg(long, hide = true)]
    launch_when_told: bool,
    /// Loads this code object, launches, and prints how long both took, for the row own_first
    #[arg(long, hide = true, value_name = "FILE")]
    first_launch: Option<std::path::PathBuf>,
}

/// How much to repeat.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Turns of ours and the peer's.
    turns: usize,
    /// How long a turn of a rate lasts.
    turn: Duration,
}

/// A measured row. `ratio` above 1 is better than the peer; without a peer there is none.
#[derive(Serialize)]
pub struct Row {
    name: &'static str,
    /// Not a number if it was not measured; then `peer` says why.
    value: f64,
    unit: &'static str,
    peer: String,
    peer_value: Option<f64>,
    ratio: Option<f64>,
    target: String,
    met: Option<bool>,
}

/// What a row found: ours and the peer's samples, in the row's unit.
pub struct Samples {
    ours: Vec<f64>,
    peer: Vec<f64>,
}

/// The middle of the samples.
fn median(v: &[f64]) -> Option<f64> {
    let mut v = v.to_vec();
    v.sort_by(f64::total_cmp);
    v.get(v.len() / 2).copied()
}

/// An error if a row misses its target or has one whose peer is missing.
fn judge(rows: &[Row]) -> Result<()> {
    let names = |met: Option<bool>| {
        let chosen = rows.iter().filter(|r| !r.target.is_empty() && r.met == met);
        chosen.map(|r| r.name).collect::<Vec<_>>().join(", ")
    };
    let (missed, unknown) = (names(Some(false)), names(None));
    let mut problems = Vec::new();
    if !missed.is_empty() {
        problems.push(format!("below target: {missed}"));
    }
    if !unknown.is_empty() {
        problems.push(format!("not judged, what they need is missing: {unknown}"));
    }
    if !problems.is_empty() {
        bail!("{}", problems.join("; "));
    }
    Ok(())
}

/// Seconds that `f` takes.
fn seconds(f: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    f()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Between two turns: the threads of some libraries, OpenBLAS among them, spin for a while after their work, on
/// cores that the other needs.
const REST: Duration = Duration::from_millis(150);

/// Measures ours and the peer turn by turn, after one turn of each that does not count. A peer that is
/// missing is measured as nothing.
fn turns(
    effort: Effort,
    mut ours: impl FnMut() -> Result<f64>,
    mut peer: Option<impl FnMut() -> Result<f64>>,
) -> Result<Samples> {
    let mut s = Samples { ours: Vec::new(), peer: Vec::new() };
    for turn in 0..=effort.turns {
        let a = ours()?;
        std::thread::sleep(REST);
        let b = peer.as_mut().map(|p| p()).transpose()?;
        std::thread::sleep(REST);
        if turn > 0 {
            s.ours.push(a);
            s.peer.extend(b);
        }
    }
    Ok(s)
}

/// Runs the rows that were asked for.
pub fn run(args: &Args) -> Result<()> {
    if args.open_and_measure {
        return rows::open_and_measure();
    }
    if args.launch_when_told {
        return served::launch_when_told();
    }
    if let Some(code) = &args.first_launch {
        return own::first_launch(code);
    }
    // SAFETY: the first thing that this process does.
    unsafe { blas::prepare() };
    let effort = match args.quick {
        true => Effort { turns: 1, turn: Duration::from_millis(100) },
        false => Effort { turns: 7, turn: Duration::from_millis(500) },
    };
    let wanted = ROWS.iter().filter(|r| args.rows.is_empty() || args.rows.iter().any(|n| n == r.name));
    let wanted: Vec<_> = wanted.collect();
    let _scratch = own::Scratch;
    let bar = indicatif::ProgressBar::new(wanted.len() as u64);
    bar.set_style(indicatif::ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")?);
    let mut done = Vec::new();
    for r in wanted {
        bar.set_message(r.name);
        let (samples, peer) = (r.measure)(effort)?;
        let value = median(&samples.ours).unwrap_or(f64::NAN);
        let peer_value = median(&samples.peer);
        let ratio = peer_value.map(|p| if r.higher_is_better { value / p } else { p / value });
        let met = if value.is_nan() { None } else { (r.met)(value, ratio) };
        let row =
            Row { name: r.name, value, unit: r.unit, peer, peer_value, ratio, target: r.target.into(), met };
        if args.json {
            let line = serde_json::to_string(&row)?;
            bar.suspend(|| println!("{line}"));
        }
        done.push(row);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if !args.json {
        print_table(&done);
    }
    if args.check { judge(&done) } else { Ok(()) }
}

fn print_table(rows: &[Row]) {
    let number = |v: f64| match v {
        v if v.is_nan() => "-".into(),
        v if v >= 1e5 => format!("{v:.0}"),
        v => format!("{v:.3}"),
    };
    let cells = rows.iter().map(|r| {
        vec![
            r.name.into(),
            number(r.value),
            r.unit.into(),
            r.peer.clone(),
            r.peer_value.map_or("-".into(), number),
            r.ratio.map_or("-".into(), |x| format!("{x:.2}")),
            r.target.clone(),
            r.met.map_or("-", |m| if m { "yes" } else { "no" }).into(),
        ]
    });
    let header = ["row", "value", "unit", "peer", "peer's", "ratio", "target", "met"];
    show::table(&header, &cells.collect::<Vec<_>>(), &[1, 4, 5]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &'static str, target: &str, met: Option<bool>) -> Row {
        let peer = String::new();
        Row { name, value: 1.0, unit: "", peer, peer_value: None, ratio: None, target: target.into(), met }
    }

    #[test]
    fn a_missing_peer_does_not_pass() {
        assert!(judge(&[row("a", ">= 1", Some(true)), row("b", "", None)]).is_ok());
        let error = judge(&[row("a", ">= 1", None), row("b", ">= 1", Some(false))]).unwrap_err().to_string();
        assert!(error.contains("below target: b") && error.ends_with("missing: a"), "{error}");
    }
}
