//! The process as the device's host: its memory by bus address, and its interrupts.
//!
//! A bus address is an address of this process. The device may reach what the driver allocated or pinned,
//! and nothing else.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Condvar, Mutex, RwLock};
use vinci_core::{DmaMemory, Errno, PinnedMemory, Platform};
use vinci_device::{Device, Foreign, HostBus, VECTORS};
use vinci_hw::regs::{PAGE_SIZE, Reg, VECTOR_ADMIN, queue_vector};

use crate::fork::is_forked_child;
use crate::memlock::{Locked, Share};
use crate::served::client::{Client, Windows};

/// Somebody may sleep on it; waking costs nothing while nobody does.
#[derive(Default)]
pub(crate) struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        *self.rings.lock() += 1;
        self.rung.notify_all();
    }

    /// Rings so far; to be read before the condition is looked at.
    pub(crate) fn heard(&self) -> u64 {
        *self.rings.lock()
    }

    /// Sleeps until it has rung more often than `heard`; `false` if `deadline` came first.
    pub(crate) fn wait(&self, heard: u64, deadline: Option<Instant>) -> bool {
        let mut rings = self.rings.lock();
        while *rings == heard {
            match deadline {
                None => self.rung.wait(&mut rings),
                Some(at) if self.rung.wait_until(&mut rings, at).timed_out() => return *rings != heard,
                Some(_) => {}
            }
        }
        true
    }
}

/// Pieces of memory; they may overlap, and the same one may be there several times.
#[derive(Default)]
struct Ranges {
    /// First byte and length to how often.
    counts: BTreeMap<(u64, u64), u32>,
    /// No piece was ever longer: how far below an address its piece can begin.
    longest: u64,
}

impl Ranges {
    fn add(&mut self, start: u64, len: u64) {
        *self.counts.entry((start, len)).or_default() += 1;
        self.longest = self.longest.max(len);
    }

    fn remove(&mut self, start: u64, len: u64) {
        if let Entry::Occupied(mut count) = self.counts.entry((start, len)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Whether one piece holds all of `start..end`.
    fn cover(&self, start: u64, end: u64) -> bool {
        self.counts
            .range(..=(start, u64::MAX))
            .rev()
            .map(|(&piece, _)| piece)
            .take_while(|(at, _)| at.saturating_add(self.longest) >= end)
            .any(|(at, len)| at + len >= end)
    }
}

/// Who is to hear of completions and events besides the bells: the sleepers of other processes.
pub(crate) trait Listener: Send + Sync {
    /// A vector fired.
    fn vector(&self, vector: u16);
    /// A queue was woken by the driver.
    fn queue(&self, queue: u32);
    /// A file has events.
    fn file(&self, file: u32);
}

/// Memory that the device may reach, and who waits for its interrupts.
pub(crate) struct Host {
    ranges: RwLock<Ranges>,
    /// Other processes' pages, by bus address.
    pub(crate) windows: Windows,
    /// Whether memory is made such that other processes can map it.
    shared: bool,
    pub(crate) listener: OnceLock<Arc<dyn Listener>>,
    locked: Arc<Locked>,
    /// By vector; vector 0 is events.
    pub(crate) bells: Vec<Bell>,
    /// Vector 0 fired and nobody has drained the event ring since.
    pub(crate) events_pending: AtomicBool,
    born: Instant,
}

impl Host {
    pub(crate) fn new(shared: bool) -> Self {
        Self {
            ranges: RwLock::default(),
            windows: Windows::default(),
            shared,
            listener: OnceLock::new(),
            locked: Arc::default(),
            bells: (0..VECTORS).map(|_| Bell::default()).collect(),
            events_pending: AtomicBool::new(false),
            born: Instant::now(),
        }
    }

    fn allow(&self, addr: u64, len: u64) {
        self.ranges.write().add(addr, len);
    }

    fn forbid(&self, addr: u64, len: u64) {
        self.ranges.write().remove(addr, len);
    }

    /// The bell of a queue's completions.
    pub(crate) fn queue_bell(&self, queue: u32) -> &Bell {
        &self.bells[usize::from(queue_vector(queue, VECTORS))]
    }
}

impl HostBus for Host {
    fn translate(&self, bus: u64, len: u64) -> Option<NonNull<u8>> {
        let end = bus.checked_add(len)?;
        NonNull::new(bus as *mut u8).filter(|_| self.ranges.read().cover(bus, end))
    }

    fn one_process(&self) -> bool {
        !self.shared
    }

    fn interrupt(&self, vector: u16) {
        if vector == VECTOR_ADMIN {
            self.events_pending.store(true, Ordering::Release);
        }
        if let Some(bell) = self.bells.get(usize::from(vector)) {
            bell.ring();
        }
        if let Some(listener) = self.listener.get() {
            listener.vector(vector);
        }
    }

    fn window(&self, bus: u64, len: u64) -> Option<(Arc<dyn Foreign>, u64)> {
        self.windows.find(bus, len)
    }
}

/// Memory of this process that the device reaches, made by mmap.
pub struct HostMemory {
    ptr: NonNull<u8>,
    len: usize,
    /// The memfd that it is, if other processes are to map it.
    file: Option<File>,
    host: Arc<Host>,
}

// SAFETY: an address and its length; what is done through the address is up to who does it.
unsafe impl Send for HostMemory {}
// SAFETY: as above.
unsafe impl Sync for HostMemory {}

impl HostMemory {
    fn new(bytes: u64, host: &Arc<Host>) -> Result<Self, Errno> {
        let len = usize::try_from(bytes).map_err(|_| Errno::NoMem)?;
        let file = host.shared.then(|| vinci_device::sealed("vinci-host", bytes)).transpose();
        let file = file.map_err(|_| Errno::NoMem)?;
        let (kind, fd) = match &file {
            None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
            Some(file) => (libc::MAP_SHARED, file.as_raw_fd()),
        };
        // SAFETY: a fresh mapping at an address of the kernel's choice, as long as the file if there is one.
        let p = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                kind | libc::MAP_NORESERVE,
                fd,
                0,
            )
        };
        if p == libc::MAP_FAILED {
            return Err(Errno::NoMem);
        }
        let ptr = NonNull::new(p.cast()).ok_or(Errno::NoMem)?;
        host.allow(ptr.as_ptr() as u64, bytes);
        Ok(Self { ptr, len, file, host: host.clone() })
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        if !is_forked_child() {
            self.host.forbid(self.ptr.as_ptr() as u64, self.len as u64);
        }
        // SAFETY: this mapping was made in `new` and nobody may use it after the owner is gone.
        unsafe { libc::munmap(self.ptr.as_ptr().cast(), self.len) };
    }
}

