use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use vinci::{Blocking, Buffer, Error, Reporter};

use crate::{device, nop, stream};

const LIMIT: Option<Duration> = Some(Duration::from_secs(10));

#[test]
fn callbacks_run_in_order_and_hold_the_stream() {
    let stream = stream();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let buffer = Buffer::from_slice(&device(), &[0u8]).unwrap();
    for n in 0..100 {
        stream.memset_async(buffer.ptr().into(), n, 1).unwrap();
        let (seen, ptr) = (seen.clone(), buffer.ptr());
        stream
            .callback(move || {
                let mut byte = [0u8];
                vinci::memory::copy(crate::host_mut(&mut byte), ptr.into(), 1).unwrap();
                seen.lock().unwrap().push(byte[0]);
            })
            .unwrap();
    }
    stream.synchronize(LIMIT).unwrap();
    assert!(seen.lock().unwrap().iter().copied().eq(0..100));
}

#[test]
fn a_panic_does_not_hold_the_stream() {
    let stream = stream();
    let ran = Arc::new(AtomicBool::new(false));
    stream.callback(|| panic!("on purpose")).unwrap();
    let flag = ran.clone();
    stream.callback(move || flag.store(true, Ordering::Release)).unwrap();
    stream.synchronize(LIMIT).unwrap();
    assert!(ran.load(Ordering::Acquire));
}

#[test]
fn a_reporter_runs_them_on_the_programs_thread() {
    let (stream, reporter) = (stream(), Reporter::new());
    assert!(matches!(reporter.process(Some(Duration::from_millis(5))), Err(Error::Timeout { .. })));
    let me = std::thread::current().id();
    let (send, receive) = mpsc::channel();
    stream
        .callback_on(&reporter, Blocking::Block, move || send.send(std::thread::current().id()).unwrap())
        .unwrap();
    assert!(matches!(stream.synchronize(Some(Duration::from_millis(20))), Err(Error::Timeout { .. })));
    reporter.process(LIMIT).unwrap();
    assert_eq!(receive.recv().unwrap(), me);
    stream.synchronize(LIMIT).unwrap();
}

#[test]
fn without_blocking_the_stream_goes_on() {
    let (stream, reporter) = (stream(), Reporter::new());
    let count = Arc::new(AtomicU32::new(0));
    for _ in 0..10 {
        let count = count.clone();
        stream
            .callback_on(&reporter, Blocking::NoBlock, move || {
                count.fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
        stream.launch(&nop(), 1, &[]).unwrap();
    }
    stream.synchronize(LIMIT).unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 0);
    (0..10).for_each(|_| reporter.process(LIMIT).unwrap());
    assert_eq!(count.load(Ordering::Relaxed), 10);
}

#[test]
fn a_dropped_reporter_releases_the_stream() {
    let (stream, reporter) = (stream(), Reporter::new());
    stream.callback_on(&reporter, Blocking::Block, || unreachable!("nobody processes")).unwrap();
    assert!(stream.synchronize(Some(Duration::from_millis(20))).is_err());
    drop(reporter);
    stream.synchronize(LIMIT).unwrap();
}

#[test]
fn aborted_callbacks_are_dropped() {
    let stream = stream();
    let gate = Buffer::from_slice(&device(), &[0u64]).unwrap();
    let witness = Arc::new(());
    stream.wait_value(gate.ptr(), 1, vinci::Compare::Eq).unwrap();
    let held = witness.clone();
    stream.callback(move || unreachable!("{held:?}")).unwrap();
    assert_eq!(Arc::strong_count(&witness), 2);
    stream.abort().unwrap();
    stream.synchronize(LIMIT).unwrap();
    assert_eq!(Arc::strong_count(&witness), 1);
}

#[test]
fn the_last_handle_of_a_stream_may_go_in_its_callback() {
    let stream = stream();
    let (send, receive) = mpsc::channel();
    let last = stream.clone();
    stream
        .callback(move || {
            drop(last);
            send.send(()).unwrap();
        })
        .unwrap();
    drop(stream);
    // Forced or done: either way the channel's end goes in time.
    let _ = receive
        .recv_timeout(Duration::from_secs(10))
        .map_err(|e| assert_eq!(e, mpsc::RecvTimeoutError::Disconnected));
}
