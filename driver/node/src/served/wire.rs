//! What goes over the socket: one packet per request and one per answer, a header and the bytes it announces;
//! descriptors travel beside them.
//!
//! The payloads are those of ioctl(2). Memory that a payload points to travels behind it, so that the server
//! follows no pointer.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, RecvMsg, recvmsg, sendmsg};
use vinci_core::Errno;

/// Says that both sides mean the same by a packet.
pub(crate) const MAGIC: u32 = u32::from_le_bytes(*b"VNC1");
/// Bytes of payload and memory at most.
pub(crate) const ROOM: usize = 8192;
const HEAD: usize = size_of::<Head>();

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Ask {
    /// First of all: `arg` is the interface's version. Answers the file's page as a descriptor.
    Hello = 1,
    /// The request `cmd` on the payload.
    Ioctl = 2,
    /// As `Ioctl` for a queue's kick, without an answer.
    Kick = 3,
    /// A mapping of `len` bytes at `arg`: the descriptor, where in it, and what to release with it.
    Map = 4,
    /// The mapping `arg` is gone. No answer.
    Release = 5,
    /// Whether there is an event to read.
    Poll = 6,
}

impl Ask {
    pub(crate) fn from_raw(raw: u32) -> Option<Self> {
        use Ask::*;
        [Hello, Ioctl, Kick, Map, Release, Poll].into_iter().find(|&a| a as u32 == raw)
    }

    /// Whether the other side waits.
    pub(crate) fn is_answered(self) -> bool {
        !matches!(self, Self::Kick | Self::Release)
    }
}

/// Before the bytes of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Head {
    pub(crate) magic: u32,
    /// An [`Ask`]; in an answer 0, or the errno.
    pub(crate) what: u32,
    pub(crate) cmd: u32,
    /// Bytes of the payload.
    pub(crate) payload: u32,
    /// Bytes of the memory that it points to.
    pub(crate) memory: u32,
    pub(crate) pad: u32,
    pub(crate) arg: u64,
    pub(crate) len: u64,
}

/// A packet as it came.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) head: Head,
    pub(crate) payload: Vec<u8>,
    pub(crate) memory: Vec<u8>,
    pub(crate) fd: Option<OwnedFd>,
}

impl Head {
    pub(crate) fn ask(what: Ask) -> Self {
        Self { what: what as u32, ..Self::default() }
    }

    fn bytes(&self) -> [u8; HEAD] {
        let mut b = [0; HEAD];
        let words = [self.magic, self.what, self.cmd, self.payload, self.memory, self.pad];
        b[..24].copy_from_slice(words.map(u32::to_ne_bytes).as_flattened());
        b[24..].copy_from_slice([self.arg, self.len].map(u64::to_ne_bytes).as_flattened());
        b
    }

    fn from_bytes(b: &[u8; HEAD]) -> Self {
        let (words, _) = b[..24].as_chunks::<4>();
        let (longs, _) = b[24..].as_chunks::<8>();
        let w = |n: usize| u32::from_ne_bytes(words[n]);
        let l = |n: usize| u64::from_ne_bytes(longs[n]);
        Self {
            magic: w(0),
            what: w(1),
            cmd: w(2),
            payload: w(3),
            memory: w(4),
            pad: w(5),
            arg: l(0),
            len: l(1),
        }
    }
}

