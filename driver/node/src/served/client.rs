//! The process at the other end of a connection, and its pages as the device reaches them.
//!
//! Pages of another process cannot be mapped here, so they are copied by the kernel when an entry uses them. A
//! process has no more rights over such a window than over its own memory: its pid comes from the socket.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::ptr::NonNull;
use std::sync::Arc;

use parking_lot::RwLock;
use vinci_core::Errno;
use vinci_device::Foreign;
use vinci_hw::regs::PAGE_SIZE;

/// SO_PEERPIDFD, which libc has for newer targets only.
const PEERPIDFD: libc::c_int = 77;
/// Bus addresses from here on are windows; no process has memory there.
const FIRST: u64 = 1 << 60;

/// A process that is connected.
pub(crate) struct Client {
    pid: libc::pid_t,
    memory: Memory,
}

/// How the process's memory is reached.
enum Memory {
    /// By pid, as a debugger of the same user would; the descriptor tells the process from a later one of the same
    /// number. What it executes it may also control, so nothing is gained by reaching another program there.
    Pid(Option<OwnedFd>),
    /// As a file, for other users: it is the memory of the program that connected, and of none that the process
    /// executes later, which may have more rights.
    File(File),
    /// Not at all.
    None,
}

thread_local! {
    static CALLING: RefCell<Option<Arc<Client>>> = const { RefCell::new(None) };
}

/// The process that connected, even if it has ended and its number is another's; from Linux 6.5 on. Before, the
/// process that has the number now.
fn pidfd(socket: &OwnedFd, pid: libc::pid_t) -> Option<OwnedFd> {
    let mut fd: libc::c_int = -1;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the answer has as many bytes as `len` says; a descriptor that is answered is ours.
    unsafe {
        let to = (&raw mut fd).cast();
        if libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, PEERPIDFD, to, &raw mut len) != 0 {
            fd = libc::syscall(libc::SYS_pidfd_open, pid, 0) as libc::c_int;
        }
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))
    }
}

fn is_alive(pidfd: &OwnedFd) -> bool {
    // SAFETY: takes numbers only; signal 0 asks whether the process is there.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), 0, 0, 0) == 0 }
}

