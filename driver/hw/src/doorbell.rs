//! The two handshakes of a queue, in which neither side may miss the other.
//!
//! - Submission: the producer stores the tail and then looks whether the scheduler sleeps; the scheduler
//!   says that it will sleep and then looks at the tail once more.
//! - Completion: the device stores the fence and then looks whether somebody waits; the waiter says for
//!   what value it waits and then looks at the fence once more.
//!
//! Both are store, full fence, load on both sides: at least one of the two sees the other's store.

#[cfg(not(all(loom, test)))]
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(all(loom, test))]
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Nobody waits.
pub const NOBODY: u64 = u64::MAX;

/// Producer: publishes `tail`; true if the scheduler must be kicked.
#[inline]
pub fn ring(tail: &AtomicU64, need_kick: &AtomicU32, value: u64) -> bool {
    tail.store(value, Ordering::Release);
    fence(Ordering::SeqCst);
    need_kick.load(Ordering::Relaxed) != 0
}

/// Scheduler: announces sleep. It must look at the tail again before it does, with [`tail`].
pub fn announce_sleep(need_kick: &AtomicU32) {
    need_kick.store(1, Ordering::Relaxed);
    fence(Ordering::SeqCst);
}

/// Scheduler: awake again.
pub fn awake(need_kick: &AtomicU32) {
    need_kick.store(0, Ordering::Relaxed);
}

/// Scheduler: entries ever submitted.
#[inline]
pub fn tail(tail: &AtomicU64) -> u64 {
    tail.load(Ordering::Acquire)
}

/// Device: publishes progress without looking for waiters; [`alert`] must follow before the device rests.
#[inline]
pub fn complete(completed: &AtomicU64, value: u64) {
    completed.store(value, Ordering::Release);
}

/// Device: true if somebody waits for a value that has been reached; the wait is then cleared.
#[inline]
pub fn alert(wait_for: &AtomicU64, reached: u64) -> bool {
    fence(Ordering::SeqCst);
    let mut wanted = wait_for.load(Ordering::Relaxed);
    while wanted <= reached {
        // Somebody who has just asked for less must not hide who sleeps already.
        match wait_for.compare_exchange(wanted, NOBODY, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(now) => wanted = now,
        }
    }
    false
}

/// Waiter: says that it waits for `value`; true if it is complete already and need not sleep.
pub fn wait_for(completed: &AtomicU64, wait_for: &AtomicU64, value: u64) -> bool {
    wait_for.fetch_min(value, Ordering::AcqRel);
    fence(Ordering::SeqCst);
    completed.load(Ordering::Acquire) >= value
}

#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use loom::sync::Arc;

    /// Either the producer kicks, or the scheduler sees the entry before it sleeps.
    #[test]
    fn no_submission_is_lost() {
        loom::model(|| {
            let s = Arc::new((AtomicU64::new(0), AtomicU32::new(0)));
            let producer = {
                let s = s.clone();
                loom::thread::spawn(move || ring(&s.0, &s.1, 1))
            };
            announce_sleep(&s.1);
            let seen = tail(&s.0) == 1;
            let kicked = producer.join().unwrap();
            assert!(seen || kicked);
        });
    }

    /// Either the device alerts, or the waiter sees the completion before it sleeps.
    #[test]
    fn no_completion_is_lost() {
        loom::model(|| {
            let s = Arc::new((AtomicU64::new(0), AtomicU64::new(NOBODY)));
            let waiter = {
                let s = s.clone();
                loom::thread::spawn(move || wait_for(&s.0, &s.1, 1))
            };
            complete(&s.0, 1);
            let alerted = alert(&s.1, 1);
            let saw = waiter.join().unwrap();
            // A waiter that asked after the device looked saw the completion itself.
            assert!(saw || alerted || s.1.load(Ordering::Relaxed) == NOBODY);
            assert!(saw || alerted);
        });
    }

    /// Who sleeps is woken, even if another waiter asks for an earlier entry at that very moment.
    #[test]
    fn a_second_waiter_hides_nobody() {
        loom::model(|| {
            let s = Arc::new((AtomicU64::new(0), AtomicU64::new(NOBODY)));
            assert!(!wait_for(&s.0, &s.1, 2), "nothing is complete, so it sleeps");
            let other = {
                let s = s.clone();
                loom::thread::spawn(move || wait_for(&s.0, &s.1, 1))
            };
            complete(&s.0, 2);
            assert!(alert(&s.1, 2));
            other.join().unwrap();
        });
    }
}
