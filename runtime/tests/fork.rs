//! A child of the process that opened the device.

use std::time::Duration;

use vinci::{Buffer, Device, Error, Event, HostBuffer, Kernel, Policy, Pool, Stream, StreamOptions, memory};

/// Runs `body` in a child; true if it answered true in time.
fn in_child(body: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child only runs `body`, which takes no lock of the runtime, and leaves by _exit.
    match unsafe { libc::fork() } {
        0 => {
            let ok = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(false);
            // SAFETY: ends the child without running the parent's destructors.
            unsafe { libc::_exit(if ok { 0 } else { 1 }) }
        }
        child => {
            let mut status = 0;
            for _ in 0..1000 {
                // SAFETY: waits for the child made above.
                if unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } == child {
                    return status == 0;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            // SAFETY: ends and reaps the same child.
            unsafe {
                libc::kill(child, libc::SIGKILL);
                libc::waitpid(child, &mut status, 0);
            }
            false
        }
    }
}

#[test]
fn a_child_is_told_and_the_parent_goes_on() {
    // Before the device is open a fork is nobody's business.
    assert!(in_child(|| true));

    let device = Device::get(0).unwrap();
    let stream = Stream::new(&device, StreamOptions::default()).unwrap();
    let nop = Kernel::resident("nop").unwrap();
    let mut buffer = Buffer::from_slice(&device, &[1u32; 1000]).unwrap();
    let event = Event::new(Default::default()).unwrap();
    stream.launch(&nop, 1, &[]).unwrap();
    stream.synchronize(None).unwrap();

    let host = HostBuffer::new(4096).unwrap();
    let pool = Pool::new(&device).unwrap();
    let ptr = device.malloc(4096, Policy::default()).unwrap();
    assert!(in_child(|| {
        let answers = [
            Device::count().err(),
            device.malloc(1, Policy::default()).err(),
            Device::free(ptr).err(),
            stream.launch(&nop, 1, &[]).err(),
            stream.synchronize(None).err(),
            stream.query().err(),
            stream.destroy(true).err(),
            stream.callback(|| {}).err(),
            stream.record(&event).err(),
            event.query().err(),
            event.synchronize(None).err(),
            buffer.to_vec().err(),
            memory::copy(ptr.into(), ptr.into(), 8).err(),
            pool.alloc_async(8, &stream).err(),
            Kernel::resident("nop").err(),
            HostBuffer::new(1).err(),
        ];
        let told = answers.iter().all(|answer| *answer == Some(Error::Forked));
        if !told {
            eprintln!("{answers:?}");
        }
        let gone = memory::lookup(ptr).is_none();
        drop((host, pool, event));
        told && gone
    }));

    buffer.upload(&[2; 1000]).unwrap();
    assert_eq!(buffer.to_vec().unwrap(), [2; 1000]);
    stream.launch(&nop, 1, &[]).unwrap();
    stream.synchronize(None).unwrap();
    Device::free(ptr).unwrap();
}
