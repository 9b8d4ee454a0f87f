//! Every allocation and every command that can fail does, one after the other: the request answers an error,
//! panics never, and leaves nothing behind.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::*;
use vinci_core::{Driver, Errno, VA_BASE};
use vinci_hw::regs::PAGE_SIZE;
use vinci_hw::uapi::*;

thread_local! {
    /// Allocations of this thread until one fails; negative: none does.
    static LEFT: Cell<i64> = const { Cell::new(-1) };
}

/// The heap, which refuses one allocation when told to. An allocation that cannot fail would abort the test.
struct Heap;

impl Heap {
    fn refuses() -> bool {
        if IN_RIG.with(Cell::get) != 0 {
            return false;
        }
        LEFT.with(|l| {
            let left = l.get();
            if left >= 0 {
                l.set(left - 1);
            }
            left == 0
        })
    }
}

// SAFETY: passes on to the system's allocator, or fails.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if Self::refuses() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if Self::refuses() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static HEAP: Heap = Heap;

/// A session that touches everything which allocates.
fn session(d: &mut Driver<Rig>, file: u32) -> Result<(), Errno> {
    let vm = vm_create(d, file)?;
    let map = |handle, page: u64, size| drm_vinci_vm_map {
        vm_id: vm,
        handle,
        flags: RW,
        pad: 0,
        offset: 0,
        va: VA_BASE + page * PAGE_SIZE,
        size,
    };
    // First, so that it is HBM for which the first handle's slot cannot be made.
    let hbm = bo_create(d, file, PAGE_SIZE, DRM_VINCI_PLACE_HBM, 0)?;
    let a = drm_vinci_bo_userptr { addr: 0x10_0000, size: 6 * PAGE_SIZE, flags: 0, handle: 0 };
    let user = ask(d, file, VINCI_IOCTL_BO_USERPTR, a)?.handle;
    let large = bo_create(d, file, 5 << 20, DRM_VINCI_PLACE_HBM, 1)?;
    let host = bo_create(d, file, 8192, DRM_VINCI_PLACE_HOST, 0)?;
    for (i, (handle, size)) in
        [(user, 6 * PAGE_SIZE), (hbm, PAGE_SIZE), (large, 5 << 20), (host, 8192)].into_iter().enumerate()
    {
        if let Err(e) = vm_map(d, file, map(handle, 2048 * i as u64, size)) {
            // No piece of it may still be mapped: the rig panics when mapped pages are freed.
            bo_close(d, file, handle)?;
            return Err(e);
        }
    }
    ask(d, file, VINCI_IOCTL_VM_PEER, drm_vinci_vm_peer { vm_id: vm, from_die: 0, to_die: 1, enable: 1 })?;
    queue_create(d, file, vm, 0)?;
    let id = d.export(file, large)?;
    let again = d.import(file, id);
    d.unexport(id);
    bo_close(d, file, again?)
}

/// Runs the session with the `nth` of something failing until it succeeds; how often it failed.
fn fail_each(set: impl Fn(&Rig, Option<u32>)) -> u32 {
    for nth in 0..10_000 {
        let rig = Rig::new();
        let mut d = rig.driver().unwrap();
        // Another file's data everywhere, so that blocks must be scrubbed, which can fail too.
        let other = d.open(9, b"other").unwrap();
        for die in 0..DIES {
            let all = bo_create(&mut d, other, HBM, DRM_VINCI_PLACE_HBM, die).unwrap();
            bo_close(&mut d, other, all).unwrap();
        }
        let file = d.open(1, b"session").unwrap();
        set(&rig, Some(nth));
        let result = session(&mut d, file);
        set(&rig, None);
        d.close(file);
        rig.assert_clean();
        assert_eq!((hbm_used(&mut d, other, 0), hbm_used(&mut d, other, 1)), (0, 0), "failure {nth}");
        let mut a = drm_vinci_telemetry::zeroed();
        a = ask(&mut d, other, VINCI_IOCTL_TELEMETRY, a).unwrap();
        assert_eq!(a.hbm_file, 0);
        if result.is_ok() {
            return nth;
        }
    }
    panic!("the session never succeeds");
}

#[test]
fn device_memory() {
    assert_eq!(fail_each(|rig, nth| rig.state().fail_alloc.0 = nth.unwrap_or(u32::MAX)), 3);
}

#[test]
fn pinned_pages() {
    assert_eq!(fail_each(|rig, nth| rig.state().fail_pin.0 = nth.unwrap_or(u32::MAX)), 1);
}

#[test]
fn commands() {
    // One VM, two scrubs, three pieces of user pages, three other mappings, a peer, a queue.
    assert_eq!(fail_each(|rig, nth| rig.state().fail_command.0 = nth.unwrap_or(u32::MAX)), 11);
}

#[test]
fn heap() {
    let failed = fail_each(|_, nth| LEFT.with(|l| l.set(nth.map_or(-1, i64::from))));
    assert!(failed > 5, "{failed} allocations failed");
}
