//! The admin queue: executes the driver's commands on the thread that rings it.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use vinci_hw::admin::{Command, Completion, Opcode, Outcome, Target as MapTarget};
use vinci_hw::regs::{EVENT_RING_ENTRIES, PAGE_SIZE, Reg, irq, queue_vector};
use vinci_hw::uapi::*;

use crate::device::{Inner, QUEUES, VECTORS, lock_stopped};
use crate::inject::Injection;
use crate::mmu::{Access, AddressSpace, MapError, Target};
use crate::queue::{Queue, State};
use crate::window::Span;
use vinci_hw::doorbell;

/// Most entries of the admin rings.
const MAX_ENTRIES: u64 = 256;
/// Most address spaces.
const MAX_VMS: u32 = 4096;

/// The admin registers and rings.
#[derive(Default)]
pub(crate) struct AdminQueue {
    pub(crate) enabled: bool,
    pub(crate) sq_bus: u64,
    pub(crate) cq_bus: u64,
    pub(crate) events_bus: u64,
    pub(crate) entries: u64,
    rings: Option<(NonNull<Command>, NonNull<Completion>)>,
    head: u64,
    completed: u64,
}

// SAFETY: the rings are host memory that the driver keeps until it disables the device; they are accessed under
// the lock around this structure, with volatile accesses.
unsafe impl Send for AdminQueue {}

impl From<MapError> for Outcome {
    fn from(e: MapError) -> Self {
        match e {
            MapError::Invalid | MapError::BadTarget => Self::Invalid,
            MapError::Overlap => Self::Overlap,
            MapError::NotFound => Self::NotFound,
        }
    }
}

impl AdminQueue {
    /// Sets up a register; only while disabled.
    pub(crate) fn set(&mut self, reg: Reg, value: u64) {
        match reg {
            _ if self.enabled => {}
            Reg::AdminSq => self.sq_bus = value,
            Reg::AdminCq => self.cq_bus = value,
            Reg::AdminSize => self.entries = value,
            Reg::EventRing => self.events_bus = value,
            _ => {}
        }
    }

    /// Takes the rings into use; stays disabled if they cannot be reached.
    pub(crate) fn enable(&mut self, dev: &Inner) {
        if self.enabled || !self.entries.is_power_of_two() || self.entries > MAX_ENTRIES {
            return;
        }
        let at = |bus: u64, len| dev.host.translate(bus, len).filter(|_| bus.is_multiple_of(PAGE_SIZE));
        let sq = at(self.sq_bus, self.entries * size_of::<Command>() as u64);
        let cq = at(self.cq_bus, self.entries * size_of::<Completion>() as u64);
        let events = at(self.events_bus, EVENT_RING_ENTRIES * size_of::<drm_vinci_event>() as u64);
        let (Some(sq), Some(cq), Some(events)) = (sq, cq, events) else {
            log::error!("admin: the rings cannot be reached; the device stays disabled");
            return;
        };
        (self.rings, self.head, self.completed) = (Some((sq.cast(), cq.cast())), 0, 0);
        dev.events.set_ring(Some(events));
        self.enabled = true;
    }

    /// Lets go of the rings.
    pub(crate) fn disable(&mut self) {
        (self.enabled, self.rings) = (false, None);
    }

    /// Executes the commands up to `tail`.
    pub(crate) fn ring(&mut self, dev: &Arc<Inner>, tail: u64) {
        let Some((sq, cq)) = self.rings else { return };
        if tail >= self.entries {
            return;
        }
        while self.head != tail {
            // SAFETY: `head` is below the ring's length.
            let command = unsafe { sq.add(self.head as usize).read_volatile() };
            self.head = (self.head + 1) % self.entries;
            let (outcome, result) = match execute(dev, &command) {
                Ok(result) => (Outcome::Ok, result),
                Err(outcome) => (outcome, 0),
            };
            let phase = (self.completed / self.entries).is_multiple_of(2);
            let completion = Completion {
                result,
                sq_head: self.head as u16,
                tag: command.tag,
                reserved: 0,
                status: Completion::pack_status(outcome, phase),
            };
            let slot = (self.completed % self.entries) as usize;
            self.completed += 1;
            // SAFETY: `slot` is below the ring's length. The half with the status is stored last, as the
            // driver reads the phase first.
            unsafe {
                let p = cq.add(slot).cast::<u64>();
                let words: [u64; 2] = std::mem::transmute(completion);
                p.write_volatile(words[0]);
                std::sync::atomic::AtomicU64::from_ptr(p.add(1).as_ptr()).store(words[1], Ordering::Release);
            }
        }
        dev.raise(irq::ADMIN);
    }
}

