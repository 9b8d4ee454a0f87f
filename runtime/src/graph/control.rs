//! Graphs that branch: what runs next is decided on the way, from device memory.
//!
//! A lane runs up to the next task that branches; there the device calls a thread of the runtime, which reads
//! the memory and submits what comes next. The replaying stream waits for the last lane to come to its end.

use std::collections::HashMap;
use std::sync::Arc;

use super::program::{Action, Program, Track};
use super::signal::Signals;
use super::task::{Condition, Kind, Switch};
use super::{Inner, Label, Origin, State};
use crate::error::CaptureError;
use crate::memory;
use crate::stream::Blocking;
use crate::stream::queue::{BATCH, Queue};
use crate::{Addr, DevicePtr, Error, Result, Stream};

const OP: &str = "run graph";

/// What a program that branches has besides its entries.
#[derive(Default)]
pub(super) struct Branches {
    /// Lane and index of each label.
    labels: HashMap<u32, (usize, usize)>,
    /// For each lane the entry that each task starts at, and the end.
    starts: Vec<Vec<u32>>,
    /// The replay that runs, and its lanes that have not come to their ends.
    run: Option<(u64, usize)>,
    /// The word that the stream which replays waits for.
    over: usize,
}

impl Inner {
    fn check_branching(&self, op: &'static str) -> Result<()> {
        match self.origin {
            Origin::Built => Ok(()),
            Origin::Captured => {
                let text =
                    format!("graph {} is being captured; only a graph of bound streams branches", self.id);
                Err(Error::capture(op, CaptureError::StreamCaptured, text))
            }
        }
    }

    pub(crate) fn push_label(&self, lane: usize, op: &'static str, label: Label) -> Result<()> {
        self.check_branching(op)?;
        self.push_kind(lane, op, Kind::Label(label.0))
    }

    pub(crate) fn push_switch_label(
        &self,
        lane: usize,
        op: &'static str,
        index: DevicePtr,
        labels: &[Label],
    ) -> Result<()> {
        self.check_branching(op)?;
        if labels.is_empty() {
            return Err(Error::value(op, "there is no label to switch to"));
        }
        self.driver.registry.check(self.driver, op, index.0, 4)?;
        let labels = labels.iter().map(|label| label.0).collect();
        self.push_kind(lane, op, Kind::Switch(Switch::Label { index, labels }))
    }

    pub(crate) fn push_switch_stream(
        &self,
        lane: usize,
        op: &'static str,
        (left, right): (DevicePtr, DevicePtr),
        condition: Condition,
        wide: bool,
        to: &Stream,
    ) -> Result<()> {
        self.check_branching(op)?;
        for ptr in [left, right] {
            self.driver.registry.check(self.driver, op, ptr.0, if wide { 8 } else { 4 })?;
        }
        let to = self.bound(op, to)?;
        self.push_kind(lane, op, Kind::Switch(Switch::Compare { left, right, condition, wide, to }))
    }

    pub(crate) fn push_activate(&self, lane: usize, op: &'static str, other: &Stream) -> Result<()> {
        self.check_branching(op)?;
        let other = self.bound(op, other)?;
        self.push_kind(lane, op, Kind::Activate(other))
    }

    /// The number of a stream, if it is bound to this graph.
    fn bound(&self, op: &'static str, stream: &Stream) -> Result<u32> {
        match stream.lane() {
            Some(found) if std::ptr::eq(&*found.graph, self) => Ok(stream.id()),
            _ => {
                let text = format!("stream {} is not bound to graph {}", stream.id(), self.id);
                Err(Error::capture(op, CaptureError::NotCaptured, text))
            }
        }
    }

