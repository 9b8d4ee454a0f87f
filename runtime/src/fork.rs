//! A device belongs to the process that opened it: in a forked child every call answers [`Error::Forked`].
//!
//! Locks may be held for ever there, so the check comes before anything else, in destructors too.

use crate::{Error, Result};

/// True in a child of the process that opened the driver.
#[inline]
pub fn is_child() -> bool {
    vinci_driver::is_forked_child()
}

/// [`Error::Forked`] in such a child.
#[inline]
pub(crate) fn check() -> Result<()> {
    if is_child() { Err(Error::Forked) } else { Ok(()) }
}
