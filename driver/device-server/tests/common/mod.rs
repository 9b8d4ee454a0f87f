//! A machine without QEMU: the client's side of vfio-user, a little guest memory, and the least driver there can be.

#![allow(dead_code)]

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use vinci_device::{Profile, sealed};
use vinci_device_server::wire::{self, *};
use vinci_device_server::{Answer, Lie, Options, Request, Server, Status, Stopper, ask, beside};
use vinci_hw::admin::{Command as Admin, Completion, Opcode, Outcome, QueueSetup};
use vinci_hw::doorbell;
use vinci_hw::regs::{PAGE_SIZE, Reg, pci};
use vinci_hw::sqe::Sqe;
use vinci_hw::uapi::*;

/// A server in this process, which ends with this.
pub struct Rig {
    pub socket: PathBuf,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Rig {
    pub fn new(chip: &str, lie: Option<Lie>) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let socket = std::env::temp_dir().join(format!("vinci-vfu-{}-{n}", std::process::id()));
        let control = beside(&socket);
        let profile = Profile::by_name(chip).unwrap();
        let server = Server::bind(Options { profile, socket: socket.clone(), control, lie }).unwrap();
        let stopper = server.stopper();
        let thread = std::thread::spawn(move || server.run().unwrap());
        Self { socket, stopper, thread: Some(thread) }
    }

    pub fn ask(&self, request: Request) -> Answer {
        ask(&beside(&self.socket), &request).unwrap()
    }