fn vm(dev: &Inner, id: u32) -> Result<Arc<AddressSpace>, Outcome> {
    dev.vms.read().get(id as usize).and_then(Clone::clone).ok_or(Outcome::BadId)
}

fn queue(dev: &Inner, id: u32) -> Result<Arc<Queue>, Outcome> {
    dev.queues.read().get(id as usize).and_then(Clone::clone).ok_or(Outcome::BadId)
}

fn check_die(dev: &Inner, die: u32) -> Result<u32, Outcome> {
    if die < dev.profile.dies { Ok(die) } else { Err(Outcome::Invalid) }
}

fn execute(dev: &Arc<Inner>, c: &Command) -> Result<u64, Outcome> {
    match Opcode::from_raw(c.opcode).ok_or(Outcome::Invalid)? {
        Opcode::Map => map(dev, c),
        Opcode::Unmap => Ok(vm(dev, c.id)?.unmap(c.va, c.len).map(|()| 0)?),
        Opcode::VmCreate => {
            let mut vms = dev.vms.write();
            if c.id >= MAX_VMS {
                return Err(Outcome::NoResource);
            }
            let at = c.id as usize;
            if vms.len() <= at {
                vms.resize(at + 1, None);
            }
            if vms[at].is_some() {
                return Err(Outcome::BadId);
            }
            vms[at] = Some(Arc::new(AddressSpace::new(dev.hbm.clone(), dev.health.clone())));
            Ok(0)
        }
        Opcode::VmDestroy => {
            let space = vm(dev, c.id)?;
            if dev.queues.read().iter().flatten().any(|q| Arc::ptr_eq(&q.vm, &space)) {
                return Err(Outcome::Busy);
            }
            dev.vms.write()[c.id as usize] = None;
            Ok(0)
        }
        Opcode::Peer => Ok(vm(dev, c.id)?.set_peer(c.kind.into(), c.arg, c.flags != 0).map(|()| 0)?),
        Opcode::QueueCreate => create_queue(dev, c),
        Opcode::QueueDestroy => {
            let q = queue(dev, c.id)?;
            stop_for_good(&q)?;
            dev.queues.write()[c.id as usize] = None;
            dev.dies[q.setup.die as usize].remove_queue(c.id);
            // The page costs a descriptor while it is shared. If it cannot be taken back, the next queue of this
            // number tries again.
            let _ = dev.doorbells.take_back(u64::from(c.id) * PAGE_SIZE, PAGE_SIZE);
            Ok(0)
        }
        Opcode::QueueReset => reset_queue(dev, &*queue(dev, c.id)?),
        Opcode::QueueResume => {
            let q = queue(dev, c.id)?;
            let mut run = q.run.lock();
            if run.state != State::HostCall || run.head.wrapping_add(1) != c.va {
                return Err(Outcome::NotFound);
            }
            run.state = State::Ready;
            run.head = run.head.wrapping_add(1);
            if let Some(timing) = run.timing.take() {
                dev.stamp(&q, timing, run.model_ns, run.model_ns);
            }
            q.publish(&run);
            if q.alert(&run) {
                dev.host.interrupt(q.vector);
            }
            drop(run);
            dev.dies[q.setup.die as usize].wake();
            Ok(0)
        }
        Opcode::Identify => identify(dev, c),
        Opcode::Telemetry => telemetry(dev, c),
        Opcode::Inject => inject(dev, c),
        Opcode::Scrub => {
            let hbm = &dev.hbm[check_die(dev, c.arg)? as usize];
            hbm.at(c.addr, c.len).ok_or(Outcome::Invalid)?;
            hbm.punch(c.addr, c.len).map(|()| 0).map_err(|_| Outcome::NoResource)
        }
        Opcode::Kernel => {
            let p = host(dev, c.addr, size_of::<drm_vinci_kernel_info>())?.cast::<drm_vinci_kernel_info>();
            // SAFETY: the bytes were translated; every bit pattern is valid.
            let mut info = unsafe { p.read_unaligned() };
            let name: Vec<u8> = info.name.iter().map(|&b| b as u8).take_while(|&b| b != 0).collect();
            let name = std::str::from_utf8(&name).map_err(|_| Outcome::NotFound)?;
            let (id, kernel) = vinci_kernels::lookup(name).ok_or(Outcome::NotFound)?;
            info.kernel = id;
            info.core_type = match kernel.core {
                vinci_kernels::CoreType::Aic => DRM_VINCI_CORE_AIC,
                vinci_kernels::CoreType::Aiv => DRM_VINCI_CORE_AIV,
                vinci_kernels::CoreType::Mix => DRM_VINCI_CORE_MIX,
            };
            // SAFETY: as above.
            unsafe { p.write_unaligned(info) };
            Ok(id)
        }
        Opcode::CodeLoad => load_code(dev, c),
        Opcode::CodeUnload => {
            let space = vm(dev, c.id)?;
            space.wait_for_work();
            if space.code.unload(c.arg) { Ok(0) } else { Err(Outcome::NotFound) }
        }
        Opcode::Limits => {
            let die = &dev.dies[check_die(dev, c.id)? as usize];
            if c.va > u64::from(dev.profile.die.clock_mhz) {
                return Err(Outcome::Invalid);
            }
            if c.va != 0 {
                die.clock_limit.store(c.va, Ordering::Release);
            }
            Ok(0)
        }
    }
}

