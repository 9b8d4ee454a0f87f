//! What each queue entry does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vinci_hw::args::ArgsView;
use vinci_hw::sqe::{Sqe, words};
use vinci_hw::uapi::*;
use vinci_kernels::{Access as KernelAccess, Ctx, Kernel, KernelFault, Memory, Work};

use crate::clock::Engine;
use crate::code;
use crate::device::{HostBus, Inner};
use crate::die::Die;
use crate::fault::{Cause, cause_of, of_kernel};
use crate::mmu::{Access, AddressSpace, Miss};
use crate::queue::{Queue, State, Timing};
use crate::sdma::{self, Copy2d};
use crate::window::{Privates, Span};

/// Arguments that are read without a heap allocation, bytes.
const INLINE_ARGS: usize = 4096;
/// Largest argument block, bytes.
const MAX_ARGS: u32 = 1 << 20;
/// Host time below which an entry runs on the scheduler's thread, ns.
const INLINE_NS: u64 = 15_000;
/// Time a kernel may take when its entry does not say, ms.
const KERNEL_LIMIT_MS: u64 = 1_100_000;

/// What came of an entry.
pub(crate) enum Step {
    /// Complete; what it cost in model time.
    Done(Engine, u64),
    /// A wait that holds; the model time of what it waited for.
    Joined(u64),
    /// The queue stays at this entry.
    Park(State),
    /// To be run on the worker pool.
    Offload(Task),
    /// In a jail.
    Jailed(Box<code::Running>),
    /// To be tried again: there is no room.
    Later,
}

/// An entry that is worth a worker.
pub enum Task {
    /// A kernel, its arguments and its model cost.
    Kernel(&'static Kernel, Vec<u8>, u64),
    /// A copy and its model cost.
    Copy(Copy2d, u64),
    /// A fill (address, bytes, value) and its model cost.
    Fill(u64, u64, u8, u64),
}

/// An address space as kernels on one die see it.
struct DieMemory<'a> {
    vm: &'a AddressSpace,
    host: &'a dyn HostBus,
    die: u32,
    privates: Privates,
}

impl Memory for DieMemory<'_> {
    fn resolve(&self, va: u64, bytes: u64, access: KernelAccess) -> Result<NonNull<u8>, KernelFault> {
        let write = access == KernelAccess::Write;
        let fault = |m: Miss| KernelFault::Address { va: m.addr(), bytes, write, cause: cause_of(m) };
        let wanted = if write { Access::Write } else { Access::Read };
        match Span::find(self.vm, self.host, self.die, va, bytes, wanted).map_err(fault)? {
            Span::Here(p) => Ok(p),
            Span::There(memory, at) => self
                .privates
                .make(memory, at, bytes as usize, write, va)
                .ok_or_else(|| fault(Miss::Unmapped(va))),
            // `find` answers no pieces.
            Span::Pieces(_) => Err(fault(Miss::Unmapped(va))),
        }
    }
}

/// Roughly how long the host takes for `w` on one core, ns.
fn host_ns(w: &Work) -> u64 {
    w.cube_flops / 40 + w.vector_ops / 2 + (w.bytes_read + w.bytes_written) / 8
}

/// Runs a kernel; a panic in it is an exception of the AI core, not of the device.
fn run_kernel(
    vm: &AddressSpace,
    host: &dyn HostBus,
    die: u32,
    k: &Kernel,
    args: &ArgsView<'_>,
    parallel: bool,
) -> Result<(), Cause> {
    let memory = DieMemory { vm, host, die, privates: Privates::default() };
    let ctx = Ctx { memory: &memory, parallel };
    match catch_unwind(AssertUnwindSafe(|| (k.run)(&ctx, args))) {
        Ok(Ok(())) => {
            memory.privates.write_back().map_err(|(va, len)| Cause::access(Miss::Unmapped(va), len, true))
        }
        Ok(Err(fault)) => Err(of_kernel(k.name, 0, &fault)),
        Err(_) => Err(Cause::new(DRM_VINCI_FAULT_EXCEPTION, format!("kernel {} panicked", k.name))),
    }
}