/// Sends a packet. A peer that does not read holds this up, and nobody else.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    mut head: Head,
    payload: &[u8],
    memory: &[u8],
    fd: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    (head.magic, head.payload, head.memory) = (MAGIC, payload.len() as u32, memory.len() as u32);
    let head = head.bytes();
    let parts = [IoSlice::new(&head), IoSlice::new(payload), IoSlice::new(memory)];
    let fds = fd.map(|fd| [fd.as_raw_fd()]);
    let beside: Vec<_> = fds.iter().map(|fds| ControlMessage::ScmRights(fds)).collect();
    loop {
        match sendmsg::<()>(socket.as_raw_fd(), &parts, &beside, MsgFlags::MSG_NOSIGNAL, None) {
            Ok(_) => return Ok(()),
            Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Receives a packet; `None` at the end. A packet that contradicts itself is an error, `InvalidData`.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Packet>> {
    let mut bytes = [0u8; HEAD + ROOM];
    let mut beside = nix::cmsg_space!([std::os::fd::RawFd; 4]);
    let (count, cut, mut fds) = loop {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut beside), flags) {
            Ok(message) => {
                // A descriptor for which there was no room is missed by who wants it.
                let cut = message.flags.contains(MsgFlags::MSG_TRUNC);
                break (message.bytes, cut, descriptors(&message));
            }
            Err(nix::errno::Errno::EINTR) => {}
            Err(nix::errno::Errno::ECONNRESET) => return Ok(None),
            Err(e) => return Err(e.into()),
        }
    };
    if count == 0 {
        return Ok(None);
    }
    let bad = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let (head, rest) =
        bytes[..count].split_first_chunk::<HEAD>().ok_or_else(|| bad("a packet without a header"))?;
    let head = Head::from_bytes(head);
    if cut || fds.len() > 1 || head.magic != MAGIC || head.pad != 0 {
        return Err(bad("a packet of another protocol"));
    }
    let (payload, memory) = (head.payload as usize, head.memory as usize);
    if payload.checked_add(memory) != Some(rest.len()) {
        return Err(bad("a packet that is not as long as it says"));
    }
    let (payload, memory) = rest.split_at(payload);
    Ok(Some(Packet { head, payload: payload.to_vec(), memory: memory.to_vec(), fd: fds.pop() }))
}

fn descriptors(message: &RecvMsg<'_, '_, ()>) -> Vec<OwnedFd> {
    let Ok(all) = message.cmsgs() else { return Vec::new() };
    let raw = all.filter_map(|c| if let ControlMessageOwned::ScmRights(fds) = c { Some(fds) } else { None });
    // SAFETY: the kernel has just made these descriptors for this process, and nobody else knows them.
    raw.flatten().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect()
}

/// An errno as it came over the wire.
pub(crate) fn errno(raw: u32) -> Errno {
    Errno::from_raw(raw as i32).unwrap_or(Errno::Io)
}

/// The process at the other end: pid, uid, gid.
pub(crate) fn peer(socket: &impl AsFd) -> io::Result<libc::ucred> {
    let credentials = nix::sys::socket::getsockopt(socket, nix::sys::socket::sockopt::PeerCredentials)?;
    Ok(credentials.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap()
    }

    #[test]
    fn packets_arrive_whole_with_their_descriptor() {
        let (a, b) = pair();
        let head = Head { cmd: 7, arg: u64::MAX - 1, len: 9, ..Head::ask(Ask::Map) };
        send(a.as_fd(), head, b"pay", b"memory", Some(a.as_fd())).unwrap();
        let p = receive(b.as_fd()).unwrap().unwrap();
        assert_eq!((p.payload, p.memory), (b"pay".to_vec(), b"memory".to_vec()));
        assert_eq!((p.head.arg, p.head.len, p.head.cmd, p.head.what), (u64::MAX - 1, 9, 7, Ask::Map as u32));
        assert!(p.fd.is_some());
        drop((a, p.fd));
        assert!(receive(b.as_fd()).unwrap().is_none());
    }

    #[test]
    fn garbage_is_an_error() {
        for bytes in [&b"x"[..], &[0; 40], &[0xff; 40], &[0x41; 100], &vec![0x41; HEAD + ROOM + 1]] {
            let (a, b) = pair();
            nix::unistd::write(&a, bytes).unwrap();
            assert_eq!(
                receive(b.as_fd()).unwrap_err().kind(),
                io::ErrorKind::InvalidData,
                "{} bytes",
                bytes.len()
            );
        }
    }
}
