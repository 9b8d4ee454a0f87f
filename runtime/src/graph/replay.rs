//! Replays.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::program::{Action, Program, Step};
use super::signal::Signals;
use super::{Graph, Inner, Phase};
use crate::error::{CaptureError, Fault};
use crate::stream::queue::Queue;
use crate::{Error, Result, Stream, StreamOptions, fork};

const OP: &str = "replay graph";

impl Inner {
    /// Replays ever begun.
    pub(super) fn epoch(&self) -> u64 {
        self.signals.get().map_or(0, Signals::epoch)
    }

    /// Replays known to be over.
    pub(super) fn done(&self) -> u64 {
        self.signals.get().map_or(0, Signals::done)
    }

    /// A lane has faulted.
    pub(crate) fn lane_faulted(&self, fault: &Fault) {
        if let Some(signals) = self.signals.get() {
            signals.fail(Some(fault));
        }
    }

    fn replay(self: &Arc<Self>, stream: &Stream) -> Result<()> {
        let mut state = self.state.lock();
        match &state.phase {
            Phase::Ready => {}
            Phase::Recording => {
                let text = format!("graph {} is not complete", self.id);
                return Err(Error::capture(OP, CaptureError::GraphCaptured, text));
            }
            Phase::Invalid(why) => return Err(Error::capture(OP, CaptureError::Invalidated, why.clone())),
        }
        let (Some(program), Some(signals)) = (&mut state.program, self.signals.get()) else {
            return Err(Error::value(OP, format!("graph {} has no program", self.id)));
        };
        let exec = stream.queue(OP)?;
        exec.check(OP)?;
        if signals.has_failed() {
            program.stop()?;
            signals.recover(OP)?;
        }
        let epoch = signals.begin(exec);
        let result = self.play(program, exec, epoch);
        signals.submitted(exec, exec.submitted());
        if result.is_err() {
            // What was submitted would wait for what was not.
            signals.fail(None);
        }
        result
    }

    /// Submits everything for replay `epoch`.
    fn play(self: &Arc<Self>, program: &mut Program, exec: &Arc<Queue>, epoch: u64) -> Result<()> {
        let Program { tracks, steps, branches } = program;
        // The lanes of a graph that branches may still be at an earlier replay.
        for track in tracks.iter_mut().filter(|track| branches.is_none() || track.stream.is_none()) {
            track.number(epoch);
        }
        for step in steps {
            let track = &tracks[step.track as usize];
            let queue = match &track.stream {
                None => exec,
                Some(stream) => stream.queue(OP)?,
            };
            match &step.action {
                Action::Entries(range) => {
                    let last =
                        queue.submit_batch(OP, &track.entries[range.start as usize..range.end as usize])?;
                    match &mut step.latest {
                        Some((known, place)) if std::ptr::eq(known.as_ptr(), Arc::as_ptr(queue)) => {
                            *place = last
                        }
                        latest => *latest = Some((Arc::downgrade(queue), last)),
                    }
                }
                Action::Record(event) => event.record_on(queue)?,
                Action::Wait(event, timeout) => event.wait_on(queue, *timeout)?,
                Action::Start => self.call(queue, move |graph| graph.start_lanes(epoch))?,
            }
        }
        Ok(())
    }
}

impl Program {
    /// Takes everything that has not run out of the graph's own lanes.
    pub(super) fn stop(&self) -> Result<()> {
        for stream in self.tracks.iter().filter_map(|track| track.stream.as_ref()) {
            stream.abort()?;
        }
        Ok(())
    }

    /// True if the stream that replayed last will not come to the end.
    fn is_stuck(&self) -> bool {
        let of_exec =
            |step: &&Step| self.tracks[step.track as usize].stream.is_none() && step.latest.is_some();
        let last = self.steps.iter().rev().find(of_exec).and_then(|step| step.latest.as_ref());
        let Some((queue, entry)) = last else { return true };
        queue.upgrade().is_none_or(|queue| queue.is_past(*entry))
    }
}

impl Graph {
    /// Runs the graph after the work that was submitted to `stream` before; later work of `stream` waits for
    /// all of it. Replays of one graph run one after the other, on whatever streams they are.
    pub fn replay(&self, stream: &Stream) -> Result<()> {
        fork::check()?;
        if stream.device().ordinal() != self.0.die.ordinal {
            let (own, other) = (self.0.die.ordinal, stream.device().ordinal());
            let text = format!("graph {} is of die {own}, stream {} of die {other}", self.0.id, stream.id());
            return Err(Error::value(OP, text));
        }
        if stream.is_recording() {
            let text = format!("stream {} records: a graph cannot be replayed in it", stream.id());
            return Err(Error::capture(OP, CaptureError::StreamCaptured, text));
        }
        self.0.replay(stream)
    }

    /// Runs the graph and waits for its end.
    pub fn run(&self, timeout: Option<Duration>) -> Result<()> {
        let stream = Stream::new(&self.device(), StreamOptions::default())?;
        self.replay(&stream)?;
        let result = stream.synchronize(timeout);
        if result.is_err() {
            stream.destroy(true)?;
        }
        result
    }

    /// True while a replay is under way.
    pub fn is_running(&self) -> bool {
        let state = self.0.state.lock();
        let (Some(program), Some(signals)) = (&state.program, self.0.signals.get()) else { return false };
        !signals.is_done() && !signals.has_failed() && !program.is_stuck()
    }

    /// Drops what has not run of a graph that was put together from streams. The streams that replay it go on.
    pub fn abort(&self) -> Result<()> {
        self.check_built("abort graph")?;
        let mut state = self.0.state.lock();
        match &mut state.program {
            Some(program) => {
                program.stop()?;
                self.0.stop_lanes(program);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if fork::is_child() {
            return;
        }
        let Some(signals) = self.signals.get() else { return };
        let Some(program) = &self.state.get_mut().program else { return };
        // Lanes that nobody feeds any more are not waited for.
        if signals.has_failed() || (!signals.is_done() && program.is_stuck()) {
            for stream in program.tracks.iter().filter_map(|track| track.stream.as_ref()) {
                let _ = stream.destroy(true);
            }
        }
    }
}

/// The graphs of the process by the numbers of their own streams, for the thread that hears of faults.
#[derive(Debug, Default)]
pub(crate) struct Lanes(parking_lot::Mutex<Vec<(u32, Weak<Inner>)>>);

impl Lanes {
    pub(super) fn enter(&self, streams: impl Iterator<Item = u32>, graph: &Arc<Inner>) {
        let mut lanes = self.0.lock();
        lanes.retain(|(_, graph)| graph.strong_count() > 0);
        lanes.extend(streams.map(|stream| (stream, Arc::downgrade(graph))));
    }

    /// The graph that a stream is a lane of.
    pub(crate) fn graph_of(&self, stream: u32) -> Option<Arc<Inner>> {
        self.0.lock().iter().find(|(lane, _)| *lane == stream).and_then(|(_, graph)| graph.upgrade())
    }
}
