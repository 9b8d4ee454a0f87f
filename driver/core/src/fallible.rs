//! Growing a vector without dying when memory is short; the kernel's vectors have only this kind.

use alloc::vec::Vec;

use crate::errno::{Errno, Result};

/// Fallible growth.
pub trait TryPush<T> {
    /// Appends, or fails and leaves the vector as it was.
    fn try_push(&mut self, value: T) -> Result<()>;
}

impl<T> TryPush<T> for Vec<T> {
    fn try_push(&mut self, value: T) -> Result<()> {
        self.try_reserve(1).map_err(|_| Errno::NoMem)?;
        self.push(value);
        Ok(())
    }
}

/// `n` copies of `value`.
pub fn try_vec<T: Clone>(n: usize, value: T) -> Result<Vec<T>> {
    let mut v = Vec::new();
    v.try_reserve_exact(n).map_err(|_| Errno::NoMem)?;
    v.resize(n, value);
    Ok(v)
}
