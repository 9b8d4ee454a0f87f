//! The device from the outside: registers, rings and memory, as a driver sees them.

mod common;

use std::time::Duration;

use common::{Rig, VA};
use vinci_device::Injection;
use vinci_hw::admin::{Command, Opcode, Outcome};
use vinci_hw::regs::Reg;
use vinci_hw::sqe;
use vinci_hw::uapi::*;

const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;

fn hbm(rig: &Rig, die: u32, offset: u64) -> *mut u64 {
    rig.dev.hbm(die).unwrap().at(offset, 8).unwrap().as_ptr().cast()
}

#[test]
fn copies_and_fills_reach_hbm() {
    let mut rig = Rig::new("910c");
    rig.vm(1);
    let host = rig.map_host(1, VA, 16 * MIB);
    rig.map_hbm(1, 0, VA + 64 * MIB, 0, 16 * MIB).unwrap();
    let mut q = rig.queue(1, 1, 0);
    // SAFETY: the arena keeps the memory; the queue is idle whenever it is looked at.
    unsafe {
        (0..2 * MIB as usize).for_each(|i| host.add(i).write(i as u64 * 3));
        q.submit(sqe::copy(VA + 64 * MIB, VA, 16 * MIB));
        q.submit(sqe::fill(VA, 16 * MIB, 0xee));
        q.submit(sqe::copy(VA + 8, VA + 64 * MIB + 16, 1000));
        q.submit(sqe::copy_2d(VA + 4096, 256, VA + 64 * MIB, 512, 64, 8));
        assert_eq!(q.wait(), DRM_VINCI_QUEUE_RUNNING);
        assert_eq!(*host.add(0), 0xeeee_eeee_eeee_eeee);
        assert!((0..125).all(|i| *host.add(1 + i) == (2 + i as u64) * 3));
        assert!((0..8).all(|r| (0..8).all(|i| *host.add(512 + r * 32 + i) == (r * 64 + i) as u64 * 3)));
        assert_eq!(*host.add(512 + 8), 0xeeee_eeee_eeee_eeee, "between the rows");
    }
}

#[test]
fn a_fault_stops_its_queue_and_no_other() {
    let mut rig = Rig::new("910c");
    rig.vm(1);
    rig.map_hbm(1, 0, VA, 0, MIB).unwrap();
    let (mut bad, mut good) = (rig.queue(1, 1, 0), rig.queue(2, 1, 0));
    bad.submit(sqe::placeholder());
    bad.submit(sqe::fill(VA + MIB - 8, 16, 1));
    bad.submit(sqe::placeholder());
    assert_eq!(bad.wait(), DRM_VINCI_QUEUE_FAULTED);
    assert_eq!(bad.completed(), 1);
    let e = rig.event().unwrap();
    assert_eq!((e.type_, e.queue_id, e.entry), (DRM_VINCI_EVENT_FAULT, 1, 2));
    assert_eq!((e.fault.cause, e.fault.address, e.fault.write), (DRM_VINCI_FAULT_ADDRESS, VA + MIB, 1));
    for _ in 0..5000 {
        good.submit(sqe::placeholder());
    }
    assert_eq!(good.wait(), DRM_VINCI_QUEUE_RUNNING);
    assert_eq!(rig.admin(Command::new(Opcode::QueueReset, 1)), Ok(2));
    assert_eq!((bad.completed(), bad.state()), (3, DRM_VINCI_QUEUE_RUNNING));
    bad.submit(sqe::fill(VA, 8, 5));
    assert_eq!(bad.wait(), DRM_VINCI_QUEUE_RUNNING);
    // SAFETY: the queue is idle.
    assert_eq!(unsafe { *hbm(&rig, 0, 0) }, 0x0505_0505_0505_0505);
}

#[test]
fn lengths_that_wrap_around_leave_their_mapping() {
    let mut rig = Rig::new("910c");
    rig.vm(1);
    rig.map_hbm(1, 0, VA, 0, MIB).unwrap();
    let around = u64::MAX - 0x1fff;
    // Copies whose first rows lie in the mapping, and whose pitch leads back before it.
    let rows = sqe::copy_2d(VA + 0x8000, around, VA + 0x8000, around, 8, 2);
    let entries = [
        sqe::fill(VA + 0x4000, u64::MAX - 0x3000, 1),
        sqe::fill(VA + 0x4000, around, 1),
        sqe::copy(VA + 0x4000, VA, around),
        sqe::copy(VA, VA + 0x4000, u64::MAX - 0x3fff),
        rows,
    ];
    for (n, entry) in entries.into_iter().enumerate() {
        let mut q = rig.queue(n as u32 + 1, 1, 0);
        q.submit(entry);
        assert_eq!(q.wait(), DRM_VINCI_QUEUE_FAULTED, "entry {n}");
    }
}

