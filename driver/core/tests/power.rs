//! A device that sleeps, is reset by somebody else, or hangs.

mod common;

use common::*;
use vinci_core::{Cure, Driver, Errno, Step, VA_BASE};
use vinci_hw::uapi::*;

const MIB: u64 = 1 << 20;
const SECOND: u64 = 1_000_000_000;

/// A file with an address space, a mapping and two queues.
struct Session {
    rig: Rig,
    d: Driver<Rig>,
    file: u32,
    queues: [u32; 2],
}

impl Session {
    fn new() -> Self {
        let rig = Rig::new();
        rig.state().wall = 5 * SECOND;
        let mut d = rig.driver().unwrap();
        let file = d.open(1, b"test").unwrap();
        let vm_id = vm_create(&mut d, file).unwrap();
        let handle = bo_create(&mut d, file, MIB, DRM_VINCI_PLACE_HBM, 0).unwrap();
        let a = drm_vinci_vm_map { vm_id, handle, flags: RW, pad: 0, offset: 0, va: VA_BASE, size: MIB };
        vm_map(&mut d, file, a).unwrap();
        let queues = [0, 1].map(|die| queue_create(&mut d, file, vm_id, die).unwrap());
        Self { rig, d, file, queues }
    }

    /// Writes what the device would write into a queue's fence page.
    fn set_fence(&self, queue: u32, completed: u64, state: u32) {
        let at = self.rig.state().queues[&queue].fence;
        let page = self.rig.cpu(at).cast::<drm_vinci_queue_fence>();
        // SAFETY: the rig's own page of zeroes, which holds the structure.
        let fence = unsafe { &mut *page.as_ptr() };
        (fence.completed, fence.state) = (completed, state);
    }

    /// Puts an entry into a queue's ring.
    fn put(&self, queue: u32, index: u64, opcode: u32, timeout_ms: u32) {
        let at = self.rig.state().queues[&queue].ring;
        let mut e = drm_vinci_sqe::zeroed();
        e.opcode = opcode as u8;
        e.__bindgen_anon_1.kernel.timeout_ms = timeout_ms;
        // SAFETY: the ring has 64 entries.
        unsafe { self.rig.cpu(at).cast::<drm_vinci_sqe>().add(index as usize % 64).write(e) };
        self.rig.state().tails.insert(queue, index + 1);
    }

    fn events(&mut self) -> Vec<u32> {
        let mut types = Vec::new();
        while let Ok(Step::Ready((event, _))) = self.d.event_step(self.file) {
            types.push(event.type_);
        }
        types
    }

    fn wait(&self, queue: u32, value: u64) -> Result<Step<()>, Errno> {
        self.d.wait_step(self.file, &drm_vinci_wait { queue_id: queue, flags: 0, value, timeout_ns: 0 })
    }
}

#[test]
fn running_queues_go_on_after_a_sleep() {
    let mut s = Session::new();
    s.set_fence(s.queues[0], 7, DRM_VINCI_QUEUE_RUNNING);
    s.set_fence(s.queues[1], 3, DRM_VINCI_QUEUE_FAULTED);
    let vms = s.rig.state().vms.clone();
    let queues = s.rig.state().queues.clone();
    s.d.suspend();
    assert!(s.rig.state().queues.is_empty() && !s.rig.state().enabled);
    assert_eq!(vm_create(&mut s.d, s.file), Err(Errno::Io), "the device sleeps");
    s.rig.state().wall += SECOND;
    s.d.resume().unwrap();
    assert_eq!(s.rig.state().vms, vms);
    let back = s.rig.state().queues.clone();
    assert_eq!(back.keys().collect::<Vec<_>>(), [&s.queues[0]], "the one that ran");
    let q = &back[&s.queues[0]];
    assert_eq!(*q, vinci_hw::admin::QueueSetup { goes_on: Some(7), ..queues[&s.queues[0]] });
    assert_eq!(s.wait(s.queues[0], 8), Ok(Step::Sleep));
    assert_eq!(s.wait(s.queues[1], 8), Err(Errno::NoDev));
    assert_eq!(s.events(), [DRM_VINCI_EVENT_RESET], "a queue was lost");
    s.d.close(s.file);
    s.rig.assert_clean();
}

#[test]
fn a_sleep_that_loses_nothing_is_not_noticed() {
    let mut s = Session::new();
    s.d.suspend();
    s.d.resume().unwrap();
    assert_eq!(s.events(), []);
}

#[test]
fn a_device_that_was_without_power_lost_its_queues() {
    let mut s = Session::new();
    s.d.suspend();
    s.rig.state().wall = SECOND;
    s.d.resume().unwrap();
    assert!(s.rig.state().queues.is_empty() && s.rig.state().vms.len() == 1);
    assert_eq!(s.wait(s.queues[0], 1), Err(Errno::NoDev));
    assert_eq!(s.events(), [DRM_VINCI_EVENT_RESET]);
    s.d.close(s.file);
    s.rig.assert_clean();
}

