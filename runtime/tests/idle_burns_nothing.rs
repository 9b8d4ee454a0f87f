//! A device that has nothing to do, and a stream that waits for something, leave the processor alone.

use std::time::Duration;

use vinci::{Device, Event, EventFlags, Kernel, Result, Stream, StreamOptions};

/// Processor time of this process.
fn spent() -> Duration {
    // SAFETY: the structure is plain data that the call fills.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &mut usage), 0);
        usage
    };
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

#[test]
fn an_idle_device_sleeps() -> Result<()> {
    let nop = Kernel::resident("nop")?;
    for device in 0..Device::count()? {
        let stream = Stream::new(&Device::get(device)?, StreamOptions::default())?;
        stream.launch(&nop, 1, &[])?;
        stream.synchronize(None)?;
    }
    let (first, second) = (Device::get(0)?, Device::get(1)?);
    let (a, b) =
        (Stream::new(&first, StreamOptions::default())?, Stream::new(&second, StreamOptions::default())?);
    let event = Event::new(EventFlags::default())?;
    a.record(&event)?;
    a.synchronize(None)?;
    std::thread::sleep(Duration::from_millis(20));
    let before = spent();
    std::thread::sleep(Duration::from_millis(500));
    let burnt = spent() - before;
    assert!(burnt < Duration::from_millis(25), "{burnt:?} of 500 ms");
    b.wait(&event, None)?;
    b.launch(&nop, 1, &[])?;
    b.synchronize(Some(Duration::from_secs(10)))
}