/// [`HostMemory`] shared between the driver and those who mapped it.
#[derive(Clone)]
pub struct Dma(pub(crate) Arc<HostMemory>);

impl Dma {
    /// The memfd, in a home that shares its memory.
    pub(crate) fn file(&self) -> Option<&File> {
        self.0.file.as_ref()
    }
}

impl DmaMemory for Dma {
    fn bus(&self) -> u64 {
        self.0.ptr.as_ptr() as u64
    }

    fn ptr(&self) -> NonNull<u8> {
        self.0.ptr
    }

    fn len(&self) -> u64 {
        self.0.len as u64
    }
}

/// Pages of the calling process that the device may reach.
pub struct Pinned {
    segment: [(u64, u64); 1],
    /// They are another process's.
    foreign: bool,
    host: Arc<Host>,
    _share: Share,
}

impl PinnedMemory for Pinned {
    fn segments(&self) -> &[(u64, u64)] {
        &self.segment
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if is_forked_child() {
            return;
        }
        let (addr, len) = self.segment[0];
        if self.foreign { self.host.windows.close(addr) } else { self.host.forbid(addr, len) }
    }
}

/// The driver's surroundings in a process.
pub(crate) struct Process {
    pub(crate) device: Arc<Device>,
    pub(crate) host: Arc<Host>,
}

impl Platform for Process {
    type Dma = Dma;
    type Pinned = Pinned;

    fn read(&self, reg: Reg) -> u64 {
        self.device.read(reg as u64)
    }

    fn write(&self, reg: Reg, value: u64) {
        // What a forked child drops must not wait for threads that only its parent has.
        if is_forked_child() {
            return;
        }
        self.device.write(reg as u64, value);
    }

    fn alloc(&self, bytes: u64) -> Result<Dma, Errno> {
        HostMemory::new(bytes, &self.host).map(|m| Dma(Arc::new(m)))
    }

    fn pin(&self, addr: u64, bytes: u64, readonly: bool) -> Result<Pinned, Errno> {
        let host = self.host.clone();
        if let Some(client) = Client::calling() {
            let share = self.host.locked.take(client.pid(), bytes)?;
            let bus = self.host.windows.open(client, addr, bytes)?;
            return Ok(Pinned { segment: [(bus, bytes)], foreign: true, host, _share: share });
        }
        let share = self.host.locked.take(std::process::id(), bytes)?;
        check_mapped(addr, bytes, readonly)?;
        self.host.allow(addr, bytes);
        Ok(Pinned { segment: [(addr, bytes)], foreign: false, host, _share: share })
    }

