//! What a machine finds and can do, over the socket, without QEMU.

mod common;

use std::os::fd::AsFd;
use std::time::Duration;

use common::*;
use nix::sys::eventfd::{EfdFlags, EventFd};
use vinci_device::sealed;
use vinci_device_server::wire::{irq, region};
use vinci_hw::regs::{self, Reg, pci};
use vinci_hw::sqe;
use vinci_hw::uapi::*;

#[test]
fn the_function_is_what_it_says() {
    let rig = Rig::new("910c", None);
    let mut c = rig.connect();
    assert_eq!((c.config16(0), c.config16(2), c.config16(0x0a)), (pci::VENDOR, pci::DEVICE, 0x1200));
    let registers = c.region(0).unwrap();
    assert!(registers.fd.is_none() && registers.info.size == regs::BAR0_SIZE);
    assert_eq!(registers.info.flags, region::READ | region::WRITE);
    let doorbells = c.region(2).unwrap();
    assert_eq!((doorbells.info.size, doorbells.areas.len()), (1024 * 4096, 1));
    let hbm = c.region(4).unwrap();
    assert_eq!(hbm.info.size, 128 << 30);
    assert_eq!((hbm.areas[0].offset, hbm.areas[0].size), (0, 128 << 30), "both dies are one area");
    assert!(hbm.fd.is_some() && c.region(1).unwrap().info.size == 0 && c.region(9).is_err());
    assert_eq!(c.reg(Reg::Ident), regs::IDENT_MAGIC);
    assert_eq!(c.read(0, Reg::Ident as u64 + 3, 2).unwrap(), b"CI", "any part of a register");
    assert_eq!(c.read(0, Reg::Ident as u64 + 4, 8).unwrap()[..4], *b"I910", "across registers");
    for (index, at, len) in
        [(0, 0x10000, 1), (0, 0xffff, 2), (1, 0, 1), (7, 4095, 2), (8, 0, 1), (9, 0, 1), (0, 0, 0)]
    {
        assert_eq!(c.read(index, at, len), Err(libc::EINVAL), "region {index} at {at:#x}");
    }
    assert_eq!(c.read(0, u64::MAX, 8), Err(libc::EINVAL));
}

#[test]
fn a_bar_has_holes_where_a_die_has_less_than_its_share() {
    let rig = Rig::new("950dt", None);
    let mut c = rig.connect();
    let hbm = c.region(4).unwrap();
    assert_eq!(hbm.info.size, 256 << 30);
    assert_eq!(hbm.areas.iter().map(|a| (a.offset, a.size)).collect::<Vec<_>>(), [(0, 144 << 30)]);
    assert_eq!(c.read(4, 200 << 30, 4).unwrap(), [0xff; 4]);
    c.write(4, 200 << 30, &[1; 4]).unwrap();
    c.write(4, 100 << 30, &[1, 2, 3]).unwrap();
    assert_eq!(c.read(4, 100 << 30, 4).unwrap(), [1, 2, 3, 0]);
}

#[test]
fn work_needs_no_message() {
    let rig = Rig::new("910c", None);
    let mut m = Machine::new(&rig);
    m.space(1, MIB);
    let mut q = m.queue(5, 1, 0);
    let done = EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap();
    let vector = u32::from(regs::queue_vector(5, 64));
    m.client.route(irq::MSIX, vector, &[done.as_fd()]).unwrap();
    m.hbm.word(4096).store(7, std::sync::atomic::Ordering::Relaxed);
    m.submit(&mut q, sqe::fill(VA, 4096, 0x5a));
    assert_eq!(m.wait(&q), 0);
    assert_eq!(m.hbm.word(8).load(std::sync::atomic::Ordering::Acquire), 0x5a5a_5a5a_5a5a_5a5a);
    assert_eq!(m.hbm.word(4096).load(std::sync::atomic::Ordering::Acquire), 7);
    assert!(done.read().is_err(), "nobody waited, so nobody was interrupted");
    // A submission is a store, and its end another; a scheduler that sleeps is woken, and there is nothing else.
    let before = rig.status();
    for _ in 0..2_000 {
        m.submit(&mut q, sqe::fill(VA, 64, 1));
        while m.completed(&q) < q.tail {
            std::thread::yield_now();
        }
    }
    let after = rig.status();
    assert_eq!(after.register_writes - before.register_writes, after.kicks - before.kicks);
    assert_eq!((after.register_reads, after.unmapped_accesses), (before.register_reads, 0));
    assert_eq!(after.interrupts, before.interrupts);
    // Who sleeps is woken.
    m.ram.word(q.fence + 24).store(q.tail + 1, std::sync::atomic::Ordering::SeqCst);
    m.submit(&mut q, sqe::fill(VA, 64, 1));
    assert_eq!(m.wait(&q), 0);
    until(|| done.read().is_ok());
}

