//! Code objects: ELF shared objects for the host's own instruction set, which `vinci cc` makes from Ascend C.
//!
//! Notes in the object (`note.rs`) list its kernels. [`CodeObject::parse`] checks the object and lays it out at the
//! address where the jail will map it (`image.rs`), so that no ELF parser runs in the jail. `lines.rs` turns a program
//! counter back into a line of source. The bytes come from a program: every number in them is checked.

mod error;
mod image;
mod lines;
mod note;

pub use error::CodeError;
pub use image::{Image, Range};
pub use note::{Kernel, Kind, Level, Made, Param};

use lines::Lines;

/// A code object that has been checked.
pub struct CodeObject {
    /// Its memory.
    pub image: Image,
    /// How it was made.
    pub made: Made,
    /// Its kernels, in the order of their notes.
    pub kernels: Vec<Kernel>,
    /// What is needed to find lines, if it was compiled with `-g`.
    debug: Option<Vec<u8>>,
}

impl CodeObject {
    /// Checks `bytes` and lays the object out at `base`, a multiple of the page size.
    pub fn parse(bytes: &[u8], base: u64) -> Result<Self, CodeError> {
        let image = Image::lay_out(bytes, base)?;
        let (made, kernels) = note::read(&image)?;
        let debug = Lines::are_in(bytes).then(|| bytes.to_vec());
        Ok(Self { image, made, kernels, debug })
    }

    /// What a program may know without a device: the kernels, in order.
    pub fn kernels_of(bytes: &[u8]) -> Result<Vec<Kernel>, CodeError> {
        Self::parse(bytes, 0).map(|object| object.kernels)
    }

    /// The object's file with its lines, if it was compiled with `-g`.
    pub fn debug_file(&self) -> Option<&[u8]> {
        self.debug.as_deref()
    }

    /// The place in the kernel's own source, not in a header of Ascend C, that the addresses lead to: the first is
    /// where something happened, each other one where the function before it was called. File and line.
    pub fn line(&self, addresses: impl IntoIterator<Item = u64>) -> Option<String> {
        let debug = self.debug.as_deref()?;
        let places =
            addresses.into_iter().filter_map(|pc| Lines::find(debug, pc.checked_sub(self.image.base)?));
        let mut last = None;
        for (place, ours) in places {
            if !ours {
                return Some(place);
            }
            last = last.or(Some(place));
        }
        last
    }
}
