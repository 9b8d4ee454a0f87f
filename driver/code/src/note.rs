//! The notes that `vinci cc` leaves in a code object. Their name is "Vinci".
//!
//! Type 1 says how the object was made: format, NPU architecture, x86-64 level, flags, and the chip's name in 32
//! bytes. Type 2 is a kernel: its entry (relative to the description), its kind, the number of its parameters, the
//! bytes of its arguments, where its parameters are (relative again: offset and size of each), and its name,
//! NUL-terminated. Type 3, without a description, says that a kernel prints.

use crate::CodeError;
use crate::image::Image;

/// Format of the notes.
const FORMAT: u32 = 1;
/// Most kernels of an object.
const MOST_KERNELS: usize = 4096;
/// Most bytes of a kernel's arguments.
const MOST_ARGS: u32 = 64 << 10;

/// x86-64 level that an object needs, as the psABI numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(pub u32);

impl Level {
    /// Of this machine: 3 or 4 if it has their instructions, else 2.
    pub fn here() -> Level {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let v3 =
                has!("avx2") && has!("bmi1") && has!("bmi2") && has!("f16c") && has!("fma") && has!("lzcnt");
            let v4 = has!("avx512f")
                && has!("avx512bw")
                && has!("avx512cd")
                && has!("avx512dq")
                && has!("avx512vl");
            match (v3, v4) {
                (true, true) => Level(4),
                (true, false) => Level(3),
                _ => Level(2),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        Level(0)
    }
}

/// How an object was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// NPU architecture number that it was compiled for.
    pub arch: u32,
    /// See [`Level`].
    pub level: Level,
    /// Chip that it was compiled for.
    pub chip: String,
    /// A kernel of it prints.
    pub prints: bool,
}

/// Cores that a block of a kernel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// One that does both cube and vector work.
    Any = 0,
    /// A cube core.
    Aic = 1,
    /// A vector core.
    Aiv = 2,
    /// A cube core and a vector core.
    Mix11 = 3,
    /// A cube core and two vector cores.
    Mix12 = 4,
}

impl Kind {
    fn from_raw(v: u32) -> Option<Self> {
        Some(match v {
            0 => Self::Any,
            1 => Self::Aic,
            2 => Self::Aiv,
            3 => Self::Mix11,
            4 => Self::Mix12,
            _ => return None,
        })
    }
}

/// A parameter's place in the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    /// First byte.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

/// A kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Name, as the linker sees it.
    pub name: String,
    /// Cores.
    pub kind: Kind,
    /// Entry, from the image's base.
    pub entry: u64,
    /// Bytes of its arguments.
    pub args_size: u32,
    /// Its parameters.
    pub params: Vec<Param>,
}

/// Reads a note's numbers one after the other.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*word))
    }

    fn text(&self) -> Option<String> {
        let end = self.0.iter().position(|&b| b == 0)?;
        String::from_utf8(self.0[..end].to_vec()).ok()
    }
}

/// All notes of an image.
pub(crate) fn read(image: &Image) -> Result<(Made, Vec<Kernel>), CodeError> {
    let bad = CodeError::Malformed("a note");
    let (mut made, mut kernels, mut prints) = (None::<Made>, Vec::<Kernel>::new(), false);
    for &(start, len) in &image.notes {
        let mut at = start;
        let end = start.saturating_add(len);
        while at < end {
            let mut header = Reader(image.get(at, 12).ok_or(bad.clone())?);
            let [name_len, len, kind] = [(); 3].map(|()| header.u32().unwrap_or(0));
            let name_at = at.saturating_add(12);
            let desc_at = name_at.saturating_add(u64::from(name_len).next_multiple_of(4));
            let name = image.get(name_at, name_len.into()).ok_or(bad.clone())?;
            let desc = image.get(desc_at, len.into()).ok_or(bad.clone())?;
            at = desc_at.saturating_add(u64::from(len).next_multiple_of(4));
            match (name, kind) {
                (b"Vinci\0", 1) => made = Some(how_made(desc)?),
                (b"Vinci\0", 3) => prints = true,
                (b"Vinci\0", 2) => {
                    let kernel = kernel(desc, desc_at, image).ok_or(bad.clone())?;
                    if kernels.len() == MOST_KERNELS || kernels.iter().any(|k| k.name == kernel.name) {
                        return Err(CodeError::Twice(kernel.name));
                    }
                    kernels.push(kernel);
                }
                _ => {}
            }
        }
    }
    let mut made = made.ok_or(CodeError::NoNotes)?;
    made.prints = prints;
    Ok((made, kernels))
}

fn how_made(desc: &[u8]) -> Result<Made, CodeError> {
    let mut r = Reader(desc);
    let mut next = || r.u32().ok_or(CodeError::Malformed("the note of how it was made"));
    let (format, arch, level, _flags) = (next()?, next()?, next()?, next()?);
    if format != FORMAT {
        return Err(CodeError::Version(format));
    }
    let here = Level::here();
    if Level(level) > here {
        return Err(CodeError::Level(level, here.0));
    }
    Ok(Made { arch, level: Level(level), chip: r.text().unwrap_or_default(), prints: false })
}

fn kernel(desc: &[u8], desc_at: u64, image: &Image) -> Option<Kernel> {
    let mut r = Reader(desc);
    let entry = desc_at.wrapping_add_signed(i64::from(r.u32()? as i32));
    let executable = |range: &&crate::Range| entry >= range.start && entry - range.start < range.len;
    image.ranges.iter().find(executable).filter(|range| range.access & 4 != 0)?;
    let kind = Kind::from_raw(r.u32()?)?;
    let (count, args_size) = (r.u32()?, r.u32()?);
    if args_size > MOST_ARGS || count > 4096 {
        return None;
    }
    let params_at = (desc_at + 16).wrapping_add_signed(i64::from(r.u32()? as i32));
    let mut table = Reader(image.get(params_at, u64::from(count) * 8)?);
    let mut params = Vec::new();
    for _ in 0..count {
        let param = Param { offset: table.u32()?, size: table.u32()? };
        param.offset.checked_add(param.size).filter(|&end| end <= args_size)?;
        params.push(param);
    }
    let name = r.text().filter(|name| !name.is_empty() && name.len() < 1024)?;
    Some(Kernel { name, kind, entry, args_size, params })
}
