use std::time::Duration;

use vinci::{
    Buffer, Clock, Compare, Device, Error, Event, EventFlags, EventStatus, Notify, Stream, StreamOptions,
};

use crate::{device, nop, stream};

const LIMIT: Option<Duration> = Some(Duration::from_secs(10));

fn event() -> Event {
    Event::new(EventFlags::default()).unwrap()
}

/// A stream that stands at a gate until `open`.
struct Held {
    stream: Stream,
    gate: Buffer<u64>,
}

impl Held {
    fn new() -> Held {
        let held = Held { stream: stream(), gate: Buffer::from_slice(&device(), &[0]).unwrap() };
        held.stream.wait_value(held.gate.ptr(), 1, Compare::Eq).unwrap();
        held
    }

    fn open(&self) {
        stream().write_value(self.gate.ptr(), 1).unwrap();
    }
}

#[test]
fn status_follows_the_stream() {
    let (held, event) = (Held::new(), event());
    assert_eq!(event.status().unwrap(), EventStatus::Unrecorded);
    event.synchronize(Some(Duration::ZERO)).unwrap();
    held.stream.record(&event).unwrap();
    assert_eq!(event.status().unwrap(), EventStatus::Pending);
    assert!(!event.query().unwrap());
    assert!(matches!(event.timestamp(), Err(Error::NotReady { .. })));
    assert!(matches!(event.synchronize(Some(Duration::from_millis(5))), Err(Error::Timeout { .. })));
    held.open();
    event.synchronize(LIMIT).unwrap();
    assert_eq!(event.status().unwrap(), EventStatus::Complete);
    event.reset().unwrap();
    assert_eq!(event.status().unwrap(), EventStatus::Unrecorded);
}

#[test]
fn streams_and_dies_wait_for_each_other() {
    let last = Device::get(Device::count().unwrap() - 1).unwrap();
    let (held, event) = (Held::new(), event());
    held.stream.record(&event).unwrap();
    let waiters = [stream(), Stream::new(&last, StreamOptions::default()).unwrap()];
    for waiter in &waiters {
        waiter.wait(&event, None).unwrap();
        assert!(!event.query_wait().unwrap());
        assert!(matches!(waiter.synchronize(Some(Duration::from_millis(5))), Err(Error::Timeout { .. })));
    }
    held.open();
    for waiter in &waiters {
        waiter.synchronize(LIMIT).unwrap();
    }
    assert!(event.query_wait().unwrap());
}

#[test]
fn a_new_record_does_not_move_an_old_wait() {
    let (held, quick, waiter, event) = (Held::new(), stream(), stream(), event());
    held.stream.record(&event).unwrap();
    waiter.wait(&event, None).unwrap();
    quick.record(&event).unwrap();
    event.synchronize(LIMIT).unwrap();
    assert_eq!(event.status().unwrap(), EventStatus::Complete, "it stands for the latest record");
    assert!(matches!(waiter.synchronize(Some(Duration::from_millis(5))), Err(Error::Timeout { .. })));
    held.open();
    waiter.synchronize(LIMIT).unwrap();
    assert_eq!(event.status().unwrap(), EventStatus::Complete);
}

#[test]
fn a_dropped_event_still_releases_its_waiters() {
    let (held, waiter) = (Held::new(), stream());
    for _ in 0..100 {
        let event = event();
        held.stream.record(&event).unwrap();
        waiter.wait(&event, None).unwrap();
    }
    let others: Vec<Event> = (0..200).map(|_| event()).collect();
    let quick = stream();
    others.iter().for_each(|event| quick.record(event).unwrap());
    quick.synchronize(LIMIT).unwrap();
    assert!(matches!(waiter.synchronize(Some(Duration::from_millis(5))), Err(Error::Timeout { .. })));
    held.open();
    waiter.synchronize(LIMIT).unwrap();
    assert!(others.iter().all(|event| event.status().unwrap() == EventStatus::Complete));
}

