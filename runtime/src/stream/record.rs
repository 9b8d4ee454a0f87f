//! Streams that record: their work goes to a graph, or to the update of one, instead of to the device.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use vinci_hw::sqe::Sqe;

use super::{Inner, Stream, millis};
use crate::error::CaptureError;
use crate::graph::{self, Graph, Label, Origin, TaskGroup, Update};
use crate::{DevicePtr, Error, Event, Notify, Result, fork};

/// A lane of a graph.
#[derive(Clone)]
pub(crate) struct LaneRef {
    pub(crate) graph: Arc<graph::Inner>,
    pub(crate) lane: usize,
}

/// Where work goes that is not run.
#[derive(Clone)]
pub(crate) enum Target {
    Lane(LaneRef),
    Update(Arc<Update>),
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Lane(found) => write!(f, "lane {} of {:?}", found.lane, found.graph),
            Target::Update(_) => write!(f, "update"),
        }
    }
}

impl Inner {
    /// Lets work run again, if it goes to `graph`.
    pub(crate) fn release(&self, graph: &graph::Inner) {
        let mut target = self.target.lock();
        let goes_there = matches!(&*target, Some(Target::Lane(found)) if std::ptr::eq(&*found.graph, graph));
        if goes_there {
            *target = None;
            self.recording.store(false, Ordering::Release);
        }
    }
}

impl Stream {
    /// Gives an entry to the device, or records it. `payload` is copied to memory the device reads, whose
    /// address `make` is given.
    #[inline]
    pub(super) fn submit(
        &self,
        op: &'static str,
        payload: &[u8],
        make: impl FnOnce(u64) -> Sqe,
    ) -> Result<()> {
        if self.0.recording.load(Ordering::Relaxed) {
            return self.record_entry(op, payload, None, make);
        }
        self.queue(op)?.submit(op, payload, make).map(drop)
    }

    /// [`Stream::submit`] of an entry that uses the word of a notify.
    pub(super) fn submit_for(
        &self,
        op: &'static str,
        notify: &Notify,
        make: impl FnOnce() -> Sqe,
    ) -> Result<()> {
        if self.0.recording.load(Ordering::Relaxed) {
            return self.record_entry(op, &[], Some(notify), |_| make());
        }
        self.queue(op)?.submit(op, &[], |_| make()).map(drop)
    }

    #[cold]
    fn record_entry(
        &self,
        op: &'static str,
        payload: &[u8],
        keep: Option<&Notify>,
        make: impl FnOnce(u64) -> Sqe,
    ) -> Result<()> {
        fork::check()?;
        let target = self.0.target.lock().clone();
        match target {
            Some(Target::Lane(found)) => found.graph.push(found.lane, op, payload, keep, make),
            Some(Target::Update(update)) => update.push(payload, make),
            // The recording ended this very moment.
            None => self.queue(op)?.submit(op, payload, make).map(drop),
        }
    }

    /// Sends later work to the target that `choose` makes; an error if it goes to one already.
    pub(crate) fn divert(
        &self,
        op: &'static str,
        choose: impl FnOnce(Weak<Inner>) -> Result<Target>,
    ) -> Result<()> {
        fork::check()?;
        let mut target = self.0.target.lock();
        if self.0.destroyed.load(Ordering::Acquire) {
            return Err(self.0.gone(op));
        }
        if target.is_some() {
            return Err(self.captured(op));
        }
        *target = Some(choose(Arc::downgrade(&self.0))?);
        self.0.recording.store(true, Ordering::Release);
        Ok(())
    }

    /// [`Stream::record`] of a stream that records.
    pub(super) fn record_in_graph(&self, event: &Event) -> Result<()> {
        let op = "record event";
        let LaneRef { graph, lane } = self.recorded(op)?;
        let dep = graph.push_record(lane, op)?;
        event.set_mark(&graph, dep);
        Ok(())
    }

