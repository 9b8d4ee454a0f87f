// What the device and the program in the jail share: one memfd, and the addresses that both know. The file is
// compiled into both.

use core::sync::atomic::{AtomicU32, AtomicU64};

/// Changes with every change of what is below, and of the core's context in `ascendc/impl/core.h`.
pub const ABI: u32 = 1;

/// Where the jail finds [`Control`].
pub const CONTROL_BASE: u64 = 0x1000_0000_0000;
/// Where code objects lie in the jail.
pub const CODE_BASE: u64 = 0x1010_0000_0000;
/// Bytes of addresses for each code object.
pub const CODE_STRIDE: u64 = 0x1000_0000;
/// Most code objects of an address space.
pub const CODES: u64 = 1024;
/// Where the cores' local memories lie in the jail.
pub const CORES_BASE: u64 = 0x1100_0000_0000;
/// Bytes of addresses for each core.
pub const CORE_STRIDE: u64 = 0x100_0000;
/// Most cores that work at a time.
pub const CORES: usize = 128;
/// Where device memory begins.
pub const DEVICE_BASE: u64 = 0x1200_0000_0000;
/// Where device memory ends.
pub const DEVICE_END: u64 = 0x1600_0000_0000;

/// Bytes of a core's stack with its context, and their alignment: a stack pointer leads to the context.
pub const STACK_BYTES: u64 = 0x10_0000;
/// Bytes of the context at the stack's low end; a guard page follows.
pub const CONTEXT_BYTES: u64 = 0x4000;

/// Local memories of a core: name, and offset from the core's base. Their sizes are in [`Config::local`].
pub const LOCALS: [(&str, u64); 7] = [
    ("UB", 0x11_0000),
    ("L1", 0x20_0000),
    ("L0A", 0x40_0000),
    ("L0B", 0x50_0000),
    ("L0C", 0x60_0000),
    ("BT", 0x70_0000),
    ("FB", 0x78_0000),
];

/// Most worker threads.
pub const WORKERS: usize = 16;
/// Kernels that can be in the jail at a time.
pub const JOBS: usize = 64;
/// Bytes of arguments of a kernel.
pub const ARGS_BYTES: usize = 0x2_1000;
/// Ranges that can wait to be forgotten.
pub const FORGETS: usize = 256;
/// Bytes of [`Control`] in front of the arguments.
pub const HEADER_BYTES: usize = 0x1_0000;
/// Bytes of the shared memory.
pub const CONTROL_BYTES: usize = HEADER_BYTES + JOBS * ARGS_BYTES;

/// Pipes of a core: scalar, vector, cube, MTE1, MTE2, MTE3, fixpipe.
pub const PIPES: usize = 7;

/// What the jail is told once.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Config {
    /// [`ABI`].
    pub abi: u32,
    /// Worker threads.
    pub workers: u32,
    /// Cube cores of the die.
    pub aic: u32,
    /// Vector cores of the die.
    pub aiv: u32,
    /// Bytes of [`LOCALS`], multiples of the page size.
    pub local: [u32; 7],
    /// NPU architecture number.
    pub arch: u32,
    /// Rates of the chip: see `ascendc/impl/core.h`.
    pub rates: [f32; 16],
}

/// [`Job::state`].
pub const FREE: u32 = 0;
/// [`Job::state`].
pub const QUEUED: u32 = 1;
/// [`Job::state`].
pub const DONE: u32 = 2;

/// Why a kernel did not end well.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Fault {
    /// 0: none; else one of the `FAULT_` numbers.
    pub kind: u32,
    /// Signal number, system call number, or what the kernel's own check says.
    pub code: u32,
    /// Block.
    pub block: u32,
    /// Core.
    pub core: u32,
    /// 0: neither, 1: AIC, 2: AIV.
    pub role: u32,
    /// Whether the access was a store.
    pub write: u32,
    /// Program counter.
    pub pc: u64,
    /// Address of the access.
    pub address: u64,
    /// Base address of the core's memories.
    pub base: u64,
    /// What a check compared: see `ascendc/impl/check.h`.
    pub check: [u64; 6],
    /// Where the function that was at fault was called from, and that one in turn; 0 at the end.
    pub callers: [u64; CALLERS],
}

/// Most callers of a fault's record.
pub const CALLERS: usize = 8;

/// An access to memory that is not there.
pub const FAULT_ADDRESS: u32 = 1;
/// An instruction that cannot be executed, or `trap`.
pub const FAULT_INSTRUCTION: u32 = 2;
/// A division.
pub const FAULT_ARITHMETIC: u32 = 3;
/// A system call.
pub const FAULT_SYSTEM_CALL: u32 = 4;
/// A check of a tile instruction.
pub const FAULT_CHECK: u32 = 5;
/// All cores wait, and none can go on.
pub const FAULT_DEADLOCK: u32 = 6;
/// Told to stop.
pub const FAULT_CANCELLED: u32 = 7;
/// The jail ended.
pub const FAULT_DIED: u32 = 8;

/// A kernel in the jail.
#[repr(C)]
pub struct Job {
    /// [`FREE`] and [`QUEUED`] are written by the device, [`DONE`] by the jail.
    pub state: AtomicU32,
    /// The device wants it to stop.
    pub cancel: AtomicU32,
    /// Blocks.
    pub blocks: u32,
    /// Cores that a block takes: 0 one, of either kind; 1 AIC; 2 AIV; 3 an AIC and an AIV; 4 an AIC and two AIV.
    pub kind: u32,
    /// Address of the entry.
    pub entry: u64,
    /// What must be forgotten before it starts: [`Control::forget_tail`] as it was.
    pub forget: u32,
    /// Bytes of arguments.
    pub args_bytes: u32,
    /// Device address that `printf` writes to, or 0.
    pub print: u64,
    /// Device address of the workspace, or 0.
    pub workspace: u64,
    /// Result.
    pub fault: Fault,
    /// Result: model cycles from start to end.
    pub cycles: AtomicU64,
    /// Result: bytes moved from and to HBM.
    pub bytes: AtomicU64,
    /// Result: cycles that each pipe worked, over all cores.
    pub busy: [AtomicU64; PIPES],
}