    pub(super) fn compile_branching(&self, state: &State, signals: &Signals) -> Result<Program> {
        let (dep_words, end_words) = signals.words.split_at(state.deps.len());
        let mut branches = Branches { over: state.deps.len(), ..Branches::default() };
        let (mut tracks, mut labels) = (Vec::new(), Vec::new());
        for (lane, recorded) in state.lanes.iter().enumerate() {
            let mut track = Track::default();
            let mut starts = Vec::new();
            for (at, task) in recorded.tasks.iter().enumerate() {
                starts.push(track.entries.len() as u32);
                match &task.kind {
                    _ if task.off => {}
                    Kind::Device => track.push(task.sqe),
                    Kind::Record(dep) => track.record(&dep_words[*dep]),
                    Kind::Wait(dep) if state.deps[*dep].lane != lane => {
                        track.wait(&dep_words[*dep], 0);
                        track.push(signals.check());
                    }
                    Kind::Label(label) => labels.push((*label, (lane, at))),
                    _ => {}
                }
            }
            starts.push(track.entries.len() as u32);
            branches.starts.push(starts);
            tracks.push(track);
        }
        for (label, place) in labels {
            if branches.labels.insert(label, place).is_some() {
                return Err(Error::value(OP, format!("label {label} is set twice")));
            }
        }
        let switches = state.lanes.iter().flat_map(|lane| &lane.tasks).filter_map(|task| match &task.kind {
            Kind::Switch(Switch::Label { labels, .. }) => Some(labels),
            _ => None,
        });
        if let Some(label) = switches.flatten().find(|label| !branches.labels.contains_key(label)) {
            return Err(Error::value(OP, format!("label {label} is switched to and set nowhere")));
        }
        let mut exec = Track::default();
        exec.wait(&signals.finished, 1);
        let behind_start = exec.entries.len() as u32;
        exec.wait(&end_words[0], 0);
        exec.push(signals.check());
        exec.record(&signals.finished);
        let end = exec.entries.len() as u32;
        let at = tracks.len();
        tracks.push(exec);
        let mut program = Program::new(tracks, Some(branches));
        program.step(at, Action::Entries(0..behind_start));
        program.step(at, Action::Start);
        program.step(at, Action::Entries(behind_start..end));
        Ok(program)
    }

    /// Asks for a call when `queue` gets here.
    pub(super) fn call(
        self: &Arc<Self>,
        queue: &Queue,
        then: impl FnOnce(&Arc<Inner>) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let graph = Arc::downgrade(self);
        self.driver.callbacks.control(self.driver, queue, OP, Blocking::NoBlock, move || {
            let Some(graph) = graph.upgrade() else { return };
            if let Err(e) = then(&graph) {
                log::error!("graph {}: {e}", graph.id);
                if let Some(signals) = graph.signals.get() {
                    signals.fail(None);
                }
            }
        })
    }

    /// Starts the lanes of replay `epoch`.
    pub(super) fn start_lanes(self: &Arc<Self>, epoch: u64) -> Result<()> {
        let heads: Vec<usize> = {
            let mut state = self.state.lock();
            let heads = (0..state.lanes.len()).filter(|&lane| state.lanes[lane].head).collect::<Vec<_>>();
            let Some(program) = &mut state.program else { return Ok(()) };
            program.tracks.iter_mut().filter(|track| track.stream.is_some()).for_each(|t| t.number(epoch));
            if let Some(branches) = &mut program.branches {
                branches.run = Some((epoch, heads.len()));
            }
            heads
        };
        heads.into_iter().try_for_each(|lane| self.advance(epoch, lane, 0))
    }

    /// Runs a lane from task `at` on, up to the next that branches.
    fn advance(self: &Arc<Self>, epoch: u64, lane: usize, mut at: usize) -> Result<()> {
        let state = self.state.lock();
        let Some(Program { tracks, branches: Some(branches), .. }) = &state.program else { return Ok(()) };
        if branches.run.is_none_or(|(running, _)| running != epoch) {
            return Ok(());
        }
        let tasks = &state.lanes[lane].tasks;
        let track = &tracks[lane];
        let Some(stream) = &track.stream else { return Ok(()) };
        let queue = stream.queue(OP)?;
        loop {
            let stop = |kind: &Kind| {
                !matches!(kind, Kind::Device | Kind::Record(_) | Kind::Wait(_) | Kind::Label(_))
            };
            let next = (at..tasks.len()).find(|&at| stop(&tasks[at].kind)).unwrap_or(tasks.len());
            let range = branches.starts[lane][at] as usize..branches.starts[lane][next] as usize;
            for batch in track.entries[range].chunks(BATCH) {
                queue.submit_batch(OP, batch)?;
            }
            match tasks.get(next).map(|task| &task.kind) {
                Some(Kind::RecordEvent(event)) => event.record_on(queue)?,
                Some(Kind::WaitEvent(event, timeout)) => event.wait_on(queue, *timeout)?,
                _ => return self.call(queue, move |graph| graph.branch(epoch, lane, next)),
            }
            at = next + 1;
        }
    }

