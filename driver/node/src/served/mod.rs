//! The served home: driver and device in another process, `vinci serve`, behind a Unix socket.
//!
//! Requests go over the socket with the payloads of ioctl(2). Rings, doorbells, fences and buffer objects are
//! memory that both sides map, so that neither a launch nor a wait asks the server for anything; who sleeps,
//! sleeps on a word in such memory. A server that ends takes its device along: every call answers `NoDev`.

pub(crate) mod client;
mod link;
mod queue;
mod server;
mod session;
mod sleep;
mod sleepers;
mod wire;

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vinci_core::{Errno, UserCopy};
use vinci_uapi::*;

use crate::embedded::give_descriptor;
use crate::fork;
use crate::host::{check_mapped, reserve_device_addresses};
use crate::machine::deadline;
use crate::mapping::Mapping;
use crate::node::{Node, OpenError};
use crate::user::OwnMemory;
use link::Link;
use queue::QueueEnd;
use wire::{Ask, Head, ROOM};

pub use server::{Policy, ServeError, Server, Stopper};

/// An open file of a device that another process serves.
pub struct Served {
    link: Arc<Link>,
    watcher: Option<JoinHandle<()>>,
}

impl Served {
    /// Connects to the server at `path`.
    pub fn connect(path: &Path) -> Result<Self, OpenError> {
        fork::watch();
        reserve_device_addresses();
        let link = Arc::new(Link::connect(path)?);
        let watched = link.clone();
        let watcher = std::thread::Builder::new().name("vinci-watch".into()).spawn(move || watched.watch());
        let watcher =
            watcher.map_err(|error| OpenError::Serve { path: path.display().to_string(), error })?;
        Ok(Self { link, watcher: Some(watcher) })
    }

    /// A request that only the server can answer.
    fn ask(&self, cmd: u32, payload: &mut [u8]) -> Result<(), Errno> {
        let answer = self.link.ask(Head { cmd, ..Head::ask(Ask::Ioctl) }, payload, &[])?;
        self.link.copy_payload(&answer, payload)
    }

    fn query(&self, payload: &mut [u8]) -> Result<(), Errno> {
        let a = drm_vinci_dev_query::from_bytes(payload).ok_or(Errno::Inval)?;
        let size = if a.data == 0 { 0 } else { (a.size as usize).min(ROOM / 2) };
        let mut memory = vec![0; size];
        OwnMemory.copy_in(&mut memory, a.data)?;
        let head = Head { cmd: VINCI_IOCTL_DEV_QUERY, ..Head::ask(Ask::Ioctl) };
        let answer = self.link.ask(head, payload, &memory)?;
        if a.data != 0 {
            OwnMemory.copy_out(a.data, answer.memory.get(..answer.memory.len().min(size)).unwrap_or(&[]))?;
        }
        self.link.copy_payload(&answer, payload)
    }

    fn queue_create(&self, payload: &mut [u8]) -> Result<(), Errno> {
        self.ask(VINCI_IOCTL_QUEUE_CREATE, payload)?;
        let a = drm_vinci_queue_create::from_bytes(payload).ok_or(Errno::Inval)?;
        match self.link.map(a.fence_offset, 4096) {
            Ok(fence) => {
                self.link.add_queue(a.queue_id, QueueEnd::new(fence));
                Ok(())
            }
            Err(e) => {
                let mut id = drm_vinci_queue_id { queue_id: a.queue_id, pad: 0 };
                let _ = self.ask(VINCI_IOCTL_QUEUE_DESTROY, id.bytes_mut());
                Err(e)
            }
        }
    }

    fn queue_destroy(&self, payload: &mut [u8]) -> Result<(), Errno> {
        let a = drm_vinci_queue_id::from_bytes(payload).ok_or(Errno::Inval)?;
        // Taken out first: when the server has answered, the number may be that of another thread's queue.
        let end = self.link.remove_queue(a.queue_id);
        let result = self.ask(VINCI_IOCTL_QUEUE_DESTROY, payload);
        match (end, &result) {
            (Some(queue), Ok(())) => queue.destroyed(),
            (Some(queue), Err(_)) => self.link.keep_queue(a.queue_id, queue),
            (None, _) => {}
        }
        result
    }

    fn kick(&self, payload: &[u8]) -> Result<(), Errno> {
        let a = drm_vinci_queue_id::from_bytes(payload).ok_or(Errno::Inval)?;
        if a.pad != 0 {
            return Err(Errno::Inval);
        }
        self.link.queue(a.queue_id)?;
        self.link.tell(Head { arg: a.queue_id.into(), ..Head::ask(Ask::Kick) })
    }

    fn wait(&self, payload: &[u8]) -> Result<(), Errno> {
        let a = drm_vinci_wait::from_bytes(payload).ok_or(Errno::Inval)?;
        if a.flags != 0 {
            return Err(Errno::Inval);
        }
        self.link.queue(a.queue_id)?.wait(a.value, deadline(a.timeout_ns))
    }