#[test]
fn faults_interrupt() {
    let rig = Rig::new("910c", None);
    let mut m = Machine::new(&rig);
    m.space(1, MIB);
    let mut q = m.queue(1, 1, 0);
    while m.admin_irq.read().is_ok() {}
    m.client.set_reg(Reg::IrqCause, u64::MAX);
    m.submit(&mut q, sqe::fill(VA + MIB, 4096, 1));
    assert_eq!(m.wait(&q), DRM_VINCI_QUEUE_FAULTED);
    until(|| m.admin_irq.read().is_ok());
    assert_eq!(m.client.reg(Reg::IrqCause), regs::irq::EVENT);
    assert_eq!(m.client.reg(Reg::EventHead), 1);
}

#[test]
fn a_function_that_is_no_bus_master_reaches_nothing() {
    let rig = Rig::new("910b1", None);
    let mut m = Machine::new(&rig);
    m.client.set_reg(Reg::Control, 0);
    m.client.write(region::CONFIG, 4, &[0x02, 0x04]).unwrap();
    m.client.set_reg(Reg::Control, 1);
    assert_eq!(m.client.reg(Reg::Status), 0, "the rings cannot be reached");
    m.client.master();
    m.client.set_reg(Reg::Control, 1);
    assert_eq!(m.client.reg(Reg::Status), 1);
}

#[test]
fn resets_leave_nothing() {
    let rig = Rig::new("910c", None);
    let mut m = Machine::new(&rig);
    for by_message in [true, false] {
        m.space(1, MIB);
        let mut q = m.queue(9, 1, 0);
        m.submit(&mut q, sqe::fill(VA, 4096, 0x77));
        assert_eq!(m.wait(&q), 0);
        if by_message {
            m.client.reset();
        } else {
            // Function-level reset, in the device control register of PCI Express.
            m.client.write(region::CONFIG, 0x68, &[0x10, 0xa8]).unwrap();
        }
        let zero = |w: &std::sync::atomic::AtomicU64| w.load(std::sync::atomic::Ordering::Acquire) == 0;
        assert!(zero(m.hbm.word(0)) && zero(m.doorbells.word(9 * 4096)));
        assert_eq!((m.client.reg(Reg::Status), m.client.config16(4)), (0, 0));
        m.client.master();
        m.bring_up();
    }
    assert_eq!(rig.status().resets, 2);
}

