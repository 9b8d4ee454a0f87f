//! Kernels that a program brings along: code objects of an address space, and the jails they run in.

mod debug;
mod explain;
mod memory;
mod races;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use parking_lot::{Mutex, RwLock};
use vinci_code::{CodeObject, Kind};
use vinci_hw::uapi::*;
use vinci_jail::layout::{self, ARGS_BYTES, CODE_BASE, CODE_STRIDE, CODES, Race, Slice};
use vinci_jail::{Ended, Jail, Launch, Report};

use crate::clock::Engine;
use crate::device::Inner;
use crate::fault::Cause;
use crate::mmu::{Access, AddressSpace, MAX_DIES, Miss};
use crate::trace::KernelTrace;
use crate::window::Span;
pub(crate) use debug::Debug;
use memory::Memory;
pub(crate) use races::Heed;

/// How long a kernel that was told to end may take to.
const GRACE: Duration = Duration::from_millis(300);
/// How long a jail may take to come up before nobody waits for it.
const READY: Duration = Duration::from_millis(50);
/// How often it is told.
const REMIND: Duration = Duration::from_millis(10);

/// A code object that an address space knows.
pub(crate) struct Loaded {
    object: CodeObject,
    /// Its image, from which the jail maps it.
    file: File,
    /// How often each kernel was launched.
    launches: Vec<AtomicU32>,
    /// Races that were warned of.
    warned: Mutex<HashSet<[[u64; 4]; 2]>>,
}

/// The code objects of an address space and its jails, one per die.
#[derive(Default)]
pub struct Code {
    /// By number, from 1 on.
    objects: RwLock<Vec<Option<Arc<Loaded>>>>,
    jails: [Mutex<Option<Arc<DieJail>>>; MAX_DIES],
}

/// The jail of an address space on a die.
pub(crate) struct DieJail {
    jail: Jail,
    memory: Arc<Memory>,
    /// With a trace: how many slices were taken over, and those of kernels that have not ended.
    slices: Mutex<(u64, Vec<Slice>)>,
}

/// A kernel in a jail.
pub(crate) struct Running {
    jail: Arc<DieJail>,
    job: u32,
    object: Arc<Loaded>,
    kernel: usize,
    blocks: u32,
    serial: u32,
    /// Time that it may take from when it is at the head of its queue.
    allowed: Duration,
    /// When its time is up; then when it is told again.
    limit: Instant,
    /// When it was first told to end.
    told: Option<Instant>,
    /// Whether it was its time limit.
    late: bool,
}

/// Number and index of a kernel's id.
fn split(id: u64) -> (u32, usize) {
    ((id >> 32) as u32 & 0x3fff_ffff, id as u32 as usize)
}

impl Code {
    /// Reads an object; its number and its kernels.
    pub(crate) fn load(&self, bytes: &[u8]) -> Result<(u32, u32), String> {
        let mut objects = self.objects.write();
        let free = objects.iter().position(Option::is_none).unwrap_or(objects.len());
        if free as u64 >= CODES {
            return Err(format!("an address space has {CODES} code objects at most"));
        }
        let base = CODE_BASE + free as u64 * CODE_STRIDE;
        let object = CodeObject::parse(bytes, base).map_err(|e| e.to_string())?;
        let image = |object: &CodeObject| -> io::Result<File> {
            let mut file = File::from(memfd_create("vinci-code", MFdFlags::MFD_CLOEXEC)?);
            file.write_all(&object.image.bytes)?;
            Ok(file)
        };
        let file = image(&object).map_err(|e| format!("no memory for its image: {e}"))?;
        let kernels = object.kernels.len() as u32;
        let launches = object.kernels.iter().map(|_| AtomicU32::new(0)).collect();
        let loaded = Some(Arc::new(Loaded { object, file, launches, warned: Mutex::default() }));
        if free == objects.len() {
            objects.push(loaded);
        } else {
            objects[free] = loaded;
        }
        Ok((free as u32 + 1, kernels))
    }

    /// Forgets an object; false if there is none of that number. The caller has waited for its kernels.
    pub(crate) fn unload(&self, number: u32) -> bool {
        let slot = (number as usize).wrapping_sub(1);
        let gone = self.objects.write().get_mut(slot).and_then(Option::take).is_some();
        if gone {
            let at = CODE_BASE + slot as u64 * CODE_STRIDE;
            self.each_jail(|j| j.jail.forget(at, CODE_STRIDE));
        }
        gone
    }

    fn object(&self, number: u32) -> Option<Arc<Loaded>> {
        self.objects.read().get((number as usize).wrapping_sub(1))?.clone()
    }

