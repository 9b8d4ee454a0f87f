//! What every home answers, and the choice of one.

use std::sync::Arc;
use std::time::Duration;

use vinci_core::Errno;
use vinci_device::ProfileError;

use crate::embedded::Embedded;
use crate::kernel::Kernel;
use crate::mapping::Mapping;
use crate::served::Served;

/// The environment variable that chooses the home.
pub const VARIABLE: &str = "VINCI_DEVICE";

/// An open file of the driver. Closed when dropped; mappings stay good until they are dropped themselves.
pub trait Node: Send + Sync {
    /// Executes the request `cmd` (a `VINCI_IOCTL_*` or `IOCTL_*` number) on its structure's bytes.
    fn ioctl(&self, cmd: u32, payload: &mut [u8]) -> Result<(), Errno>;

    /// Maps `len` bytes at an offset that a request answered.
    fn mmap(&self, offset: u64, len: usize) -> Result<Mapping, Errno>;

    /// Waits until there is an event to read; `false` after `timeout`. `None` waits for ever.
    fn poll(&self, timeout: Option<Duration>) -> Result<bool, Errno>;

    /// A sentence about where the driver runs.
    fn describe(&self) -> String;
}

/// Why no device could be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `VINCI_CHIP`.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The device model.
    #[error(transparent)]
    Device(#[from] vinci_device::DeviceError),
    /// The driver's bring-up.
    #[error("the driver could not bring the device up: {0}")]
    Driver(Errno),
    /// A device node.
    #[error("{path}: {error}; is vinci.ko loaded, and may this user open the node?")]
    Open {
        /// The node.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A server.
    #[error("{path}: {error}; is `vinci serve --socket {path}` running, and does it let this user in?")]
    Serve {
        /// Its socket.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// `VINCI_DEVICE` asks for something that is not there.
    #[error("{VARIABLE}={0}: {1}")]
    Unsupported(String, &'static str),
}

/// Opens the device that `VINCI_DEVICE` names: `embedded` (also when it is unset and no kernel driver is
/// there), `/dev/accel/accelN`, or `unix:PATH`.
pub fn open() -> Result<Arc<dyn Node>, OpenError> {
    let wanted = std::env::var(VARIABLE).unwrap_or_default();
    match wanted.as_str() {
        "" => match Kernel::find() {
            Some(path) => Ok(Arc::new(Kernel::open(&path)?)),
            None => Ok(Arc::new(Embedded::from_env()?)),
        },
        "embedded" => Ok(Arc::new(Embedded::from_env()?)),
        path if path.starts_with('/') => Ok(Arc::new(Kernel::open(path.as_ref())?)),
        other if other.starts_with("unix:") => {
            Ok(Arc::new(Served::connect(other["unix:".len()..].as_ref())?))
        }
        _ => Err(OpenError::Unsupported(wanted, "expected `embedded`, /dev/accel/accelN or unix:PATH")),
    }
}
