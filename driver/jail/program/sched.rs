//! Which worker runs which block of which kernel.
//!
//! A worker takes a fiber that waits and can go on, else begins the next block of a kernel, else takes a new kernel.
//! As many blocks as the die has cores can be under way; the others follow as cores become free.

use core::cell::UnsafeCell;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

use crate::fiber::{base, furnish, prepare, vinci_switch};
use crate::layout::*;
use crate::look::Looking;
use crate::{Spin, account, control, demand, ring, sys};

/// Cycles of the host's clock that other workers are woken for.
const WORTH_HELP: u64 = 60_000;
/// Workers that no kernel takes alone.
const KEPT_FREE: u32 = 2;
/// Index of what a core gets from L2: see `ascendc/impl/core.h`.
const CORE_L2: usize = 16;
/// First of the words of [`Core::scratch`] that count what a core has set and waited for.
const COUNTS: usize = 896;
/// Rounds of looking for work before a worker sleeps.
const PATIENCE: u32 = 120;

#[derive(Clone, Copy, PartialEq)]
enum Status {
    Free,
    Running,
    Waiting,
}

/// How a fiber came back to its worker.
#[derive(Clone, Copy, PartialEq)]
pub enum Left {
    Ended,
    Waits,
    Abandoned,
}

/// A core's memories and the fiber on it.
#[derive(Clone, Copy)]
struct Slot {
    status: Status,
    furnished: bool,
    kernel: u32,
    worker: u32,
    sp: u64,
    word: u64,
    value: u64,
}

/// A kernel under way.
#[derive(Clone, Copy)]
pub struct Kernel {
    pub job: u32,
    total: u32,
    next: u32,
    running: u32,
    waiting: u32,
    limit: u32,
    faulted: bool,
    /// Its predecessor has not ended.
    held: bool,
    /// The kernel, plus 1, that is held until this one ends.
    then: u32,
    pub shared: bool,
    pub bytes: [u64; 4],
    /// In each lane: how long each pipe worked, of cube cores and of vector cores.
    pub busy: [[[f64; 3]; PIPES]; 2],
    pub blocks: [u32; 2],
    /// In each lane: how long each core worked.
    pub load: [[f32; 3]; CORES],
}

const SLOT: Slot =
    Slot { status: Status::Free, furnished: false, kernel: 0, worker: 0, sp: 0, word: 0, value: 0 };
const KERNEL: Kernel = Kernel {
    job: u32::MAX,
    total: 0,
    next: 0,
    running: 0,
    waiting: 0,
    limit: 0,
    faulted: false,
    held: false,
    then: 0,
    shared: false,
    bytes: [0; 4],
    busy: [[[0.0; 3]; PIPES]; 2],
    blocks: [0; 2],
    load: [[0.0; 3]; CORES],
};

/// What a worker is doing; only the worker and its own signal handler use it.
pub struct Worker {
    /// Stack pointer of the worker while a fiber runs.
    pub sp: u64,
    /// Core that it runs, plus 1.
    pub core: u32,
    /// How the fiber left.
    pub left: Left,
    /// With [`Left::Abandoned`].
    pub fault: Fault,
    last_core: u32,
}

const WORKER: Worker = Worker {
    sp: 0,
    core: 0,
    left: Left::Ended,
    fault: Fault {
        kind: 0,
        code: 0,
        block: 0,
        core: 0,
        role: 0,
        write: 0,
        pc: 0,
        address: 0,
        base: 0,
        check: [0; 6],
        callers: [0; CALLERS],
    },
    last_core: 0,
};

struct State {
    head: u32,
    slots: [Slot; CORES],
    kernels: [Kernel; JOBS],
    /// Kernels in use.
    under_way: u64,
}

struct Cell<T>(UnsafeCell<T>);
// SAFETY: what is in it is used under a lock, or by one worker only.
unsafe impl<T> Sync for Cell<T> {}

static LOCK: Spin = Spin::new();
static STATE: Cell<State> = Cell(UnsafeCell::new(State {
    head: 0,
    slots: [SLOT; CORES],
    kernels: [KERNEL; JOBS],
    under_way: 0,
}));
static ALL: Cell<[Worker; WORKERS]> = Cell(UnsafeCell::new([WORKER; WORKERS]));
static SHARED: Cell<[[u64; SHARED_WORDS]; JOBS]> = Cell(UnsafeCell::new([[0; SHARED_WORDS]; JOBS]));

