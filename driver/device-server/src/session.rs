//! A client: its messages, one after the other, until it goes or says something that is none.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::sys::stat::fstat;
use serde_json::json;
use vinci_hw::uapi::Payload;

use crate::function::{Function, OutOfRegion};
use crate::interrupts::{self, InterruptError};
use crate::memory::MemoryError;
use crate::wire::*;

/// Why a message was answered with an error.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0:?}: the message is too short or too long")]
    Size(Command),
    #[error("there is no region {0}")]
    NoRegion(u32),
    #[error("there is no kind {0} of interrupts")]
    NoIrq(u32),
    #[error("this protocol version is not spoken here: {0}.{1}")]
    Version(u16, u16),
    #[error("{1} bytes at once, region {0}: at most {MAX_DATA}")]
    TooMuch(u32, u32),
    #[error("dma_unmap: bitmaps of dirty pages are not kept")]
    DirtyPages,
    #[error(transparent)]
    Region(#[from] OutOfRegion),
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error(transparent)]
    Interrupt(#[from] InterruptError),
    #[error("command {0} is not known here")]
    Unknown(u16),
}

impl Refusal {
    fn errno(&self) -> Errno {
        match self {
            Self::Unknown(_) | Self::DirtyPages => Errno::EOPNOTSUPP,
            Self::Memory(MemoryError::TooMany) => Errno::ENOSPC,
            Self::Memory(MemoryError::System { error, .. }) => {
                error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
            }
            Self::Memory(MemoryError::Nothing { .. }) => Errno::ENOENT,
            Self::Memory(MemoryError::Overlap { .. }) => Errno::EEXIST,
            _ => Errno::EINVAL,
        }
    }
}

/// What goes back.
#[derive(Default)]
struct Answer<'a> {
    body: Vec<u8>,
    fd: Option<BorrowedFd<'a>>,
}

impl Answer<'_> {
    fn of(value: &impl Payload) -> Self {
        Self { body: value.bytes().to_vec(), fd: None }
    }
}

/// Errors of one client that are told.
const COMPLAINTS: u32 = 16;

/// Serves a client to its end. An error says why it ended before it wanted to.
pub fn serve(socket: &UnixStream, function: &Function) -> io::Result<()> {
    let client = getsockopt(socket, PeerCredentials).ok().map(|peer| peer.pid());
    let mut complaints = 0u32;
    let mut begun = false;
    while let Some(message) = receive(socket.as_fd())? {
        let head = message.head;
        if head.flags & flag::TYPE != 0 {
            // An answer to something that was never asked.
            continue;
        }
        let command = Command::from_raw(head.command);
        if !begun && command != Some(Command::Version) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the first message is not its version"));
        }
        begun = true;
        let result = match command {
            Some(command) => handle(function, command, message, client),
            None => Err(Refusal::Unknown(head.command)),
        };
        if let Err(e) = &result {
            complaints += 1;
            match complaints {
                ..COMPLAINTS => log::warn!("client: {e}"),
                COMPLAINTS => log::warn!("client: {e}; what more it does wrong is not told"),
                _ => {}
            }
        }
        if head.flags & flag::NO_REPLY != 0 {
            continue;
        }
        let mut reply = Head { flags: flag::REPLY, ..head };
        match result {
            Ok(answer) => send(socket, reply, &[&answer.body], answer.fd)?,
            Err(e) => {
                (reply.flags, reply.error) = (flag::REPLY | flag::ERROR, e.errno() as u32);
                send(socket, reply, &[], None)?;
            }
        }
    }
    Ok(())
}

/// Tells a client whose turn it is not so.
pub fn refuse(socket: &UnixStream) -> io::Result<()> {
    if let Some(message) = receive(socket.as_fd())? {
        let flags = flag::REPLY | flag::ERROR;
        send(socket, Head { flags, error: Errno::EBUSY as u32, ..message.head }, &[], None)?;
    }
    Ok(())
}

