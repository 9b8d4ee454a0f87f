//! The stamps in flight, and who wants to know of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use vinci_driver::Mapping;
use vinci_hw::sqe::{self, Sqe};
use vinci_uapi::*;

use super::{Direction, Task, Work};
use crate::driver::Driver;
use crate::memory::host::map_host;
use crate::{CoreType, Result};

/// Bytes of the host memory that stamps are cut from.
const PAGE: u64 = 64 << 10;

static ON: AtomicBool = AtomicBool::new(false);

/// True while a recording lives.
#[inline]
pub(crate) fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Everything about profiling that changes. Taken last of all locks but those of single tables.
pub(super) static BOOK: Mutex<Book> = Mutex::new(Book {
    readers: BTreeMap::new(),
    begun: 0,
    offset: 0,
    free: Vec::new(),
    pages: Vec::new(),
    pending: Vec::new(),
});

/// `struct drm_vinci_stamp`.
#[derive(Debug)]
#[repr(C)]
struct Stamp {
    wall_start: AtomicU64,
    model_start: AtomicU64,
    model_end: AtomicU64,
    wall_end: AtomicU64,
}

const _: () = assert!(size_of::<Stamp>() == size_of::<drm_vinci_stamp>());

/// A stamp and its device address.
#[derive(Debug)]
struct Place(&'static Stamp, u64);

#[derive(Debug)]
struct Pending {
    place: Place,
    /// The latest recording when it was submitted.
    begun: u64,
    /// Without its times.
    task: Task,
}

/// What a recording has not been told yet.
#[derive(Debug, Default)]
struct Reader {
    tasks: Vec<Task>,
    lost: u64,
}

#[derive(Debug)]
pub(super) struct Book {
    readers: BTreeMap<u64, Reader>,
    /// Recordings ever begun.
    begun: u64,
    /// ns from the device's wall clock to the host's.
    offset: i64,
    free: Vec<Place>,
    /// Never given back, as an entry that was dropped late may still be stamped.
    pages: Vec<Mapping>,
    pending: Vec<Pending>,
}

impl Book {
    pub(super) fn begin(&mut self, offset: i64) -> u64 {
        self.offset = offset;
        self.begun += 1;
        self.readers.insert(self.begun, Reader::default());
        ON.store(true, Ordering::Release);
        self.begun
    }

    pub(super) fn end(&mut self, reader: u64) {
        self.readers.remove(&reader);
        ON.store(!self.readers.is_empty(), Ordering::Release);
    }

    pub(super) fn take(&mut self, reader: u64) -> Vec<Task> {
        self.readers.get_mut(&reader).map(|r| std::mem::take(&mut r.tasks)).unwrap_or_default()
    }

    pub(super) fn lost(&self, reader: u64) -> u64 {
        self.readers.get(&reader).map_or(0, |r| r.lost)
    }

    pub(super) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Readers that had begun when recording `begun` was the latest.
    fn readers(&mut self, begun: u64) -> impl Iterator<Item = &mut Reader> {
        self.readers.range_mut(..=begun).map(|(_, reader)| reader)
    }

    /// Makes the device stamp `sqe` and remembers it. Without memory for that it stays as it is.
    pub(super) fn enter(&mut self, driver: &'static Driver, sqe: &mut Sqe, task: Task) {
        let place = match self.free.pop() {
            Some(place) => place,
            None => match self.grow(driver) {
                Ok(place) => place,
                Err(e) => {
                    log::debug!("profile: {e}");
                    self.readers(u64::MAX).for_each(|reader| reader.lost += 1);
                    return;
                }
            },
        };
        place.0.wall_end.store(0, Ordering::Relaxed);
        sqe::set_stamp(sqe, place.1);
        self.pending.push(Pending { place, begun: self.begun, task });
    }

    fn grow(&mut self, driver: &'static Driver) -> Result<Place> {
        let (map, va, _, _) = map_host(driver, "profile", PAGE)?;
        let step = size_of::<Stamp>() as u64;
        for at in (0..PAGE).step_by(step as usize) {
            // SAFETY: inside the mapping, which `pages` keeps for ever, and aligned; zeros are a valid stamp, and
            // both sides access it as atomics only.
            let stamp = unsafe { &*map.ptr().as_ptr().add(at as usize).cast::<Stamp>() };
            self.free.push(Place(stamp, va + at));
        }
        self.pages.push(map);
        Ok(self.free.pop().expect("a page holds stamps"))
    }

    /// Hands out what is complete.
    pub(super) fn sweep(&mut self) {
        let Some(driver) = Driver::opened() else { return };
        if self.pending.is_empty() {
            return;
        }
        // Read before the stamps: what is complete by then is stamped, or never will be.
        let completed: HashMap<u32, u64> =
            driver.queues.read().iter().map(|queue| (queue.stream(), queue.settled())).collect();
        let mut left = Vec::new();
        for Pending { place, begun, mut task } in std::mem::take(&mut self.pending) {
            let end = place.0.wall_end.load(Ordering::Acquire);
            if end != 0 {
                let host = |device: u64| device.saturating_add_signed(self.offset);
                (task.start_ns, task.end_ns) = (host(place.0.wall_start.load(Ordering::Relaxed)), host(end));
                task.model_start_ns = place.0.model_start.load(Ordering::Relaxed);
                task.model_end_ns = place.0.model_end.load(Ordering::Relaxed);
                self.readers(begun).for_each(|reader| reader.tasks.push(task.clone()));
                self.free.push(place);
            } else if completed.get(&task.stream).is_none_or(|&done| done >= task.entry) {
                self.readers(begun).for_each(|reader| reader.lost += 1);
                self.free.push(place);
            } else {
                left.push(Pending { place, begun, task });
            }
        }
        self.pending = left;
    }
}

/// What an entry asks for. `kernels` answers a kernel's name and cores.
pub(super) fn work_of(
    driver: &'static Driver,
    entry: &Sqe,
    kernels: impl FnOnce(u64) -> Option<(Arc<str>, CoreType)>,
) -> Work {
    let w = sqe::words(entry);
    let on_die = |va| driver.registry.find(driver, va).is_some_and(|found| found.device.is_some());
    match u32::from(entry.opcode) {
        DRM_VINCI_OP_KERNEL => {
            let (name, core) =
                kernels(w[0]).unwrap_or_else(|| (format!("kernel {:#x}", w[0]).into(), CoreType::Mix));
            Work::Kernel { name, core, blocks: entry.blocks }
        }
        DRM_VINCI_OP_COPY => {
            let direction = match (on_die(w[1]), on_die(w[0])) {
                (false, true) => Direction::HostToDevice,
                (true, false) => Direction::DeviceToHost,
                (true, true) => Direction::DeviceToDevice,
                (false, false) => Direction::HostToHost,
            };
            Work::Copy { direction, bytes: w[2].saturating_mul(w[3]) }
        }
        DRM_VINCI_OP_FILL => Work::Fill { bytes: w[1] },
        DRM_VINCI_OP_EVENT_RECORD => Work::EventRecord,
        DRM_VINCI_OP_EVENT_WAIT => Work::EventWait,
        DRM_VINCI_OP_NOTIFY_RECORD => Work::NotifyRecord,
        DRM_VINCI_OP_NOTIFY_WAIT => Work::NotifyWait,
        DRM_VINCI_OP_WRITE_VALUE => Work::WriteValue,
        DRM_VINCI_OP_WAIT_VALUE => Work::WaitValue,
        DRM_VINCI_OP_HOST_CALL => Work::HostCall,
        _ => Work::Placeholder,
    }
}
