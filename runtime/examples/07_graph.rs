//! A graph: two streams recorded once and replayed, and what a task costs the host in each way.
//! `cargo run --release -p vinci --example 07_graph`

use std::time::Instant;

use vinci::{Buffer, Device, Event, EventFlags, Kernel, Result, Stream, StreamOptions};
use vinci_hw::args::{ArgsBuilder, DType, TensorArg};

const LAUNCHES: u32 = 400;
const ROUNDS: u32 = 2000;

/// Host time per launch in ns, the median; the device is waited for outside of the measurement.
fn cost(stream: &Stream, mut submit: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        submit()?;
        times.push(start.elapsed().as_nanos() as f64 / f64::from(LAUNCHES));
        stream.synchronize(None)?;
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

fn main() -> Result<()> {
    let device = Device::get(0)?;
    let [a, b] = [0, 1].map(|_| Stream::new(&device, StreamOptions::default()));
    let (a, b) = (a?, b?);
    let [fork, join] = [0, 1].map(|_| Event::new(EventFlags::default()));
    let (fork, join) = (fork?, join?);
    let (x, y) = (Buffer::<u8>::new(&device, 4096)?, Buffer::<u8>::new(&device, 4096)?);

    // What is submitted to `a` from here on is recorded; `b` joins as it waits for an event of `a`.
    a.begin_capture()?;
    a.record(&fork)?;
    b.wait(&fork, None)?;
    a.memset_async(x.ptr().into(), 1, 4096)?;
    b.memset_async(y.ptr().into(), 2, 4096)?;
    b.record(&join)?;
    a.wait(&join, None)?;
    let graph = a.end_capture()?;
    for _ in 0..3 {
        graph.replay(&a)?;
    }
    a.synchronize(None)?;
    println!("{:?}: {} and {}", graph.lanes(), x.to_vec()?[0], y.to_vec()?[0]);

    // The arguments of a launch of libopapi.so: three tensors and three numbers.
    let nop = Kernel::resident("nop")?;
    let mut args: ArgsBuilder = ArgsBuilder::new();
    let tensor = TensorArg::new(x.ptr().0, DType::U8, &[64, 64], &[64, 1]).expect("a shape that can be");
    for _ in 0..3 {
        args.tensor(&tensor).expect("room for three tensors");
    }
    for _ in 0..3 {
        args.attr_i64(1).expect("and for three numbers");
    }
    let args = args.finish();
    let launch_all = || (0..LAUNCHES).try_for_each(|_| a.launch(&nop, 1, args));
    let launched = cost(&a, launch_all)?;
    a.begin_capture()?;
    launch_all()?;
    let graph = a.end_capture()?;
    let replayed = cost(&a, || graph.replay(&a))?;
    println!(
        "{launched:.1} ns per launch, {replayed:.1} ns per replayed launch: 1 : {:.1}",
        launched / replayed
    );
    Ok(())
}
