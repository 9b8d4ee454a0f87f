//! A timeline in Chrome's trace format, which ui.perfetto.dev and chrome://tracing show: a row for each queue of a die,
//! and for each core a group with a row for each pipe. Times are microseconds of the die's model clock.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde_json::{Value, json};
use vinci_device::trace::{KernelTrace, PIPE_NAMES, SliceTrace};

/// A die's own group, and the first of its cores'.
fn group(die: u32, core: Option<(bool, u32)>) -> u32 {
    let within = core.map_or(0, |(cube, core)| 1 + core + if cube { 0 } else { 500 });
    die * 1000 + within
}

/// Writes the events of all kernels.
pub fn write(kernels: &[KernelTrace], mut to: impl Write) -> io::Result<()> {
    let mut events = Vec::new();
    let mut seen = BTreeSet::new();
    for k in kernels {
        named(&mut events, &mut seen, k.die, None, k.queue);
        events.push(json!({
            "name": k.name, "cat": "kernel", "ph": "X", "pid": group(k.die, None), "tid": k.queue,
            "ts": k.start_ns as f64 / 1e3, "dur": k.end_ns.saturating_sub(k.start_ns) as f64 / 1e3,
            "args": {"blocks": k.blocks, "races": k.races},
        }));
        let mhz = f64::from(k.clock_mhz.max(1));
        let took = k.aic.most.max(k.aiv.most) / mhz;
        let begin = (k.end_ns as f64 / 1e3 - took).max(k.start_ns as f64 / 1e3);
        for (slice, after) in placed(&k.slices) {
            named(&mut events, &mut seen, k.die, Some((slice.cube, slice.core)), slice.pipe);
            events.push(json!({
                "name": k.name, "cat": PIPE_NAMES[slice.pipe as usize % PIPE_NAMES.len()], "ph": "X",
                "pid": group(k.die, Some((slice.cube, slice.core))), "tid": slice.pipe,
                "ts": begin + (after + slice.from) / mhz, "dur": (slice.to - slice.from).max(0.0) / mhz,
                "args": {"block": slice.block},
            }));
        }
    }
    serde_json::to_writer(&mut to, &json!({"traceEvents": events, "displayTimeUnit": "ns"}))?;
    to.flush()
}

/// Slices with the cycles that the blocks before theirs took on the core.
fn placed(slices: &[SliceTrace]) -> Vec<(SliceTrace, f64)> {
    let mut ends: BTreeMap<(bool, u32), BTreeMap<u32, f64>> = BTreeMap::new();
    for s in slices {
        let end = ends.entry((s.cube, s.core)).or_default().entry(s.block).or_default();
        *end = end.max(s.to);
    }
    let before = |s: &SliceTrace| ends[&(s.cube, s.core)].range(..s.block).map(|(_, end)| end).sum();
    slices.iter().map(|s| (*s, before(s))).collect()
}

/// Names a group and a row the first time that they are used.
fn named(
    events: &mut Vec<Value>,
    seen: &mut BTreeSet<(u32, Option<u32>)>,
    die: u32,
    core: Option<(bool, u32)>,
    row: u32,
) {
    let pid = group(die, core);
    if seen.insert((pid, None)) {
        let name = match core {
            None => format!("die {die}"),
            Some((true, core)) => format!("die {die} AIC {core}"),
            Some((false, core)) => format!("die {die} AIV {core}"),
        };
        events.push(json!({"name": "process_name", "ph": "M", "pid": pid, "args": {"name": name}}));
        events
            .push(json!({"name": "process_sort_index", "ph": "M", "pid": pid, "args": {"sort_index": pid}}));
    }
    if seen.insert((pid, Some(row))) {
        let name = match core {
            None => format!("queue {row}"),
            Some(_) => PIPE_NAMES[row as usize % PIPE_NAMES.len()].to_owned(),
        };
        events
            .push(json!({"name": "thread_name", "ph": "M", "pid": pid, "tid": row, "args": {"name": name}}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_a_core_follow_one_another() {
        let slice = |block, from, to| SliceTrace { core: 3, cube: false, block, pipe: 1, from, to };
        let k = KernelTrace {
            name: "add".into(),
            clock_mhz: 1000,
            start_ns: 1000,
            end_ns: 3000,
            slices: vec![slice(3, 0.0, 400.0), slice(51, 100.0, 600.0)],
            aiv: vinci_device::trace::CoresTrace { most: 1000.0, ..Default::default() },
            ..KernelTrace::default()
        };
        let mut text = Vec::new();
        write(&[k], &mut text).unwrap();
        let value: Value = serde_json::from_slice(&text).unwrap();
        let events = value["traceEvents"].as_array().unwrap();
        let of = |cat: &str| events.iter().filter(|e| e["cat"] == cat).collect::<Vec<_>>();
        assert_eq!((&of("kernel")[0]["ts"], &of("kernel")[0]["dur"]), (&json!(1.0), &json!(2.0)));
        let vec = of("vec");
        assert_eq!((&vec[0]["ts"], &vec[0]["dur"]), (&json!(2.0), &json!(0.4)));
        assert_eq!(
            (&vec[1]["ts"], &vec[1]["dur"]),
            (&json!(2.5), &json!(0.5)),
            "after the first block's 400 cycles"
        );
    }
}