#[test]
fn events_order_queues_across_dies() {
    let mut rig = Rig::new("910c");
    rig.vm(1);
    let words = rig.map_host(1, VA, PAGE);
    rig.map_hbm(1, 1, VA + MIB, 0, MIB).unwrap();
    let (mut a, mut b) = (rig.queue(1, 1, 0), rig.queue(2, 1, 1));
    for round in 1..200u64 {
        b.submit(sqe::event_wait(VA, round, 10_000));
        b.submit(sqe::fill(VA + MIB, 8, round as u8));
        if round % 3 == 0 {
            std::thread::sleep(Duration::from_micros(200)); // let die 1 fall asleep
        }
        a.submit(sqe::event_record(VA, round));
        assert_eq!((a.wait(), b.wait()), (0, 0));
        // SAFETY: both queues are idle.
        unsafe {
            assert_eq!(*hbm(&rig, 1, 0) as u8, round as u8);
            assert!(*words.add(1) > 0 && (round == 1 || *words.add(2) > 0), "both clocks are recorded");
        }
    }
}

#[test]
fn notify_is_taken_once() {
    let mut rig = Rig::new("910b1");
    rig.vm(1);
    let words = rig.map_host(1, VA, PAGE);
    let (mut a, mut b) = (rig.queue(1, 1, 0), rig.queue(2, 1, 0));
    b.submit(sqe::notify_wait(VA, 0));
    b.submit(sqe::notify_wait(VA, 0));
    a.submit(sqe::notify_record(VA));
    assert_eq!(a.wait(), 0);
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(b.completed(), 1);
    a.submit(sqe::notify_record(VA));
    assert_eq!(b.wait(), 0);
    // SAFETY: the queues are idle.
    assert_eq!(unsafe { *words }, 0);
}

#[test]
fn entries_are_stamped_when_they_ask_for_it() {
    let mut rig = Rig::new("910b1");
    rig.vm(1);
    let words = rig.map_host(1, VA, PAGE);
    rig.map_hbm(1, 0, VA + MIB, 0, 64 * MIB).unwrap();
    let mut q = rig.queue(1, 1, 0);
    let stamped = |mut entry: sqe::Sqe, n: u64| {
        sqe::set_stamp(&mut entry, VA + n * 32);
        entry
    };
    q.submit(sqe::fill(VA + MIB, 8, 1));
    q.submit(stamped(sqe::fill(VA + MIB, 64, 1), 0));
    q.submit(stamped(sqe::fill(VA + MIB, 64 * MIB, 1), 1)); // on the worker pool
    q.submit(stamped(sqe::placeholder(), 2));
    assert_eq!(q.wait(), DRM_VINCI_QUEUE_RUNNING);
    // SAFETY: the queue is idle and the words lie in the page.
    let stamp = |n: usize| unsafe { [0, 1, 2, 3].map(|at| *words.add(n * 4 + at)) };
    let all = [stamp(0), stamp(1), stamp(2)];
    for [wall_start, model_start, model_end, wall_end] in all {
        assert!(wall_start <= wall_end && model_start < model_end, "{all:?}");
    }
    assert!(all.is_sorted_by(|a, b| a[3] <= b[0] && a[2] <= b[1]), "{all:?}");
    assert!(
        all[1][2] - all[1][1] > 10 * (all[0][2] - all[0][1]),
        "64 MiB take longer than 64 bytes: {all:?}"
    );
    q.submit(stamped(sqe::placeholder(), PAGE / 32));
    assert_eq!(q.wait(), DRM_VINCI_QUEUE_FAULTED, "a stamp that cannot be stored");
}

#[test]
fn waits_time_out() {
    let mut rig = Rig::new("910b1");
    rig.vm(1);
    rig.map_host(1, VA, PAGE);
    let mut q = rig.queue(1, 1, 0);
    q.submit(sqe::wait_value(VA, 7, DRM_VINCI_COMPARE_EQ, 30));
    assert_eq!(q.wait(), DRM_VINCI_QUEUE_FAULTED);
    assert_eq!(rig.event().unwrap().fault.cause, DRM_VINCI_FAULT_TIMEOUT);
}

