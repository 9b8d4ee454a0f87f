//! What kernels took in model time: blocks add up on their cores, and the kernel's end says how much of its memory
//! traffic the caches took.

use core::cell::UnsafeCell;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use crate::control;
use crate::layout::*;
use crate::sched::Kernel;

/// Index of the bytes of HBM per cycle: see `ascendc/impl/core.h`.
const ALL_HBM: usize = 18;
/// Index of what a byte costs that is written back.
const WRITE_BACK: usize = 24;
/// Bytes of a granule of the table of L2, and granules of a set: see `ascendc/impl/cache.h`.
const GRANULE: u64 = 4096;
const WAYS: u64 = 8;
/// Largest table: of 256 MiB.
const GRANULES: usize = 1 << 16;

#[repr(C, align(64))]
struct Table {
    sets: u32,
    clock: u32,
    unused: [u64; 7],
    lines: [[u32; 6]; GRANULES],
}

struct Shared(UnsafeCell<Table>);
// SAFETY: only kernels use it, for numbers that nobody trusts; here only its address and the first word matter.
unsafe impl Sync for Shared {}
static CACHE: Shared =
    Shared(UnsafeCell::new(Table { sets: 0, clock: 0, unused: [0; 7], lines: [[0; 6]; GRANULES] }));

/// The table of L2, as kernels find it: the lines follow 16 bytes behind the address.
pub fn cache(config: &Config) -> u64 {
    let sets = (config.cache / GRANULE).min(GRANULES as u64) / WAYS;
    let table = CACHE.0.get() as u64 + 48;
    // SAFETY: inside the table's head; kernels only read it, and it is always the same number.
    unsafe { (table as *mut u32).write_volatile(sets as u32) };
    table
}

fn three(lanes: &Lanes) -> [f64; 3] {
    [lanes.0[0], lanes.0[1], lanes.0[2]]
}

/// Adds a block that has left its core.
pub fn block(kernel: &mut Kernel, c: &Core) {
    let vector = usize::from(c.role != 1);
    let load = &mut kernel.load[(c.core as usize + if vector == 0 { 0 } else { c.aic as usize }) % CORES];
    for lane in 0..3 {
        let last = |most: f64, t: &Lanes| if t.0[lane] > most { t.0[lane] } else { most };
        load[lane] += c.tail.iter().fold(c.time.iter().fold(0.0, last), last) as f32;
    }
    for (sum, busy) in kernel.busy[vector].iter_mut().zip(&c.busy) {
        sum.iter_mut().zip(three(busy)).for_each(|(sum, busy)| *sum += busy);
    }
    kernel.blocks[vector] += 1;
    kernel.bytes.iter_mut().zip(c.bytes).for_each(|(sum, bytes)| *sum += bytes);
    kernel.shared |= c.reserved != 0;
    if c.races != 0 {
        races(kernel, c);
    }
    if c.slices != 0 && c.mode & MODE_RECORD != 0 {
        keep(kernel, c);
    }
}

fn job(kernel: &Kernel) -> *mut Job {
    (&raw const control().jobs[kernel.job as usize % JOBS]).cast_mut()
}

/// Takes over races whose places are not known yet.
fn races(kernel: &Kernel, c: &Core) {
    let j = job(kernel);
    for race in &c.race[..(c.races as usize).min(RACES)] {
        // SAFETY: the device looks at it only when the job is done; the caller holds the lock.
        unsafe {
            let count = &(*j).races;
            let n = count.load(Acquire) as usize;
            let known = (0..n.min(RACES)).any(|i| (*j).race[i].places.iter().flatten().eq(race.places.iter().flatten()));
            if !known && n < RACES {
                (&raw mut (*j).race[n]).write(Race { block: c.block, ..*race });
                count.store(n as u32 + 1, Release);
            }
        }
    }
}

/// Hands a block's slices to the device.
fn keep(kernel: &Kernel, c: &Core) {
    let n = (c.slices as usize).min(SLICES);
    let control = control();
    let at = control.slices.fetch_add(n as u64, AcqRel);
    let ring = (CONTROL_BASE + SLICES_AT as u64) as *mut Slice;
    // SAFETY: as in `races`.
    let serial = unsafe { (*job(kernel)).serial };
    let place = (c.core & 0xff) << 8 | u32::from(c.role == 1) << 16 | (c.block & 0x7fff) << 17;
    for (i, slice) in c.slice[..n].iter().enumerate() {
        let kept = Slice { what: slice.what & 0xff | place, serial, ..*slice };
        // SAFETY: inside the shared memory, which the device reads as plain numbers.
        unsafe { ring.add((at as usize).wrapping_add(i) % KEPT).write_volatile(kept) };
    }
}

/// Writes what the kernel took to its job.
pub fn result(kernel: &Kernel, j: &Job) {
    let part = |some: u64, all: u64| if all == 0 { 0.0 } else { (some as f64 / all as f64).min(1.0) };
    let [loaded, missed, stored, back] = kernel.bytes;
    let how = [part(missed, loaded), part(back, stored)];
    // Whatever the cores did meanwhile, so long the memory took.
    let rates = &control().config.rates;
    let traffic = missed as f64 + back as f64 * f64::from(rates[WRITE_BACK]);
    let memory = traffic / f64::from(rates[ALL_HBM].max(1.0));
    let aic = control().config.aic as usize;
    let tally = |vector: usize| {
        let busy = kernel.busy[vector].map(|lanes| mix(lanes, how));
        let mut tally = Tally { blocks: kernel.blocks[vector], busy, ..Tally::ZERO };
        if tally.blocks == 0 {
            return tally;
        }
        let range = if vector == 0 { 0..aic.min(CORES) } else { aic.min(CORES)..CORES };
        for load in &kernel.load[range] {
            if load[0] > 0.0 {
                let took = mix(load.map(f64::from), how);
                tally.cores += 1;
                tally.sum += took;
                tally.most = if took > tally.most { took } else { tally.most };
            }
        }
        if memory > tally.most {
            tally.sum *= memory / tally.most.max(1.0);
            tally.most = memory;
        }
        tally
    };
    let j = (&raw const *j).cast_mut();
    // SAFETY: the device looks at it only when the job is done.
    unsafe {
        (&raw mut (*j).tally).write_volatile([tally(0), tally(1)]);
        (&raw mut (*j).bytes).write_volatile(kernel.bytes);
        (&raw mut (*j).mix).write_volatile(how);
    }
}
