//! The driver's rules one by one: what a device that misbehaves, a file that goes and a reset may not do.

mod common;

use common::*;
use vinci_core::{Errno, Step, VA_BASE, VA_SIZE};
use vinci_hw::regs::PAGE_SIZE;
use vinci_hw::uapi::*;

const MIB: u64 = 1 << 20;

fn map(vm_id: u32, handle: u32, va: u64, size: u64) -> drm_vinci_vm_map {
    drm_vinci_vm_map { vm_id, handle, flags: RW, pad: 0, offset: 0, va, size }
}

fn event(type_: u32, queue_id: u32, entry: u64) -> drm_vinci_event {
    drm_vinci_event { type_, queue_id, entry, ..drm_vinci_event::zeroed() }
}

#[test]
fn a_dropped_driver_gives_everything_back() {
    let rig = Rig::new();
    let mut d = rig.driver().unwrap();
    let f = d.open(1, b"test").unwrap();
    let vm = vm_create(&mut d, f).unwrap();
    let bo = bo_create(&mut d, f, MIB, DRM_VINCI_PLACE_HOST, 0).unwrap();
    vm_map(&mut d, f, map(vm, bo, VA_BASE, MIB)).unwrap();
    queue_create(&mut d, f, vm, 1).unwrap();
    drop(d);
    assert!(rig.state().memory.is_empty());
}

#[test]
fn every_allocation_of_bring_up_may_fail() {
    for nth in 0.. {
        let rig = Rig::new();
        rig.state().fail_alloc.0 = nth;
        let up = rig.driver();
        let failed = rig.state().fail_alloc.0 == u32::MAX;
        assert_eq!(up.is_err(), failed, "allocation {nth}");
        drop(up);
        assert!(rig.state().memory.is_empty());
        if !failed {
            assert_eq!(nth, 4);
            return;
        }
    }
}

#[test]
fn events_of_a_destroyed_queue_do_not_reach_the_next_one() {
    let rig = Rig::new();
    let mut d = rig.driver().unwrap();
    let (a, b) = (d.open(1, b"a").unwrap(), d.open(2, b"b").unwrap());
    let (vm_a, vm_b) = (vm_create(&mut d, a).unwrap(), vm_create(&mut d, b).unwrap());
    let q = queue_create(&mut d, a, vm_a, 0).unwrap();
    let mut fault = event(DRM_VINCI_EVENT_FAULT, q, 1);
    fault.fault.cause = DRM_VINCI_FAULT_ADDRESS;
    rig.post(fault);
    queue_destroy(&mut d, a, q).unwrap();
    assert_eq!(queue_create(&mut d, b, vm_b, 0).unwrap(), q, "the number is used again");
    assert!(matches!(d.event_step(b).unwrap(), Step::Sleep), "it was not this file's fault");
    let a_query = drm_vinci_queue_query { queue_id: q, ..drm_vinci_queue_query::zeroed() };
    assert_eq!(ask(&mut d, b, VINCI_IOCTL_QUEUE_QUERY, a_query).unwrap().fault.cause, 0);
    assert!(matches!(d.event_step(a).unwrap(), Step::Ready((e, 0)) if e.queue_id == q));
}

#[test]
fn time_of_engines_outlives_queues_and_is_nobody_elses() {
    let rig = Rig::new();
    let mut d = rig.driver().unwrap();
    let (a, b) = (d.open(1, b"a").unwrap(), d.open(2, b"b").unwrap());
    let (vm_a, vm_b) = (vm_create(&mut d, a).unwrap(), vm_create(&mut d, b).unwrap());
    let queues = [(a, vm_a, 0), (a, vm_a, 1), (b, vm_b, 0)];
    let [first, second, other] = queues.map(|(file, vm, die)| queue_create(&mut d, file, vm, die).unwrap());
    for (n, q) in [first, second, other].into_iter().enumerate() {
        let bus = rig.state().queues[&q].fence;
        let fence = rig.cpu(bus).cast::<drm_vinci_queue_fence>();
        // SAFETY: the page is the queue's, which lives.
        unsafe { (*fence.as_ptr()).busy_ns = [1 << n, 10 << n, 100 << n] };
    }
    assert_eq!(d.usage(a).unwrap().busy_ns, [3, 30, 300]);
    queue_destroy(&mut d, a, first).unwrap();
    assert_eq!(d.usage(a).unwrap().busy_ns, [3, 30, 300]);
    assert_eq!(queue_create(&mut d, b, vm_b, 0).unwrap(), first, "the number is used again");
    assert_eq!(d.usage(b).unwrap().busy_ns, [4, 40, 400]);
}

