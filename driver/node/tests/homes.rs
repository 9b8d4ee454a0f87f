//! The homes end to end: requests, rings and memory as a runtime uses them. Every test runs in each home.

mod common;

use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Home, MIB, Queue, RW};
use vinci_driver::Errno;
use vinci_driver::uapi::*;
use vinci_hw::sqe;

in_both_homes! {
    says_what_it_is
    copies_through_hbm_and_sleeps_on_the_fence
    a_fault_is_recorded_and_reset
    waits_time_out_and_go_on
    files_cannot_name_each_others_objects
    closing_a_file_takes_everything_and_leaves_nothing_behind
    user_pages_are_reached_and_holes_are_refused
    resets_lose_queues_and_keep_address_spaces
    malloc_and_free_are_fast_enough_to_see
    a_mapping_keeps_the_memory_of_a_closed_object
    a_host_call_stops_the_queue_until_it_is_answered
    many_threads_wait_for_different_entries_of_one_queue
    a_destroyed_queue_wakes_who_waits_for_it
    a_forked_child_is_refused_and_harms_nobody
    a_descriptor_carries_an_object_to_another_file
    descriptors_of_nothing_are_refused
    a_file_that_imports_its_own_object_gets_the_handle_it_has
    pinned_memory_is_limited
}

fn says_what_it_is(home: &Home) {
    let dev = home.open();
    let info = dev.device_info().unwrap();
    assert_eq!((info.die_count, info.home, info.page_size), (2, home.number(), 4096));
    assert_eq!(dev.die_info(1).unwrap().aic_cores, 24);
    assert_eq!(dev.die_info(2).unwrap_err(), Errno::NoEnt);
    assert!(dev.kernel("nop").unwrap().kernel != 0);
    assert_eq!(dev.kernel("no such kernel").unwrap_err(), Errno::NoEnt);
    assert_eq!(dev.process(0).unwrap().pid, std::process::id());
}

fn copies_through_hbm_and_sleeps_on_the_fence(home: &Home) {
    let dev = home.open();
    let base = dev.device_info().unwrap().va_base;
    let vm = dev.vm_create().unwrap();
    let host = dev.bo_create(8 * MIB, DRM_VINCI_PLACE_HOST, 0).unwrap();
    let hbm = dev.bo_create(8 * MIB, DRM_VINCI_PLACE_HBM, 1).unwrap();
    dev.vm_map(vm, host.handle, 0, base, host.size, RW).unwrap();
    dev.vm_map(vm, hbm.handle, 0, base + 64 * MIB, hbm.size, RW).unwrap();
    assert_eq!(dev.vm_map(vm, hbm.handle, 0, base + 65 * MIB, MIB, RW).unwrap_err(), Errno::Exist);
    let map = dev.mmap(host.mmap_offset, host.size).unwrap();
    assert_eq!(dev.mmap(host.mmap_offset, host.size + 1).err(), Some(Errno::Inval));
    let mut q = Queue::new(&dev, vm, 1);
    // SAFETY: inside the mapping; the queue is idle whenever it is looked at.
    unsafe {
        map.ptr().write_bytes(0x5a, host.size as usize);
        q.submit(sqe::copy(base + 64 * MIB, base, 8 * MIB));
        q.submit(sqe::fill(base, 8 * MIB, 0));
        q.submit(sqe::copy(base + MIB, base + 64 * MIB, 2 * MIB));
        q.wait().unwrap();
        assert_eq!((map.ptr().add(MIB as usize).read(), map.ptr().read()), (0x5a, 0));
    }
    dev.vm_unmap(vm, base + 64 * MIB, 8 * MIB).unwrap();
    dev.bo_close(hbm.handle).unwrap();
    assert_eq!(dev.bo_close(hbm.handle).unwrap_err(), Errno::NoEnt);
    assert_eq!(dev.telemetry(1).unwrap().hbm_used, 0);
    assert_eq!(dev.vm_destroy(vm).unwrap_err(), Errno::Busy);
    dev.queue_destroy(q.id).unwrap();
    dev.vm_destroy(vm).unwrap();
}

