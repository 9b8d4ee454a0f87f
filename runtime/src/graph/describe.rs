//! What a graph holds, for a person: the trace format of Chrome's viewer (chrome://tracing) and Perfetto.

use std::fmt::Write as _;

use super::task::{Kind, Task, TaskType};
use super::{Graph, LaneInfo};

impl Graph {
    /// Its lanes, in the order in which their streams joined.
    pub fn lanes(&self) -> Vec<LaneInfo> {
        let state = self.0.state.lock();
        let info = |tasks: &[Task]| tasks.iter().map(Task::task_type).collect();
        state.lanes.iter().map(|lane| LaneInfo { stream: lane.stream, tasks: info(&lane.tasks) }).collect()
    }

    /// Its tasks as a trace: one row per lane, time counts tasks, arrows are dependencies. With `verbose` the
    /// kernels' ids, blocks and argument sizes are in it.
    pub fn trace(&self, verbose: bool) -> String {
        let state = self.0.state.lock();
        let mut events = Vec::new();
        let id = self.0.id;
        for lane in &state.lanes {
            let name = format!("stream {}", lane.stream);
            events.push(format!(
                r#"{{"name":"thread_name","ph":"M","pid":{id},"tid":{},"args":{{"name":"{name}"}}}}"#,
                lane.stream
            ));
        }
        for (number, &(lane, at)) in state.order.iter().enumerate() {
            let lane = &state.lanes[lane as usize];
            let task = &lane.tasks[at as usize];
            let mut event = format!(
                r#"{{"name":"{:?}","ph":"X","pid":{id},"tid":{},"ts":{number},"dur":1,"args":{{"model id":{id},"stream id":{},"task id":{at},"task type":"{:?}""#,
                task.task_type(),
                lane.stream,
                lane.stream,
                task.task_type()
            );
            if verbose && task.task_type() == TaskType::Kernel {
                let words = vinci_hw::sqe::words(&task.sqe);
                let _ = write!(
                    event,
                    r#","kernel":{},"blocks":{},"argument bytes":{}"#,
                    words[0], task.sqe.blocks, words[2] as u32
                );
            }
            event.push_str("}}");
            events.push(event);
            match task.kind {
                Kind::Record(dep) => events.push(arrow("s", id, lane.stream, number, dep)),
                Kind::Wait(dep) => events.push(arrow("f", id, lane.stream, number, dep)),
                _ => {}
            }
        }
        format!("[\n{}\n]\n", events.join(",\n"))
    }
}

fn arrow(phase: &str, graph: u32, stream: u32, number: usize, dep: usize) -> String {
    format!(
        r#"{{"name":"event","cat":"event","ph":"{phase}","bp":"e","id":{dep},"pid":{graph},"tid":{stream},"ts":{number}}}"#
    )
}
