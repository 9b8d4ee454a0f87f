//! Interrupts: each vector is an eventfd of the client's.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use parking_lot::RwLock;
use vinci_device::VECTORS;

use crate::wire::{IrqSet, irq};

/// Why interrupts are not routed as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InterruptError {
    /// No such vectors.
    #[error("set_irqs: kind {index} has no vectors {start}..{start}+{count}")]
    NoVector {
        /// Kind.
        index: u32,
        /// First.
        start: u32,
        /// How many.
        count: u32,
    },
    /// Flags that make no sense, or a number of descriptors that does not fit.
    #[error("set_irqs: flags {flags:#x} with {fds} descriptors for {count} vectors")]
    Flags {
        /// As they came.
        flags: u32,
        /// Descriptors.
        fds: usize,
        /// Vectors.
        count: u32,
    },
    /// A descriptor of something else.
    #[error("set_irqs: a descriptor is not an eventfd")]
    NotAnEventFd,
}

/// Where interrupts go.
pub struct Interrupts {
    vectors: Vec<RwLock<Option<File>>>,
    /// Taken note of, since QEMU warns where there is none; nothing raises it.
    error: RwLock<Option<File>>,
    request: RwLock<Option<File>>,
}

/// Vectors of a kind of interrupt.
pub fn count(index: u32) -> u32 {
    match index {
        irq::MSIX => VECTORS.into(),
        irq::ERROR | irq::REQUEST => 1,
        _ => 0,
    }
}

impl Default for Interrupts {
    fn default() -> Self {
        Self::new()
    }
}

impl Interrupts {
    /// None goes anywhere.
    pub fn new() -> Self {
        let vectors = (0..VECTORS).map(|_| RwLock::default()).collect();
        Self { vectors, error: RwLock::default(), request: RwLock::default() }
    }

    /// Routes interrupts, or triggers them.
    pub fn set(&self, ask: &IrqSet, fds: Vec<OwnedFd>) -> Result<(), InterruptError> {
        let IrqSet { flags, index, start, count: n, .. } = *ask;
        let wrong = InterruptError::Flags { flags, fds: fds.len(), count: n };
        if start.checked_add(n).is_none_or(|end| end > count(index)) {
            return Err(InterruptError::NoVector { index, start, count: n });
        }
        if flags & irq::ACTION != irq::ACTION_TRIGGER {
            // QEMU masks vectors by itself.
            return Err(wrong);
        }
        let slots = match index {
            irq::MSIX => &self.vectors[..],
            irq::ERROR => std::slice::from_ref(&self.error),
            _ => std::slice::from_ref(&self.request),
        };
        let chosen = &slots[start as usize..(start + n) as usize];
        match flags & !irq::ACTION {
            irq::DATA_NONE if n == 0 && fds.is_empty() => slots.iter().for_each(|slot| *slot.write() = None),
            irq::DATA_NONE if fds.is_empty() => chosen.iter().for_each(ring),
            irq::DATA_EVENTFD if fds.is_empty() => chosen.iter().for_each(|slot| *slot.write() = None),
            irq::DATA_EVENTFD if fds.len() == n as usize => {
                if !fds.iter().all(prepare) {
                    return Err(InterruptError::NotAnEventFd);
                }
                chosen.iter().zip(fds).for_each(|(slot, fd)| *slot.write() = Some(fd.into()));
            }
            _ => return Err(wrong),
        }
        Ok(())
    }

    /// Raises a vector; nothing happens where it goes nowhere.
    pub fn raise(&self, vector: u16) {
        if let Some(slot) = self.vectors.get(usize::from(vector)) {
            ring(slot);
        }
    }

    /// Asks the client to give the device back; false if it does not listen.
    pub fn request(&self) -> bool {
        ring(&self.request);
        self.request.read().is_some()
    }

    /// Vectors that go somewhere.
    pub fn routed(&self) -> usize {
        self.vectors.iter().filter(|slot| slot.read().is_some()).count()
    }
}

