//! Who looks for kernels while there are none.

use core::sync::atomic::Ordering::SeqCst;

use crate::sched::waiting;
use crate::{control, sys};

/// A worker's claim to be the one that looks for kernels: they need not be waited for in a futex then. One is enough, and
/// more would be in the way of the threads that are to make work.
#[derive(Default)]
pub struct Looking(bool);

impl Looking {
    /// Whether this worker is it now.
    pub fn claim(&mut self) -> bool {
        let lookers = &control().lookers;
        self.0 = self.0 || lookers.compare_exchange(0, 1, SeqCst, SeqCst).is_ok();
        self.0
    }

    /// Gives it up. Who queued a kernel meanwhile woke nobody, so that is made good.
    pub fn end(&mut self) {
        if core::mem::take(&mut self.0) {
            control().lookers.fetch_sub(1, SeqCst);
            // What follows another kernel waits for that one anyway.
            if waiting().is_some_and(|job| job.after == 0) && control().sleepers.load(SeqCst) != 0 {
                control().work.fetch_add(1, SeqCst);
                sys::futex_wake(&control().work, 1);
            }
        }
    }
}