fn a_fault_is_recorded_and_reset(home: &Home) {
    let dev = home.open();
    let base = dev.device_info().unwrap().va_base;
    let vm = dev.vm_create().unwrap();
    let (mut bad, mut good) = (Queue::new(&dev, vm, 0), Queue::new(&dev, vm, 0));
    bad.submit(sqe::fill(base + 4096, 64, 1));
    assert_eq!(bad.wait().unwrap_err(), Errno::Io);
    let q = dev.queue_query(bad.id).unwrap();
    assert_eq!(
        (q.state, q.fault.cause, q.fault.address),
        (DRM_VINCI_QUEUE_FAULTED, DRM_VINCI_FAULT_ADDRESS, base + 4096)
    );
    good.submit(sqe::placeholder());
    good.wait().unwrap();
    assert_eq!(dev.event_read(0).unwrap().0.type_, DRM_VINCI_EVENT_FAULT);
    assert_eq!(dev.event_read(0).unwrap_err(), Errno::Time);
    assert_eq!(dev.queue_reset(bad.id).unwrap(), 1);
    bad.submit(sqe::placeholder());
    bad.wait().unwrap();
}

fn waits_time_out_and_go_on(home: &Home) {
    let dev = home.open();
    let base = dev.device_info().unwrap().va_base;
    let vm = dev.vm_create().unwrap();
    let host = dev.bo_create(4096, DRM_VINCI_PLACE_HOST, 0).unwrap();
    dev.vm_map(vm, host.handle, 0, base, 4096, RW).unwrap();
    let word = dev.mmap(host.mmap_offset, 4096).unwrap();
    let mut q = Queue::new(&dev, vm, 0);
    q.submit(sqe::event_wait(base, 1, 0));
    let start = Instant::now();
    assert_eq!(dev.wait(q.id, 1, 20_000_000).unwrap_err(), Errno::Time);
    assert!(start.elapsed().as_millis() >= 20);
    // SAFETY: the word lies in the mapping and is shared, so it is stored as an atomic.
    unsafe { AtomicU64::from_ptr(word.ptr().cast().as_ptr()) }.store(1, Ordering::Release);
    dev.queue_kick(q.id).unwrap();
    q.wait().unwrap();
    assert_eq!(q.completed(), 1);
}

fn files_cannot_name_each_others_objects(home: &Home) {
    let a = home.open();
    let b = home.open();
    let base = a.device_info().unwrap().va_base;
    let (vm_a, vm_b) = (a.vm_create().unwrap(), b.vm_create().unwrap());
    let bo = a.bo_create(MIB, DRM_VINCI_PLACE_HBM, 0).unwrap();
    let q = Queue::new(&a, vm_a, 0);
    assert_eq!(b.bo_info(bo.handle).unwrap_err(), Errno::NoEnt);
    assert_eq!(b.vm_map(vm_b, bo.handle, 0, base, MIB, RW).unwrap_err(), Errno::NoEnt);
    assert_eq!(b.queue_kick(q.id).unwrap_err(), Errno::NoEnt);
    assert_eq!(b.queue_destroy(q.id).unwrap_err(), Errno::NoEnt);
    assert_eq!(b.wait(q.id, 0, 0).unwrap_err(), Errno::NoEnt);
    assert!(b.mmap(bo.mmap_offset, 4096).is_err());
}

