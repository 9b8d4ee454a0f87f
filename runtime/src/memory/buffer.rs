//! Typed device memory that frees itself.

use std::marker::PhantomData;

use bytemuck::Pod;

use super::copy::copy;
use crate::driver::Driver;
use crate::{Addr, AllocationKind, Device, DevicePtr, Error, Policy, Result, fork};

/// `len` values of `T` in a die's memory.
///
/// ```
/// # use vinci::{Buffer, Device};
/// let mut buffer = Buffer::from_slice(&Device::get(0)?, &[1.0f32, 2.0, 3.0])?;
/// buffer.upload(&[9.0])?;
/// assert_eq!(buffer.to_vec()?, [9.0, 2.0, 3.0]);
/// # Ok::<(), vinci::Error>(())
/// ```
#[derive(Debug)]
pub struct Buffer<T: Pod> {
    ptr: DevicePtr,
    len: usize,
    device: Device,
    _type: PhantomData<T>,
}

impl<T: Pod> Buffer<T> {
    /// Room for `len` values; their content is not defined.
    pub fn new(device: &Device, len: usize) -> Result<Buffer<T>> {
        let driver = Driver::get()?;
        let bytes = (len as u64).checked_mul(size_of::<T>() as u64).ok_or_else(|| {
            Error::value("allocate buffer", format!("{len} values of {} bytes", size_of::<T>()))
        })?;
        let ptr = match bytes {
            0 => DevicePtr::NULL,
            _ => driver.malloc(device.ordinal(), bytes, Policy::default(), AllocationKind::Buffer)?,
        };
        Ok(Buffer { ptr, len, device: *device, _type: PhantomData })
    }

    /// A copy of `data`.
    pub fn from_slice(device: &Device, data: &[T]) -> Result<Buffer<T>> {
        let mut buffer = Self::new(device, data.len())?;
        buffer.upload(data)?;
        Ok(buffer)
    }

    /// Copies `data` in, from the first value on.
    pub fn upload(&mut self, data: &[T]) -> Result<()> {
        // SAFETY: the slice is valid for the whole call, which returns when the copy is done, and a source
        // is only read.
        let src = unsafe { Addr::host(data.as_ptr().cast_mut().cast()) };
        self.check("upload", data.len())?;
        copy(self.ptr.into(), src, size_of_val(data) as u64)
    }

    /// Copies the first values out.
    pub fn download(&self, data: &mut [T]) -> Result<()> {
        // SAFETY: the slice is borrowed exclusively for the whole call, which returns when the copy is done;
        // every bit pattern is a T.
        let dst = unsafe { Addr::host(data.as_mut_ptr().cast()) };
        self.check("download", data.len())?;
        copy(dst, self.ptr.into(), size_of_val(data) as u64)
    }

    fn check(&self, op: &'static str, len: usize) -> Result<()> {
        if len > self.len {
            return Err(Error::value(op, format!("{len} values do not fit a buffer of {}", self.len)));
        }
        Ok(())
    }

    /// All values, copied out.
    pub fn to_vec(&self) -> Result<Vec<T>> {
        let mut data = vec![T::zeroed(); self.len];
        self.download(&mut data)?;
        Ok(data)
    }

    /// Device address of the first value.
    pub fn ptr(&self) -> DevicePtr {
        self.ptr
    }

    /// How many values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its bytes.
    pub fn bytes(&self) -> u64 {
        (self.len * size_of::<T>()) as u64
    }

    /// The die whose memory it is.
    pub fn device(&self) -> Device {
        self.device
    }
}

impl<T: Pod> Drop for Buffer<T> {
    fn drop(&mut self) {
        if self.ptr.is_null() || fork::is_child() {
            return;
        }
        let freed = Driver::get().and_then(|driver| driver.free(self.ptr, AllocationKind::Buffer));
        if let Err(e) = freed {
            log::error!("buffer at {}: {e}", self.ptr);
        }
    }
}
