//! Requests made of random bytes: no panic, no memory freed under the device, nothing left after close.

mod common;

use common::*;
use proptest::prelude::*;
use vinci_core::VA_BASE;
use vinci_hw::regs::PAGE_SIZE;
use vinci_hw::uapi::*;

const REQUESTS: [u32; 22] = [
    VINCI_IOCTL_DEV_QUERY,
    VINCI_IOCTL_VM_CREATE,
    VINCI_IOCTL_VM_DESTROY,
    VINCI_IOCTL_VM_MAP,
    VINCI_IOCTL_VM_MAP,
    VINCI_IOCTL_VM_UNMAP,
    VINCI_IOCTL_VM_PEER,
    VINCI_IOCTL_BO_CREATE,
    VINCI_IOCTL_BO_CREATE,
    VINCI_IOCTL_BO_USERPTR,
    VINCI_IOCTL_BO_INFO,
    IOCTL_GEM_CLOSE,
    VINCI_IOCTL_QUEUE_CREATE,
    VINCI_IOCTL_QUEUE_DESTROY,
    VINCI_IOCTL_QUEUE_RESET,
    VINCI_IOCTL_QUEUE_KICK,
    VINCI_IOCTL_QUEUE_RESUME,
    VINCI_IOCTL_QUEUE_QUERY,
    VINCI_IOCTL_TELEMETRY,
    VINCI_IOCTL_RESET,
    VINCI_IOCTL_INJECT,
    0xdead_beef,
];

/// Words that fields really have, and words that they should not.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![
        8 => 0..4u32,
        2 => Just(64u32),
        2 => (0..64u32).prop_map(|p| p * PAGE_SIZE as u32),
        2 => Just((VA_BASE >> 32) as u32),
        1 => any::<u32>(),
        1 => Just(u32::MAX),
    ]
}

fn request() -> impl Strategy<Value = (usize, u32, Vec<u32>, bool)> {
    let words = proptest::collection::vec(word(), 12);
    (0..2usize, proptest::sample::select(REQUESTS.to_vec()), words, prop::bool::weighted(0.05))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(requests in proptest::collection::vec(request(), 1..200)) {
        let rig = Rig::new();
        let mut d = rig.driver().unwrap();
        let files = [d.open(1, b"a").unwrap(), d.open(2, b"b").unwrap()];
        let mut done = 0;
        for (who, cmd, words, short) in requests {
            let mut payload = [0u8; 512];
            payload.chunks_exact_mut(4).zip(&words).for_each(|(to, w)| to.copy_from_slice(&w.to_le_bytes()));
            let len = if short { 3 } else { payload.len() };
            done += u32::from(d.ioctl(files[who], cmd, &mut payload[..len], Nowhere).is_ok());
            let offset = u64::from(words[0]) | u64::from(words[1]) << 32;
            let _ = d.mapped(files[who], offset | 1 << 60, words[2].into());
            let _ = d.mapped(files[who], offset, words[2].into());
        }
        // So that a change which refuses everything does not pass.
        prop_assume!(done > 0);
        let watcher = d.open(3, b"watcher").unwrap();
        files.iter().for_each(|&f| d.close(f));
        for die in 0..DIES {
            prop_assert_eq!(hbm_used(&mut d, watcher, die), 0);
        }
        rig.assert_clean();
    }
}
