//! The device's side: what a scheduler asks of a jail, none of which blocks.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use memmap2::{MmapOptions, MmapRaw};
use nix::sys::memfd::{MFdFlags, memfd_create};
use parking_lot::Mutex;

use crate::layout::*;
use crate::{spawn, thread};

/// Where the jail's memory comes from.
pub trait Backing: Send + Sync {
    /// What an access to `va` finds. Called on the jail's thread.
    fn find(&self, va: u64, write: bool) -> Found;
    /// A kernel is done, or the jail has ended: whoever polls should look.
    fn progress(&self);
}

/// What an access finds.
pub enum Found {
    /// Nothing: the access is a fault.
    Nothing,
    /// A file to be mapped.
    File(OwnedFd, Map),
    /// What is mapped there may be written from now on: first address and bytes.
    Writable(u64, u64),
    /// It is mapped already: another core asked first.
    Present,
}

/// Workers besides one per core of the host, for when those do not get on.
const EXTRA: usize = 6;

/// A kernel to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Launch {
    /// Address of the entry in the jail.
    pub entry: u64,
    /// Blocks.
    pub blocks: u32,
    /// As [`Job::kind`].
    pub kind: u32,
    /// Device address that `printf` writes to, or 0.
    pub print: u64,
    /// Device address of the workspace, or 0.
    pub workspace: u64,
    /// What else is wanted of it: `MODE_` bits.
    pub mode: u32,
    /// A number that [`Slice::serial`] repeats.
    pub serial: u32,
    /// A job that was queued before and not reaped: this one begins when it has ended, and does not if it ends with a
    /// fault.
    pub after: Option<u32>,
}

/// What a kernel that has ended took, in model time. The jail says so: numbers may be anything that a float can be.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Cube cores and vector cores.
    pub tally: [Tally; 2],
    /// Bytes loaded, of these from HBM, stored, and written back to HBM.
    pub bytes: [u64; 4],
    /// How much of the way from each lane to the next the times are: for [`mix`].
    pub mix: [f64; 2],
}

impl Report {
    /// Cycles from start to end.
    pub fn cycles(&self) -> u64 {
        // Casting takes what is no number, or negative, for 0.
        self.tally.iter().map(|t| t.most as u64).max().unwrap_or(0)
    }
}

/// How a kernel ended.
// Looked at once and dropped: a box would cost each launch an allocation.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Copy)]
pub enum Ended {
    /// Well, and with the races that were found.
    Well(Report, [Option<Race>; RACES]),
    /// With a fault.
    Fault(Fault),
}

/// A jail. Dropping it ends its process.
pub struct Jail(pub(crate) Arc<Shared>);

/// What the scheduler and the jail's thread share.
pub(crate) struct Shared {
    map: MmapRaw,
    pub(crate) file: File,
    /// Jobs that are free.
    free: AtomicU64,
    /// Held while a job is queued.
    queueing: Mutex<()>,
    /// Jobs that were queued and not reaped.
    pub(crate) outstanding: AtomicU32,
    pub(crate) process: Mutex<spawn::Process>,
    /// The process has ended.
    pub(crate) ended: AtomicBool,
    pub(crate) stop: AtomicBool,
    /// Workers that work when nothing is stuck.
    pub(crate) usual: u32,
}

impl Shared {
    pub(crate) fn control(&self) -> &Control {
        // SAFETY: the mapping has CONTROL_BYTES and lives as long as `self`. Fields that are not atomic are written
        // by one side while it owns the job, and read as volatile.
        unsafe { &*self.map.as_ptr().cast() }
    }

    fn job(&self, job: u32) -> &Job {
        &self.control().jobs[job as usize % JOBS]
    }

    /// Makes the jail's thread look at everything.
    pub(crate) fn ring(&self) {
        let bell = &self.control().bell;
        bell.fetch_add(1, Ordering::AcqRel);
        thread::futex_wake(bell, 1);
    }
}

