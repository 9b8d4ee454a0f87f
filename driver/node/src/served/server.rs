//! The server: hosts one device, and opens a file of it for every process that connects and may.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, Backlog, Shutdown, SockFlag, SockType, UnixAddr, accept4, bind, listen, shutdown, socket,
};
use parking_lot::Mutex;
use vinci_core::{Errno, Limits};
use vinci_device::Profile;
use vinci_uapi::*;

use crate::machine::{Machine, process_name};
use crate::node::OpenError;
use crate::served::session::Session;
use crate::served::sleepers::Sleepers;
use crate::served::wire::{self, Head};

/// Connections at once, and those of one process.
const CONNECTIONS: usize = 1024;
const OF_ONE_PROCESS: usize = 64;

/// Buffer objects of one process unless the policy says otherwise: each may cost the server a descriptor.
const OBJECTS: u32 = 1 << 16;

/// Who may connect, and how much each process may hold.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Users besides root and the server's own.
    pub uids: Vec<u32>,
    /// Groups; it is the process's own group that counts.
    pub gids: Vec<u32>,
    /// What one process may hold.
    pub limits: Limits,
}

impl Default for Policy {
    fn default() -> Self {
        let limits = Limits { objects: OBJECTS, ..Limits::NONE };
        Self { uids: Vec::new(), gids: Vec::new(), limits }
    }
}

/// Why a device cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The device.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Another server has the socket.
    #[error("{0}: another server has this socket; give this one another with --socket")]
    Taken(PathBuf),
    /// Something else is there.
    #[error("{0} exists and is not a socket; remove it, or choose another path with --socket")]
    NotASocket(PathBuf),
    /// The operating system.
    #[error("{path}: {what}: {error}")]
    System {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        error: io::Error,
    },
}

/// Ends a server from another thread.
#[derive(Clone)]
pub struct Stopper(Arc<EventFd>);

impl Stopper {
    /// [`Server::run`] returns soon.
    pub fn stop(&self) {
        // It fails when it was written 2^64 - 2 times.
        let _ = self.0.write(1);
    }
}

/// A device and its socket.
pub struct Server {
    machine: Arc<Machine>,
    sleepers: Arc<Sleepers>,
    socket: OwnedFd,
    path: PathBuf,
    policy: Policy,
    stopper: Stopper,
    /// Process and socket of each connection.
    connected: Mutex<HashMap<u64, (u32, Arc<OwnedFd>)>>,
    stopping: AtomicBool,
    /// Held as long as the server lives; the path beside the socket.
    lock: Flock<File>,
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

impl Server {
    /// Makes a device of a chip and listens at `path`. A socket that a server left behind is replaced.
    pub fn bind(path: &Path, profile: Profile, policy: Policy) -> Result<Self, ServeError> {
        let failed = |what, error: io::Error| ServeError::System { path: path.to_owned(), what, error };
        let lock = File::create(beside(path)).map_err(|e| failed("the lock file beside it", e))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
            .map_err(|_| ServeError::Taken(path.to_owned()))?;
        // A server that ended just now has removed the file that was locked here: the next one would lock another.
        let same =
            fs::metadata(beside(path)).is_ok_and(|m| lock.metadata().is_ok_and(|l| l.ino() == m.ino()));
        if !same {
            return Err(ServeError::Taken(path.to_owned()));
        }
        match fs::symlink_metadata(path) {
            // Who holds the lock knows that nobody listens there.
            Ok(there) if there.file_type().is_socket() => {
                log::info!("{}: a server left this socket behind; it is replaced", path.display());
                fs::remove_file(path).map_err(|e| failed("the old socket cannot be removed", e))?;
            }
            Ok(_) => return Err(ServeError::NotASocket(path.to_owned())),
            Err(_) => {}
        }
        raise_descriptor_limit();
        let machine = Machine::new(profile, DRM_VINCI_HOME_SERVED)?;
        machine.driver().set_limits(policy.limits);
        let sleepers = Arc::new(Sleepers::default());
        // Nobody else can have set it: the machine is new.
        let _ = machine.host.listener.set(sleepers.clone());
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)
            .map_err(|e| failed("socket", e.into()))?;
        let address = UnixAddr::new(path).map_err(|e| failed("the path cannot be a socket's", e.into()))?;
        bind(socket.as_raw_fd(), &address).map_err(|e| failed("bind", e.into()))?;
        // Whoever connects is asked for its credentials all the same.
        let mode = if policy.uids.is_empty() && policy.gids.is_empty() { 0o600 } else { 0o666 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|e| failed("chmod", e))?;
        let backlog = Backlog::new(128).unwrap_or(Backlog::MAXCONN);
        listen(&socket, backlog).map_err(|e| failed("listen", e.into()))?;
        let stopper = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let stopper = Stopper(Arc::new(stopper.map_err(|e| failed("eventfd", e.into()))?));
        Ok(Self {
            machine,
            sleepers,
            socket,
            path: path.to_owned(),
            policy,
            stopper,
            connected: Mutex::default(),
            stopping: AtomicBool::new(false),
            lock,
        })
    }

