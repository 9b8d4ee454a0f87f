//! Pages of this process that requests may name, with pages around them that nothing may touch.

use memmap2::{MmapOptions, MmapRaw};

/// Bytes that requests may name.
pub const SCRATCH: u64 = 64 << 10;
/// Bytes before and behind.
const GUARD: u64 = 64 << 10;
const UNTOUCHED: u64 = 0x5ca1_ab1e_0dd5_eed5;

/// See the module.
pub struct Pages(MmapRaw);

impl Default for Pages {
    fn default() -> Self {
        Self::new()
    }
}

impl Pages {
    /// Fresh pages.
    pub fn new() -> Self {
        let bytes = (SCRATCH + 2 * GUARD) as usize;
        let pages = Self(MmapOptions::new().len(bytes).map_anon().map(MmapRaw::from).expect("pages"));
        // SAFETY: pages of this process alone.
        pages.guards().for_each(|word| unsafe { word.write_volatile(UNTOUCHED) });
        pages
    }

    /// Address of the first byte that may be named.
    pub fn start(&self) -> u64 {
        self.0.as_mut_ptr() as u64 + GUARD
    }

    fn range(&self, from: u64, len: u64) -> impl Iterator<Item = *mut u64> + use<> {
        let first = self.0.as_mut_ptr().cast::<u64>();
        // SAFETY: inside the mapping.
        (from / 8..(from + len) / 8).map(move |at| unsafe { first.add(at as usize) })
    }

    /// What may be named, word by word.
    pub fn words(&self) -> impl Iterator<Item = *mut u64> + use<> {
        self.range(GUARD, SCRATCH)
    }

    fn guards(&self) -> impl Iterator<Item = *mut u64> + use<> {
        self.range(0, GUARD).chain(self.range(GUARD + SCRATCH, GUARD))
    }

    /// Whether the pages around are as they were.
    pub fn are_guarded(&self) -> bool {
        // SAFETY: pages of this process alone.
        self.guards().all(|word| unsafe { word.read_volatile() } == UNTOUCHED)
    }
}