    fn each_jail(&self, f: impl Fn(&DieJail)) {
        for jail in &self.jails {
            if let Some(jail) = &*jail.lock() {
                f(jail);
            }
        }
    }

    /// Memory has been unmapped: no jail may go on using it.
    pub(crate) fn forget(&self, va: u64, len: u64) {
        self.each_jail(|j| j.jail.forget(va, len));
    }

    /// Starts the jail of `die` and gives it a moment to come up, so that the first kernel does not wait for it.
    pub(crate) fn make_ready(&self, vm: &Arc<AddressSpace>, dev: &Arc<Inner>, die: u32) {
        match self.jail(vm, dev, die) {
            Ok(jail) => jail.jail.wait_until_up(READY),
            Err(e) => log::error!("die {die}: the AI cores cannot be started: {e}"),
        }
    }

    /// The jail of `die`, started if there is none that lives.
    fn jail(&self, vm: &Arc<AddressSpace>, dev: &Arc<Inner>, die: u32) -> io::Result<Arc<DieJail>> {
        let mut slot = self.jails[die as usize].lock();
        if let Some(jail) = slot.as_ref().filter(|j| !j.jail.has_ended()) {
            return Ok(jail.clone());
        }
        let memory = Arc::new(Memory::new(Arc::downgrade(vm), Arc::downgrade(dev), die));
        let jail = Jail::start(config(dev), memory.clone())?;
        Ok(slot.insert(Arc::new(DieJail { jail, memory, slices: Mutex::default() })).clone())
    }
}

/// What a jail is told of the chip.
fn config(dev: &Inner) -> layout::Config {
    let p = &dev.profile;
    let d = &p.die;
    let page = |bytes: u32| bytes.next_multiple_of(4096);
    let ghz = d.clock_mhz as f32 / 1e3;
    let hbm = p.hbm_cycle_bytes() as f32;
    // In the order of `Rate` in `ascendc/impl/core.h`.
    let known = [
        hbm,
        hbm,
        p.rates.memory_latency_cycles as f32,
        p.rates.vector_fp32_lanes as f32 * 4.0,
        p.rates.vector_start_cycles as f32,
        p.rates.l1_to_l0a_bytes as f32,
        p.rates.l1_to_l0b_bytes as f32,
        p.rates.l1_latency_cycles as f32,
        p.rates.l0c_out_bytes as f32,
        p.rates.cube_fp16_macs as f32,
        p.rates.cube_fp32_macs as f32,
        p.rates.cube_int8_macs as f32,
        p.rates.cube_start_cycles as f32,
        p.rates.issue_cycles as f32,
        p.rates.transfer_cycles as f32,
        p.rates.hbm_core_bytes as f32,
        p.rates.l2_aiv_bytes as f32,
        p.rates.store_bytes as f32,
        hbm,
        p.rates.l2_gbps as f32 / ghz,
        p.rates.row_cycles as f32,
        p.rates.scalar_load_cycles as f32,
        p.rates.scalar_store_cycles as f32,
        f32::from(u8::from(p.rates.vector_source_cycles)),
        p.rates.hbm_write_percent as f32 / 100.0,
        p.rates.line_bytes as f32,
    ];
    let mut rates = [0.0; layout::RATES];
    rates[..known.len()].copy_from_slice(&known);
    layout::Config {
        aic: d.aic_cores,
        aiv: d.aiv_cores,
        arch: d.arch,
        local: [
            page(d.ub_bytes),
            page(d.l1_bytes),
            page(d.l0a_bytes),
            page(d.l0b_bytes),
            page(d.l0c_bytes),
            page(4096),
            page(8192),
        ],
        rates,
        cache: d.l2_bytes,
        aic_l2: p.rates.l2_aic_bytes as f32,
        debug: dev.watch.debug.lock().is_some().into(),
        ..layout::Config::default()
    }
}

/// Engine, model time in ns, and what `vinci trace` is told.
pub(crate) type Ending = (Engine, u64, Option<Box<KernelTrace>>);

/// What came of an attempt to launch.
pub(crate) enum Launched {
    /// It is in the jail.
    Running(Box<Running>),
    /// The jail is full.
    Later,
}

