use std::time::{Duration, Instant};

use vinci::{Buffer, Compare, Device, Error, Stream, StreamOptions, memory};

use crate::{device, fill_args, host, nop, stream};

#[test]
fn work_runs_in_order() {
    let stream = stream();
    let buffer = Buffer::<u8>::new(&device(), 4096).unwrap();
    for n in 0..5000u32 {
        stream.memset_async(buffer.ptr().into(), n as u8, 4096).unwrap();
    }
    stream.synchronize(None).unwrap();
    assert!(buffer.to_vec().unwrap().iter().all(|&byte| byte == (4999 % 256) as u8));
    assert_eq!(stream.progress(), (5000, 5000));
    assert!(stream.query().unwrap());
}

#[test]
fn kernels_get_their_arguments() {
    let stream = stream();
    let fill = vinci::Kernel::resident("fill").unwrap();
    // More arguments than the argument ring holds at once.
    let buffer = Buffer::<u8>::new(&device(), 5000).unwrap();
    for n in 0..5000u64 {
        stream.launch(&fill, 1, &fill_args(buffer.ptr().0 + n, 1, (n % 251) as i64)).unwrap();
    }
    stream.synchronize(None).unwrap();
    assert!(buffer.to_vec().unwrap().iter().enumerate().all(|(n, &byte)| byte == (n % 251) as u8));
}

#[test]
fn staged_copies_keep_their_bytes() {
    let stream = stream();
    let buffer = Buffer::<u32>::new(&device(), 20_000).unwrap();
    for n in 0..20_000u32 {
        let word = n.to_le_bytes();
        stream.copy_async(buffer.ptr().offset(u64::from(n) * 4).into(), host(&word), 4).unwrap();
    }
    let large: Vec<u8> = (0..60_000u32).map(|n| n as u8).collect();
    let many = Buffer::<u8>::new(&device(), 60_000 * 40).unwrap();
    for n in 0..40 {
        stream.copy_async(many.ptr().offset(n * 60_000).into(), host(&large), 60_000).unwrap();
    }
    stream.synchronize(None).unwrap();
    assert!(buffer.to_vec().unwrap().into_iter().eq(0..20_000));
    assert!(many.to_vec().unwrap().chunks(60_000).all(|chunk| chunk == large));
}

#[test]
fn a_timeout_leaves_the_work_alone() {
    let stream = stream();
    let gate = Buffer::from_slice(&device(), &[0u64]).unwrap();
    stream.wait_value(gate.ptr(), 3, Compare::Geq).unwrap();
    let start = Instant::now();
    let e = stream.synchronize(Some(Duration::from_millis(30))).unwrap_err();
    assert!(matches!(e, Error::Timeout { .. }), "{e}");
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert!(!stream.query().unwrap());
    let other = crate::stream();
    other.write_value(gate.ptr(), 3).unwrap();
    stream.synchronize(Some(Duration::from_secs(10))).unwrap();
}

#[test]
fn values_compare_in_four_ways() {
    let (a, b) = (stream(), stream());
    let word = Buffer::from_slice(&device(), &[0u64]).unwrap();
    for (value, compare, release) in [
        (5, Compare::Geq, 6),
        (7, Compare::Eq, 7),
        (0b100, Compare::And, 0b110),
        (u64::MAX - 1, Compare::Nor, 0),
    ] {
        a.wait_value(word.ptr(), value, compare).unwrap();
        b.write_value(word.ptr(), release).unwrap();
        a.synchronize(Some(Duration::from_secs(10))).unwrap();
    }
    assert_eq!(word.to_vec().unwrap(), [0]);
    let odd = a.write_value(word.ptr().offset(4), 1).unwrap_err();
    assert!(odd.to_string().contains("not a multiple of 8"), "{odd}");
}

