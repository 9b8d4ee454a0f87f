//! What a process sends to `vinci serve`: packets of any kind. The server lives on and serves the next one.
#![no_main]

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, sendmsg, socket,
};
use vinci_device::Profile;
use vinci_driver::uapi::*;
use vinci_driver::{Handle, Policy, Served, Server};

#[derive(Arbitrary, Debug)]
struct Packet {
    /// What it asks for, if it is a packet of the protocol.
    what: u8,
    request: u8,
    /// Another number, for requests that there are not.
    cmd: Option<u32>,
    payload: Vec<u8>,
    memory: Vec<u8>,
    arg: u64,
    len: u64,
    /// Says another length.
    lie: Option<(u32, u32)>,
    /// Sends the payload alone.
    bare: bool,
    descriptor: bool,
}

/// Those that answer at once.
const REQUESTS: &[u32] = &[
    VINCI_IOCTL_DEV_QUERY,
    VINCI_IOCTL_VM_CREATE,
    VINCI_IOCTL_VM_DESTROY,
    VINCI_IOCTL_VM_MAP,
    VINCI_IOCTL_VM_UNMAP,
    VINCI_IOCTL_VM_PEER,
    VINCI_IOCTL_BO_CREATE,
    VINCI_IOCTL_BO_USERPTR,
    VINCI_IOCTL_BO_INFO,
    VINCI_IOCTL_QUEUE_CREATE,
    VINCI_IOCTL_QUEUE_DESTROY,
    VINCI_IOCTL_QUEUE_RESET,
    VINCI_IOCTL_QUEUE_KICK,
    VINCI_IOCTL_QUEUE_RESUME,
    VINCI_IOCTL_QUEUE_QUERY,
    VINCI_IOCTL_EVENT_READ,
    VINCI_IOCTL_TELEMETRY,
    VINCI_IOCTL_CODE_LOAD,
    VINCI_IOCTL_CODE_UNLOAD,
    IOCTL_GEM_CLOSE,
    IOCTL_PRIME_HANDLE_TO_FD,
    IOCTL_PRIME_FD_TO_HANDLE,
];

fn serve() -> PathBuf {
    let path = vinci_fuzz::socket_path("served");
    let profile = Profile::by_name("910c").expect("a built-in profile");
    let server = Server::bind(&path, profile, Policy::default()).expect("a server");
    std::thread::spawn(move || server.run().expect("a server that runs"));
    path
}

fn client(path: &PathBuf) -> OwnedFd {
    let fd =
        socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
    connect(fd.as_raw_fd(), &UnixAddr::new(path).expect("a path")).expect("the server listens");
    fd
}

/// The header of a packet, as `driver/node/src/served/wire.rs` has it.
fn head(what: u32, cmd: u32, payload: u32, memory: u32, arg: u64, len: u64) -> Vec<u8> {
    let words = [u32::from_le_bytes(*b"VNC1"), what, cmd, payload, memory, 0];
    let longs = [arg, len];
    [words.map(u32::to_ne_bytes).as_flattened(), longs.map(u64::to_ne_bytes).as_flattened()].concat()
}

fn send(socket: &OwnedFd, bytes: &[u8], descriptor: bool) -> bool {
    let fds = [socket.as_raw_fd()];
    let beside = [ControlMessage::ScmRights(&fds)];
    let beside = if descriptor { &beside[..] } else { &[] };
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(socket.as_raw_fd(), &[std::io::IoSlice::new(bytes)], beside, flags, None).is_ok()
}

fuzz_target!(|packets: Vec<Packet>| {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = PATH.get_or_init(serve);
    let socket = client(path);
    send(&socket, &head(1, 0, 0, 0, DRM_VINCI_DRIVER_MAJOR.into(), 0), false);
    for p in packets.iter().take(32) {
        let what = u32::from(p.what % 8);
        let number = REQUESTS[usize::from(p.request) % REQUESTS.len()];
        let cmd = p.cmd.unwrap_or(number);
        let mut payload = p.payload.clone();
        if p.cmd.is_none() && p.lie.is_none() {
            payload.resize((number >> 16 & 0x3fff) as usize, 0);
        }
        let sizes = p.lie.unwrap_or((payload.len() as u32, p.memory.len() as u32));
        let head = if p.bare { Vec::new() } else { head(what, cmd, sizes.0, sizes.1, p.arg, p.len) };
        if !send(&socket, &[head, payload, p.memory.clone()].concat(), p.descriptor) {
            break;
        }
        // What it answers is drained, so that neither side waits for room.
        let mut answer = [0; 16384];
        while matches!(recv(socket.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT), Ok(1..)) {}
    }
    drop(socket);
    let next = Handle::new(std::sync::Arc::new(Served::connect(path).expect("the next one is served")));
    next.device_info().expect("and answered");
});
