//! Waiting with CANN's kind of timeout.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// When a wait ends: CANN passes milliseconds, a negative number meaning never.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// From now on.
    pub fn after_ms(timeout: i32) -> Self {
        let time = u64::try_from(timeout).ok().map(Duration::from_millis);
        Self(time.and_then(|time| Instant::now().checked_add(time)))
    }
}

/// A value that threads wait for.
pub struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    /// Watches `value`.
    pub const fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new() }
    }

    /// The value as it is.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock()
    }

    /// Changes the value; whoever waits looks again.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.value.lock());
        self.changed.notify_all();
        result
    }

    /// Tries until it answers something or the time is up, at least once; whoever waits then looks again.
    pub fn wait<R>(&self, until: Deadline, mut attempt: impl FnMut(&mut T) -> Option<R>) -> Option<R> {
        let mut value = self.value.lock();
        loop {
            if let Some(result) = attempt(&mut value) {
                self.changed.notify_all();
                return Some(result);
            }
            match until.0 {
                None => self.changed.wait(&mut value),
                Some(at) if self.changed.wait_until(&mut value, at).timed_out() => {
                    let result = attempt(&mut value);
                    self.changed.notify_all();
                    return result;
                }
                Some(_) => {}
            }
        }
    }
}
