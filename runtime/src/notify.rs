//! Notifies: a flag that one stream raises and another waits for and lowers.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use vinci_driver::Mapping;

use crate::driver::Driver;
use crate::event::slot::{Kind, Slot};
use crate::memory::alloc::Backing;
use crate::memory::host::{map_host, map_imported};
use crate::sys::BoHandle;
use crate::{Device, Result, fork};

/// Bytes of a notify that processes share.
const PAGE: u64 = 4096;

/// A notify. Clones name the same one.
///
/// ```
/// # use vinci::{Device, Notify, Stream, StreamOptions};
/// let device = Device::get(0)?;
/// let (a, b) = (Stream::new(&device, StreamOptions::default())?, Stream::new(&device, StreamOptions::default())?);
/// let notify = Notify::new(&device)?;
/// b.wait_notify(&notify, None)?;
/// a.record_notify(&notify)?;
/// b.synchronize(None)?;
/// # Ok::<(), vinci::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Notify(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: u32,
    device: Device,
    driver: &'static Driver,
    /// `None` only while the notify is dropped.
    word: Option<Word>,
}

/// The word that a notify is.
#[derive(Debug)]
enum Word {
    /// Among those of other notifies.
    Slot(Slot),
    /// In a page of its own, which processes can share.
    Page { map: Mapping, va: u64, size: u64, object: BoHandle },
}

impl Notify {
    /// Makes a notify, lowered, on a die.
    pub fn new(device: &Device) -> Result<Notify> {
        let driver = Driver::get()?;
        Ok(Self::of(driver, device, Word::Slot(driver.slots.take(driver, Kind::Flag)?)))
    }

    /// Makes a notify that other processes can have too: see [`crate::ipc::Export::notify`].
    pub fn shared(device: &Device) -> Result<Notify> {
        let driver = Driver::get()?;
        let (map, va, size, object) = map_host(driver, "create notify", PAGE)?;
        Ok(Self::of(driver, device, Word::Page { map, va, size, object }))
    }

    pub(crate) fn import(
        driver: &'static Driver,
        op: &'static str,
        device: &Device,
        fd: &OwnedFd,
    ) -> Result<Notify> {
        let (map, va, size, object) = map_imported(driver, op, fd, PAGE)?;
        Ok(Self::of(driver, device, Word::Page { map, va, size, object }))
    }

    fn of(driver: &'static Driver, device: &Device, word: Word) -> Notify {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Notify(Arc::new(Inner { id, device: *device, driver, word: Some(word) }))
    }

    /// Its number, unique in the process.
    pub fn id(&self) -> u32 {
        self.0.id
    }

    /// The die it was made on.
    pub fn device(&self) -> Device {
        self.0.device
    }

    pub(crate) fn va(&self) -> u64 {
        match &self.0.word {
            Some(Word::Slot(slot)) => slot.va,
            Some(Word::Page { va, .. }) => *va,
            None => 0,
        }
    }

    /// What can be shared of it.
    pub(crate) fn object(&self) -> Option<BoHandle> {
        match &self.0.word {
            Some(Word::Page { object, .. }) => Some(*object),
            _ => None,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if fork::is_child() {
            return;
        }
        match self.word.take() {
            Some(Word::Slot(slot)) => self.driver.slots.give_shared(self.driver, slot),
            // Streams may still raise it or wait for it.
            Some(Word::Page { map, va, size, object }) => {
                self.driver.retire(Backing::Host { va, size, handle: object, map });
            }
            None => {}
        }
    }
}
