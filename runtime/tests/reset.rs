//! Injected errors and the reset of a die.

use std::time::Duration;

use vinci::{Buffer, Device, Error, Event, EventFlags, FaultCause, Injection, Kernel, Stream, StreamOptions};

const LIMIT: Option<Duration> = Some(Duration::from_secs(30));

#[test]
fn errors_and_resets() {
    let device = Device::get(0).unwrap();
    let nop = Kernel::resident("nop").unwrap();
    let new_stream = |device: &Device| Stream::new(device, StreamOptions::default()).unwrap();
    let mut buffer = Buffer::from_slice(&device, &[1u8; 4096]).unwrap();

    // An uncorrectable memory error.
    let stream = new_stream(&device);
    device.inject(Injection::EccDouble(buffer.ptr())).unwrap();
    stream.copy_async(buffer.ptr().offset(2048).into(), buffer.ptr().into(), 64).unwrap();
    let e = stream.synchronize(LIMIT).unwrap_err();
    assert!(matches!(&e, Error::Fault(fault) if fault.cause == FaultCause::Ecc), "{e}");
    stream.reset().unwrap();
    stream.launch(&nop, 1, &[]).unwrap();
    stream.synchronize(LIMIT).unwrap();
    assert!(device.telemetry().unwrap().ecc_double > 0);

    // A kernel that does not end.
    device.inject(Injection::Hang).unwrap();
    stream.launch_with_timeout(&nop, 1, &[], Some(Duration::from_millis(50))).unwrap();
    let e = stream.synchronize(LIMIT).unwrap_err();
    assert!(matches!(&e, Error::Fault(fault) if fault.cause == FaultCause::Timeout), "{e}");
    stream.reset().unwrap();

    // The die is reset: its streams are lost, the other die's are not, memory stays.
    let others: Vec<Stream> = (1..Device::count().unwrap())
        .map(|n| new_stream(&Device::get(n).unwrap()))
        .inspect(|other| other.launch(&nop, 1, &[]).unwrap())
        .collect();
    stream.launch(&nop, 1, &[]).unwrap();
    stream.synchronize(LIMIT).unwrap();
    device.reset().unwrap();
    let e = stream.launch(&nop, 1, &[]).and_then(|()| stream.synchronize(LIMIT)).unwrap_err();
    assert!(matches!(e, Error::DeviceLost { die: 0, .. }), "{e}");
    drop(stream);
    for other in others {
        other.launch(&nop, 1, &[]).unwrap();
        other.synchronize(LIMIT).unwrap();
    }

    // What waits for a record of a lost stream goes on: its own stream has the error.
    let (lost, waits) = (new_stream(&device), new_stream(&Device::get(1).unwrap()));
    let event = Event::new(EventFlags::default()).unwrap();
    device.inject(Injection::Hang).unwrap();
    lost.launch(&nop, 1, &[]).unwrap();
    lost.record(&event).unwrap();
    waits.wait(&event, None).unwrap();
    waits.launch(&nop, 1, &[]).unwrap();
    assert!(matches!(waits.synchronize(Some(Duration::from_millis(100))), Err(Error::Timeout { .. })));
    device.reset().unwrap();
    waits.synchronize(LIMIT).unwrap();
    let e = lost.synchronize(LIMIT).unwrap_err();
    assert!(matches!(e, Error::DeviceLost { die: 0, .. }), "{e}");

    let fresh = new_stream(&device);
    fresh.launch(&nop, 1, &[]).unwrap();
    fresh.synchronize(LIMIT).unwrap();
    buffer.upload(&[3; 4096]).unwrap();
    assert_eq!(buffer.to_vec().unwrap(), [3; 4096]);
}
