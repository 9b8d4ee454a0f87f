//! The vfio-user protocol: messages of a header and a body over a stream socket, descriptors beside them.
//!
//! Everything here comes from a client that may be broken or hostile: a length is checked before it is believed,
//! and what cannot be understood is an error, never a panic. (That is why the protocol is not the `vfio_user`
//! crate's: its server panics on a short version message and allocates what a client asks for.)

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, RecvMsg, recvmsg, sendmsg};
use vinci_hw::uapi::Payload;

/// Bytes of data in one message at most.
pub const MAX_DATA: usize = 1 << 20;
/// Descriptors in one message at most, which is also QEMU's limit.
pub const MAX_FDS: usize = 16;
/// How long the rest of a message may take once it has begun.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Command {
    /// First of all: [`Version`] and JSON text.
    Version = 1,
    /// [`DmaMap`], with the memory's descriptor.
    DmaMap = 2,
    /// [`DmaUnmap`].
    DmaUnmap = 3,
    /// [`DeviceInfo`].
    DeviceInfo = 4,
    /// [`RegionInfo`]; answered with the region's descriptor.
    RegionInfo = 5,
    /// [`IrqInfo`].
    IrqInfo = 7,
    /// [`IrqSet`], with eventfds.
    IrqSet = 8,
    /// [`RegionAccess`]; answered with the data.
    RegionRead = 9,
    /// [`RegionAccess`] and the data.
    RegionWrite = 10,
    /// Nothing.
    Reset = 13,
}

impl Command {
    /// From a header.
    pub fn from_raw(raw: u16) -> Option<Self> {
        use Command::*;
        let all = [
            Version,
            DmaMap,
            DmaUnmap,
            DeviceInfo,
            RegionInfo,
            IrqInfo,
            IrqSet,
            RegionRead,
            RegionWrite,
            Reset,
        ];
        all.into_iter().find(|&c| c as u16 == raw)
    }
}

macro_rules! layouts {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type),* }

        const _: () = assert!(size_of::<$name>() == 0 $(+ size_of::<$type>())*);
        // SAFETY: repr(C), integers only; the assertion leaves no room for padding.
        unsafe impl Payload for $name {}
    )* };
}

layouts! {
    /// Before every body.
    Head {
        /// Comes back in the answer.
        id: u16,
        /// A [`Command`].
        command: u16,
        /// Bytes of the message with its header.
        size: u32,
        /// See [`flag`].
        flags: u32,
        /// An errno, in an answer with [`flag::ERROR`].
        error: u32,
    }
    /// Before the JSON text of [`Command::Version`].
    Version {
        /// 0.
        major: u16,
        /// Of the protocol.
        minor: u16,
    }
    /// Guest memory that the device may reach from now on.
    DmaMap {
        /// Bytes of this structure.
        argsz: u32,
        /// Bit 0: it may read, bit 1: it may write.
        flags: u32,
        /// Where in the descriptor it begins.
        offset: u64,
        /// Guest-physical (or I/O virtual) address.
        address: u64,
        /// Bytes.
        size: u64,
    }
    /// Guest memory that the device may not reach any more.
    DmaUnmap {
        /// Bytes of this structure.
        argsz: u32,
        /// Bit 1: with a bitmap of dirty pages; bit 2: all there is.
        flags: u32,
        /// First byte.
        address: u64,
        /// Bytes.
        size: u64,
    }
    /// What kind of device it is.
    DeviceInfo {
        /// Bytes of this structure.
        argsz: u32,
        /// Bit 0: it can be reset, bit 1: it is a PCI function.
        flags: u32,
        /// BARs, ROM, config space, VGA.
        regions: u32,
        /// Kinds of interrupts.
        irqs: u32,
    }
    /// A region.
    RegionInfo {
        /// Bytes of this structure and of what follows; of a request: for how many there is room.
        argsz: u32,
        /// See [`region`].
        flags: u32,
        /// Which.
        index: u32,
        /// Where in the answer the capabilities begin.
        cap_offset: u32,
        /// Bytes.
        size: u64,
        /// Where in the descriptor the region begins.
        offset: u64,
    }
    /// Behind [`RegionInfo`]: the parts that can be mapped.
    SparseMap {
        /// 1.
        id: u16,
        /// 1.
        version: u16,
        /// 0: the last capability.
        next: u32,
        /// How many [`Area`]s follow.
        areas: u32,
        /// 0.
        reserved: u32,
    }
    /// A part of a region that can be mapped.
    Area {
        /// In the region.
        offset: u64,
        /// Bytes.
        size: u64,
    }
    /// A kind of interrupt.
    IrqInfo {
        /// Bytes of this structure.
        argsz: u32,
        /// Bit 0: by eventfd; bit 3: all vectors at once.
        flags: u32,
        /// Which.
        index: u32,
        /// Vectors.
        count: u32,
    }
    /// Where interrupts go.
    IrqSet {
        /// Bytes of this structure.
        argsz: u32,
        /// See [`irq`].
        flags: u32,
        /// Which kind.
        index: u32,
        /// First vector.
        start: u32,
        /// Vectors.
        count: u32,
    }
    /// Bytes of a region.
    RegionAccess {
        /// In the region.
        offset: u64,
        /// Which.
        region: u32,
        /// Bytes.
        count: u32,
    }
}

