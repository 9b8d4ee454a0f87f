//! Several processes on one served device: what a process that dies leaves behind, and what each gets of the
//! device. The processes are this program again, told by the environment what to do.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use common::{MIB, Queue, RW, Service};
use vinci_driver::uapi::*;
use vinci_driver::{Errno, Handle, Limits, Policy};
use vinci_hw::sqe;

const ROLE: &str = "VINCI_TEST_ROLE";

/// A process that does `role` on the device at `service`.
fn start(service: &Service, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "role", "--nocapture"])
        .env(ROLE, role)
        .env(vinci_driver::VARIABLE, format!("unix:{}", service.path.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What the other processes do.
#[test]
fn role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let dev = Handle::new(vinci_driver::open().unwrap());
    match role.split_once(' ') {
        Some(("churn", seed)) => churn(&dev, seed.parse().unwrap()),
        Some(("load", queues)) => load(&dev, queues.parse().unwrap()),
        _ => panic!("no role {role}"),
    }
    std::process::exit(0);
}

/// xorshift64*
fn random(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

/// Makes and uses everything there is, for ever.
fn churn(dev: &Handle, mut seed: u64) {
    println!("ready");
    let base = dev.device_info().unwrap().va_base;
    let pages = vec![0u8; 256 << 10];
    let pinned = (pages.as_ptr() as u64).next_multiple_of(4096);
    loop {
        let vm = dev.vm_create().unwrap();
        let (mut queues, mut kept, mut sent) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..4 + random(&mut seed) % 12 {
            let (die, size) = ((n % 2) as u32, 4096 << (random(&mut seed) % 10));
            let at = base + n * 16 * MIB;
            let bo = dev.bo_create(size, (n % 3 == 0).into(), if n % 3 == 0 { 0 } else { die }).unwrap();
            dev.vm_map(vm, bo.handle, 0, at, bo.size, RW).unwrap();
            kept.push(dev.mmap(bo.mmap_offset, bo.size).unwrap());
            sent.push(dev.prime_export(bo.handle, libc::O_CLOEXEC as u32).unwrap());
            let mut q = Queue::new(dev, vm, die);
            (0..random(&mut seed) % 200).for_each(|_| q.submit(sqe::fill(at, size, 1)));
            match random(&mut seed) % 5 {
                0 => q.wait().unwrap(),
                // Never ends by itself, and asks for an answer that does not come.
                1 => q.submit(sqe::event_wait(at, u64::MAX, 0)),
                2 => q.submit(sqe::host_call(7)),
                3 => q.submit(sqe::fill(at + 15 * MIB, 8, 1)),
                _ => {}
            }
            queues.push(q);
        }
        let handle = dev.bo_userptr(pinned, 128 << 10, false).unwrap();
        dev.vm_map(vm, handle, 0, base + 900 * MIB, 128 << 10, RW).unwrap();
        queues[0].submit(sqe::fill(base + 900 * MIB, 128 << 10, 3));
        if random(&mut seed).is_multiple_of(2) {
            queues.iter().for_each(|q| dev.queue_destroy(q.id).unwrap());
            dev.vm_destroy(vm).unwrap();
        }
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// How many of something there are to be had.
fn count<T>(mut make: impl FnMut() -> Result<T, Errno>) -> usize {
    std::iter::from_fn(|| make().ok()).count()
}

/// One test at a time: they count descriptors, and use the machine as a whole.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn processes_that_are_killed_leave_nothing() {
    let _alone = ALONE.lock();
    let service = Service::start(Policy::default());
    let dev = service.open();
    let spaces = |dev: &Handle| {
        let vm = dev.vm_create().unwrap();
        (count(|| dev.vm_create()), count(|| dev.queue_create(vm, 0, 3, 64)))
    };
    let fresh = spaces(&service.open());
    let rounds = 12;
    let mut before = None;
    let mut seed = 0x5eed;
    for round in 0..rounds {
        let mut children: Vec<_> =
            (0..3).map(|n| start(&service, &format!("churn {}", round * 8 + n + 1))).collect();
        for child in &mut children {
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            assert!(lines.any(|line| line.unwrap().ends_with("ready")), "the process came up");
        }
        std::thread::sleep(Duration::from_micros(random(&mut seed) % 60_000));
        children.iter_mut().for_each(|c| c.kill().unwrap());
        let killed = Instant::now();
        for child in &mut children {
            child.wait().unwrap();
        }
        let is_clean = || {
            let used: u64 = (0..2).map(|die| dev.telemetry(die).unwrap().hbm_used).sum();
            used == 0 && dev.process(1).is_err()
        };
        while !is_clean() {
            assert!(killed.elapsed() < Duration::from_secs(5), "round {round}: it is not cleaned up");
            std::thread::sleep(Duration::from_millis(1));
        }
        println!("round {round}: clean after {:?}", killed.elapsed());
        // A connection's thread closes the socket last.
        let steady = *before.get_or_insert_with(|| {
            std::thread::sleep(Duration::from_millis(200));
            descriptors()
        });
        let deadline = Instant::now() + Duration::from_secs(5);
        while descriptors() > steady {
            assert!(Instant::now() < deadline, "{} descriptors, before {steady}", descriptors());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    assert_eq!(spaces(&service.open()), fresh, "address spaces and queues are all there again");
}

#[test]
fn a_process_has_no_more_than_its_quota() {
    let _alone = ALONE.lock();
    let limits = Limits { hbm: 8 * MIB, host: 4 * MIB, queues: 3, spaces: 2, objects: 20 };
    let service = Service::start(Policy { limits, ..Policy::default() });
    // Two files of one process are one process.
    let (a, b) = (service.open(), service.open());
    let vm = a.vm_create().unwrap();
    b.vm_create().unwrap();
    assert_eq!(a.vm_create().unwrap_err(), Errno::NoSpc);
    let hbm = a.bo_create(6 * MIB, DRM_VINCI_PLACE_HBM, 0).unwrap();
    assert_eq!(b.bo_create(4 * MIB, DRM_VINCI_PLACE_HBM, 1).unwrap_err(), Errno::NoMem);
    a.bo_create(3 * MIB, DRM_VINCI_PLACE_HOST, 0).unwrap();
    assert_eq!(b.bo_create(2 * MIB, DRM_VINCI_PLACE_HOST, 0).unwrap_err(), Errno::NoMem);
    assert_eq!(count(|| a.queue_create(vm, 0, 3, 64)), 3);
    assert_eq!(a.queue_create(vm, 0, 3, 64).unwrap_err(), Errno::NoSpc);
    a.bo_close(hbm.handle).unwrap();
    assert_eq!(count(|| b.bo_create(4096, DRM_VINCI_PLACE_HBM, 0)), 19);
    assert_eq!(b.bo_create(4096, DRM_VINCI_PLACE_HBM, 0).unwrap_err(), Errno::NoSpc);
    let more: Vec<_> = (2..64).map(|_| service.open()).collect();
    assert!(vinci_driver::Served::connect(&service.path).is_err(), "64 connections of one process");
    drop(more);
}

/// Keeps `queues` queues full until it is told to stop; then tells how many entries were done in time, and whether
/// all of them were in the end.
fn load(dev: &Handle, queues: usize) {
    let base = dev.device_info().unwrap().va_base;
    let vm = dev.vm_create().unwrap();
    let bo = dev.bo_create(64 << 10, DRM_VINCI_PLACE_HBM, 0).unwrap();
    dev.vm_map(vm, bo.handle, 0, base, bo.size, RW).unwrap();
    let mut queues: Vec<_> = (0..queues).map(|_| Queue::new(dev, vm, 0)).collect();
    let fill = |queues: &mut [Queue]| {
        let mut idle = true;
        for q in queues {
            while q.tail - q.completed() < 250 {
                q.submit(sqe::fill(base, 64 << 10, 1));
                idle = false;
            }
        }
        idle
    };
    fill(&mut queues);
    println!("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let wanted = line.trim().parse::<u64>().unwrap();
    let done = |queues: &[Queue]| queues.iter().map(Queue::completed).sum::<u64>();
    let (before, end) = (done(&queues), Instant::now() + Duration::from_millis(wanted));
    while Instant::now() < end {
        if fill(&mut queues) {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
    let in_time = done(&queues) - before;
    queues.iter().for_each(|q| q.wait().unwrap());
    let lost: u64 = queues.iter().map(|q| q.tail - q.completed()).sum();
    println!("done {in_time} {lost}");
}

struct Worker(Child, ChildStdin, BufReader<ChildStdout>);

impl Worker {
    fn new(mut child: Child) -> Self {
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self(child, to, from)
    }

    fn until(&mut self, word: &str) -> String {
        let mut line = String::new();
        while self.2.read_line(&mut line).unwrap() != 0 {
            if let Some(at) = line.find(word) {
                return line[at..].trim().to_owned();
            }
            line.clear();
        }
        panic!("a process ended before it said {word}: {:?}", self.0.wait());
    }
}

/// `VINCI_TEST_PROCESSES=64` makes it the size that the design promises; by default it is one that runs in seconds.
#[test]
fn processes_share_the_device_fairly_and_nothing_is_lost() {
    let _alone = ALONE.lock();
    let processes = std::env::var("VINCI_TEST_PROCESSES").map_or(12, |n| n.parse().unwrap());
    let ms = if processes > 16 { 10_000 } else { 3_000 };
    let service = Service::start(Policy::default());
    let mut workers: Vec<_> = (0..processes).map(|_| Worker::new(start(&service, "load 8"))).collect();
    workers.iter_mut().for_each(|w| drop(w.until("ready")));
    assert_eq!(count_processes(&service), processes + 1);
    workers.iter_mut().for_each(|w| writeln!(w.1, "{ms}").unwrap());
    std::thread::sleep(Duration::from_millis(ms / 2));
    let resident = resident_mib();
    let mut done = Vec::new();
    for w in &mut workers {
        let words: Vec<u64> = w.until("done ").split(' ').skip(1).map(|n| n.parse().unwrap()).collect();
        assert_eq!(words[1], 0, "entries that were never completed");
        done.push(words[0]);
        assert!(w.0.wait().unwrap().success());
    }
    let mean = done.iter().sum::<u64>() as f64 / done.len() as f64;
    let (least, most) =
        (*done.iter().min().unwrap() as f64 / mean, *done.iter().max().unwrap() as f64 / mean);
    println!(
        "{processes} processes of 8 queues: {mean:.0} entries each on average, from {least:.2} to {most:.2} of it; \
         {resident} MiB resident"
    );
    assert!(least > 0.8 && most < 1.2, "not fair: {least:.2} to {most:.2} of the average: {done:?}");
    assert!(resident < 200, "{resident} MiB are resident");
}

fn count_processes(service: &Service) -> usize {
    let dev = service.open();
    (0..).take_while(|&n| dev.process(n).is_ok()).count()
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
