//! The admin queue: 64-byte commands, 16-byte completions with a phase bit, in the manner of NVMe.
//!
//! The driver writes commands into the submission ring, stores the new tail to `Reg::AdminTail`, and finds
//! completions in order in the completion ring: an entry is new when its phase bit differs from the last
//! round's (the first round's is 1).

use vinci_uapi::Payload;

/// Kind of an admin command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Opcode {
    /// Writes [`vinci_uapi::drm_vinci_device_info`] (`id` 0) or `drm_vinci_die_info` of die `id` - 1 to `addr`.
    Identify = 0x01,
    /// `id`: the new address space.
    VmCreate = 0x02,
    /// `id`: address space; all its mappings go.
    VmDestroy = 0x03,
    /// Maps `len` bytes at `va` to `addr` in `id`; `kind` is a [`Target`], `flags` are `DRM_VINCI_MAP_*`,
    /// `arg` is the die for HBM (then `addr` is an offset into its HBM, else a bus address).
    Map = 0x04,
    /// Removes the mappings that `len` bytes at `va` cover, and waits until nothing uses them.
    Unmap = 0x05,
    /// Die `kind` may (`flags` 1) or may not (0) reach the HBM of die `arg` in `id`.
    Peer = 0x06,
    /// Creates queue `id`: see [`Command::queue_create`].
    QueueCreate = 0x07,
    /// Destroys queue `id`. While a long entry of it is on the cores: [`Outcome::Busy`]; it runs no other, and is to be
    /// destroyed again a little later.
    QueueDestroy = 0x08,
    /// Drops the outstanding entries of queue `id`; `result` is how many.
    QueueReset = 0x09,
    /// Lets queue `id` go on behind the host call that is entry `va`.
    QueueResume = 0x0a,
    /// Writes [`vinci_uapi::drm_vinci_telemetry`] of die `id` to `addr`.
    Telemetry = 0x0b,
    /// Injects `kind` (`drm_vinci_inject_kind`) on die `arg`, at device address `va` of address space `id`.
    Inject = 0x0c,
    /// Overwrites `len` bytes of die `arg`'s HBM at `addr` with zero; whole pages go back to the host.
    Scrub = 0x0d,
    /// Looks up the resident kernel whose NUL-terminated name (48 bytes) is at `addr` and writes the
    /// completed `drm_vinci_kernel_info` there.
    Kernel = 0x0e,
    /// Sets the clock limit (`va`, MHz) and power limit (`addr`, mW) of die `id`; 0 leaves one as it is.
    Limits = 0x0f,
    /// Reads the code object of `len` bytes at device address `va` for address space `id`, and makes the cores of die
    /// `arg` ready; `result` is its number << 32 and how many kernels it has.
    CodeLoad = 0x10,
    /// Forgets code object `arg` of address space `id` after its kernels that run have ended.
    CodeUnload = 0x11,
}

impl Opcode {
    /// From a command's field.
    pub const fn from_raw(v: u16) -> Option<Self> {
        Some(match v {
            0x01 => Self::Identify,
            0x02 => Self::VmCreate,
            0x03 => Self::VmDestroy,
            0x04 => Self::Map,
            0x05 => Self::Unmap,
            0x06 => Self::Peer,
            0x07 => Self::QueueCreate,
            0x08 => Self::QueueDestroy,
            0x09 => Self::QueueReset,
            0x0a => Self::QueueResume,
            0x0b => Self::Telemetry,
            0x0c => Self::Inject,
            0x0d => Self::Scrub,
            0x0e => Self::Kernel,
            0x0f => Self::Limits,
            0x10 => Self::CodeLoad,
            0x11 => Self::CodeUnload,
            _ => return None,
        })
    }
}

/// What [`Opcode::Map`] maps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Target {
    /// A die's HBM.
    Hbm = 0,
    /// Host memory, by bus address.
    Host = 1,
}

/// An admin command. Fields that an opcode does not name are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Command {
    /// An [`Opcode`].
    pub opcode: u16,
    /// Comes back in the completion.
    pub tag: u16,
    /// See [`Opcode`].
    pub id: u32,
    /// See [`Opcode`].
    pub kind: u16,
    /// See [`Opcode`].
    pub flags: u16,
    /// See [`Opcode`].
    pub arg: u32,
    /// Device address.
    pub va: u64,
    /// Bus address, or offset into HBM.
    pub addr: u64,
    /// Bytes.
    pub len: u64,
    /// See [`Command::queue_create`].
    pub extra: [u64; 3],
}