fn ring(slot: &RwLock<Option<File>>) {
    if let Some(mut fd) = slot.read().as_ref()
        && let Err(e) = fd.write_all(&1u64.to_ne_bytes())
        // The counter is full: whoever reads it has not heard of 2^64 - 2 interrupts.
        && e.kind() != ErrorKind::WouldBlock
    {
        log::warn!("an interrupt was lost: {e}");
    }
}

/// Whether a write to this descriptor raises an interrupt and never blocks.
fn prepare(fd: &OwnedFd) -> bool {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    std::fs::read_link(path).is_ok_and(|to| to.as_os_str() == "anon_inode:[eventfd]")
        && fcntl(fd.as_fd(), FcntlArg::F_GETFL)
            .and_then(|flags| {
                let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
                fcntl(fd.as_fd(), FcntlArg::F_SETFL(flags))
            })
            .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::eventfd::EventFd;

    fn ask(flags: u32, index: u32, start: u32, count: u32) -> IrqSet {
        IrqSet { argsz: 20, flags, index, start, count }
    }

    const ROUTE: u32 = irq::DATA_EVENTFD | irq::ACTION_TRIGGER;

    #[test]
    fn a_vector_goes_where_it_was_routed() {
        let irqs = Interrupts::new();
        let (a, b) = (EventFd::new().unwrap(), EventFd::new().unwrap());
        let copy = |e: &EventFd| e.as_fd().try_clone_to_owned().unwrap();
        irqs.set(&ask(ROUTE, irq::MSIX, 3, 2), vec![copy(&a), copy(&b)]).unwrap();
        irqs.raise(3);
        irqs.raise(3);
        irqs.raise(9);
        irqs.raise(9999);
        irqs.set(&ask(irq::DATA_NONE | irq::ACTION_TRIGGER, irq::MSIX, 4, 1), vec![]).unwrap();
        assert_eq!((a.read().unwrap(), b.read().unwrap(), irqs.routed()), (2, 1, 2));
        irqs.set(&ask(ROUTE, irq::MSIX, 3, 1), vec![]).unwrap();
        assert_eq!(irqs.routed(), 1);
        irqs.set(&ask(irq::DATA_NONE | irq::ACTION_TRIGGER, irq::MSIX, 0, 0), vec![]).unwrap();
        assert_eq!(irqs.routed(), 0);
        assert!(!irqs.request());
        irqs.set(&ask(ROUTE, irq::REQUEST, 0, 1), vec![copy(&a)]).unwrap();
        assert!(irqs.request());
    }

    #[test]
    fn a_full_counter_does_not_block() {
        let irqs = Interrupts::new();
        let full = EventFd::new().unwrap();
        full.write(u64::MAX - 1).unwrap();
        irqs.set(&ask(ROUTE, irq::MSIX, 0, 1), vec![full.as_fd().try_clone_to_owned().unwrap()]).unwrap();
        irqs.raise(0);
    }

    #[test]
    fn nonsense_is_refused() {
        let irqs = Interrupts::new();
        let null = || OwnedFd::from(File::options().write(true).open("/dev/null").unwrap());
        let trigger = irq::ACTION_TRIGGER;
        for (ask, fds) in [
            (ask(ROUTE, irq::MSIX, 0, 1), vec![null()]),
            (ask(ROUTE, irq::MSIX, 0, 2), vec![null()]),
            (ask(ROUTE, irq::MSIX, 64, 1), vec![]),
            (ask(ROUTE, irq::MSIX, u32::MAX, 2), vec![]),
            (ask(ROUTE, 0, 0, 1), vec![]),
            (ask(ROUTE, 77, 0, 0), vec![null()]),
            (ask(irq::DATA_BOOL | trigger, irq::MSIX, 0, 1), vec![]),
            (ask(irq::DATA_NONE | trigger, irq::MSIX, 0, 1), vec![null()]),
            (ask(irq::DATA_NONE, irq::MSIX, 0, 1), vec![]),
            (ask(u32::MAX, irq::MSIX, 0, 1), vec![]),
        ] {
            assert!(irqs.set(&ask, fds).is_err(), "{ask:?}");
        }
    }
}
