//! Data there and back: typed buffers for the simple case, pinned memory and a stream for the fast one.

use vinci::{Addr, Buffer, Device, HostBuffer, Result, Stream, StreamOptions};

fn main() -> Result<()> {
    let device = Device::get(0)?;

    let squares: Vec<u32> = (0..1000).map(|n| n * n).collect();
    let buffer = Buffer::from_slice(&device, &squares)?;
    assert_eq!(buffer.to_vec()?, squares);

    let stream = Stream::new(&device, StreamOptions::default())?;
    let mut pinned = HostBuffer::new(buffer.bytes() as usize)?;
    // SAFETY: `pinned` is not touched before the stream is synchronised.
    let to = unsafe { Addr::host(pinned.as_mut_ptr()) };
    stream.copy_async(to, buffer.ptr().into(), buffer.bytes())?;
    println!("the copy runs beside this line");
    stream.synchronize(None)?;
    let last = u32::from_le_bytes(pinned[3996..].try_into().expect("four bytes"));
    println!("the last of them is {last}");
    pinned.fill(0);
    Ok(())
}
