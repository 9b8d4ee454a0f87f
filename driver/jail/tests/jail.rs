//! A jail with kernels of a few instructions: they run, fault, are stopped, and what they break is only the jail.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use vinci_jail::layout::*;
use vinci_jail::{Backing, Ended, Found, Jail, Launch};

/// `ret`; `ud2`; `jmp .`; `div` by zero; a load from address 0; exit_group.
const KERNELS: [&[u8]; 6] = [
    &[0xc3],
    &[0x0f, 0x0b],
    &[0xeb, 0xfe],
    &[0x31, 0xc9, 0xf7, 0xf1],
    &[0x31, 0xc0, 0x48, 0x8b, 0x00],
    &[0xb8, 231, 0, 0, 0, 0x0f, 0x05],
];

/// Code alone, sixteen bytes for each kernel.
struct Code;

impl Backing for Code {
    fn find(&self, va: u64, _write: bool) -> Found {
        if va >= CODE_BASE + 4096 {
            return Found::Nothing;
        }
        let mut page = vec![0xccu8; 4096];
        for (i, code) in KERNELS.iter().enumerate() {
            page[16 * i..16 * i + code.len()].copy_from_slice(code);
        }
        let mut file = File::from(memfd_create("test", MFdFlags::MFD_CLOEXEC).unwrap());
        file.write_all(&page).unwrap();
        let map = Map { va: CODE_BASE, len: 4096, offset: 0, access: 5, private: 1 };
        Found::File(OwnedFd::from(file), map)
    }

    fn progress(&self) {}
}

fn start() -> Jail {
    let config = Config { aic: 4, aiv: 8, local: [4096; 7], ..Config::default() };
    Jail::start(config, Arc::new(Code)).unwrap()
}

fn submit(jail: &Jail, kernel: u64, blocks: u32) -> u32 {
    let launch = Launch { entry: CODE_BASE + 16 * kernel, blocks, kind: 2, ..Launch::default() };
    jail.submit(&launch, |_, _| {}).expect("there is room")
}

fn wait(jail: &Jail, job: u32) -> Ended {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(ended) = jail.poll(job) {
            return ended;
        }
        assert!(Instant::now() < until, "the kernel does not end");
        jail.watch();
        std::thread::sleep(Duration::from_micros(100));
    }
}

fn kind(ended: Ended) -> u32 {
    match ended {
        Ended::Well(..) => 0,
        Ended::Fault(fault) => fault.kind,
    }
}

#[test]
fn kernels_run_and_fault_and_others_go_on() {
    let jail = start();
    assert_eq!(kind(wait(&jail, submit(&jail, 0, 1))), 0);
    assert_eq!(kind(wait(&jail, submit(&jail, 0, 1000))), 0, "more blocks than cores");
    for _ in 0..20 {
        assert_eq!(kind(wait(&jail, submit(&jail, 1, 3))), FAULT_INSTRUCTION);
        assert_eq!(kind(wait(&jail, submit(&jail, 3, 3))), FAULT_ARITHMETIC);
        assert_eq!(kind(wait(&jail, submit(&jail, 4, 3))), FAULT_ADDRESS);
        assert_eq!(kind(wait(&jail, submit(&jail, 0, 3))), 0);
    }
    // Endless ones on every core do not keep others from running.
    let endless = submit(&jail, 2, 8);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(kind(wait(&jail, submit(&jail, 0, 8))), 0);
    assert!(jail.poll(endless).is_none());
    let until = Instant::now() + Duration::from_secs(20);
    let ended = loop {
        jail.cancel(endless);
        match jail.poll(endless) {
            Some(ended) => break ended,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
        assert!(Instant::now() < until, "it cannot be stopped");
    };
    assert_eq!(kind(ended), FAULT_CANCELLED);
    assert!(jail.is_idle() && !jail.has_ended());
}

#[test]
fn a_jail_that_ends_takes_its_kernels_along_and_nothing_else() {
    let jail = start();
    assert_eq!(kind(wait(&jail, submit(&jail, 5, 1))), FAULT_DIED);
    assert!(jail.has_ended());
    // What comes later ends at once; another jail is another matter.
    assert_eq!(kind(wait(&jail, submit(&jail, 0, 1))), FAULT_DIED);
    let other = start();
    assert_eq!(kind(wait(&other, submit(&other, 0, 1))), 0);
}
