//! The device as a whole: what BAR0, BAR2 and BAR4 are.

use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Mutex, RwLock};
use vinci_hw::regs::*;
use vinci_hw::uapi::*;

use crate::admin::AdminQueue;
use crate::clock::CostModel;
use crate::die::Die;
use crate::events::Events;
use crate::mmu::{AddressSpace, Health};
use crate::profile::Profile;
use crate::queue::{Queue, State};
use crate::sched;
use crate::shared::{Shared, sealed};
use crate::trace::Watch;

/// Queues of the device, a power of two.
pub const QUEUES: u32 = 1024;
/// MSI-X vectors.
pub const VECTORS: u16 = 64;

/// The bus between the device and the host.
pub trait HostBus: Send + Sync {
    /// Pointer to `len` bytes at bus address `bus`, if the device may reach them. It stays good until the
    /// driver has taken back what uses it (unmapped it, destroyed the queue, disabled the device).
    fn translate(&self, bus: u64, len: u64) -> Option<NonNull<u8>>;

    /// Raises a vector. Called from the device's threads and from register writes: must neither block nor
    /// call back into the device.
    fn interrupt(&self, vector: u16);

    /// Whether the device works for this process alone, so that it may map all of the HBM.
    fn one_process(&self) -> bool {
        false
    }

    /// Memory behind a bus address that this process cannot map, and where in it the address lies: another
    /// process's own pages. It stays good as long as what [`HostBus::translate`] answers.
    fn window(&self, _bus: u64, _len: u64) -> Option<(Arc<dyn Foreign>, u64)> {
        None
    }
}

/// Memory that is reached by copying only.
pub trait Foreign: Send + Sync {
    /// Copies `len` bytes from `at` to memory of this process; false if they are not there.
    ///
    /// # Safety
    /// `to` is good for stores of `len` bytes.
    unsafe fn read(&self, at: u64, to: NonNull<u8>, len: usize) -> bool;

    /// Copies `len` bytes of this process's memory to `at`; false if they cannot be stored there.
    ///
    /// # Safety
    /// `from` is good for loads of `len` bytes.
    unsafe fn write(&self, at: u64, from: NonNull<u8>, len: usize) -> bool;
}

/// Why a device could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Memory of the host.
    #[error("the device's {what} of {bytes} bytes could not be made (memfd and mmap): {source}")]
    Memory {
        /// Which memory.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// Why.
        source: io::Error,
    },
}

/// What the schedulers, the workers and the registers share.
pub(crate) struct Inner {
    pub(crate) profile: Profile,
    pub(crate) host: Arc<dyn HostBus>,
    pub(crate) costs: CostModel,
    pub(crate) watch: Watch,
    pub(crate) dies: Vec<Die>,
    pub(crate) hbm: Arc<[Shared]>,
    pub(crate) doorbells: Shared,
    pub(crate) health: Arc<Health>,
    pub(crate) vms: RwLock<Vec<Option<Arc<AddressSpace>>>>,
    pub(crate) queues: RwLock<Vec<Option<Arc<Queue>>>>,
    pub(crate) events: Events,
    pub(crate) stop: AtomicBool,
    irq_cause: AtomicU64,
    irq_enable: AtomicU64,
    born: Instant,
    pool: OnceLock<Arc<rayon::ThreadPool>>,
    start: Mutex<()>,
}

impl Inner {
    /// ns since bring-up.
    pub(crate) fn wall_ns(&self) -> u64 {
        self.born.elapsed().as_nanos() as u64
    }

    /// The AI cores' workers: one per core of the host, started when first needed.
    pub(crate) fn pool(&self) -> &Arc<rayon::ThreadPool> {
        self.pool.get_or_init(|| {
            let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(|i| format!("vinci-core{i}"));
            // PANIC: only a host that can start no thread gets here, and it cannot run the device at all.
            Arc::new(pool.build().expect("the host can start worker threads"))
        })
    }

    /// Adds causes and raises vector 0 if one of them is enabled.
    pub(crate) fn raise(&self, causes: u64) {
        self.irq_cause.fetch_or(causes, Ordering::AcqRel);
        if self.irq_enable.load(Ordering::Acquire) & causes != 0 {
            self.host.interrupt(VECTOR_ADMIN);
        }
    }