/// The state of a worker, for itself.
#[allow(clippy::mut_from_ref)]
pub fn worker(me: usize) -> &'static mut Worker {
    // SAFETY: only worker `me` and the handler that interrupts it ask for it.
    unsafe { &mut (*ALL.0.get())[me % WORKERS] }
}

fn now() -> u64 {
    // SAFETY: reads a counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

fn job(i: u32) -> &'static Job {
    &control().jobs[i as usize % JOBS]
}

/// The kernel that nobody has taken, if there is one.
pub fn waiting() -> Option<&'static Job> {
    LOCK.lock();
    // SAFETY: under the lock.
    let head = unsafe { (*STATE.0.get()).head };
    LOCK.unlock();
    let control = control();
    (control.tail.load(SeqCst) != head).then(|| job(control.ring[head as usize % JOBS].load(Relaxed)))
}

/// Runs for ever.
pub fn run(me: usize) -> ! {
    let control = control();
    let mut idle = 0;
    let mut looking = Looking::default();
    loop {
        let active = control.active.load(Relaxed);
        if me as u32 >= active {
            looking.end();
            sys::futex_wait(&control.active, active);
            continue;
        }
        LOCK.lock();
        // SAFETY: under the lock.
        let s = unsafe { &mut *STATE.0.get() };
        let (next, busy) = (next(s, me), s.under_way != 0);
        LOCK.unlock();
        match next {
            Some(core) => {
                idle = 0;
                looking.end();
                enter(me, core);
            }
            None => {
                idle += 1;
                // Blocks of a kernel that is under way may be about to go on.
                if idle < PATIENCE && (looking.claim() || busy) {
                    // Whoever waits for the last kernel may be waiting for this very core.
                    if idle % 4 == 1 {
                        sys::yield_now();
                    }
                    for _ in 0..16 {
                        core::hint::spin_loop();
                    }
                    continue;
                }
                idle = 0;
                looking.end();
                let seen = control.work.load(SeqCst);
                control.sleepers.fetch_add(1, SeqCst);
                if waiting().is_none() {
                    sys::futex_wait(&control.work, seen);
                }
                control.sleepers.fetch_sub(1, SeqCst);
            }
        }
    }
}

/// Chooses what to do next; a core whose fiber is ready to be entered.
fn next(s: &mut State, me: usize) -> Option<usize> {
    loop {
        let mut left = s.under_way;
        while left != 0 {
            let k = left.trailing_zeros() as usize;
            left &= left - 1;
            if let Some(core) = resume(s, k, me).or_else(|| begin(s, k, me)) {
                return Some(core);
            }
            deadlock(s, k);
        }
        let control = control();
        if s.head == control.tail.load(Acquire) {
            return None;
        }
        let taken = control.ring[s.head as usize % JOBS].load(Relaxed) as usize % JOBS;
        s.head = s.head.wrapping_add(1);
        demand::forget(job(taken as u32).forget);
        activate(s, taken);
    }
}

/// A fiber of kernel `k` that waited and need not wait any more.
fn resume(s: &mut State, k: usize, me: usize) -> Option<usize> {
    if s.kernels[k].waiting == 0 {
        return None;
    }
    let stop = s.kernels[k].faulted || job(k as u32).cancel.load(Relaxed) != 0;
    for core in 0..CORES {
        let slot = &mut s.slots[core];
        if slot.status != Status::Waiting || slot.kernel as usize != k {
            continue;
        }
        if stop {
            slot.status = Status::Free;
            s.kernels[k].waiting -= 1;
            if !s.kernels[k].faulted {
                let fault = describe(core, FAULT_CANCELLED);
                fail(&mut s.kernels[k], fault);
            }
            continue;
        }
        // SAFETY: the fiber gave the word's address: it lies in the words that the kernel's cores share (`wait`).
        let word = unsafe { &*(slot.word as *const AtomicU64) };
        if word.load(Acquire) >= slot.value {
            (slot.status, slot.worker) = (Status::Running, me as u32);
            s.kernels[k].waiting -= 1;
            s.kernels[k].running += 1;
            return Some(core);
        }
    }
    settle(s, k);
    None
}

