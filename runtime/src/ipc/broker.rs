//! The socket at which a process gives away what it exported, and the other end of it.
//!
//! Its name is abstract, a number that nobody knows before; who connects is known by its credentials.

use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
    UnixCredentials, accept4, bind, connect, getsockopt, listen, recvmsg, sendmsg, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;
use nix::unistd::geteuid;
use parking_lot::Mutex;

use crate::{Error, Result};

/// Descriptors of a parcel at most.
pub(super) const MOST_FDS: usize = 8;
/// Words of a parcel at most.
const MOST_WORDS: usize = 64;
/// How long the other side may take to say what it has to say.
const PATIENCE_S: i64 = 5;
const MAGIC: u64 = u64::from_le_bytes(*b"vinciipc");

/// What goes from one process to another.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) kind: u32,
    pub(super) words: Vec<u64>,
    pub(super) fds: Vec<OwnedFd>,
}

/// A parcel, and who may have it.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) parcel: Parcel,
    /// Every process of this user, and root's.
    pub(super) anyone: bool,
    pub(super) pids: Vec<i32>,
}

impl Offer {
    fn is_for(&self, peer: &UnixCredentials) -> bool {
        let same_user = peer.uid() == geteuid().as_raw() || peer.uid() == 0;
        self.pids.contains(&peer.pid()) || self.anyone && same_user
    }
}

/// Why a process gets nothing.
#[derive(Clone, Copy)]
#[repr(u64)]
enum Refusal {
    NotThere = 1,
    NotAllowed = 2,
}

static OFFERS: Mutex<Option<HashMap<u64, Offer>>> = Mutex::new(None);
/// Number of this process's socket.
static HOST: OnceLock<u32> = OnceLock::new();

fn failed(op: &'static str, what: &str) -> impl Fn(nix::errno::Errno) -> Error {
    move |e| Error::Ipc { op, what: format!("{what}: {e}") }
}

fn address(host: u32) -> nix::Result<UnixAddr> {
    UnixAddr::new_abstract(format!("vinci-ipc-{host:08x}").as_bytes())
}

fn seqpacket() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)
}

/// The number of this process's socket, which is made and listened to the first time.
fn host(op: &'static str, mut random: impl FnMut() -> Result<u64>) -> Result<u32> {
    static MAKING: Mutex<()> = Mutex::new(());
    let _one = MAKING.lock();
    if let Some(host) = HOST.get() {
        return Ok(*host);
    }
    let socket = seqpacket().map_err(failed(op, "socket"))?;
    let host = loop {
        let number = random()? as u32;
        match bind(socket.as_raw_fd(), &address(number).map_err(failed(op, "bind"))?) {
            Ok(()) => break number,
            Err(nix::errno::Errno::EADDRINUSE) => {}
            Err(e) => return Err(failed(op, "bind")(e)),
        }
    };
    listen(&socket, Backlog::MAXCONN).map_err(failed(op, "listen"))?;
    let thread = std::thread::Builder::new().name("vinci-ipc".into());
    let spawned = thread.spawn(move || serve(&socket));
    spawned.map_err(|e| Error::Ipc { op, what: format!("no thread can be started: {e}") })?;
    Ok(*HOST.get_or_init(|| host))
}

/// Offers a parcel under a token that `random` makes; answers the socket and the token.
pub(super) fn offer(
    op: &'static str,
    offer: Offer,
    mut random: impl FnMut() -> Result<u64>,
) -> Result<(u32, u64)> {
    if offer.parcel.fds.len() > MOST_FDS || offer.parcel.words.len() > MOST_WORDS {
        return Err(Error::value(op, "it lies in too many pieces"));
    }
    let host = host(op, &mut random)?;
    let mut offers = OFFERS.lock();
    let offers = offers.get_or_insert_default();
    let token = loop {
        let token = random()?;
        if !offers.contains_key(&token) {
            break token;
        }
    };
    offers.insert(token, offer);
    Ok((host, token))
}

pub(super) fn allow(token: u64, pids: &[i32]) {
    if let Some(offer) = OFFERS.lock().as_mut().and_then(|offers| offers.get_mut(&token)) {
        offer.pids.extend(pids);
    }
}

pub(super) fn withdraw(token: u64) {
    let offer = OFFERS.lock().as_mut().and_then(|offers| offers.remove(&token));
    drop(offer);
}