    /// Tells the driver about a fault.
    pub(crate) fn post_fault(&self, fault: drm_vinci_fault) {
        let mut event = drm_vinci_event::zeroed();
        (event.type_, event.queue_id, event.entry, event.fault) =
            (DRM_VINCI_EVENT_FAULT, fault.queue_id, fault.entry, fault);
        self.events.post(event);
        self.raise(irq::EVENT);
    }

    /// Tells the driver about a host call.
    pub(crate) fn post_host_call(&self, queue: u32, entry: u64, cookie: u64) {
        let mut event = drm_vinci_event::zeroed();
        (event.type_, event.queue_id, event.entry, event.cookie) =
            (DRM_VINCI_EVENT_HOST_CALL, queue, entry, cookie);
        self.events.post(event);
        self.raise(irq::EVENT);
    }

    /// Tells the driver about an error that hit no queue.
    pub(crate) fn post_ras(&self, fault: drm_vinci_fault) {
        let mut event = drm_vinci_event::zeroed();
        (event.type_, event.fault) = (DRM_VINCI_EVENT_RAS, fault);
        self.events.post(event);
        self.raise(irq::EVENT);
    }

    /// Starts the scheduler of a die if it does not run yet.
    pub(crate) fn start_scheduler(self: &Arc<Self>, die: u32) -> io::Result<()> {
        let _one = self.start.lock();
        if self.dies[die as usize].has_thread() {
            return Ok(());
        }
        let dev = self.clone();
        let thread = std::thread::Builder::new()
            .name(format!("vinci-die{die}"))
            .spawn(move || sched::run(&dev, &dev.dies[die as usize]))?;
        self.dies[die as usize].set_thread(thread.thread().clone());
        Ok(())
    }

    /// Takes every queue of a die (`None`: of all) from its owner, after its entry in flight has ended.
    fn lose_queues(&self, die: Option<u32>) {
        let queues: Vec<_> = self.queues.read().iter().flatten().cloned().collect();
        for q in queues.iter().filter(|q| die.is_none_or(|d| d == q.setup.die)) {
            let mut run = lock_stopped(q);
            run.state = State::Lost;
            q.set_shared_state(DRM_VINCI_QUEUE_LOST);
            if q.alert_any() {
                self.host.interrupt(q.vector);
            }
        }
    }

    /// Overwrites a die's HBM with zero.
    fn scrub(&self, die: u32) {
        let hbm = &self.hbm[die as usize];
        if let Err(e) = hbm.punch(0, hbm.len()) {
            log::error!("die {die}: HBM could not be scrubbed: {e}");
        }
    }

    fn reset_die(&self, die: u32) {
        self.lose_queues(Some(die));
        self.health.repair(Some(die));
        self.dies[die as usize].hang_next.store(false, Ordering::Release);
        self.dies[die as usize].crash_next.store(false, Ordering::Release);
        self.scrub(die);
    }
}

/// Locks a queue's state when nothing of it runs; a kernel in a jail is stopped.
pub(crate) fn lock_stopped(q: &Queue) -> parking_lot::MutexGuard<'_, crate::queue::Run> {
    loop {
        let mut run = q.run.lock();
        if run.state == State::Jailed {
            crate::sched::stop_jailed(q, &mut run);
            run.state = State::Ready;
        }
        if run.state != State::Running {
            return run;
        }
        drop(run);
        std::thread::sleep(std::time::Duration::from_micros(20));
    }
}

/// Locks a queue's state when nothing of it is on the worker pool or in a jail.
pub(crate) fn lock_at_rest(q: &Queue) -> parking_lot::MutexGuard<'_, crate::queue::Run> {
    loop {
        let run = q.run.lock();
        if !matches!(run.state, State::Running | State::Jailed) {
            return run;
        }
        drop(run);
        std::thread::sleep(std::time::Duration::from_micros(20));
    }
}

/// The NPU.
pub struct Device {
    pub(crate) inner: Arc<Inner>,
    admin: Mutex<AdminQueue>,
}

