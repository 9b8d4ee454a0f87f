//! The submission protocol under loom: no entry is seen before it is written, no wake-up is lost.
//! `RUSTFLAGS="--cfg loom" cargo test -p vinci --test loom_ring --release`
#![cfg(loom)]
#![allow(dead_code)]

#[path = "../src/stream/ring.rs"]
mod ring;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use ring::{Doorbell, Fence, Producer};

struct Queue {
    doorbell: Doorbell,
    fence: Fence,
    slots: [UnsafeCell<u64>; 2],
    kicked: Mutex<bool>,
    kick: Condvar,
    slept: AtomicBool,
}

// SAFETY: the slots are guarded by tail and completed, which is what the tests show.
unsafe impl Sync for Queue {}
// SAFETY: as above.
unsafe impl Send for Queue {}

impl Queue {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            doorbell: Doorbell::new(),
            fence: Fence::new(),
            slots: [UnsafeCell::new(0), UnsafeCell::new(0)],
            kicked: Mutex::new(false),
            kick: Condvar::new(),
            slept: AtomicBool::new(false),
        })
    }

    /// The device's half of the protocol, as the header tells it: consumes `total` entries.
    fn device(&self, total: u64) {
        let mut head = 0;
        while head < total {
            let mut tail = self.doorbell.tail.load(Ordering::Acquire);
            if tail == head {
                self.doorbell.need_kick.store(1, Ordering::Relaxed);
                fence(Ordering::SeqCst);
                tail = self.doorbell.tail.load(Ordering::Acquire);
                if tail == head {
                    self.slept.store(true, Ordering::Relaxed);
                    let mut kicked = self.kicked.lock().unwrap();
                    while !*kicked {
                        kicked = self.kick.wait(kicked).unwrap();
                    }
                    *kicked = false;
                }
                self.doorbell.need_kick.store(0, Ordering::Relaxed);
                continue;
            }
            while head < tail {
                // SAFETY: the entry is below tail and not completed, so the producer leaves it alone.
                let value = self.slots[(head & 1) as usize].with(|slot| unsafe { *slot });
                assert_eq!(value, head + 1);
                head += 1;
                self.fence.completed.store(head, Ordering::Release);
            }
        }
    }

    fn submit(&self, producer: &mut Producer) {
        while !producer.has_room() {
            producer.refresh(&self.fence);
            thread::yield_now();
        }
        let value = producer.tail() + 1;
        // SAFETY: the slot's last entry is completed and the new one is not published.
        self.slots[producer.slot()].with_mut(|slot| unsafe { *slot = value });
        if producer.publish(&self.doorbell) {
            *self.kicked.lock().unwrap() = true;
            self.kick.notify_one();
        }
    }
}

#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let queue = Queue::new();
        let device = thread::spawn({
            let queue = queue.clone();
            move || queue.device(2)
        });
        let mut producer = Producer::new(2);
        queue.submit(&mut producer);
        queue.submit(&mut producer);
        device.join().unwrap();
        assert_eq!(queue.fence.completed.load(Ordering::Acquire), 2);
    });
}

#[test]
fn a_batch_is_seen_as_a_whole() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let queue = Queue::new();
        let device = thread::spawn({
            let queue = queue.clone();
            move || queue.device(4)
        });
        let mut producer = Producer::new(2);
        for batch in 0..2 {
            while !producer.has_room_for(2) {
                producer.refresh(&queue.fence);
                thread::yield_now();
            }
            for n in 0..2 {
                // SAFETY: the last entries of both slots are completed and the new ones are not published.
                queue.slots[n].with_mut(|slot| unsafe { *slot = batch * 2 + n as u64 + 1 });
            }
            if producer.publish_many(&queue.doorbell, 2) {
                *queue.kicked.lock().unwrap() = true;
                queue.kick.notify_one();
            }
        }
        device.join().unwrap();
        assert_eq!(queue.fence.completed.load(Ordering::Acquire), 4);
    });
}

#[test]
fn a_slot_is_reused_only_when_it_is_complete() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let queue = Queue::new();
        let device = thread::spawn({
            let queue = queue.clone();
            move || queue.device(3)
        });
        let mut producer = Producer::new(2);
        for _ in 0..3 {
            queue.submit(&mut producer);
        }
        device.join().unwrap();
    });
}