/// Bits of [`Head::flags`].
pub mod flag {
    /// Type in the low bits; 1 is an answer.
    pub const REPLY: u32 = 1;
    /// All bits of the type.
    pub const TYPE: u32 = 0xf;
    /// The sender waits for no answer.
    pub const NO_REPLY: u32 = 1 << 4;
    /// The answer is an error.
    pub const ERROR: u32 = 1 << 5;
}

/// Regions of a PCI function, and their flags.
pub mod region {
    /// The config space; BARs are 0 to 5.
    pub const CONFIG: u32 = 7;
    /// How many there are.
    pub const COUNT: u32 = 9;
    /// Can be read.
    pub const READ: u32 = 1 << 0;
    /// Can be written.
    pub const WRITE: u32 = 1 << 1;
    /// Can be mapped.
    pub const MMAP: u32 = 1 << 2;
    /// Capabilities follow.
    pub const CAPS: u32 = 1 << 3;
}

/// Kinds of interrupts of a PCI function, and flags of [`IrqSet`].
pub mod irq {
    /// MSI-X.
    pub const MSIX: u32 = 2;
    /// "An error that the host could not mend": QEMU stops the machine.
    pub const ERROR: u32 = 3;
    /// "Give the device back": QEMU unplugs it.
    pub const REQUEST: u32 = 4;
    /// How many kinds there are.
    pub const COUNT: u32 = 5;
    /// No data.
    pub const DATA_NONE: u32 = 1 << 0;
    /// A byte per vector.
    pub const DATA_BOOL: u32 = 1 << 1;
    /// A descriptor per vector.
    pub const DATA_EVENTFD: u32 = 1 << 2;
    /// What is done.
    pub const ACTION: u32 = 0x38;
    /// Interrupts are triggered, or by whom they are.
    pub const ACTION_TRIGGER: u32 = 1 << 5;
}

/// A message as it came.
#[derive(Debug)]
pub struct Message {
    /// Its header.
    pub head: Head,
    /// What follows.
    pub body: Vec<u8>,
    /// Descriptors that came with it.
    pub fds: Vec<OwnedFd>,
}