/// Answers one process after the other, for ever.
fn serve(socket: &OwnedFd) {
    // Signals of the program are for its own threads.
    let _ = nix::sys::signal::SigSet::all().thread_block();
    loop {
        match accept4(socket.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
            Ok(fd) => {
                // SAFETY: the kernel has just made it for this process.
                let peer = unsafe { OwnedFd::from_raw_fd(fd) };
                // Whoever has gone, or says nothing, is not waited for.
                let _ = answer(&peer);
            }
            // Without descriptors nothing can be answered for a while.
            Err(nix::errno::Errno::EMFILE | nix::errno::Errno::ENFILE) => {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            Err(_) => {}
        }
    }
}

fn patience(socket: &OwnedFd) -> nix::Result<()> {
    setsockopt(socket, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE_S, 0))?;
    setsockopt(socket, sockopt::SendTimeout, &TimeVal::new(PATIENCE_S, 0))
}

fn answer(socket: &OwnedFd) -> nix::Result<()> {
    patience(socket)?;
    let peer = getsockopt(socket, sockopt::PeerCredentials)?;
    let (words, _) = receive(socket)?;
    let [MAGIC, token] = words[..] else { return Ok(()) };
    let offers = OFFERS.lock();
    let refusal = match offers.as_ref().and_then(|offers| offers.get(&token)) {
        Some(offer) if offer.is_for(&peer) => {
            let Parcel { kind, words, fds } = &offer.parcel;
            let head = [MAGIC, 0, (*kind).into()];
            let words: Vec<u64> = head.into_iter().chain(words.iter().copied()).collect();
            return send(socket, &words, &fds.iter().map(AsRawFd::as_raw_fd).collect::<Vec<_>>());
        }
        Some(_) => Refusal::NotAllowed,
        None => Refusal::NotThere,
    };
    send(socket, &[MAGIC, refusal as u64, 0], &[])
}

/// Asks the process behind a socket for what a token names there.
pub(super) fn ask(op: &'static str, host: u32, token: u64) -> Result<Parcel> {
    if HOST.get() == Some(&host) {
        return Err(Error::value(op, "this process exported it itself"));
    }
    let gone = |_| Error::Ipc { op, what: "the process that exported it is gone".into() };
    let lost = failed(op, "the process that exported it does not answer");
    let socket = seqpacket().map_err(failed(op, "socket"))?;
    patience(&socket).map_err(failed(op, "setsockopt"))?;
    connect(socket.as_raw_fd(), &address(host).map_err(gone)?).map_err(gone)?;
    let peer = getsockopt(&socket, sockopt::PeerCredentials).map_err(&lost)?;
    // A stranger may take the name of a process that ended, but not its user.
    let known = peer.uid() == geteuid().as_raw() || peer.uid() == 0 || geteuid().is_root();
    if !known {
        return Err(Error::Ipc { op, what: format!("user {} is somebody else", peer.uid()) });
    }
    send(&socket, &[MAGIC, token], &[]).map_err(&lost)?;
    let (words, fds) = receive(&socket).map_err(&lost)?;
    match &words[..] {
        [MAGIC, 0, kind, words @ ..] => Ok(Parcel { kind: *kind as u32, words: words.to_vec(), fds }),
        [MAGIC, refusal, ..] if *refusal == Refusal::NotThere as u64 => {
            Err(Error::value(op, "the process that made the key offers nothing under it any more"))
        }
        [MAGIC, refusal, ..] if *refusal == Refusal::NotAllowed as u64 => Err(Error::NotAllowed { op }),
        _ => Err(super::broken(op)),
    }
}

fn send(socket: &OwnedFd, words: &[u64], fds: &[RawFd]) -> nix::Result<()> {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
    let rights = [ControlMessage::ScmRights(fds)];
    let beside = if fds.is_empty() { &[][..] } else { &rights[..] };
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&bytes)], beside, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// Words and descriptors; nothing at the end.
fn receive(socket: &OwnedFd) -> nix::Result<(Vec<u64>, Vec<OwnedFd>)> {
    let mut bytes = [0u8; (MOST_WORDS + 3) * 8];
    let mut beside = nix::cmsg_space!([RawFd; MOST_FDS]);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut beside), flags)?;
    let mut fds = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = part {
            // SAFETY: the kernel has just made these descriptors for this process, and nobody else knows them.
            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    let count = message.bytes;
    let (words, _) = bytes[..count].as_chunks::<8>();
    Ok((words.iter().map(|w| u64::from_ne_bytes(*w)).collect(), fds))
}