#[test]
fn a_reset_queue_forgets_its_fault_even_if_nobody_read_it() {
    let rig = Rig::new();
    let mut d = rig.driver().unwrap();
    let f = d.open(1, b"a").unwrap();
    let vm = vm_create(&mut d, f).unwrap();
    let q = queue_create(&mut d, f, vm, 0).unwrap();
    let mut fault = event(DRM_VINCI_EVENT_FAULT, q, 1);
    fault.fault.cause = DRM_VINCI_FAULT_ADDRESS;
    rig.post(fault);
    ask(
        &mut d,
        f,
        VINCI_IOCTL_QUEUE_RESET,
        drm_vinci_queue_reset { queue_id: q, ..drm_vinci_queue_reset::zeroed() },
    )
    .unwrap();
    let a = drm_vinci_queue_query { queue_id: q, ..drm_vinci_queue_query::zeroed() };
    assert_eq!(ask(&mut d, f, VINCI_IOCTL_QUEUE_QUERY, a).unwrap().fault.cause, DRM_VINCI_FAULT_NONE);
}

#[test]
fn host_calls_answered_unread_do_not_pile_up() {
    let rig = Rig::new();
    let mut d = rig.driver().unwrap();
    let f = d.open(1, b"a").unwrap();
    let vm = vm_create(&mut d, f).unwrap();
    let q = queue_create(&mut d, f, vm, 0).unwrap();
    for entry in 1..=10_000 {
        rig.post(event(DRM_VINCI_EVENT_HOST_CALL, q, entry));
        ask(&mut d, f, VINCI_IOCTL_QUEUE_RESUME, drm_vinci_queue_resume { queue_id: q, pad: 0, entry })
            .unwrap();
    }
    assert!(matches!(d.event_step(f).unwrap(), Step::Sleep));
}

#[test]
fn a_file_that_does_not_read_loses_events_and_hears_how_many() {
    let rig = Rig::new();
    let mut d = rig.driver().unwrap();
    let f = d.open(1, b"a").unwrap();
    for _ in 0..3000 {
        rig.post(event(DRM_VINCI_EVENT_RAS, 0, 0));
        d.drain_events();
    }
    let mut read = 0;
    let mut lost = 0;
    while let Step::Ready((_, l)) = d.event_step(f).unwrap() {
        (read, lost) = (read + 1, lost + l);
    }
    assert_eq!((read, lost), (1024, 3000 - 1024));
}

