//! Sharing with other processes on the same device: memory, events and notifies.
//!
//! What is exported are buffer objects as descriptors (PRIME). The process that imports knows only a [`Key`], a text or
//! a number that the program hands over as it likes: the key names a socket of the process that exported, which
//! gives the descriptors to whom it was told to, and to nobody else.

mod broker;
mod memory;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::str::FromStr;

use vinci_uapi::*;

use crate::driver::Driver;
use crate::memory::alloc::Backing;
use crate::memory::registry::Record;
use crate::{AllocationKind, Device, DevicePtr, Error, Home, Notify, PhysicalMemory, Result, fork};

pub use crate::event::shared::SharedEvent;
use broker::{Offer, Parcel};
pub(crate) use memory::Piece;

/// What an import asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    Memory = 1,
    Event = 2,
    Notify = 3,
    Physical = 4,
}

/// Names something that a process exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The process's socket.
    host: u32,
    /// What it is there. Nobody can guess it, unless it was made for a number.
    token: u64,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vinci-{:08x}-{:016x}", self.host, self.token)
    }
}

impl FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let none = || Error::value("import", format!("{text:?} is not a key of an export"));
        let rest = text.strip_prefix("vinci-").ok_or_else(none)?;
        let (host, token) = rest.split_once('-').ok_or_else(none)?;
        let host = u32::from_str_radix(host, 16).map_err(|_| none())?;
        Ok(Self { host, token: u64::from_str_radix(token, 16).map_err(|_| none())? })
    }
}

impl Key {
    /// The key of [`Key::to_number`].
    pub fn from_number(number: u64) -> Self {
        Self { host: (number >> 32) as u32, token: number & u64::from(u32::MAX) }
    }

    /// A number, of an export of [`Export::physical`].
    pub fn to_number(self) -> u64 {
        u64::from(self.host) << 32 | self.token & u64::from(u32::MAX)
    }
}

/// Something that other processes may import, as long as this lives; what they imported stays theirs.
#[derive(Debug)]
pub struct Export {
    key: Key,
}

impl Export {
    /// `bytes` bytes of device memory from `ptr` on, of [`Device::malloc`]. With `anyone`, every process of the
    /// same user may import them, else those of [`Export::allow`].
    ///
    /// The pages that hold the bytes are shared as a whole.
    pub fn memory(ptr: DevicePtr, bytes: u64, anyone: bool) -> Result<Export> {
        let op = "export memory";
        let driver = ready(op)?;
        let (pieces, die) = memory::pieces(driver, op, ptr, bytes)?;
        let offset = ptr.0 % driver.info.page_size;
        let fds = pieces.iter().map(|p| driver.sys.prime_export(op, p.object)).collect::<Result<_>>()?;
        let mut words = vec![u64::from(die), offset, bytes];
        words.extend(pieces.iter().flat_map(|p| [p.offset, p.size]));
        Self::offer(op, Kind::Memory, u64::MAX, words, fds, anyone)
    }

    /// An event.
    pub fn event(event: &SharedEvent) -> Result<Export> {
        let op = "export event";
        let fd = ready(op)?.sys.prime_export(op, event.object())?;
        Self::offer(op, Kind::Event, u64::MAX, Vec::new(), vec![fd], true)
    }

    /// A notify of [`Notify::shared`].
    pub fn notify(notify: &Notify, anyone: bool) -> Result<Export> {
        let op = "export notify";
        let driver = ready(op)?;
        let object =
            notify.object().ok_or_else(|| Error::value(op, "the notify was not made for sharing"))?;
        let fd = driver.sys.prime_export(op, object)?;
        let words = vec![notify.device().ordinal().into()];
        Self::offer(op, Kind::Notify, u64::MAX, words, vec![fd], anyone)
    }

    /// Physical memory. Its key fits a number.
    pub fn physical(memory: &PhysicalMemory, anyone: bool) -> Result<Export> {
        let op = "export physical memory";
        let fd = ready(op)?.sys.prime_export(op, memory.object())?;
        let words = vec![memory.device().ordinal().into(), memory.size()];
        Self::offer(op, Kind::Physical, u32::MAX.into(), words, vec![fd], anyone)
    }

    fn offer(
        op: &'static str,
        kind: Kind,
        mask: u64,
        words: Vec<u64>,
        fds: Vec<OwnedFd>,
        anyone: bool,
    ) -> Result<Export> {
        let parcel = Parcel { kind: kind as u32, words, fds };
        let offer = Offer { parcel, anyone, pids: Vec::new() };
        broker::offer(op, offer, || random(op).map(|token| token & mask))
            .map(|(host, token)| Export { key: Key { host, token } })
    }

    /// Its name.
    pub fn key(&self) -> Key {
        self.key
    }