/// Begins the next block of kernel `k` if a core is free.
fn begin(s: &mut State, k: usize, me: usize) -> Option<usize> {
    if s.under_way & 1 << k == 0 {
        return None;
    }
    let j = job(k as u32);
    let kernel = &mut s.kernels[k];
    if kernel.next < kernel.total && !kernel.faulted && j.cancel.load(Relaxed) != 0 && kernel.running == 0 {
        kernel.held = false;
        fail(kernel, Fault { kind: FAULT_CANCELLED, ..Fault::default() });
        settle(s, k);
        return None;
    }
    if kernel.held || kernel.faulted || kernel.next >= kernel.total || kernel.running + kernel.waiting >= kernel.limit {
        return None;
    }
    // One whose blocks do not end must leave workers for others.
    if kernel.running + KEPT_FREE >= control().config.workers {
        return None;
    }
    let last = worker(me).last_core as usize;
    let free = |core: &usize| s.slots[*core].status == Status::Free;
    let core = Some(last).filter(free).or_else(|| (0..CORES).find(free))?;
    let fiber = s.kernels[k].next;
    s.kernels[k].next += 1;
    s.kernels[k].running += 1;
    worker(me).last_core = core as u32;
    let slot = &mut s.slots[core];
    (slot.status, slot.kernel, slot.worker) = (Status::Running, k as u32, me as u32);
    let config = &control().config;
    if !slot.furnished {
        furnish(core, config);
        slot.furnished = true;
        write_constants(core, config);
    }
    introduce(core, k, fiber);
    let args = CONTROL_BASE + (HEADER_BYTES + k * ARGS_BYTES) as u64;
    slot.sp = prepare(core, j.entry, args);
    Some(core)
}

/// The context of a core.
fn context(core: usize) -> *mut Core {
    base(core) as *mut Core
}

fn write_constants(core: usize, config: &Config) {
    // SAFETY: the core's context is mapped and no fiber is on the core.
    let c = unsafe { &mut *context(core) };
    (c.abi, c.arch, c.aic, c.aiv) = (ABI, config.arch, config.aic, config.aiv);
    for (i, (_, at)) in LOCALS.iter().enumerate() {
        c.local[i] = base(core) + at;
        c.local_bytes[i] = config.local[i];
    }
    c.wait = wait as *const () as u64;
    c.rates = config.rates;
    c.cache = account::cache(config);
}

/// Fibers of a block.
fn per_block(kind: u32) -> u32 {
    match kind {
        3 => 2,
        4 => 3,
        _ => 1,
    }
}

/// Tells a core which block it is.
fn introduce(core: usize, k: usize, fiber: u32) {
    let j = job(k as u32);
    let config = &control().config;
    let (block, part) = (fiber / per_block(j.kind), fiber % per_block(j.kind));
    let vectors = if j.kind == 4 { 2 } else { 1 };
    // SAFETY: as in `write_constants`.
    let c = unsafe { &mut *context(core) };
    c.role = match j.kind {
        0 => 0,
        1 => 1,
        2 => 2,
        _ => 1 + u32::from(part != 0),
    };
    c.sub_block = part.saturating_sub(1);
    c.sub_blocks = vectors;
    c.blocks = j.blocks;
    c.block = if part == 0 { block } else { block * vectors + c.sub_block };
    c.core = c.block % if c.role == 1 { config.aic } else { config.aiv }.max(1);
    (c.print, c.workspace) = (j.print, j.workspace);
    c.shared = SHARED.0.get() as u64 + (k * SHARED_WORDS * 8) as u64;
    c.reserved = 0;
    c.kernel = j.serial;
    c.check[0] = 0;
    let cube = c.role == 1;
    let at_once = if matches!(j.kind, 0 | 2) { config.aiv } else { config.aic };
    let at_once = j.blocks.min(at_once) * if cube { 1 } else { vectors };
    c.sharers = f64::from(at_once.max(1));
    c.rates[CORE_L2] = if cube { config.aic_l2 } else { config.rates[CORE_L2] };
    c.mode = j.mode & (MODE_RACES | MODE_RECORD);
    if j.mode & MODE_SOME != 0 && block >= SOME {
        c.mode &= !MODE_RACES;
    }
    (c.slices, c.touches, c.races, c.operands) = (0, 0, 0, 0);
    const NONE: [Lanes; PIPES] = [Lanes([0.0; 4]); PIPES];
    (c.time, c.tail, c.busy, c.bytes) = (NONE, NONE, NONE, [0; 4]);
    (c.flow, c.vector) = (Lanes([0.0; 4]), Lanes([0.0; 4]));
    (c.issued, c.seen) = ([0; 8], [[0; 8]; PIPES]);
    c.scratch[..64].fill(0);
    c.scratch[COUNTS..].fill(0);
}

