//! Memory that nobody else may change: buffer objects of a file that makes no random requests, pages that the
//! device may reach, and pages that it may not.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use vinci_driver::uapi::*;
use vinci_driver::{Handle, Mapping, Node};

use crate::scratch::{Pages, SCRATCH};

const SIZE: u64 = 256 << 10;
const RW: u32 = DRM_VINCI_MAP_READ | DRM_VINCI_MAP_WRITE;

struct Object {
    what: &'static str,
    map: Mapping,
    /// A reset of the device clears it.
    hbm: bool,
}

/// See the module.
pub struct Canary {
    _file: Handle,
    objects: Vec<Object>,
    pages: Pages,
    pattern: u64,
}

fn words(map: &Mapping) -> impl Iterator<Item = *mut u64> {
    let first = map.ptr().cast::<u64>().as_ptr();
    // SAFETY: inside the mapping.
    (0..map.len() / 8).map(move |at| unsafe { first.add(at) })
}

impl Canary {
    /// Makes it, in a file of its own.
    pub fn new(node: Arc<dyn Node>, pattern: u64) -> Result<Self> {
        let file = Handle::new(node);
        let base = file.device_info()?.va_base;
        let vm = file.vm_create()?;
        let mut objects = Vec::new();
        let places = [("host memory", DRM_VINCI_PLACE_HOST, 0), ("HBM", DRM_VINCI_PLACE_HBM, 0)];
        for (n, (what, placement, die)) in places.into_iter().enumerate() {
            let bo = file.bo_create(SIZE, placement, die).context("the canary's object")?;
            file.vm_map(vm, bo.handle, 0, base + n as u64 * SIZE, SIZE, RW)?;
            let map = file.mmap(bo.mmap_offset, SIZE)?;
            objects.push(Object { what, map, hbm: placement == DRM_VINCI_PLACE_HBM });
        }
        let pages = Pages::new();
        let handle = file.bo_userptr(pages.start(), SCRATCH, false)?;
        file.vm_map(vm, handle, 0, base + 16 * SIZE, SCRATCH, RW)?;
        let canary = Self { _file: file, objects, pages, pattern };
        canary.objects.iter().for_each(|o| canary.fill(&o.map));
        canary.pages.words().for_each(|word| {
            // SAFETY: pages of this canary.
            unsafe { word.write_volatile(pattern) }
        });
        Ok(canary)
    }

    fn fill(&self, map: &Mapping) {
        // SAFETY: inside the mapping, which only this file has.
        words(map).for_each(|word| unsafe { word.write_volatile(self.pattern) });
    }

    /// An error if anything is not as it was. With `resets`, HBM may have been cleared as a whole.
    pub fn check(&self, resets: bool) -> Result<()> {
        for object in &self.objects {
            // SAFETY: as above.
            let wrong = words(&object.map).find(|word| unsafe { word.read_volatile() } != self.pattern);
            let Some(wrong) = wrong else { continue };
            // SAFETY: as above.
            let found = unsafe { wrong.read_volatile() };
            if object.hbm && resets && found == 0 {
                self.fill(&object.map);
                continue;
            }
            let at = wrong as usize - object.map.ptr().as_ptr() as usize;
            bail!("{} of another file changed: {found:#x} at {at:#x}, not {:#x}", object.what, self.pattern);
        }
        // SAFETY: as above.
        if self.pages.words().any(|word| unsafe { word.read_volatile() } != self.pattern) {
            bail!("pinned pages of another file changed");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_found() {
        let chip = vinci_device::Profile::by_name("910c").unwrap();
        let canary = Canary::new(Arc::new(vinci_driver::Embedded::new(chip).unwrap()), 0x1234_5678).unwrap();
        canary.check(false).unwrap();
        let word = words(&canary.objects[1].map).nth(100).unwrap();
        // SAFETY: inside the mapping.
        unsafe { word.write_volatile(0) };
        assert!(canary.check(false).unwrap_err().to_string().contains("0x0 at 0x320"));
        canary.check(true).unwrap();
        canary.check(false).unwrap();
        let word = words(&canary.objects[0].map).last().unwrap();
        // SAFETY: inside the mapping.
        unsafe { word.write_volatile(0) };
        assert!(canary.check(true).is_err(), "a reset does not clear host memory");
    }
}
