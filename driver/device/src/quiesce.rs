//! Waiting until work that began before now has ended, without a lock on the work's side.
//!
//! As in the kernel's SRCU: work counts itself into the current one of two counters; whoever removed
//! something flips which one is current and waits for the other to drain. One flip is not enough, because
//! work may have read the index before the flip and count itself in after the wait saw zero: two flips are.

#[cfg(all(loom, test))]
use loom::sync::atomic::{AtomicUsize, Ordering, fence};
#[cfg(all(loom, test))]
use loom::thread::yield_now;
#[cfg(not(all(loom, test)))]
use std::sync::atomic::{AtomicUsize, Ordering, fence};
#[cfg(not(all(loom, test)))]
use std::thread::yield_now;

/// See the module.
pub struct Quiesce {
    current: AtomicUsize,
    active: [AtomicUsize; 2],
    /// Only one waiter flips at a time.
    flipping: parking_lot::Mutex<()>,
}

/// Work in progress; ends when dropped.
pub struct InUse<'a> {
    owner: &'a Quiesce,
    index: usize,
}

impl Default for Quiesce {
    fn default() -> Self {
        Self {
            current: AtomicUsize::new(0),
            active: [AtomicUsize::new(0), AtomicUsize::new(0)],
            flipping: parking_lot::Mutex::new(()),
        }
    }
}

impl Quiesce {
    /// Begins work: what it looks up from here on stays valid until the guard is dropped.
    pub fn enter(&self) -> InUse<'_> {
        let index = self.current.load(Ordering::Relaxed) & 1;
        self.active[index].fetch_add(1, Ordering::SeqCst);
        // Pairs with the fence in `wait`: either the waiter sees the count, or this work sees the removal.
        fence(Ordering::SeqCst);
        InUse { owner: self, index }
    }

    /// [`Quiesce::enter`] for work that outlives the caller: what to give to [`Quiesce::release`].
    pub fn hold(&self) -> usize {
        let guard = self.enter();
        let index = guard.index;
        std::mem::forget(guard);
        index
    }

    /// Ends work that [`Quiesce::hold`] began.
    pub fn release(&self, index: usize) {
        drop(InUse { owner: self, index });
    }

    /// Returns when all work that began before the call has ended. The caller has already removed what new
    /// work must not find, and holds no [`InUse`] of this object.
    pub fn wait(&self) {
        fence(Ordering::SeqCst);
        let _one = self.flipping.lock();
        for _ in 0..2 {
            let old = self.current.fetch_add(1, Ordering::SeqCst) & 1;
            while self.active[old].load(Ordering::SeqCst) != 0 {
                yield_now();
            }
        }
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.owner.active[self.index].fetch_sub(1, Ordering::Release);
    }
}

#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicBool;

    /// A worker that found the mapping never sees its memory freed.
    #[test]
    fn nothing_is_freed_in_use() {
        loom::model(|| {
            let q = Arc::new(Quiesce::default());
            let mapped = Arc::new(AtomicBool::new(true));
            let freed = Arc::new(AtomicBool::new(false));
            let worker = {
                let (q, mapped, freed) = (q.clone(), mapped.clone(), freed.clone());
                loom::thread::spawn(move || {
                    let _use = q.enter();
                    if mapped.load(Ordering::Relaxed) {
                        assert!(!freed.load(Ordering::Relaxed));
                    }
                })
            };
            mapped.store(false, Ordering::Relaxed);
            q.wait();
            freed.store(true, Ordering::Relaxed);
            worker.join().unwrap();
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn waits_for_work_that_began_before() {
        let q = Quiesce::default();
        std::thread::scope(|s| {
            let guard = q.enter();
            let waiter = s.spawn(|| q.wait());
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!waiter.is_finished());
            drop(guard);
            waiter.join().unwrap();
        });
    }
}
