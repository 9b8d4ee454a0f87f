// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

//! The device as its open files see it: the driver behind a lock, and the bells of its interrupts.

use core::sync::atomic::{AtomicBool, Ordering};

use kernel::{
    irq::{self, IrqReturn},
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
};
use vinci_core::{Driver, Errno, Step};
use vinci_hw::regs::{queue_vector, VECTOR_ADMIN};
use vinci_hw::uapi::{drm_vinci_event, drm_vinci_wait};

use crate::bell::{Bell, Woken};
use crate::platform::{now_ns, Pci};

/// One bell for each interrupt vector.
pub(crate) struct Bells {
    bells: KVec<Pin<KBox<Bell>>>,
    /// Vector 0 fired and nobody has drained the event ring since.
    events: AtomicBool,
}

impl Bells {
    pub(crate) fn new(count: u16) -> Result<Self> {
        let mut bells = KVec::with_capacity(count.into(), GFP_KERNEL)?;
        for _ in 0..count {
            bells.push(KBox::pin_init(Bell::new(), GFP_KERNEL)?, GFP_KERNEL)?;
        }
        Ok(Self {
            bells,
            events: AtomicBool::new(false),
        })
    }

    pub(crate) fn count(&self) -> u16 {
        self.bells.len() as u16
    }

    /// The bell of a vector below [`Bells::count`].
    pub(crate) fn of(&self, vector: u16) -> &Bell {
        &self.bells[usize::from(vector)]
    }

    fn queue(&self, queue: u32) -> &Bell {
        self.of(queue_vector(queue, self.count()))
    }
}

/// The handler of one vector.
pub(crate) struct Vector {
    pub(crate) bells: Arc<Bells>,
    pub(crate) vector: u16,
}

impl irq::Handler for Vector {
    fn handle(&self) -> IrqReturn {
        if self.vector == VECTOR_ADMIN {
            self.bells.events.store(true, Ordering::Release);
        }
        self.bells.of(self.vector).ring();
        IrqReturn::Handled
    }
}

/// A device. Outlives its PCI function while files are open.
#[pin_data]
pub(crate) struct Npu {
    /// `None` once the function is gone.
    #[pin]
    driver: Mutex<Option<Driver<Pci>>>,
    /// The function is going: nobody is let in.
    gone: AtomicBool,
    pub(crate) bells: Arc<Bells>,
    /// Dies of the device.
    pub(crate) dies: u32,
}

impl Npu {
    pub(crate) fn new(driver: Driver<Pci>, bells: Arc<Bells>) -> Result<Arc<Self>> {
        let dies = driver.die_infos().len() as u32;
        Arc::pin_init(
            pin_init!(Self {
                driver <- new_mutex!(Some(driver)),
                gone: AtomicBool::new(false),
                bells,
                dies,
            }),
            GFP_KERNEL,
        )
    }

    /// Does something with the driver; `Errno::NoDev` if the function is gone.
    pub(crate) fn with<T>(
        &self,
        f: impl FnOnce(&mut Driver<Pci>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        if self.gone.load(Ordering::Acquire) {
            return Err(Errno::NoDev);
        }
        let mut guard = self.driver.lock();
        let driver = (*guard).as_mut().ok_or(Errno::NoDev)?;
        if self.bells.events.swap(false, Ordering::AcqRel) {
            driver.drain_events();
        }
        driver.tidy();
        f(driver)
    }

    /// Lets nobody in any more; whoever sleeps wakes up and goes.
    pub(crate) fn leave(&self) {
        self.gone.store(true, Ordering::Release);
        self.bells.bells.iter().for_each(|bell| bell.ring());
    }

    /// Ends the driver, after [`Npu::leave`].
    pub(crate) fn shut_down(&self) {
        let driver = self.driver.lock().take();
        drop(driver);
    }

    /// `DRM_IOCTL_VINCI_WAIT`
    pub(crate) fn wait(&self, file: u32, a: &drm_vinci_wait) -> Result<(), Errno> {
        let deadline = deadline(a.timeout_ns);
        loop {
            let bell = self.bells.queue(a.queue_id);
            let heard = bell.heard();
            if self.with(|driver| driver.wait_step(file, a))? == Step::Ready(()) {
                return Ok(());
            }
            match bell.wait(heard, deadline) {
                Woken::Rung => {}
                Woken::Signal => return Err(Errno::Intr),
                Woken::TimedOut => {
                    return match self.with(|driver| driver.wait_step(file, a))? {
                        Step::Ready(()) => Ok(()),
                        Step::Sleep => Err(Errno::Time),
                    };
                }
            }
        }
    }

    /// The oldest event of a file, and how many were lost before it.
    pub(crate) fn event(
        &self,
        file: u32,
        timeout_ns: i64,
    ) -> Result<(drm_vinci_event, u64), Errno> {
        let deadline = deadline(timeout_ns);
        loop {
            let bell = self.bells.of(VECTOR_ADMIN);
            let heard = bell.heard();
            if let Step::Ready(event) = self.with(|driver| driver.event_step(file))? {
                return Ok(event);
            }
            match bell.wait(heard, deadline) {
                Woken::Rung => {}
                Woken::Signal => return Err(Errno::Intr),
                Woken::TimedOut => return Err(Errno::Time),
            }
        }
    }
}

/// `None`: never.
fn deadline(timeout_ns: i64) -> Option<u64> {
    u64::try_from(timeout_ns)
        .ok()
        .and_then(|ns| now_ns().checked_add(ns))
}