/// A body that is exactly one structure.
fn exact<T: Payload>(command: Command, body: &[u8]) -> Result<T, Refusal> {
    T::from_bytes(body).filter(|_| body.len() == size_of::<T>()).ok_or(Refusal::Size(command))
}

/// A body that begins with a structure.
fn begins<T: Payload>(command: Command, body: &[u8]) -> Result<(T, &[u8]), Refusal> {
    let value = T::from_bytes(body).ok_or(Refusal::Size(command))?;
    Ok((value, &body[size_of::<T>()..]))
}

fn handle(
    function: &Function,
    command: Command,
    mut message: Message,
    client: Option<i32>,
) -> Result<Answer<'_>, Refusal> {
    let body = &message.body;
    match command {
        Command::Version => version(body),
        Command::DmaMap => {
            let map = exact::<DmaMap>(command, body)?;
            dma_map(function, &map, message.fds.pop(), client)?;
            Ok(Answer::default())
        }
        Command::DmaUnmap => {
            let (unmap, _) = begins::<DmaUnmap>(command, body)?;
            dma_unmap(function, &unmap)?;
            Ok(Answer::of(&unmap))
        }
        Command::DeviceInfo => {
            begins::<DeviceInfo>(command, body)?;
            let argsz = size_of::<DeviceInfo>() as u32;
            Ok(Answer::of(&DeviceInfo { argsz, flags: 3, regions: region::COUNT, irqs: irq::COUNT }))
        }
        Command::RegionInfo => region_info(function, &begins::<RegionInfo>(command, body)?.0),
        Command::IrqInfo => {
            let (ask, _) = begins::<IrqInfo>(command, body)?;
            if ask.index >= irq::COUNT {
                return Err(Refusal::NoIrq(ask.index));
            }
            let argsz = size_of::<IrqInfo>() as u32;
            Ok(Answer::of(&IrqInfo { argsz, flags: 1, count: interrupts::count(ask.index), ..ask }))
        }
        Command::IrqSet => {
            let (ask, _) = begins::<IrqSet>(command, body)?;
            function.bus.interrupts.set(&ask, message.fds)?;
            Ok(Answer::default())
        }
        Command::RegionRead => {
            let ask = exact::<RegionAccess>(command, body)?;
            if ask.count as usize > MAX_DATA {
                return Err(Refusal::TooMuch(ask.region, ask.count));
            }
            let mut answer = Answer::of(&ask);
            let head = answer.body.len();
            answer.body.resize(head + ask.count as usize, 0);
            function.read(ask.region, ask.offset, &mut answer.body[head..])?;
            Ok(answer)
        }
        Command::RegionWrite => {
            let (ask, data) = begins::<RegionAccess>(command, body)?;
            if ask.count as usize != data.len() {
                return Err(Refusal::Size(command));
            }
            function.write(ask.region, ask.offset, data)?;
            Ok(Answer::of(&ask))
        }
        Command::Reset => {
            function.reset();
            Ok(Answer::default())
        }
    }
}

/// The text with which a client may come is not needed: nothing that it can say changes what is done.
fn version(body: &[u8]) -> Result<Answer<'static>, Refusal> {
    let (asked, _) = begins::<Version>(Command::Version, body)?;
    if asked.major != 0 {
        return Err(Refusal::Version(asked.major, asked.minor));
    }
    let capabilities = json!({ "capabilities": {
        "max_msg_fds": MAX_FDS, "max_data_xfer_size": MAX_DATA, "pgsizes": 4096, "max_dma_maps": 4096,
    } });
    let mut answer = Answer::of(&Version { major: 0, minor: 0 });
    answer.body.extend_from_slice(capabilities.to_string().as_bytes());
    answer.body.push(0);
    Ok(answer)
}

