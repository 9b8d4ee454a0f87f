//! When a kernel goes wrong: the fault is the stream's, with a record, and the stream recovers.

use vinci::{Device, Error, Kernel, Result, Stream, StreamOptions};
use vinci_hw::args::{ArgsBuilder, DType, TensorArg};

fn main() -> Result<()> {
    let device = Device::get(0)?;
    let (bad, good) =
        (Stream::new(&device, StreamOptions::default())?, Stream::new(&device, StreamOptions::default())?);
    let (fill, nop) = (Kernel::resident("fill")?, Kernel::resident("nop")?);

    let mut args: ArgsBuilder = ArgsBuilder::new();
    let nowhere = TensorArg::new(0xdead_0000, DType::F32, &[16], &[1]).expect("a small tensor");
    args.tensor(&nowhere).and_then(|args| args.attr_f64(0.0)?.attr_i64(0)).expect("room for three words");
    bad.launch(&fill, 1, args.finish())?;

    match bad.synchronize(None) {
        Err(Error::Fault(fault)) => println!("{fault}"),
        other => println!("unexpected: {other:?}"),
    }
    good.launch(&nop, 1, &[])?;
    good.synchronize(None)?;
    println!("the other stream did not notice");

    bad.reset()?;
    bad.launch(&nop, 1, &[])?;
    bad.synchronize(None)?;
    println!("and the first one runs again");
    Ok(())
}
