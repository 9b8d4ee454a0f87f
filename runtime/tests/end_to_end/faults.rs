use std::time::Duration;

use vinci::{Buffer, Error, Fault, FaultCause, Kernel};

use crate::{device, fill_args, nop, stream};

const LIMIT: Option<Duration> = Some(Duration::from_secs(10));

fn fault_of(e: Error) -> Fault {
    match e {
        Error::Fault(fault) => *fault,
        other => panic!("{other}"),
    }
}

#[test]
fn a_wild_address_stops_its_stream_only() {
    let (bad, good) = (stream(), stream());
    let buffer = Buffer::<u8>::new(&device(), 100).unwrap();
    let fill = Kernel::resident("fill").unwrap();
    bad.launch(&fill, 1, &fill_args(0x10_0000, 64, 1)).unwrap();
    let fault = fault_of(bad.synchronize(LIMIT).unwrap_err());
    assert_eq!((fault.cause, fault.stream, fault.task, fault.die), (FaultCause::Address, bad.id(), 1, 0));
    assert_eq!(fault.address, 0x10_0000);
    assert_eq!(fault.kernel, fill.id());
    assert!(fault.to_string().contains("0x100000"), "{fault}");

    assert_eq!(bad.error().map(|f| f.task), Some(1));
    assert_eq!(fault_of(bad.launch(&nop(), 1, &[]).unwrap_err()), fault, "later work gets the fault");
    assert!(bad.query().is_err());
    assert!(good.error().is_none());
    good.memset_async(buffer.ptr().into(), 1, 100).unwrap();
    good.synchronize(LIMIT).unwrap();

    bad.reset().unwrap();
    assert!(bad.error().is_none());
    bad.launch(&fill, 1, &fill_args(buffer.ptr().0, 100, 2)).unwrap();
    bad.synchronize(LIMIT).unwrap();
    assert_eq!(buffer.to_vec().unwrap(), [2; 100]);
}

#[test]
fn bad_arguments_are_a_fault() {
    let stream = stream();
    stream.launch(&Kernel::resident("fill").unwrap(), 1, &[1; 64]).unwrap();
    let fault = fault_of(stream.synchronize(LIMIT).unwrap_err());
    assert!(matches!(fault.cause, FaultCause::Kernel | FaultCause::Exception), "{fault}");
    stream.destroy(false).unwrap();
}

#[test]
fn a_faulted_stream_can_be_dropped() {
    let stream = stream();
    stream.launch(&Kernel::resident("fill").unwrap(), 1, &fill_args(0x10_0000, 8, 1)).unwrap();
    let _ = stream.synchronize(LIMIT);
    let start = std::time::Instant::now();
    drop(stream);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_event_of_a_faulted_stream_says_so() {
    let stream = stream();
    let event = vinci::Event::new(Default::default()).unwrap();
    stream.launch(&Kernel::resident("fill").unwrap(), 1, &fill_args(0x10_0000, 8, 1)).unwrap();
    stream.record(&event).unwrap();
    assert!(matches!(event.synchronize(LIMIT), Err(Error::Fault(_))));
    assert!(matches!(event.query(), Err(Error::Fault(_))));
    stream.reset().unwrap();
    event.synchronize(LIMIT).unwrap();
}
