//! Buffer objects that left their open file as descriptors, to be imported by another.
//!
//! A descriptor is an end of a socket pair, whose other end stays here: it hears when the last copy of the
//! descriptor is closed, wherever that went. Which object it stands for says the socket's cookie, which nobody
//! chooses and which is never used twice.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use parking_lot::Mutex;
use vinci_core::{Driver, Errno};
use vinci_uapi::*;

use crate::host::Process;

/// Descriptors of one process at once: each costs the driver one too.
const MOST: usize = 4096;

struct Export {
    buffer: u32,
    pid: u32,
    /// Dropped, it leaves the set that is listened to.
    _end: OwnedFd,
}

struct State {
    /// By the cookie of the other end.
    exports: HashMap<u64, Export>,
    ends: Epoll,
}

/// The exports of a device.
pub(crate) struct Exports {
    state: Mutex<Option<State>>,
    count: AtomicUsize,
}

fn errno(e: nix::errno::Errno) -> Errno {
    Errno::from_raw(e as i32).unwrap_or(Errno::NoMem)
}

/// `Errno::BadF` if it is not open, `Errno::Inval` if it is no socket.
fn cookie(fd: RawFd) -> Result<u64, Errno> {
    let mut cookie = 0u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the answer has as many bytes as `len` says; a descriptor that is not open is an error.
    let r = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_COOKIE, (&raw mut cookie).cast(), &raw mut len)
    };
    match io::Error::last_os_error().raw_os_error() {
        _ if r == 0 => Ok(cookie),
        Some(libc::EBADF) => Err(Errno::BadF),
        _ => Err(Errno::Inval),
    }
}

impl Exports {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(None), count: AtomicUsize::new(0) }
    }

    /// A descriptor of an object of `file`, for process `pid`. Flags are those of `drm_prime_handle`.
    pub(crate) fn export(
        &self,
        driver: &mut Driver<Process>,
        (file, pid): (u32, u32),
        a: &drm_prime_handle,
    ) -> Result<OwnedFd, Errno> {
        if a.flags & !(libc::O_CLOEXEC | libc::O_RDWR) as u32 != 0 {
            return Err(Errno::Inval);
        }
        let mut state = self.state.lock();
        let state = match &mut *state {
            Some(state) => state,
            none => {
                let ends = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(errno)?;
                none.insert(State { exports: HashMap::new(), ends })
            }
        };
        if state.exports.values().filter(|e| e.pid == pid).count() >= MOST {
            return Err(Errno::MFile);
        }
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (theirs, end) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).map_err(errno)?;
        let cookie = cookie(theirs.as_raw_fd())?;
        // That the other end is gone is reported without asking for it.
        state.ends.add(&end, EpollEvent::new(EpollFlags::empty(), cookie)).map_err(errno)?;
        let buffer = driver.export(file, a.handle)?;
        state.exports.insert(cookie, Export { buffer, pid, _end: end });
        self.count.store(state.exports.len(), Ordering::Release);
        Ok(theirs)
    }

    /// A handle of `file` for what a descriptor of this process stands for. `Errno::Inval` if it is nothing of
    /// this device.
    pub(crate) fn import(&self, driver: &mut Driver<Process>, file: u32, fd: RawFd) -> Result<u32, Errno> {
        let cookie = cookie(fd)?;
        let state = self.state.lock();
        let export = state.as_ref().and_then(|s| s.exports.get(&cookie)).ok_or(Errno::Inval)?;
        driver.import(file, export.buffer)
    }

    /// Gives back what nobody holds a descriptor of any more.
    pub(crate) fn sweep(&self, driver: &mut Driver<Process>) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut state = self.state.lock();
        let Some(state) = &mut *state else { return };
        let mut closed = [EpollEvent::empty(); 64];
        while let Ok(n @ 1..) = state.ends.wait(&mut closed, EpollTimeout::ZERO) {
            for event in &closed[..n] {
                if let Some(export) = state.exports.remove(&event.data()) {
                    driver.unexport(export.buffer);
                }
            }
        }
        self.count.store(state.exports.len(), Ordering::Release);
    }
}
