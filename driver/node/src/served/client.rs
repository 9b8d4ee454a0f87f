//! The process at the other end of a connection, and its pages as the device reaches them.
//!
//! Pages of another process cannot be mapped here, so they are copied by the kernel when an entry uses them. A
//! process has no more rights over such a window than over its own memory: its pid comes from the socket.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;

use parking_lot::RwLock;
use vinci_core::Errno;
use vinci_device::Foreign;
use vinci_hw::regs::PAGE_SIZE;

/// Bus addresses from here on are windows; no process has memory there.
const FIRST: u64 = 1 << 60;

/// A process that is connected.
pub(crate) struct Client {
    pid: libc::pid_t,
    /// Tells the process from a later one of the same number.
    pidfd: Option<OwnedFd>,
}

thread_local! {
    static CALLING: RefCell<Option<Arc<Client>>> = const { RefCell::new(None) };
}

impl Client {
    pub(crate) fn new(pid: u32) -> Self {
        use std::os::fd::FromRawFd;
        // SAFETY: takes a number and flags; a descriptor that it answers is ours.
        let pidfd = unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
            (fd >= 0).then(|| OwnedFd::from_raw_fd(fd as i32))
        };
        Self { pid: pid as libc::pid_t, pidfd }
    }

    /// From now on this thread executes requests of `client`.
    pub(crate) fn enter(client: Arc<Client>) {
        CALLING.with(|c| *c.borrow_mut() = Some(client));
    }

    /// Whose request this thread executes, if it is another process's.
    pub(crate) fn calling() -> Option<Arc<Client>> {
        CALLING.with(|c| c.borrow().clone())
    }

    fn is_alive(&self) -> bool {
        use std::os::fd::AsRawFd;
        // Kernels before 5.3 have no such descriptors; there the pid must do.
        self.pidfd.as_ref().is_none_or(|fd| {
            // SAFETY: takes numbers only; signal 0 asks whether the process is there.
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), 0, 0, 0) == 0 }
        })
    }

    /// Copies `len` bytes between the two processes.
    fn copy(&self, write: bool, at: u64, here: NonNull<u8>, len: usize) -> Result<(), Errno> {
        let local = libc::iovec { iov_base: here.as_ptr().cast(), iov_len: len };
        let remote = libc::iovec { iov_base: at as *mut libc::c_void, iov_len: len };
        if !self.is_alive() {
            return Err(Errno::Fault);
        }
        let call = if write { libc::process_vm_writev } else { libc::process_vm_readv };
        // SAFETY: the local side is the caller's promise; the kernel checks the other.
        let copied = unsafe { call(self.pid, &local, 1, &remote, 1, 0) };
        match std::io::Error::last_os_error().raw_os_error() {
            _ if copied == len as isize => Ok(()),
            Some(libc::EPERM | libc::ENOSYS) if copied < 0 => Err(Errno::Perm),
            _ => Err(Errno::Fault),
        }
    }
}

impl Foreign for Client {
    unsafe fn read(&self, at: u64, to: NonNull<u8>, len: usize) -> bool {
        self.copy(false, at, to, len).is_ok()
    }

    unsafe fn write(&self, at: u64, from: NonNull<u8>, len: usize) -> bool {
        self.copy(true, at, from, len).is_ok()
    }
}

struct Window {
    len: u64,
    client: Arc<Client>,
    addr: u64,
}

/// The windows of all clients, by bus address.
#[derive(Default)]
pub(crate) struct Windows(RwLock<(u64, BTreeMap<u64, Window>)>);

impl Windows {
    /// A bus address for pages of a client. `Errno::Fault` if they are not there, `Errno::Perm` if this process
    /// may not reach them.
    pub(crate) fn open(&self, client: Arc<Client>, addr: u64, len: u64) -> Result<u64, Errno> {
        let mut byte = 0u8;
        client.copy(false, addr, NonNull::from(&mut byte), 1)?;
        client.copy(false, addr + len - 1, NonNull::from(&mut byte), 1)?;
        let (next, windows) = &mut *self.0.write();
        let bus = FIRST.checked_add(*next).ok_or(Errno::NoSpc)?;
        // A page between windows belongs to none.
        *next = next.checked_add(len + PAGE_SIZE).ok_or(Errno::NoSpc)?;
        windows.insert(bus, Window { len, client, addr });
        Ok(bus)
    }

    pub(crate) fn close(&self, bus: u64) {
        self.0.write().1.remove(&bus);
    }

    /// The process behind a bus address, and the address there.
    pub(crate) fn find(&self, bus: u64, len: u64) -> Option<(Arc<dyn Foreign>, u64)> {
        if bus < FIRST {
            return None;
        }
        let windows = &self.0.read().1;
        let (start, w) = windows.range(..=bus).next_back()?;
        let at = bus - start;
        let inside = at.checked_add(len).is_some_and(|end| end <= w.len);
        inside.then(|| (w.client.clone() as Arc<dyn Foreign>, w.addr + at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_its_pages_and_nothing_else() {
        let page = vec![7u8; 3 * PAGE_SIZE as usize];
        let addr = (page.as_ptr() as u64).next_multiple_of(PAGE_SIZE);
        let (windows, client) = (Windows::default(), Arc::new(Client::new(std::process::id())));
        let a = windows.open(client.clone(), addr, PAGE_SIZE).unwrap();
        let b = windows.open(client.clone(), addr, 2 * PAGE_SIZE).unwrap();
        let (memory, at) = windows.find(b + 100, 4).unwrap();
        let mut word = [0u8; 4];
        // SAFETY: four bytes.
        assert!(unsafe { memory.read(at, NonNull::from(&mut word).cast(), 4) });
        assert_eq!((word, at), ([7; 4], addr + 100));
        assert!(windows.find(a, PAGE_SIZE + 1).is_none() && windows.find(a - 1, 1).is_none());
        windows.close(b);
        assert!(windows.find(b, 1).is_none() && windows.find(a, 1).is_some());
        assert_eq!(windows.open(client, 8, PAGE_SIZE), Err(Errno::Fault));
    }
}
