//! Synchronous copies and fills. They wait for the memory to be written and for nothing else.

use std::time::Duration;

use super::registry::Registry;
use crate::driver::Driver;
use crate::{Addr, Device, DevicePtr, Error, Result, Rows, Stream, StreamOptions};

/// Copies `bytes` from `src` to `dst` and waits for it. It is not ordered with the work of any stream.
///
/// ```
/// # use vinci::{Addr, Buffer, Device, memory};
/// let device = Device::get(0)?;
/// let a = Buffer::from_slice(&device, &[1u32, 2, 3])?;
/// let b = Buffer::<u32>::new(&device, 3)?;
/// memory::copy(b.ptr().into(), a.ptr().into(), 12)?;
/// assert_eq!(b.to_vec()?, [1, 2, 3]);
/// # Ok::<(), vinci::Error>(())
/// ```
pub fn copy(dst: Addr, src: Addr, bytes: u64) -> Result<()> {
    let driver = Driver::get()?;
    if bytes == 0 {
        return Ok(());
    }
    if let (Addr::Host(to), Addr::Host(from)) = (dst, src) {
        check_host(driver, &[dst, src], bytes)?;
        // SAFETY: `Addr::host` vouches for both; `ptr::copy` allows overlap.
        unsafe { std::ptr::copy(from.as_ptr(), to.as_ptr(), bytes as usize) };
        return Ok(());
    }
    on_copier(driver, "copy", [src, dst], |stream| stream.copy_async(dst, src, bytes))
}

/// Copies rows and waits for it.
pub fn copy_2d(dst: Addr, dst_pitch: u64, src: Addr, src_pitch: u64, rows: Rows) -> Result<()> {
    let driver = Driver::get()?;
    on_copier(driver, "copy 2d", [src, dst], |stream| {
        stream.copy_2d_async(dst, dst_pitch, src, src_pitch, rows)
    })
}

/// Stores `value` into `bytes` bytes and waits for it.
pub fn memset(dst: Addr, value: u8, bytes: u64) -> Result<()> {
    let driver = Driver::get()?;
    if let (Addr::Host(to), true) = (dst, bytes > 0) {
        check_host(driver, &[dst], bytes)?;
        // SAFETY: `Addr::host` vouches for the memory.
        unsafe { to.as_ptr().write_bytes(value, bytes as usize) };
        return Ok(());
    }
    on_copier(driver, "memset", [dst, dst], |stream| stream.memset_async(dst, value, bytes))
}

/// Stores `value` into rows and waits for it.
pub fn memset_2d(dst: DevicePtr, pitch: u64, value: u8, rows: Rows) -> Result<()> {
    let driver = Driver::get()?;
    let ends = [dst.into(), dst.into()];
    on_copier(driver, "memset 2d", ends, |stream| stream.memset_2d_async(dst, pitch, value, rows))
}

fn check_host(driver: &'static Driver, ends: &[Addr], bytes: u64) -> Result<()> {
    for end in ends {
        if let Addr::Host(ptr) = end {
            if ptr.as_ptr().is_null() {
                return Err(Error::value("copy", "the host address is null"));
            }
            driver.host_va("copy", ptr.as_ptr() as usize, bytes)?;
        }
    }
    Ok(())
}

/// The die that device memory lies on.
fn die_of(registry: &Registry, driver: &'static Driver, end: Addr) -> Option<Device> {
    match end {
        Addr::Device(ptr) => registry.find(driver, ptr.0)?.device,
        Addr::Host(_) => None,
    }
}

/// How much later than a launch a copy still waits for the kernel.
const HEAD_START: Duration = Duration::from_millis(50);

/// Gives the kernel that was launched last time to end, within [`HEAD_START`]. On the chip a short kernel has ended
/// long before a copy that is asked for after it, and programs have come to count on it; here its first access to a
/// piece of memory takes as long as many copies. A kernel that takes longer keeps no copy waiting.
fn let_kernel_end(device: &Device) {
    let last = device.die().launched.lock().take();
    if let Some((place, at)) = last {
        while !place.is_past() && at.elapsed() < HEAD_START {
            std::thread::sleep(Duration::from_micros(20));
        }
    }
}

/// Runs `work` on a stream that nobody else has, of the first die that `ends` name, and waits for it.
fn on_copier(
    driver: &'static Driver,
    op: &'static str,
    ends: [Addr; 2],
    work: impl FnOnce(&Stream) -> Result<()>,
) -> Result<()> {
    let [a, b] = ends.map(|end| die_of(&driver.registry, driver, end));
    let device = a.or(b).unwrap_or(Device::of(&driver.dies[0]));
    let_kernel_end(&device);
    let idle = device.die().copiers.lock().pop();
    let stream = match idle {
        Some(stream) => stream,
        None => Stream::new(&device, StreamOptions::default())?,
    };
    let result = work(&stream);
    let waited = stream.wait_for(op);
    if waited.is_ok() {
        device.die().copiers.lock().push(stream);
    } else {
        // The device stopped it: the next copy gets a new one.
        let _ = stream.destroy(true);
    }
    result.and(waited)
}
