// What the device and the program in the jail share: one memfd, and the addresses that both know. The file is
// compiled into both.

use core::sync::atomic::{AtomicU32, AtomicU64};

/// Changes with every change of what is below, and of the core's context in `ascendc/impl/core.h`.
pub const ABI: u32 = 3;

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
pub const CONTEXT_BYTES: u64 = 0x2_0000;

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
pub const HEADER_BYTES: usize = 0x2_0000;
/// Bytes of the shared memory.
pub const CONTROL_BYTES: usize = HEADER_BYTES + JOBS * ARGS_BYTES + KEPT * size_of::<Slice>();

/// Pipes of a core: scalar, vector, cube, MTE1, MTE2, MTE3, fixpipe.
pub const PIPES: usize = 7;

/// Numbers of a chip: see `ascendc/impl/core.h`.
pub const RATES: usize = 32;

/// A number for each assumption about global memory, and one to spare: see `ascendc/impl/core.h`.
#[derive(Clone, Copy, Default)]
#[repr(C, align(32))]
pub struct Lanes(pub [f64; 4]);

/// [`Core::mode`] and [`Job::mode`]: look for accesses that nothing orders.
pub const MODE_RACES: u32 = 1;
/// [`Core::mode`] and [`Job::mode`]: record what each pipe does.
pub const MODE_RECORD: u32 = 2;
/// [`Job::mode`]: with [`MODE_RACES`], in a few blocks only.
pub const MODE_SOME: u32 = 4;
/// [`Job::mode`]: a debugger comes; nothing of it runs until [`Control::go`] is set.
pub const MODE_STOP: u32 = 8;
/// Blocks that are looked at with [`MODE_SOME`].
pub const SOME: u32 = 4;

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
    /// Bytes of L2.
    pub cache: u64,
    /// Rates of the chip: see `ascendc/impl/core.h`.
    pub rates: [f32; RATES],
    /// Rates of a cube core that differ: from L2.
    pub aic_l2: f32,
    /// 1: a debugger may attach.
    pub debug: u32,
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
    /// The job, plus 1, that must have ended well before it begins: it was queued earlier. 0: none.
    pub after: u32,
    /// Device address that `printf` writes to, or 0.
    pub print: u64,
    /// Device address of the workspace, or 0.
    pub workspace: u64,
    /// Result.
    pub fault: Fault,
    /// What is asked for: `MODE_` bits.
    pub mode: u32,
    /// Counts kernels, for [`Slice::serial`].
    pub serial: u32,
    /// Result: accesses that nothing orders; how many of [`Job::race`] there are.
    pub races: AtomicU32,
    /// Result.
    pub reserved: u32,
    /// Result.
    pub race: [Race; RACES],
    /// Result, of cube cores and of vector cores.
    pub tally: [Tally; 2],
    /// Result: bytes loaded, of these from HBM, stored, and written back to HBM.
    pub bytes: [u64; 4],
    /// Result: how much of the way from each lane to the next the kernel's times are.
    pub mix: [f64; 2],
}

/// What the cores of one kind did, in cycles.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Tally {
    /// Cores that worked.
    pub cores: u32,
    /// Blocks.
    pub blocks: u32,
    /// Time of all cores together.
    pub sum: f64,
    /// Time of the core that took longest.
    pub most: f64,
    /// How long each pipe worked, on all cores together.
    pub busy: [f64; PIPES],
}

impl Tally {
    /// Nothing.
    pub const ZERO: Self = Self { cores: 0, blocks: 0, sum: 0.0, most: 0.0, busy: [0.0; PIPES] };
}

/// Between what the lanes say.
pub fn mix(lanes: [f64; 3], mix: [f64; 2]) -> f64 {
    lanes[0] + mix[0] * (lanes[1] - lanes[0]) + mix[1] * (lanes[2] - lanes[1])
}