/// Nothing that a device which stopped answering may still use is freed, and a function reset frees it.
#[test]
fn a_device_that_does_not_answer_keeps_its_memory_until_it_is_reset() {
    let rig = Rig::new();
    let mut d = rig.driver().unwrap();
    let (f, g) = (d.open(1, b"f").unwrap(), d.open(2, b"g").unwrap());
    let vm = vm_create(&mut d, f).unwrap();
    let host = bo_create(&mut d, f, MIB, DRM_VINCI_PLACE_HOST, 0).unwrap();
    let hbm = bo_create(&mut d, f, MIB, DRM_VINCI_PLACE_HBM, 1).unwrap();
    vm_map(&mut d, f, map(vm, host, VA_BASE, MIB)).unwrap();
    vm_map(&mut d, f, map(vm, hbm, VA_BASE + MIB, MIB)).unwrap();
    queue_create(&mut d, f, vm, 0).unwrap();
    rig.state().silent = true;
    assert_eq!(vm_unmap(&mut d, f, vm, VA_BASE, MIB), Err(Errno::Io));
    assert_eq!(queue_create(&mut d, f, vm, 0), Err(Errno::Io));
    // The rig panics if any of it is freed now.
    d.close(f);
    assert_eq!(rig.state().memory.len(), 4 + 1 + 4, "rings, the buffer, two queues");
    assert_eq!(vm_create(&mut d, f), Err(Errno::Io));
    reset(&mut d, g, DRM_VINCI_RESET_FUNCTION, 0).unwrap();
    assert_eq!(hbm_used(&mut d, g, 1), 0);
    assert_eq!(vm_create(&mut d, f), Err(Errno::NoEnt), "the file is gone");
    rig.assert_clean();
}

#[test]
fn a_device_that_was_pulled_out_is_given_up() {
    let rig = Rig::new();
    let mut d = rig.driver().unwrap();
    let f = d.open(1, b"f").unwrap();
    rig.state().event_head = u64::MAX;
    d.drain_events();
    assert_eq!(vm_create(&mut d, f), Err(Errno::Io));
}

#[test]
fn a_function_reset_brings_the_address_spaces_back_as_they_were() {
    let rig = Rig::new();
    let mut d = rig.driver().unwrap();
    let f = d.open(1, b"f").unwrap();
    let vm = vm_create(&mut d, f).unwrap();
    let a = drm_vinci_bo_userptr { addr: 0x1000, size: 20 * PAGE_SIZE, flags: 0, handle: 0 };
    let user = ask(&mut d, f, VINCI_IOCTL_BO_USERPTR, a).unwrap().handle;
    let hbm = bo_create(&mut d, f, 3 * MIB, DRM_VINCI_PLACE_HBM, 1).unwrap();
    vm_map(&mut d, f, map(vm, user, VA_BASE, 20 * PAGE_SIZE)).unwrap();
    vm_map(&mut d, f, map(vm, hbm, VA_BASE + MIB, 3 * MIB)).unwrap();
    let peer = drm_vinci_vm_peer { vm_id: vm, from_die: 0, to_die: 1, enable: 1 };
    ask(&mut d, f, VINCI_IOCTL_VM_PEER, peer).unwrap();
    let q = queue_create(&mut d, f, vm, 0).unwrap();
    let tables = || {
        let s = rig.state();
        (s.vms.clone(), s.peers.clone())
    };
    let before = tables();
    assert_eq!(before.0.values().map(|m| m.len()).sum::<usize>(), 10 + 1, "pieces of two pages, and HBM");
    reset(&mut d, f, DRM_VINCI_RESET_FUNCTION, 0).unwrap();
    assert_eq!(tables(), before);
    let wait = drm_vinci_wait { queue_id: q, flags: 0, value: 1, timeout_ns: -1 };
    assert_eq!(d.wait_step(f, &wait), Err(Errno::NoDev));
    assert!(matches!(d.event_step(f).unwrap(), Step::Ready((e, _)) if e.type_ == DRM_VINCI_EVENT_RESET));
    d.close(f);
    rig.assert_clean();
}

#[test]
fn shared_objects_outlive_the_file_that_made_them() {
    let rig = Rig::new();
    let mut d = rig.driver().unwrap();
    let (a, b) = (d.open(1, b"a").unwrap(), d.open(2, b"b").unwrap());
    let bo = bo_create(&mut d, a, MIB, DRM_VINCI_PLACE_HBM, 0).unwrap();
    let id = d.export(a, bo).unwrap();
    let imported = d.import(b, id).unwrap();
    d.unexport(id);
    d.close(a);
    assert_eq!(hbm_used(&mut d, b, 0), MIB);
    let vm = vm_create(&mut d, b).unwrap();
    vm_map(&mut d, b, map(vm, imported, VA_BASE, MIB)).unwrap();
    bo_close(&mut d, b, imported).unwrap();
    assert_eq!(hbm_used(&mut d, b, 0), MIB, "the mapping holds it");
    vm_unmap(&mut d, b, vm, VA_BASE, MIB).unwrap();
    assert_eq!((hbm_used(&mut d, b, 0), d.import(b, id)), (0, Err(Errno::NoEnt)));
}