/// Receives a message; `None` at the end. After an error of kind `InvalidData` nothing more can be understood.
pub fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Message>> {
    let mut fds = Vec::new();
    let mut head = Head::default();
    if !fill(socket, head.bytes_mut(), &mut fds, None)? {
        return Ok(None);
    }
    let len = (head.size as usize).checked_sub(size_of::<Head>());
    // Before the data there may be the largest of the structures above.
    let len =
        len.filter(|&len| len <= MAX_DATA + 64).ok_or_else(|| bad("a message of an impossible size"))?;
    let mut body = vec![0; len];
    fill(socket, &mut body, &mut fds, Some(Instant::now() + PATIENCE))?;
    Ok(Some(Message { head, body, fds }))
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Fills `bytes`; false if the other side ended before the first of them. With a deadline, such an end is an error.
fn fill(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
    fds: &mut Vec<OwnedFd>,
    deadline: Option<Instant>,
) -> io::Result<bool> {
    let (mut at, mut deadline) = (0, deadline);
    let mut beside = nix::cmsg_space!([RawFd; MAX_FDS]);
    while at < bytes.len() {
        if let Some(end) = deadline {
            let left = end.saturating_duration_since(Instant::now()).as_millis() as u16;
            let mut readable = [PollFd::new(socket, PollFlags::POLLIN)];
            match poll(&mut readable, PollTimeout::from(left)) {
                Ok(0) => return Err(bad("a message that does not end")),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        let mut parts = [IoSliceMut::new(&mut bytes[at..])];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut beside), flags) {
            Ok(message) => {
                let (got, cut) = (message.bytes, message.flags.contains(MsgFlags::MSG_CTRUNC));
                fds.extend(descriptors(&message));
                if cut || fds.len() > MAX_FDS {
                    return Err(bad("a message with more descriptors than there may be"));
                }
                match got {
                    0 if at == 0 && deadline.is_none() => return Ok(false),
                    0 => return Err(bad("half a message")),
                    got => at += got,
                }
            }
            Err(Errno::EINTR) => {}
            Err(Errno::ECONNRESET) => return Ok(false),
            Err(e) => return Err(e.into()),
        }
        deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
    }
    Ok(true)
}

fn descriptors(message: &RecvMsg<'_, '_, ()>) -> Vec<OwnedFd> {
    let Ok(all) = message.cmsgs() else { return Vec::new() };
    let raw = all.filter_map(|c| if let ControlMessageOwned::ScmRights(fds) = c { Some(fds) } else { None });
    // SAFETY: the kernel has just made these descriptors for this process, and nobody else knows them.
    raw.flatten().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect()
}

/// Sends a message, whose size is set here. A peer that does not read holds this up, and nobody else.
pub fn send(
    socket: &impl AsFd,
    mut head: Head,
    body: &[&[u8]],
    fd: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    head.size = (size_of::<Head>() + body.iter().map(|part| part.len()).sum::<usize>()) as u32;
    let mut bytes = Vec::with_capacity(head.size as usize);
    bytes.extend_from_slice(head.bytes());
    body.iter().for_each(|part| bytes.extend_from_slice(part));
    let raw = fd.map(|fd| [fd.as_raw_fd()]);
    let mut beside: Vec<_> = raw.iter().map(|fds| ControlMessage::ScmRights(fds)).collect();
    let mut at = 0;
    while at < bytes.len() {
        let parts = [IoSlice::new(&bytes[at..])];
        match sendmsg::<()>(socket.as_fd().as_raw_fd(), &parts, &beside, MsgFlags::MSG_NOSIGNAL, None) {
            Ok(sent) => {
                at += sent;
                beside.clear();
            }
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn messages_arrive_whole_with_their_descriptors() {
        let (a, b) = UnixStream::pair().unwrap();
        let head = Head { id: 7, command: Command::DmaMap as u16, ..Head::default() };
        let map = DmaMap { argsz: 32, flags: 3, offset: 1, address: u64::MAX, size: 9 };
        let null = std::fs::File::open("/dev/null").unwrap();
        send(&a, head, &[map.bytes(), b"more"], Some(null.as_fd())).unwrap();
        send(&a, head, &[], None).unwrap();
        let m = receive(b.as_fd()).unwrap().unwrap();
        assert_eq!((m.head.id, m.head.size as usize, m.fds.len()), (7, 16 + 32 + 4, 1));
        assert_eq!(DmaMap::from_bytes(&m.body), Some(map));
        assert_eq!(&m.body[32..], b"more");
        assert!(receive(b.as_fd()).unwrap().unwrap().body.is_empty());
        drop(a);
        assert!(receive(b.as_fd()).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_a_message_is_an_error() {
        let huge = Head { size: u32::MAX, ..Head::default() };
        let small = Head { size: 15, ..Head::default() };
        let half = Head { size: 100, ..Head::default() };
        for bytes in [huge.bytes(), small.bytes(), half.bytes(), &[1, 2, 3]] {
            let (mut a, b) = UnixStream::pair().unwrap();
            a.write_all(bytes).unwrap();
            drop(a);
            assert_eq!(receive(b.as_fd()).unwrap_err().kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
    }

    #[test]
    fn commands_round_trip() {
        for raw in 0..64 {
            assert!(Command::from_raw(raw).is_none_or(|c| c as u16 == raw));
        }
    }
}
