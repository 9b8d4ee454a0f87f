//! Recordings of what the device did. One process, one test at a time: a recording hears of all streams.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use vinci::profile::{self, Direction, Recording, Task, Work};
use vinci::{
    Buffer, CoreType, Device, Event, EventFlags, Kernel, LaunchOptions, Notify, Stream, StreamOptions,
};
use vinci_hw::args::{ArgsBuilder, DType, TensorArg};

static ONE: Mutex<()> = Mutex::new(());
const SOON: Duration = Duration::from_secs(20);

fn stream() -> Stream {
    Stream::new(&Device::get(0).unwrap(), StreamOptions::default()).unwrap()
}

fn of(stream: &Stream, tasks: Vec<Task>) -> Vec<Task> {
    tasks.into_iter().filter(|task| task.stream == stream.id()).collect()
}

#[test]
fn every_kind_of_work_is_told_in_order() {
    let _one = ONE.lock();
    let (stream, device) = (stream(), Device::get(0).unwrap());
    let buffer = Buffer::<u8>::new(&device, 1 << 20).unwrap();
    let event = Event::new(EventFlags::default()).unwrap();
    stream.launch(&Kernel::resident("nop").unwrap(), 1, &[]).unwrap();
    let recording = Recording::start().unwrap();
    let before = profile::now_ns();
    profile::label(Arc::from("step"), || {
        stream.launch(&Kernel::resident("nop").unwrap(), 3, &[]).unwrap();
    });
    stream.memset_async(buffer.ptr().into(), 1, 1 << 20).unwrap();
    stream.copy_async(buffer.ptr().into(), buffer.ptr().offset(512 << 10).into(), 4096).unwrap();
    stream.record(&event).unwrap();
    stream.synchronize(None).unwrap();
    let after = profile::now_ns();
    assert!(recording.drain(SOON));
    let tasks = of(&stream, recording.take());
    let works: Vec<_> = tasks.iter().map(|task| task.work.clone()).collect();
    assert_eq!(
        works,
        [
            Work::Kernel { name: Arc::from("nop"), core: CoreType::Aiv, blocks: 3 },
            Work::Fill { bytes: 1 << 20 },
            Work::Copy { direction: Direction::DeviceToDevice, bytes: 4096 },
            Work::EventRecord,
        ]
    );
    assert_eq!(tasks[0].label.as_deref(), Some("step"));
    assert_eq!(tasks[1].label, None);
    assert_eq!(tasks.iter().map(|task| task.entry).collect::<Vec<_>>(), [2, 3, 4, 5], "not the first launch");
    // The two clocks were compared to within the time that a question takes.
    let slack = 1_000_000;
    for task in &tasks {
        assert!(before <= task.submitted_ns && task.submitted_ns <= task.start_ns + slack, "{task:?}");
        assert!(task.start_ns <= task.end_ns && task.end_ns <= after + slack, "{task:?}");
        assert!(task.model_start_ns < task.model_end_ns);
    }
    assert!(tasks.is_sorted_by(|a, b| a.end_ns <= b.start_ns && a.model_end_ns <= b.model_start_ns));
    assert_eq!(recording.lost(), 0);
}

#[test]
fn copies_of_host_memory_say_where_they_go() {
    let _one = ONE.lock();
    let recording = Recording::start().unwrap();
    let buffer = Buffer::from_slice(&Device::get(0).unwrap(), &[1u8; 200_000]).unwrap();
    assert_eq!(buffer.to_vec().unwrap(), [1; 200_000]);
    assert!(recording.drain(SOON));
    let copies: Vec<_> = recording.take().into_iter().map(|task| task.work).collect();
    assert_eq!(
        copies,
        [Direction::HostToDevice, Direction::DeviceToHost]
            .map(|direction| Work::Copy { direction, bytes: 200_000 })
    );
}

#[test]
fn replays_are_told_like_what_they_replay() {
    let _one = ONE.lock();
    let stream = stream();
    stream.begin_capture().unwrap();
    for _ in 0..3 {
        stream.launch(&Kernel::resident("nop").unwrap(), 1, &[]).unwrap();
    }
    let graph = stream.end_capture().unwrap();
    let recording = Recording::start().unwrap();
    for _ in 0..2 {
        graph.replay(&stream).unwrap();
    }
    stream.synchronize(None).unwrap();
    assert!(recording.drain(SOON));
    let kernels =
        of(&stream, recording.take()).iter().filter(|t| matches!(t.work, Work::Kernel { .. })).count();
    assert_eq!(kernels, 6);
}

#[test]
fn what_is_dropped_is_counted_and_not_waited_for() {
    let _one = ONE.lock();
    let (stream, device) = (stream(), Device::get(0).unwrap());
    let notify = Notify::new(&device).unwrap();
    let recording = Recording::start().unwrap();
    stream.wait_notify(&notify, None).unwrap();
    stream.launch(&Kernel::resident("nop").unwrap(), 1, &[]).unwrap();
    assert!(!recording.drain(Duration::from_millis(50)), "the notify is not raised");
    stream.abort().unwrap();
    assert!(recording.drain(SOON));
    assert_eq!((recording.take().len(), recording.lost()), (0, 2));
    stream.launch(&Kernel::resident("nop").unwrap(), 1, &[]).unwrap();
    stream.synchronize(None).unwrap();
    assert_eq!(recording.take().len(), 1, "the stream goes on");
}

#[test]
fn recordings_do_not_hear_of_each_others_past() {
    let _one = ONE.lock();
    let stream = stream();
    let nop = Kernel::resident("nop").unwrap();
    let first = Recording::start().unwrap();
    for _ in 0..5000 {
        stream.launch(&nop, 1, &[]).unwrap();
    }
    let second = Recording::start().unwrap();
    stream.launch(&nop, 1, &[]).unwrap();
    stream.synchronize(None).unwrap();
    assert!(first.drain(SOON));
    assert_eq!((first.take().len(), second.take().len()), (5001, 1));
    drop(first);
    stream.launch(&nop, 1, &[]).unwrap();
    drop(second);
    stream.launch(&nop, 1, &[]).unwrap();
    stream.synchronize(None).unwrap();
}

#[test]
fn fewer_cores_take_more_of_the_models_time() {
    let _one = ONE.lock();
    let (stream, device) = (stream(), Device::get(0).unwrap());
    let n = 512u64;
    let buffer = Buffer::<f32>::new(&device, (3 * n * n) as usize).unwrap();
    let at = |i: u64| buffer.ptr().0 + i * n * n * 4;
    let mut args: ArgsBuilder = ArgsBuilder::new();
    for i in 0..3 {
        let dims = [n as i64, n as i64];
        args.tensor(&TensorArg::new(at(i), DType::F32, &dims, &[n as i64, 1]).unwrap()).unwrap();
    }
    args.attr_f64(1.0).unwrap().attr_f64(0.0).unwrap().attr_i64(0).unwrap();
    let matmul = Kernel::resident("matmul").unwrap();
    let recording = Recording::start().unwrap();
    for aic_cores in [0, device.info().aic_cores, 1] {
        let options = LaunchOptions { aic_cores, ..LaunchOptions::default() };
        stream.launch_with(&matmul, 1, args.finish(), options).unwrap();
    }
    stream.synchronize(None).unwrap();
    assert!(recording.drain(SOON));
    let times: Vec<_> =
        of(&stream, recording.take()).iter().map(|t| t.model_end_ns - t.model_start_ns).collect();
    assert_eq!(times[0], times[1], "all of them");
    assert!(times[2] > 2 * times[0], "{times:?}");
}
