// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

//! What rings when an interrupt comes, and who sleeps until it does.

use kernel::{
    new_poll_condvar, new_spinlock_irq,
    prelude::*,
    sync::{poll::PollCondVar, SpinLockIrq},
    time::msecs_to_jiffies,
};

use crate::platform::now_ns;

/// One interrupt vector.
#[pin_data]
pub(crate) struct Bell {
    #[pin]
    rings: SpinLockIrq<u64>,
    /// For poll(2) too.
    #[pin]
    pub(crate) rung: PollCondVar,
}

/// How a sleep ended.
pub(crate) enum Woken {
    Rung,
    TimedOut,
    Signal,
}

impl Bell {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self { rings <- new_spinlock_irq!(0), rung <- new_poll_condvar!() })
    }

    /// Wakes all who sleep; from any context.
    pub(crate) fn ring(&self) {
        *self.rings.lock() += 1;
        self.rung.notify_all();
    }

    /// Rings so far; to be read before the condition is looked at.
    pub(crate) fn heard(&self) -> u64 {
        *self.rings.lock()
    }

    /// Sleeps until it has rung more often than `heard`.
    pub(crate) fn wait(&self, heard: u64, deadline: Option<u64>) -> Woken {
        let mut rings = self.rings.lock();
        while *rings == heard {
            let signal = match deadline {
                None => self.rung.wait_interruptible(&mut rings),
                Some(at) => {
                    let left = at.saturating_sub(now_ns());
                    if left == 0 {
                        return Woken::TimedOut;
                    }
                    let ms = left.div_ceil(1_000_000).min(1 << 30) as u32;
                    use kernel::sync::CondVarTimeoutResult::Signal;
                    let end = self
                        .rung
                        .wait_interruptible_timeout(&mut rings, msecs_to_jiffies(ms));
                    matches!(end, Signal { .. })
                }
            };
            if signal {
                return Woken::Signal;
            }
        }
        Woken::Rung
    }
}
