//! Turning what went wrong into a fault record.

use vinci_hw::sqe::Sqe;
use vinci_hw::uapi::*;
use vinci_kernels::KernelFault;

use crate::mmu::Miss;
use crate::sdma::SdmaError;

/// No AI core: the scheduler or an SDMA engine.
pub const NO_CORE: u32 = u32::MAX;

/// What is known where the fault happens; the queue adds the rest.
#[derive(Clone, Debug)]
pub struct Cause {
    /// A `drm_vinci_fault_cause`.
    pub cause: drm_vinci_fault_cause,
    /// AI core, or [`NO_CORE`].
    pub core: u32,
    /// Device address, or 0.
    pub address: u64,
    /// Bytes of the access.
    pub size: u64,
    /// Whether it was a store.
    pub write: bool,
    /// A sentence.
    pub text: String,
}

impl Cause {
    /// A fault without an address.
    pub fn new(cause: drm_vinci_fault_cause, text: impl Into<String>) -> Self {
        Self { cause, core: NO_CORE, address: 0, size: 0, write: false, text: text.into() }
    }

    /// An access that could not be made.
    pub fn access(miss: Miss, size: u64, write: bool) -> Self {
        let verb = if write { "store" } else { "load" };
        let why = match miss {
            Miss::Unmapped(_) => "nothing is mapped there".into(),
            Miss::Forbidden(_) => "the mapping does not allow it".into(),
            Miss::NoPeer(_, die) => format!("it is HBM of die {die} and peer access is not enabled"),
            Miss::LinkDown(_) => "the die-to-die link is down".into(),
            Miss::Ecc(_) => "uncorrectable memory error".into(),
            Miss::Window(..) => "it is pageable memory of another process, which only copies can use".into(),
        };
        let address = miss.addr();
        let text = format!("{verb} of {size} bytes: at {address:#x} {why}");
        Self { address, size, write, ..Self::new(cause_of(miss), text) }
    }

    /// The record. `entry` counts from 1.
    pub fn record(&self, queue: u32, die: u32, entry: u64, sqe: &Sqe, wall_ns: u64) -> drm_vinci_fault {
        let mut f = drm_vinci_fault::zeroed();
        f.cause = self.cause;
        f.queue_id = queue;
        f.entry = entry;
        f.die = die;
        f.core = self.core;
        f.address = self.address;
        f.size = self.size;
        f.write = self.write.into();
        f.opcode = sqe.opcode.into();
        f.kernel =
            if u32::from(sqe.opcode) == DRM_VINCI_OP_KERNEL { vinci_hw::sqe::words(sqe)[0] } else { 0 };
        f.wall_ns = wall_ns;
        let room = f.text.len() - 1;
        for (to, from) in f.text[..room].iter_mut().zip(self.text.bytes()) {
            *to = from as _;
        }
        f
    }
}

/// The cause that a miss is reported as.
pub fn cause_of(miss: Miss) -> drm_vinci_fault_cause {
    match miss {
        Miss::Unmapped(_) | Miss::Forbidden(_) | Miss::Window(..) => DRM_VINCI_FAULT_ADDRESS,
        Miss::NoPeer(..) => DRM_VINCI_FAULT_PEER,
        Miss::LinkDown(_) => DRM_VINCI_FAULT_LINK,
        Miss::Ecc(_) => DRM_VINCI_FAULT_ECC,
    }
}

impl From<SdmaError> for Cause {
    fn from(e: SdmaError) -> Self {
        match e {
            SdmaError::Miss(miss, size, write) => Self::access(miss, size, write),
            SdmaError::Malformed(why) => Self::new(DRM_VINCI_FAULT_ENTRY, why),
        }
    }
}

/// A fault of kernel `name` on `core`.
pub fn of_kernel(name: &str, core: u32, fault: &KernelFault) -> Cause {
    let (cause, address, size, write) = match *fault {
        KernelFault::Address { va, bytes, write, cause } => (cause, va, bytes, write),
        KernelFault::Args(_) | KernelFault::Unsupported(_) => (DRM_VINCI_FAULT_KERNEL, 0, 0, false),
        KernelFault::Exception { .. } => (DRM_VINCI_FAULT_EXCEPTION, 0, 0, false),
    };
    Cause { cause, core, address, size, write, text: format!("kernel {name}: {fault}") }
}
