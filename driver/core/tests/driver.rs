//! The driver's rules one by one: what a device that misbehaves, a file that goes and a reset may not do.

mod common;

use common::*;
use vinci_core::{Errno, Step, VA_BASE};
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
