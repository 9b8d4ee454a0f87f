//! Recording: how the calls on streams become tasks of a graph, and when a recording is complete.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use vinci_hw::sqe::Sqe;

use super::task::{Dep, Kind, Lane, Task};
use super::{Inner, Origin, Phase, State, TaskGroup};
use crate::error::CaptureError;
use crate::stream::record::{LaneRef, Target};
use crate::{Error, Notify, Result, Stream};

/// A task group that is being recorded.
pub(super) struct OpenGroup {
    lane: usize,
    start: usize,
}

/// Tasks of a lane that can be changed later.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) lane: usize,
    pub(super) tasks: std::ops::Range<usize>,
    /// Somebody records the changes.
    pub(super) updating: bool,
}

/// What a task group cannot hold.
const ONLY_DEVICE_WORK: &str = "a task group holds launches, copies and fills only";

impl State {
    /// Checks that `lane` takes another task.
    fn check_open(&self, op: &'static str, lane: usize) -> Result<()> {
        match &self.phase {
            Phase::Recording => {}
            Phase::Invalid(why) => return Err(Error::capture(op, CaptureError::Invalidated, why.clone())),
            Phase::Ready => {
                let text = format!("the graph of stream {} is complete", self.lanes[lane].stream);
                return Err(Error::capture(op, CaptureError::StreamCaptured, text));
            }
        }
        match &self.open_group {
            Some(open) if open.lane != lane => {
                let text = format!(
                    "stream {} records a task group; work for stream {} does not belong to it",
                    self.lanes[open.lane].stream, self.lanes[lane].stream
                );
                Err(Error::capture(op, CaptureError::GroupInterrupted, text))
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, op: &'static str, lane: usize, task: Task) -> Result<()> {
        self.check_open(op, lane)?;
        if self.open_group.is_some() && !matches!(task.kind, Kind::Device) {
            return Err(Error::capture(op, CaptureError::Group, ONLY_DEVICE_WORK));
        }
        let at = self.lanes[lane].tasks.len();
        self.lanes[lane].tasks.push(task);
        self.order.push((lane as u32, at as u32));
        Ok(())
    }

    /// The first lane that does not lead back to lane 0, if there is one.
    fn unjoined(&self) -> Option<usize> {
        let mut joined = vec![false; self.lanes.len()];
        joined[0] = true;
        let ends_in = |lane: &Lane| match lane.tasks.last()?.kind {
            Kind::Record(dep) => Some(dep),
            _ => None,
        };
        loop {
            let next = (1..self.lanes.len()).find(|&lane| {
                !joined[lane]
                    && ends_in(&self.lanes[lane])
                        .is_some_and(|dep| self.deps[dep].waiters.iter().any(|&waiter| joined[waiter]))
            });
            match next {
                Some(lane) => joined[lane] = true,
                None => return joined.iter().position(|joined| !joined),
            }
        }
    }
}

impl Inner {
    /// Adds device work to a lane.
    pub(crate) fn push(
        &self,
        lane: usize,
        op: &'static str,
        payload: &[u8],
        keep: Option<&Notify>,
        make: impl FnOnce(u64) -> Sqe,
    ) -> Result<()> {
        let mut state = self.state.lock();
        state.check_open(op, lane)?;
        let blob = if payload.is_empty() { None } else { Some(state.blobs.put(payload, 0)?) };
        let sqe = make(blob.map_or(0, |blob| blob.va));
        let task = Task { sqe, blob, _keep: keep.cloned(), ..Task::of(Kind::Device) };
        state.add(op, lane, task)
    }

    /// Adds something else.
    pub(super) fn push_kind(&self, lane: usize, op: &'static str, kind: Kind) -> Result<()> {
        self.state.lock().add(op, lane, Task::of(kind))
    }

    /// Adds a record that lanes of this graph can wait for; answers its number.
    pub(crate) fn push_record(&self, lane: usize, op: &'static str) -> Result<usize> {
        let mut state = self.state.lock();
        let dep = state.deps.len();
        state.add(op, lane, Task::of(Kind::Record(dep)))?;
        state.deps.push(Dep { lane, waiters: Vec::new() });
        Ok(dep)
    }

    /// Adds the wait for a record of this graph.
    pub(crate) fn push_wait(&self, lane: usize, op: &'static str, dep: usize) -> Result<()> {
        let mut state = self.state.lock();
        state.add(op, lane, Task::of(Kind::Wait(dep)))?;
        state.deps[dep].waiters.push(lane);
        Ok(())
    }

    /// Adds the record of an event that is known outside.
    pub(crate) fn push_external_record(&self, lane: usize, event: &crate::Event) -> Result<()> {
        self.push_kind(lane, "record event", Kind::RecordEvent(event.clone()))
    }

    /// Adds the wait for an event that is recorded outside.
    pub(crate) fn push_external_wait(
        &self,
        lane: usize,
        event: &crate::Event,
        timeout_ms: u64,
    ) -> Result<()> {
        self.push_kind(lane, "wait for event", Kind::WaitEvent(event.clone(), timeout_ms))
    }

    /// True if waits for events that were not recorded in the graph are waits for the world outside.
    pub(crate) fn waits_outside(&self) -> bool {
        self.origin == Origin::Built
    }

    /// Lets the work of `stream` go to a new lane of this graph.
    pub(crate) fn join(self: &Arc<Self>, op: &'static str, stream: &Stream, head: bool) -> Result<()> {
        if stream.device().ordinal() != self.die.ordinal {
            let text = format!(
                "stream {} is of die {}, the graph of die {}",
                stream.id(),
                stream.device().ordinal(),
                self.die.ordinal
            );
            return Err(Error::capture(op, CaptureError::Conflict, text));
        }
        stream.divert(op, |source| {
            let mut state = self.state.lock();
            if !matches!(state.phase, Phase::Recording) {
                let text = format!("graph {} does not record any more", self.id);
                return Err(Error::capture(op, CaptureError::Invalidated, text));
            }
            let lane = state.lanes.len();
            let priority = stream.options().priority;
            state.lanes.push(Lane { stream: stream.id(), source, priority, head, tasks: Vec::new() });
            Ok(Target::Lane(LaneRef { graph: self.clone(), lane }))
        })
    }

    /// Spoils the recording: an end of it will fail.
    pub(crate) fn invalidate(&self, why: &str) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Recording) {
            state.phase = Phase::Invalid(why.to_owned());
        }
    }

