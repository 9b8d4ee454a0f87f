//! The jail's thread in the device: starts the process, answers its requests for memory, and hears of its end.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use crate::jail::{Backing, Found, Shared};
use crate::layout::*;
use crate::spawn::{self, Process};

/// How often the process is looked at while it works.
const LOOK: Duration = Duration::from_millis(5);

pub(crate) fn futex_wake(word: &AtomicU32, n: i32) {
    // SAFETY: the word lives; it may lie in shared memory.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, n) };
}

fn futex_wait(word: &AtomicU32, value: u32, limit: Option<Duration>) {
    let time = limit.map(|t| libc::timespec { tv_sec: t.as_secs() as _, tv_nsec: t.subsec_nanos() as _ });
    let time = time.as_ref().map_or(std::ptr::null(), |t| t as *const libc::timespec);
    // SAFETY: the word and the time live during the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, time) };
}

/// Lives as long as the process.
pub(crate) fn run(s: &Shared, backing: &dyn Backing) {
    let begun = Instant::now();
    let socket = match spawn::start(&s.file) {
        Ok((pid, socket)) => {
            *s.process.lock() = Process::Running(pid);
            socket
        }
        Err(e) => {
            log::error!("jail: its process cannot be started: {e}");
            return end(s, backing);
        }
    };
    let control = s.control();
    let (mut up, mut moved) = (false, Instant::now());
    let mut tail = 0;
    loop {
        let seen = control.bell.load(Ordering::Acquire);
        if !up && control.up.load(Ordering::Acquire) != 0 {
            up = true;
            let spaces = control.namespaces.load(Ordering::Relaxed);
            log::debug!("jail: up after {:?}, namespaces {spaces:#x}", begun.elapsed());
        }
        if control.request.state.load(Ordering::Acquire) == ASKED {
            answer(control, backing, &socket);
        }
        if s.stop.load(Ordering::Acquire) || has_ended(s) {
            return end(s, backing);
        }
        let outstanding = s.outstanding.load(Ordering::Acquire);
        if outstanding == 0 {
            control.active.store(s.usual, Ordering::Release);
            moved = Instant::now();
        } else {
            backing.progress();
            control.work.fetch_add(1, Ordering::AcqRel);
            futex_wake(&control.work, s.usual as i32);
            let now = control.tail.load(Ordering::Acquire);
            if now != tail {
                (tail, moved) = (now, Instant::now());
            }
            if moved.elapsed() > LOOK {
                grow(control);
                moved = Instant::now();
            }
        }
        futex_wait(&control.bell, seen, (outstanding != 0).then_some(LOOK));
    }
}

/// Lets one more worker work: those that do may all be busy with kernels that do not end, or wait for one another.
fn grow(control: &Control) {
    let active = control.active.load(Ordering::Relaxed);
    if active < (WORKERS as u32).min(control.config.workers) {
        control.active.store(active + 1, Ordering::Release);
        futex_wake(&control.active, i32::MAX);
    }
}

fn answer(control: &Control, backing: &dyn Backing, socket: &OwnedFd) {
    let r = &control.request;
    let (va, write) = (r.va.load(Ordering::Relaxed), r.write.load(Ordering::Relaxed) != 0);
    let state = match backing.find(va, write) {
        Found::Nothing => DENIED,
        Found::Present => PRESENT,
        Found::Writable(start, len) => {
            r.start.store(start, Ordering::Relaxed);
            r.len.store(len, Ordering::Relaxed);
            WRITABLE
        }
        Found::File(file, map) => {
            // SAFETY: plain numbers.
            let bytes =
                unsafe { std::slice::from_raw_parts((&raw const map).cast::<u8>(), size_of::<Map>()) };
            let files = [file.as_raw_fd()];
            let sent = sendmsg::<()>(
                socket.as_raw_fd(),
                &[IoSlice::new(bytes)],
                &[ControlMessage::ScmRights(&files)],
                MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT,
                None,
            );
            match sent {
                Ok(_) => SENT,
                Err(e) => {
                    log::error!("jail: memory at {va:#x} cannot be sent: {e}");
                    DENIED
                }
            }
        }
    };
    r.state.store(state, Ordering::Release);
    futex_wake(&r.state, 1);
}

/// Whether the process has ended by itself.
fn has_ended(s: &Shared) -> bool {
    let mut process = s.process.lock();
    let Process::Running(pid) = *process else { return true };
    let mut status = 0;
    // SAFETY: our own child.
    let ended = unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } != 0;
    if ended {
        log::debug!("jail: process {pid} ended with status {status:#x}");
        *process = Process::Ended;
    }
    ended
}

/// Ends and reaps the process, and lets go of who waits.
fn end(s: &Shared, backing: &dyn Backing) {
    {
        let mut process = s.process.lock();
        if let Process::Running(pid) = *process {
            // SAFETY: our own child, which has not been reaped.
            unsafe {
                libc::kill(pid, libc::SIGKILL);
                libc::waitpid(pid, std::ptr::null_mut(), 0);
            }
        }
        *process = Process::Ended;
    }
    s.ended.store(true, Ordering::Release);
    backing.progress();
}
