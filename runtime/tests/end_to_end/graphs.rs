//! Graphs: captured and built, replayed, updated, spoilt.

use std::time::Duration;

use proptest::prelude::*;
use vinci::graph::{Condition, TaskType};
use vinci::{
    Buffer, CaptureError, Error, Event, EventFlags, Graph, HostBuffer, Kernel, Label, Notify, Stream,
};

use super::{device, fill_args, host, nop, stream};

const WAIT: Option<Duration> = Some(Duration::from_secs(20));

fn event() -> Event {
    Event::new(EventFlags::default()).unwrap()
}

fn why<T: std::fmt::Debug>(result: vinci::Result<T>) -> CaptureError {
    match result {
        Err(Error::Capture { why, .. }) => why,
        other => panic!("{other:?} is no capture error"),
    }
}

fn fill() -> Kernel {
    Kernel::resident("fill").unwrap()
}

fn bytes(len: usize) -> Buffer<u8> {
    let buffer = Buffer::new(&device(), len).unwrap();
    vinci::memory::memset(buffer.ptr().into(), 0, len as u64).unwrap();
    buffer
}

#[test]
fn nothing_runs_until_the_graph_is_replayed() {
    let (stream, a, b) = (stream(), bytes(64), bytes(64));
    stream.begin_capture().unwrap();
    stream.launch(&fill(), 1, &fill_args(a.ptr().0, 64, 7)).unwrap();
    stream.copy_async(b.ptr().into(), a.ptr().into(), 64).unwrap();
    let graph = stream.end_capture().unwrap();
    stream.synchronize(WAIT).unwrap();
    assert_eq!(a.to_vec().unwrap(), [0; 64]);
    for _ in 0..3 {
        graph.replay(&stream).unwrap();
        stream.synchronize(WAIT).unwrap();
        assert_eq!(b.to_vec().unwrap(), [7; 64]);
        assert!(!graph.is_running());
        vinci::memory::memset(b.ptr().into(), 0, 64).unwrap();
    }
    assert_eq!(graph.lanes()[0].tasks, [TaskType::Kernel, TaskType::Copy]);
    assert!(graph.trace(true).contains("\"argument bytes\":"));
}

#[test]
fn a_stream_that_is_captured_cannot_be_waited_for() {
    let (stream, event) = (stream(), event());
    let graph = stream.begin_capture().unwrap();
    stream.record(&event).unwrap();
    assert_eq!(why(stream.synchronize(None)), CaptureError::StreamCaptured);
    assert_eq!(why(stream.query()), CaptureError::StreamCaptured);
    assert_eq!(why(stream.destroy(false)), CaptureError::StreamCaptured);
    assert_eq!(why(stream.begin_capture()), CaptureError::StreamCaptured);
    assert_eq!(why(event.query()), CaptureError::EventCaptured);
    assert_eq!(why(event.synchronize(None)), CaptureError::EventCaptured);
    assert_eq!(why(graph.replay(&super::stream())), CaptureError::GraphCaptured);
    assert_eq!(why(stream.memset_async(host(&[0; 8]), 0, 8)), CaptureError::Pageable);
    assert_eq!(stream.capture(), Some((graph.clone(), true)));
    // None of it spoilt the capture, and afterwards all of it is possible.
    assert_eq!(stream.end_capture().unwrap(), graph);
    assert_eq!(why(stream.end_capture()), CaptureError::NotCaptured);
    assert!(event.query().unwrap());
    stream.synchronize(WAIT).unwrap();
}