fn closing_a_file_takes_everything_and_leaves_nothing_behind(home: &Home) {
    let a = home.open();
    let base = a.device_info().unwrap().va_base;
    let vm = a.vm_create().unwrap();
    let bo = a.bo_create(MIB, DRM_VINCI_PLACE_HBM, 0).unwrap();
    a.vm_map(vm, bo.handle, 0, base, MIB, RW).unwrap();
    let mut q = Queue::new(&a, vm, 0);
    q.submit(sqe::fill(base, MIB, 0x77));
    q.wait().unwrap();
    drop((q, a));
    let b = home.open();
    assert_eq!(b.telemetry(0).unwrap().hbm_used, 0);
    let bo = b.bo_create(MIB, DRM_VINCI_PLACE_HBM, 0).unwrap();
    let map = b.mmap(bo.mmap_offset, MIB).unwrap();
    // SAFETY: inside the mapping, which only this test uses.
    let bytes = unsafe { std::slice::from_raw_parts(map.ptr().as_ptr(), MIB as usize) };
    assert!(bytes.iter().all(|&x| x == 0), "the other file's data must be gone");
}

fn user_pages_are_reached_and_holes_are_refused(home: &Home) {
    let dev = home.open();
    let base = dev.device_info().unwrap().va_base;
    let vm = dev.vm_create().unwrap();
    let layout = std::alloc::Layout::from_size_align(16384, 4096).unwrap();
    // SAFETY: the layout is not empty.
    let p = unsafe { std::alloc::alloc_zeroed(layout) };
    let handle = dev.bo_userptr(p as u64, 16384, false).unwrap();
    dev.vm_map(vm, handle, 0, base, 16384, RW).unwrap();
    let mut q = Queue::new(&dev, vm, 0);
    q.submit(sqe::fill(base + 100, 16000, 9));
    q.wait().unwrap();
    // SAFETY: allocated above; the queue is idle.
    assert_eq!(unsafe { (p.add(99).read(), p.add(100).read()) }, (0, 9));
    assert_eq!(
        dev.bo_userptr(base, 4096 * 4, false).unwrap_err(),
        Errno::Fault,
        "nothing is mapped at device addresses... as memory"
    );
    assert_eq!(dev.bo_userptr(p as u64 + 1, 4096, false).unwrap_err(), Errno::Inval);
    dev.bo_close(handle).unwrap();
    q.submit(sqe::fill(base, 8, 1));
    q.wait().expect("the mapping keeps the object");
    dev.vm_unmap(vm, base, 16384).unwrap();
    q.submit(sqe::fill(base, 8, 1));
    assert_eq!(q.wait().unwrap_err(), Errno::Io);
    // SAFETY: allocated above with this layout; unmapped, so the device no longer reaches it.
    unsafe { std::alloc::dealloc(p, layout) };
}

fn resets_lose_queues_and_keep_address_spaces(home: &Home) {
    let dev = home.open();
    let base = dev.device_info().unwrap().va_base;
    let vm = dev.vm_create().unwrap();
    for die in 0..2 {
        let bo = dev.bo_create(MIB, DRM_VINCI_PLACE_HBM, die).unwrap();
        dev.vm_map(vm, bo.handle, 0, base + u64::from(die) * MIB, MIB, RW).unwrap();
    }
    let (a, mut b) = (Queue::new(&dev, vm, 0), Queue::new(&dev, vm, 1));
    dev.reset_die(0).unwrap();
    assert_eq!(dev.wait(a.id, 1, -1).unwrap_err(), Errno::NoDev);
    b.submit(sqe::fill(base + MIB, 64, 1));
    b.wait().unwrap();
    assert_eq!(dev.event_read(0).unwrap().0.type_, DRM_VINCI_EVENT_RESET);
    dev.reset_function().unwrap();
    assert_eq!(dev.wait(b.id, 99, -1).unwrap_err(), Errno::NoDev);
    dev.queue_destroy(a.id).unwrap();
    dev.queue_destroy(b.id).unwrap();
    let mut c = Queue::new(&dev, vm, 0);
    c.submit(sqe::fill(base, MIB, 1));
    c.wait().expect("the address space is back");
}