#[test]
fn a_host_call_holds_the_queue() {
    let mut rig = Rig::new("910b1");
    rig.vm(1);
    let mut q = rig.queue(5, 1, 0);
    q.submit(sqe::host_call(0xc0ffee));
    q.submit(sqe::placeholder());
    let start = std::time::Instant::now();
    let e = loop {
        if let Some(e) = rig.event() {
            break e;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "the host was not called");
        std::thread::yield_now();
    };
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(q.completed(), 0);
    assert_eq!((e.type_, e.queue_id, e.entry, e.cookie), (DRM_VINCI_EVENT_HOST_CALL, 5, 1, 0xc0ffee));
    let resume = |va| Command { va, ..Command::new(Opcode::QueueResume, 5) };
    assert_eq!(rig.admin(resume(2)), Err(Outcome::NotFound));
    assert_eq!(rig.admin(resume(1)), Ok(0));
    assert_eq!(q.wait(), 0);
    assert_eq!(rig.admin(resume(1)), Err(Outcome::NotFound));
}

#[test]
fn peers_are_closed_until_enabled_and_while_the_link_is_down() {
    let mut rig = Rig::new("910c");
    rig.vm(1);
    rig.map_hbm(1, 1, VA, 0, MIB).unwrap();
    let mut q = rig.queue(1, 1, 0);
    q.submit(sqe::fill(VA, 8, 1));
    assert_eq!(q.wait(), DRM_VINCI_QUEUE_FAULTED);
    assert_eq!(rig.event().unwrap().fault.cause, DRM_VINCI_FAULT_PEER);
    let peer = Command { kind: 0, arg: 1, flags: 1, ..Command::new(Opcode::Peer, 1) };
    rig.admin(peer).unwrap();
    rig.admin(Command::new(Opcode::QueueReset, 1)).unwrap();
    q.submit(sqe::fill(VA, 8, 1));
    assert_eq!(q.wait(), 0);
    let inject =
        Command { kind: DRM_VINCI_INJECT_LINK_DOWN as u16, arg: 1, ..Command::new(Opcode::Inject, 0) };
    rig.admin(inject).unwrap();
    q.submit(sqe::fill(VA, 8, 1));
    assert_eq!(q.wait(), DRM_VINCI_QUEUE_FAULTED);
    assert_eq!(rig.event().unwrap().fault.cause, DRM_VINCI_FAULT_LINK);
}

#[test]
fn injected_errors_show_and_a_die_reset_clears_them() {
    let mut rig = Rig::new("910c");
    rig.vm(1);
    rig.map_hbm(1, 0, VA, 0, MIB).unwrap();
    rig.map_hbm(1, 1, VA + MIB, 0, MIB).unwrap();
    let (mut q, mut other) = (rig.queue(1, 1, 0), rig.queue(2, 1, 1));
    let ecc = Command {
        kind: DRM_VINCI_INJECT_ECC_DOUBLE as u16,
        va: VA + 4096,
        ..Command::new(Opcode::Inject, 1)
    };
    rig.admin(ecc).unwrap();
    q.submit(sqe::fill(VA, 4096, 1));
    q.submit(sqe::fill(VA, 8192, 1));
    assert_eq!((q.wait(), q.completed()), (DRM_VINCI_QUEUE_FAULTED, 1));
    let f = rig.event().unwrap().fault;
    assert_eq!((f.cause, f.address), (DRM_VINCI_FAULT_ECC, VA + 4096));
    rig.admin(Command { kind: DRM_VINCI_INJECT_HANG as u16, ..Command::new(Opcode::Inject, 0) }).unwrap();
    let nop = vinci_kernels::lookup("nop").unwrap().0;
    rig.admin(Command::new(Opcode::QueueReset, 1)).unwrap();
    q.submit(sqe::kernel(nop, 1, 0, 0, 40));
    assert_eq!(q.wait(), DRM_VINCI_QUEUE_FAULTED);
    assert_eq!(rig.event().unwrap().fault.cause, DRM_VINCI_FAULT_TIMEOUT);
    rig.dev.write(Reg::Reset as u64, vinci_hw::regs::RESET_DIE);
    assert_eq!(q.state(), DRM_VINCI_QUEUE_LOST);
    other.submit(sqe::fill(VA + MIB, 4096, 9));
    assert_eq!(other.wait(), 0, "the other die goes on");
    // SAFETY: nothing runs.
    assert_eq!(unsafe { *hbm(&rig, 0, 0) }, 0, "a die reset leaves no data behind");
    let mut q = rig.queue(3, 1, 0);
    q.submit(sqe::fill(VA, 8192, 1));
    assert_eq!(q.wait(), 0);
}