fn host(dev: &Inner, bus: u64, len: usize) -> Result<NonNull<u8>, Outcome> {
    dev.host.translate(bus, len as u64).ok_or(Outcome::BusFault)
}

fn map(dev: &Inner, c: &Command) -> Result<u64, Outcome> {
    let target = if c.kind == MapTarget::Hbm as u16 {
        Target::Hbm { die: c.arg, offset: c.addr }
    } else if c.kind == MapTarget::Host as u16 && c.arg == 0 {
        match dev.host.translate(c.addr, c.len) {
            Some(p) => Target::Host { addr: p.as_ptr() as usize },
            None => {
                dev.host.window(c.addr, c.len).ok_or(Outcome::BusFault)?;
                Target::Window { bus: c.addr }
            }
        }
    } else {
        return Err(Outcome::Invalid);
    };
    vm(dev, c.id)?.map(c.va, c.len, target, c.flags.into())?;
    Ok(0)
}

/// Reads a code object from device memory; its number and how many kernels it has.
fn load_code(dev: &Arc<Inner>, c: &Command) -> Result<u64, Outcome> {
    let space = vm(dev, c.id)?;
    let len = usize::try_from(c.len).map_err(|_| Outcome::Invalid)?;
    let _use = space.enter();
    // The object lies in the HBM of whichever die; none of the dies' kernels reads it, so peers do not matter.
    let mut from = Err(Outcome::BusFault);
    for die in 0..dev.profile.dies {
        from = from.or_else(|_| {
            Span::find(&space, &*dev.host, die, c.va, c.len, Access::Read).map_err(|_| Outcome::BusFault)
        });
    }
    let from = from?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| Outcome::NoResource)?;
    bytes.resize(len, 0u8);
    let to = Span::Here(NonNull::from(&mut bytes[..]).cast());
    // SAFETY: `len` bytes were translated for loads; the buffer has as many.
    if !unsafe { to.copy_from(0, &from, 0, len) } {
        return Err(Outcome::BusFault);
    }
    match space.code.load(&bytes) {
        Ok((number, kernels)) => {
            space.code.make_ready(&space, dev, check_die(dev, c.arg)?);
            Ok(u64::from(number) << 32 | u64::from(kernels))
        }
        Err(why) => {
            log::error!("code object of {len} bytes: {why}");
            Err(Outcome::Invalid)
        }
    }
}