#[test]
fn streams_join_by_events_and_must_be_joined_back() {
    let (a, b, c) = (stream(), stream(), stream());
    let (fork, join) = (event(), event());
    let x = bytes(1 << 20);
    a.begin_capture().unwrap();
    a.record(&fork).unwrap();
    b.wait(&fork, None).unwrap();
    assert!(b.is_recording() && !c.is_recording());
    b.memset_async(x.ptr().into(), 3, 1 << 20).unwrap();
    assert_eq!(why(b.end_capture()), CaptureError::NotOrigin);
    b.record(&join).unwrap();
    a.wait(&join, None).unwrap();
    let graph = a.end_capture().unwrap();
    assert!(!b.is_recording());
    for _ in 0..50 {
        graph.replay(&c).unwrap();
    }
    c.synchronize(WAIT).unwrap();
    assert!(x.to_vec().unwrap().iter().all(|&byte| byte == 3));

    a.begin_capture().unwrap();
    a.record(&fork).unwrap();
    b.wait(&fork, None).unwrap();
    assert_eq!(why(a.end_capture()), CaptureError::Unjoined);
    assert!(!a.is_recording() && !b.is_recording(), "a failed end ends it too");
}

#[test]
fn events_of_another_world_spoil_a_capture() {
    let (a, b, outside) = (stream(), stream(), event());
    b.record(&outside).unwrap();
    a.begin_capture().unwrap();
    assert_eq!(why(a.wait(&outside, None)), CaptureError::Dependency);
    assert!(!a.capture().unwrap().1, "it is invalid now");
    assert_eq!(why(a.launch(&nop(), 1, &[])), CaptureError::Invalidated);
    assert_eq!(why(a.end_capture()), CaptureError::Invalidated);
    assert!(!a.is_recording());

    a.begin_capture().unwrap();
    b.begin_capture().unwrap();
    let event = event();
    a.record(&event).unwrap();
    assert_eq!(why(b.wait(&event, None)), CaptureError::Conflict);
    assert_eq!(why(a.end_capture()), CaptureError::Invalidated);
    assert_eq!(why(b.end_capture()), CaptureError::Invalidated);
    a.launch(&nop(), 1, &[]).unwrap();
    a.synchronize(WAIT).unwrap();
}

#[test]
fn external_events_are_those_of_the_time_of_the_replay() {
    let (a, b, x, y) = (stream(), stream(), bytes(64), bytes(64));
    let (before, after) = (event(), event());
    assert_eq!(why(a.record_external(&after)), CaptureError::NotCaptured);
    a.begin_capture().unwrap();
    a.wait_external(&before, None).unwrap();
    a.copy_async(y.ptr().into(), x.ptr().into(), 64).unwrap();
    a.record_external(&after).unwrap();
    let graph = a.end_capture().unwrap();
    let gate = Notify::new(&device()).unwrap();
    for round in 1..20u8 {
        b.wait_notify(&gate, None).unwrap();
        b.memset_async(x.ptr().into(), round, 64).unwrap();
        b.record(&before).unwrap();
        graph.replay(&a).unwrap();
        b.wait(&after, None).unwrap();
        assert!(!a.query().unwrap());
        super::stream().record_notify(&gate).unwrap();
        b.synchronize(WAIT).unwrap();
        assert_eq!(y.to_vec().unwrap(), [round; 64]);
    }
}

#[test]
fn a_task_group_is_exchanged_before_and_while_the_graph_runs() {
    let (a, updater, x) = (stream(), stream(), bytes(256));
    let gate = Notify::new(&device()).unwrap();
    a.begin_capture().unwrap();
    a.wait_raised(&gate).unwrap();
    a.lower_notify(&gate).unwrap();
    a.begin_group().unwrap();
    assert_eq!(why(a.begin_group()), CaptureError::Group);
    a.launch(&fill(), 1, &fill_args(x.ptr().0, 64, 1)).unwrap();
    let group = a.end_group().unwrap();
    assert_eq!(why(updater.begin_update(&group)), CaptureError::GraphCaptured);
    let graph = a.end_capture().unwrap();
    for value in 2..40i64 {
        graph.replay(&a).unwrap();
        updater.begin_update(&group).unwrap();
        assert_eq!(why(super::stream().begin_update(&group)), CaptureError::Group);
        updater.launch(&fill(), 1, &fill_args(x.ptr().0, 64 + value, value)).unwrap();
        updater.end_update().unwrap();
        updater.record_notify(&gate).unwrap();
        a.synchronize(WAIT).unwrap();
        assert_eq!(x.to_vec().unwrap()[..64 + value as usize], vec![value as u8; 64 + value as usize]);
    }
    // An update that does not fit is refused, an empty one changes nothing.
    updater.begin_update(&group).unwrap();
    updater.memset_async(x.ptr().into(), 1, 8).unwrap();
    assert_eq!(why(updater.end_update()), CaptureError::Mismatch);
    updater.begin_update(&group).unwrap();
    updater.end_update().unwrap();
    drop(graph);
    assert!(matches!(updater.begin_update(&group), Err(Error::InvalidHandle { .. })));
    assert!(!updater.is_recording());
}