impl Inner {
    /// Begins an entry of `q`. The caller holds the queue's run lock and an [`AddressSpace::enter`] guard.
    pub(crate) fn step(
        self: &Arc<Self>,
        die: &Die,
        q: &Queue,
        sqe: &Sqe,
        model_ns: u64,
    ) -> Result<Step, Cause> {
        let w = words(sqe);
        let opcode = u32::from(sqe.opcode);
        let malformed = u32::from(sqe.flags) & !DRM_VINCI_SQE_TIMED != 0
            || (sqe.compare != 0 && opcode != DRM_VINCI_OP_WAIT_VALUE)
            || (sqe.blocks != 0 && opcode != DRM_VINCI_OP_KERNEL);
        if malformed {
            return Err(Cause::new(
                DRM_VINCI_FAULT_ENTRY,
                "unknown flags, or compare or blocks of an entry that takes none",
            ));
        }
        if sqe.flags != 0 {
            self.stamp_at(q, w[6])?;
        }
        let sync = || Step::Done(Engine::None, self.costs.sync_ns());
        match opcode {
            DRM_VINCI_OP_PLACEHOLDER => Ok(sync()),
            DRM_VINCI_OP_KERNEL => self.kernel(die, q, sqe.blocks, &w, None),
            DRM_VINCI_OP_COPY => self.copy(q, Copy2d::unpack(&w)),
            DRM_VINCI_OP_FILL => self.fill(q, w[0], w[1], w[2] as u8),
            DRM_VINCI_OP_EVENT_RECORD => {
                let word = self.word(q, w[0], 24)?;
                // SAFETY: 24 bytes at an 8-byte aligned address were translated; shared words are only
                // accessed as atomics.
                let (wall, model) = unsafe { (&*word.as_ptr().add(1), &*word.as_ptr().add(2)) };
                wall.store(self.wall_ns(), Ordering::Relaxed);
                model.store(model_ns, Ordering::Relaxed);
                self.store(die, word, w[1]);
                Ok(sync())
            }
            DRM_VINCI_OP_NOTIFY_RECORD => {
                self.store(die, self.word(q, w[0], 8)?, 1);
                Ok(sync())
            }
            DRM_VINCI_OP_WRITE_VALUE => {
                self.store(die, self.word(q, w[0], 8)?, w[1]);
                Ok(sync())
            }
            DRM_VINCI_OP_EVENT_WAIT | DRM_VINCI_OP_NOTIFY_WAIT | DRM_VINCI_OP_WAIT_VALUE => {
                if let Some(model_ns) = self.holds(q, sqe)? {
                    return Ok(Step::Joined(model_ns));
                }
                let limit =
                    (w[2] != 0).then(|| Instant::now().checked_add(Duration::from_millis(w[2]))).flatten();
                Ok(Step::Park(State::Waiting(limit)))
            }
            DRM_VINCI_OP_HOST_CALL => Ok(Step::Park(State::HostCall)),
            other => Err(Cause::new(DRM_VINCI_FAULT_ENTRY, format!("unknown opcode {other}"))),
        }
    }

    /// If the wait that `sqe` is holds now: the model time of what it waited for (0 where none is known). A
    /// notify that holds is taken.
    pub(crate) fn holds(&self, q: &Queue, sqe: &Sqe) -> Result<Option<u64>, Cause> {
        let w = words(sqe);
        let is_event = u32::from(sqe.opcode) == DRM_VINCI_OP_EVENT_WAIT;
        let p = self.word(q, w[0], if is_event { 24 } else { 8 })?;
        // SAFETY: an aligned word that was translated; shared words are only accessed as atomics.
        let word = unsafe { p.as_ref() };
        let (is, value) = (word.load(Ordering::Acquire), w[1]);
        let holds = match u32::from(sqe.opcode) {
            DRM_VINCI_OP_EVENT_WAIT => is >= value,
            DRM_VINCI_OP_NOTIFY_WAIT => {
                word.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            }
            _ => match u32::from(sqe.compare) {
                DRM_VINCI_COMPARE_GEQ => is.wrapping_sub(value) as i64 >= 0,
                DRM_VINCI_COMPARE_EQ => is == value,
                DRM_VINCI_COMPARE_AND => is & value != 0,
                DRM_VINCI_COMPARE_NOR => !(is | value) != 0,
                other => {
                    return Err(Cause::new(DRM_VINCI_FAULT_ENTRY, format!("unknown comparison {other}")));
                }
            },
        };
        // SAFETY: an event's 24 bytes were translated.
        let model = if is_event { unsafe { (*p.as_ptr().add(2)).load(Ordering::Relaxed) } } else { 0 };
        // The process can store anything there; nothing was reached later than the last entry of all dies.
        let latest = || self.dies.iter().map(|die| die.timeline.now()).max().unwrap_or(0);
        Ok(holds.then(|| if model == 0 { 0 } else { model.min(latest()) }))
    }