    /// Ends the recording; the streams of a capture run their work again.
    pub(crate) fn end(self: &Arc<Self>, op: &'static str) -> Result<()> {
        let (result, sources) = {
            let mut state = self.state.lock();
            let result = self.complete(op, &mut state);
            if let Err(e) = &result {
                state.phase = Phase::Invalid(e.to_string());
            }
            let sources: Vec<_> = state.lanes.iter().map(|lane| lane.source.clone()).collect();
            (result, sources)
        };
        self.recording.store(false, Ordering::Release);
        if self.origin == Origin::Captured {
            for source in sources {
                if let Some(source) = source.upgrade() {
                    source.release(self);
                }
            }
        }
        result
    }

    fn complete(self: &Arc<Self>, op: &'static str, state: &mut State) -> Result<()> {
        match &state.phase {
            Phase::Recording => {}
            Phase::Ready => {
                return Err(Error::value(op, format!("graph {} is complete already", self.id)));
            }
            Phase::Invalid(why) => return Err(Error::capture(op, CaptureError::Invalidated, why.clone())),
        }
        if let Some(open) = &state.open_group {
            let text = format!("stream {} still records a task group", state.lanes[open.lane].stream);
            return Err(Error::capture(op, CaptureError::Group, text));
        }
        if self.origin == Origin::Captured
            && let Some(lane) = state.unjoined()
        {
            let text = format!(
                "stream {} joined the recording and is not joined back: let its last call record an event that \
                 stream {} waits for",
                state.lanes[lane].stream, state.lanes[0].stream
            );
            return Err(Error::capture(op, CaptureError::Unjoined, text));
        }
        let program = self.compile(state)?;
        let own = program.tracks.iter().filter_map(|track| track.stream.as_ref());
        self.driver.lanes.enter(own.map(Stream::id), self);
        state.program = Some(program);
        state.phase = Phase::Ready;
        Ok(())
    }

    pub(crate) fn begin_group(&self, lane: usize) -> Result<()> {
        let op = "begin task group";
        let mut state = self.state.lock();
        state.check_open(op, lane)?;
        if state.open_group.is_some() {
            let text = format!("stream {} records a task group already", state.lanes[lane].stream);
            return Err(Error::capture(op, CaptureError::Group, text));
        }
        let start = state.lanes[lane].tasks.len();
        state.open_group = Some(OpenGroup { lane, start });
        Ok(())
    }

    pub(crate) fn end_group(self: &Arc<Self>, lane: usize) -> Result<TaskGroup> {
        let op = "end task group";
        let mut state = self.state.lock();
        state.check_open(op, lane)?;
        let Some(open) = state.open_group.take() else {
            let text = format!("stream {} records no task group", state.lanes[lane].stream);
            return Err(Error::capture(op, CaptureError::Group, text));
        };
        let tasks = open.start..state.lanes[lane].tasks.len();
        state.groups.push(Group { lane, tasks, updating: false });
        Ok(TaskGroup { graph: Arc::downgrade(self), index: state.groups.len() - 1 })
    }
}