    fn pause(&self) {
        std::thread::yield_now();
    }

    fn now_ns(&self) -> u64 {
        self.host.born.elapsed().as_nanos() as u64
    }

    fn wake_queue(&self, queue: u32) {
        self.host.queue_bell(queue).ring();
        if let Some(listener) = self.host.listener.get() {
            listener.queue(queue);
        }
    }

    fn wake_file(&self, file: u32) {
        self.host.bells[usize::from(VECTOR_ADMIN)].ring();
        if let Some(listener) = self.host.listener.get() {
            listener.file(file);
        }
    }

    fn hbm_freed(&self, die: u32, offset: u64, len: u64) {
        if let Err(e) = self.device.unshare_hbm(die, offset, len) {
            log::error!("die {die}: HBM {offset:#x}..{:#x} stays shared: {e}", offset + len);
        }
    }
}

/// Whether a range can be accessed, as the kernel would find when it pins the pages. A hole is always found;
/// pages without permission are looked for at both ends of a long range only, because asking for each one costs
/// as much as a tenth of copying it.
pub(crate) fn check_mapped(addr: u64, bytes: u64, readonly: bool) -> Result<(), Errno> {
    let mut resident = [0u8; 4096];
    let step = resident.len() as u64 * PAGE_SIZE;
    let mut at = addr;
    while at < addr + bytes {
        let len = step.min(addr + bytes - at);
        // SAFETY: the answer has a byte for each page of the range; the range itself is only looked up.
        let r = unsafe { libc::mincore(at as *mut libc::c_void, len as usize, resident.as_mut_ptr()) };
        if r != 0 {
            return Err(Errno::Fault);
        }
        at += len;
    }
    let ok = if bytes <= 1 << 20 {
        populates(addr, bytes, readonly)
    } else {
        populates(addr, PAGE_SIZE, readonly) && populates(addr + bytes - PAGE_SIZE, PAGE_SIZE, readonly)
    };
    if ok || !can_populate() { Ok(()) } else { Err(Errno::Fault) }
}

/// Faults pages in; whether the process may access them all.
fn populates(addr: u64, bytes: u64, readonly: bool) -> bool {
    let advice = if readonly { libc::MADV_POPULATE_READ } else { libc::MADV_POPULATE_WRITE };
    // SAFETY: changes no content; a bad range is an error, not a fault.
    unsafe { libc::madvise(addr as *mut libc::c_void, bytes as usize, advice) == 0 }
}

/// Kernels before 5.14 do not know the advice.
fn can_populate() -> bool {
    static KNOWN: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *KNOWN.get_or_init(|| {
        let here = 0u8;
        populates(&raw const here as u64 & !(PAGE_SIZE - 1), PAGE_SIZE, true)
    })
}

/// Takes the device's address range out of this process's, once, so that a device pointer which a program
/// dereferences by mistake faults, as it does with a real card, and never finds something else.
pub(crate) fn reserve_device_addresses() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let (base, size) = (vinci_core::VA_BASE as usize, vinci_core::VA_SIZE as usize);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: the range is given up by the kernel only if nothing is mapped there.
        let p = unsafe { libc::mmap(base as *mut libc::c_void, size, libc::PROT_NONE, flags, -1, 0) };
        if p == libc::MAP_FAILED {
            let e = std::io::Error::last_os_error();
            log::warn!("device addresses {base:#x}..{:#x} could not be reserved: {e}", base + size);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_piece_is_found_below_many_short_ones() {
        let mut r = Ranges::default();
        r.add(0x10_0000, 0x10_0000);
        (0..200).for_each(|i| r.add(0x10_0000 + i * 0x1000, 0x1000));
        assert!(
            r.cover(0x1c_8000, 0x1d_0000) && !r.cover(0x1f_f000, 0x20_1000) && !r.cover(0xf_f000, 0x10_0000)
        );
    }

    #[test]
    fn the_same_start_at_two_lengths_is_two_pieces() {
        let mut r = Ranges::default();
        r.add(0x1000, 0x1000);
        r.add(0x1000, 0x4000);
        r.add(0x1000, 0x1000);
        r.remove(0x1000, 0x4000);
        assert!(r.cover(0x1000, 0x2000) && !r.cover(0x1000, 0x5000), "the longer one was taken back");
        r.remove(0x1000, 0x1000);
        assert!(r.cover(0x1000, 0x2000), "it was there twice");
        r.remove(0x1000, 0x1000);
        assert!(!r.cover(0x1000, 0x2000) && r.counts.is_empty());
    }
}