#[test]
fn copies_between_dies_cost_what_the_link_takes() {
    let mut rig = Rig::new("910c");
    rig.vm(1);
    rig.map_hbm(1, 0, VA, 0, 4 * MIB).unwrap();
    rig.map_hbm(1, 1, VA + 4 * MIB, 0, 4 * MIB).unwrap();
    rig.admin(Command { kind: 0, arg: 1, flags: 1, ..Command::new(Opcode::Peer, 1) }).unwrap();
    let mut q = rig.queue(1, 1, 0);
    let mut cost = |entry| {
        let before = q.model_ns();
        q.submit(entry);
        assert_eq!(q.wait(), 0);
        q.model_ns() - before
    };
    let near = cost(sqe::copy(VA + 2 * MIB, VA, MIB));
    let (to, from) = (cost(sqe::copy(VA + 4 * MIB, VA, MIB)), cost(sqe::copy(VA, VA + 4 * MIB, MIB)));
    let (fill_near, fill_far) = (cost(sqe::fill(VA, MIB, 1)), cost(sqe::fill(VA + 4 * MIB, MIB, 1)));
    assert_eq!(to, from);
    let link = MIB / u64::from(rig.dev.profile().link_gbps);
    assert!(
        to > near && to >= link,
        "{to} ns over the link, {near} ns within the die, {link} ns at the link's rate"
    );
    assert!(fill_far > fill_near && fill_far >= link, "{fill_far} {fill_near}");
}

#[test]
fn queues_are_charged_for_the_engines_that_work_for_them() {
    let mut rig = Rig::new("910c");
    rig.vm(1);
    rig.map_hbm(1, 0, VA, 0, 4 * MIB).unwrap();
    let (mut q, mut idle) = (rig.queue(1, 1, 0), rig.queue(2, 1, 0));
    q.submit(sqe::fill(VA, MIB, 1));
    q.submit(sqe::copy(VA + 2 * MIB, VA, MIB));
    assert_eq!(q.wait(), 0);
    let [aic, aiv, sdma] = q.busy_ns();
    assert_eq!((aic, aiv, sdma), (0, 0, q.model_ns()), "one engine, nobody else");
    let (nop, _) = vinci_kernels::lookup("nop").unwrap();
    q.submit(sqe::kernel(nop, 1, 0, 0, 0));
    assert_eq!(q.wait(), 0);
    assert_eq!(q.busy_ns()[2], sdma);
    assert_eq!(q.busy_ns()[1], q.model_ns() - sdma);
    idle.submit(sqe::event_wait(VA, 0, 0));
    assert_eq!(idle.wait(), 0);
    assert_eq!(idle.busy_ns(), [0; 3], "the scheduler is no engine");
}

#[test]
fn a_crash_of_the_firmware_costs_one_queue() {
    let mut rig = Rig::new("910c");
    rig.vm(1);
    rig.map_hbm(1, 0, VA, 0, MIB).unwrap();
    let (mut q, mut other) = (rig.queue(1, 1, 0), rig.queue(2, 1, 0));
    rig.dev.inject(0, Injection::Crash).unwrap();
    q.submit(sqe::fill(VA, 8, 1));
    assert_eq!(q.wait(), DRM_VINCI_QUEUE_FAULTED);
    let fault = rig.event().unwrap().fault;
    assert_eq!((fault.cause, fault.entry, fault.queue_id), (DRM_VINCI_FAULT_EXCEPTION, 1, 1));
    other.submit(sqe::fill(VA, 8, 2));
    assert_eq!(other.wait(), 0, "the die goes on");
    rig.admin(Command::new(Opcode::QueueReset, 1)).unwrap();
    q.submit(sqe::fill(VA, 8, 3));
    assert_eq!(q.wait(), 0);
    // SAFETY: nothing runs.
    assert_eq!(unsafe { *hbm(&rig, 0, 0) }, 0x0303_0303_0303_0303);
}