#[test]
fn an_update_comes_after_the_earlier_work_of_its_stream() {
    let (a, updater, x) = (stream(), stream(), bytes(64));
    a.begin_capture().unwrap();
    a.begin_group().unwrap();
    a.memset_async(x.ptr().into(), 1, 64).unwrap();
    let group = a.end_group().unwrap();
    let graph = a.end_capture().unwrap();
    let gate = Notify::new(&device()).unwrap();
    updater.wait_notify(&gate, None).unwrap();
    updater.begin_update(&group).unwrap();
    updater.memset_async(x.ptr().into(), 2, 64).unwrap();
    updater.end_update().unwrap();
    graph.replay(&a).unwrap();
    a.synchronize(WAIT).unwrap();
    assert_eq!(x.to_vec().unwrap(), [1; 64]);
    a.record_notify(&gate).unwrap();
    updater.synchronize(WAIT).unwrap();
    graph.replay(&a).unwrap();
    a.synchronize(WAIT).unwrap();
    assert_eq!(x.to_vec().unwrap(), [2; 64]);
}

#[test]
fn a_graph_longer_than_the_ring_replays() {
    let (a, b, x) = (stream(), stream(), bytes(64));
    let (fork, join) = (event(), event());
    a.begin_capture().unwrap();
    for round in 0..600u32 {
        for _ in 0..3 {
            a.launch(&nop(), 1, &[]).unwrap();
        }
        a.record(&fork).unwrap();
        b.wait(&fork, None).unwrap();
        b.memset_async(x.ptr().into(), round as u8, 64).unwrap();
        b.record(&join).unwrap();
        a.wait(&join, None).unwrap();
    }
    let graph = a.end_capture().unwrap();
    for _ in 0..5 {
        graph.replay(&a).unwrap();
    }
    a.synchronize(WAIT).unwrap();
    assert_eq!(x.to_vec().unwrap(), [(599u32 % 256) as u8; 64]);
}

#[test]
fn a_fault_in_a_lane_stops_the_stream_that_replays_and_no_other() {
    let (a, b, c) = (stream(), stream(), stream());
    let (fork, join) = (event(), event());
    a.begin_capture().unwrap();
    a.record(&fork).unwrap();
    b.wait(&fork, None).unwrap();
    b.launch(&fill(), 1, &fill_args(0x10_0000, 64, 1)).unwrap();
    b.record(&join).unwrap();
    a.wait(&join, None).unwrap();
    let graph = a.end_capture().unwrap();
    graph.replay(&a).unwrap();
    match a.synchronize(WAIT) {
        Err(Error::Fault(fault)) => assert_eq!(fault.address, 0x10_0000, "{fault}"),
        other => panic!("{other:?}"),
    }
    assert!(!graph.is_running());
    b.launch(&nop(), 1, &[]).unwrap();
    b.synchronize(WAIT).unwrap();
    // The graph can be tried again, and fails again; the other stream goes on.
    graph.replay(&c).unwrap();
    assert!(matches!(c.synchronize(WAIT), Err(Error::Fault(_))));
    a.reset().unwrap();
    a.launch(&nop(), 1, &[]).unwrap();
    a.synchronize(WAIT).unwrap();
}

