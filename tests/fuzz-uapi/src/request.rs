//! The requests by name.

use vinci_driver::uapi::*;

macro_rules! requests {
    ($($number:ident $name:literal),* $(,)?) => {
        /// Number and name of every request.
        pub const ALL: &[(u32, &str)] = &[$(($number, $name)),*];
    };
}

requests! {
    VINCI_IOCTL_DEV_QUERY "DEV_QUERY",
    VINCI_IOCTL_VM_CREATE "VM_CREATE",
    VINCI_IOCTL_VM_DESTROY "VM_DESTROY",
    VINCI_IOCTL_VM_MAP "VM_MAP",
    VINCI_IOCTL_VM_UNMAP "VM_UNMAP",
    VINCI_IOCTL_VM_PEER "VM_PEER",
    VINCI_IOCTL_BO_CREATE "BO_CREATE",
    VINCI_IOCTL_BO_USERPTR "BO_USERPTR",
    VINCI_IOCTL_BO_INFO "BO_INFO",
    VINCI_IOCTL_QUEUE_CREATE "QUEUE_CREATE",
    VINCI_IOCTL_QUEUE_DESTROY "QUEUE_DESTROY",
    VINCI_IOCTL_QUEUE_RESET "QUEUE_RESET",
    VINCI_IOCTL_QUEUE_KICK "QUEUE_KICK",
    VINCI_IOCTL_QUEUE_RESUME "QUEUE_RESUME",
    VINCI_IOCTL_QUEUE_QUERY "QUEUE_QUERY",
    VINCI_IOCTL_WAIT "WAIT",
    VINCI_IOCTL_EVENT_READ "EVENT_READ",
    VINCI_IOCTL_TELEMETRY "TELEMETRY",
    VINCI_IOCTL_RESET "RESET",
    VINCI_IOCTL_INJECT "INJECT",
    VINCI_IOCTL_CODE_LOAD "CODE_LOAD",
    VINCI_IOCTL_CODE_UNLOAD "CODE_UNLOAD",
    IOCTL_GEM_CLOSE "GEM_CLOSE",
    IOCTL_PRIME_HANDLE_TO_FD "PRIME_HANDLE_TO_FD",
    IOCTL_PRIME_FD_TO_HANDLE "PRIME_FD_TO_HANDLE",
}

/// What stands in the log for calls that are no requests: an mmap, and opening a file.
pub const MMAP: u32 = 1;
/// See [`MMAP`].
pub const OPEN: u32 = 2;

/// Name of a request.
pub fn name(cmd: u32) -> String {
    match ALL.iter().find(|(number, _)| *number == cmd) {
        Some((_, name)) => (*name).into(),
        None if cmd == MMAP => "mmap".into(),
        None if cmd == OPEN => "open".into(),
        None => format!("{cmd:#x}"),
    }
}