#[test]
fn destroying_a_queue_does_not_wait_for_its_work() {
    let bytes = 1024 * MIB;
    let mut rig = Rig::new("910c");
    rig.vm(1);
    rig.map_hbm(1, 0, VA, 0, bytes).unwrap();
    let mut q = rig.queue(1, 1, 0);
    let first = hbm(&rig, 0, 0).cast::<u8>();
    // SAFETY: a byte of the HBM, which the device stores meanwhile.
    let look = || unsafe { first.read_volatile() };
    // Long enough to be seen at work.
    q.submit(sqe::fill(VA, bytes, 1));
    q.submit(sqe::fill(VA, 8, 7));
    while look() == 0 {
        std::hint::spin_loop();
    }
    let destroy = Command::new(Opcode::QueueDestroy, 1);
    assert_eq!(rig.admin(destroy), Err(Outcome::Busy));
    let start = std::time::Instant::now();
    while rig.admin(destroy) == Err(Outcome::Busy) {
        assert!(start.elapsed() < std::time::Duration::from_secs(60));
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(rig.admin(destroy), Err(Outcome::BadId), "it is gone");
    assert_eq!(look(), 1, "what came behind did not run");
    assert_eq!(q.completed(), 0);
}

#[test]
fn function_reset_comes_back_empty() {
    let mut rig = Rig::new("910c");
    rig.vm(1);
    rig.map_hbm(1, 0, VA, 0, MIB).unwrap();
    let mut q = rig.queue(1, 1, 0);
    q.submit(sqe::fill(VA, 4096, 1));
    assert_eq!(q.wait(), 0);
    rig.dev.write(Reg::Reset as u64, vinci_hw::regs::RESET_FUNCTION);
    assert_eq!((q.state(), rig.dev.read(Reg::Status as u64)), (DRM_VINCI_QUEUE_LOST, 0));
    rig.bring_up();
    assert_eq!(rig.admin(Command::new(Opcode::QueueReset, 1)), Err(Outcome::BadId));
    rig.vm(1);
    rig.map_hbm(1, 0, VA, 0, MIB).unwrap();
    // SAFETY: nothing runs.
    assert_eq!(unsafe { *hbm(&rig, 0, 0) }, 0);
    let mut q = rig.queue(1, 1, 0);
    q.submit(sqe::fill(VA, 4096, 1));
    assert_eq!(q.wait(), 0);
}

#[test]
fn a_scattered_range_is_linear_to_its_users() {
    let mut rig = Rig::new("910b1");
    rig.vm(1);
    for (i, offset) in [7u64, 3, 11].into_iter().enumerate() {
        rig.map_hbm(1, 0, VA + i as u64 * 2 * MIB, offset * 2 * MIB, 2 * MIB).unwrap();
    }
    let host = rig.map_host(1, VA + 64 * MIB, 6 * MIB);
    let mut q = rig.queue(1, 1, 0);
    // SAFETY: the queue is idle whenever memory is looked at.
    unsafe {
        (0..6 * MIB as usize / 8).for_each(|i| host.add(i).write(i as u64));
        q.submit(sqe::copy(VA, VA + 64 * MIB, 6 * MIB));
        assert_eq!(q.wait(), 0);
        for (i, offset) in [7u64, 3, 11].into_iter().enumerate() {
            assert_eq!(*hbm(&rig, 0, offset * 2 * MIB), i as u64 * 2 * MIB / 8);
        }
    }
    let unmap = |va, len| Command { va, len, ..Command::new(Opcode::Unmap, 1) };
    assert_eq!(rig.admin(unmap(VA + MIB, MIB)), Err(Outcome::Overlap), "cuts a mapping");
    rig.admin(unmap(VA + 2 * MIB, 2 * MIB)).unwrap();
    q.submit(sqe::copy(VA, VA + 64 * MIB, 6 * MIB));
    assert_eq!(q.wait(), DRM_VINCI_QUEUE_FAULTED, "the hole is seen, not the old view");
    assert_eq!(rig.event().unwrap().fault.address, VA + 2 * MIB);
}

#[test]
fn scattered_host_pages_are_one_range_to_their_users() {
    const PAGES: u64 = 16;
    const WORDS: usize = (PAGES * 4096 / 8) as usize;
    let mut rig = Rig::new("910b1");
    rig.vm(1);
    rig.map_hbm(1, 0, VA, 0, MIB).unwrap();
    // Each page of the range is another page of the host, as those of a guest's process are.
    let base = rig.arena.alloc(PAGES * 4096);
    let page = |i: u64| base + (i * 7 % PAGES) * 4096;
    let host = VA + 64 * MIB;
    for i in 0..PAGES {
        let (va, addr) = (host + i * 4096, page(i));
        rig.admin(Command { va, addr, len: 4096, kind: 1, flags: 3, ..Command::new(Opcode::Map, 1) })
            .unwrap();
    }
    let word = |i: usize| (page(i as u64 / 512) + i as u64 % 512 * 8) as *mut u64;
    let mut q = rig.queue(1, 1, 0);
    // SAFETY: the queue is idle whenever memory is looked at.
    unsafe {
        (0..WORDS).for_each(|i| word(i).write(i as u64));
        q.submit(sqe::copy(VA, host + 24, (WORDS as u64 - 3) * 8));
        assert_eq!(q.wait(), 0);
        assert!((0..WORDS - 3).all(|i| *hbm(&rig, 0, i as u64 * 8) == i as u64 + 3), "from pieces");
        q.submit(sqe::fill(host, PAGES * 4096, 0));
        q.submit(sqe::copy(host + 8, VA, (WORDS as u64 - 8) * 8));
        assert_eq!(q.wait(), 0);
        assert!((0..WORDS - 8).all(|i| *word(i + 1) == i as u64 + 3) && *word(0) == 0, "to pieces");
        // Source and destination overlap: only a linear view gives memmove's order.
        (0..WORDS).for_each(|i| word(i).write(i as u64));
        q.submit(sqe::copy(host + 80, host, (WORDS as u64 - 10) * 8));
        assert_eq!(q.wait(), 0);
        assert!((10..WORDS).all(|i| *word(i) == i as u64 - 10), "within pieces");
    }
    q.submit(sqe::copy(VA, host, PAGES * 4096 + 1));
    assert_eq!(q.wait(), DRM_VINCI_QUEUE_FAULTED);
    assert_eq!(rig.event().unwrap().fault.address, host + PAGES * 4096);
}

#[test]
fn nothing_that_a_process_writes_harms_the_device() {
    let mut rig = Rig::new("910c");
    rig.vm(1);
    rig.map_hbm(1, 0, VA, 0, MIB).unwrap();
    rig.map_host(1, VA + MIB, MIB);
    let mut q = rig.queue(1, 1, 0);
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for i in 0..20_000 {
        let near = |r: u64| if r.is_multiple_of(4) { r } else { VA + r % (3 * MIB) };
        let mut s = sqe::placeholder();
        let mut w: [u64; 7] = std::array::from_fn(|_| random());
        w = w.map(|x| if x & 1 == 0 { near(x) } else { x % 5000 });
        s.opcode = (random() % 12) as u8;
        s.blocks = if random() % 4 == 0 { 3 } else { 0 };
        s.compare = (random() % 6) as u16;
        if (DRM_VINCI_OP_EVENT_WAIT..=DRM_VINCI_OP_WAIT_VALUE).contains(&s.opcode.into()) {
            w[2] = 1; // waits must end
        }
        s.__bindgen_anon_1.words = w;
        let is_call = u32::from(s.opcode) == DRM_VINCI_OP_HOST_CALL;
        if i % 100 == 0 {
            q.ring_with(random());
        } else if !is_call {
            q.submit(s);
        }
        if i % 100 == 0 || q.wait() != 0 {
            while q.state() == 0 {
                std::hint::spin_loop();
            }
            assert_eq!(rig.event().unwrap().type_, DRM_VINCI_EVENT_FAULT);
            rig.admin(Command::new(Opcode::QueueReset, 1)).unwrap();
            q.tail = q.completed();
        }
        let mut c = Command::new(Opcode::Map, 0);
        (c.opcode, c.id, c.kind, c.flags) =
            (random() as u16 % 24, random() as u32 % 3 + 1, random() as u16 % 3, random() as u16 % 5);
        (c.va, c.addr, c.len, c.arg) =
            (near(random()) & !4095, (random() % MIB) & !4095, random() % MIB, random() as u32 % 3);
        let harmless =
            [Opcode::QueueDestroy, Opcode::Unmap, Opcode::VmDestroy, Opcode::Inject, Opcode::QueueCreate];
        if !harmless.iter().any(|&o| o as u16 == c.opcode) {
            let _ = rig.admin(c);
        }
        while rig.event().is_some() {}
    }
}