/// Fields that must be zero are, whatever else the request says; limits are where the contract puts them.
#[test]
fn fields_that_must_be_zero_are_checked() {
    let rig = Rig::new();
    let mut d = rig.driver().unwrap();
    let f = d.open(1, b"f").unwrap();
    let vm = vm_create(&mut d, f).unwrap();
    let handle = bo_create(&mut d, f, MIB, DRM_VINCI_PLACE_HBM, 0).unwrap();
    let queue_id = queue_create(&mut d, f, vm, 0).unwrap();
    let bo = drm_vinci_bo_create { size: 4096, ..drm_vinci_bo_create::zeroed() };
    let info = drm_vinci_bo_info { handle, ..drm_vinci_bo_info::zeroed() };
    let queue = drm_vinci_queue_create { vm_id: vm, entries: 64, ..drm_vinci_queue_create::zeroed() };
    let query = drm_vinci_dev_query { topic: DRM_VINCI_QUERY_DEVICE, ..drm_vinci_dev_query::zeroed() };
    let inject = drm_vinci_inject::zeroed();
    let user = drm_vinci_bo_userptr { addr: 4096, size: 4096, flags: 0, handle: 0 };
    let mut refused = |cmd, a: &[u8]| {
        let mut payload = a.to_vec();
        assert_eq!(d.ioctl(f, cmd, &mut payload, Nowhere), Err(Errno::Inval), "request {cmd:#x}: {a:?}");
    };
    refused(VINCI_IOCTL_VM_CREATE, drm_vinci_vm_create { flags: 1, vm_id: 0 }.bytes());
    refused(VINCI_IOCTL_VM_DESTROY, drm_vinci_vm_destroy { vm_id: vm, pad: 1 }.bytes());
    let good = map(vm, handle, VA_BASE, MIB);
    refused(VINCI_IOCTL_VM_MAP, drm_vinci_vm_map { pad: 1, ..good }.bytes());
    refused(VINCI_IOCTL_VM_MAP, drm_vinci_vm_map { flags: 4 | RW, ..good }.bytes());
    refused(VINCI_IOCTL_VM_MAP, drm_vinci_vm_map { flags: 0, ..good }.bytes());
    refused(VINCI_IOCTL_VM_MAP, drm_vinci_vm_map { size: 0, ..good }.bytes());
    refused(VINCI_IOCTL_VM_MAP, drm_vinci_vm_map { offset: 4096, ..good }.bytes());
    refused(VINCI_IOCTL_VM_MAP, drm_vinci_vm_map { offset: u64::MAX - 4095, ..good }.bytes());
    refused(VINCI_IOCTL_VM_MAP, drm_vinci_vm_map { va: VA_BASE - 4096, ..good }.bytes());
    refused(VINCI_IOCTL_VM_MAP, drm_vinci_vm_map { va: VA_BASE + VA_SIZE - 4096, ..good }.bytes());
    refused(VINCI_IOCTL_VM_MAP, drm_vinci_vm_map { va: u64::MAX - 4095, ..good }.bytes());
    refused(VINCI_IOCTL_VM_MAP, drm_vinci_vm_map { va: VA_BASE + 8, ..good }.bytes());
    refused(VINCI_IOCTL_VM_UNMAP, drm_vinci_vm_unmap { vm_id: vm, pad: 1, va: VA_BASE, size: MIB }.bytes());
    refused(VINCI_IOCTL_VM_UNMAP, drm_vinci_vm_unmap { vm_id: vm, pad: 0, va: VA_BASE, size: 0 }.bytes());
    let peer = drm_vinci_vm_peer { vm_id: vm, from_die: 0, to_die: 1, enable: 2 };
    refused(VINCI_IOCTL_VM_PEER, peer.bytes());
    refused(VINCI_IOCTL_VM_PEER, drm_vinci_vm_peer { to_die: 0, enable: 1, ..peer }.bytes());
    refused(VINCI_IOCTL_VM_PEER, drm_vinci_vm_peer { to_die: DIES, enable: 1, ..peer }.bytes());
    refused(VINCI_IOCTL_BO_CREATE, drm_vinci_bo_create { flags: 1, ..bo }.bytes());
    refused(VINCI_IOCTL_BO_CREATE, drm_vinci_bo_create { size: 0, ..bo }.bytes());
    refused(VINCI_IOCTL_BO_CREATE, drm_vinci_bo_create { size: u64::MAX, ..bo }.bytes());
    refused(VINCI_IOCTL_BO_CREATE, drm_vinci_bo_create { die: DIES, ..bo }.bytes());
    refused(VINCI_IOCTL_BO_CREATE, drm_vinci_bo_create { placement: 2, ..bo }.bytes());
    refused(
        VINCI_IOCTL_BO_CREATE,
        drm_vinci_bo_create { placement: DRM_VINCI_PLACE_HOST, die: 1, ..bo }.bytes(),
    );
    refused(VINCI_IOCTL_BO_USERPTR, drm_vinci_bo_userptr { flags: 2, ..user }.bytes());
    refused(VINCI_IOCTL_BO_USERPTR, drm_vinci_bo_userptr { addr: 4097, ..user }.bytes());
    refused(VINCI_IOCTL_BO_USERPTR, drm_vinci_bo_userptr { size: 0, ..user }.bytes());
    refused(
        VINCI_IOCTL_BO_USERPTR,
        drm_vinci_bo_userptr { addr: u64::MAX - 4095, size: 8192, ..user }.bytes(),
    );
    refused(VINCI_IOCTL_BO_INFO, drm_vinci_bo_info { pad: 1, ..info }.bytes());
    refused(IOCTL_GEM_CLOSE, drm_gem_close { handle, pad: 1 }.bytes());
    refused(VINCI_IOCTL_QUEUE_CREATE, drm_vinci_queue_create { flags: 1, ..queue }.bytes());
    refused(VINCI_IOCTL_QUEUE_CREATE, drm_vinci_queue_create { priority: 8, ..queue }.bytes());
    refused(VINCI_IOCTL_QUEUE_CREATE, drm_vinci_queue_create { die: DIES, ..queue }.bytes());
    for entries in [0, 1, 32, 65, 131_072, u32::MAX] {
        refused(VINCI_IOCTL_QUEUE_CREATE, drm_vinci_queue_create { entries, ..queue }.bytes());
    }
    for cmd in [VINCI_IOCTL_QUEUE_DESTROY, VINCI_IOCTL_QUEUE_KICK] {
        refused(cmd, drm_vinci_queue_id { queue_id, pad: 1 }.bytes());
    }
    refused(VINCI_IOCTL_QUEUE_RESET, drm_vinci_queue_reset { queue_id, flags: 1, dropped: 0 }.bytes());
    refused(VINCI_IOCTL_QUEUE_RESUME, drm_vinci_queue_resume { queue_id, pad: 1, entry: 1 }.bytes());
    refused(VINCI_IOCTL_DEV_QUERY, drm_vinci_dev_query { pad: 1, ..query }.bytes());
    refused(VINCI_IOCTL_DEV_QUERY, drm_vinci_dev_query { index: 1, ..query }.bytes());
    refused(VINCI_IOCTL_DEV_QUERY, drm_vinci_dev_query { topic: 99, ..query }.bytes());
    refused(VINCI_IOCTL_RESET, drm_vinci_reset { scope: 2, die: 0 }.bytes());
    refused(VINCI_IOCTL_RESET, drm_vinci_reset { scope: DRM_VINCI_RESET_FUNCTION, die: 1 }.bytes());
    refused(VINCI_IOCTL_RESET, drm_vinci_reset { scope: DRM_VINCI_RESET_DIE, die: DIES }.bytes());
    refused(VINCI_IOCTL_INJECT, drm_vinci_inject { pad: 1, ..inject }.bytes());
    refused(VINCI_IOCTL_INJECT, drm_vinci_inject { die: DIES, ..inject }.bytes());
    refused(VINCI_IOCTL_INJECT, drm_vinci_inject { kind: 1 << 16, ..inject }.bytes());
    let wait = drm_vinci_wait { queue_id, flags: 1, value: 0, timeout_ns: 0 };
    assert_eq!(d.wait_step(f, &wait), Err(Errno::Inval));
}

