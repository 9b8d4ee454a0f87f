//! Starting the process: from a memfd, with a socket and the shared memory as its only files.

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use libc::pid_t;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

/// The process of a jail.
pub(crate) enum Process {
    /// Not there yet.
    Starting,
    /// A child that has not been reaped.
    Running(pid_t),
    /// Reaped, or never made.
    Ended,
}

/// Stack of the child until it is another program.
const STACK: usize = 64 << 10;

struct Child {
    program: RawFd,
    control: RawFd,
    socket: RawFd,
}

/// The program, in a file that can be executed; made once per process.
fn program() -> io::Result<&'static File> {
    static PROGRAM: OnceLock<File> = OnceLock::new();
    if let Some(file) = PROGRAM.get() {
        return Ok(file);
    }
    const MFD_EXEC: u32 = 0x10;
    let make = |flags: u32| {
        // SAFETY: a constant name.
        let fd = unsafe { libc::memfd_create(c"vinci-jail".as_ptr(), flags) };
        // SAFETY: a file that was just made.
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(unsafe { File::from_raw_fd(fd) }) }
    };
    // Kernels before 6.3 do not know MFD_EXEC.
    let mut file = make(libc::MFD_CLOEXEC | MFD_EXEC).or_else(|_| make(libc::MFD_CLOEXEC))?;
    file.write_all(crate::PROGRAM)?;
    Ok(PROGRAM.get_or_init(|| file))
}

/// A file number above those that the child gives a meaning.
fn high(fd: &impl AsRawFd) -> io::Result<OwnedFd> {
    // SAFETY: duplicates a file that is open.
    let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 10) };
    // SAFETY: a file that was just made.
    if copy < 0 { Err(io::Error::last_os_error()) } else { Ok(unsafe { OwnedFd::from_raw_fd(copy) }) }
}

/// Runs in the child, in this process's memory, while the calling thread waits: system calls only.
extern "C" fn become_jail(child: *mut c_void) -> c_int {
    // SAFETY: `start` waits with it on its stack; the calls below are async-signal-safe.
    unsafe {
        let child = &*child.cast::<Child>();
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        const CLOEXEC: u32 = 4;
        if libc::dup2(child.control, 0) < 0
            || libc::dup2(child.socket, 1) < 0
            || libc::syscall(libc::SYS_close_range, 2u32, u32::MAX, CLOEXEC) != 0
        {
            return 125;
        }
        let name = c"vinci-jail".as_ptr();
        let argv = [name, std::ptr::null()];
        let envp = [std::ptr::null::<libc::c_char>()];
        libc::syscall(
            libc::SYS_execveat,
            child.program,
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
        126
    }
}

/// Starts the process; its number, and our end of the socket. It ends with the calling thread.
pub(crate) fn start(control: &File) -> io::Result<(pid_t, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    let (control, socket, program) = (high(control)?, high(&theirs)?, high(program()?)?);
    let mut child =
        Child { program: program.as_raw_fd(), control: control.as_raw_fd(), socket: socket.as_raw_fd() };
    let mut stack = vec![0u128; STACK / 16];
    // SAFETY: with CLONE_VFORK this thread sleeps until the child has another program or has ended, so the stack and
    // `child` outlive its use of them; signals stay blocked meanwhile, so that no handler runs in the child.
    let pid = unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let top = stack.as_mut_ptr().add(stack.len()).cast();
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let pid = libc::clone(become_jail, top, flags, (&raw mut child).cast());
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        if pid < 0 {
            return Err(error);
        }
        pid
    };
    drop(stack);
    Ok((pid, ours))
}
