//! Every live allocation, ordered by address: by device address, and host memory by host address too.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::alloc::Backing;
use super::lookup::{Allocation, AllocationKind};
use crate::device::Device;
use crate::driver::Driver;
use crate::{DevicePtr, Error, Result};

/// What the registry knows of an allocation.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) size: u64,
    pub(crate) kind: AllocationKind,
    /// The die, unless it is host memory.
    pub(crate) die: Option<u32>,
    /// Host address, for host memory.
    pub(crate) host: Option<usize>,
    pub(crate) backing: Backing,
}

/// The registry of one process.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    by_va: RwLock<BTreeMap<u64, Record>>,
    /// Host address to size and device address.
    by_host: RwLock<BTreeMap<usize, (u64, u64)>>,
    /// Dies whose memory was ever in here, a bit each.
    dies: AtomicU64,
}

impl Record {
    fn describe(&self, driver: &'static Driver, base: u64) -> Allocation {
        Allocation {
            base: DevicePtr(base),
            size: self.size,
            kind: self.kind,
            device: self.die.map(|die| Device::of(&driver.dies[die as usize])),
            host: self.host,
        }
    }
}

impl Registry {
    /// Enters an allocation. Its addresses must be new.
    pub(crate) fn insert(&self, base: u64, record: Record) {
        if let Some(host) = record.host {
            self.by_host.write().insert(host, (record.size, base));
        }
        if let Some(die) = record.die {
            self.dies.fetch_or(1 << (die & 63), Ordering::Relaxed);
        }
        let old = self.by_va.write().insert(base, record);
        debug_assert!(old.is_none(), "address {base:#x} was given out twice");
    }

    /// Dies whose memory was ever entered, a bit each.
    #[inline]
    pub(crate) fn dies(&self) -> u64 {
        self.dies.load(Ordering::Relaxed)
    }

    /// Enters host memory, unless a part of it is there already.
    pub(crate) fn claim_host(&self, host: usize, size: u64, base: u64) -> bool {
        let mut map = self.by_host.write();
        let overlaps = map
            .range(..host + size as usize)
            .next_back()
            .is_some_and(|(&start, &(len, _))| start + len as usize > host);
        if !overlaps {
            map.insert(host, (size, base));
        }
        !overlaps
    }

    /// Removes the allocation that starts at `base`, if `wanted` says so.
    pub(crate) fn remove(&self, base: u64, wanted: impl FnOnce(&Record) -> bool) -> Option<Record> {
        let mut map = self.by_va.write();
        let Entry::Occupied(entry) = map.entry(base) else { return None };
        if !wanted(entry.get()) {
            return None;
        }
        let record = entry.remove();
        drop(map);
        if let Some(host) = record.host {
            self.by_host.write().remove(&host);
        }
        Some(record)
    }

    /// Removes all allocations of a kind on a die.
    pub(crate) fn remove_all(&self, kind: AllocationKind, die: u32) -> Vec<(u64, Record)> {
        let mut map = self.by_va.write();
        let wanted = |r: &Record| r.kind == kind && r.die == Some(die);
        let bases: Vec<u64> = map.iter().filter(|(_, r)| wanted(r)).map(|(&base, _)| base).collect();
        bases.into_iter().filter_map(|base| map.remove_entry(&base)).collect()
    }

    /// What `look` finds at the allocation that starts at `base`.
    pub(crate) fn with<T>(&self, base: u64, look: impl FnOnce(&Record) -> T) -> Option<T> {
        self.by_va.read().get(&base).map(look)
    }

    /// The allocation `va` lies in.
    pub(crate) fn find(&self, driver: &'static Driver, va: u64) -> Option<Allocation> {
        let map = self.by_va.read();
        let (&base, record) = map.range(..=va).next_back()?;
        (va - base < record.size.max(1)).then(|| record.describe(driver, base))
    }

    /// The device address that starts the host memory `host` lies in.
    pub(crate) fn find_host(&self, host: usize) -> Option<(usize, u64, u64)> {
        let map = self.by_host.read();
        let (&start, &(size, base)) = map.range(..=host).next_back()?;
        (((host - start) as u64) < size).then_some((start, size, base))
    }

    /// Checks that `[va, va + bytes)` is allocated. Mappings of virtual ranges may adjoin; nothing else may.
    pub(crate) fn check(
        &self,
        driver: &'static Driver,
        op: &'static str,
        va: u64,
        bytes: u64,
    ) -> Result<Allocation> {
        let map = self.by_va.read();
        let found = map.range(..=va).next_back().filter(|(base, r)| va - **base < r.size.max(1));
        let Some((&base, record)) = found else {
            return Err(Error::InvalidHandle { op, what: "device allocation", handle: va });
        };
        let mut end = base + record.size;
        if bytes > end - va && record.kind == AllocationKind::Mapped {
            for (&next, r) in map.range((Bound::Excluded(base), Bound::Unbounded)) {
                if next != end || r.kind != AllocationKind::Mapped || r.die != record.die {
                    break;
                }
                end += r.size;
                if end - va >= bytes {
                    break;
                }
            }
        }
        // Of plain memory a card gives whole grains, and nothing ends a copy within one.
        let grains = record.backing.block().filter(|_| record.kind == AllocationKind::Device);
        let room = grains.map_or(end, |size| base + size);
        if bytes > end - va && bytes <= room - va {
            log::warn!("{op}: {bytes} bytes from {va:#x} on leave the allocation {base:#x}..{end:#x}");
        } else if bytes > end - va {
            return Err(Error::value(
                op,
                format!(
                    "{bytes} bytes from {va:#x} on leave the allocation {base:#x}..{end:#x} ({} bytes left)",
                    end - va
                ),
            ));
        }
        Ok(record.describe(driver, base))
    }
}