impl Device {
    /// A device in its state after power-on.
    pub fn open(profile: Profile, host: Arc<dyn HostBus>) -> Result<Arc<Self>, DeviceError> {
        let pages = u64::from(QUEUES) * PAGE_SIZE;
        let doorbells = Shared::new("vinci-doorbells", pages).map_err(|source| DeviceError::Memory {
            what: "doorbell pages",
            bytes: pages,
            source,
        })?;
        let bytes = hbm_bar_size(profile.dies, profile.die.hbm_bytes);
        let hbm = (|| {
            // One memfd, as it is one BAR.
            let file = sealed("vinci-hbm", bytes)?;
            let part = |die| {
                let start = hbm_start(die, profile.die.hbm_bytes);
                Shared::part(file.try_clone()?, start, profile.die.hbm_bytes)
            };
            (0..profile.dies).map(part).collect::<io::Result<Arc<[Shared]>>>()
        })()
        .map_err(|source| DeviceError::Memory { what: "HBM", bytes, source })?;
        let inner = Inner {
            doorbells,
            costs: CostModel::new(&profile),
            watch: Watch::from_env(),
            dies: (0..profile.dies).map(Die::new).collect(),
            hbm,
            host,
            profile,
            health: Arc::default(),
            vms: RwLock::default(),
            queues: RwLock::new(vec![None; QUEUES as usize]),
            events: Events::default(),
            stop: AtomicBool::new(false),
            irq_cause: AtomicU64::new(0),
            irq_enable: AtomicU64::new(0),
            born: Instant::now(),
            pool: OnceLock::new(),
            start: Mutex::new(()),
        };
        Ok(Arc::new(Self { inner: Arc::new(inner), admin: Mutex::default() }))
    }

    /// The chip.
    pub fn profile(&self) -> &Profile {
        &self.inner.profile
    }

    /// BAR2: page `q` is the doorbell of queue `q`.
    pub fn doorbells(&self) -> &Shared {
        &self.inner.doorbells
    }

    /// The part of BAR4 that is `die`'s HBM, if there is such a die. All are parts of one memfd, each at
    /// [`hbm_start`].
    pub fn hbm(&self, die: u32) -> Option<&Shared> {
        self.inner.hbm.get(die as usize)
    }

    /// A memfd of `len` bytes of a die's HBM, which shows these bytes and no others, and where in it they begin.
    /// Waits until every entry in flight has ended, so that what it stores is not lost.
    pub fn share_hbm(&self, die: u32, offset: u64, len: u64) -> io::Result<(OwnedFd, u64)> {
        let hbm = self.hbm(die).ok_or(io::ErrorKind::NotFound)?;
        let _admin = self.admin.lock();
        let queues: Vec<_> = self.inner.queues.read().iter().flatten().cloned().collect();
        let at_rest: Vec<_> = queues.iter().map(|q| lock_at_rest(q)).collect();
        let shared = hbm.share(offset, len);
        self.inner.vms.read().iter().flatten().for_each(|vm| vm.forget_views());
        drop(at_rest);
        self.inner.dies.iter().for_each(Die::wake);
        shared
    }

    /// Ends the sharing of HBM that changes hands.
    pub fn unshare_hbm(&self, die: u32, offset: u64, len: u64) -> io::Result<()> {
        self.hbm(die).map_or(Ok(()), |hbm| hbm.take_back(offset, len))
    }

    /// A memfd of a queue's doorbell page and of no other, and where in it the page begins.
    pub fn share_doorbell(&self, queue: u32) -> io::Result<(OwnedFd, u64)> {
        let shared = self.inner.doorbells.share(u64::from(queue) * PAGE_SIZE, PAGE_SIZE);
        // A scheduler that announced its sleep in the old page announces it again in the new one, and looks at the
        // tail there, before it sleeps.
        self.inner.dies.iter().for_each(Die::wake);
        shared
    }

