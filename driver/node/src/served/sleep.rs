//! Sleeping across processes: a word in memory that both sides map, and futex(2) on it.
//!
//! A queue's word stands behind the structure in its fence page, a file's word for events in a page of its own.
//! Ringing costs no system call while nobody sleeps. The protocol on the fence itself is `vinci_hw::doorbell`'s.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use vinci_uapi::drm_vinci_queue_fence;

/// Where in a queue's fence page its [`Alarm`] is.
pub(crate) const IN_FENCE_PAGE: usize = 128;
const _: () = assert!(IN_FENCE_PAGE >= size_of::<drm_vinci_queue_fence>());

/// Somebody of another process may sleep on it.
#[repr(C)]
pub(crate) struct Alarm {
    rings: AtomicU32,
    sleepers: AtomicU32,
}

impl Alarm {
    /// The alarm at `page + offset`.
    ///
    /// # Safety
    /// `page` is a mapped page that outlives `'a`, `offset` is aligned to 4 and leaves room; the other side changes
    /// the words through atomics or not at all: whatever it stores, this side stays sound.
    pub(crate) unsafe fn at<'a>(page: NonNull<u8>, offset: usize) -> &'a Self {
        // SAFETY: the caller's promise.
        unsafe { page.add(offset).cast().as_ref() }
    }

    /// Wakes all sleepers.
    pub(crate) fn ring(&self) {
        self.rings.fetch_add(1, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) != 0 {
            // SAFETY: a word that is mapped; waking changes no memory.
            unsafe { libc::syscall(libc::SYS_futex, self.rings.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
        }
    }

    /// Rings so far; to be read before the condition is looked at.
    pub(crate) fn heard(&self) -> u32 {
        self.rings.load(Ordering::SeqCst)
    }

    /// Sleeps until it has rung since `heard` was read; `false` if `deadline` came first.
    pub(crate) fn wait(&self, heard: u32, deadline: Option<Instant>) -> bool {
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let rung = loop {
            if self.rings.load(Ordering::SeqCst) != heard {
                break true;
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break false;
            }
            let limit = left.map(|left| libc::timespec {
                tv_sec: left.as_secs().min(1 << 30) as libc::time_t,
                tv_nsec: left.subsec_nanos().into(),
            });
            let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
            // SAFETY: a word that is mapped, and a time or none. Not FUTEX_PRIVATE: the waker is another process.
            unsafe { libc::syscall(libc::SYS_futex, self.rings.as_ptr(), libc::FUTEX_WAIT, heard, limit) };
        };
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        rung
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_sleeper_is_woken_or_gives_up() {
        let alarm = Alarm { rings: AtomicU32::new(0), sleepers: AtomicU32::new(0) };
        let heard = alarm.heard();
        assert!(!alarm.wait(heard, Some(Instant::now() + Duration::from_millis(5))));
        std::thread::scope(|s| {
            let sleeper = s.spawn(|| alarm.wait(heard, Some(Instant::now() + Duration::from_secs(10))));
            std::thread::sleep(Duration::from_millis(10));
            alarm.ring();
            assert!(sleeper.join().unwrap());
        });
        assert!(alarm.wait(heard, None), "it has rung already");
        assert_eq!(alarm.sleepers.load(Ordering::Relaxed), 0);
    }
}