/// Two accesses to local memory that nothing orders, the earlier of the program first.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Race {
    /// First byte of each.
    pub low: [u64; 2],
    /// End of each.
    pub high: [u64; 2],
    /// Behind the instruction, and where its function was called from, and that one.
    pub places: [[u64; 4]; 2],
    /// Index of the pipe.
    pub pipe: [u8; 2],
    /// 1: a store.
    pub write: [u8; 2],
    /// In a [`Job`]: the block.
    pub block: u32,
}

/// Most races of a kernel that are reported.
pub const RACES: usize = 4;

/// What a pipe of a core did from when to when, in cycles of each lane.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Slice {
    /// Begin.
    pub from: [f32; 3],
    /// End.
    pub to: [f32; 3],
    /// Pipe, and from bit 8 on: core, bit 16: cube core, from bit 17 on: block.
    pub what: u32,
    /// The kernel: [`Job::serial`].
    pub serial: u32,
}

/// Slices of a block, at most.
pub const SLICES: usize = 1024;
/// Slices that the jail keeps for the device.
pub const KEPT: usize = 1 << 17;

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
    /// Workers that look for kernels without being told.
    pub lookers: AtomicU32,
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
    /// Futex of a worker that waits for a debugger, which sets it.
    pub go: AtomicU32,
    /// Zero.
    pub reserved: u32,
    /// Slices ever recorded. They lie at [`SLICES_AT`], the newest over the oldest.
    pub slices: AtomicU64,
    /// See [`Job`].
    pub jobs: [Job; JOBS],
}

const _: () = assert!(size_of::<Control>() <= HEADER_BYTES);
/// Where [`Slice`]s lie in the shared memory.
pub const SLICES_AT: usize = HEADER_BYTES + JOBS * ARGS_BYTES;

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
    pub rates: [f32; RATES],
    /// `MODE_` bits.
    pub mode: u32,
    /// Slices recorded.
    pub slices: u32,
    /// Accesses that others may not be ordered with.
    pub touches: u32,
    /// Races found.
    pub races: u32,
    /// Cores of this kind that work at the same time.
    pub sharers: f64,
    /// Address of the table of L2.
    pub cache: u64,
    /// When each pipe can take its next instruction.
    pub time: [Lanes; PIPES],
    /// When what it has done so far has arrived.
    pub tail: [Lanes; PIPES],
    /// How long each pipe worked.
    pub busy: [Lanes; PIPES],
    /// How long global memory was in use.
    pub flow: Lanes,
    /// When the vector unit began what it does.
    pub vector: Lanes,
    /// Bytes loaded, of these from HBM, stored, and written back to HBM.
    pub bytes: [u64; 4],
    /// Instructions issued to each pipe.
    pub issued: [u32; 8],
    /// Of those of the others, which each pipe knows to be complete.
    pub seen: [[u32; 8]; PIPES],
    /// Operands of the instruction that is being checked.
    pub operands: u64,
    /// First and last byte of them.
    pub operand: [[u64; 2]; 8],
    /// See [`Race`].
    pub race: [Race; RACES],
    /// Free for the headers.
    pub scratch: [u64; 1024],
    /// See `ascendc/impl/core.h`.
    pub touch: [[u64; 8]; 64],
    /// See `ascendc/impl/core.h`.
    pub flags: [[Lanes; 2]; PIPES * PIPES * 8],
    /// See [`Slice`]; only the pipe is set.
    pub slice: [Slice; SLICES],
    /// See `ascendc/impl/sparse.h`.
    pub chosen: [u8; 16384],
    /// As [`Job::serial`].
    pub kernel: u32,
    /// Zero.
    pub pad: u32,
}

const _: () = assert!(size_of::<Core>() <= CONTEXT_BYTES as usize);
// As in `ascendc/impl/core.h`.
const _: () = assert!(core::mem::offset_of!(Core, slice) == 0x99c0);
/// Words that the cores of a kernel share: see `ascendc/impl/sync.h`.
pub const SHARED_WORDS: usize = ZEROED_WORDS + 48 * 3 * 16 * 16;
/// Of these, what must be zero when a kernel begins.
pub const ZEROED_WORDS: usize = 4928;