/// Puts a kernel into the jail of its address space, to begin when `after` has ended well. `id` has
/// `DRM_VINCI_KERNEL_OF_CODE` set.
#[allow(clippy::too_many_arguments, reason = "an entry's words")]
pub(crate) fn launch(
    dev: &Arc<Inner>,
    vm: &Arc<AddressSpace>,
    die: u32,
    id: u64,
    blocks: u32,
    block: &[u8],
    limit: Duration,
    after: Option<&Running>,
) -> Result<Launched, Cause> {
    let bad = |text: String| Cause::new(DRM_VINCI_FAULT_KERNEL, text);
    let (number, index) = split(id);
    let object = vm.code.object(number).ok_or_else(|| bad(format!("no code object {number} is loaded")))?;
    let kernel = object.object.kernels.get(index);
    let kernel = kernel.ok_or_else(|| bad(format!("code object {number} has no kernel {index}")))?;
    if blocks == 0 {
        return Err(bad(format!("kernel {} on 0 blocks", kernel.name)));
    }
    let head = drm_vinci_code_args::from_bytes(block)
        .ok_or_else(|| bad(format!("kernel {}: its arguments have no head", kernel.name)))?;
    let bytes = head.bytes as usize;
    let places_at = size_of::<drm_vinci_code_args>();
    let rest = block.get(places_at..).unwrap_or(&[]);
    let places_len = head.places as usize * size_of::<drm_vinci_code_place>();
    let (Some(places), true) = (rest.get(..places_len), bytes.is_multiple_of(8) && bytes <= ARGS_BYTES)
    else {
        return Err(bad(format!(
            "kernel {}: {bytes} bytes of arguments, {} places",
            kernel.name, head.places
        )));
    };
    if bytes < kernel.args_size as usize {
        return Err(bad(format!(
            "kernel {} takes {} bytes of arguments, {bytes} were given",
            kernel.name, kernel.args_size
        )));
    }
    let from = if head.va != 0 {
        let found = Span::find(vm, &*dev.host, die, head.va, bytes as u64, Access::Read);
        Some(found.map_err(|m| Cause::access(m, bytes as u64, false))?)
    } else {
        if rest.len() < places_len + bytes {
            return Err(bad(format!("kernel {}: its arguments end early", kernel.name)));
        }
        None
    };
    let jail = vm
        .code
        .jail(vm, dev, die)
        .map_err(|e| Cause::new(DRM_VINCI_FAULT_EXCEPTION, format!("the AI cores cannot be started: {e}")))?;
    if after.is_some_and(|before| !Arc::ptr_eq(&before.jail, &jail)) {
        return Ok(Launched::Later);
    }
    let mut sound = true;
    let debug = dev.watch.debug.lock().take_if(|d| d.wants(&kernel.name));
    let job = Launch {
        entry: object.object.image.base + kernel.entry,
        blocks,
        kind: kernel.kind as u32,
        print: head.print,
        workspace: head.workspace,
        mode: dev.watch.races.mode(object.launches[index].load(Ordering::Relaxed))
            | if dev.watch.traces() { layout::MODE_RECORD } else { 0 }
            | if debug.is_some() { layout::MODE_STOP } else { 0 },
        serial: dev.watch.next(),
        after: after.map(|before| before.job),
    };
    let serial = job.serial;
    let job = jail.jail.submit(&job, |job, space| {
        let to = &mut space[..bytes];
        match &from {
            Some(from) => {
                let here = Span::Here(std::ptr::NonNull::from(&mut *to).cast());
                // SAFETY: `bytes` bytes were translated for loads; the destination has as many.
                sound = unsafe { here.copy_from(0, from, 0, bytes) };
            }
            None => to.copy_from_slice(&rest[places_len..places_len + bytes]),
        }
        for place in places.chunks_exact(size_of::<drm_vinci_code_place>()) {
            let Some(p) = drm_vinci_code_place::from_bytes(place) else { continue };
            let (at, data) = (p.at as usize, p.data as usize);
            match to.get_mut(at..at.saturating_add(8)) {
                Some(word) if data <= bytes => {
                    word.copy_from_slice(&(Jail::args_address(job) + u64::from(p.data)).to_ne_bytes());
                }
                _ => sound = false,
            }
        }
    });
    let Some(job) = job else {
        if debug.is_some() {
            *dev.watch.debug.lock() = debug;
        }
        return Ok(Launched::Later);
    };
    object.launches[index].fetch_add(1, Ordering::Relaxed);
    let limit = if debug.is_some() { debug::PATIENCE } else { limit };
    if let Some(debug) = debug {
        debug.announce(&jail.jail, &object.object, kernel);
    }
    let mut running = Running {
        jail,
        job,
        kernel: index,
        blocks,
        serial,
        allowed: limit,
        limit: Instant::now() + limit,
        told: None,
        late: false,
        object: object.clone(),
    };
    if !sound {
        // It is in the jail already: let it end before anything is said.
        running.stop();
        return Err(bad(format!("kernel {}: a place or the arguments lie outside", kernel.name)));
    }
    Ok(Launched::Running(Box::new(running)))
}