#[test]
fn lanes_of_a_built_graph_run_side_by_side() {
    let (a, b, exec, x, y) = (stream(), stream(), stream(), bytes(64), bytes(64));
    let graph = Graph::new(&device()).unwrap();
    graph.bind(&a, true).unwrap();
    graph.bind(&b, true).unwrap();
    assert_eq!(why(graph.bind(&a, true)), CaptureError::StreamCaptured);
    let done = event();
    a.memset_async(x.ptr().into(), 5, 64).unwrap();
    a.record(&done).unwrap();
    b.wait(&done, None).unwrap();
    b.copy_async(y.ptr().into(), x.ptr().into(), 64).unwrap();
    graph.end_lane(&b).unwrap();
    b.memset_async(y.ptr().into(), 9, 64).unwrap();
    graph.finish().unwrap();
    assert!(a.launch(&nop(), 1, &[]).is_err(), "the graph is complete");
    for _ in 0..3 {
        graph.replay(&exec).unwrap();
    }
    exec.synchronize(WAIT).unwrap();
    assert_eq!(y.to_vec().unwrap(), [5; 64], "what is behind the end of a lane does not run");
    graph.run(WAIT).unwrap();
    graph.unbind(&a).unwrap();
    a.launch(&nop(), 1, &[]).unwrap();
    a.synchronize(WAIT).unwrap();
}

#[test]
fn a_built_graph_takes_small_copies_of_pageable_memory_as_they_are() {
    let (a, x) = (stream(), bytes(64));
    let graph = Graph::new(&device()).unwrap();
    graph.bind(&a, true).unwrap();
    let mut source = [3u8; 64];
    a.copy_async(x.ptr().into(), host(&source), 64).unwrap();
    source.fill(4);
    assert_eq!(why(a.copy_async(host(&source), x.ptr().into(), 64)), CaptureError::Pageable);
    graph.finish().unwrap();
    graph.run(WAIT).unwrap();
    assert_eq!(x.to_vec().unwrap(), [3; 64]);
}

#[test]
fn a_graph_branches_by_label() {
    let (a, x) = (stream(), bytes(64));
    let mut index = Buffer::<u32>::new(&device(), 1).unwrap();
    let graph = Graph::new(&device()).unwrap();
    graph.bind(&a, true).unwrap();
    let labels: Vec<Label> = (0..3).map(|_| Label::new()).collect();
    a.memset_async(x.ptr().into(), 0, 64).unwrap();
    a.switch_label(index.ptr(), &labels).unwrap();
    for (n, label) in labels.iter().enumerate() {
        a.set_label(*label).unwrap();
        a.memset_async(vinci::DevicePtr(x.ptr().0 + 16 * n as u64).into(), 1, 16).unwrap();
    }
    graph.end_lane(&a).unwrap();
    graph.finish().unwrap();
    let exec = stream();
    for (value, skipped) in [(0u32, 0), (1, 1), (2, 2), (7, 2), (1, 1)] {
        index.upload(&[value]).unwrap();
        graph.replay(&exec).unwrap();
        exec.synchronize(WAIT).unwrap();
        let found = x.to_vec().unwrap();
        let ones: Vec<u8> = (0..48).map(|byte| u8::from(byte / 16 >= skipped)).collect();
        assert_eq!(found[..48], ones, "index {value}");
    }
}

