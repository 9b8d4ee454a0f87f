//! A driver and its device in this process, for all files that are open on it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use vinci_core::{Driver, Errno, Step};
use vinci_device::{Device, Profile};
use vinci_uapi::*;

use crate::export::Exports;
use crate::fork;
use crate::host::{Host, Process, reserve_device_addresses};
use crate::node::OpenError;

/// See the module.
pub(crate) struct Machine {
    pub(crate) driver: Mutex<Driver<Process>>,
    pub(crate) device: Arc<Device>,
    pub(crate) host: Arc<Host>,
    pub(crate) exports: Exports,
}

impl Machine {
    /// A new device of a given chip. `home` also says whether its memory can be shared with other processes.
    pub(crate) fn new(profile: Profile, home: drm_vinci_home) -> Result<Arc<Self>, OpenError> {
        fork::watch();
        reserve_device_addresses();
        let host = Arc::new(Host::new(home == DRM_VINCI_HOME_SERVED));
        let device = Device::open(profile, host.clone())?;
        let process = Process { device: device.clone(), host: host.clone() };
        let mut driver = Driver::new(process).map_err(OpenError::Driver)?;
        driver.set_home(home, "0000:00:00.0");
        Ok(Arc::new(Self { driver: Mutex::new(driver), device, host, exports: Exports::new() }))
    }

    /// The driver, which has heard of everything that happened so far.
    pub(crate) fn driver(&self) -> MutexGuard<'_, Driver<Process>> {
        let mut driver = self.driver.lock();
        if self.host.events_pending.swap(false, Ordering::AcqRel) {
            driver.drain_events();
        }
        driver.tidy();
        self.exports.sweep(&mut driver);
        driver
    }
}

/// How long who destroys a queue sleeps while an entry of it is on the cores.
const BUSY: Duration = Duration::from_micros(200);

impl Machine {
    /// `DRM_IOCTL_VINCI_QUEUE_DESTROY`; waits for the queue's entry on the cores without the driver's lock.
    pub(crate) fn queue_destroy(&self, file: u32, payload: &[u8]) -> Result<(), Errno> {
        let a = drm_vinci_queue_id::from_bytes(payload).ok_or(Errno::Inval)?;
        while self.driver().queue_destroy_step(file, &a)? == Step::Sleep {
            std::thread::sleep(BUSY);
        }
        Ok(())
    }
}

/// Keeps a buffer object while it is mapped into a process, as the pages of an mmap(2) would.
pub(crate) struct Held {
    pub(crate) machine: Arc<Machine>,
    pub(crate) buffer: u32,
}

impl Drop for Held {
    fn drop(&mut self) {
        if !fork::is_forked_child() {
            self.machine.driver.lock().unexport(self.buffer);
        }
    }
}

/// When a wait of so many ns ends; `None`: never.
pub(crate) fn deadline(timeout_ns: i64) -> Option<Instant> {
    let ns = u64::try_from(timeout_ns).ok()?;
    Instant::now().checked_add(Duration::from_nanos(ns))
}

/// Name of a process, as the kernel shows it.
pub(crate) fn process_name(pid: u32) -> Vec<u8> {
    let name = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_ascii_end().to_vec()
}