    /// Begins to time an entry whose flags ask for it.
    pub(crate) fn timing(&self, sqe: &Sqe) -> Option<Timing> {
        let timed = u32::from(sqe.flags) & DRM_VINCI_SQE_TIMED != 0;
        timed.then(|| Timing { stamp: words(sqe)[6], wall_start: self.wall_ns() })
    }

    fn stamp_at(&self, q: &Queue, va: u64) -> Result<NonNull<AtomicU64>, Cause> {
        self.word(q, va, size_of::<drm_vinci_stamp>() as u64)
    }

    /// Stores the stamp of an entry that is complete. One whose memory is gone by now is lost.
    pub(crate) fn stamp(&self, q: &Queue, timing: Timing, model_start: u64, model_end: u64) {
        let _use = q.vm.enter();
        let Ok(at) = self.stamp_at(q, timing.stamp) else { return };
        // SAFETY: 32 bytes at an 8-byte aligned address were translated; shared words are only accessed as
        // atomics.
        let word = |n| unsafe { &*at.as_ptr().add(n) };
        word(0).store(timing.wall_start, Ordering::Relaxed);
        word(1).store(model_start, Ordering::Relaxed);
        word(2).store(model_end, Ordering::Relaxed);
        word(3).store(self.wall_ns(), Ordering::Release);
    }

    /// A 64-bit word that entries synchronise on, with `bytes` bytes from it on.
    fn word(&self, q: &Queue, va: u64, bytes: u64) -> Result<NonNull<AtomicU64>, Cause> {
        if !va.is_multiple_of(8) {
            return Err(Cause::new(
                DRM_VINCI_FAULT_ENTRY,
                format!("address {va:#x} of a 64-bit word is not aligned"),
            ));
        }
        let p =
            q.vm.translate(q.setup.die, va, bytes, Access::Write)
                .map_err(|m| Cause::access(m, bytes, true))?;
        if !(p.as_ptr() as usize).is_multiple_of(8) {
            return Err(Cause::new(
                DRM_VINCI_FAULT_ENTRY,
                "the host memory behind a 64-bit word is not aligned",
            ));
        }
        Ok(p.cast())
    }

    /// Stores a word that somebody may wait for.
    fn store(&self, die: &Die, word: NonNull<AtomicU64>, value: u64) {
        // SAFETY: an aligned word that was translated; shared words are only accessed as atomics.
        unsafe { word.as_ref() }.store(value, Ordering::Release);
        for other in self.dies.iter().filter(|d| d.index != die.index) {
            other.wake_if_asleep();
        }
    }

    /// Puts an entry that follows kernel `after` into the jail behind it, if it is one that can be: what is wrong with
    /// it is found when it is at the head.
    pub(crate) fn follow(
        self: &Arc<Self>,
        die: &Die,
        q: &Queue,
        sqe: &Sqe,
        after: &code::Running,
    ) -> Option<Box<code::Running>> {
        let w = words(sqe);
        let is_code = u32::from(sqe.opcode) == DRM_VINCI_OP_KERNEL && w[0] & DRM_VINCI_KERNEL_OF_CODE != 0;
        if !is_code || sqe.flags != 0 || sqe.compare != 0 || die.hang_next.load(Ordering::Relaxed) {
            return None;
        }
        match self.kernel(die, q, sqe.blocks, &w, Some(after)) {
            Ok(Step::Jailed(running)) => Some(running),
            _ => None,
        }
    }

