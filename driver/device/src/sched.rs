//! The scheduler of a die: one thread that takes entries from the queues, runs the cheap ones, hands the
//! others to the worker pool, and sleeps when there is nothing to do.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;
use vinci_hw::sqe::Sqe;
use vinci_hw::uapi::*;

use crate::clock::Engine;
use crate::device::Inner;
use crate::die::Die;
use crate::exec::{Step, Task};
use crate::fault::{Cause, NO_CORE};
use crate::queue::{Queue, Run, State};
use vinci_hw::doorbell;

/// How long the scheduler looks for work before it sleeps.
const SPIN: Duration = Duration::from_micros(50);
/// Passes over the queues between two looks at the clock.
const PASSES_PER_CLOCK: u32 = 64;
/// Kernels of one queue that are in its jail at a time.
const FOLLOWERS: u64 = 16;
/// Entries taken from one queue before the next has its turn.
const BATCH: u32 = 128;

/// Runs until the device goes away.
pub(crate) fn run(dev: &Arc<Inner>, die: &Die) {
    let mut queues = Vec::new();
    let mut version = u64::MAX;
    let mut idle_since = None;
    let mut passes = 0;
    while !dev.stop.load(Ordering::Acquire) {
        let now = die.queues_version.load(Ordering::Acquire);
        if now != version {
            version = now;
            queues.clone_from(&die.queues.read());
        }
        if pass(dev, die, &queues) {
            idle_since = None;
            continue;
        }
        std::hint::spin_loop();
        passes += 1;
        if passes % PASSES_PER_CLOCK != 0 {
            continue;
        }
        if idle_since.get_or_insert_with(Instant::now).elapsed() >= SPIN {
            sleep(dev, die, &queues, version);
            idle_since = None;
        } else {
            // Whoever is to submit next may be waiting for this very core.
            std::thread::yield_now();
        }
    }
}

/// Looks at every queue once; whether any of them got on. A panic costs the queue that it happened at, not the die.
fn pass(dev: &Arc<Inner>, die: &Die, queues: &[Arc<Queue>]) -> bool {
    let at = Cell::new(0);
    let look = || {
        queues.iter().enumerate().fold(false, |progress, (n, q)| {
            at.set(n);
            advance(dev, die, q) | progress
        })
    };
    catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(|_| {
        let q = &queues[at.get()];
        fault(dev, q, &mut q.run.lock(), &crash())
    })
}

fn crash() -> Cause {
    Cause::new(DRM_VINCI_FAULT_EXCEPTION, "the device's firmware crashed at this entry")
}

/// Sleeps until something is to be done.
fn sleep(dev: &Arc<Inner>, die: &Die, queues: &[Arc<Queue>], version: u64) {
    die.set_asleep(true);
    for q in queues {
        doorbell::announce_sleep(q.need_kick());
        if let Some((running, _)) = q.run.lock().jailed.front() {
            running.watch();
        }
    }
    let changed = die.queues_version.load(Ordering::Acquire) != version || dev.stop.load(Ordering::Acquire);
    if !changed && !pass(dev, die, queues) {
        match queues.iter().filter_map(|q| deadline(q)).min() {
            None => std::thread::park(),
            Some(at) => std::thread::park_timeout(at.saturating_duration_since(Instant::now())),
        }
    }
    queues.iter().for_each(|q| doorbell::awake(q.need_kick()));
    die.set_asleep(false);
}

fn deadline(q: &Queue) -> Option<Instant> {
    let run = q.run.lock();
    match run.state {
        State::Waiting(limit) => limit,
        State::Jailed => run.jailed.front().map(|(running, _)| running.deadline()),
        State::Hung(limit) => Some(limit),
        _ => None,
    }
}