fn activate(s: &mut State, k: usize) {
    let j = job(k as u32);
    let config = &control().config;
    let cores = if matches!(j.kind, 0 | 2) { config.aiv } else { config.aic };
    let fibers = per_block(j.kind);
    s.kernels[k] = Kernel {
        job: k as u32,
        total: j.blocks.saturating_mul(fibers),
        limit: (cores.max(1) * fibers).min(CORES as u32),
        ..KERNEL
    };
    s.under_way |= 1 << k;
    // Kernels become active in the order in which they were queued, so the predecessor's state is still its own.
    let before = (j.after as usize).wrapping_sub(1);
    if before < JOBS && before != k {
        if s.under_way & 1 << before != 0 {
            s.kernels[before].then = k as u32 + 1;
            s.kernels[k].held = true;
        } else if s.kernels[before].faulted {
            fail(&mut s.kernels[k], Fault { kind: FAULT_CANCELLED, ..Fault::default() });
        }
    }
    settle(s, k);
}

/// Kernel `k` has ended: what is held until then may begin, or never does.
fn release(s: &mut State, k: usize) {
    let (next, faulted) = ((s.kernels[k].then as usize).wrapping_sub(1), s.kernels[k].faulted);
    s.kernels[k].then = 0;
    if next >= JOBS || !s.kernels[next].held {
        return;
    }
    s.kernels[next].held = false;
    if faulted {
        fail(&mut s.kernels[next], Fault { kind: FAULT_CANCELLED, ..Fault::default() });
        settle(s, next);
    }
}

/// A breakpoint needs code that is there, and a debugger some time.
fn wait_for_debugger(entry: u64) {
    let go = &control().go;
    if go.load(Acquire) == 0 {
        demand::bring(entry, false);
        while go.load(Acquire) == 0 {
            sys::futex_wait(go, 0);
        }
    }
}

/// Enters the fiber on a core, and sees to how it came back.
fn enter(me: usize, core: usize) {
    let w = worker(me);
    // SAFETY: the slot runs on this worker, so nobody else uses it.
    let slot = unsafe { &mut (*STATE.0.get()).slots[core] };
    let k = slot.kernel as usize;
    w.core = core as u32 + 1;
    control().running[me].store(k as u32 + 1, Release);
    if job(k as u32).mode & MODE_STOP != 0 {
        wait_for_debugger(job(k as u32).entry);
    }
    let start = now();
    // SAFETY: the stack pointer is that of a fiber that was prepared or gave itself up.
    unsafe { vinci_switch(&raw mut w.sp, slot.sp) };
    let took = now().wrapping_sub(start);
    control().running[me].store(0, Release);
    w.core = 0;
    LOCK.lock();
    // SAFETY: under the lock.
    let s = unsafe { &mut *STATE.0.get() };
    let kernel = &mut s.kernels[k];
    kernel.running -= 1;
    match w.left {
        Left::Waits => {
            s.slots[core].status = Status::Waiting;
            kernel.waiting += 1;
            kernel.shared = true;
        }
        left => {
            s.slots[core].status = Status::Free;
            // SAFETY: the fiber has left the core.
            let c = unsafe { &*context(core) };
            account::block(kernel, c);
            if left == Left::Abandoned && !kernel.faulted {
                fail(kernel, w.fault);
            }
        }
    }
    let rest = kernel.total - kernel.next;
    let help = rest != 0 && took.saturating_mul(rest.into()) > WORTH_HELP;
    settle(s, k);
    LOCK.unlock();
    if help && control().sleepers.load(SeqCst) != 0 {
        control().work.fetch_add(1, SeqCst);
        sys::futex_wake(&control().work, rest);
    }
}

fn fail(kernel: &mut Kernel, fault: Fault) {
    kernel.faulted = true;
    // SAFETY: the device reads the fault only after the job is done.
    unsafe { (&raw const job(kernel.job).fault).cast_mut().write(fault) };
}

