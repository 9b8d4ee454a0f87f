//! A client that sends garbage harms nobody but itself.

mod common;

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use common::*;
use proptest::prelude::*;
use vinci_device::sealed;
use vinci_device_server::wire::{self, *};
use vinci_hw::regs::{self, Reg};
use vinci_hw::uapi::Payload;

/// The next client finds a function that works.
fn works(rig: &Rig) {
    let mut c = rig.connect();
    assert_eq!(c.reg(Reg::Ident), regs::IDENT_MAGIC);
}

#[test]
fn bytes_that_are_no_messages() {
    let rig = Rig::new("910b1", None);
    let head = |command, size| Head { id: 1, command, size, flags: 0, error: 0 };
    let mut cases: Vec<Vec<u8>> =
        vec![vec![0; 16], vec![0xff; 4096], b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![1]];
    for command in [0, 1, 2, 9, 10, 13, 255] {
        for size in [0, 15, 16, 17, 20, 1 << 20, 1 << 21, u32::MAX] {
            cases.push([head(command, size).bytes(), &[0x41; 64]].concat());
        }
    }
    for bytes in cases {
        let mut socket = UnixStream::connect(&rig.socket).unwrap();
        // The server may hang up in the middle.
        let _ = socket.write_all(&bytes);
        drop(socket);
    }
    works(&rig);
}

#[test]
fn bodies_of_every_length() {
    let rig = Rig::new("910b1", None);
    let mut c = rig.connect();
    for command in [
        wire::Command::Version,
        wire::Command::DmaMap,
        wire::Command::DmaUnmap,
        wire::Command::DeviceInfo,
        wire::Command::RegionInfo,
        wire::Command::IrqInfo,
        wire::Command::IrqSet,
        wire::Command::RegionRead,
        wire::Command::RegionWrite,
    ] {
        for len in 0..64 {
            let _ = c.call(command, &[&vec![0xff; len]], &[]);
        }
    }
    let huge = RegionAccess { offset: 0, region: 4, count: u32::MAX };
    assert_eq!(c.call(wire::Command::RegionRead, &[huge.bytes()], &[]).unwrap_err(), libc::EINVAL);
    assert_eq!(c.reg(Reg::Ident), regs::IDENT_MAGIC);
}

#[derive(Clone, Debug)]
struct Shot {
    command: u16,
    flags: u32,
    words: Vec<u64>,
    cut: usize,
    fds: usize,
}

fn number() -> impl Strategy<Value = u64> {
    let near = prop::sample::select(vec![
        0u64, 1, 2, 3, 4, 7, 8, 16, 32, 0x40, 0x58, 0xa0, 0x1000, 0x2000, MIB, GUEST,
    ]);
    prop_oneof![
        6 => near.clone(),
        2 => (near.clone(), near).prop_map(|(a, b)| a.wrapping_add(b) | b << 32),
        1 => any::<u64>(),
        1 => (any::<u32>(), 0..16u32).prop_map(|(a, shift)| u64::from(a) >> shift),
    ]
}

fn shot() -> impl Strategy<Value = Shot> {
    let command = prop_oneof![9 => 1..14u16, 1 => any::<u16>()];
    let flags = prop_oneof![8 => Just(0u32), 1 => Just(flag::NO_REPLY), 1 => any::<u32>()];
    (command, flags, prop::collection::vec(number(), 0..8), 0..8usize, 0..4usize)
        .prop_map(|(command, flags, words, cut, fds)| Shot { command, flags, words, cut, fds })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Well-formed messages full of nonsense, between those of a driver that works: no panic, no hang, and whoever
    /// comes next is served.
    #[test]
    fn nonsense_of_the_right_shape(shots in prop::collection::vec(shot(), 1..120)) {
        let rig = Rig::new("910c", None);
        let mut m = Machine::new(&rig);
        m.space(1, MIB);
        let mut q = m.queue(1, 1, 0);
        m.submit(&mut q, vinci_hw::sqe::fill(VA, 4096, 1));
        let memfd = sealed("garbage", MIB).unwrap();
        let event = nix::sys::eventfd::EventFd::new().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let kinds = [memfd.as_fd(), event.as_fd(), null.as_fd(), memfd.as_fd()];
        let listener = m.client.socket.try_clone().unwrap();
        // What it answers is read, and not looked at.
        let reader = std::thread::spawn(move || while let Ok(Some(_)) = receive(listener.as_fd()) {});
        for s in &shots {
            let body: Vec<u8> = s.words.iter().flat_map(|w| w.to_le_bytes()).collect();
            let body = &body[..body.len().saturating_sub(s.cut)];
            m.client.post(s.command, s.flags, &[body], &kinds[..s.fds]);
        }
        let _ = m.client.socket.shutdown(std::net::Shutdown::Both);
        reader.join().unwrap();
        drop(m);
        works(&rig);
    }
}