/// Does what can be done on one queue now; whether it got on.
fn advance(dev: &Arc<Inner>, die: &Die, q: &Arc<Queue>) -> bool {
    // Whoever holds the lock (a command, a worker that completes) wakes this thread afterwards.
    let Some(mut run) = q.run.try_lock() else { return false };
    match run.state {
        State::Ready => {}
        State::Waiting(limit) => match recheck(dev, q, &run, limit) {
            Ok(Some(model_ns)) => {
                run.state = State::Ready;
                run.model_ns = run.model_ns.max(model_ns);
                complete(dev, die, q, &mut run, Engine::None, dev.costs.sync_ns());
                alert(dev, q, &run);
            }
            Ok(None) => return false,
            Err(cause) => return fault(dev, q, &mut run, &cause),
        },
        State::Jailed => match reap(dev, die, q, &mut run) {
            Ok(true) if run.jailed.is_empty() => run.state = State::Ready,
            Ok(got_on) => return got_on,
            Err(cause) => return fault(dev, q, &mut run, &cause),
        },
        State::Hung(limit) if Instant::now() >= limit => {
            let cause =
                Cause { core: 0, ..Cause::new(DRM_VINCI_FAULT_TIMEOUT, "a kernel ran past its time limit") };
            return fault(dev, q, &mut run, &cause);
        }
        _ => return false,
    }
    take_batch(dev, die, q, run)
}

/// Completes the kernels of a queue that have ended in its jail, in order, and sends others after those that have not;
/// whether any has.
fn reap(dev: &Arc<Inner>, die: &Die, q: &Arc<Queue>, run: &mut Run) -> Result<bool, Cause> {
    let mut got_on = false;
    while let Some((running, _)) = run.jailed.front_mut() {
        let Some(result) = running.poll(dev, &q.vm) else { break };
        if let Some((_, hold)) = run.jailed.pop_front() {
            q.vm.release(hold);
        }
        let (engine, ns, trace) = result?;
        complete(dev, die, q, run, engine, ns);
        if let Some(mut trace) = trace {
            (trace.die, trace.queue) = (die.index, q.setup.queue);
            dev.watch.write(*trace, run.model_ns, ns);
        }
        got_on = true;
        if let Some((next, _)) = run.jailed.front_mut() {
            next.begin_time();
        }
    }
    if got_on {
        if !run.jailed.is_empty() {
            let in_use = q.vm.enter();
            follow(dev, die, q, run);
            drop(in_use);
        }
        alert(dev, q, run);
    }
    Ok(got_on)
}

/// Puts kernels behind those that are in the jail, so that these need not wait for this thread in between.
fn follow(dev: &Arc<Inner>, die: &Die, q: &Arc<Queue>, run: &mut Run) {
    let waiting = doorbell::tail(q.doorbell_tail()).wrapping_sub(run.head).min(u64::from(q.setup.entries));
    while (run.jailed.len() as u64) < waiting.min(FOLLOWERS) {
        let sqe = q.fetch(run.head.wrapping_add(run.jailed.len() as u64));
        let Some((last, _)) = run.jailed.back().filter(|(last, _)| last.takes_followers()) else { return };
        let Some(running) = dev.follow(die, q, &sqe, last) else { return };
        run.jailed.push_back((running, q.vm.hold()));
    }
}

/// Ends the kernels that a queue has in its jail.
pub(crate) fn stop_jailed(q: &Queue, run: &mut Run) {
    while let Some((mut running, hold)) = run.jailed.pop_front() {
        running.stop();
        q.vm.release(hold);
    }
}

/// Takes entries until the ring is empty, the batch is full or one does not complete here.
fn take_batch(dev: &Arc<Inner>, die: &Die, q: &Arc<Queue>, mut run: MutexGuard<'_, Run>) -> bool {
    let tail = doorbell::tail(q.doorbell_tail());
    let waiting = tail.wrapping_sub(run.head);
    if waiting == 0 {
        return false;
    }
    if waiting > u64::from(q.setup.entries) {
        let text = format!("the doorbell says {waiting} entries, the ring has {}", q.setup.entries);
        return fault(dev, q, &mut run, &Cause::new(DRM_VINCI_FAULT_ENTRY, text));
    }
    let in_use = q.vm.enter();
    if die.crash_next.load(Ordering::Relaxed) && die.crash_next.swap(false, Ordering::AcqRel) {
        // PANIC: what was asked for; `pass` takes it.
        panic!("an injected crash of die {}", die.index);
    }
    for _ in 0..waiting.min(BATCH.into()) {
        let sqe = q.fetch(run.head);
        run.timing = if sqe.flags == 0 { None } else { dev.timing(&sqe) };
        match dev.step(die, q, &sqe, run.model_ns) {
            Ok(Step::Done(engine, ns)) => complete(dev, die, q, &mut run, engine, ns),
            Ok(Step::Joined(model_ns)) => {
                run.model_ns = run.model_ns.max(model_ns);
                complete(dev, die, q, &mut run, Engine::None, dev.costs.sync_ns());
            }
            Ok(Step::Park(state)) => {
                run.state = state;
                if state == State::HostCall {
                    dev.post_host_call(
                        q.setup.queue,
                        run.head.wrapping_add(1),
                        vinci_hw::sqe::words(&sqe)[0],
                    );
                }
                break;
            }
            Ok(Step::Jailed(running)) => {
                run.state = State::Jailed;
                run.jailed.push_back((running, q.vm.hold()));
                follow(dev, die, q, &mut run);
                break;
            }
            Ok(Step::Later) => return false,
            Ok(Step::Offload(task)) => {
                run.state = State::Running;
                alert(dev, q, &run);
                drop((in_use, run));
                offload(dev, die.index, q, sqe, task);
                return true;
            }
            Err(cause) => {
                fault_at(dev, q, &mut run, &cause, &sqe);
                return true;
            }
        }
    }
    drop(in_use);
    alert(dev, q, &run);
    true
}

