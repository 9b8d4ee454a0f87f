//! The embedded home: the driver and the device in this process.

use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use parking_lot::MutexGuard;
use vinci_core::{DmaMemory, Driver, Errno, Mapped, Step};
use vinci_device::Profile;
use vinci_hw::regs::PAGE_SIZE;
use vinci_uapi::*;

use crate::fork;
use crate::host::{Dma, Process};
use crate::machine::{Held, Machine, deadline, process_name};
use crate::mapping::Mapping;
use crate::node::{Node, OpenError};
use crate::user::OwnMemory;

/// An open file of a device in this process.
pub struct Embedded {
    machine: Arc<Machine>,
    file: u32,
}

impl Embedded {
    /// A new device, of the chip that `VINCI_CHIP` names.
    pub fn from_env() -> Result<Self, OpenError> {
        Self::new(Profile::from_env()?)
    }

    /// A new device of a given chip.
    pub fn new(profile: Profile) -> Result<Self, OpenError> {
        Self::open_on(Machine::new(profile, DRM_VINCI_HOME_EMBEDDED)?).map_err(OpenError::Driver)
    }

    fn open_on(machine: Arc<Machine>) -> Result<Self, Errno> {
        let pid = std::process::id();
        let file = machine.driver.lock().open(pid, &process_name(pid))?;
        Ok(Self { machine, file })
    }

    /// Another open file of the same device; the two share nothing but the device.
    pub fn reopen(&self) -> Result<Self, Errno> {
        Self::open_on(self.machine.clone())
    }

    fn driver(&self) -> MutexGuard<'_, Driver<Process>> {
        self.machine.driver()
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

    /// A descriptor for other open files of this device, which are in this process.
    fn export(&self, payload: &mut [u8]) -> Result<(), Errno> {
        let a = drm_prime_handle::from_bytes(payload).ok_or(Errno::Inval)?;
        let who = (self.file, std::process::id());
        let fd = self.machine.exports.export(&mut self.driver(), who, &a)?;
        give_descriptor(fd, a, payload)
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

/// Answers a request for a descriptor, which belongs to the caller from now on.
pub(crate) fn give_descriptor(fd: OwnedFd, mut a: drm_prime_handle, payload: &mut [u8]) -> Result<(), Errno> {
    if a.flags & libc::O_CLOEXEC as u32 == 0 {
        // It was made with the flag, so that a program which starts meanwhile does not inherit it.
        fcntl(&fd, FcntlArg::F_SETFD(FdFlag::empty())).map_err(|_| Errno::Inval)?;
    }
    a.fd = fd.into_raw_fd();
    payload[..size_of::<drm_prime_handle>()].copy_from_slice(a.bytes());
    Ok(())
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
            IOCTL_PRIME_HANDLE_TO_FD => self.export(payload),
            IOCTL_PRIME_FD_TO_HANDLE => {
                let mut a = drm_prime_handle::from_bytes(payload).ok_or(Errno::Inval)?;
                a.handle = self.machine.exports.import(&mut self.driver(), self.file, a.fd)?;
                payload[..size_of::<drm_prime_handle>()].copy_from_slice(a.bytes());
                Ok(())
            }
            VINCI_IOCTL_QUEUE_DESTROY => self.machine.queue_destroy(self.file, payload),
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