#[test]
fn a_queue_at_work_is_destroyed_by_and_by() {
    let rig = Rig::new();
    let mut d = rig.driver().unwrap();
    let (f, other) = (d.open(1, b"test").unwrap(), d.open(2, b"other").unwrap());
    let vm = vm_create(&mut d, f).unwrap();
    let q = queue_create(&mut d, f, vm, 0).unwrap();
    let a = drm_vinci_queue_id { queue_id: q, pad: 0 };
    rig.state().busy = 2;
    assert_eq!(d.queue_destroy_step(f, &a), Ok(Step::Sleep));
    vm_create(&mut d, other).unwrap();
    assert_eq!(queue_destroy(&mut d, f, q), Err(Errno::Busy));
    assert_eq!(d.queue_destroy_step(f, &a), Ok(Step::Ready(())));
    assert_eq!(d.queue_destroy_step(f, &a), Err(Errno::NoEnt));

    // A file that is closed meanwhile leaves what is in use, and no more, until it is looked after.
    let queues = [queue_create(&mut d, f, vm, 0).unwrap(), queue_create(&mut d, f, vm, 1).unwrap()];
    assert_eq!(rig.state().queues.len(), 2);
    rig.state().busy = 1;
    d.close(f);
    assert_eq!(rig.state().queues.keys().copied().collect::<Vec<_>>(), queues[..1]);
    assert_eq!(d.open_files().collect::<Vec<_>>(), [other]);
    rig.state().busy = 1;
    d.tidy();
    assert_eq!(rig.state().queues.len(), 1);
    d.tidy();
    assert!(rig.state().queues.is_empty());
    d.close(other);
    rig.assert_clean();
}

