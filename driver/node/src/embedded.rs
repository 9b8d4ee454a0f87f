//! The embedded home: the driver and the device in this process.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vinci_core::{DmaMemory, Driver, Errno, Mapped, Step};
use vinci_device::{Device, Profile};
use vinci_hw::regs::PAGE_SIZE;
use vinci_uapi::*;

use crate::fork;
use crate::host::{Dma, Host, Process, reserve_device_addresses};
use crate::mapping::Mapping;
use crate::node::{Node, OpenError};
use crate::user::OwnMemory;

/// Driver and device; shared by all files that the process opens on it.
struct Machine {
    driver: Mutex<Driver<Process>>,
    device: Arc<Device>,
    host: Arc<Host>,
}

/// An open file of a device in this process.
pub struct Embedded {
    machine: Arc<Machine>,
    file: u32,
}

/// Keeps a buffer object that is mapped into the process, as the pages of an mmap(2) would.
struct Held {
    machine: Arc<Machine>,
    buffer: u32,
}

impl Drop for Held {
    fn drop(&mut self) {
        if !fork::is_forked_child() {
            self.machine.driver.lock().unexport(self.buffer);
        }
    }
}

impl Embedded {
    /// A new device, of the chip that `VINCI_CHIP` names.
    pub fn from_env() -> Result<Self, OpenError> {
        Self::new(Profile::from_env()?)
    }

    /// A new device of a given chip.
    pub fn new(profile: Profile) -> Result<Self, OpenError> {
        fork::watch();
        reserve_device_addresses();
        let host = Arc::new(Host::new());
        let device = Device::open(profile, host.clone())?;
        let process = Process { device: device.clone(), host: host.clone() };
        let mut driver = Driver::new(process).map_err(OpenError::Driver)?;
        driver.set_home(DRM_VINCI_HOME_EMBEDDED, "0000:00:00.0");
        let machine = Arc::new(Machine { driver: Mutex::new(driver), device, host });
        Self::open_on(machine).map_err(OpenError::Driver)
    }

    fn open_on(machine: Arc<Machine>) -> Result<Self, Errno> {
        let name = std::fs::read("/proc/self/comm").unwrap_or_default();
        let file = machine.driver.lock().open(std::process::id(), name.trim_ascii_end())?;
        Ok(Self { machine, file })
    }

    /// Another open file of the same device; the two share nothing but the device.
    pub fn reopen(&self) -> Result<Self, Errno> {
        Self::open_on(self.machine.clone())
    }

    fn driver(&self) -> parking_lot::MutexGuard<'_, Driver<Process>> {
        let mut driver = self.machine.driver.lock();
        if self.machine.host.events_pending.swap(false, Ordering::AcqRel) {
            driver.drain_events();
        }
        driver
    }

    fn wait(&self, a: &drm_vinci_wait) -> Result<(), Errno> {
        let deadline = deadline(a.timeout_ns);
        loop {
            let bell = self.machine.host.queue_bell(a.queue_id);
            let heard = bell.heard();
            if self.driver().wait_step(self.file, a)? == Step::Ready(()) {
                return Ok(());
            }
            if !bell.wait(heard, deadline) {
                return match self.driver().wait_step(self.file, a)? {
                    Step::Ready(()) => Ok(()),
                    Step::Sleep => Err(Errno::Time),
                };
            }
        }
    }

    fn event_read(&self, a: &mut drm_vinci_event_read) -> Result<(), Errno> {
        let deadline = deadline(a.timeout_ns);
        loop {
            let bell = &self.machine.host.bells[0];
            let heard = bell.heard();
            if let Step::Ready((event, lost)) = self.driver().event_step(self.file)? {
                (a.event, a.lost) = (event, lost);
                return Ok(());
            }
            if !bell.wait(heard, deadline) {
                return Err(Errno::Time);
            }
        }
    }
}

/// `None`: never.
fn deadline(timeout_ns: i64) -> Option<Instant> {
    let ns = u64::try_from(timeout_ns).ok()?;
    Instant::now().checked_add(Duration::from_nanos(ns))
}

impl Node for Embedded {
    fn ioctl(&self, cmd: u32, payload: &mut [u8]) -> Result<(), Errno> {
        if fork::is_forked_child() {
            return Err(Errno::OwnerDead);
        }
        match cmd {
            VINCI_IOCTL_WAIT => self.wait(&drm_vinci_wait::from_bytes(payload).ok_or(Errno::Inval)?),
            VINCI_IOCTL_EVENT_READ => {
                let mut a = drm_vinci_event_read::from_bytes(payload).ok_or(Errno::Inval)?;
                self.event_read(&mut a)?;
                payload[..size_of::<drm_vinci_event_read>()].copy_from_slice(a.bytes());
                Ok(())
            }
            // Sharing between processes comes with the served home; inside one process there is nobody to
            // share with.
            IOCTL_PRIME_HANDLE_TO_FD | IOCTL_PRIME_FD_TO_HANDLE => Err(Errno::OpNotSupp),
            _ => self.driver().ioctl(self.file, cmd, payload, OwnMemory),
        }
    }

    fn mmap(&self, offset: u64, len: usize) -> Result<Mapping, Errno> {
        if fork::is_forked_child() {
            return Err(Errno::OwnerDead);
        }
        let mut driver = self.driver();
        match driver.mapped(self.file, offset, len as u64)? {
            Mapped::Dma(dma, at) => {
                // SAFETY: `mapped` checked that `at` lies inside.
                let ptr = unsafe { dma.ptr().add(at as usize) };
                Ok(Mapping::new(ptr, len, Dma::clone(dma)))
            }
            Mapped::Hbm(die, at) => {
                let hbm = self.machine.device.hbm(die).ok_or(Errno::NoEnt)?;
                let ptr = hbm.at(at, len as u64).ok_or(Errno::Inval)?;
                let buffer = driver.hold(self.file, offset)?;
                Ok(Mapping::new(ptr, len, Held { machine: self.machine.clone(), buffer }))
            }
            Mapped::Doorbell(queue) => {
                let pages = self.machine.device.doorbells();
                let ptr = pages.at(u64::from(queue) * PAGE_SIZE, len as u64).ok_or(Errno::Inval)?;
                Ok(Mapping::new(ptr, len, self.machine.clone()))
            }
        }
    }

    fn poll(&self, timeout: Option<Duration>) -> Result<bool, Errno> {
        if fork::is_forked_child() {
            return Err(Errno::OwnerDead);
        }
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        loop {
            let bell = &self.machine.host.bells[0];
            let heard = bell.heard();
            if self.driver().has_events(self.file) {
                return Ok(true);
            }
            if !bell.wait(heard, deadline) {
                return Ok(false);
            }
        }
    }

    fn describe(&self) -> String {
        let p = self.machine.device.profile();
        format!("embedded: driver and {} ({} dies) in this process", p.name, p.dies)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if !fork::is_forked_child() {
            self.driver().close(self.file);
        }
    }
}
