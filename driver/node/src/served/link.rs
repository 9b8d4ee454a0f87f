//! The client's end of a connection: one request at a time, the memory that was mapped, and what happens when the
//! server goes away.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use nix::sys::socket::{AddressFamily, Shutdown, SockFlag, SockType, UnixAddr, connect, shutdown, socket};
use parking_lot::{Mutex, RwLock};
use vinci_core::Errno;
use vinci_uapi::*;

use crate::fork;
use crate::mapping::Mapping;
use crate::node::OpenError;
use crate::served::queue::QueueEnd;
use crate::served::sleep::Alarm;
use crate::served::wire::{self, Ask, Head, Packet};

/// A connection.
pub(crate) struct Link {
    socket: Arc<Socket>,
    /// Where the server listens.
    pub(crate) path: String,
    /// The server is gone; nothing brings it back.
    pub(crate) lost: AtomicBool,
    /// The page of the file: rung when there are events.
    page: FdMap,
    queues: RwLock<HashMap<u32, Arc<QueueEnd>>>,
}

/// The socket; a mapping keeps it to say when it is gone.
struct Socket {
    fd: OwnedFd,
    /// One request and its answer at a time.
    talking: Mutex<()>,
}

impl Link {
    pub(crate) fn connect(path: &Path) -> Result<Self, OpenError> {
        let name = path.display().to_string();
        let failed = |error: io::Error| OpenError::Serve { path: name.clone(), error };
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)
            .map_err(|e| failed(e.into()))?;
        let address = UnixAddr::new(path).map_err(|e| failed(e.into()))?;
        connect(fd.as_raw_fd(), &address).map_err(|e| failed(e.into()))?;
        let hello = Head { arg: DRM_VINCI_DRIVER_MAJOR.into(), ..Head::ask(Ask::Hello) };
        wire::send(fd.as_fd(), hello, &[], &[], None).map_err(failed)?;
        let answer = wire::receive(fd.as_fd()).map_err(failed)?;
        let answer = answer.ok_or_else(|| failed(io::ErrorKind::ConnectionReset.into()))?;
        if answer.head.what != 0 {
            return Err(failed(io::Error::from_raw_os_error(answer.head.what as i32)));
        }
        let page = answer.fd.ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
        let page = FdMap::new(page.as_fd(), 0, 4096).map_err(failed)?;
        // Where a process may only be traced by its parents, this lets the server reach pageable memory that the
        // program asks it to copy. Elsewhere the kernel does not know the call.
        if let Ok(server) = wire::peer(&fd) {
            // SAFETY: changes an attribute of this process.
            unsafe { libc::prctl(libc::PR_SET_PTRACER, server.pid, 0, 0, 0) };
        }
        Ok(Self {
            socket: Arc::new(Socket { fd, talking: Mutex::new(()) }),
            path: name,
            lost: AtomicBool::new(false),
            page,
            queues: RwLock::default(),
        })
    }

    /// Asks and waits for the answer.
    pub(crate) fn ask(&self, head: Head, payload: &[u8], memory: &[u8]) -> Result<Packet, Errno> {
        self.ask_with(head, payload, memory, None)
    }

    /// As [`Link::ask`], with a descriptor for the server. `Errno::BadF` if it is none.
    pub(crate) fn ask_with(
        &self,
        head: Head,
        payload: &[u8],
        memory: &[u8],
        with: Option<BorrowedFd<'_>>,
    ) -> Result<Packet, Errno> {
        let answer = {
            let _one = self.socket.talking.lock();
            let fd = self.socket.fd.as_fd();
            match wire::send(fd, head, payload, memory, with) {
                Err(e) if with.is_some() && e.raw_os_error() == Some(libc::EBADF) => {
                    return Err(Errno::BadF);
                }
                sent => sent.and_then(|()| wire::receive(fd)),
            }
        };
        match answer {
            Ok(Some(packet)) if packet.head.what == 0 => Ok(packet),
            Ok(Some(packet)) => Err(wire::errno(packet.head.what)),
            Ok(None) | Err(_) => {
                self.lose();
                Err(Errno::NoDev)
            }
        }
    }

    /// Asks for something that is not answered.
    pub(crate) fn tell(&self, head: Head) -> Result<(), Errno> {
        self.socket.tell(head).map_err(|_| {
            self.lose();
            Errno::NoDev
        })
    }

    /// Takes the answered payload over.
    pub(crate) fn copy_payload(&self, answer: &Packet, payload: &mut [u8]) -> Result<(), Errno> {
        if answer.payload.len() != payload.len() {
            self.lose();
            return Err(Errno::NoDev);
        }
        payload.copy_from_slice(&answer.payload);
        Ok(())
    }

    /// Maps what an offset names.
    pub(crate) fn map(&self, offset: u64, len: usize) -> Result<Mapping, Errno> {
        let answer = self.ask(Head { arg: offset, len: len as u64, ..Head::ask(Ask::Map) }, &[], &[])?;
        let held =
            (answer.head.cmd != 0).then(|| Held { socket: self.socket.clone(), what: answer.head.len });
        // It does not arrive where the process has no descriptor left.
        let fd = answer.fd.ok_or(Errno::NoMem)?;
        let map = FdMap::new(fd.as_fd(), answer.head.arg, len).map_err(|_| Errno::NoMem)?;
        Ok(Mapping::new(map.ptr, len, (map, held)))
    }

    pub(crate) fn events(&self) -> &Alarm {
        // SAFETY: the page is mapped as long as `self` lives.
        unsafe { Alarm::at(self.page.ptr, 0) }
    }

    pub(crate) fn queue(&self, id: u32) -> Result<Arc<QueueEnd>, Errno> {
        self.queues.read().get(&id).cloned().ok_or(Errno::NoEnt)
    }

    pub(crate) fn add_queue(&self, id: u32, queue: QueueEnd) {
        self.keep_queue(id, Arc::new(queue));
    }

    pub(crate) fn keep_queue(&self, id: u32, queue: Arc<QueueEnd>) {
        self.queues.write().insert(id, queue);
        // The server may have gone before the queue was there to be told.
        if self.lost.load(Ordering::Acquire) {
            self.lose();
        }
    }

    pub(crate) fn remove_queue(&self, id: u32) -> Option<Arc<QueueEnd>> {
        self.queues.write().remove(&id)
    }

    /// Waits until the server goes away, or [`Link::hang_up`].
    pub(crate) fn watch(&self) {
        // Signals of the program are for its own threads.
        let _ = SigSet::all().thread_block();
        // The end of a connection is always reported.
        let mut ends = [PollFd::new(self.socket.fd.as_fd(), PollFlags::empty())];
        while let Err(nix::errno::Errno::EINTR) | Ok(0) = poll(&mut ends, PollTimeout::NONE) {}
        self.lose();
    }

    /// Wakes everybody: there is nothing to wait for.
    fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.queues.read().values().for_each(|q| q.lost());
        self.events().ring();
    }

    /// Ends the connection: the server closes the file, and then its end, which [`Link::watch`] waits for.
    pub(crate) fn hang_up(&self) {
        let _ = shutdown(self.socket.fd.as_raw_fd(), Shutdown::Write);
    }
}

