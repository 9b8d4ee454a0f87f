//! Memory that a node mapped.

use std::any::Any;
use std::ptr::NonNull;

/// `len` bytes at `ptr`, shared with the device. Gone when dropped.
pub struct Mapping {
    ptr: NonNull<u8>,
    len: usize,
    /// What keeps the memory there.
    _owner: Box<dyn Any + Send + Sync>,
}

// SAFETY: a mapping is an address and its owner; what is done through the address is up to who does it.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl std::fmt::Debug for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mapping({} bytes at {:p})", self.len, self.ptr)
    }
}

impl Mapping {
    /// `owner` keeps `len` bytes at `ptr` mapped.
    pub(crate) fn new(ptr: NonNull<u8>, len: usize, owner: impl Any + Send + Sync) -> Self {
        Self { ptr, len, _owner: Box::new(owner) }
    }

    /// First byte.
    pub fn ptr(&self) -> NonNull<u8> {
        self.ptr
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes; never true.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