#[test]
fn both_clocks_run_forward() {
    let (stream, start, end) = (stream(), event(), event());
    let buffer = Buffer::<u8>::new(&device(), 16 << 20).unwrap();
    stream.record(&start).unwrap();
    for _ in 0..10 {
        stream.memset_async(buffer.ptr().into(), 1, 16 << 20).unwrap();
    }
    stream.record(&end).unwrap();
    end.synchronize(LIMIT).unwrap();
    for clock in [Clock::Wall, Clock::Model] {
        let ns = end.elapsed_ns(&start, clock).unwrap();
        assert!(ns > 0, "{clock:?}");
        assert_eq!(start.elapsed_ns(&end, clock).unwrap(), -ns);
        assert!((end.elapsed(&start, clock).unwrap() - ns as f32 / 1e6).abs() < 1e-3);
    }
    let untimed = Event::new(EventFlags { timing: false }).unwrap();
    stream.record(&untimed).unwrap();
    stream.synchronize(LIMIT).unwrap();
    assert!(matches!(untimed.elapsed(&start, Clock::Wall), Err(Error::InvalidValue { .. })));
}

#[test]
fn a_wait_with_a_timeout_faults_its_stream_only() {
    let (held, waiter, event) = (Held::new(), stream(), event());
    held.stream.record(&event).unwrap();
    waiter.wait(&event, Some(Duration::from_millis(20))).unwrap();
    let e = waiter.synchronize(LIMIT).unwrap_err();
    assert!(matches!(&e, Error::Fault(fault) if fault.cause == vinci::FaultCause::Timeout), "{e}");
    waiter.reset().unwrap();
    held.open();
    held.stream.synchronize(LIMIT).unwrap();
}

#[test]
fn notifies_are_raised_and_lowered() {
    let (a, b, notify) = (stream(), stream(), Notify::new(&device()).unwrap());
    for _ in 0..100 {
        b.wait_notify(&notify, None).unwrap();
        a.record_notify(&notify).unwrap();
        b.synchronize(LIMIT).unwrap();
    }
    b.wait_notify(&notify, Some(Duration::from_millis(10))).unwrap();
    assert!(matches!(b.synchronize(LIMIT), Err(Error::Fault(_))), "it was lowered");
    b.reset().unwrap();
}

#[test]
fn an_event_is_recorded_again_and_again() {
    let (stream, event) = (stream(), event());
    let kernel = nop();
    for _ in 0..3000 {
        stream.launch(&kernel, 1, &[]).unwrap();
        stream.record(&event).unwrap();
    }
    event.synchronize(LIMIT).unwrap();
    assert_eq!(stream.progress().1, 6000);
}

#[test]
fn what_a_notify_leaves_behind_is_no_record() {
    let (a, b) = (stream(), stream());
    let gate = Notify::new(&device()).unwrap();
    for _ in 0..200 {
        // A raised notify's word goes to the next event, whose first record must still be waited for.
        let raised = Notify::new(&device()).unwrap();
        b.record_notify(&raised).unwrap();
        b.synchronize(None).unwrap();
        drop(raised);
        let events: Vec<Event> = (0..4).map(|_| Event::new(EventFlags::default()).unwrap()).collect();
        a.wait_notify(&gate, None).unwrap();
        for event in &events {
            a.record(event).unwrap();
            assert!(!event.query().unwrap(), "the stream has not got there");
        }
        b.record_notify(&gate).unwrap();
        a.synchronize(None).unwrap();
    }
}

#[test]
fn a_wait_outlives_its_event_whatever_comes_after() {
    let (a, b) = (stream(), stream());
    let gate = Notify::new(&device()).unwrap();
    let event = Event::new(EventFlags::default()).unwrap();
    // The event is recorded while b is held before its wait.
    let before = Notify::new(&device()).unwrap();
    a.wait_notify(&before, None).unwrap();
    a.record(&event).unwrap();
    b.wait_notify(&gate, None).unwrap();
    b.wait(&event, None).unwrap();
    stream().record_notify(&before).unwrap();
    a.synchronize(LIMIT).unwrap();
    drop(event);
    // Words that are lowered when they are made, and events that are never recorded.
    let notifies: Vec<_> = (0..64).map(|_| Notify::new(&device()).unwrap()).collect();
    let events: Vec<_> = (0..64).map(|_| Event::new(EventFlags::default()).unwrap()).collect();
    stream().record_notify(&gate).unwrap();
    b.synchronize(LIMIT).unwrap();
    drop((notifies, events));
}
