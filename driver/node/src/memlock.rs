//! Pinned memory counts against RLIMIT_MEMLOCK of the process that pins it, as the kernel counts it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use vinci_core::Errno;

use crate::fork::is_forked_child;

/// CAP_IPC_LOCK, which lifts the limit.
const IPC_LOCK: u32 = 14;
/// _LINUX_CAPABILITY_VERSION_3
const VERSION: u32 = 0x2008_0522;

/// Pinned bytes by process.
#[derive(Default)]
pub(crate) struct Locked(Mutex<HashMap<u32, u64>>);

/// A part of what a process has pinned.
pub(crate) struct Share {
    all: Arc<Locked>,
    pid: u32,
    bytes: u64,
}

/// Whether a process may lock as much as it likes.
fn is_unlimited(pid: u32) -> bool {
    let header = [VERSION, pid];
    // Effective, permitted, inheritable; twice 32 bits each.
    let mut data = [0u32; 6];
    // SAFETY: version 3 reads a header of two words and stores six.
    let r = unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr()) };
    r == 0 && data[0] & 1 << IPC_LOCK != 0
}

/// What a process may lock: its soft limit, or this process's own where that of the other is a secret.
fn limit(pid: u32) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let ask = |pid, to: &mut libc::rlimit| {
        // SAFETY: sets nothing, and stores one structure.
        unsafe { libc::prlimit(pid, libc::RLIMIT_MEMLOCK, std::ptr::null(), to) == 0 }
    };
    if ask(pid as libc::pid_t, &mut limit) || ask(0, &mut limit) { limit.rlim_cur } else { 0 }
}

impl Locked {
    /// Counts `bytes` more for a process. `Errno::NoMem` beyond its limit.
    pub(crate) fn take(self: &Arc<Self>, pid: u32, bytes: u64) -> Result<Share, Errno> {
        let mut all = self.0.lock();
        let held = all.get(&pid).copied().unwrap_or(0).checked_add(bytes).ok_or(Errno::NoMem)?;
        if held > limit(pid) && !is_unlimited(pid) {
            return Err(Errno::NoMem);
        }
        all.insert(pid, held);
        Ok(Share { all: self.clone(), pid, bytes })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if is_forked_child() {
            return;
        }
        let mut all = self.all.0.lock();
        if let Some(held) = all.get_mut(&self.pid) {
            *held -= self.bytes;
            if *held == 0 {
                all.remove(&self.pid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_locks_no_more_than_its_limit() {
        let all = Arc::new(Locked::default());
        let pid = std::process::id();
        let most = limit(pid);
        if is_unlimited(pid) || most == u64::MAX {
            let a = all.take(pid, 4096).unwrap();
            let b = all.take(pid, 8192).unwrap();
            drop(a);
            assert_eq!(all.0.lock().get(&pid), Some(&8192));
            drop(b);
        } else {
            let a = all.take(pid, most).unwrap();
            assert!(matches!(all.take(pid, 1), Err(Errno::NoMem)));
            drop(a);
        }
        assert!(all.0.lock().is_empty());
    }
}
