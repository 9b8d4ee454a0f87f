//! BAR0: the control registers. 64-bit registers are read and written whole, little endian.

/// PCI identity of the function; never Huawei's own, so that this driver cannot bind to a real card.
pub mod pci {
    /// Vendor id.
    pub const VENDOR: u16 = 0x1234;
    /// Device id.
    pub const DEVICE: u16 = 0x910c;
    /// Class code: processing accelerator.
    pub const CLASS: u32 = 0x12_0000;
    /// BAR of the control registers.
    pub const BAR_REGISTERS: u8 = 0;
    /// BAR of the doorbell pages.
    pub const BAR_DOORBELLS: u8 = 2;
    /// BAR of the HBM of all dies.
    pub const BAR_HBM: u8 = 4;
}

/// Bytes of BAR0.
pub const BAR0_SIZE: u64 = 64 << 10;
/// Bytes of a page: the granule of mappings, doorbells and buffer objects.
pub const PAGE_SIZE: u64 = 4096;

/// A control register: its offset in BAR0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Reg {
    /// R: [`IDENT_MAGIC`].
    Ident = 0x000,
    /// R: interface version, major << 16 | minor.
    Version = 0x008,
    /// R: capabilities, see [`Caps`].
    Caps = 0x010,
    /// RW: bit 0 enables the device; 0 stops it.
    Control = 0x018,
    /// R: a [`Status`].
    Status = 0x020,
    /// W: [`RESET_FUNCTION`], or [`RESET_DIE`] | die. Reads 0 when the reset is done.
    Reset = 0x028,
    /// RW while disabled: bus address of the admin submission ring.
    AdminSq = 0x040,
    /// RW while disabled: bus address of the admin completion ring.
    AdminCq = 0x048,
    /// RW while disabled: entries of both admin rings, a power of two up to 256.
    AdminSize = 0x050,
    /// W: admin submission tail (an index).
    AdminTail = 0x058,
    /// R: causes pending, see [`irq`]; W: clears the bits that are 1.
    IrqCause = 0x080,
    /// RW: causes that raise vector 0.
    IrqEnable = 0x088,
    /// W: id of a queue whose device side sleeps and that has new entries.
    Kick = 0x0a0,
    /// R: hardware events ever written to the event ring.
    EventHead = 0x0c0,
    /// RW while disabled: bus address of the event ring: [`EVENT_RING_ENTRIES`] of `drm_vinci_event`.
    EventRing = 0x0c8,
    /// RW: hardware events that the driver has read.
    EventTail = 0x0d0,
    /// R: ns since bring-up.
    WallClock = 0x100,
}

impl Reg {
    /// The register at an offset, if there is one.
    pub const fn from_offset(offset: u64) -> Option<Self> {
        Some(match offset {
            0x000 => Self::Ident,
            0x008 => Self::Version,
            0x010 => Self::Caps,
            0x018 => Self::Control,
            0x020 => Self::Status,
            0x028 => Self::Reset,
            0x040 => Self::AdminSq,
            0x048 => Self::AdminCq,
            0x050 => Self::AdminSize,
            0x058 => Self::AdminTail,
            0x080 => Self::IrqCause,
            0x088 => Self::IrqEnable,
            0x0a0 => Self::Kick,
            0x0c0 => Self::EventHead,
            0x0c8 => Self::EventRing,
            0x0d0 => Self::EventTail,
            0x100 => Self::WallClock,
            _ => return None,
        })
    }
}

/// Value of [`Reg::Ident`]: "VINCI910".
pub const IDENT_MAGIC: u64 = u64::from_le_bytes(*b"VINCI910");
/// Version this crate describes.
pub const INTERFACE_VERSION: u64 = 1 << 16;
/// [`Reg::Reset`]: the whole function.
pub const RESET_FUNCTION: u64 = 1 << 8;
/// [`Reg::Reset`]: one die, or-ed with its number.
pub const RESET_DIE: u64 = 1 << 9;
/// Entries of the ring at [`Reg::EventRing`].
pub const EVENT_RING_ENTRIES: u64 = 256;

/// [`Reg::Caps`], unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Dies of the module, bits 0..8.
    pub dies: u8,
    /// log2 of the queues, bits 8..16.
    pub queues_log2: u8,
    /// MSI-X vectors, bits 16..32.
    pub vectors: u16,
}

impl Caps {
    /// From the register.
    pub const fn unpack(v: u64) -> Self {
        Self { dies: v as u8, queues_log2: (v >> 8) as u8, vectors: (v >> 16) as u16 }
    }

    /// To the register.
    pub const fn pack(self) -> u64 {
        self.dies as u64 | (self.queues_log2 as u64) << 8 | (self.vectors as u64) << 16
    }
}

/// [`Reg::Status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Status {
    /// Registers may be set up.
    Disabled = 0,
    /// Admin queue and user queues run.
    Ready = 1,
    /// A reset is under way.
    Resetting = 2,
    /// Only a function reset helps.
    Dead = 3,
}

impl Status {
    /// From the register.
    pub const fn from_raw(v: u64) -> Option<Self> {
        Some(match v {
            0 => Self::Disabled,
            1 => Self::Ready,
            2 => Self::Resetting,
            3 => Self::Dead,
            _ => return None,
        })
    }
}

/// Bits of [`Reg::IrqCause`].
pub mod irq {
    /// Admin completions are in the completion ring.
    pub const ADMIN: u64 = 1 << 0;
    /// Hardware events are in the event ring.
    pub const EVENT: u64 = 1 << 1;
}

/// Vector of admin completions and hardware events; a queue's completions use [`queue_vector`].
pub const VECTOR_ADMIN: u16 = 0;

/// The vector that fires when `queue`'s fence passes the value somebody waits for.
pub const fn queue_vector(queue: u32, vectors: u16) -> u16 {
    if vectors < 2 { 0 } else { 1 + (queue % (vectors as u32 - 1)) as u16 }
}

/// Where the HBM of `die` begins in BAR4, if each die has `hbm_bytes`: at a multiple of a power of two.
pub const fn hbm_start(die: u32, hbm_bytes: u64) -> u64 {
    die as u64 * hbm_bytes.next_power_of_two()
}

/// Bytes of BAR4.
pub const fn hbm_bar_size(dies: u32, hbm_bytes: u64) -> u64 {
    hbm_start(dies, hbm_bytes).next_power_of_two()
}