    /// What ends it.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// A sentence about the device.
    pub fn describe(&self) -> String {
        let p = self.machine.device.profile();
        format!("{} ({} dies, {} GiB HBM each)", p.name, p.dies, p.die.hbm_bytes >> 30)
    }

    /// Serves until it is stopped; then every process loses the device.
    pub fn run(&self) -> Result<(), ServeError> {
        std::thread::scope(|scope| {
            scope.spawn(|| self.deliver());
            let mut number = 0;
            let result = loop {
                let mut fds = [
                    PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
                    PollFd::new(self.stopper.0.as_fd(), PollFlags::POLLIN),
                ];
                match poll(&mut fds, PollTimeout::NONE) {
                    Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                    Err(e) => break Err(e),
                }
                if fds[1].any().unwrap_or(false) {
                    break Ok(());
                }
                let flags = SockFlag::SOCK_CLOEXEC;
                match accept4(self.socket.as_raw_fd(), flags) {
                    Ok(fd) => {
                        number += 1;
                        // SAFETY: the kernel has just made it for this process.
                        self.admit(scope, number, unsafe { OwnedFd::from_raw_fd(fd) });
                    }
                    Err(nix::errno::Errno::EMFILE | nix::errno::Errno::ENFILE) => {
                        log::warn!("no descriptor is left for another process");
                        std::thread::sleep(Duration::from_millis(100));
                    }
                    // Whoever wanted to connect has gone.
                    Err(_) => {}
                }
            };
            self.stopping.store(true, Ordering::Release);
            self.machine.host.bells[0].ring();
            self.connected.lock().values().for_each(|(_, socket)| {
                let _ = shutdown(socket.as_raw_fd(), Shutdown::Both);
            });
            result.map_err(|e| ServeError::System { path: self.path.clone(), what: "poll", error: e.into() })
        })
    }

    /// Lets a process in, on a thread of its own, if it may.
    fn admit<'s>(&'s self, scope: &'s std::thread::Scope<'s, '_>, number: u64, socket: OwnedFd) {
        let refuse = |socket: &OwnedFd, errno: Errno| {
            let head = Head { what: errno as u32, ..Head::default() };
            let _ = wire::send(socket.as_fd(), head, &[], &[], None);
        };
        let Ok(peer) = wire::peer(&socket) else { return };
        // SAFETY: asks for this process's own number.
        let own = unsafe { libc::geteuid() };
        let privileged = peer.uid == 0 || peer.uid == own;
        if !privileged && !self.policy.uids.contains(&peer.uid) && !self.policy.gids.contains(&peer.gid) {
            log::warn!(
                "process {} of user {} group {} was refused; --allow-uid or --allow-gid lets it in",
                peer.pid,
                peer.uid,
                peer.gid
            );
            return refuse(&socket, Errno::Perm);
        }
        let pid = peer.pid as u32;
        let (all, own) = {
            let connected = self.connected.lock();
            (connected.len(), connected.values().filter(|(of, _)| *of == pid).count())
        };
        if all >= CONNECTIONS || own >= OF_ONE_PROCESS {
            log::warn!("process {pid} was refused: it has {own} of {all} connections");
            return refuse(&socket, Errno::NoSpc);
        }
        let socket = Arc::new(socket);
        self.connected.lock().insert(number, (pid, socket.clone()));
        let served = socket.clone();
        let thread = std::thread::Builder::new().name(format!("vinci-{pid}")).stack_size(256 << 10);
        let spawned = thread.spawn_scoped(scope, move || {
            self.serve(served, &peer, privileged);
            self.connected.lock().remove(&number);
        });
        if spawned.is_err() {
            self.connected.lock().remove(&number);
            refuse(&socket, Errno::NoMem);
        }
    }

    fn serve(&self, socket: Arc<OwnedFd>, peer: &libc::ucred, privileged: bool) {
        let pid = peer.pid as u32;
        let name = String::from_utf8_lossy(&process_name(pid)).into_owned();
        let open = Session::open(self.machine.clone(), self.sleepers.clone(), socket, peer, privileged);
        let mut session = match open {
            Ok(session) => session,
            Err(e) => return log::warn!("process {pid} ({name}): {e}"),
        };
        log::info!("process {pid} ({name}): connected");
        let end = session.run();
        drop(session);
        match end {
            Ok(()) => log::info!("process {pid} ({name}): gone"),
            Err(e) => log::warn!("process {pid} ({name}): dropped: {e}"),
        }
    }

    /// Hands events to their files as they come; the files' owners sleep in other processes.
    fn deliver(&self) {
        let bell = &self.machine.host.bells[0];
        while !self.stopping.load(Ordering::Acquire) {
            let heard = bell.heard();
            drop(self.machine.driver());
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            bell.wait(heard, None);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The lock's file goes while the lock is still held, so that a server which starts now makes its own.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(beside(&self.path));
        let _ = &self.lock;
    }
}

/// Every queue and every host buffer is a descriptor.
fn raise_descriptor_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(e) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        log::warn!("the limit of descriptors stays {soft}: {e}");
    }
}
