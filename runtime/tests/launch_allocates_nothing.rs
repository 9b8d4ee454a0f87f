//! Launches allocate nothing, on the launching thread or in the driver and the device below it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use vinci::{Device, Kernel, Result, Stream, StreamOptions};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: hands everything to the system's allocator and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller vouches.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        // SAFETY: as the caller vouches.
        unsafe { System.dealloc(p, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn empty_kernels() -> Result<()> {
    let stream = Stream::new(&Device::get(0)?, StreamOptions::default())?;
    let nop = Kernel::resident("nop")?;
    let burst =
        |n| (0..n).try_for_each(|_| stream.launch(&nop, 1, &[])).and_then(|()| stream.synchronize(None));
    burst(10_000)?; // threads and rings come into being
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > 0, "the count works");
    // A thread that has to wait for a lock for the first time in its life makes room for that, once.
    let mut fewest = u64::MAX;
    for _ in 0..5 {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for _ in 0..20 {
            burst(10_000)?;
        }
        fewest = fewest.min(ALLOCATIONS.load(Ordering::Relaxed) - before);
    }
    assert_eq!(fewest, 0, "allocations in 200,000 launches");
    Ok(())
}