#[test]
fn a_graph_switches_and_activates_streams() {
    let (a, b, c, x) = (stream(), stream(), stream(), bytes(64));
    let mut numbers = Buffer::<i64>::new(&device(), 2).unwrap();
    let (left, right) = (numbers.ptr(), vinci::DevicePtr(numbers.ptr().0 + 8));
    let graph = Graph::new(&device()).unwrap();
    graph.bind(&a, true).unwrap();
    graph.bind(&b, false).unwrap();
    graph.bind(&c, false).unwrap();
    let piece = |n: u64| vinci::DevicePtr(x.ptr().0 + n).into();
    a.activate(&c).unwrap();
    a.switch_stream(left, Condition::Less, right, true, &b).unwrap();
    a.memset_async(piece(0), 1, 1).unwrap();
    b.memset_async(piece(1), 1, 1).unwrap();
    c.memset_async(piece(2), 1, 1).unwrap();
    graph.finish().unwrap();
    let exec = stream();
    for (values, expected) in [([1, 2], [0, 1, 1]), ([2, 1], [1, 0, 1]), ([-1, 1], [0, 1, 1])] {
        numbers.upload(&values).unwrap();
        exec.memset_async(x.ptr().into(), 0, 64).unwrap();
        graph.replay(&exec).unwrap();
        exec.synchronize(WAIT).unwrap();
        assert_eq!(x.to_vec().unwrap()[..3], expected, "{values:?}");
    }
}

#[test]
fn a_graph_that_runs_for_ever_can_be_aborted() {
    let (a, exec) = (stream(), stream());
    let gate = Notify::new(&device()).unwrap();
    let graph = Graph::new(&device()).unwrap();
    graph.bind(&a, true).unwrap();
    a.wait_notify(&gate, None).unwrap();
    graph.finish().unwrap();
    graph.replay(&exec).unwrap();
    let early = exec.synchronize(Some(Duration::from_millis(30)));
    assert!(matches!(early, Err(Error::Timeout { .. })), "{early:?} {}", a.id());
    assert!(graph.is_running());
    graph.abort().unwrap();
    exec.synchronize(WAIT).unwrap();
    assert!(!graph.is_running());
    super::stream().record_notify(&gate).unwrap();
    graph.run(WAIT).unwrap();
}

#[test]
fn a_loop_runs_until_its_counter_says_so() {
    // x starts at 0; the loop adds 1 by the kernel "add" until the switch sees that it is 5.
    let (a, out, exec) = (stream(), stream(), stream());
    let numbers = Buffer::from_slice(&device(), &[0i64, 5, 1]).unwrap();
    let at = |n: u64| vinci::DevicePtr(numbers.ptr().0 + 8 * n);
    let mut args: vinci_hw::args::ArgsBuilder = vinci_hw::args::ArgsBuilder::new();
    for n in [0, 0, 2] {
        let tensor = vinci_hw::args::TensorArg::new(at(n).0, vinci_hw::args::DType::I64, &[1], &[1]).unwrap();
        args.tensor(&tensor).unwrap();
    }
    args.attr_i64(vinci_hw::args::DType::I64 as i64).unwrap().attr_f64(1.0).unwrap().attr_i64(1).unwrap();
    let zero = Buffer::from_slice(&device(), &[0u32]).unwrap();
    let again = Label::new();
    let graph = Graph::new(&device()).unwrap();
    graph.bind(&a, true).unwrap();
    graph.bind(&out, false).unwrap();
    a.set_label(again).unwrap();
    a.launch(&Kernel::resident("add").unwrap(), 1, args.finish()).unwrap();
    a.switch_stream(at(0), Condition::Equal, at(1), true, &out).unwrap();
    a.switch_label(zero.ptr(), &[again]).unwrap();
    out.launch(&nop(), 1, &[]).unwrap();
    graph.finish().unwrap();
    graph.replay(&exec).unwrap();
    exec.synchronize(WAIT).unwrap();
    assert_eq!(numbers.to_vec().unwrap()[0], 5);
}