    /// A lane got to task `at`, which branches or is its end.
    fn branch(self: &Arc<Self>, epoch: u64, lane: usize, at: usize) -> Result<()> {
        let switch = {
            let mut state = self.state.lock();
            let activated = match state.lanes[lane].tasks.get(at).map(|task| &task.kind) {
                Some(Kind::Switch(switch)) => Ok(switch.clone()),
                Some(Kind::Activate(other)) => Err(Some(*other)),
                _ => Err(None),
            };
            let other = match activated {
                Ok(_) => None,
                Err(other) => other.map(|other| state.lane_of_stream(other)).transpose()?,
            };
            let Some(Program { branches: Some(Branches { run: Some((running, active)), over, .. }), .. }) =
                &mut state.program
            else {
                return Ok(());
            };
            if *running != epoch {
                return Ok(());
            }
            match (activated, other) {
                (Ok(switch), _) => switch,
                (Err(_), Some(other)) => {
                    *active += 1;
                    drop(state);
                    self.advance(epoch, other, 0)?;
                    return self.advance(epoch, lane, at + 1);
                }
                (Err(_), None) => {
                    *active -= 1;
                    if *active == 0 {
                        self.all_ended(*over, epoch);
                    }
                    return Ok(());
                }
            }
        };
        let (lane, at) = self.target(switch, lane, at)?;
        self.advance(epoch, lane, at)
    }

    /// Where a switch at task `at` of `lane` leads.
    fn target(&self, switch: Switch, lane: usize, at: usize) -> Result<(usize, usize)> {
        match switch {
            Switch::Label { index, labels } => {
                let index = read(index, false)? as u32 as usize;
                let label = labels[index.min(labels.len() - 1)];
                let state = self.state.lock();
                let branches = state.program.as_ref().and_then(|program| program.branches.as_ref());
                let place = branches.and_then(|branches| branches.labels.get(&label).copied());
                place.ok_or_else(|| Error::value(OP, format!("label {label} is set nowhere")))
            }
            Switch::Compare { left, right, condition, wide, to } => {
                if condition.holds(read(left, wide)?, read(right, wide)?) {
                    Ok((self.state.lock().lane_of_stream(to)?, 0))
                } else {
                    Ok((lane, at + 1))
                }
            }
        }
    }

    /// Lets the stream that replays go on.
    fn all_ended(&self, over: usize, epoch: u64) {
        if let Some(signals) = self.signals.get() {
            signals.release(over, epoch);
        }
    }

    /// Lets no lane start another piece, and the stream that replays go on.
    pub(super) fn stop_lanes(&self, program: &mut Program) {
        if let Some(branches) = &mut program.branches
            && let Some((epoch, _)) = branches.run.take()
        {
            self.all_ended(branches.over, epoch);
        }
    }
}

impl State {
    fn lane_of_stream(&self, stream: u32) -> Result<usize> {
        let found = self.lanes.iter().position(|lane| lane.stream == stream);
        found.ok_or_else(|| Error::value(OP, format!("stream {stream} is no lane of the graph")))
    }
}

/// A number in device memory.
fn read(ptr: DevicePtr, wide: bool) -> Result<i64> {
    let mut bytes = [0; 8];
    let size = if wide { 8 } else { 4 };
    // SAFETY: the copy is done when `memory::copy` returns, and `bytes` is as long as it says.
    let to = unsafe { Addr::host(bytes.as_mut_ptr()) };
    memory::copy(to, ptr.into(), size)?;
    let [a, b, c, d, ..] = bytes;
    Ok(if wide { i64::from_le_bytes(bytes) } else { i32::from_le_bytes([a, b, c, d]).into() })
}
