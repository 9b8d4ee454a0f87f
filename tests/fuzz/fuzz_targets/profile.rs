//! A file that `VINCI_CHIP` names.
#![no_main]

use std::io::{Seek, Write};

use libfuzzer_sys::fuzz_target;
use vinci_device::Profile;

fuzz_target!(|text: &[u8]| {
    let memory =
        nix::sys::memfd::memfd_create(c"profile", nix::sys::memfd::MFdFlags::empty()).expect("a memfd");
    let mut file = std::fs::File::from(memory);
    file.write_all(text).expect("room");
    file.rewind().expect("a file");
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    if let Ok(profile) = Profile::from_file(path.as_ref()) {
        // What is accepted is a chip that can be made.
        assert!((1..=8).contains(&profile.dies) && profile.die.hbm_bytes >= 2 << 20);
    }
});
