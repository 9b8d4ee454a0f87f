//! The server's end of a connection: one open file, whose requests are executed in order.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use nix::sys::socket::{setsockopt, sockopt};
use vinci_core::{DmaMemory, Errno, Mapped, Platform, Step, UserCopy};
use vinci_hw::regs::PAGE_SIZE;
use vinci_uapi::*;

use crate::host::Dma;
use crate::machine::{Machine, process_name};
use crate::served::client::Client;
use crate::served::sleepers::Sleepers;
use crate::served::wire::{self, Ask, Head, Packet};

/// How long who connects may take to say what it wants.
const HELLO_LIMIT_S: i64 = 10;
/// Different buffer objects that a process can have mapped at once; as the kernel limits mappings.
const MOST_HELD: usize = 65530;

/// An open file of another process. Dropped, it is closed, with all that the process made.
pub(crate) struct Session {
    machine: Arc<Machine>,
    sleepers: Arc<Sleepers>,
    socket: Arc<OwnedFd>,
    file: u32,
    queues: Vec<(u32, Dma)>,
    /// Buffer objects that the process has mapped, and how often.
    holds: HashMap<u32, u32>,
    pid: u32,
    /// May do what concerns other processes too.
    privileged: bool,
}

/// An answer besides the payload.
#[derive(Default)]
struct Answer {
    head: Head,
    memory: Vec<u8>,
    fd: Option<OwnedFd>,
}

/// Memory that a payload points to, as it travelled behind it.
struct Behind {
    at: u64,
    memory: Vec<u8>,
}

impl UserCopy for Behind {
    fn copy_in(&mut self, to: &mut [u8], from: u64) -> Result<(), Errno> {
        let from = self.memory.get(..to.len()).filter(|_| from == self.at).ok_or(Errno::Fault)?;
        to.copy_from_slice(from);
        Ok(())
    }

    fn copy_out(&mut self, to: u64, from: &[u8]) -> Result<(), Errno> {
        if to != self.at || from.len() > self.memory.len() {
            return Err(Errno::Fault);
        }
        self.memory = from.to_vec();
        Ok(())
    }
}

impl Session {
    /// Opens a file for the process at the other end and says so.
    pub(crate) fn open(
        machine: Arc<Machine>,
        sleepers: Arc<Sleepers>,
        socket: Arc<OwnedFd>,
        peer: &libc::ucred,
        privileged: bool,
    ) -> io::Result<Self> {
        let patience = |seconds| {
            let limit = nix::sys::time::TimeVal::new(seconds, 0);
            setsockopt(&*socket, sockopt::ReceiveTimeout, &limit)
        };
        patience(HELLO_LIMIT_S)?;
        let hello = wire::receive(socket.as_fd())?.ok_or(io::ErrorKind::UnexpectedEof)?;
        patience(0)?;
        let refuse = |errno: Errno| {
            let head = Head { what: errno as u32, ..Head::default() };
            let _ = wire::send(socket.as_fd(), head, &[], &[], None);
            io::Error::from_raw_os_error(errno as i32)
        };
        if hello.head.what != Ask::Hello as u32 || hello.head.arg != u64::from(DRM_VINCI_DRIVER_MAJOR) {
            return Err(refuse(Errno::Proto));
        }
        let pid = peer.pid as u32;
        let file = machine.driver().open(pid, &process_name(pid)).map_err(refuse)?;
        let session = Self {
            machine,
            sleepers,
            socket: socket.clone(),
            file,
            queues: Vec::new(),
            holds: HashMap::new(),
            pid: peer.pid as u32,
            privileged,
        };
        let page = session.machine.driver().platform().alloc(PAGE_SIZE).map_err(refuse)?;
        let fd = descriptor(&page)?;
        session.sleepers.add_file(file, page);
        wire::send(socket.as_fd(), Head::default(), &[], &[], Some(fd.as_fd()))?;
        Client::enter(Arc::new(Client::new(&socket, peer)));
        Ok(session)
    }