fn dma_map(
    function: &Function,
    map: &DmaMap,
    fd: Option<OwnedFd>,
    client: Option<i32>,
) -> Result<(), MemoryError> {
    let DmaMap { flags, address, size, offset, .. } = *map;
    match fd {
        // ROM: the device has nothing to write there, and no need to read it.
        _ if flags & 2 == 0 => Ok(()),
        Some(fd) if is_private(client, &fd) => Err(MemoryError::Private { address, size }),
        Some(fd) => function.bus.memory.map(address, size, fd.as_fd(), offset),
        // The function's own BARs, through which it does not reach itself.
        None if function.owns_address(address) => Ok(()),
        None => Err(MemoryError::Private { address, size }),
    }
}

/// Whether the client, a process, itself maps this memory only such that its stores stay its own: what `share=off`
/// means in QEMU, which passes the descriptor all the same. False if that cannot be found out.
fn is_private(client: Option<i32>, fd: &OwnedFd) -> bool {
    let Some(pid) = client.filter(|&pid| pid > 0) else { return false };
    let (Ok(stat), Ok(maps)) = (fstat(fd), std::fs::read_to_string(format!("/proc/{pid}/maps"))) else {
        return false;
    };
    private_only(&maps, stat.st_ino)
}

/// Among lines "address permissions offset device inode path": whether there is a mapping of the file, none of them
/// shared.
fn private_only(maps: &str, inode: u64) -> bool {
    let mut kinds = maps.lines().filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().take(5).collect();
        let [_, permissions, _, _, found] = words[..] else { return None };
        (found.parse() == Ok(inode)).then_some(permissions.ends_with('p'))
    });
    kinds.next().is_some_and(|first| first && kinds.all(|private| private))
}

fn dma_unmap(function: &Function, unmap: &DmaUnmap) -> Result<(), Refusal> {
    const DIRTY: u32 = 1 << 1;
    const ALL: u32 = 1 << 2;
    if unmap.flags & DIRTY != 0 {
        return Err(Refusal::DirtyPages);
    }
    let memory = &function.bus.memory;
    match unmap.flags & ALL != 0 {
        true => memory.unmap_all()?,
        false => match memory.unmap(unmap.address, unmap.size) {
            // What was not taken note of when it was mapped, such as ROM.
            Err(MemoryError::Nothing { .. }) => {}
            result => result?,
        },
    }
    Ok(())
}

fn region_info<'a>(function: &'a Function, ask: &RegionInfo) -> Result<Answer<'a>, Refusal> {
    let found = function.region(ask.index).ok_or(Refusal::NoRegion(ask.index))?;
    let mut info = RegionInfo {
        argsz: size_of::<RegionInfo>() as u32,
        index: ask.index,
        size: found.size,
        flags: if found.size == 0 { 0 } else { region::READ | region::WRITE },
        ..RegionInfo::default()
    };
    let Some((fd, areas)) = found.mapped else { return Ok(Answer::of(&info)) };
    info.flags |= region::MMAP | region::CAPS;
    let cap = SparseMap { id: 1, version: 1, areas: areas.len() as u32, ..SparseMap::default() };
    info.argsz += (size_of::<SparseMap>() + areas.len() * size_of::<Area>()) as u32;
    info.cap_offset = size_of::<RegionInfo>() as u32;
    if ask.argsz < info.argsz {
        // A client that leaves no room learns how much it takes, and asks again.
        return Ok(Answer::of(&info));
    }
    let mut answer = Answer { fd: Some(fd), ..Answer::of(&info) };
    answer.body.extend_from_slice(cap.bytes());
    areas.iter().for_each(|area| answer.body.extend_from_slice(area.bytes()));
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_mappings_are_told_from_shared_ones() {
        let maps = "7f00-7f10 rw-p 00000000 00:01 7     /memfd:mem (deleted)\n\
                    7f10-7f20 rw-s 00000000 00:01 8     /memfd:mem (deleted)\n\
                    7f20-7f30 rw-p 00000000 00:01 8     /memfd:mem (deleted)\n\
                    7f30-7f40 rw-p 00000000 00:00 0 \n";
        assert!(private_only(maps, 7));
        assert!(!private_only(maps, 8) && !private_only(maps, 9) && !private_only("nonsense", 7));
    }
}
