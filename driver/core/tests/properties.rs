//! Random sequences of requests of two files against a model: what succeeds and what is refused, that no file
//! ever sees another's data, and that nothing is left when the files are closed.

mod common;

use std::collections::BTreeMap;

use common::*;
use proptest::prelude::*;
use vinci_core::{Driver, Errno, Mapped, VA_BASE};
use vinci_hw::admin::Target;
use vinci_hw::regs::PAGE_SIZE;
use vinci_hw::uapi::*;

#[derive(Clone, Debug)]
enum Step {
    /// Sizes in pages.
    Create {
        size: u64,
        host: bool,
        die: u32,
    },
    Close {
        which: usize,
    },
    Map {
        which: usize,
        page: u64,
        offset: u64,
        len: u64,
    },
    Unmap {
        page: u64,
        len: u64,
    },
    Reset {
        function: bool,
    },
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let size = prop_oneof![1..20u64, 1..20u64, 500..1100u64, 1..9000u64];
    let step = prop_oneof![
        4 => (size, any::<bool>(), 0..DIES).prop_map(|(size, host, die)| {
            Step::Create { size: if host { size % 20 + 1 } else { size }, host, die: if host { 0 } else { die } }
        }),
        3 => any::<usize>().prop_map(|which| Step::Close { which }),
        6 => (any::<usize>(), 0..64u64, 0..4u64, 1..16u64)
            .prop_map(|(which, page, offset, len)| Step::Map { which, page, offset, len }),
        4 => (0..64u64, 1..32u64).prop_map(|(page, len)| Step::Unmap { page, len }),
        1 => any::<bool>().prop_map(|function| Step::Reset { function }),
    ];
    (0..2usize, step)
}

/// What a file should have.
struct Model {
    file: u32,
    vm: u32,
    /// Handle to pages.
    buffers: BTreeMap<u32, u64>,
    /// First page to pages.
    maps: BTreeMap<u64, u64>,
}

impl Model {
    fn new(d: &mut Driver<Rig>, pid: u32) -> Self {
        let file = d.open(pid, b"model").unwrap();
        let vm = vm_create(d, file).unwrap();
        Self { file, vm, buffers: BTreeMap::new(), maps: BTreeMap::new() }
    }

    fn nth(&self, which: usize) -> Option<(u32, u64)> {
        let n = self.buffers.len();
        (n != 0).then(|| self.buffers.iter().nth(which % n).map(|(&h, &s)| (h, s))).flatten()
    }

    fn run(&mut self, d: &mut Driver<Rig>, rig: &Rig, step: &Step) {
        let page = |n: u64| VA_BASE + n * PAGE_SIZE;
        match *step {
            Step::Create { size, host, die } => {
                let placement = if host { DRM_VINCI_PLACE_HOST } else { DRM_VINCI_PLACE_HBM };
                let a = drm_vinci_bo_create {
                    size: size * 4096,
                    placement,
                    die,
                    ..drm_vinci_bo_create::zeroed()
                };
                match ask(d, self.file, VINCI_IOCTL_BO_CREATE, a) {
                    Ok(a) => {
                        assert!(self.buffers.insert(a.handle, size).is_none());
                        self.dirty(d, rig, a.mmap_offset, a.size);
                    }
                    Err(e) => assert_eq!((e, host), (Errno::NoMem, false)),
                }
            }
            Step::Close { which } => {
                let Some((handle, _)) = self.nth(which) else { return };
                bo_close(d, self.file, handle).unwrap();
                assert_eq!(bo_close(d, self.file, handle), Err(Errno::NoEnt));
                self.buffers.remove(&handle);
            }
            Step::Map { which, page: at, offset, len } => {
                let Some((handle, size)) = self.nth(which) else { return };
                let expected = if offset + len > size {
                    Err(Errno::Inval)
                } else if self.maps.iter().any(|(&p, &l)| p < at + len && at < p + l) {
                    Err(Errno::Exist)
                } else {
                    self.maps.insert(at, len);
                    Ok(())
                };
                let a = drm_vinci_vm_map {
                    vm_id: self.vm,
                    handle,
                    flags: RW,
                    pad: 0,
                    offset: offset * PAGE_SIZE,
                    va: page(at),
                    size: len * PAGE_SIZE,
                };
                assert_eq!(vm_map(d, self.file, a), expected);
            }
            Step::Unmap { page: at, len } => {
                let inside = |p: u64, l: u64| at <= p && p + l <= at + len;
                let touched: Vec<_> =
                    self.maps.iter().filter(|&(&p, &l)| p < at + len && at < p + l).collect();
                let expected = if touched.is_empty() {
                    Err(Errno::NoEnt)
                } else if touched.iter().all(|&(&p, &l)| inside(p, l)) {
                    Ok(())
                } else {
                    Err(Errno::Inval)
                };
                if expected.is_ok() {
                    self.maps.retain(|&p, &mut l| !inside(p, l));
                }
                assert_eq!(vm_unmap(d, self.file, self.vm, page(at), len * PAGE_SIZE), expected);
            }
            Step::Reset { function: true } => reset(d, self.file, DRM_VINCI_RESET_FUNCTION, 0).unwrap(),
            Step::Reset { function: false } => reset(d, self.file, DRM_VINCI_RESET_DIE, 1).unwrap(),
        }
    }

    /// Writes all of a new buffer, in which nothing of the other file may be left.
    fn dirty(&self, d: &Driver<Rig>, rig: &Rig, offset: u64, size: u64) {
        let Mapped::Hbm(die, at) = d.mapped(self.file, offset, size).unwrap() else { return };
        let mut s = rig.state();
        for page in at / PAGE_SIZE..(at + size) / PAGE_SIZE {
            let before = s.content.insert((die, page), self.file);
            assert!(before.is_none_or(|f| f == self.file), "page {page} of die {die} was not scrubbed");
        }
    }
}

/// Mappings of the device, joined where pieces touch, must be the model's.
fn assert_mapped(rig: &Rig, models: &[Model]) {
    let s = rig.state();
    let pages: u64 = s.vms.values().flat_map(|m| m.values()).map(|m| m.len / PAGE_SIZE).sum();
    assert_eq!(pages, models.iter().flat_map(|m| m.maps.values()).sum::<u64>());
    // HBM that two address spaces map would be one file's memory in another's hands.
    let mut seen: BTreeMap<(u32, u64), u32> = BTreeMap::new();
    for (&vm, maps) in &s.vms {
        for m in maps.values().filter(|m| m.kind == Target::Hbm as u16) {
            for page in m.addr / PAGE_SIZE..(m.addr + m.len) / PAGE_SIZE {
                let other = *seen.entry((m.arg, page)).or_insert(vm);
                assert_eq!(other, vm, "page {page} of die {} is in two address spaces", m.arg);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_follow_the_model(steps in proptest::collection::vec(step(), 1..150)) {
        let rig = Rig::new();
        let mut d = rig.driver().unwrap();
        let mut models = [Model::new(&mut d, 1), Model::new(&mut d, 2)];
        for (who, step) in &steps {
            models[*who].run(&mut d, &rig, step);
            assert_mapped(&rig, &models);
        }
        let watcher = d.open(3, b"watcher").unwrap();
        models.iter().for_each(|m| d.close(m.file));
        prop_assert_eq!((hbm_used(&mut d, watcher, 0), hbm_used(&mut d, watcher, 1)), (0, 0));
        rig.assert_clean();
    }
}
