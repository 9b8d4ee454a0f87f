//! From recorded tasks to entries that are ready for the device, and the order to submit them in.

use std::ops::Range;
use std::sync::Weak;

use vinci_hw::sqe::{self, Sqe};

use super::control::Branches;
use super::signal::{Signals, Word};
use super::task::{Kind, Lane};
use super::{Inner, Origin, State};
use crate::stream::queue::{BATCH, Queue};
use crate::{Device, Event, Result, Stream, StreamOptions};

/// Entries that one task becomes at most.
const PER_TASK: usize = 2;

/// A complete graph as the device runs it.
pub(super) struct Program {
    pub(super) tracks: Vec<Track>,
    /// In the order of submission: what an entry waits for is in its own step or an earlier one.
    pub(super) steps: Vec<Step>,
    /// There if what runs next is decided on the way.
    pub(super) branches: Option<Branches>,
}

/// What one queue is given.
#[derive(Default)]
pub(super) struct Track {
    pub(super) entries: Vec<Sqe>,
    /// Entries whose value counts replays.
    patches: Vec<Patch>,
    /// Index of the entry of each task, for those that are entries.
    places: Vec<Option<u32>>,
    /// Where it runs; `None`: in the stream that replays.
    pub(super) stream: Option<Stream>,
}

struct Patch {
    entry: u32,
    /// The value in replay 0.
    base: u64,
}

pub(super) struct Step {
    pub(super) track: u32,
    pub(super) action: Action,
    /// Where the latest replay put the last entry.
    pub(super) latest: Option<(Weak<Queue>, u64)>,
}

pub(super) enum Action {
    Entries(Range<u32>),
    Record(Event),
    Wait(Event, u64),
    /// The lanes of a graph that branches are started from here.
    Start,
}

impl Step {
    fn new(track: usize, action: Action) -> Step {
        Step { track: track as u32, action, latest: None }
    }
}

impl Track {
    pub(super) fn push(&mut self, entry: Sqe) {
        self.entries.push(entry);
    }

    /// Records `word` for this replay.
    pub(super) fn record(&mut self, word: &Word) {
        self.patches.push(Patch { entry: self.entries.len() as u32, base: word.base() });
        self.entries.push(sqe::event_record(word.va(), 0));
    }

    /// Waits for `word` of the replay `back` before this one.
    pub(super) fn wait(&mut self, word: &Word, back: u64) {
        self.patches.push(Patch { entry: self.entries.len() as u32, base: word.base().wrapping_sub(back) });
        self.entries.push(sqe::event_wait(word.va(), 0, 0));
    }

    /// Sets the values of replay `epoch`.
    pub(super) fn number(&mut self, epoch: u64) {
        for patch in &self.patches {
            sqe::set_value(&mut self.entries[patch.entry as usize], patch.base.wrapping_add(epoch));
        }
    }
}

/// Puts a program together.
struct Builder {
    tracks: Vec<Track>,
    steps: Vec<Step>,
    /// How many entries of each track are in a step.
    flushed: Vec<usize>,
}

impl Builder {
    fn new(tracks: usize) -> Builder {
        let tracks: Vec<Track> = (0..tracks).map(|_| Track::default()).collect();
        let flushed = vec![0; tracks.len()];
        Builder { tracks, steps: Vec::new(), flushed }
    }

    fn step(&mut self, track: usize, action: Action) {
        self.steps.push(Step::new(track, action));
    }

    /// Puts what is not in a step yet into one per track.
    ///
    /// All tracks together, so that every prefix of the steps can run by itself: a ring that is full of it gets
    /// empty without what comes later.
    fn flush(&mut self) {
        for track in 0..self.tracks.len() {
            let (from, to) = (self.flushed[track], self.tracks[track].entries.len());
            if from < to {
                self.flushed[track] = to;
                self.step(track, Action::Entries(from as u32..to as u32));
            }
        }
    }

    /// Makes room for `entries` more in the current step of a track.
    fn reserve(&mut self, track: usize, entries: usize) {
        if self.tracks[track].entries.len() - self.flushed[track] + entries > BATCH {
            self.flush();
        }
    }

    /// A wait between lanes, and its check.
    fn join(&mut self, track: usize, word: &Word, signals: &Signals) {
        self.reserve(track, 2);
        self.tracks[track].wait(word, 0);
        let check = signals.check();
        self.tracks[track].push(check);
    }

    fn record(&mut self, track: usize, word: &Word) {
        self.reserve(track, 1);
        self.tracks[track].record(word);
    }
}

/// The lanes that a replay runs.
fn heads(lanes: &[Lane]) -> impl Iterator<Item = usize> {
    lanes.iter().enumerate().filter(|(_, lane)| lane.head).map(|(at, _)| at)
}

