//! A process that may pin little copies as much as any other.

use std::os::unix::process::CommandExt;
use std::process::Command;

use vinci::{Addr, Buffer, Device, Rows, memory};

const NAME: &str = "VINCI_TEST_LIMITED";

#[test]
fn copies_need_no_more_than_may_be_pinned() {
    if std::env::var(NAME).is_ok() {
        return copies();
    }
    let give_up = || {
        let limit = libc::rlimit { rlim_cur: 256 << 10, rlim_max: 256 << 10 };
        // 14 is CAP_IPC_LOCK; who may not give it away has not got it.
        // SAFETY: both calls only lower what the new program may do.
        unsafe {
            libc::prctl(libc::PR_CAPBSET_DROP, 14);
            match libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        }
    };
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "copies_need_no_more_than_may_be_pinned"]).env(NAME, "1");
    // SAFETY: two system calls, which are allowed between fork and exec.
    let out = unsafe { child.pre_exec(give_up) }.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}

fn copies() {
    const WORDS: usize = 1 << 19;
    let device = Device::get(0).unwrap();
    let host: Vec<u64> = (0..WORDS as u64).map(|n| n * 7).collect();
    // More than 64 KiB are pinned, and this is more than may be.
    // SAFETY: the vector outlives the registration, which fails.
    assert!(unsafe { memory::register_host(host.as_ptr().cast_mut().cast(), WORDS * 8, true) }.is_err());
    let there = Buffer::from_slice(&device, &host).unwrap();
    assert_eq!(there.to_vec().unwrap(), host);
    // Rows with gaps between them.
    let (width, pitch, height) = (3000u64, 4096u64, 500u64);
    let rows = Rows { width, height };
    let mut back = vec![0u8; (pitch * height) as usize];
    // SAFETY: as long as the rows.
    let to = unsafe { Addr::host(back.as_mut_ptr()) };
    memory::copy_2d(to, pitch, there.ptr().into(), pitch, rows).unwrap();
    let bytes: Vec<u8> = host.iter().flat_map(|n| n.to_ne_bytes()).collect();
    for row in 0..height {
        let at = (row * pitch) as usize;
        assert_eq!(back[at..at + 3000], bytes[at..at + 3000], "row {row}");
        assert!(back[at + 3000..at + 4096].iter().all(|&b| b == 0), "the gap behind row {row}");
    }
    let mut filled = vec![1u8; 1 << 20];
    // SAFETY: as long as the fill.
    memory::memset(unsafe { Addr::host(filled.as_mut_ptr()) }, 9, 1 << 20).unwrap();
    assert!(filled.iter().all(|&b| b == 9));
}