/// The memory of the program that a process of user `uid` runs, if it is still that user's.
fn memory_file(pid: libc::pid_t, uid: u32, pidfd: Option<&OwnedFd>) -> io::Result<File> {
    let file = File::options().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
    // What was opened is the right one if the process is still there, and still runs as that user.
    let is_theirs = std::fs::metadata(format!("/proc/{pid}"))?.uid() == uid;
    if is_theirs && pidfd.is_some_and(is_alive) { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
}

impl Client {
    /// The process at the other end of `socket`.
    pub(crate) fn new(socket: &OwnedFd, peer: &libc::ucred) -> Self {
        let pidfd = pidfd(socket, peer.pid);
        // SAFETY: asks for this process's own number.
        let memory = if peer.uid == unsafe { libc::geteuid() } {
            Memory::Pid(pidfd)
        } else {
            memory_file(peer.pid, peer.uid, pidfd.as_ref()).map_or_else(
                |e| {
                    log::warn!("process {}: its pageable memory cannot be reached: {e}", peer.pid);
                    Memory::None
                },
                Memory::File,
            )
        };
        Self { pid: peer.pid, memory }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid as u32
    }

    /// From now on this thread executes requests of `client`.
    pub(crate) fn enter(client: Arc<Client>) {
        CALLING.with(|c| *c.borrow_mut() = Some(client));
    }

    /// Whose request this thread executes, if it is another process's.
    pub(crate) fn calling() -> Option<Arc<Client>> {
        CALLING.with(|c| c.borrow().clone())
    }

    /// Copies `len` bytes between the two processes.
    ///
    /// # Safety
    /// `here` is good for `len` bytes: for loads if `write`, else for stores.
    unsafe fn copy(&self, write: bool, at: u64, here: NonNull<u8>, len: usize) -> Result<(), Errno> {
        match &self.memory {
            Memory::None => Err(Errno::Perm),
            Memory::Pid(pidfd) if pidfd.as_ref().is_some_and(|fd| !is_alive(fd)) => Err(Errno::Fault),
            Memory::Pid(_) => {
                let local = libc::iovec { iov_base: here.as_ptr().cast(), iov_len: len };
                let remote = libc::iovec { iov_base: at as *mut libc::c_void, iov_len: len };
                let call = if write { libc::process_vm_writev } else { libc::process_vm_readv };
                // SAFETY: the local side is the caller's promise; the kernel checks the other.
                let copied = unsafe { call(self.pid, &local, 1, &remote, 1, 0) };
                match io::Error::last_os_error().raw_os_error() {
                    _ if copied == len as isize => Ok(()),
                    Some(libc::EPERM | libc::ENOSYS) if copied < 0 => Err(Errno::Perm),
                    _ => Err(Errno::Fault),
                }
            }
            Memory::File(file) => {
                let mut done = 0;
                while done < len {
                    let (fd, to) = (file.as_raw_fd(), at.wrapping_add(done as u64) as libc::off_t);
                    // SAFETY: as above; what is left of the buffer is as long as the call is told.
                    let n = unsafe {
                        let p = here.as_ptr().add(done).cast::<libc::c_void>();
                        if write {
                            libc::pwrite(fd, p, len - done, to)
                        } else {
                            libc::pread(fd, p, len - done, to)
                        }
                    };
                    match usize::try_from(n) {
                        Ok(n @ 1..) => done += n,
                        _ => return Err(Errno::Fault),
                    }
                }
                Ok(())
            }
        }
    }
}

impl Foreign for Client {
    unsafe fn read(&self, at: u64, to: NonNull<u8>, len: usize) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.copy(false, at, to, len) }.is_ok()
    }

    unsafe fn write(&self, at: u64, from: NonNull<u8>, len: usize) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.copy(true, at, from, len) }.is_ok()
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
        for at in [addr, addr + len - 1] {
            // SAFETY: one byte.
            unsafe { client.copy(false, at, NonNull::from(&mut byte), 1) }?;
        }
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

    fn this_process(by_file: bool) -> Client {
        let pid = std::process::id() as libc::pid_t;
        let memory = if by_file {
            // SAFETY: asks for this process's own numbers.
            let (uid, fd) = unsafe { (libc::geteuid(), libc::syscall(libc::SYS_pidfd_open, pid, 0)) };
            // SAFETY: just made.
            let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
            assert!(memory_file(pid, uid + 1, Some(&fd)).is_err(), "it is another user's now");
            Memory::File(memory_file(pid, uid, Some(&fd)).unwrap())
        } else {
            Memory::Pid(None)
        };
        Client { pid, memory }
    }

    #[test]
    fn memory_is_reached_in_either_way() {
        for client in [this_process(false), this_process(true)] {
            let (mut there, mut here) = ([7u8; 100], [0u8; 60]);
            let at = (&raw mut there) as u64;
            // SAFETY: as long as the buffers.
            unsafe {
                assert!(client.read(at + 40, NonNull::from(&mut here).cast(), 60));
                here.fill(9);
                assert!(client.write(at, NonNull::from(&mut here).cast(), 60));
                assert!(!client.read(8, NonNull::from(&mut here).cast(), 60));
                assert!(!client.write(u64::MAX - 8, NonNull::from(&mut here).cast(), 60));
            }
            assert_eq!((std::hint::black_box(there)[59], there[60]), (9, 7));
        }
    }

    #[test]
    fn a_window_is_its_pages_and_nothing_else() {
        let page = vec![7u8; 3 * PAGE_SIZE as usize];
        let addr = (page.as_ptr() as u64).next_multiple_of(PAGE_SIZE);
        let (windows, client) = (Windows::default(), Arc::new(this_process(false)));
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
