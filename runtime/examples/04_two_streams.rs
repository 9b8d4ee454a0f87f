//! Order between streams: an event, a notify, and a host function in between.

use vinci::{Buffer, Device, Event, EventFlags, Notify, Result, Stream, StreamOptions};

fn main() -> Result<()> {
    let device = Device::get(0)?;
    let producer = Stream::new(&device, StreamOptions::default())?;
    let consumer = Stream::new(&device, StreamOptions { priority: 7, ..StreamOptions::default() })?;
    let (a, b) = (Buffer::<u8>::new(&device, 4096)?, Buffer::<u8>::new(&device, 4096)?);

    let (ready, taken) = (Event::new(EventFlags::default())?, Notify::new(&device)?);
    producer.memset_async(a.ptr().into(), 1, a.bytes())?;
    producer.callback(|| println!("the first part is there"))?;
    producer.record(&ready)?;

    consumer.wait(&ready, None)?;
    consumer.copy_async(b.ptr().into(), a.ptr().into(), a.bytes())?;
    consumer.record_notify(&taken)?;

    producer.wait_notify(&taken, None)?;
    producer.memset_async(a.ptr().into(), 2, a.bytes())?;

    consumer.synchronize(None)?;
    producer.synchronize(None)?;
    println!("consumer has {}, producer went on to {}", b.to_vec()?[0], a.to_vec()?[0]);
    Ok(())
}