    /// Sleeps until `look` answers something; `Errno::Time` at the deadline.
    fn until<T>(
        &self,
        deadline: Option<Instant>,
        mut look: impl FnMut() -> Result<Option<T>, Errno>,
    ) -> Result<T, Errno> {
        loop {
            let heard = self.link.events().heard();
            if let Some(found) = look()? {
                return Ok(found);
            }
            if !self.link.events().wait(heard, deadline) {
                return Err(Errno::Time);
            }
        }
    }

    fn event_read(&self, payload: &mut [u8]) -> Result<(), Errno> {
        let a = drm_vinci_event_read::from_bytes(payload).ok_or(Errno::Inval)?;
        self.until(deadline(a.timeout_ns), || match self.ask(VINCI_IOCTL_EVENT_READ, payload) {
            Ok(()) => Ok(Some(())),
            Err(Errno::Time) => Ok(None),
            Err(e) => Err(e),
        })
    }

    fn userptr(&self, payload: &mut [u8]) -> Result<(), Errno> {
        let a = drm_vinci_bo_userptr::from_bytes(payload).ok_or(Errno::Inval)?;
        // Only this process can see whether its pages may be stored to. What is not page by page is the driver's
        // to refuse.
        let whole = (a.addr | a.size).is_multiple_of(4096) && a.addr.checked_add(a.size).is_some();
        if whole && a.size != 0 {
            check_mapped(a.addr, a.size, a.flags & DRM_VINCI_USERPTR_READONLY != 0)?;
        }
        self.ask(VINCI_IOCTL_BO_USERPTR, payload)
    }

    fn export(&self, payload: &mut [u8]) -> Result<(), Errno> {
        let a = drm_prime_handle::from_bytes(payload).ok_or(Errno::Inval)?;
        let head = Head { cmd: IOCTL_PRIME_HANDLE_TO_FD, ..Head::ask(Ask::Ioctl) };
        let answer = self.link.ask(head, payload, &[])?;
        give_descriptor(answer.fd.ok_or(Errno::MFile)?, a, payload)
    }

    fn import(&self, payload: &mut [u8]) -> Result<(), Errno> {
        let a = drm_prime_handle::from_bytes(payload).ok_or(Errno::Inval)?;
        if a.fd < 0 {
            return Err(Errno::BadF);
        }
        // SAFETY: borrowed for the call; whether it is open is for the kernel to see.
        let fd = unsafe { BorrowedFd::borrow_raw(a.fd) };
        let head = Head { cmd: IOCTL_PRIME_FD_TO_HANDLE, ..Head::ask(Ask::Ioctl) };
        let answer = self.link.ask_with(head, payload, &[], Some(fd))?;
        self.link.copy_payload(&answer, payload)
    }

    fn check(&self) -> Result<(), Errno> {
        if fork::is_forked_child() {
            return Err(Errno::OwnerDead);
        }
        if self.link.lost.load(Ordering::Acquire) { Err(Errno::NoDev) } else { Ok(()) }
    }
}

impl Node for Served {
    fn ioctl(&self, cmd: u32, payload: &mut [u8]) -> Result<(), Errno> {
        self.check()?;
        // As ioctl(2): the size is part of the number.
        let size = (cmd >> 16 & 0x3fff) as usize;
        let payload = payload.get_mut(..size).ok_or(Errno::Inval)?;
        match cmd {
            VINCI_IOCTL_WAIT => self.wait(payload),
            VINCI_IOCTL_QUEUE_KICK => self.kick(payload),
            VINCI_IOCTL_QUEUE_CREATE => self.queue_create(payload),
            VINCI_IOCTL_QUEUE_DESTROY => self.queue_destroy(payload),
            VINCI_IOCTL_EVENT_READ => self.event_read(payload),
            VINCI_IOCTL_DEV_QUERY => self.query(payload),
            VINCI_IOCTL_BO_USERPTR => self.userptr(payload),
            IOCTL_PRIME_HANDLE_TO_FD => self.export(payload),
            IOCTL_PRIME_FD_TO_HANDLE => self.import(payload),
            _ if size > ROOM => Err(Errno::NoTty),
            _ => self.ask(cmd, payload),
        }
    }

    fn mmap(&self, offset: u64, len: usize) -> Result<Mapping, Errno> {
        self.check()?;
        self.link.map(offset, len)
    }

    fn poll(&self, timeout: Option<Duration>) -> Result<bool, Errno> {
        self.check()?;
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        let look = || {
            let answer = self.link.ask(Head::ask(Ask::Poll), &[], &[])?;
            Ok((answer.head.arg != 0).then_some(true))
        };
        match self.until(deadline, look) {
            Err(Errno::Time) => Ok(false),
            other => other,
        }
    }

    fn describe(&self) -> String {
        format!("served: {}", self.link.path)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if fork::is_forked_child() {
            // The thread is the parent's; the child's copy of the socket keeps nothing alive that matters.
            std::mem::forget(self.watcher.take());
            return;
        }
        self.link.hang_up();
        if let Some(watcher) = self.watcher.take() {
            // As after close(2), what the file had is free again. It only panics if poll does, which it does not.
            let _ = watcher.join();
        }
    }
}