fn malloc_and_free_are_fast_enough_to_see(home: &Home) {
    let dev = home.open();
    let base = dev.device_info().unwrap().va_base;
    let vm = dev.vm_create().unwrap();
    let start = Instant::now();
    for _ in 0..1000 {
        let bo = dev.bo_create(MIB, DRM_VINCI_PLACE_HBM, 0).unwrap();
        dev.vm_map(vm, bo.handle, 0, base, MIB, RW).unwrap();
        dev.bo_close(bo.handle).unwrap();
        dev.vm_unmap(vm, base, MIB).unwrap();
    }
    println!("BO_CREATE + VM_MAP + GEM_CLOSE + VM_UNMAP: {:?}", start.elapsed() / 1000);
    assert_eq!(dev.telemetry(0).unwrap().hbm_used, 0);
}

fn a_mapping_keeps_the_memory_of_a_closed_object(home: &Home) {
    let dev = home.open();
    let a = dev.bo_create(MIB, DRM_VINCI_PLACE_HBM, 0).unwrap();
    let map = dev.mmap(a.mmap_offset, MIB).unwrap();
    dev.bo_close(a.handle).unwrap();
    let b = dev.bo_create(MIB, DRM_VINCI_PLACE_HBM, 0).unwrap();
    assert_eq!(dev.telemetry(0).unwrap().hbm_used, 2 * MIB);
    assert_ne!(dev.mmap(b.mmap_offset, MIB).unwrap().ptr(), map.ptr());
    drop(map);
    assert_eq!(dev.telemetry(0).unwrap().hbm_used, MIB);
}

fn a_host_call_stops_the_queue_until_it_is_answered(home: &Home) {
    let dev = home.open();
    let vm = dev.vm_create().unwrap();
    let mut q = Queue::new(&dev, vm, 0);
    assert!(!dev.node().poll(Some(Duration::ZERO)).unwrap());
    q.submit(sqe::placeholder());
    q.submit(sqe::host_call(0xc0ffee));
    q.submit(sqe::placeholder());
    assert!(dev.node().poll(Some(Duration::from_secs(10))).unwrap());
    let (event, lost) = dev.event_read(-1).unwrap();
    assert_eq!(
        (event.type_, event.queue_id, event.entry, event.cookie, lost),
        (DRM_VINCI_EVENT_HOST_CALL, q.id, 2, 0xc0ffee, 0)
    );
    assert_eq!(q.completed(), 1);
    assert_eq!(dev.queue_resume(q.id, 3).unwrap_err(), Errno::NoEnt);
    dev.queue_resume(q.id, 2).unwrap();
    q.wait().unwrap();
    assert_eq!(q.completed(), 3);
}

fn many_threads_wait_for_different_entries_of_one_queue(home: &Home) {
    let dev = home.open();
    let base = dev.device_info().unwrap().va_base;
    let vm = dev.vm_create().unwrap();
    let host = dev.bo_create(4096, DRM_VINCI_PLACE_HOST, 0).unwrap();
    dev.vm_map(vm, host.handle, 0, base, 4096, RW).unwrap();
    let gate = dev.mmap(host.mmap_offset, 4096).unwrap();
    let mut q = Queue::new(&dev, vm, 0);
    q.submit(sqe::event_wait(base, 1, 0));
    std::thread::scope(|s| {
        let waiters: Vec<_> = (1..=16u64)
            .rev()
            .map(|n| {
                let (dev, id) = (dev.clone(), q.id);
                s.spawn(move || dev.wait(id, n, 10_000_000_000))
            })
            .collect();
        (1..16).for_each(|_| q.submit(sqe::placeholder()));
        // SAFETY: the word lies in the mapping and is shared, so it is stored as an atomic.
        unsafe { AtomicU64::from_ptr(gate.ptr().cast().as_ptr()) }.store(1, Ordering::Release);
        dev.queue_kick(q.id).unwrap();
        waiters.into_iter().for_each(|w| w.join().unwrap().unwrap());
    });
    assert_eq!(q.completed(), 16);
}

