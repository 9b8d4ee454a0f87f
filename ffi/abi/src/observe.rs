//! Whoever wants to know how long entry points take.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Is told the name of an entry point and when it began and ended, ns of CLOCK_MONOTONIC.
pub type Observer = fn(name: &'static str, begun: u64, ended: u64);

static ON: AtomicBool = AtomicBool::new(false);
static OBSERVER: OnceLock<Observer> = OnceLock::new();

/// Names the observer of this library: the first one stays.
pub fn set(observer: Observer) {
    let _ = OBSERVER.set(observer);
}

/// Begins or ends to tell it.
pub fn turn(on: bool) {
    ON.store(on, Ordering::Release);
}

/// The observer and the time, if somebody observes.
#[inline]
pub(crate) fn begin() -> Option<(Observer, u64)> {
    if !ON.load(Ordering::Relaxed) {
        return None;
    }
    OBSERVER.get().map(|&observer| (observer, vinci::profile::now_ns()))
}