#[test]
fn files_closed_while_the_device_sleeps_leave_nothing() {
    let mut s = Session::new();
    s.d.suspend();
    s.d.close(s.file);
    s.d.resume().unwrap();
    s.rig.assert_clean();
}

#[test]
fn queues_are_lost_before_somebody_else_resets_the_device() {
    let mut s = Session::new();
    s.d.halt();
    assert_eq!(s.wait(s.queues[0], 1), Err(Errno::NoDev), "whether it comes back or not");
    assert_eq!(s.events(), []);
    assert_eq!(vm_create(&mut s.d, s.file), Err(Errno::Io));
    s.d.reset_function().unwrap();
    assert_eq!(s.events(), [DRM_VINCI_EVENT_RESET]);
    vm_create(&mut s.d, s.file).unwrap();
    s.d.halt();
    s.d.recover().unwrap();
    assert_eq!(s.events(), [DRM_VINCI_EVENT_RESET]);
    s.d.close(s.file);
    s.rig.assert_clean();
}

#[test]
fn a_host_call_made_again_after_a_sleep_is_heard_once() {
    let mut s = Session::new();
    let queue_id = s.queues[0];
    let call = |entry| drm_vinci_event {
        type_: DRM_VINCI_EVENT_HOST_CALL,
        queue_id,
        entry,
        ..drm_vinci_event::zeroed()
    };
    s.rig.post(call(1));
    s.d.suspend();
    s.d.resume().unwrap();
    s.rig.post(call(1));
    s.rig.post(call(2));
    assert_eq!(s.events(), [DRM_VINCI_EVENT_HOST_CALL; 2]);
}

#[test]
fn a_kernel_that_does_not_end_is_a_hang_and_a_wait_is_none() {
    let mut s = Session::new();
    let [a, b] = s.queues;
    s.put(a, 0, DRM_VINCI_OP_EVENT_WAIT, 0);
    s.put(b, 0, DRM_VINCI_OP_KERNEL, 0);
    // The rig's clock goes on by a second with each look.
    let limit = 5 * SECOND;
    let looks = (0..20).take_while(|_| s.d.hung(limit).is_none()).count();
    assert!((5..8).contains(&looks), "{looks}");
    assert_eq!(s.d.hung(limit), Some(b));
    assert_eq!(s.d.end_hang(b), Ok(Cure::Queue));
    assert_eq!(s.wait(b, 1), Err(Errno::NoDev));
    assert_eq!(s.events(), [DRM_VINCI_EVENT_FAULT]);
    assert!((0..20).all(|_| s.d.hung(limit).is_none()));
    queue_destroy(&mut s.d, s.file, b).unwrap();
}

#[test]
fn an_entry_may_ask_for_more_time() {
    let mut s = Session::new();
    s.put(s.queues[0], 0, DRM_VINCI_OP_KERNEL, 30_000);
    assert!((0..25).all(|_| s.d.hung(SECOND).is_none()));
    assert!((0..25).any(|_| s.d.hung(SECOND).is_some()));
}

#[test]
fn a_fence_that_goes_backwards_is_a_hang_at_once() {
    let mut s = Session::new();
    let queue = s.queues[0];
    (0..10).for_each(|n| s.put(queue, n, DRM_VINCI_OP_EVENT_WAIT, 0));
    s.set_fence(queue, 7, DRM_VINCI_QUEUE_RUNNING);
    assert_eq!(s.d.hung(60 * SECOND), None);
    s.set_fence(queue, 6, DRM_VINCI_QUEUE_RUNNING);
    assert_eq!(s.d.hung(60 * SECOND), Some(queue));
    assert_eq!(s.d.end_hang(queue), Ok(Cure::Queue));
    assert_eq!(s.wait(queue, 10), Err(Errno::NoDev));
    let Ok(Step::Ready((event, _))) = s.d.event_step(s.file) else { panic!("the file hears of it") };
    let text: Vec<u8> = event.fault.text.iter().map(|&c| c as u8).collect();
    assert!(text.windows(9).any(|w| w == b"backwards"), "{text:?}");
}

#[test]
fn progress_is_no_hang() {
    let mut s = Session::new();
    for n in 0..20 {
        s.put(s.queues[0], n, DRM_VINCI_OP_COPY, 0);
        s.set_fence(s.queues[0], n, DRM_VINCI_QUEUE_RUNNING);
        assert!((0..3).all(|_| s.d.hung(5 * SECOND).is_none()));
    }
}

#[test]
fn a_device_that_does_not_let_go_of_a_queue_is_reset() {
    let mut s = Session::new();
    s.put(s.queues[0], 0, DRM_VINCI_OP_FILL, 0);
    assert!((0..20).any(|_| s.d.hung(5 * SECOND).is_some()));
    s.rig.state().silent = true;
    assert_eq!(s.d.end_hang(s.queues[0]), Ok(Cure::Function));
    assert_eq!(s.wait(s.queues[1], 1), Err(Errno::NoDev));
    assert_eq!(s.events(), [DRM_VINCI_EVENT_FAULT, DRM_VINCI_EVENT_RESET]);
}