    pub fn status(&self) -> Status {
        match self.ask(Request::Status) {
            Answer::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    pub fn connect(&self) -> Client {
        let mut client = Client { socket: UnixStream::connect(&self.socket).unwrap(), id: 0 };
        client.hello().unwrap();
        client
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stopper.stop();
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
            assert!(!self.socket.exists(), "the socket goes with the server");
        }
    }
}

/// The client's side of a connection.
pub struct Client {
    pub socket: UnixStream,
    id: u16,
}

/// A region, and its memory where it can be mapped.
pub struct RegionFound {
    pub info: RegionInfo,
    pub fd: Option<OwnedFd>,
    pub areas: Vec<Area>,
}

impl Client {
    pub fn post(&mut self, command: u16, flags: u32, body: &[&[u8]], fds: &[BorrowedFd<'_>]) {
        self.id += 1;
        let size = 16 + body.iter().map(|b| b.len()).sum::<usize>();
        let head = Head { id: self.id, command, size: size as u32, flags, error: 0 };
        let bytes = [&[head.bytes()], body].concat().concat();
        let raw: Vec<_> = fds.iter().map(|fd| fd.as_raw_fd()).collect();
        let beside = if raw.is_empty() { vec![] } else { vec![ControlMessage::ScmRights(&raw)] };
        let parts = [std::io::IoSlice::new(&bytes)];
        let sent = sendmsg::<()>(self.socket.as_raw_fd(), &parts, &beside, MsgFlags::MSG_NOSIGNAL, None);
        assert_eq!(sent.unwrap(), bytes.len());
    }

    /// The answer's body and descriptors, or its errno.
    pub fn call(
        &mut self,
        command: wire::Command,
        body: &[&[u8]],
        fds: &[BorrowedFd<'_>],
    ) -> Result<(Vec<u8>, Vec<OwnedFd>), i32> {
        self.post(command as u16, 0, body, fds);
        let answer = receive(self.socket.as_fd()).unwrap().expect("the server answers");
        assert_eq!((answer.head.id, answer.head.command), (self.id, command as u16));
        assert_eq!(answer.head.flags & flag::TYPE, flag::REPLY);
        match answer.head.flags & flag::ERROR {
            0 => Ok((answer.body, answer.fds)),
            _ => Err(answer.head.error as i32),
        }
    }

    /// A connection on which nothing has been said.
    pub fn raw(rig: &Rig) -> Self {
        Self { socket: UnixStream::connect(&rig.socket).unwrap(), id: 0 }
    }

    pub fn hello(&mut self) -> Result<(), i32> {
        let text = b"{\"capabilities\":{\"max_msg_fds\":8}}\0";
        let version = Version { major: 0, minor: 0 };
        let (body, _) = self.call(wire::Command::Version, &[version.bytes(), text], &[])?;
        assert_eq!(Version::from_bytes(&body), Some(version));
        assert!(body.ends_with(b"}\0"), "JSON and its end");
        Ok(())
    }

    pub fn region(&mut self, index: u32) -> Result<RegionFound, i32> {
        let mut ask = RegionInfo { argsz: 32, index, ..RegionInfo::default() };
        let (body, _) = self.call(wire::Command::RegionInfo, &[ask.bytes()], &[])?;
        ask.argsz = RegionInfo::from_bytes(&body).unwrap().argsz;
        let (body, mut fds) = self.call(wire::Command::RegionInfo, &[ask.bytes()], &[])?;
        let info = RegionInfo::from_bytes(&body).unwrap();
        let mut areas = Vec::new();
        if info.flags & region::CAPS != 0 {
            let cap = SparseMap::from_bytes(&body[info.cap_offset as usize..]).unwrap();
            assert_eq!((cap.id, cap.next), (1, 0));
            let rest = &body[info.cap_offset as usize + size_of::<SparseMap>()..];
            areas = rest.chunks(size_of::<Area>()).map(|c| Area::from_bytes(c).unwrap()).collect();
            assert_eq!(areas.len(), cap.areas as usize);
        }
        Ok(RegionFound { info, fd: fds.pop(), areas })
    }

    pub fn read(&mut self, region: u32, offset: u64, len: usize) -> Result<Vec<u8>, i32> {
        let ask = RegionAccess { offset, region, count: len as u32 };
        let (body, _) = self.call(wire::Command::RegionRead, &[ask.bytes()], &[])?;
        assert_eq!(RegionAccess::from_bytes(&body), Some(ask));
        assert_eq!(body.len(), size_of::<RegionAccess>() + len);
        Ok(body[size_of::<RegionAccess>()..].to_vec())
    }

    pub fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), i32> {
        let ask = RegionAccess { offset, region, count: data.len() as u32 };
        self.call(wire::Command::RegionWrite, &[ask.bytes(), data], &[]).map(|_| ())
    }

    pub fn config16(&mut self, at: u64) -> u16 {
        u16::from_le_bytes(self.read(region::CONFIG, at, 2).unwrap().try_into().unwrap())
    }

    pub fn reg(&mut self, reg: Reg) -> u64 {
        u64::from_le_bytes(self.read(0, reg as u64, 8).unwrap().try_into().unwrap())
    }

    pub fn set_reg(&mut self, reg: Reg, value: u64) {
        self.write(0, reg as u64, &value.to_le_bytes()).unwrap();
    }

    pub fn map(
        &mut self,
        address: u64,
        size: u64,
        fd: Option<BorrowedFd<'_>>,
        offset: u64,
    ) -> Result<(), i32> {
        let map = DmaMap { argsz: 32, flags: 3, offset, address, size };
        self.call(wire::Command::DmaMap, &[map.bytes()], fd.as_slice()).map(|_| ())
    }

    pub fn unmap(&mut self, address: u64, size: u64) -> Result<(), i32> {
        let unmap = DmaUnmap { argsz: 24, flags: 0, address, size };
        self.call(wire::Command::DmaUnmap, &[unmap.bytes()], &[]).map(|_| ())
    }

    pub fn route(&mut self, index: u32, start: u32, fds: &[BorrowedFd<'_>]) -> Result<(), i32> {
        let flags = irq::DATA_EVENTFD | irq::ACTION_TRIGGER;
        let set = IrqSet { argsz: 20, flags, index, start, count: fds.len() as u32 };
        self.call(wire::Command::IrqSet, &[set.bytes()], fds).map(|_| ())
    }

    pub fn reset(&mut self) {
        self.call(wire::Command::Reset, &[], &[]).unwrap();
    }

    pub fn master(&mut self) {
        self.write(region::CONFIG, 4, &[0x06, 0x04]).unwrap();
    }
}

/// Shared memory, mapped here.
pub struct Memory {
    pub file: File,
    map: NonNull<u8>,
    pub len: u64,
}

impl Memory {
    pub fn new(len: u64) -> Self {
        Self::of(sealed("guest", len).unwrap(), len)
    }

    pub fn of(file: File, len: u64) -> Self {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_NORESERVE);
        // SAFETY: a new mapping.
        let p = unsafe { libc::mmap(std::ptr::null_mut(), len as usize, access, kind, file.as_raw_fd(), 0) };
        assert_ne!(p, libc::MAP_FAILED);
        Self { file, map: NonNull::new(p.cast()).unwrap(), len }
    }

    pub fn at<T>(&self, offset: u64) -> *mut T {
        assert!(offset + size_of::<T>() as u64 <= self.len);
        // SAFETY: inside the mapping.
        unsafe { self.map.as_ptr().add(offset as usize).cast() }
    }

    pub fn word(&self, offset: u64) -> &AtomicU64 {
        // SAFETY: inside the mapping; tests use aligned offsets.
        unsafe { AtomicU64::from_ptr(self.at(offset)) }
    }

    pub fn word32(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { AtomicU32::from_ptr(self.at(offset)) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped in `of`.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.len as usize) };
    }
}

pub const MIB: u64 = 1 << 20;
/// Where the guest's memory is for the device.
pub const GUEST: u64 = 0x1_0000_0000;
const SQ: u64 = 0;
const CQ: u64 = 0x1000;
const EVENTS: u64 = 0x2000;
const FREE: u64 = 0x20000;
const ENTRIES: u64 = 64;
/// Lowest device address the tests map.
pub const VA: u64 = 0x1200_0000_0000;

/// A machine with a driver in it.
pub struct Machine {
    pub client: Client,
    pub ram: Memory,
    pub doorbells: Memory,
    pub hbm: Memory,
    pub admin_irq: EventFd,
    commands: u64,
    next: u64,
}

impl Machine {
    pub fn new(rig: &Rig) -> Self {
        let mut client = rig.connect();
        let mapped = |client: &mut Client, bar: u8| {
            let found = client.region(bar.into()).unwrap();
            Memory::of(File::from(found.fd.unwrap()), found.info.size)
        };
        let (doorbells, hbm) = (mapped(&mut client, pci::BAR_DOORBELLS), mapped(&mut client, pci::BAR_HBM));
        let ram = Memory::new(4 * MIB);
        client.map(GUEST, ram.len, Some(ram.file.as_fd()), 0).unwrap();
        let admin_irq = EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap();
        client.route(irq::MSIX, 0, &[admin_irq.as_fd()]).unwrap();
        client.master();
        let mut machine = Self { client, ram, doorbells, hbm, admin_irq, commands: 0, next: FREE };
        machine.bring_up();
        machine
    }