impl Jail {
    /// Starts a jail; its process comes up while this returns.
    pub fn start(mut config: Config, backing: Arc<dyn Backing>) -> io::Result<Jail> {
        if crate::PROGRAM.is_empty() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "kernels of one's own need x86-64"));
        }
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let usual = cores.min(WORKERS - EXTRA) as u32;
        (config.abi, config.workers) = (ABI, usual + EXTRA as u32);
        let file = File::from(memfd_create("vinci-jail-control", MFdFlags::MFD_CLOEXEC)?);
        file.set_len(CONTROL_BYTES as u64)?;
        let map = MmapOptions::new().len(CONTROL_BYTES).map_raw(&file)?;
        // SAFETY: fresh memory of that size, which nobody else has.
        unsafe {
            let control = map.as_mut_ptr().cast::<Control>();
            (&raw mut (*control).config).write(config);
            (&raw mut (*control).active).write(AtomicU32::new(usual));
        }
        let shared = Arc::new(Shared {
            map,
            file,
            free: AtomicU64::new(u64::MAX),
            queueing: Mutex::new(()),
            outstanding: AtomicU32::new(0),
            process: Mutex::new(spawn::Process::Starting),
            ended: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            usual,
        });
        let theirs = shared.clone();
        std::thread::Builder::new()
            .name("vinci-jail".into())
            .spawn(move || thread::run(&theirs, &*backing))?;
        Ok(Jail(shared))
    }

    /// Waits until the process takes kernels, or has ended, or the time is up.
    pub fn wait_until_up(&self, limit: Duration) {
        let until = Instant::now() + limit;
        while self.0.control().up.load(Ordering::Acquire) == 0 && !self.has_ended() && Instant::now() < until
        {
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// Queues a kernel; `None` while [`JOBS`] are queued. `fill` writes the arguments, which the kernel finds at
    /// [`Jail::args_address`].
    pub fn submit(&self, launch: &Launch, fill: impl FnOnce(u32, &mut [u8])) -> Option<u32> {
        let s = &*self.0;
        let control = s.control();
        let _one = s.queueing.lock();
        let free = s.free.load(Ordering::Acquire);
        if free == 0 {
            return None;
        }
        let job = free.trailing_zeros();
        s.free.fetch_and(!(1 << job), Ordering::AcqRel);
        let at = HEADER_BYTES + job as usize * ARGS_BYTES;
        // SAFETY: the job's arguments, inside the mapping. The job is free, so no honest kernel looks at them; one
        // that is not may, and sees bytes of its own process.
        let space = unsafe { std::slice::from_raw_parts_mut(s.map.as_mut_ptr().add(at), ARGS_BYTES) };
        fill(job, space);
        // SAFETY: as above; the state below hands the job over.
        unsafe {
            let j = (&raw const control.jobs[job as usize]).cast_mut();
            (&raw mut (*j).blocks).write_volatile(launch.blocks);
            (&raw mut (*j).kind).write_volatile(launch.kind);
            (&raw mut (*j).entry).write_volatile(launch.entry);
            (&raw mut (*j).print).write_volatile(launch.print);
            (&raw mut (*j).workspace).write_volatile(launch.workspace);
            (&raw mut (*j).after).write_volatile(launch.after.map_or(0, |job| job + 1));
            (&raw mut (*j).forget).write_volatile(control.forget_tail.load(Ordering::Acquire));
            (&raw mut (*j).mode).write_volatile(launch.mode);
            (&raw mut (*j).serial).write_volatile(launch.serial);
            (&raw mut (*j).fault).write_volatile(Fault::default());
        }
        s.job(job).cancel.store(0, Ordering::Relaxed);
        s.job(job).races.store(0, Ordering::Relaxed);
        s.job(job).state.store(QUEUED, Ordering::Release);
        s.outstanding.fetch_add(1, Ordering::AcqRel);
        let tail = control.tail.load(Ordering::Relaxed);
        control.ring[tail as usize % JOBS].store(job, Ordering::Relaxed);
        control.tail.store(tail.wrapping_add(1), Ordering::SeqCst);
        if control.lookers.load(Ordering::SeqCst) == 0 && control.sleepers.load(Ordering::SeqCst) != 0 {
            control.work.fetch_add(1, Ordering::SeqCst);
            thread::futex_wake(&control.work, 1);
        }
        Some(job)
    }

    /// Where the jail finds [`Control::go`].
    pub fn go_address() -> u64 {
        CONTROL_BASE + std::mem::offset_of!(Control, go) as u64
    }

    /// Where a job's kernel finds its arguments.
    pub fn args_address(job: u32) -> u64 {
        CONTROL_BASE + (HEADER_BYTES + job as usize * ARGS_BYTES) as u64
    }

    /// How a job ended, if it has; the job is then free again.
    pub fn poll(&self, job: u32) -> Option<Ended> {
        let s = &*self.0;
        let j = s.job(job);
        let done = j.state.load(Ordering::Acquire) == DONE;
        if !done && !s.ended.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: plain numbers; the jail may still change them, and none is trusted.
        let fault = unsafe { (&raw const j.fault).read_volatile() };
        let ended = if !done {
            // SAFETY: as above.
            let last = unsafe { (&raw const s.control().last).read_volatile() };
            Ended::Fault(Fault { kind: FAULT_DIED, ..last })
        } else if fault.kind != 0 {
            Ended::Fault(fault)
        } else {
            let races = j.races.load(Ordering::Acquire) as usize;
            // SAFETY: as above.
            unsafe {
                let report = Report {
                    tally: (&raw const j.tally).read_volatile(),
                    bytes: (&raw const j.bytes).read_volatile(),
                    mix: (&raw const j.mix).read_volatile(),
                };
                let race = |i: usize| (i < races).then(|| (&raw const j.race[i]).read_volatile());
                Ended::Well(report, std::array::from_fn(race))
            }
        };
        j.state.store(FREE, Ordering::Release);
        s.outstanding.fetch_sub(1, Ordering::AcqRel);
        s.free.fetch_or(1 << job, Ordering::AcqRel);
        Some(ended)
    }

    /// The process, if there is one.
    pub fn pid(&self) -> Option<i32> {
        match *self.0.process.lock() {
            spawn::Process::Running(pid) => Some(pid),
            _ => None,
        }
    }

    /// Whether the process has ended: a new jail is needed.
    pub fn has_ended(&self) -> bool {
        self.0.ended.load(Ordering::Acquire)
    }

    /// The scheduler is about to sleep: [`Backing::progress`] is called when a job is done. It polls once more after
    /// this.
    pub fn watch(&self) {
        self.0.control().want.store(1, Ordering::SeqCst);
        self.0.ring();
    }

    /// Asks a job to end. It does, with [`FAULT_CANCELLED`], unless its kernel has broken the jail.
    pub fn cancel(&self, job: u32) {
        let s = &*self.0;
        s.job(job).cancel.store(1, Ordering::SeqCst);
        if let spawn::Process::Running(pid) = *s.process.lock() {
            for (running, thread) in s.control().running.iter().zip(&s.control().threads) {
                if running.load(Ordering::Acquire) == job + 1 {
                    // SAFETY: signals a thread of our own child, which has not been reaped, and no other's.
                    unsafe {
                        let thread = thread.load(Ordering::Acquire);
                        libc::syscall(libc::SYS_tgkill, pid, thread as libc::pid_t, libc::SIGUSR1)
                    };
                }
            }
        }
        let work = &s.control().work;
        work.fetch_add(1, Ordering::SeqCst);
        thread::futex_wake(work, i32::MAX);
    }

    /// Ends the process with everything in it.
    pub fn kill(&self) {
        if let spawn::Process::Running(pid) = *self.0.process.lock() {
            // SAFETY: our own child, which has not been reaped.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        self.0.ring();
    }

    /// What lies in `[va, va + len)` is no longer the kernels': it is unmapped before the next kernel starts. No
    /// kernel runs that may use it.
    pub fn forget(&self, va: u64, len: u64) {
        let s = &*self.0;
        let control = s.control();
        let _one = s.queueing.lock();
        let tail = control.forget_tail.load(Ordering::Relaxed);
        let waiting = tail.wrapping_sub(control.forget_head.load(Ordering::Acquire));
        if waiting as usize >= FORGETS {
            // Too much to remember: everything goes instead, and comes back when it is touched.
            let f = &control.forgets[tail.wrapping_sub(1) as usize % FORGETS];
            f.va.store(DEVICE_BASE, Ordering::Release);
            f.len.store(DEVICE_END - DEVICE_BASE, Ordering::Release);
            return;
        }
        let f = &control.forgets[tail as usize % FORGETS];
        f.va.store(va, Ordering::Release);
        f.len.store(len, Ordering::Release);
        control.forget_tail.store(tail.wrapping_add(1), Ordering::Release);
    }

    /// What pipes did, of kernels that asked for it, since `seen`; how much was recorded by then, which is to be handed
    /// in the next time. What was overwritten meanwhile is missing.
    pub fn slices(&self, seen: u64) -> (Vec<Slice>, u64) {
        let s = &*self.0;
        let end = s.control().slices.load(Ordering::Acquire);
        let begin = seen.max(end.saturating_sub(KEPT as u64)).min(end);
        // SAFETY: inside the mapping, plain numbers.
        let one = |i: u64| unsafe {
            let at = SLICES_AT + (i as usize % KEPT) * size_of::<Slice>();
            s.map.as_ptr().add(at).cast::<Slice>().read_volatile()
        };
        ((begin..end).map(one).collect(), end)
    }

    /// Whether no kernel is queued or running.
    pub fn is_idle(&self) -> bool {
        self.0.outstanding.load(Ordering::Acquire) == 0
    }

    /// Namespaces that the process lives in, as flags of clone(2); 0 while it starts.
    pub fn namespaces(&self) -> u32 {
        self.0.control().namespaces.load(Ordering::Relaxed)
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Release);
        self.kill();
    }
}