    /// Lets processes import it.
    pub fn allow(&self, pids: &[i32]) {
        broker::allow(self.key.token, pids);
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        if !fork::is_child() {
            broker::withdraw(self.key.token);
        }
    }
}

/// The driver, if its device is one that processes can share.
fn ready(op: &'static str) -> Result<&'static Driver> {
    let driver = Driver::get()?;
    if driver.info.home == Home::Embedded {
        return Err(Error::NotShared { op });
    }
    Ok(driver)
}

fn random(op: &'static str) -> Result<u64> {
    let mut bytes = [0; 8];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|e| Error::Ipc { op, what: format!("/dev/urandom: {e}") })?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Takes what another process exported.
fn take(op: &'static str, kind: Kind, key: Key) -> Result<(&'static Driver, Parcel)> {
    let driver = ready(op)?;
    let parcel = broker::ask(op, key.host, key.token)?;
    if parcel.kind != kind as u32 {
        return Err(Error::value(op, format!("{key} names something else")));
    }
    Ok((driver, parcel))
}

fn broken(op: &'static str) -> Error {
    Error::Ipc { op, what: "the process that exported says what cannot be".into() }
}

fn die(driver: &'static Driver, op: &'static str, word: Option<&u64>) -> Result<Device> {
    let die = word.and_then(|&die| driver.dies.get(usize::try_from(die).ok()?));
    die.map(Device::of).ok_or_else(|| broken(op))
}

/// Maps memory that [`Export::memory`] exported: the address of its first byte, and the die whose memory it is.
/// [`unmap_memory`] takes it away again.
pub fn import_memory(key: Key) -> Result<(DevicePtr, Device)> {
    let op = "import memory";
    let (driver, parcel) = take(op, Kind::Memory, key)?;
    let [_, offset, bytes, places @ ..] = &parcel.words[..] else { return Err(broken(op)) };
    let device = die(driver, op, parcel.words.first())?;
    let (places, rest) = places.as_chunks::<2>();
    if !rest.is_empty() || places.len() != parcel.fds.len() {
        return Err(broken(op));
    }
    let (va, size, objects) = memory::map(driver, op, places, &parcel.fds)?;
    let record = Record {
        size: *bytes,
        kind: AllocationKind::Imported,
        die: Some(device.ordinal()),
        host: None,
        backing: Backing::Object { va, size, objects },
    };
    if offset.checked_add(*bytes).is_none_or(|end| end > size) {
        driver.release(record.backing);
        return Err(broken(op));
    }
    driver.registry.insert(va + offset, record);
    Ok((DevicePtr(va + offset), device))
}

/// Takes away what [`import_memory`] mapped, as soon as no work uses it.
pub fn unmap_memory(ptr: DevicePtr) -> Result<()> {
    Driver::get()?.free(ptr, AllocationKind::Imported)
}

/// An event that [`Export::event`] exported.
pub fn import_event(key: Key) -> Result<SharedEvent> {
    let op = "import event";
    let (driver, parcel) = take(op, Kind::Event, key)?;
    let [fd] = &parcel.fds[..] else { return Err(broken(op)) };
    SharedEvent::import(driver, op, fd)
}

/// A notify that [`Export::notify`] exported, and the die that it was made on.
pub fn import_notify(key: Key) -> Result<Notify> {
    let op = "import notify";
    let (driver, parcel) = take(op, Kind::Notify, key)?;
    let [fd] = &parcel.fds[..] else { return Err(broken(op)) };
    let device = die(driver, op, parcel.words.first())?;
    Notify::import(driver, op, &device, fd)
}

/// Physical memory that [`Export::physical`] exported.
pub fn import_physical(key: Key) -> Result<PhysicalMemory> {
    let op = "import physical memory";
    let (driver, parcel) = take(op, Kind::Physical, key)?;
    let ([fd], [_, size]) = (&parcel.fds[..], &parcel.words[..]) else { return Err(broken(op)) };
    let device = die(driver, op, parcel.words.first())?;
    let object = driver.sys.prime_import(op, fd)?;
    let info = driver.sys.bo_info(op, object);
    match info {
        Ok(info) if info.placement == DRM_VINCI_PLACE_HBM && info.size >= *size => {
            Ok(PhysicalMemory::of(driver, device, *size, object))
        }
        Ok(_) => {
            driver.sys.close(object);
            Err(broken(op))
        }
        Err(e) => {
            driver.sys.close(object);
            Err(e)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_texts_and_numbers() {
        let key = Key { host: 0xabc, token: 0x1234 };
        assert_eq!(key.to_string().parse::<Key>().unwrap(), key);
        assert_eq!(Key::from_number(key.to_number()), key);
        assert!(key.to_string().len() < 64);
        for bad in
            ["", "vinci-", "vinci-1", "vinci-1-", "vinci-x-1", "other-1-1", "vinci-1-11112222333344445"]
        {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
    }
}