    fn kernel(
        self: &Arc<Self>,
        die: &Die,
        q: &Queue,
        blocks: u32,
        w: &[u64; 7],
        after: Option<&code::Running>,
    ) -> Result<Step, Cause> {
        let (va, size, timeout_ms) = (w[1], w[2] as u32, w[2] >> 32);
        let resident = match vinci_kernels::by_id(w[0]) {
            None if w[0] & DRM_VINCI_KERNEL_OF_CODE == 0 => {
                return Err(Cause::new(DRM_VINCI_FAULT_KERNEL, format!("no kernel has id {}", w[0])));
            }
            found => found,
        };
        let limit = Duration::from_millis(if timeout_ms == 0 { KERNEL_LIMIT_MS } else { timeout_ms });
        if die.hang_next.load(Ordering::Relaxed) && die.hang_next.swap(false, Ordering::AcqRel) {
            return Ok(Step::Park(State::Hung(Instant::now() + limit)));
        }
        if size > MAX_ARGS {
            return Err(Cause::new(
                DRM_VINCI_FAULT_KERNEL,
                format!("{size} bytes of arguments; at most {MAX_ARGS}"),
            ));
        }
        let mut small = [0u64; INLINE_ARGS / 8];
        let mut large = Vec::new();
        let len = size as usize;
        let block: &mut [u8] = if len <= INLINE_ARGS {
            &mut small.bytes_mut()[..len]
        } else {
            large.resize(len, 0);
            &mut large
        };
        if len != 0 {
            let size = u64::from(size);
            let missed = |m| Cause::access(m, size, false);
            let from = Span::find(&q.vm, &*self.host, q.setup.die, va, size, Access::Read).map_err(missed)?;
            let to = Span::Here(NonNull::from(&mut *block).cast());
            // SAFETY: `len` bytes were translated for a load; the process may change them meanwhile, so they are
            // copied once, and only the copy is looked at.
            if !unsafe { to.copy_from(0, &from, 0, len) } {
                return Err(missed(Miss::Unmapped(va)));
            }
        }
        let Some(kernel) = resident else {
            return Ok(match code::launch(self, &q.vm, q.setup.die, w[0], blocks, block, limit, after)? {
                code::Launched::Running(running) => Step::Jailed(running),
                code::Launched::Later => Step::Later,
            });
        };
        let bad = |e| of_kernel(kernel.name, 0, &KernelFault::Args(e));
        let args = ArgsView::new(block).map_err(bad)?;
        let work = (kernel.estimate)(&args).map_err(bad)?;
        let model_ns = self.costs.kernel_ns(&work, [w[3] as u32, (w[3] >> 32) as u32]);
        if host_ns(&work) > INLINE_NS {
            return Ok(Step::Offload(Task::Kernel(kernel, block.to_vec(), model_ns)));
        }
        run_kernel(&q.vm, &*self.host, q.setup.die, kernel, &args, false)?;
        Ok(Step::Done(kernel.core.into(), model_ns))
    }

    fn copy(&self, q: &Queue, c: Copy2d) -> Result<Step, Cause> {
        let over_link = [c.src, c.dst].iter().any(|&va| q.vm.is_far(q.setup.die, va));
        let ns = self.costs.copy_ns(c.bytes(), over_link);
        if c.bytes() / 8 > INLINE_NS {
            return Ok(Step::Offload(Task::Copy(c, ns)));
        }
        sdma::copy(&q.vm, &*self.host, q.setup.die, &c, false)?;
        Ok(Step::Done(Engine::Sdma, ns))
    }

    fn fill(&self, q: &Queue, va: u64, len: u64, value: u8) -> Result<Step, Cause> {
        let ns = self.costs.fill_ns(len, q.vm.is_far(q.setup.die, va));
        if len / 16 > INLINE_NS {
            return Ok(Step::Offload(Task::Fill(va, len, value, ns)));
        }
        sdma::fill(&q.vm, &*self.host, q.setup.die, va, len, value)?;
        Ok(Step::Done(Engine::Sdma, ns))
    }
}

impl Task {
    /// Runs on a worker; the engine it occupied and its model cost.
    pub(crate) fn run(&self, host: &dyn HostBus, q: &Queue) -> Result<(Engine, u64), Cause> {
        let die = q.setup.die;
        let _use = q.vm.enter();
        match *self {
            Self::Kernel(kernel, ref args, ns) => {
                let args =
                    ArgsView::new(args).map_err(|e| of_kernel(kernel.name, 0, &KernelFault::Args(e)))?;
                run_kernel(&q.vm, host, die, kernel, &args, true)?;
                Ok((kernel.core.into(), ns))
            }
            Self::Copy(ref c, ns) => {
                sdma::copy(&q.vm, host, die, c, true).map(|()| (Engine::Sdma, ns)).map_err(Cause::from)
            }
            Self::Fill(va, len, value, ns) => {
                sdma::fill(&q.vm, host, die, va, len, value).map(|()| (Engine::Sdma, ns)).map_err(Cause::from)
            }
        }
    }
}

/// Byte view of a word buffer.
trait BytesMut {
    fn bytes_mut(&mut self) -> &mut [u8];
}

impl<const N: usize> BytesMut for [u64; N] {
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: integers are plain bytes, all bit patterns are valid, and the slice covers the array.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr().cast(), N * 8) }
    }
}