impl Socket {
    fn tell(&self, head: Head) -> io::Result<()> {
        wire::send(self.fd.as_fd(), head, &[], &[], None)
    }
}

/// Memory of the server that is mapped here; the server keeps it until it hears of its end.
struct Held {
    socket: Arc<Socket>,
    what: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        if !fork::is_forked_child() {
            // A server that is gone needs no word.
            let _ = self.socket.tell(Head { arg: self.what, ..Head::ask(Ask::Release) });
        }
    }
}

/// Pages of a descriptor.
struct FdMap {
    ptr: NonNull<u8>,
    len: usize,
}

// SAFETY: an address and a length; what is done through them is up to who does it.
unsafe impl Send for FdMap {}
// SAFETY: as above.
unsafe impl Sync for FdMap {}

impl FdMap {
    fn new(fd: BorrowedFd<'_>, at: u64, len: usize) -> io::Result<Self> {
        let at = libc::off_t::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_NORESERVE);
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let p = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, fd.as_raw_fd(), at) };
        match NonNull::new(p.cast()).filter(|_| p != libc::MAP_FAILED) {
            Some(ptr) => Ok(Self { ptr, len }),
            None => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for FdMap {
    fn drop(&mut self) {
        // SAFETY: this mapping was made in `new` and nobody may use it after its owner is gone.
        unsafe { libc::munmap(self.ptr.as_ptr().cast(), self.len) };
    }
}
