//! What a client sends to `vinci device`: messages of any kind. The server lives on and serves the next one.
#![no_main]

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use vinci_device::{Profile, sealed};
use vinci_device_server::wire::{Head, Version};
use vinci_device_server::{Options, Server, beside};
use vinci_hw::uapi::Payload;

#[derive(Arbitrary, Debug)]
struct Message {
    command: u8,
    /// Another number, for commands that there are not.
    wild: Option<u16>,
    flags: u8,
    words: Vec<Word>,
    data: Vec<u8>,
    /// Says another length.
    lie: Option<u32>,
    memory: bool,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Word {
    Small(u8),
    Pages(u8),
    /// Two 32-bit words in one.
    Pair(u16, u16),
    Any(u64),
}

fn serve() -> PathBuf {
    let socket = vinci_fuzz::socket_path("vfio-user");
    let control = beside(&socket);
    let profile = Profile::by_name("910b1").expect("a built-in profile");
    let options = Options { profile, socket: socket.clone(), control, lie: None };
    let server = Server::bind(options).expect("a server");
    std::thread::spawn(move || server.run().expect("a server that runs"));
    socket
}

/// A client that is welcome.
fn client(path: &PathBuf) -> UnixStream {
    let mut socket = UnixStream::connect(path).expect("the server listens");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    let version = Version { major: 0, minor: 1 };
    let text = b"{}\0";
    let size = (size_of::<Head>() + size_of::<Version>() + text.len()) as u32;
    let head = Head { id: 1, command: 1, size, flags: 0, error: 0 };
    socket.write_all(&[head.bytes(), version.bytes(), &text[..]].concat()).expect("it reads");
    let mut answer = [0; size_of::<Head>()];
    socket.read_exact(&mut answer).expect("it answers");
    socket
}

fuzz_target!(|messages: Vec<Message>| {
    static START: OnceLock<(PathBuf, OwnedFd)> = OnceLock::new();
    let (path, memory) = START.get_or_init(|| (serve(), sealed("guest", 1 << 20).expect("a memfd").into()));
    let socket = client(path);
    let fds = [memory.as_raw_fd()];
    let fd = [ControlMessage::ScmRights(&fds)];
    for m in messages.iter().take(32) {
        let words = m.words.iter().flat_map(|w| {
            let word = match *w {
                Word::Small(n) => n.into(),
                Word::Pages(n) => u64::from(n) << 12,
                Word::Pair(a, b) => u64::from(a) | u64::from(b) << 32,
                Word::Any(n) => n,
            };
            word.to_le_bytes()
        });
        let body: Vec<u8> = words.chain(m.data.iter().copied()).collect();
        let command = m.wild.unwrap_or(u16::from(m.command % 15));
        let size = m.lie.unwrap_or((size_of::<Head>() + body.len()) as u32);
        let head = Head { id: 2, command, size, flags: u32::from(m.flags) << 4, error: 0 };
        let bytes = [head.bytes(), &body].concat();
        let beside = if m.memory { &fd[..] } else { &[] };
        let parts = [std::io::IoSlice::new(&bytes)];
        if sendmsg::<()>(socket.as_raw_fd(), &parts, beside, MsgFlags::MSG_NOSIGNAL, None).is_err() {
            break;
        }
        let mut answer = [0; 65536];
        socket.set_nonblocking(true).expect("a socket");
        while matches!((&socket).read(&mut answer), Ok(1..)) {}
    }
    drop(socket);
    drop(client(path));
});