fn a_destroyed_queue_wakes_who_waits_for_it(home: &Home) {
    let dev = home.open();
    let vm = dev.vm_create().unwrap();
    let q = Queue::new(&dev, vm, 0);
    std::thread::scope(|s| {
        let waiter = s.spawn(|| dev.wait(q.id, 1, 10_000_000_000));
        std::thread::sleep(Duration::from_millis(20));
        dev.queue_destroy(q.id).unwrap();
        assert_eq!(waiter.join().unwrap().unwrap_err(), Errno::NoEnt);
    });
}

fn a_forked_child_is_refused_and_harms_nobody(home: &Home) {
    let dev = home.open();
    let vm = dev.vm_create().unwrap();
    let mut q = Queue::new(&dev, vm, 0);
    q.submit(sqe::placeholder());
    q.wait().unwrap();
    // SAFETY: the child only makes requests, which take no lock there, and leaves without running handlers.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = dev.vm_create() == Err(Errno::OwnerDead)
            && dev.wait(q.id, 9, -1) == Err(Errno::OwnerDead)
            && dev.node().poll(None) == Err(Errno::OwnerDead)
            && dev.mmap(0, 4096).err() == Some(Errno::OwnerDead);
        drop((q, dev));
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(if refused { 42 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: waits for the child above.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 42, "status {status:#x}");
    q.submit(sqe::placeholder());
    q.wait().unwrap();
}

fn a_descriptor_carries_an_object_to_another_file(home: &Home) {
    let (a, b) = (home.open(), home.open());
    let base = a.device_info().unwrap().va_base;
    let (vm_a, vm_b) = (a.vm_create().unwrap(), b.vm_create().unwrap());
    for placement in [DRM_VINCI_PLACE_HBM, DRM_VINCI_PLACE_HOST] {
        let bo = a.bo_create(MIB, placement, 0).unwrap();
        a.vm_map(vm_a, bo.handle, 0, base, MIB, RW).unwrap();
        let fd = a.prime_export(bo.handle, (libc::O_CLOEXEC | libc::O_RDWR) as u32).unwrap();
        // The object outlives its handle and its mapping as long as there is a descriptor, of which there are two.
        let copy = fd.try_clone().unwrap();
        drop(fd);
        let mut q = Queue::new(&a, vm_a, 0);
        q.submit(sqe::fill(base, MIB, 0x21));
        q.wait().unwrap();
        a.vm_unmap(vm_a, base, MIB).unwrap();
        a.bo_close(bo.handle).unwrap();
        a.queue_destroy(q.id).unwrap();
        let handle = b.prime_import(&copy).unwrap();
        assert_eq!(b.prime_import(&copy).unwrap(), handle, "it has a handle already");
        let info = b.bo_info(handle).unwrap();
        assert_eq!((info.size, info.placement), (MIB, placement));
        b.vm_map(vm_b, handle, 0, base + MIB, MIB, RW).unwrap();
        let map = b.mmap(info.mmap_offset, MIB).unwrap();
        // SAFETY: inside the mapping; nothing runs on the object now.
        assert_eq!(unsafe { map.ptr().add(MIB as usize - 1).read() }, 0x21);
        b.vm_unmap(vm_b, base + MIB, MIB).unwrap();
        drop(map);
        b.bo_close(handle).unwrap();
        b.bo_close(b.prime_import(&copy).unwrap()).unwrap();
        let held = if placement == DRM_VINCI_PLACE_HBM { MIB } else { 0 };
        assert_eq!(a.telemetry(0).unwrap().hbm_used, held, "the descriptor holds it");
        drop(copy);
        assert_eq!(a.telemetry(0).unwrap().hbm_used, 0, "and with it the memory goes");
    }
}

fn descriptors_of_nothing_are_refused(home: &Home) {
    let dev = home.open();
    let file = std::fs::File::open("/dev/null").unwrap();
    let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    assert_eq!(dev.prime_import(&file).unwrap_err(), Errno::Inval);
    assert_eq!(dev.prime_import(&socket).unwrap_err(), Errno::Inval);
    for fd in [-1, 1_000_000] {
        let mut a = drm_prime_handle { handle: 0, flags: 0, fd };
        assert_eq!(dev.node().ioctl(IOCTL_PRIME_FD_TO_HANDLE, a.bytes_mut()), Err(Errno::BadF));
    }
    assert_eq!(dev.prime_export(77, 0).unwrap_err(), Errno::NoEnt);
    let bo = dev.bo_create(4096, DRM_VINCI_PLACE_HOST, 0).unwrap();
    assert_eq!(dev.prime_export(bo.handle, 1).unwrap_err(), Errno::Inval);
    // Another device of the same kind does not know it.
    let fd = dev.prime_export(bo.handle, 0).unwrap();
    assert_eq!(Home::embedded().open().prime_import(&fd).unwrap_err(), Errno::Inval);
    // A process's own pages are not the driver's to give away.
    let mut page = vec![0u8; 8192];
    let at = (page.as_mut_ptr() as u64).next_multiple_of(4096);
    let pinned = dev.bo_userptr(at, 4096, false).unwrap();
    assert_eq!(dev.prime_export(pinned, 0).unwrap_err(), Errno::Perm);
    dev.bo_close(pinned).unwrap();
    dev.vm_create().expect("nobody was thrown out");
}

fn a_file_that_imports_its_own_object_gets_the_handle_it_has(home: &Home) {
    let dev = home.open();
    let bo = dev.bo_create(4096, DRM_VINCI_PLACE_HOST, 0).unwrap();
    let fd = dev.prime_export(bo.handle, 0).unwrap();
    assert_eq!(dev.prime_import(&fd).unwrap(), bo.handle);
    dev.bo_close(bo.handle).unwrap();
    let again = dev.prime_import(&fd).unwrap();
    assert_ne!(again, bo.handle);
    assert_eq!(dev.bo_info(again).unwrap().size, 4096);
}

/// In a process of its own, which gives up the right to lock as much as it likes.
fn pinned_memory_is_limited(home: &Home) {
    const NAME: &str = "VINCI_TEST_LIMITED";
    let own = if matches!(home, Home::Embedded(_)) { "embedded" } else { "served" };
    if std::env::var(NAME).is_err() {
        let test = format!("{own}::pinned_memory_is_limited");
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", &test]).env(NAME, "1");
        let give_up = || {
            let limit = libc::rlimit { rlim_cur: 64 << 10, rlim_max: 64 << 10 };
            // CAP_IPC_LOCK; who may not give it away has not got it.
            // SAFETY: both calls only lower what the new program may do.
            unsafe {
                libc::prctl(libc::PR_CAPBSET_DROP, 14);
                match libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            }
        };
        // SAFETY: two system calls, which are allowed between fork and exec.
        let out = unsafe { child.pre_exec(give_up) }.output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
        return;
    }
    let dev = home.open();
    let memory = vec![0u8; 256 << 10];
    let at = (memory.as_ptr() as u64).next_multiple_of(4096);
    assert_eq!(dev.bo_userptr(at, 68 << 10, true).unwrap_err(), Errno::NoMem);
    let a = dev.bo_userptr(at, 32 << 10, true).unwrap();
    let b = dev.bo_userptr(at + (32 << 10), 32 << 10, true).unwrap();
    assert_eq!(dev.bo_userptr(at + (64 << 10), 4096, true).unwrap_err(), Errno::NoMem);
    dev.bo_close(a).unwrap();
    dev.bo_close(dev.bo_userptr(at, 32 << 10, true).unwrap()).unwrap();
    dev.bo_close(b).unwrap();
}
