//! How fast a stream takes work: launches per second, the time of launch + synchronise, and what memory costs.
//! `cargo run --release -p vinci --example launch_rate`

use std::time::{Duration, Instant};

use vinci::{Addr, Device, Kernel, Policy, Result, Stream, StreamOptions, memory};

const COPY: usize = 64 << 20;

/// The median of `n` measurements in ns.
fn median(n: usize, mut measure: impl FnMut() -> Result<Duration>) -> Result<f64> {
    let mut times = (0..n).map(|_| measure()).collect::<Result<Vec<_>>>()?;
    times.sort();
    Ok(times[n / 2].as_nanos() as f64)
}

fn main() -> Result<()> {
    let device = Device::get(0)?;
    let stream = Stream::new(&device, StreamOptions::default())?;
    let nop = Kernel::resident("nop")?;

    let launches = 2_000_000u32;
    for round in 0..4 {
        let start = Instant::now();
        for _ in 0..launches {
            stream.launch(&nop, 1, &[])?;
        }
        let submitted = start.elapsed();
        stream.synchronize(None)?;
        let rate = |t: Duration| f64::from(launches) / t.as_secs_f64() / 1e6;
        println!(
            "launch {round}: {:.2} M/s submitted, {:.2} M/s done",
            rate(submitted),
            rate(start.elapsed())
        );
    }

    let sync = median(10_000, || {
        let start = Instant::now();
        stream.launch(&nop, 1, &[])?;
        stream.synchronize(None)?;
        Ok(start.elapsed())
    })?;
    println!("launch + synchronize: {sync:.0} ns");

    let malloc = median(200, || {
        let start = Instant::now();
        for _ in 0..100 {
            Device::free(device.malloc(1 << 20, Policy::default())?)?;
        }
        Ok(start.elapsed() / 100)
    })?;
    println!("malloc + free of 1 MiB: {malloc:.0} ns");

    let (mut a, mut b) = (vec![1u8; COPY], vec![2u8; COPY]);
    let ptr = device.malloc(COPY as u64, Policy::default())?;
    // SAFETY: both vectors outlive the copies, which are synchronous.
    let (from, to) = unsafe { (Addr::host(a.as_mut_ptr()), Addr::host(b.as_mut_ptr())) };
    let gbps = |ns: f64| COPY as f64 / ns;
    let h2d = median(20, || timed(|| memory::copy(ptr.into(), from, COPY as u64)))?;
    let d2h = median(20, || timed(|| memory::copy(to, ptr.into(), COPY as u64)))?;
    let plain = median(20, || {
        timed(|| {
            b.copy_from_slice(&a);
            Ok(())
        })
    })?;
    println!(
        "copy of 64 MiB: to the device {:.2} GB/s, back {:.2} GB/s, memcpy {:.2} GB/s",
        gbps(h2d),
        gbps(d2h),
        gbps(plain)
    );
    Device::free(ptr)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}
