//! Typed device memory that frees itself.

use std::marker::PhantomData;

use bytemuck::Pod;

use crate::{Device, DevicePtr, Error, Result};

/// `len` values of `T` in a die's memory.
#[derive(Debug)]
pub struct Buffer<T: Pod> {
    ptr: DevicePtr,
    len: usize,
    device: Device,
    _type: PhantomData<T>,
}

impl<T: Pod> Buffer<T> {
    /// Room for `len` values; their content is not defined.
    pub fn new(_device: &Device, _len: usize) -> Result<Buffer<T>> {
        Err(Error::NotSupported("Buffer::new"))
    }

    /// A copy of `data`.
    pub fn from_slice(device: &Device, data: &[T]) -> Result<Buffer<T>> {
        let mut buffer = Self::new(device, data.len())?;
        buffer.upload(data)?;
        Ok(buffer)
    }

    /// Copies `data` in, from the first value on.
    pub fn upload(&mut self, _data: &[T]) -> Result<()> {
        Err(Error::NotSupported("Buffer::upload"))
    }

    /// Copies the first values out.
    pub fn download(&self, _data: &mut [T]) -> Result<()> {
        Err(Error::NotSupported("Buffer::download"))
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