impl Running {
    /// How it ended, if it has: the engine, the model time and what `vinci trace` is told, or the fault.
    pub(crate) fn poll(&mut self, dev: &Inner, vm: &AddressSpace) -> Option<Result<Ending, Cause>> {
        let Some(ended) = self.jail.jail.poll(self.job) else {
            self.remind();
            return None;
        };
        let written = self.jail.memory.settle(vm, &self.jail.jail);
        let kernel = &self.object.object.kernels[self.kernel];
        Some(match (ended, written) {
            (Ended::Well(report, races), Ok(())) => {
                let engine = match kernel.kind {
                    Kind::Aic => Engine::Aic,
                    Kind::Any | Kind::Aiv => Engine::Aiv,
                    _ => Engine::Mix,
                };
                let races: Vec<_> = races.iter().flatten().collect();
                if !races.is_empty()
                    && let Err(cause) = self.heed(dev, &races)
                {
                    return Some(Err(cause));
                }
                let trace = dev.watch.traces().then(|| Box::new(self.trace(dev, &report, &races)));
                Ok((engine, dev.costs.cycles_ns(report.cycles()), trace))
            }
            (Ended::Well(..), Err((va, len))) => Err(Cause::access(Miss::Unmapped(va), len, true)),
            (Ended::Fault(fault), _) => {
                Err(explain::explain(&self.object.object, kernel, self.blocks, &fault, vm, self.late))
            }
        })
    }

    /// Warns of races, each once, or makes a fault of them.
    fn heed(&self, dev: &Inner, races: &[&Race]) -> Result<(), Cause> {
        let object = &self.object.object;
        let name = &object.kernels[self.kernel].name;
        if dev.watch.races == Heed::Error {
            let text = races::sentence(object, races[0]);
            return Err(Cause::new(DRM_VINCI_FAULT_EXCEPTION, format!("kernel {name}: race: {text}")));
        }
        for race in races {
            if self.object.warned.lock().insert(race.places) {
                log::warn!("kernel {name}: race: {}", races::sentence(object, race));
            }
        }
        Ok(())
    }

    /// What `vinci trace` is told.
    fn trace(&self, dev: &Inner, report: &Report, races: &[&Race]) -> KernelTrace {
        let mine = {
            let (seen, waiting) = &mut *self.jail.slices.lock();
            let (new, end) = self.jail.jail.slices(*seen);
            *seen = end;
            waiting.extend(new);
            let (mine, others) = waiting.drain(..).partition::<Vec<_>, _>(|s| s.serial == self.serial);
            *waiting = others;
            waiting.truncate(layout::KEPT);
            mine
        };
        let object = &self.object.object;
        let mut trace = KernelTrace {
            name: object.kernels[self.kernel].name.clone(),
            blocks: self.blocks,
            clock_mhz: dev.profile.die.clock_mhz,
            races: races.iter().map(|race| races::sentence(object, race)).collect(),
            ..KernelTrace::default()
        };
        trace.fill(report, &mine);
        trace
    }

    /// It is at the head of its queue now.
    pub(crate) fn begin_time(&mut self) {
        self.limit = Instant::now() + self.allowed;
    }

    /// Whether another kernel may be queued behind it before it has ended: not while kernels work on copies of
    /// memory, which are as old as their first use.
    pub(crate) fn takes_followers(&self) -> bool {
        self.told.is_none() && !self.jail.memory.has_copies()
    }

    /// When it is to be looked at again, whatever happens.
    pub(crate) fn deadline(&self) -> Instant {
        self.limit
    }

    /// The scheduler sleeps: the jail's thread wakes it.
    pub(crate) fn watch(&self) {
        self.jail.jail.watch();
    }

    /// Tells it to end if its time is up, again if it does not, and ends the whole jail if nothing helps.
    fn remind(&mut self) {
        let now = Instant::now();
        if now < self.limit {
            return;
        }
        self.late |= self.told.is_none();
        self.tell(now);
    }

    fn tell(&mut self, now: Instant) {
        let first = *self.told.get_or_insert(now);
        if now > first + GRACE {
            self.jail.jail.kill();
        } else {
            self.jail.jail.cancel(self.job);
        }
        self.limit = now + REMIND;
    }

    /// Ends it, and returns when it has.
    pub(crate) fn stop(&mut self) {
        while self.jail.jail.poll(self.job).is_none() {
            let now = Instant::now();
            if self.told.is_none() || now >= self.limit {
                self.tell(now);
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

/// Wakes a die's scheduler, if there still is one.
pub(crate) fn wake(dev: &Weak<Inner>, die: u32) {
    if let Some(dev) = dev.upgrade() {
        dev.dies[die as usize].wake();
    }
}
