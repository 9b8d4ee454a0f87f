//! Knowing that this process is a forked child.
//!
//! A child has the parent's memory but none of its threads: the schedulers are gone and locks may be held for
//! ever. Every request in a child is refused before it touches any of that.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

static CHILD: AtomicBool = AtomicBool::new(false);
static WATCH: Once = Once::new();

extern "C" fn in_child() {
    CHILD.store(true, Ordering::Relaxed);
}

/// Starts watching; called before the first device is opened.
pub(crate) fn watch() {
    WATCH.call_once(|| {
        // SAFETY: the handler only stores an atomic, which is allowed after fork.
        let error = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        if error != 0 {
            log::error!("pthread_atfork: {}", std::io::Error::from_raw_os_error(error));
        }
    });
}

/// Whether this process was forked after it (its parent) opened a device.
#[inline]
pub fn is_forked_child() -> bool {
    CHILD.load(Ordering::Relaxed)
}