    /// Waits for an event that was recorded in a graph, or in a stream that records; false if it is an
    /// ordinary wait.
    pub(super) fn wait_in_graph(&self, event: &Event, timeout: Option<Duration>) -> Result<bool> {
        let op = "wait for event";
        let lane = self.lane();
        let Some((graph, dep)) = event.mark() else {
            let Some(LaneRef { graph, lane }) = lane else {
                return if self.is_recording() { self.recorded(op).map(|_| true) } else { Ok(false) };
            };
            if graph.waits_outside() {
                graph.push_external_wait(lane, event, timeout.map_or(0, millis))?;
                return Ok(true);
            }
            let text =
                format!("the event was not recorded in the graph that stream {} records for", self.id());
            graph.invalidate(&text);
            return Err(Error::capture(op, CaptureError::Dependency, text));
        };
        let lane = match lane {
            Some(found) if Arc::ptr_eq(&found.graph, &graph) => found.lane,
            Some(found) => {
                let (own, other) = (found.graph.id(), graph.id());
                let text = format!("the event belongs to graph {other}, stream {} to graph {own}", self.id());
                found.graph.invalidate(&text);
                graph.invalidate(&text);
                return Err(Error::capture(op, CaptureError::Conflict, text));
            }
            None if graph.waits_outside() => {
                let text = format!("the event was recorded in graph {}, which is not complete", graph.id());
                return Err(Error::capture(op, CaptureError::EventCaptured, text));
            }
            None => {
                graph.join(op, self, false)?;
                self.recorded(op)?.lane
            }
        };
        graph.push_wait(lane, op, dep).map(|()| true)
    }

    /// The lane that work goes to.
    pub(crate) fn lane(&self) -> Option<LaneRef> {
        if !self.0.recording.load(Ordering::Acquire) {
            return None;
        }
        match &*self.0.target.lock() {
            Some(Target::Lane(found)) => Some(found.clone()),
            _ => None,
        }
    }

    fn captured(&self, op: &'static str) -> Error {
        let text = format!("stream {} records: its work goes to a graph", self.id());
        Error::capture(op, CaptureError::StreamCaptured, text)
    }

    /// True if work is recorded, for a graph or the update of one.
    pub fn is_recording(&self) -> bool {
        self.0.recording.load(Ordering::Acquire)
    }

    /// An error if the stream is being captured, in which case nothing of it can be waited for.
    pub(crate) fn check_not_captured(&self, op: &'static str) -> Result<()> {
        match self.lane() {
            Some(found) if !found.graph.waits_outside() => Err(self.captured(op)),
            _ => Ok(()),
        }
    }

    /// An error if work is recorded.
    pub(crate) fn check_running(&self, op: &'static str, what: &'static str) -> Result<()> {
        if !self.is_recording() {
            return Ok(());
        }
        let text = format!("stream {} records, and {what} cannot be recorded", self.id());
        Err(Error::capture(op, CaptureError::Pageable, text))
    }

    fn recorded(&self, op: &'static str) -> Result<LaneRef> {
        self.lane().ok_or_else(|| {
            let text = format!("stream {} does not record", self.id());
            Error::capture(op, CaptureError::NotCaptured, text)
        })
    }

    /// Starts recording: work that is submitted from now on is not run but becomes part of the graph that is
    /// answered, which [`Stream::end_capture`] completes.
    ///
    /// Another stream that waits for an event which was recorded here records too. Host memory of copies must
    /// be pinned.
    pub fn begin_capture(&self) -> Result<Graph> {
        let op = "begin capture";
        let graph = graph::Inner::new(self.0.die, Origin::Captured)?;
        graph.join(op, self, true)?;
        Ok(Graph(graph))
    }

    /// Ends the recording that was begun with [`Stream::begin_capture`] on this stream. With an error the
    /// recording is over too.
    pub fn end_capture(&self) -> Result<Graph> {
        let op = "end capture";
        fork::check()?;
        let LaneRef { graph, lane } = self.recorded(op)?;
        if graph.waits_outside() || lane != 0 {
            let text = format!("the capture did not begin in stream {}", self.id());
            return Err(Error::capture(op, CaptureError::NotOrigin, text));
        }
        graph.end(op)?;
        Ok(Graph(graph))
    }

    /// Gives up a recording.
    pub fn abandon_capture(&self) {
        if let Some(found) = self.lane() {
            found.graph.invalidate("the recording was given up");
            let _ = found.graph.end("abandon capture");
        }
    }

