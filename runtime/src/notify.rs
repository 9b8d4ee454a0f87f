//! Notifies: a flag that one stream raises and another waits for and lowers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::driver::Driver;
use crate::event::slot::Slot;
use crate::{Device, Result, fork};

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
    slot: Option<Slot>,
}

impl Notify {
    /// Makes a notify, lowered, on a die.
    pub fn new(device: &Device) -> Result<Notify> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let driver = Driver::get()?;
        let slot = driver.slots.take(driver)?;
        slot.word.value.store(0, Ordering::Release);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Notify(Arc::new(Inner { id, device: *device, driver, slot: Some(slot) })))
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
        self.0.slot.as_ref().map_or(0, |slot| slot.va)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if fork::is_child() {
            return;
        }
        if let Some(slot) = self.slot.take() {
            self.driver.slots.give_shared(self.driver, slot);
        }
    }
}