fn recheck(dev: &Inner, q: &Queue, run: &Run, limit: Option<Instant>) -> Result<Option<u64>, Cause> {
    let _use = q.vm.enter();
    let held = dev.holds(q, &q.fetch(run.head))?;
    match limit {
        Some(at) if held.is_none() && Instant::now() >= at => {
            Err(Cause::new(DRM_VINCI_FAULT_TIMEOUT, "a wait in the queue ran past its time limit"))
        }
        _ => Ok(held),
    }
}

/// Completes the queue's next entry.
fn complete(dev: &Inner, die: &Die, q: &Queue, run: &mut Run, engine: Engine, ns: u64) {
    run.model_ns = die.timeline.charge(engine, run.model_ns, ns);
    q.charge(engine, ns);
    if let Some(timing) = run.timing.take() {
        dev.stamp(q, timing, run.model_ns - ns, run.model_ns);
    }
    run.head = run.head.wrapping_add(1);
    q.publish(run);
    die.tasks.fetch_add(1, Ordering::Relaxed);
}

fn alert(dev: &Inner, q: &Queue, run: &Run) {
    if q.alert(run) {
        dev.host.interrupt(q.vector);
    }
}

/// Hands an entry to the worker pool.
fn offload(dev: &Arc<Inner>, die: u32, q: &Arc<Queue>, sqe: Sqe, task: Task) {
    let (dev, q) = (dev.clone(), q.clone());
    let pool = dev.pool().clone();
    pool.spawn(move || {
        let result =
            catch_unwind(AssertUnwindSafe(|| task.run(&*dev.host, &q))).unwrap_or_else(|_| Err(crash()));
        let die = &dev.dies[die as usize];
        {
            let mut run = q.run.lock();
            // A reset waits for `Running` to end, so the state is still that.
            run.state = State::Ready;
            match result {
                // Nobody wants to hear of it any more.
                _ if run.ending => run.state = State::Lost,
                Ok((engine, ns)) => {
                    complete(&dev, die, &q, &mut run, engine, ns);
                    alert(&dev, &q, &run);
                }
                Err(cause) => fault_at(&dev, &q, &mut run, &cause, &sqe),
            }
        }
        die.wake();
    });
}

fn fault(dev: &Inner, q: &Queue, run: &mut Run, cause: &Cause) -> bool {
    let sqe = q.fetch(run.head);
    fault_at(dev, q, run, cause, &sqe);
    true
}

/// Stops the queue and leaves a record.
fn fault_at(dev: &Inner, q: &Queue, run: &mut Run, cause: &Cause, sqe: &Sqe) {
    stop_jailed(q, run);
    run.timing = None;
    let mut cause = cause.clone();
    if cause.core == NO_CORE && u32::from(sqe.opcode) == DRM_VINCI_OP_KERNEL {
        cause.core = 0;
    }
    let record = cause.record(q.setup.queue, q.setup.die, run.head.wrapping_add(1), sqe, dev.wall_ns());
    if cause.cause == DRM_VINCI_FAULT_ECC {
        dev.dies[q.setup.die as usize].ecc_double.fetch_add(1, Ordering::Relaxed);
    }
    run.state = State::Faulted;
    // The record is in the event ring before the state says that there is one.
    dev.post_fault(record);
    q.set_shared_state(DRM_VINCI_QUEUE_FAULTED);
    if q.alert_any() {
        dev.host.interrupt(q.vector);
    }
}
