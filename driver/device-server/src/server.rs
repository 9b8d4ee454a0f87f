//! The server: listens for clients and for control, and gives each client a function of its own, one after another.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{Shutdown, shutdown};
use parking_lot::Mutex;
use vinci_device::Profile;

use crate::function::{Function, FunctionError};
use crate::lie::Lie;
use crate::{control, session};

/// How long a new client waits for the one before it to be cleared away.
const GRACE: Duration = Duration::from_secs(3);

/// Why a device cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another server has the socket.
    #[error("{0}: another server has this socket; give this one another with --socket")]
    Taken(PathBuf),
    /// Something else is there.
    #[error("{0} exists and is not a socket; remove it, or choose another path")]
    NotASocket(PathBuf),
    /// The function.
    #[error(transparent)]
    Function(#[from] FunctionError),
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

/// What to serve, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The chip.
    pub profile: Profile,
    /// Where clients connect.
    pub socket: PathBuf,
    /// Where requests to inject errors come in.
    pub control: PathBuf,
    /// What every function lies about from the start.
    pub lie: Option<Lie>,
}

/// The client whose turn it is.
struct Current {
    function: Arc<Function>,
    socket: UnixStream,
}

#[derive(Default)]
struct Shared {
    current: Mutex<Option<Current>>,
    stopping: AtomicBool,
}

/// A device and its sockets.
pub struct Server {
    options: Options,
    clients: UnixListener,
    shared: Arc<Shared>,
}

/// Ends a server from another thread.
#[derive(Clone)]
pub struct Stopper {
    shared: Arc<Shared>,
    socket: PathBuf,
}

impl Stopper {
    /// [`Server::run`] returns soon; a client that is connected is cut off.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        if let Some(current) = self.shared.current.lock().as_ref() {
            let _ = current.socket.shutdown(std::net::Shutdown::Both);
        }
        // The thread that accepts looks again.
        let _ = UnixStream::connect(&self.socket);
    }
}

impl Server {
    /// Listens. A socket that a server left behind is replaced.
    pub fn bind(options: Options) -> Result<Self, ServeError> {
        // A function that cannot be made is heard of now, not when the first client comes.
        drop(Function::new(options.profile.clone(), 0)?);
        let clients = listen(&options.socket)?;
        let controls = listen(&options.control)?;
        let shared = Arc::<Shared>::default();
        let (path, of) = (options.control.clone(), shared.clone());
        let thread = thread::Builder::new().name("vinci-control".into());
        let spawned = thread.spawn(move || {
            for socket in controls.incoming().flatten() {
                if of.stopping.load(Ordering::Acquire) {
                    return;
                }
                let function = of.current.lock().as_ref().map(|c| c.function.clone());
                if let Err(e) = control::answer(&socket, function.as_deref()) {
                    log::debug!("control: {e}");
                }
            }
        });
        spawned.map_err(|error| ServeError::System { path, what: "starting a thread", error })?;
        Ok(Self { options, clients, shared })
    }

    /// What ends it.
    pub fn stopper(&self) -> Stopper {
        Stopper { shared: self.shared.clone(), socket: self.options.socket.clone() }
    }

    /// A sentence about the device.
    pub fn describe(&self) -> String {
        let p = &self.options.profile;
        let dies = if p.dies == 1 { "one die" } else { &format!("{} dies", p.dies) };
        format!("{}: {dies}, {} GiB of HBM each", p.product, p.die.hbm_bytes >> 30)
    }

    /// Serves until it is stopped.
    pub fn run(&self) -> Result<(), ServeError> {
        let failed = |what, error| ServeError::System { path: self.options.socket.clone(), what, error };
        let mut last: Option<thread::JoinHandle<()>> = None;
        let mut serial = 0;
        loop {
            let (socket, _) = match self.clients.accept() {
                Ok(accepted) => accepted,
                // The client gave up, or there are no descriptors left for it.
                Err(e) if !self.stopping() => {
                    log::warn!("a client could not be let in: {e}");
                    thread::sleep(Duration::from_millis(50));
                    continue;
                }
                Err(_) => break,
            };
            if self.stopping() {
                break;
            }
            let since = Instant::now();
            while last.as_ref().is_some_and(|t| !t.is_finished()) && since.elapsed() < GRACE {
                thread::sleep(Duration::from_millis(5));
            }
            if last.as_ref().is_some_and(|t| !t.is_finished()) {
                log::warn!("a second client was turned away: a function belongs to one machine at a time");
                let refusal = move || {
                    let _ = socket.set_read_timeout(Some(GRACE));
                    let _ = session::refuse(&socket);
                };
                let thread = thread::Builder::new().name("vinci-refusal".into());
                thread.spawn(refusal).map_err(|e| failed("starting a thread", e))?;
                continue;
            }
            if let Some(thread) = last.take() {
                // A panic was reported where it happened; the next client has a function of its own.
                let _ = thread.join();
            }
            serial += 1;
            last = Some(self.begin(socket, serial).map_err(|e| failed("a client's function", e))?);
        }
        if let Some(thread) = last {
            let _ = thread.join();
        }
        Ok(())
    }

    fn stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Acquire)
    }

    /// Starts to serve a client.
    fn begin(&self, socket: UnixStream, serial: u64) -> io::Result<thread::JoinHandle<()>> {
        let function = Function::new(self.options.profile.clone(), serial).map_err(io::Error::other)?;
        let function = Arc::new(function);
        if let Some(lie) = self.options.lie {
            function.liar.set(Some(lie));
        }
        let current = Current { function: function.clone(), socket: socket.try_clone()? };
        *self.shared.current.lock() = Some(current);
        if self.stopping() {
            // Whoever stopped the server may have looked before there was something to cut off.
            shutdown(std::os::fd::AsRawFd::as_raw_fd(&socket), Shutdown::Both)?;
        }
        let shared = self.shared.clone();
        thread::Builder::new().name("vinci-client".into()).spawn(move || {
            log::info!("a machine connected");
            let end = session::serve(&socket, &function);
            *shared.current.lock() = None;
            let s = control::status(&function);
            log::info!(
                "the machine went{}: {} register reads, {} writes ({} kicks), {} interrupts, {} resets",
                end.as_ref().err().map_or_else(String::new, |e| format!(" ({e})")),
                s.register_reads,
                s.register_writes,
                s.kicks,
                s.interrupts,
                s.resets,
            );
            // Nothing of it runs when the next one comes.
            function.reset();
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for path in [&self.options.socket, &self.options.control] {
            let _ = fs::remove_file(path);
        }
    }
}

/// Listens at `path`, for this user only.
fn listen(path: &Path) -> Result<UnixListener, ServeError> {
    let failed = |what, error| ServeError::System { path: path.to_owned(), what, error };
    match fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => {
            if UnixStream::connect(path).is_ok() {
                return Err(ServeError::Taken(path.to_owned()));
            }
            fs::remove_file(path).map_err(|e| failed("the old socket cannot be removed", e))?;
        }
        Ok(_) => return Err(ServeError::NotASocket(path.to_owned())),
        Err(_) => {}
    }
    // A name of its own first, so that nobody else can connect before only this user may.
    let mut own = path.as_os_str().to_owned();
    own.push(format!(".{}", std::process::id()));
    let own = PathBuf::from(own);
    let listener = UnixListener::bind(&own).map_err(|e| failed("bind", e))?;
    fs::set_permissions(&own, fs::Permissions::from_mode(0o600)).map_err(|e| failed("chmod", e))?;
    fs::rename(&own, path).map_err(|e| failed("rename", e))?;
    Ok(listener)
}
