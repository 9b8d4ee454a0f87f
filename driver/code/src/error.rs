//! Why a file is no code object.

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Not an ELF file.
    #[error("not an ELF object ({0} bytes)")]
    NotElf(usize),
    /// For another machine than the host.
    #[error(
        "an ELF object for machine {0:#x}: what CANN's own compiler makes runs on the card only; compile the kernel's source with `vinci cc`"
    )]
    Machine(u16),
    /// For this machine, but nothing of ours.
    #[error("an ELF object without notes of `vinci cc`")]
    NoNotes,
    /// Of another version of ours.
    #[error("made by another version of `vinci cc` (format {0}); compile it again")]
    Version(u32),
    /// The host lacks instructions.
    #[error("compiled for x86-64-v{0}, which this machine is not; compile it with `vinci cc --level {1}`")]
    Level(u32, u32),
    /// It calls something that a core does not have.
    #[error("kernel code uses {0}, which is not on the device")]
    Undefined(String),
    /// Two kernels of one name, or more than can be.
    #[error("kernel {0} is there twice")]
    Twice(String),
    /// Malformed.
    #[error("malformed: {0}")]
    Malformed(&'static str),
}
