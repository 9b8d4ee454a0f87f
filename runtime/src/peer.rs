//! Access from one die to the memory of another.

use std::sync::atomic::Ordering;

use crate::device::Die;
use crate::driver::Driver;
use crate::{Device, Error, Result};

impl Die {
    /// Whether work on this die may name memory of die `other`.
    pub(crate) fn reaches(&self, other: u32) -> bool {
        other == self.ordinal || self.peers.load(Ordering::Acquire) & (1 << other) != 0
    }
}

impl Device {
    /// Whether work on this die could reach memory of `other`.
    pub fn can_access_peer(&self, other: &Device) -> Result<bool> {
        Driver::get()?;
        Ok(self.ordinal() != other.ordinal() && self.info().link_gbps > 0)
    }

    /// Lets work on this die reach memory of `other` (one direction). [`Error::PeerState`] if it may already.
    pub fn enable_peer(&self, other: &Device) -> Result<()> {
        self.set_peer(other, true)
    }

    /// Takes the leave back. [`Error::PeerState`] if there was none.
    pub fn disable_peer(&self, other: &Device) -> Result<()> {
        self.set_peer(other, false)
    }

    /// Whether [`Device::enable_peer`] is in force towards `other`.
    pub fn peer_enabled(&self, other: &Device) -> bool {
        self.ordinal() != other.ordinal() && self.die().reaches(other.ordinal())
    }

    fn set_peer(&self, other: &Device, enable: bool) -> Result<()> {
        let driver = Driver::get()?;
        let op = if enable { "enable peer" } else { "disable peer" };
        let (from, to) = (self.ordinal(), other.ordinal());
        if from == to {
            return Err(Error::value(op, format!("die {from} is not its own peer")));
        }
        if !self.can_access_peer(other)? {
            return Err(Error::value(op, format!("die {from} has no link to die {to}")));
        }
        let _guard = self.die().peer_change.lock();
        if self.die().reaches(to) == enable {
            return Err(Error::PeerState { op, from, to, state: if enable { "on" } else { "off" } });
        }
        driver.sys.vm_peer(op, driver.vm, from, to, enable)?;
        if enable {
            self.die().peers.fetch_or(1 << to, Ordering::AcqRel);
        } else {
            self.die().peers.fetch_and(!(1 << to), Ordering::AcqRel);
        }
        Ok(())
    }
}