/// [`Request::state`].
pub const IDLE: u32 = 0;
/// [`Request::state`]: written by the jail.
pub const ASKED: u32 = 1;
/// [`Request::state`]: there is nothing to map.
pub const DENIED: u32 = 2;
/// [`Request::state`]: a message with a file is in the socket.
pub const SENT: u32 = 3;
/// [`Request::state`]: what is mapped may now be written.
pub const WRITABLE: u32 = 4;
/// It is there already, for this access too: another core asked first.
pub const PRESENT: u32 = 5;

/// An access that waits for its memory.
#[repr(C)]
pub struct Request {
    /// Futex.
    pub state: AtomicU32,
    /// 1: a store.
    pub write: AtomicU32,
    /// Address.
    pub va: AtomicU64,
    /// With [`WRITABLE`]: the range.
    pub start: AtomicU64,
    /// With [`WRITABLE`]: its bytes.
    pub len: AtomicU64,
}

/// A range of addresses that the jail is to unmap.
#[repr(C)]
pub struct Forget {
    /// First byte.
    pub va: AtomicU64,
    /// Bytes.
    pub len: AtomicU64,
}

/// With [`SENT`]: what goes along with the file.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Map {
    /// First address.
    pub va: u64,
    /// Bytes.
    pub len: u64,
    /// Offset into the file.
    pub offset: u64,
    /// 1 load, 2 store, 4 execute.
    pub access: u32,
    /// 1: stores stay in this process.
    pub private: u32,
}

/// The shared memory. [`ARGS_BYTES`] for each job follow at [`HEADER_BYTES`].
#[repr(C)]
pub struct Control {
    /// See [`Config`].
    pub config: Config,
    /// Futex of the device's thread: changes when it is to look.
    pub bell: AtomicU32,
    /// The device sleeps and wants the bell when a job is done.
    pub want: AtomicU32,
    /// Futex of idle workers: changes when there is work.
    pub work: AtomicU32,
    /// Workers that sleep on it.
    pub sleepers: AtomicU32,
    /// Workers that may work.
    pub active: AtomicU32,
    /// 1 once the jail is closed and takes jobs.
    pub up: AtomicU32,
    /// Namespaces that it lives in, as the flags of clone(2).
    pub namespaces: AtomicU32,
    /// Jobs ever queued.
    pub tail: AtomicU32,
    /// Ranges ever to be forgotten.
    pub forget_tail: AtomicU32,
    /// Ranges ever forgotten.
    pub forget_head: AtomicU32,
    /// Thread numbers of the workers.
    pub threads: [AtomicU32; WORKERS],
    /// What each worker works on: a job, plus 1.
    pub running: [AtomicU32; WORKERS],
    /// See [`Request`].
    pub request: Request,
    /// A fault outside any kernel; the jail has ended because of it.
    pub last: Fault,
    /// Jobs in the order in which they were queued.
    pub ring: [AtomicU32; JOBS],
    /// See [`Forget`].
    pub forgets: [Forget; FORGETS],
    /// See [`Job`].
    pub jobs: [Job; JOBS],
}

const _: () = assert!(size_of::<Control>() <= HEADER_BYTES);

/// What a kernel sees of its core: at the low end of its stack. Mirrored by `ascendc/impl/core.h`.
#[repr(C)]
pub struct Core {
    /// [`ABI`].
    pub abi: u32,
    /// Index of the block.
    pub block: u32,
    /// Number of blocks.
    pub blocks: u32,
    /// Which of the block's vector cores.
    pub sub_block: u32,
    /// Vector cores of the block.
    pub sub_blocks: u32,
    /// 0: cube and vector, 1: AIC, 2: AIV.
    pub role: u32,
    /// Core of the die.
    pub core: u32,
    /// NPU architecture number.
    pub arch: u32,
    /// Cube cores of the die.
    pub aic: u32,
    /// Vector cores of the die.
    pub aiv: u32,
    /// Address of each local memory.
    pub local: [u64; 7],
    /// Bytes of each local memory.
    pub local_bytes: [u32; 7],
    /// Zero.
    pub reserved: u32,
    /// Device address that `printf` writes to, or 0.
    pub print: u64,
    /// Device address of the workspace, or 0.
    pub workspace: u64,
    /// Words that the cores of a kernel share.
    pub shared: u64,
    /// Gives the core up until the 64-bit word at an address is at least a value.
    pub wait: u64,
    /// What the last failed check compared; kind first, 0 for none.
    pub check: [u64; 7],
    /// Rates of the chip.
    pub rates: [f32; 16],
    /// When each pipe is free, cycles.
    pub time: [f64; PIPES],
    /// How long each pipe worked, cycles.
    pub busy: [f64; PIPES],
    /// Bytes moved from and to HBM.
    pub bytes: u64,
    /// Free for the headers.
    pub scratch: [u64; 1024],
}

const _: () = assert!(size_of::<Core>() <= CONTEXT_BYTES as usize);
/// Words that the cores of a kernel share.
pub const SHARED_WORDS: usize = 4096;