#[test]
fn abort_drops_what_waits_and_releases_who_waits_for_it() {
    let (stuck, waiter) = (stream(), stream());
    let gate = Buffer::from_slice(&device(), &[0u64]).unwrap();
    stuck.wait_value(gate.ptr(), 1, Compare::Eq).unwrap();
    let event = vinci::Event::new(Default::default()).unwrap();
    stuck.launch(&nop(), 1, &[]).unwrap();
    stuck.record(&event).unwrap();
    waiter.wait(&event, None).unwrap();
    assert!(waiter.synchronize(Some(Duration::from_millis(5))).is_err());
    assert!(stuck.abort().unwrap() >= 2);
    waiter.synchronize(Some(Duration::from_secs(10))).unwrap();
    event.synchronize(Some(Duration::from_secs(10))).unwrap();
    stuck.launch(&nop(), 1, &[]).unwrap();
    stuck.synchronize(Some(Duration::from_secs(10))).unwrap();
}

#[test]
fn destroyed_streams_answer_invalid_handle() {
    let stream = stream();
    let clone = stream.clone();
    stream.launch(&nop(), 1, &[]).unwrap();
    stream.destroy(false).unwrap();
    for e in [
        clone.launch(&nop(), 1, &[]).unwrap_err(),
        clone.synchronize(None).unwrap_err(),
        clone.query().unwrap_err(),
        clone.destroy(true).unwrap_err(),
        clone.abort().unwrap_err(),
    ] {
        assert!(matches!(e, Error::InvalidHandle { what: "stream", .. }), "{e}");
    }
    let never_used = crate::stream();
    never_used.destroy(true).unwrap();
    assert!(never_used.launch(&nop(), 1, &[]).is_err());
}

#[test]
fn a_stuck_stream_is_destroyed_by_force() {
    let stream = stream();
    let gate = Buffer::from_slice(&device(), &[0u64]).unwrap();
    stream.wait_value(gate.ptr(), 1, Compare::Eq).unwrap();
    stream.destroy(true).unwrap();
    memory::memset(gate.ptr().into(), 0, 8).unwrap();
}

#[test]
fn a_full_ring_waits_for_the_device() {
    let stream = stream();
    let gate = Buffer::from_slice(&device(), &[0u64]).unwrap();
    stream.wait_value(gate.ptr(), 1, Compare::Eq).unwrap();
    let opener = std::thread::spawn({
        let ptr = gate.ptr();
        move || {
            std::thread::sleep(Duration::from_millis(50));
            crate::stream().write_value(ptr, 1).unwrap();
        }
    });
    let kernel = nop();
    for _ in 0..10_000 {
        stream.launch(&kernel, 1, &[]).unwrap();
    }
    stream.synchronize(None).unwrap();
    opener.join().unwrap();
    assert_eq!(stream.progress().1, 10_001);
}

#[test]
fn options_are_checked_and_kept() {
    let options = StreamOptions { priority: 7, flags: 3 };
    let stream = Stream::new(&device(), options).unwrap();
    assert_eq!(stream.options(), options);
    assert!(Stream::new(&device(), StreamOptions { priority: 8, flags: 0 }).is_err());
    assert_ne!(stream.id(), crate::stream().id());
    let nobody = Device::get(99).unwrap_err();
    assert!(matches!(nobody, Error::NoDevice(_)), "{nobody}");
}

#[test]
fn launches_are_checked() {
    let stream = stream();
    assert!(matches!(stream.launch(&nop(), 0, &[]), Err(Error::InvalidValue { .. })));
    let e = stream.launch(&nop(), 1, &vec![0; 1 << 20]).unwrap_err();
    assert!(matches!(e, Error::InvalidValue { .. }), "{e}");
    let e = vinci::Kernel::resident("no such kernel").unwrap_err();
    assert!(e.to_string().contains("no such kernel"), "{e}");
}

#[test]
fn every_device_synchronizes() {
    for n in 0..Device::count().unwrap() {
        let device = Device::get(n).unwrap();
        let stream = Stream::new(&device, StreamOptions::default()).unwrap();
        stream.launch(&nop(), 4, &[]).unwrap();
        stream.synchronize(None).unwrap();
        assert!(device.clock().unwrap().wall_ns > 0);
        assert!(device.telemetry().unwrap().tasks > 0);
    }
}
