//! Memory by hand: stream-ordered pools, and address ranges that grow in place.

use vinci::{
    Access, Device, DevicePtr, PhysicalMemory, Pool, Result, Stream, StreamOptions, VirtualRange, memory,
};

fn main() -> Result<()> {
    let device = Device::get(0)?;
    let stream = Stream::new(&device, StreamOptions::default())?;

    let pool = Pool::new(&device)?;
    for step in 0..1000 {
        let scratch = pool.alloc_async(1 << 20, &stream)?;
        stream.memset_async(scratch.into(), step as u8, 1 << 20)?;
        pool.free_async(scratch, &stream)?;
    }
    stream.synchronize(None)?;
    println!("1000 pieces of 1 MiB out of {} MiB", pool.usage().reserved_high >> 20);

    let page = PhysicalMemory::granularity(&device)?;
    let range = VirtualRange::reserve(64 * page, 0, DevicePtr::NULL)?;
    for n in 0..4 {
        range.map(n * page, page, &PhysicalMemory::create(&device, page)?, 0, Access::ReadWrite)?;
        memory::memset(range.base().into(), n as u8, (n + 1) * page)?;
    }
    println!("a range of {} MiB with {} MiB behind it", range.size() >> 20, (4 * page) >> 20);
    Ok(())
}
