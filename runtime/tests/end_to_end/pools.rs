use std::time::Duration;

use vinci::{Buffer, Compare, DevicePtr, Error, Pool};

use crate::{device, stream};

#[test]
fn another_stream_gets_memory_only_after_the_work() {
    let (pool, a, b) = (Pool::new(&device()).unwrap(), stream(), stream());
    let gate = Buffer::from_slice(&device(), &[0u64]).unwrap();
    a.wait_value(gate.ptr(), 1, Compare::Eq).unwrap();
    let ptr = pool.alloc_async(1 << 20, &a).unwrap();
    a.memset_async(ptr.into(), 1, 1 << 20).unwrap();
    pool.free_async(ptr, &a).unwrap();
    let other = pool.alloc_async(1 << 20, &b).unwrap();
    assert_ne!(other, ptr, "stream a still uses it");
    pool.free_async(other, &b).unwrap();
    assert_eq!(pool.alloc_async(1 << 20, &a).unwrap(), ptr, "the same stream may have it");
    pool.free_async(ptr, &a).unwrap();
    b.write_value(gate.ptr(), 1).unwrap();
    a.synchronize(Some(Duration::from_secs(10))).unwrap();
    let reused = [pool.alloc_async(1 << 20, &b).unwrap(), pool.alloc_async(1 << 20, &b).unwrap()];
    assert!(reused.contains(&ptr) && reused.contains(&other));
}

#[test]
fn usage_threshold_and_trim() {
    let (pool, stream) = (Pool::new(&device()).unwrap(), stream());
    let ptrs: Vec<DevicePtr> = (0..8).map(|_| pool.alloc_async(1 << 20, &stream).unwrap()).collect();
    let usage = pool.usage();
    assert_eq!((usage.reserved, usage.used), (8 << 20, 8 << 20));
    ptrs.iter().for_each(|&ptr| pool.free_async(ptr, &stream).unwrap());
    assert_eq!((pool.usage().reserved, pool.usage().used), (8 << 20, 0));
    pool.trim(3 << 20).unwrap();
    assert_eq!(pool.usage().reserved, 3 << 20);
    pool.set_threshold(0);
    let ptr = pool.alloc_async(1 << 20, &stream).unwrap();
    pool.free_async(ptr, &stream).unwrap();
    let usage = pool.usage();
    assert_eq!((usage.reserved, usage.reserved_high, usage.used_high), (0, 8 << 20, 8 << 20));
    assert!(matches!(pool.free_async(ptr, &stream), Err(Error::InvalidHandle { .. })), "double free");
    assert!(matches!(pool.alloc_async(0, &stream), Err(Error::InvalidValue { .. })));
}

#[test]
fn a_dropped_pool_gives_all_back() {
    let ptr = {
        let (pool, stream) = (Pool::new(&device()).unwrap(), stream());
        pool.alloc_async(100, &stream).unwrap()
    };
    assert!(vinci::memory::lookup(ptr).is_none());
}
