//! The process's one connection to the driver.

use crate::Result;

/// Where the driver runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Home {
    /// Inside this process.
    Embedded,
    /// Behind a Unix socket.
    Served,
    /// In the kernel, behind `/dev/accel`.
    Kernel,
}

/// The module as a whole.
#[derive(Clone, Debug)]
pub struct ModuleInfo {
    /// Name of the chip, such as "Ascend910C".
    pub name: String,
    /// Unique in the machine.
    pub serial: String,
    /// Name of the profile that described the chip.
    pub profile: String,
    /// Version of the device's own software.
    pub firmware: String,
    /// Dies; each is one [`crate::Device`].
    pub die_count: u32,
    /// Where the driver runs.
    pub home: Home,
    /// Lowest device address a mapping may have.
    pub va_base: u64,
    /// Bytes of device address space.
    pub va_size: u64,
    /// Granule of mappings in bytes.
    pub page_size: u64,
    /// PCI vendor and device id.
    pub pci_id: (u16, u16),
    /// Bus address, or a stand-in for it.
    pub pci_address: String,
}

/// A process that has the device open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its pid.
    pub pid: u32,
    /// Dies it holds memory or queues on, one bit each.
    pub die_mask: u32,
    /// Device memory it holds.
    pub hbm_bytes: u64,
    /// Its command name.
    pub name: String,
}

/// The driver, opened once per process on first use.
#[derive(Debug)]
pub struct Driver {
    pub(crate) info: ModuleInfo,
}

impl Driver {
    /// The process's driver; opens it on the first call.
    pub fn get() -> Result<&'static Driver> {
        Err(crate::Error::NotSupported("Driver::get"))
    }

    /// What the module is.
    pub fn info(&self) -> &ModuleInfo {
        &self.info
    }

    /// The processes that have the device open.
    pub fn processes(&self) -> Result<Vec<ProcessInfo>> {
        Err(crate::Error::NotSupported("Driver::processes"))
    }
}
