//! Channels between threads.

use std::thread;
use std::time::Duration;

use crate::channel::*;
use crate::dataset::*;

#[unsafe(no_mangle)]
extern "C" fn vinci_set_error(_: i32, _: *const u8, _: usize) {}

#[unsafe(no_mangle)]
extern "C" fn aclrtGetDeviceCount(count: *mut u32) -> i32 {
    // SAFETY: the caller's variable.
    unsafe { count.write(2) };
    0
}

/// C's arguments.
fn c<A, B>(value: A) -> B {
    assert_eq!(size_of::<A>(), size_of::<B>());
    // SAFETY: transparent wrappers of the pointers that C passes.
    unsafe { std::mem::transmute_copy(&value) }
}

fn set(values: &[u32]) -> (usize, usize) {
    let dims = [values.len() as i64];
    let data = values.as_ptr() as usize;
    let item = acltdtCreateDataItem(kind::TENSOR, c(dims.as_ptr()), 1, 3, data, size_of_val(values));
    let dataset = acltdtCreateDataset();
    assert!(item != 0 && dataset != 0 && acltdtAddDataItem(dataset, item) == 0);
    (dataset, item)
}

fn first(dataset: usize) -> u32 {
    let at = acltdtGetDataAddrFromItem(acltdtGetDataItem(dataset, 0)) as *const u32;
    // SAFETY: a received item of at least one number.
    unsafe { at.read() }
}

#[test]
fn every_dataset_of_every_sender_arrives_once_and_in_its_senders_order() {
    let channel = acltdtCreateChannelWithCapacity(0, c(c"order".as_ptr()), 3);
    const EACH: u32 = 500;
    let mut seen = thread::scope(|scope| {
        for sender in 0..3 {
            scope.spawn(move || {
                for i in 0..EACH {
                    let values = [sender << 16 | i];
                    let (dataset, item) = set(&values);
                    assert_eq!(acltdtSendTensor(channel, dataset, -1), 0);
                    assert_eq!(acltdtDestroyDataItem(item) + acltdtDestroyDataset(dataset), 0);
                }
            });
        }
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(move || {
                    let mut seen = Vec::new();
                    loop {
                        let dataset = acltdtCreateDataset();
                        let code = acltdtReceiveTensor(channel, dataset, 300);
                        if code != 0 {
                            assert_eq!((code, acltdtDestroyDataset(dataset)), (207_013, 0));
                            return seen;
                        }
                        seen.push(first(dataset));
                        assert_eq!(acltdtDestroyDataset(dataset), 0);
                    }
                })
            })
            .collect();
        let seen: Vec<_> = receivers.into_iter().map(|r| r.join().unwrap()).collect();
        for one in &seen {
            for sender in 0..3 {
                assert!(one.iter().filter(|v| **v >> 16 == sender).is_sorted());
            }
        }
        seen.concat()
    });
    seen.sort_unstable();
    let all = (0..3).flat_map(|sender| (0..EACH).map(move |i| sender << 16 | i));
    assert!(seen.iter().copied().eq(all), "{} came", seen.len());
    assert_eq!(acltdtDestroyChannel(channel), 0);
}

#[test]
fn what_is_sent_is_a_copy() {
    let channel = acltdtCreateChannel(1, c(c"copy".as_ptr()));
    let mut values = [7, 8];
    let (dataset, item) = set(&values);
    assert_eq!(acltdtSendTensor(channel, dataset, 0), 0);
    values[0] = 9;
    assert_eq!(acltdtDestroyDataItem(item), 0);
    let got = acltdtCreateDataset();
    assert_eq!(acltdtReceiveTensor(channel, got, 0), 0);
    assert_eq!((first(got), values[0]), (7, 9));
    assert_ne!(acltdtDestroyDataItem(acltdtGetDataItem(got, 0)), 0, "it belongs to its dataset");
    // An item that is gone cannot be sent.
    assert_ne!(acltdtSendTensor(channel, dataset, 0), 0);
    assert_eq!(acltdtDestroyDataset(got) + acltdtDestroyDataset(dataset) + acltdtDestroyChannel(channel), 0);
}

#[test]
fn stopping_ends_waits_on_both_sides() {
    for full in [false, true] {
        let channel = acltdtCreateChannelWithCapacity(0, c(c"stop".as_ptr()), 2);
        let values = [1];
        let (dataset, item) = set(&values);
        thread::scope(|scope| {
            if full {
                assert_eq!(acltdtSendTensor(channel, dataset, 0) + acltdtSendTensor(channel, dataset, 0), 0);
                assert_eq!(acltdtSendTensor(channel, dataset, 0), 207_014);
            }
            let waiting = scope.spawn(move || {
                if full {
                    acltdtSendTensor(channel, dataset, -1)
                } else {
                    let empty = acltdtCreateDataset();
                    acltdtReceiveTensor(channel, empty, -1) + acltdtDestroyDataset(empty)
                }
            });
            thread::sleep(Duration::from_millis(30));
            assert!(!waiting.is_finished());
            assert_eq!(acltdtStopChannel(channel), 0);
            assert_eq!(waiting.join().unwrap(), 500_001);
        });
        assert_eq!(acltdtDestroyChannel(channel) + acltdtDestroyDataItem(item), 0);
        assert_ne!(acltdtDestroyChannel(channel), 0);
        assert_eq!(acltdtDestroyDataset(dataset), 0);
    }
}