#[test]
fn pinned_memory_takes_part() {
    let (a, x) = (stream(), bytes(64));
    let mut from = HostBuffer::new(4096).unwrap();
    a.begin_capture().unwrap();
    a.copy_async(x.ptr().into(), host(&from[..64]), 64).unwrap();
    let graph = a.end_capture().unwrap();
    for value in 1..5 {
        from[..64].fill(value);
        graph.replay(&a).unwrap();
        a.synchronize(WAIT).unwrap();
        assert_eq!(x.to_vec().unwrap(), [value; 64]);
    }
}

/// A step of a random program: `(stream, what)`.
#[derive(Clone, Debug)]
enum Op {
    /// Copies a cell to another.
    Copy(usize, usize, usize),
    /// Fills a cell.
    Fill(usize, usize, u8),
    /// Lets a stream wait for all that another has been given.
    Sync(usize, usize),
}

const STREAMS: usize = 4;
const CELLS: usize = 6;
const CELL: u64 = 512;

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        (0..STREAMS, 0..CELLS, 0..CELLS).prop_map(|(s, to, from)| Op::Copy(s, to, from)),
        (0..STREAMS, 0..CELLS, any::<u8>()).prop_map(|(s, cell, value)| Op::Fill(s, cell, value)),
        (0..STREAMS, 0..STREAMS).prop_map(|(a, b)| Op::Sync(a, b)),
    ];
    prop::collection::vec(op, 1..120)
}

/// Gives the program to the streams. A cell is handed from stream to stream by an event, so that the outcome is
/// determined.
fn submit(ops: &[Op], streams: &[Stream], memory: &Buffer<u8>) {
    let cell = |n: usize| vinci::DevicePtr(memory.ptr().0 + n as u64 * CELL);
    let sync = |to: usize, from: usize| {
        if to != from {
            let event = event();
            streams[from].record(&event).unwrap();
            streams[to].wait(&event, None).unwrap();
        }
    };
    for stream in 1..STREAMS {
        sync(stream, 0);
    }
    let mut owner = [0; CELLS];
    let mut own = |n: usize, stream: usize| {
        sync(stream, owner[n]);
        owner[n] = stream;
    };
    for op in ops {
        match *op {
            Op::Copy(s, to, from) if to != from => {
                own(to, s);
                own(from, s);
                streams[s].copy_async(cell(to).into(), cell(from).into(), CELL).unwrap();
            }
            Op::Fill(s, n, value) => {
                own(n, s);
                let args = fill_args(cell(n).0, CELL as i64, value.into());
                streams[s].launch(&fill(), 1, &args).unwrap();
            }
            Op::Sync(a, b) => sync(a, b),
            Op::Copy(..) => {}
        }
    }
    for stream in 1..STREAMS {
        sync(0, stream);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// A replay does what the same calls do without a capture, however often it is done.
    #[test]
    fn replay_equals_eager(ops in ops(), seed: u32) {
        let streams: Vec<Stream> = (0..STREAMS).map(|_| stream()).collect();
        let start = super::pattern(CELLS * CELL as usize, seed);
        let (eager, replayed) =
            (Buffer::from_slice(&device(), &start).unwrap(), Buffer::from_slice(&device(), &start).unwrap());
        streams[0].begin_capture().unwrap();
        submit(&ops, &streams, &replayed);
        let graph = streams[0].end_capture().unwrap();
        for round in 0..3 {
            submit(&ops, &streams, &eager);
            streams[0].synchronize(WAIT).unwrap();
            graph.replay(&streams[round % 2]).unwrap();
            streams[round % 2].synchronize(WAIT).unwrap();
            prop_assert_eq!(eager.to_vec().unwrap(), replayed.to_vec().unwrap(), "round {}", round);
        }
        // Without a wait between them the replays come one after the other all the same.
        for round in 0..4 {
            submit(&ops, &streams, &eager);
            graph.replay(&streams[round % STREAMS]).unwrap();
        }
        for stream in &streams {
            stream.synchronize(WAIT).unwrap();
        }
        prop_assert_eq!(eager.to_vec().unwrap(), replayed.to_vec().unwrap());
    }
}
