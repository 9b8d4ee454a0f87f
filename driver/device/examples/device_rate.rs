//! How fast the device takes empty kernels: entries per second, and the time from submission to completion.

#[path = "../tests/common/mod.rs"]
#[allow(dead_code)]
mod common;

use std::time::{Duration, Instant};

use common::Rig;
use vinci_hw::sqe;

fn main() {
    let mut rig = Rig::new("910c");
    rig.vm(1);
    let mut q = rig.queue(1, 1, 0);
    let nop = sqe::kernel(vinci_kernels::lookup("nop").expect("nop is a resident kernel").0, 1, 0, 0, 0);
    let (start, mut n) = (Instant::now(), 0u64);
    while start.elapsed() < Duration::from_secs(2) {
        for _ in 0..10_000 {
            q.submit(nop);
        }
        n += 10_000;
    }
    q.wait();
    println!("launch rate    {:8.2} M/s", n as f64 / start.elapsed().as_secs_f64() / 1e6);
    let mut times: Vec<_> = (0..100_000)
        .map(|_| {
            let t = Instant::now();
            q.submit(nop);
            q.wait();
            t.elapsed()
        })
        .collect();
    times.sort();
    println!(
        "launch to fence {:7.0?} median, {:.0?} 99th percentile",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
}
