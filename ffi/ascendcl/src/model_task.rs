//! Looking into model instances: their streams, their tasks, and traces of them.

use std::fs::File;
use std::io::Write as _;

use vinci::Graph;
use vinci::graph::TaskType;

use crate::abi::{Handle, Out, Text, need_address};
use crate::code::{Failure, RT_FILE_OPEN, RT_FILE_WRITE, RT_INSUFFICIENT_INPUT_ARRAY, Result, invalid};
use crate::handle::{Kind, Table};
use crate::model;

/// The lane of a graph, under the handle that aclmdlRIGetStreams gave out.
#[derive(Clone, PartialEq)]
struct Lane {
    graph: Graph,
    number: usize,
}

#[derive(Clone, PartialEq)]
struct Task {
    lane: Lane,
    at: usize,
}

static LANES: Table<Lane> = Table::new(Kind::ModelStream);
static TASKS: Table<Task> = Table::new(Kind::ModelTask);

/// Ends the handles of a model instance's streams and tasks.
pub fn forget(graph: &Graph) {
    for (handle, lane) in LANES.all() {
        if lane.graph == *graph {
            let _ = LANES.remove(handle);
        }
    }
    for (handle, task) in TASKS.all() {
        if task.lane.graph == *graph {
            let _ = TASKS.remove(handle);
        }
    }
}

/// The handles of `wanted`; those that there are already stay the same.
fn handles<T: Clone + PartialEq>(table: &Table<T>, wanted: impl Iterator<Item = T>) -> Result<Vec<Handle>> {
    let known = table.all();
    wanted
        .map(|object| match known.iter().find(|(_, other)| *other == object) {
            Some((handle, _)) => Ok(*handle),
            None => table.insert(object),
        })
        .collect()
}

/// Answers a list in two calls: first its length, with no array, then the list.
fn answer(list: Out<Handle>, count: Out<u32>, name: &str, all: Vec<Handle>) -> Result<()> {
    let count = count.need(name)?;
    if let Some(place) = list.maybe() {
        let room = count.get() as usize;
        if room < all.len() {
            let text = format!("the array has room for {room}, there are {}", all.len());
            return Err(Failure::new(RT_INSUFFICIENT_INPUT_ARRAY, text));
        }
        place.put_all(&all);
    }
    count.put(all.len() as u32);
    Ok(())
}

fn task(handle: Handle) -> Result<Task> {
    need_address(handle, "task")?;
    TASKS.get(handle)
}

/// `aclmdlRITaskType`.
fn number(kind: TaskType) -> u32 {
    match kind {
        TaskType::Kernel => 1,
        TaskType::EventRecord => 2,
        TaskType::EventWait => 3,
        TaskType::ValueWrite => 5,
        TaskType::ValueWait => 6,
        _ => 0,
    }
}

entry! {
    fn aclmdlRIGetStreams(model: Handle, streams: Out<Handle>, count: Out<u32>) {
        let graph = model::named(model)?.graph.clone();
        let lanes = (0..graph.lanes().len()).map(|number| Lane { graph: graph.clone(), number });
        answer(streams, count, "numStreams", handles(&LANES, lanes)?)
    }

    fn aclmdlRIGetTasksByStream(stream: Handle, tasks: Out<Handle>, count: Out<u32>) {
        need_address(stream, "stream")?;
        let lane = LANES.get(stream)?;
        let len = lane.graph.lanes()[lane.number].tasks.len();
        let all = (0..len).map(|at| Task { lane: lane.clone(), at });
        answer(tasks, count, "numTasks", handles(&TASKS, all)?)
    }

    fn aclmdlRITaskGetType(handle: Handle, kind: Out<u32>) {
        let Task { lane, at } = task(handle)?;
        kind.need("type")?.put(number(lane.graph.lanes()[lane.number].tasks[at]));
        Ok(())
    }

    fn aclmdlRITaskGetSeqId(handle: Handle, id: Out<u32>) {
        let Task { at, .. } = task(handle)?;
        id.need("id")?.put(at as u32);
        Ok(())
    }

    /// In effect after aclmdlRIUpdate.
    fn aclmdlRITaskDisable(handle: Handle) {
        let Task { lane, at } = task(handle)?;
        Ok(lane.graph.disable(lane.number, at)?)
    }

    fn aclmdlRIUpdate(model: Handle) {
        let model = model::named(model)?;
        if !model.graph.is_captured() {
            return Err(Failure::new(
                crate::code::RT_FEATURE_NOT_SUPPORT,
                "only a model instance that was captured can be updated",
            ));
        }
        Ok(model.graph.update()?)
    }

    fn aclmdlRIDebugJsonPrint(model: Handle, path: Text, flags: u32) {
        let model = model::named(model)?;
        let path = path.need("path")?;
        if flags > 1 {
            return Err(invalid(format!("flags {flags:#x} are not ACL_MDLRI_DEBUG_JSON_PRINT_ flags")));
        }
        let mut file = File::create(&path)
            .map_err(|e| Failure::new(RT_FILE_OPEN, format!("{path} cannot be written: {e}")))?;
        file.write_all(model.graph.trace(flags == 1).as_bytes())
            .map_err(|e| Failure::new(RT_FILE_WRITE, format!("{path} cannot be written: {e}")))
    }

    /// To the log.
    fn aclmdlRIDebugPrint(model: Handle) {
        let graph = model::named(model)?.graph.clone();
        for lane in graph.lanes() {
            log::warn!("model instance {}, stream {}: {:?}", graph.id(), lane.stream, lane.tasks);
        }
        Ok(())
    }
}