fn create_queue(dev: &Arc<Inner>, c: &Command) -> Result<u64, Outcome> {
    let s = c.queue_setup();
    let die = check_die(dev, s.die)?;
    let sound = s.queue < QUEUES
        && s.priority < 8
        && s.entries.is_power_of_two()
        && (64..=65536).contains(&s.entries);
    if !sound || !s.ring.is_multiple_of(PAGE_SIZE) || !s.fence.is_multiple_of(PAGE_SIZE) {
        return Err(Outcome::Invalid);
    }
    let space = vm(dev, s.vm)?;
    let ring = host(dev, s.ring, s.entries as usize * size_of::<drm_vinci_sqe>())?;
    let fence = host(dev, s.fence, PAGE_SIZE as usize)?;
    let doorbell = dev.doorbells.at(u64::from(s.queue) * PAGE_SIZE, PAGE_SIZE).ok_or(Outcome::Invalid)?;
    let mut queues = dev.queues.write();
    let slot = &mut queues[s.queue as usize];
    if slot.is_some() {
        return Err(Outcome::BadId);
    }
    if s.goes_on.is_none() {
        // Whoever rang the last queue of this number does not ring this one.
        let page = dev.doorbells.take_back(u64::from(s.queue) * PAGE_SIZE, PAGE_SIZE);
        page.map_err(|_| Outcome::NoResource)?;
    }
    let q = Arc::new(Queue::new(s, space, queue_vector(s.queue, VECTORS), ring, fence, doorbell));
    dev.start_scheduler(die).map_err(|_| Outcome::NoResource)?;
    *slot = Some(q.clone());
    drop(queues);
    dev.dies[die as usize].add_queue(q);
    dev.dies[die as usize].wake();
    Ok(0)
}

/// Ends a queue, unless an entry of it is on the worker pool: then it takes no other, and the driver asks again.
fn stop_for_good(q: &Queue) -> Result<(), Outcome> {
    let mut run = q.run.lock();
    crate::sched::stop_jailed(q, &mut run);
    if run.state == State::Running {
        run.ending = true;
        return Err(Outcome::Busy);
    }
    run.state = State::Lost;
    Ok(())
}

/// Drops what is outstanding; the result is how many entries that were.
fn reset_queue(dev: &Inner, q: &Queue) -> Result<u64, Outcome> {
    let mut run = lock_stopped(q);
    if run.state == State::Lost {
        return Err(Outcome::BadId);
    }
    let tail = doorbell::tail(q.doorbell_tail());
    let dropped = tail.wrapping_sub(run.head);
    run.head = tail;
    run.state = State::Ready;
    q.set_shared_state(DRM_VINCI_QUEUE_RUNNING);
    q.publish(&run);
    if q.alert_any() {
        dev.host.interrupt(q.vector);
    }
    Ok(dropped)
}

fn copy_name<T: TryFrom<u8>>(to: &mut [T], from: &str) {
    let room = to.len() - 1;
    for (to, from) in to[..room].iter_mut().zip(from.bytes()) {
        if let Ok(b) = T::try_from(from) {
            *to = b;
        }
    }
}