/// What [`Opcode::QueueCreate`] needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSetup {
    /// Queue, which is also its doorbell page.
    pub queue: u32,
    /// Address space its work runs in.
    pub vm: u32,
    /// Die that runs it.
    pub die: u32,
    /// 0 (highest) to 7.
    pub priority: u16,
    /// Entries of the ring, a power of two.
    pub entries: u32,
    /// Bus address of the ring.
    pub ring: u64,
    /// Bus address of the fence page.
    pub fence: u64,
    /// A queue that the device was told to forget goes on: entries completed so far. The tail in its doorbell page
    /// stays, and the fence goes on from here.
    pub goes_on: Option<u64>,
}

impl Command {
    /// A command with only an opcode and an id.
    pub fn new(opcode: Opcode, id: u32) -> Self {
        Self { opcode: opcode as u16, id, ..Self::default() }
    }

    /// Packs a [`QueueSetup`].
    pub fn queue_create(q: QueueSetup) -> Self {
        Self {
            kind: q.priority,
            arg: q.die,
            addr: q.ring,
            len: u64::from(q.entries),
            flags: q.goes_on.is_some().into(),
            extra: [q.fence, u64::from(q.vm), q.goes_on.unwrap_or(0)],
            ..Self::new(Opcode::QueueCreate, q.queue)
        }
    }

    /// Unpacks what [`Command::queue_create`] packed; checks nothing.
    pub fn queue_setup(&self) -> QueueSetup {
        QueueSetup {
            queue: self.id,
            vm: self.extra[1] as u32,
            die: self.arg,
            priority: self.kind,
            entries: self.len as u32,
            ring: self.addr,
            fence: self.extra[0],
            goes_on: (self.flags & 1 != 0).then_some(self.extra[2]),
        }
    }
}

// SAFETY: repr(C), integers only; the size assertion below leaves no room for padding.
unsafe impl Payload for Command {}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Outcome {
    /// Done.
    Ok = 0,
    /// Unknown opcode, or a field out of range.
    Invalid = 1,
    /// The id names nothing, or is taken (for a create).
    BadId = 2,
    /// Overlaps a mapping, or cuts one.
    Overlap = 3,
    /// A bus address that the device cannot reach.
    BusFault = 4,
    /// In use.
    Busy = 5,
    /// The device has no room for it.
    NoResource = 6,
    /// Not found.
    NotFound = 7,
}

impl Outcome {
    /// From a completion's field.
    pub const fn from_raw(v: u16) -> Option<Self> {
        Some(match v {
            0 => Self::Ok,
            1 => Self::Invalid,
            2 => Self::BadId,
            3 => Self::Overlap,
            4 => Self::BusFault,
            5 => Self::Busy,
            6 => Self::NoResource,
            7 => Self::NotFound,
            _ => return None,
        })
    }
}

/// An admin completion. `status` is written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Completion {
    /// See [`Opcode`].
    pub result: u64,
    /// Submission-ring index up to which the device has read.
    pub sq_head: u16,
    /// Of the command.
    pub tag: u16,
    /// Zero.
    pub reserved: u16,
    /// Bit 0: phase; bits 1..: an [`Outcome`].
    pub status: u16,
}

impl Completion {
    /// Packs [`Completion::status`].
    pub const fn pack_status(outcome: Outcome, phase: bool) -> u16 {
        (outcome as u16) << 1 | phase as u16
    }

    /// The phase bit.
    pub const fn phase(&self) -> bool {
        self.status & 1 != 0
    }

    /// The outcome, `None` if the device wrote one this crate does not know.
    pub const fn outcome(&self) -> Option<Outcome> {
        Outcome::from_raw(self.status >> 1)
    }
}

// SAFETY: repr(C), integers only; the size assertion below leaves no room for padding.
unsafe impl Payload for Completion {}

const _: () = assert!(size_of::<Command>() == 64 && core::mem::offset_of!(Command, extra) == 40);
const _: () = assert!(size_of::<Completion>() == 16 && core::mem::offset_of!(Completion, status) == 14);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_setup_round_trips() {
        for goes_on in [None, Some(0), Some(9)] {
            let (ring, fence) = (0x1000, 0x2000);
            let q = QueueSetup { queue: 7, vm: 3, die: 1, priority: 5, entries: 1024, ring, fence, goes_on };
            assert_eq!(Command::queue_create(q).queue_setup(), q);
        }
    }

    #[test]
    fn opcodes_round_trip() {
        for raw in 0..64 {
            if let Some(op) = Opcode::from_raw(raw) {
                assert_eq!(op as u16, raw);
            }
        }
    }

    #[test]
    fn status_keeps_phase_and_outcome() {
        for outcome in [Outcome::Ok, Outcome::Busy, Outcome::NotFound] {
            for phase in [false, true] {
                let c =
                    Completion { status: Completion::pack_status(outcome, phase), ..Completion::default() };
                assert_eq!((c.outcome(), c.phase()), (Some(outcome), phase));
            }
        }
    }
}