    pub fn bring_up(&mut self) {
        self.commands = 0;
        (0..0x1000).step_by(8).for_each(|at| self.ram.word(CQ + at).store(0, Ordering::Relaxed));
        for (reg, value) in [
            (Reg::AdminSq, GUEST + SQ),
            (Reg::AdminCq, GUEST + CQ),
            (Reg::AdminSize, ENTRIES),
            (Reg::EventRing, GUEST + EVENTS),
            (Reg::Control, 1),
            (Reg::IrqEnable, 3),
        ] {
            self.client.set_reg(reg, value);
        }
    }

    /// A command's completion: its tag fits, or not.
    pub fn command(&mut self, mut c: Admin) -> (bool, Result<u64, Outcome>) {
        let n = self.commands;
        self.commands += 1;
        c.tag = n as u16;
        // SAFETY: both slots lie in the rings.
        unsafe {
            self.ram.at::<Admin>(SQ + n % ENTRIES * 64).write_volatile(c);
            self.client.set_reg(Reg::AdminTail, (n + 1) % ENTRIES);
            let done = self.ram.at::<Completion>(CQ + n % ENTRIES * 16).read_volatile();
            assert_eq!(done.phase(), (n / ENTRIES).is_multiple_of(2));
            let result = match done.outcome().unwrap() {
                Outcome::Ok => Ok(done.result),
                e => Err(e),
            };
            (done.tag == c.tag, result)
        }
    }

    pub fn admin(&mut self, c: Admin) -> Result<u64, Outcome> {
        let (ours, result) = self.command(c);
        assert!(ours, "the completion is another command's");
        result
    }

    /// The slot of the next completion.
    pub fn next_slot(&self) -> u64 {
        self.commands % ENTRIES
    }

    pub fn alloc(&mut self, len: u64) -> u64 {
        self.next += len.next_multiple_of(PAGE_SIZE);
        self.next - len.next_multiple_of(PAGE_SIZE)
    }

    /// An address space with `len` bytes of HBM of die 0 at [`VA`].
    pub fn space(&mut self, id: u32, len: u64) {
        self.admin(Admin::new(Opcode::VmCreate, id)).unwrap();
        self.admin(Admin { va: VA, len, flags: 3, ..Admin::new(Opcode::Map, id) }).unwrap();
    }

    pub fn queue(&mut self, id: u32, vm: u32, die: u32) -> Queue {
        let (ring, fence) = (self.alloc(64 * 64), self.alloc(PAGE_SIZE));
        let setup = QueueSetup {
            queue: id,
            vm,
            die,
            priority: 3,
            entries: 64,
            ring: GUEST + ring,
            fence: GUEST + fence,
            goes_on: None,
        };
        self.admin(Admin::queue_create(setup)).unwrap();
        Queue { id, ring, fence, tail: 0 }
    }

    pub fn submit(&mut self, q: &mut Queue, sqe: Sqe) {
        // SAFETY: the slot lies in the ring.
        unsafe { self.ram.at::<Sqe>(q.ring + q.tail % 64 * 64).write_volatile(sqe) };
        q.tail += 1;
        let page = u64::from(q.id) * PAGE_SIZE;
        let (tail, kick) = (self.doorbells.word(page), self.doorbells.word32(page + 64));
        if doorbell::ring(tail, kick, q.tail) {
            self.client.set_reg(Reg::Kick, q.id.into());
        }
    }

    pub fn completed(&self, q: &Queue) -> u64 {
        self.ram.word(q.fence).load(Ordering::Acquire)
    }

    /// Waits until everything submitted is complete, or the queue stopped; its state.
    pub fn wait(&self, q: &Queue) -> u32 {
        let state = || self.ram.word32(q.fence + 8).load(Ordering::Acquire);
        until(|| self.completed(q) >= q.tail || state() != 0);
        state()
    }
}

pub struct Queue {
    pub id: u32,
    ring: u64,
    pub fence: u64,
    pub tail: u64,
}

pub fn until(done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "it does not come");
        std::thread::sleep(Duration::from_micros(50));
    }
}
