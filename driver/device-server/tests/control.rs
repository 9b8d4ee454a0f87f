//! What the control socket can do to a device, and how it lies.

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;

use common::*;
use vinci_device_server::wire::region;
use vinci_device_server::{Answer, Lie, Request, beside};
use vinci_hw::admin::{Command as Admin, Opcode};
use vinci_hw::regs::Reg;
use vinci_hw::sqe;
use vinci_hw::uapi::*;

#[test]
fn errors_are_injected_from_outside() {
    let rig = Rig::new("910c", None);
    assert!(matches!(rig.ask(Request::Hang { die: 0 }), Answer::Refused(_)), "nobody is connected");
    let mut m = Machine::new(&rig);
    m.space(1, MIB);
    let mut q = m.queue(1, 1, 0);
    assert_eq!(rig.ask(Request::EccSingle { die: 1 }), Answer::Done);
    assert_eq!(m.client.reg(Reg::EventHead), 1, "the driver hears of it");
    assert_eq!(rig.ask(Request::EccDouble { die: 0, offset: 0x1000 }), Answer::Done);
    m.submit(&mut q, sqe::fill(VA, 4096, 1));
    assert_eq!(m.wait(&q), 0, "the page before is fine");
    m.submit(&mut q, sqe::copy(VA, VA + 0x1000, 64));
    assert_eq!(m.wait(&q), DRM_VINCI_QUEUE_FAULTED);
    for refused in [
        Request::EccSingle { die: 2 },
        Request::EccDouble { die: 0, offset: 64 << 30 },
        Request::Hang { die: u32::MAX },
        Request::Unplug,
    ] {
        assert!(matches!(rig.ask(refused), Answer::Refused(_)), "{refused:?}");
    }
    assert_eq!(rig.ask(Request::LinkDown { die: 1 }), Answer::Done);
    assert_eq!(rig.ask(Request::Hang { die: 1 }), Answer::Done);
}

#[test]
fn a_function_that_is_pulled_out_is_gone() {
    let rig = Rig::new("910c", None);
    let mut m = Machine::new(&rig);
    m.space(1, MIB);
    let mut q = m.queue(1, 1, 0);
    m.submit(&mut q, sqe::fill(VA, 4096, 1));
    assert_eq!(m.wait(&q), 0);
    assert_eq!(rig.ask(Request::Remove), Answer::Done);
    assert_eq!((m.client.reg(Reg::Status), m.client.config16(0)), (u64::MAX, 0xffff));
    m.client.set_reg(Reg::Control, 1);
    m.client.write(region::CONFIG, 4, &[6, 4]).unwrap();
    m.client.reset();
    assert_eq!((m.client.reg(Reg::Ident), rig.status().removed), (u64::MAX, true));
    let before = m.ram.word(q.fence).load(Ordering::Acquire);
    m.submit(&mut q, sqe::fill(VA, 4096, 1));
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(m.ram.word(q.fence).load(Ordering::Acquire), before, "it reaches nothing");
    assert!(matches!(rig.ask(Request::Hang { die: 0 }), Answer::Refused(_)));
    drop(m);
    Machine::new(&rig);
}

#[test]
fn it_lies_when_it_is_told_to() {
    let rig = Rig::new("910c", None);
    let mut m = Machine::new(&rig);
    m.space(1, MIB);
    let mut q = m.queue(1, 1, 0);
    m.submit(&mut q, sqe::fill(VA, 4096, 1));
    assert_eq!(m.wait(&q), 0);

    assert_eq!(rig.ask(Request::Lie { lie: Some(Lie::FenceBackwards) }), Answer::Done);
    assert_eq!(m.completed(&q), 0);
    assert_eq!(rig.ask(Request::Lie { lie: None }), Answer::Done);
    m.submit(&mut q, sqe::fill(VA, 4096, 1));
    assert_eq!((m.wait(&q), m.completed(&q)), (0, 2));

    rig.ask(Request::Lie { lie: Some(Lie::UnknownCompletion) });
    m.admin(Admin::new(Opcode::VmCreate, 7)).unwrap();
    while m.admin_irq.read().is_ok() {}
    // The next slot has been filled before its command was there.
    rig.ask(Request::Lie { lie: None });
    let slot = m.ram.word(0x1000 + 16 * m.next_slot() + 8).load(Ordering::Acquire);
    assert_eq!(slot >> 16 & 0xffff, 0xdead);

    rig.ask(Request::Lie { lie: Some(Lie::AllOnes) });
    assert_eq!((m.client.reg(Reg::Ident), m.client.reg(Reg::Caps)), (u64::MAX, u64::MAX));
    rig.ask(Request::Lie { lie: None });
    assert_ne!(m.client.reg(Reg::Ident), u64::MAX);
    assert!(rig.status().lies >= 4);
}

#[test]
fn it_can_lie_from_the_start() {
    let rig = Rig::new("910b1", Some(Lie::AllOnes));
    let mut c = rig.connect();
    assert_eq!((c.reg(Reg::Ident), c.config16(0)), (u64::MAX, 0x1234));
}

#[test]
fn garbage_at_the_control_socket_is_answered() {
    let rig = Rig::new("910b1", None);
    let long = [b'x'; 10_000];
    for garbage in [
        &b"\n"[..],
        b"{}\n",
        b"{\"do\":\"explode\"}\n",
        b"\xff\xfe\n",
        &long,
        b"{\"do\":\"hang\",\"die\":-1}\n",
    ] {
        let mut socket = UnixStream::connect(beside(&rig.socket)).unwrap();
        // A line that is too long is answered before it has ended.
        let _ = socket.write_all(garbage);
        let mut text = String::new();
        let read = socket.read_to_string(&mut text);
        assert!(read.is_err() || text.is_empty() || text.contains("refused"), "{text}");
    }
    assert!(!rig.status().connected);
}