#[test]
fn pieces_are_mapped_a_few_at_a_time() {
    let rig = Rig::new();
    let mut d = rig.driver().unwrap();
    let f = d.open(1, b"test").unwrap();
    let vm = vm_create(&mut d, f).unwrap();
    // The rig pins two pages to a piece: 100 pieces.
    let mut a = drm_vinci_bo_userptr { addr: MIB, size: 200 * PAGE_SIZE, flags: 0, handle: 0 };
    a = ask(&mut d, f, VINCI_IOCTL_BO_USERPTR, a).unwrap();
    let counts = || {
        let s = rig.state();
        (s.rings, s.commands)
    };
    let before = counts();
    vm_map(&mut d, f, map(vm, a.handle, VA_BASE, a.size)).unwrap();
    let after = counts();
    assert_eq!((after.0 - before.0, after.1 - before.1), (4, 100));
    assert_eq!(rig.state().vms.values().next().unwrap().len(), 100);
    vm_unmap(&mut d, f, vm, VA_BASE, a.size).unwrap();
    // One that fails in the middle leaves nothing.
    rig.state().fail_command.0 = 40;
    assert_eq!(vm_map(&mut d, f, map(vm, a.handle, VA_BASE, a.size)), Err(Errno::NoSpc));
    assert!(rig.state().vms.values().next().unwrap().is_empty());
    vm_map(&mut d, f, map(vm, a.handle, VA_BASE, a.size)).unwrap();
    d.close(f);
    rig.assert_clean();
}
