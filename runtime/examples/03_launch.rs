//! A kernel: resolved by name, given tensors and attributes, timed with events in both clocks.

use vinci::{Buffer, Clock, Device, Event, EventFlags, Kernel, Result, Stream, StreamOptions};
use vinci_hw::args::{ArgsBuilder, DType, TensorArg};

fn main() -> Result<()> {
    const LEN: i64 = 1 << 20;
    let device = Device::get(0)?;
    let stream = Stream::new(&device, StreamOptions::default())?;
    let buffer = Buffer::<f32>::new(&device, LEN as usize)?;

    let fill = Kernel::resident("fill")?;
    let mut args: ArgsBuilder = ArgsBuilder::new();
    let tensor = TensorArg::new(buffer.ptr().addr(), DType::F32, &[LEN], &[1]).expect("a small tensor");
    args.tensor(&tensor).and_then(|args| args.attr_f64(1.5)?.attr_i64(1)).expect("room for three words");

    let (start, end) = (Event::new(EventFlags::default())?, Event::new(EventFlags::default())?);
    stream.record(&start)?;
    stream.launch(&fill, device.info().aiv_cores, args.finish())?;
    stream.record(&end)?;
    end.synchronize(None)?;
    assert!(buffer.to_vec()?.iter().all(|&value| value == 1.5));
    println!(
        "filled {LEN} values: {:.3} ms here, {:.4} ms on the chip",
        end.elapsed(&start, Clock::Wall)?,
        end.elapsed(&start, Clock::Model)?
    );
    Ok(())
}