    /// The graph that the stream is captured for, and whether it is still valid.
    pub fn capture(&self) -> Option<(Graph, bool)> {
        let found = self.lane().filter(|found| !found.graph.waits_outside())?;
        let valid = found.graph.is_valid();
        Some((Graph(found.graph), valid))
    }

    /// The graph that the stream is bound to.
    pub fn bound_to(&self) -> Option<Graph> {
        self.lane().filter(|found| found.graph.waits_outside()).map(|found| Graph(found.graph))
    }

    /// Makes tasks that are recorded from here to [`Stream::end_group`] exchangeable.
    pub fn begin_group(&self) -> Result<()> {
        let LaneRef { graph, lane } = self.recorded("begin task group")?;
        graph.begin_group(lane)
    }

    /// Ends a group of [`Stream::begin_group`].
    pub fn end_group(&self) -> Result<TaskGroup> {
        let LaneRef { graph, lane } = self.recorded("end task group")?;
        graph.end_group(lane)
    }

    /// Records `event` for those outside the graph, each time the graph is replayed.
    pub fn record_external(&self, event: &Event) -> Result<()> {
        let LaneRef { graph, lane } = self.recorded("record event")?;
        graph.push_external_record(lane, event)
    }

    /// Waits, each time the graph is replayed, for `event` as it is recorded then.
    pub fn wait_external(&self, event: &Event, timeout: Option<Duration>) -> Result<()> {
        let LaneRef { graph, lane } = self.recorded("wait for event")?;
        graph.push_external_wait(lane, event, timeout.map_or(0, millis))
    }

    /// Sets `label` at this place of the lane.
    pub fn set_label(&self, label: Label) -> Result<()> {
        let op = "set label";
        let LaneRef { graph, lane } = self.recorded(op)?;
        graph.push_label(lane, op, label)
    }

    /// Goes on at one of `labels`, in whatever lane it is: at the one that the 32-bit word at `index` says, or
    /// the last if it says more than there are. The rest of this lane is left out.
    pub fn switch_label(&self, index: DevicePtr, labels: &[Label]) -> Result<()> {
        let op = "switch label";
        let LaneRef { graph, lane } = self.recorded(op)?;
        graph.push_switch_label(lane, op, index, labels)
    }

    /// If the numbers at `left` and `right` (64 bits if `wide`, else 32) compare, goes on with the lane of `to`
    /// and leaves out the rest of this one.
    pub fn switch_stream(
        &self,
        left: DevicePtr,
        condition: graph::Condition,
        right: DevicePtr,
        wide: bool,
        to: &Stream,
    ) -> Result<()> {
        let op = "switch stream";
        let LaneRef { graph, lane } = self.recorded(op)?;
        graph.push_switch_stream(lane, op, (left, right), condition, wide, to)
    }

    /// Starts the lane of `other`, beside the rest of this one.
    pub fn activate(&self, other: &Stream) -> Result<()> {
        let op = "activate stream";
        let LaneRef { graph, lane } = self.recorded(op)?;
        graph.push_activate(lane, op, other)
    }

    /// Records work from here to [`Stream::end_update`] that takes the place of a group's tasks.
    pub fn begin_update(&self, group: &TaskGroup) -> Result<()> {
        let op = "begin update";
        self.divert(op, |_| Ok(Target::Update(Update::begin(op, group)?)))
    }

    /// Exchanges the tasks of the group, after the work that was submitted to this stream before. Their number
    /// and types must be those of the old ones; without any the group stays as it is.
    ///
    /// Tasks that are due before the exchange stay the old ones: a graph can wait for it with a notify.
    pub fn end_update(&self) -> Result<()> {
        let op = "end update";
        let update = {
            let mut target = self.0.target.lock();
            let Some(Target::Update(update)) = &*target else {
                let text = format!("stream {} records no update", self.id());
                return Err(Error::capture(op, CaptureError::Group, text));
            };
            let update = update.clone();
            *target = None;
            self.0.recording.store(false, Ordering::Release);
            update
        };
        let change = update.end(op)?;
        if self.query()? {
            change();
            return Ok(());
        }
        self.control(op, change)
    }
}