#[test]
fn memory_comes_and_goes_under_a_running_device() {
    let rig = Rig::new("910c", None);
    let mut m = Machine::new(&rig);
    m.space(1, MIB);
    let mut q = m.queue(1, 1, 0);
    for round in 0..50 {
        m.submit(&mut q, sqe::fill(VA, 4096, round));
        // Firmware does this: the same memory, in other pieces.
        m.client.unmap(GUEST, 4 * MIB).unwrap();
        m.client.map(GUEST, MIB, Some(m.ram.file.as_fd()), 0).unwrap();
        m.client.map(GUEST + MIB, 3 * MIB, Some(m.ram.file.as_fd()), MIB).unwrap();
        m.client.unmap(GUEST, 4 * MIB).unwrap();
        m.client.map(GUEST, 4 * MIB, Some(m.ram.file.as_fd()), 0).unwrap();
        // What was stored meanwhile was stored to nobody's pages: the fence may lag until the next entry.
        m.submit(&mut q, sqe::fill(VA, 4096, round));
        std::thread::sleep(Duration::from_millis(1));
    }
    m.submit(&mut q, sqe::fill(VA, 4096, 0x11));
    assert_eq!(m.wait(&q), 0);
    assert_eq!(m.client.unmap(GUEST + MIB, MIB), Err(libc::EINVAL), "cuts a window");
    assert_eq!(m.client.map(GUEST, MIB, Some(m.ram.file.as_fd()), 0), Err(libc::EEXIST));
    assert_eq!(m.client.unmap(GUEST + 64 * MIB, MIB), Ok(()), "nothing was there, such as ROM");
}

#[test]
fn memory_that_is_not_shared_is_refused() {
    let rig = Rig::new("910b1", None);
    let mut c = rig.connect();
    assert_eq!(c.map(0, MIB, None, 0), Err(libc::EINVAL));
    let unsealed = nix::sys::memfd::memfd_create("u", nix::sys::memfd::MFdFlags::empty()).unwrap();
    nix::unistd::ftruncate(&unsealed, MIB as i64).unwrap();
    assert_eq!(c.map(0, MIB, Some(unsealed.as_fd()), 0), Err(libc::EINVAL));
    let fine = sealed("guest", MIB).unwrap();
    assert_eq!(c.map(0, 2 * MIB, Some(fine.as_fd()), 0), Err(libc::EINVAL), "beyond the end");
    // The client maps it, but privately: QEMU with share=off.
    // SAFETY: a new mapping, not used.
    let private = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            MIB as usize,
            1,
            libc::MAP_PRIVATE,
            std::os::fd::AsRawFd::as_raw_fd(&fine),
            0,
        )
    };
    assert_eq!(c.map(0, MIB, Some(fine.as_fd()), 0), Err(libc::EINVAL));
    // SAFETY: mapped above.
    unsafe { libc::munmap(private, MIB as usize) };
    assert_eq!(c.map(0, MIB, Some(fine.as_fd()), 0), Ok(()));
    // A window onto the function's own BAR is taken note of, no more.
    c.write(region::CONFIG, 0x20, &[0, 0, 0, 0, 0xc0, 0, 0, 0]).unwrap();
    assert_eq!(c.map(0xc0_0000_0000, 64 << 30, None, 0), Ok(()));
    c.reset();
    assert_eq!(c.map(0xc0_0000_0000, 64 << 30, None, 0), Ok(()), "QEMU's view of it outlives a reset");
    assert_eq!(c.map(0x80_0000_0000, MIB, None, 0), Err(libc::EINVAL));
}

#[test]
fn clients_come_one_after_another_and_find_nothing_of_each_other() {
    let rig = Rig::new("910c", None);
    for round in 0..5u8 {
        let mut m = Machine::new(&rig);
        assert_eq!(m.hbm.word(0).load(std::sync::atomic::Ordering::Acquire), 0);
        assert_eq!(m.client.reg(Reg::EventHead), 0);
        m.space(1, MIB);
        let mut q = m.queue(1, 1, 0);
        m.submit(&mut q, sqe::fill(VA, 4096, round + 1));
        if round % 2 == 0 {
            assert_eq!(m.wait(&q), 0);
        }
        // Gone in the middle of work, without a word.
    }
    until(|| !rig.status().connected);
}

#[test]
fn a_second_client_is_turned_away() {
    let rig = Rig::new("910b1", None);
    let mut first = rig.connect();
    let mut second = Client::raw(&rig);
    assert_eq!(second.hello(), Err(libc::EBUSY));
    assert_eq!(first.reg(Reg::Ident), regs::IDENT_MAGIC);
}
