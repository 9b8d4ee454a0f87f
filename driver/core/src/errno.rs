//! The error numbers that the driver answers, those of Linux.

/// An error of an ioctl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Errno {
    /// Not allowed.
    Perm = 1,
    /// Names nothing.
    NoEnt = 2,
    /// Interrupted by a signal.
    Intr = 4,
    /// The queue is faulted, or the device does not answer.
    Io = 5,
    /// A descriptor that is not open.
    BadF = 9,
    /// Out of memory: HBM or the host's.
    NoMem = 12,
    /// A user address that is not mapped.
    Fault = 14,
    /// In use.
    Busy = 16,
    /// Exists already.
    Exist = 17,
    /// The device, or the queue, is gone.
    NoDev = 19,
    /// An argument that cannot be.
    Inval = 22,
    /// Too many descriptors.
    MFile = 24,
    /// Unknown ioctl.
    NoTty = 25,
    /// The device has no more of these, or the process may have no more.
    NoSpc = 28,
    /// Not done in time.
    Time = 62,
    /// The device broke the protocol.
    Proto = 71,
    /// Not supported here.
    OpNotSupp = 95,
    /// Used in a forked child, which does not own the device.
    OwnerDead = 130,
}

impl Errno {
    /// The error of a number, if the driver uses it.
    pub fn from_raw(raw: i32) -> Option<Self> {
        use Errno::*;
        let known = [
            Perm, NoEnt, Intr, Io, BadF, NoMem, Fault, Busy, Exist, NoDev, Inval, MFile, NoTty, NoSpc, Time,
            Proto, OpNotSupp, OwnerDead,
        ];
        known.into_iter().find(|&e| e as i32 == raw)
    }
}

impl core::fmt::Display for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Perm => "not permitted (EPERM)",
            Self::NoEnt => "no such object (ENOENT)",
            Self::Intr => "interrupted by a signal (EINTR)",
            Self::Io => "the queue is faulted or the device does not answer (EIO)",
            Self::BadF => "not an open descriptor (EBADF)",
            Self::NoMem => "out of memory (ENOMEM)",
            Self::Fault => "the user address is not mapped (EFAULT)",
            Self::Busy => "in use (EBUSY)",
            Self::Exist => "overlaps what exists (EEXIST)",
            Self::NoDev => "the device or queue was lost (ENODEV)",
            Self::Inval => "an argument is out of range (EINVAL)",
            Self::MFile => "too many descriptors (EMFILE)",
            Self::NoTty => "unknown request (ENOTTY)",
            Self::NoSpc => "the device has no more of these (ENOSPC)",
            Self::Time => "not done in time (ETIME)",
            Self::Proto => "the device broke the protocol (EPROTO)",
            Self::OpNotSupp => "not supported here (EOPNOTSUPP)",
            Self::OwnerDead => "a forked child does not own the device (EOWNERDEAD)",
        })
    }
}

impl core::error::Error for Errno {}

/// Result of the driver's operations.
pub type Result<T, E = Errno> = core::result::Result<T, E>;
