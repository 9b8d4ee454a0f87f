//! Access from one die to the memory of another.

use crate::{Device, Error, Result};

impl Device {
    /// Whether work on this die could reach memory of `other`.
    pub fn can_access_peer(&self, _other: &Device) -> Result<bool> {
        Err(Error::NotSupported("Device::can_access_peer"))
    }

    /// Lets work on this die reach memory of `other` (one direction).
    pub fn enable_peer(&self, _other: &Device) -> Result<()> {
        Err(Error::NotSupported("Device::enable_peer"))
    }

    /// Takes the leave back.
    pub fn disable_peer(&self, _other: &Device) -> Result<()> {
        Err(Error::NotSupported("Device::disable_peer"))
    }

    /// Whether [`Device::enable_peer`] is in force towards `other`.
    pub fn peer_enabled(&self, _other: &Device) -> bool {
        false
    }
}
