//! The kernel home: ioctl(2) and mmap(2) on `/dev/accel/accelN`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vinci_core::Errno;

use crate::fork;
use crate::mapping::Mapping;
use crate::node::{Node, OpenError};

/// An open device node.
pub struct Kernel {
    file: File,
    path: PathBuf,
}

impl Kernel {
    /// The first accel node whose driver is ours.
    pub fn find() -> Option<PathBuf> {
        let nodes = std::fs::read_dir("/sys/class/accel").ok()?.flatten();
        let mut ours: Vec<_> = nodes
            .filter(|n| {
                let driver = std::fs::read_link(n.path().join("device/driver"));
                driver.is_ok_and(|d| d.file_name().is_some_and(|name| name == "vinci"))
            })
            .map(|n| Path::new("/dev/accel").join(n.file_name()))
            .collect();
        ours.sort();
        ours.into_iter().next()
    }

    /// Opens a node.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        fork::watch();
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(|error| OpenError::Open { path: path.display().to_string(), error })?;
        Ok(Self { file, path: path.into() })
    }
}

/// The driver's error numbers are Linux's own; one that it does not use is an I/O error.
fn errno(e: &io::Error) -> Errno {
    e.raw_os_error().and_then(Errno::from_raw).unwrap_or(Errno::Io)
}

impl Node for Kernel {
    fn ioctl(&self, cmd: u32, payload: &mut [u8]) -> Result<(), Errno> {
        // The file is its parent's, and what was mapped of it is not here.
        if fork::is_forked_child() {
            return Err(Errno::OwnerDead);
        }
        // The size is part of the number; the kernel reads and writes that many bytes.
        if payload.len() < (cmd >> 16 & 0x3fff) as usize {
            return Err(Errno::Inval);
        }
        // SAFETY: the payload is as long as the request's number says.
        match unsafe { libc::ioctl(self.file.as_raw_fd(), libc::c_ulong::from(cmd), payload.as_mut_ptr()) } {
            0.. => Ok(()),
            _ => Err(errno(&io::Error::last_os_error())),
        }
    }

    fn mmap(&self, offset: u64, len: usize) -> Result<Mapping, Errno> {
        if fork::is_forked_child() {
            return Err(Errno::OwnerDead);
        }
        let offset = libc::off_t::try_from(offset).map_err(|_| Errno::Inval)?;
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let p = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                self.file.as_raw_fd(),
                offset,
            )
        };
        if p == libc::MAP_FAILED {
            return Err(errno(&io::Error::last_os_error()));
        }
        let ptr = NonNull::new(p.cast::<u8>()).ok_or(Errno::Fault)?;
        Ok(Mapping::new(ptr, len, Unmap(ptr.as_ptr() as usize, len)))
    }

    fn poll(&self, timeout: Option<Duration>) -> Result<bool, Errno> {
        if fork::is_forked_child() {
            return Err(Errno::OwnerDead);
        }
        let timeout =
            timeout.map_or(PollTimeout::NONE, |t| PollTimeout::try_from(t).unwrap_or(PollTimeout::MAX));
        let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(n) => Ok(n > 0),
            Err(e) => Err(errno(&e.into())),
        }
    }

    fn describe(&self) -> String {
        format!("kernel: {}", self.path.display())
    }
}

/// A mapping to undo.
struct Unmap(usize, usize);

impl Drop for Unmap {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `mmap` above, and its only user is being dropped.
        unsafe { libc::munmap(self.0 as *mut libc::c_void, self.1) };
    }
}