/// Ends kernel `k` if nothing of it is left.
fn settle(s: &mut State, k: usize) {
    let kernel = &mut s.kernels[k];
    let more = kernel.next < kernel.total && !kernel.faulted;
    if s.under_way & 1 << k == 0 || kernel.running != 0 || kernel.waiting != 0 || more {
        return;
    }
    s.under_way &= !(1 << k);
    if kernel.shared {
        // SAFETY: under the lock, and no fiber of the kernel is left.
        unsafe { (&mut (*SHARED.0.get())[k])[..ZEROED_WORDS].fill(0) };
    }
    release(s, k);
    let kernel = &s.kernels[k];
    let j = job(k as u32);
    account::result(kernel, j);
    j.state.store(DONE, SeqCst);
    if control().want.load(SeqCst) != 0 && control().want.swap(0, AcqRel) != 0 {
        ring();
    }
}

/// If every block of kernel `k` that is under way waits, and no other can begin, none ever goes on.
fn deadlock(s: &mut State, k: usize) {
    let kernel = &s.kernels[k];
    if s.under_way & 1 << k == 0 || kernel.running != 0 || kernel.waiting == 0 || kernel.faulted {
        return;
    }
    if kernel.next < kernel.total && kernel.waiting < kernel.limit {
        return;
    }
    let stuck = (0..CORES).find(|&c| s.slots[c].status == Status::Waiting && s.slots[c].kernel as usize == k);
    let Some(core) = stuck else { return };
    let fault = describe(core, FAULT_DEADLOCK);
    fail(&mut s.kernels[k], fault);
    let none = resume(s, k, 0);
    debug_assert!(none.is_none());
}

/// A fault of the fiber that waits on a core.
fn describe(core: usize, kind: u32) -> Fault {
    // SAFETY: the fiber does not run.
    let c = unsafe { &*context(core) };
    let mut fault = Fault { kind, block: c.block, core: c.core, role: c.role, base: base(core), ..Fault::default() };
    fault.pc = c.scratch[63];
    // SAFETY: the stack pointer is the fiber's own; the word below it all is the frame of who called `wait`.
    crate::signal::walk(core, unsafe { frame_of(core) }, &mut fault.callers);
    fault.check.copy_from_slice(&c.check[1..]);
    fault
}

/// The frame pointer that `vinci_switch` saved for the fiber that waits on a core.
///
/// # Safety
/// The fiber waits.
unsafe fn frame_of(core: usize) -> u64 {
    // SAFETY: control registers, r15 to r12 and rbx lie below it.
    unsafe { ((*STATE.0.get()).slots[core].sp as *const u64).add(6).read() }
}

/// The core that an address of a stack lies on.
fn core_of(address: u64) -> usize {
    ((address.wrapping_sub(CORES_BASE)) / CORE_STRIDE) as usize % CORES
}

/// What a kernel calls to give its core up until the word at `word` is at least `value`.
extern "C" fn wait(core: *mut Core, word: *const AtomicU64, value: u64) {
    let at = core_of(core as u64);
    let shared = SHARED.0.get() as u64;
    let end = shared + (JOBS * SHARED_WORDS * 8) as u64;
    if (word as u64) < shared || word as u64 + 8 > end || word as u64 % 8 != 0 {
        return;
    }
    // SAFETY: checked above.
    if unsafe { (*word).load(Acquire) } >= value {
        return;
    }
    // SAFETY: the slot runs on this worker, so nobody else uses it.
    let slot = unsafe { &mut (*STATE.0.get()).slots[at] };
    (slot.word, slot.value) = (word as u64, value);
    let w = worker(slot.worker as usize);
    w.left = Left::Waits;
    // SAFETY: the worker is where `enter` left it.
    unsafe { vinci_switch(&raw mut slot.sp, w.sp) };
}

/// Where a fiber goes when its block has ended.
pub extern "C" fn ended(core: u64) -> ! {
    // SAFETY: as in `wait`.
    let slot = unsafe { &mut (*STATE.0.get()).slots[core_of(core)] };
    let w = worker(slot.worker as usize);
    w.left = Left::Ended;
    // SAFETY: as in `wait`; the fiber is never entered again.
    unsafe { vinci_switch(&raw mut slot.sp, w.sp) };
    sys::exit(7)
}

/// The first address of a worker's core, if it runs one.
pub fn running(me: usize) -> Option<usize> {
    (worker(me).core as usize).checked_sub(1)
}

/// The job that a core works for.
pub fn job_of(core: usize) -> &'static Job {
    // SAFETY: the core runs on the caller's worker.
    job(unsafe { (*STATE.0.get()).slots[core].kernel })
}
