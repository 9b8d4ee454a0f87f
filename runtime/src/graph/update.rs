//! Task groups: tasks of a complete graph that are exchanged for others of the same number and types.

use std::sync::Arc;

use parking_lot::Mutex;
use vinci_hw::sqe::Sqe;

use super::task::{Kind, Task};
use super::{Graph, Inner, TaskGroup};
use crate::error::CaptureError;
use crate::{Error, Result};

/// The new tasks of a group while they are recorded.
pub(crate) struct Update {
    graph: Arc<Inner>,
    index: usize,
    tasks: Mutex<Vec<Task>>,
}

impl Update {
    pub(crate) fn begin(op: &'static str, group: &TaskGroup) -> Result<Arc<Update>> {
        let gone = || Error::InvalidHandle { op, what: "task group", handle: group.index as u64 };
        let graph = group.graph.upgrade().ok_or_else(gone)?;
        let mut state = graph.state.lock();
        if state.program.is_none() {
            let text = format!("graph {} is not complete", graph.id);
            return Err(Error::capture(op, CaptureError::GraphCaptured, text));
        }
        let found = state.groups.get_mut(group.index).ok_or_else(gone)?;
        if std::mem::replace(&mut found.updating, true) {
            let text = format!("task group {} of graph {} is being updated already", group.index, graph.id);
            return Err(Error::capture(op, CaptureError::Group, text));
        }
        drop(state);
        Ok(Arc::new(Update { graph, index: group.index, tasks: Mutex::default() }))
    }

    /// Adds a new task.
    pub(crate) fn push(&self, payload: &[u8], make: impl FnOnce(u64) -> Sqe) -> Result<()> {
        let done = self.graph.done();
        let blob = match payload {
            [] => None,
            bytes => Some(self.graph.state.lock().blobs.put(bytes, done)?),
        };
        let sqe = make(blob.map_or(0, |blob| blob.va));
        self.tasks.lock().push(Task { sqe, blob, ..Task::of(Kind::Device) });
        Ok(())
    }

    /// Checks the new tasks; answers what makes them the group's.
    pub(crate) fn end(&self, op: &'static str) -> Result<impl FnOnce() + Send + 'static + use<>> {
        let graph = self.graph.clone();
        let index = self.index;
        let new = std::mem::take(&mut *self.tasks.lock());
        let mut state = graph.state.lock();
        state.groups[index].updating = false;
        let group = state.groups[index].clone();
        let old = &state.lanes[group.lane].tasks[group.tasks.clone()];
        let fits = old.len() == new.len()
            && old.iter().zip(&new).all(|(old, new)| old.task_type() == new.task_type());
        if !fits && !new.is_empty() {
            let types = |tasks: &[Task]| tasks.iter().map(Task::task_type).collect::<Vec<_>>();
            let text = format!("the group holds {:?}, the update {:?}", types(old), types(&new));
            for blob in new.iter().filter_map(|task| task.blob) {
                state.blobs.give(blob, 0);
            }
            return Err(Error::capture(op, CaptureError::Mismatch, text));
        }
        drop(state);
        Ok(move || graph.exchange(index, new))
    }
}

impl Drop for Update {
    fn drop(&mut self) {
        let mut state = self.graph.state.lock();
        let state = &mut *state;
        state.groups[self.index].updating = false;
        for blob in self.tasks.get_mut().iter().filter_map(|task| task.blob) {
            state.blobs.give(blob, 0);
        }
    }
}

impl Inner {
    /// Puts `new` in the place of a group's tasks: in the prepared entries, and in the latest replay as far as
    /// it has not got there.
    fn exchange(&self, index: usize, new: Vec<Task>) {
        let epoch = self.epoch();
        let mut state = self.state.lock();
        let state = &mut *state;
        let group = state.groups[index].clone();
        let Some(program) = &mut state.program else { return };
        for (at, task) in group.tasks.zip(new) {
            program.replace(group.lane, at, &task.sqe);
            let old = std::mem::replace(&mut state.lanes[group.lane].tasks[at], task);
            if let Some(blob) = old.blob {
                state.blobs.give(blob, epoch);
            }
        }
    }
}

impl Graph {
    /// Leaves task `at` of lane `lane` out, from the next [`Graph::update`] on. Tasks that order lanes cannot be
    /// left out.
    pub fn disable(&self, lane: usize, at: usize) -> Result<()> {
        let op = "disable task";
        let mut state = self.0.state.lock();
        let task = state.lanes.get_mut(lane).and_then(|lane| lane.tasks.get_mut(at));
        let task = task.ok_or_else(|| {
            Error::value(op, format!("graph {} has no task {at} in lane {lane}", self.0.id))
        })?;
        if !matches!(task.kind, Kind::Device) {
            return Err(Error::NotSupported("a graph without a task that orders its lanes"));
        }
        task.off = true;
        Ok(())
    }

    /// Puts [`Graph::disable`] into effect for later replays.
    pub fn update(&self) -> Result<()> {
        let mut state = self.0.state.lock();
        let state = &mut *state;
        let Some(program) = &mut state.program else {
            let text = format!("graph {} is not complete", self.0.id);
            return Err(Error::capture("update graph", CaptureError::GraphCaptured, text));
        };
        for (number, lane) in state.lanes.iter().enumerate() {
            for (at, _) in lane.tasks.iter().enumerate().filter(|(_, task)| task.off) {
                program.leave_out(number, at);
            }
        }
        Ok(())
    }
}