    /// Reads a register of BAR0; 0 where there is none.
    pub fn read(&self, reg: u64) -> u64 {
        let admin = || self.admin.lock();
        match Reg::from_offset(reg) {
            Some(Reg::Ident) => IDENT_MAGIC,
            Some(Reg::Version) => INTERFACE_VERSION,
            Some(Reg::Caps) => Caps {
                dies: self.inner.profile.dies as u8,
                queues_log2: QUEUES.ilog2() as u8,
                vectors: VECTORS,
            }
            .pack(),
            Some(Reg::Control) => admin().enabled.into(),
            Some(Reg::Status) => {
                if admin().enabled {
                    Status::Ready as u64
                } else {
                    Status::Disabled as u64
                }
            }
            Some(Reg::AdminSq) => admin().sq_bus,
            Some(Reg::AdminCq) => admin().cq_bus,
            Some(Reg::AdminSize) => admin().entries,
            Some(Reg::IrqCause) => self.inner.irq_cause.load(Ordering::Acquire),
            Some(Reg::IrqEnable) => self.inner.irq_enable.load(Ordering::Acquire),
            Some(Reg::EventHead) => self.inner.events.head(),
            Some(Reg::EventTail) => self.inner.events.tail(),
            Some(Reg::EventRing) => admin().events_bus,
            Some(Reg::WallClock) => self.inner.wall_ns(),
            Some(Reg::Reset | Reg::AdminTail | Reg::Kick) | None => 0,
        }
    }

    /// Writes a register of BAR0; nothing happens where there is none or it is not writable now. A write of
    /// the admin tail returns when the commands are complete.
    pub fn write(&self, reg: u64, value: u64) {
        match Reg::from_offset(reg) {
            Some(Reg::Kick) => {
                let queues = self.inner.queues.read();
                if let Some(q) = queues.get(value as usize).and_then(Option::as_ref) {
                    self.inner.dies[q.setup.die as usize].wake();
                }
            }
            Some(Reg::AdminTail) => self.admin.lock().ring(&self.inner, value),
            Some(Reg::EventTail) if self.inner.events.set_tail(value) => self.inner.raise(irq::EVENT),
            Some(Reg::EventTail) => {}
            Some(Reg::IrqCause) => {
                self.inner.irq_cause.fetch_and(!value, Ordering::AcqRel);
            }
            Some(Reg::IrqEnable) => {
                self.inner.irq_enable.store(value, Ordering::Release);
                let pending = self.inner.irq_cause.load(Ordering::Acquire);
                if pending & value != 0 {
                    self.inner.raise(pending);
                }
            }
            Some(Reg::Control) => {
                let mut admin = self.admin.lock();
                if value & 1 != 0 { admin.enable(&self.inner) } else { self.disable(&mut admin) }
            }
            Some(Reg::Reset) if value == RESET_FUNCTION => {
                let mut admin = self.admin.lock();
                self.disable(&mut admin);
                self.inner.health.repair(None);
                (0..self.inner.profile.dies).for_each(|die| self.inner.reset_die(die));
                self.inner.irq_enable.store(0, Ordering::Release);
                self.inner.irq_cause.store(0, Ordering::Release);
                *admin = AdminQueue::default();
            }
            Some(Reg::Reset) if value & !0xff == RESET_DIE => {
                let die = (value & 0xff) as u32;
                if die < self.inner.profile.dies {
                    let _admin = self.admin.lock();
                    self.inner.reset_die(die);
                }
            }
            Some(reg) => self.admin.lock().set(reg, value),
            None => {}
        }
    }

    /// Stops everything and forgets queues and address spaces; HBM keeps its content.
    fn disable(&self, admin: &mut AdminQueue) {
        self.inner.lose_queues(None);
        for q in self.inner.queues.write().iter_mut().filter_map(Option::take) {
            self.inner.dies[q.setup.die as usize].remove_queue(q.setup.queue);
            let _ = self.inner.doorbells.take_back(u64::from(q.setup.queue) * PAGE_SIZE, PAGE_SIZE);
        }
        self.inner.dies.iter().for_each(Die::wake);
        self.inner.vms.write().clear();
        self.inner.events.set_ring(None);
        admin.disable();
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.inner.stop.store(true, Ordering::Release);
        self.inner.dies.iter().for_each(Die::wake);
    }
}