impl Inner {
    /// Makes the program of a complete recording.
    pub(super) fn compile(&self, state: &State) -> Result<Program> {
        let branches = state.lanes.iter().flat_map(|lane| &lane.tasks).any(|task| task.branches());
        let lanes = state.lanes.len();
        // One word for each dependency, one for the end of each lane.
        let signals = Signals::new(self.driver, state.deps.len() + lanes)?;
        let mut program = if branches {
            self.compile_branching(state, &signals)?
        } else {
            self.compile_straight(state, &signals)
        };
        for (at, lane) in state.lanes.iter().enumerate() {
            if at > 0 || self.origin == Origin::Built {
                let options = StreamOptions { priority: lane.priority, flags: 0 };
                program.tracks[at].stream = Some(Stream::new(&Device::of(self.die), options)?);
            }
        }
        let _ = self.signals.set(signals);
        Ok(program)
    }

    fn compile_straight(&self, state: &State, signals: &Signals) -> Program {
        let lanes = state.lanes.len();
        let (dep_words, end_words) = signals.words.split_at(state.deps.len());
        // A captured graph's first lane runs in the stream that replays. A built one's lanes are all its own,
        // and the stream that replays has a track behind them to start and to wait for them.
        let (exec, mut b) = match self.origin {
            Origin::Captured => (0, Builder::new(lanes)),
            Origin::Built => (lanes, Builder::new(lanes + 1)),
        };
        b.tracks[exec].wait(&signals.finished, 1);
        if self.origin == Origin::Built {
            b.tracks[exec].record(&signals.start);
            b.flush();
            for lane in heads(&state.lanes) {
                b.join(lane, &signals.start, signals);
            }
        }
        let mut ended = vec![false; lanes];
        for &(lane, at) in &state.order {
            let (lane, at) = (lane as usize, at as usize);
            let task = &state.lanes[lane].tasks[at];
            b.tracks[lane].places.resize(at + 1, None);
            if ended[lane] || task.off || !state.lanes[lane].head && self.origin == Origin::Built {
                continue;
            }
            b.reserve(lane, PER_TASK);
            match &task.kind {
                Kind::Device => {
                    b.tracks[lane].places[at] = Some(b.tracks[lane].entries.len() as u32);
                    b.tracks[lane].push(task.sqe);
                }
                Kind::Record(dep) if state.deps[*dep].waiters.iter().any(|&waiter| waiter != lane) => {
                    b.record(lane, &dep_words[*dep]);
                }
                Kind::Wait(dep) if state.deps[*dep].lane != lane => {
                    b.join(lane, &dep_words[*dep], signals);
                }
                Kind::RecordEvent(event) => {
                    b.flush();
                    b.step(lane, Action::Record(event.clone()));
                }
                Kind::WaitEvent(event, timeout) => {
                    b.flush();
                    b.step(lane, Action::Wait(event.clone(), *timeout));
                }
                Kind::End => ended[lane] = true,
                // Within a lane the order is the dependency; a label that nobody switches to is nothing.
                Kind::Record(_) | Kind::Wait(_) | Kind::Label(_) | Kind::Switch(_) | Kind::Activate(_) => {}
            }
        }
        if self.origin == Origin::Built {
            for lane in heads(&state.lanes) {
                b.record(lane, &end_words[lane]);
            }
            b.flush();
            for lane in heads(&state.lanes) {
                b.join(exec, &end_words[lane], signals);
            }
        }
        b.record(exec, &signals.finished);
        b.flush();
        Program { tracks: b.tracks, steps: b.steps, branches: None }
    }
}

impl Program {
    /// Makes the entry of a task one that does nothing.
    pub(super) fn leave_out(&mut self, lane: usize, at: usize) {
        let track = &mut self.tracks[lane];
        if let Some(entry) = track.places.get(at).copied().flatten() {
            track.entries[entry as usize] = sqe::placeholder();
        }
    }

    pub(super) fn new(tracks: Vec<Track>, branches: Option<Branches>) -> Program {
        Program { tracks, steps: Vec::new(), branches }
    }

    pub(super) fn step(&mut self, track: usize, action: Action) {
        self.steps.push(Step::new(track, action));
    }

    /// Exchanges the entry of a task, also in the latest replay as far as it has not got there.
    pub(super) fn replace(&mut self, lane: usize, at: usize, new: &Sqe) {
        let track = &mut self.tracks[lane];
        let Some(entry) = track.places.get(at).copied().flatten() else { return };
        let old = std::mem::replace(&mut track.entries[entry as usize], *new);
        let step = self.steps.iter().find(|step| match &step.action {
            Action::Entries(range) => step.track as usize == lane && range.contains(&entry),
            _ => false,
        });
        if let Some(Step { action: Action::Entries(range), latest: Some((queue, last)), .. }) = step
            && let Some(queue) = queue.upgrade()
        {
            queue.replace(last - u64::from(range.end - 1 - entry), &old, new);
        }
    }
}