fn identify(dev: &Inner, c: &Command) -> Result<u64, Outcome> {
    let (p, d) = (&dev.profile, &dev.profile.die);
    let Some(die) = c.id.checked_sub(1) else {
        let mut info = drm_vinci_device_info::zeroed();
        copy_name(&mut info.name, &p.name);
        copy_name(&mut info.profile, &p.product);
        copy_name(&mut info.serial, &format!("VINCI{:08x}", std::process::id()));
        copy_name(&mut info.firmware, env!("CARGO_PKG_VERSION"));
        (info.die_count, info.page_size, info.max_queues) = (p.dies, PAGE_SIZE as u32, QUEUES);
        (info.pci_vendor, info.pci_device) = (vinci_hw::regs::pci::VENDOR, vinci_hw::regs::pci::DEVICE);
        return put(dev, c.addr, &info);
    };
    check_die(dev, die)?;
    let mut info = drm_vinci_die_info::zeroed();
    copy_name(&mut info.soc_name, &d.soc_name);
    info.arch = d.arch;
    (info.aic_cores, info.aiv_cores, info.aicpu_cores) = (d.aic_cores, d.aiv_cores, d.aicpu_cores);
    (info.clock_mhz, info.hbm_bytes, info.hbm_gbps, info.link_gbps) =
        (d.clock_mhz, d.hbm_bytes, d.hbm_gbps, p.link_gbps);
    (info.l2_bytes, info.l1_bytes, info.ub_bytes) = (d.l2_bytes, d.l1_bytes, d.ub_bytes);
    (info.l0a_bytes, info.l0b_bytes, info.l0c_bytes) = (d.l0a_bytes, d.l0b_bytes, d.l0c_bytes);
    info.fp16_gflops =
        (u64::from(d.aic_cores) * u64::from(p.rates.cube_fp16_macs) * 2 * u64::from(d.clock_mhz) / 1000)
            as u32;
    put(dev, c.addr, &info)
}

fn put<T: Payload>(dev: &Inner, bus: u64, value: &T) -> Result<u64, Outcome> {
    let p = host(dev, bus, size_of::<T>())?;
    // SAFETY: the bytes were translated for the whole structure.
    unsafe { p.cast::<T>().write_unaligned(*value) };
    Ok(0)
}

fn telemetry(dev: &Inner, c: &Command) -> Result<u64, Outcome> {
    let die = &dev.dies[check_die(dev, c.id)? as usize];
    let r = die.sensors.lock().read(&dev.profile, Instant::now(), die.timeline.busy());
    let mut t = drm_vinci_telemetry::zeroed();
    t.die = c.id;
    (t.ecc_single, t.ecc_double) =
        (die.ecc_single.load(Ordering::Relaxed), die.ecc_double.load(Ordering::Relaxed));
    t.health = if t.ecc_double != 0 { 2 } else { u32::from(t.ecc_single != 0) };
    (t.temperature_mc, t.power_mw) = (r.temperature_mc, r.power_mw);
    t.clock_mhz = match die.clock_limit.load(Ordering::Relaxed) {
        0 => dev.profile.die.clock_mhz,
        limit => limit as u32,
    };
    (t.aic_util, t.aiv_util, t.hbm_util) = (r.aic_util, r.aiv_util, r.hbm_util);
    t.hbm_total = dev.profile.die.hbm_bytes;
    t.tasks = die.tasks.load(Ordering::Relaxed);
    (t.wall_ns, t.model_ns) = (dev.wall_ns(), die.timeline.now());
    put(dev, c.addr, &t)
}

fn inject(dev: &Inner, c: &Command) -> Result<u64, Outcome> {
    let die = check_die(dev, c.arg)?;
    let what = match u32::from(c.kind) {
        DRM_VINCI_INJECT_ECC_SINGLE => Injection::EccSingle { address: c.va },
        DRM_VINCI_INJECT_ECC_DOUBLE => {
            let space = vm(dev, c.id)?;
            let _use = space.enter();
            let p = space.translate(die, c.va, 1, Access::Read).map_err(|_| Outcome::NotFound)?;
            let base = dev.hbm[die as usize].ptr().as_ptr() as usize;
            Injection::EccDouble { offset: (p.as_ptr() as usize).wrapping_sub(base) as u64 }
        }
        DRM_VINCI_INJECT_HANG => Injection::Hang,
        DRM_VINCI_INJECT_LINK_DOWN => Injection::LinkDown,
        _ => return Err(Outcome::Invalid),
    };
    dev.inject(die, what).map(|()| 0).map_err(|_| Outcome::Invalid)
}