    /// Executes requests until the process hangs up (`Ok`) or sends what is none.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        while let Some(mut packet) = wire::receive(self.socket.as_fd())? {
            let Some(ask) = Ask::from_raw(packet.head.what) else {
                let head = Head { what: Errno::Proto as u32, ..Head::default() };
                wire::send(self.socket.as_fd(), head, &[], &[], None)?;
                return Err(io::Error::new(io::ErrorKind::InvalidData, "an unknown kind of request"));
            };
            let answer = self.execute(ask, &mut packet);
            if !ask.is_answered() {
                continue;
            }
            let fd = self.socket.as_fd();
            match answer {
                Ok(a) => wire::send(fd, a.head, &packet.payload, &a.memory, a.fd.as_ref().map(AsFd::as_fd))?,
                Err(e) => {
                    let head = Head { what: e as u32, ..Head::default() };
                    wire::send(fd, head, &[], &[], None)?
                }
            }
        }
        Ok(())
    }

    fn execute(&mut self, ask: Ask, packet: &mut Packet) -> Result<Answer, Errno> {
        match ask {
            Ask::Hello => Err(Errno::Proto),
            Ask::Ioctl => self.ioctl(packet),
            Ask::Kick => {
                let queue_id = u32::try_from(packet.head.arg).map_err(|_| Errno::Inval)?;
                let mut id = drm_vinci_queue_id { queue_id, pad: 0 };
                let none = Behind { at: 0, memory: Vec::new() };
                self.machine.driver().ioctl(self.file, VINCI_IOCTL_QUEUE_KICK, id.bytes_mut(), none)?;
                Ok(Answer::default())
            }
            Ask::Map => self.map(packet.head.arg, packet.head.len),
            Ask::Release => {
                let buffer = u32::try_from(packet.head.arg).map_err(|_| Errno::NoEnt)?;
                let times = self.holds.get_mut(&buffer).ok_or(Errno::NoEnt)?;
                *times -= 1;
                if *times == 0 {
                    self.holds.remove(&buffer);
                }
                self.machine.driver().unexport(buffer);
                Ok(Answer::default())
            }
            Ask::Poll => {
                let some = self.machine.driver().has_events(self.file);
                Ok(Answer { head: Head { arg: some.into(), ..Head::default() }, ..Answer::default() })
            }
        }
    }

    fn ioctl(&mut self, packet: &mut Packet) -> Result<Answer, Errno> {
        let payload = &mut packet.payload[..];
        match packet.head.cmd {
            VINCI_IOCTL_WAIT => {
                let a = drm_vinci_wait::from_bytes(payload).ok_or(Errno::Inval)?;
                return match self.machine.driver().wait_step(self.file, &a)? {
                    Step::Ready(()) => Ok(Answer::default()),
                    Step::Sleep => Err(Errno::Time),
                };
            }
            VINCI_IOCTL_EVENT_READ => {
                let mut a = drm_vinci_event_read::from_bytes(payload).ok_or(Errno::Inval)?;
                let Step::Ready((event, lost)) = self.machine.driver().event_step(self.file)? else {
                    return Err(Errno::Time);
                };
                (a.event, a.lost) = (event, lost);
                payload[..size_of::<drm_vinci_event_read>()].copy_from_slice(a.bytes());
                return Ok(Answer::default());
            }
            VINCI_IOCTL_QUEUE_DESTROY => {
                self.machine.queue_destroy(self.file, payload)?;
                let a = drm_vinci_queue_id::from_bytes(payload).ok_or(Errno::Inval)?;
                // The number may be another's by now: who sleeps is known by the fence, too.
                let sleepers = &self.sleepers;
                self.queues
                    .extract_if(.., |(id, _)| *id == a.queue_id)
                    .for_each(|(id, f)| sleepers.remove_queue(id, &f));
                return Ok(Answer::default());
            }
            VINCI_IOCTL_RESET | VINCI_IOCTL_INJECT if !self.privileged => return Err(Errno::Perm),
            IOCTL_PRIME_HANDLE_TO_FD => {
                let a = drm_prime_handle::from_bytes(payload).ok_or(Errno::Inval)?;
                let who = (self.file, self.pid);
                let fd = self.machine.exports.export(&mut self.machine.driver(), who, &a)?;
                return Ok(Answer { fd: Some(fd), ..Answer::default() });
            }
            IOCTL_PRIME_FD_TO_HANDLE => {
                let mut a = drm_prime_handle::from_bytes(payload).ok_or(Errno::Inval)?;
                let fd = packet.fd.take().ok_or(Errno::BadF)?;
                a.handle =
                    self.machine.exports.import(&mut self.machine.driver(), self.file, fd.as_raw_fd())?;
                payload[..size_of::<drm_prime_handle>()].copy_from_slice(a.bytes());
                return Ok(Answer::default());
            }
            _ => {}
        }
        let at = match packet.head.cmd {
            VINCI_IOCTL_DEV_QUERY => drm_vinci_dev_query::from_bytes(payload).ok_or(Errno::Inval)?.data,
            _ => 0,
        };
        let mut behind = Behind { at, memory: std::mem::take(&mut packet.memory) };
        self.machine.driver().ioctl(self.file, packet.head.cmd, payload, &mut behind)?;
        if packet.head.cmd == VINCI_IOCTL_QUEUE_CREATE {
            self.queue_created(payload)?;
        }
        Ok(Answer { memory: behind.memory, ..Answer::default() })
    }

    /// From now on completions of the queue are heard in the other process.
    fn queue_created(&mut self, payload: &[u8]) -> Result<(), Errno> {
        let a = drm_vinci_queue_create::from_bytes(payload).ok_or(Errno::Inval)?;
        let fence = match self.machine.driver().mapped(self.file, a.fence_offset, PAGE_SIZE)? {
            Mapped::Dma(fence, _) => fence.clone(),
            _ => return Err(Errno::Proto),
        };
        self.sleepers.add_queue(a.queue_id, fence.clone());
        self.queues.push((a.queue_id, fence));
        Ok(())
    }

    fn map(&mut self, offset: u64, len: u64) -> Result<Answer, Errno> {
        let mut driver = self.machine.driver();
        let (fd, at) = match driver.mapped(self.file, offset, len)? {
            Mapped::Dma(dma, at) => (descriptor(dma).map_err(|_| Errno::NoMem)?, at),
            Mapped::Doorbell(queue) => self.machine.device.share_doorbell(queue).map_err(|_| Errno::NoMem)?,
            Mapped::Hbm(..) if self.holds.len() >= MOST_HELD => return Err(Errno::NoMem),
            Mapped::Hbm(die, at) => {
                let (start, size) = driver.extent(self.file, offset)?;
                let shared = self.machine.device.share_hbm(die, start, size).map_err(|e| {
                    log::error!("die {die}: HBM {start:#x}..{:#x} cannot be shared: {e}", start + size);
                    Errno::NoMem
                })?;
                let buffer = driver.hold(self.file, offset)?;
                *self.holds.entry(buffer).or_default() += 1;
                let head =
                    Head { cmd: 1, arg: shared.1 + (at - start), len: buffer.into(), ..Head::default() };
                return Ok(Answer { head, fd: Some(shared.0), ..Answer::default() });
            }
        };
        Ok(Answer { head: Head { arg: at, ..Head::default() }, fd: Some(fd), ..Answer::default() })
    }
}

fn descriptor(dma: &Dma) -> io::Result<OwnedFd> {
    let file = dma.file().ok_or(io::ErrorKind::Unsupported)?;
    debug_assert_eq!(file.metadata()?.len(), dma.len());
    Ok(file.try_clone()?.into())
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut driver = self.machine.driver();
        for (buffer, times) in self.holds.drain() {
            (0..times).for_each(|_| driver.unexport(buffer));
        }
        driver.close(self.file);
        drop(driver);
        self.queues.drain(..).for_each(|(queue, fence)| self.sleepers.remove_queue(queue, &fence));
        self.sleepers.remove_file(self.file);
    }
}
