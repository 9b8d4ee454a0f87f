//! An object's memory, laid out and relocated for one address.

use object::Endianness;
use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, Rela, Sym};

use crate::CodeError;

/// Granule of mappings.
pub const PAGE: u64 = 4096;
/// Largest image, bytes.
pub const MOST: u64 = 0x1000_0000;

/// Pages of an image with the same permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte, from the image's base.
    pub start: u64,
    /// Bytes, whole pages.
    pub len: u64,
    /// 1 load, 2 store, 4 execute.
    pub access: u32,
}

/// See the module.
pub struct Image {
    /// Address of its first byte.
    pub base: u64,
    /// Its bytes, whole pages.
    pub bytes: Vec<u8>,
    /// What may be done with them, in order.
    pub ranges: Vec<Range>,
    /// Where its notes are: first byte and length.
    pub(crate) notes: Vec<(u64, u64)>,
}

type Header = FileHeader64<Endianness>;
/// Tag of compact relative relocations.
const DT_RELR: u32 = 36;
const END: Endianness = Endianness::Little;
const BAD: fn(&'static str) -> CodeError = CodeError::Malformed;

impl Image {
    /// Lays out `file` at `base`.
    pub(crate) fn lay_out(file: &[u8], base: u64) -> Result<Self, CodeError> {
        // A copy that is aligned, since the parser borrows structures from it.
        let aligned: Vec<u64> = file
            .chunks(8)
            .map(|c| {
                let mut word = [0; 8];
                word[..c.len()].copy_from_slice(c);
                u64::from_le_bytes(word)
            })
            .collect();
        let data = &object::pod::bytes_of_slice(&aligned)[..file.len()];
        let header = Header::parse(data).map_err(|_| CodeError::NotElf(file.len()))?;
        if !header.is_little_endian() || header.e_machine(END) != elf::EM_X86_64 {
            return Err(CodeError::Machine(header.e_machine(END)));
        }
        if header.e_type(END) != elf::ET_DYN {
            return Err(CodeError::NoNotes);
        }
        let segments = header.program_headers(END, data).map_err(|_| BAD("program headers"))?;
        let mut image = Self { base, bytes: Vec::new(), ranges: Vec::new(), notes: Vec::new() };
        let loads = segments.iter().filter(|s| s.p_type(END) == elf::PT_LOAD);
        let size = loads.clone().try_fold(0u64, |size, s| {
            let end = s.p_vaddr(END).checked_add(s.p_memsz(END)).filter(|&end| end <= MOST)?;
            Some(size.max(end.next_multiple_of(PAGE)))
        });
        let size = size.filter(|&size| size != 0).ok_or(BAD("segments that are too large, or none"))?;
        image.bytes.resize(size as usize, 0);
        let mut access = vec![0u32; (size / PAGE) as usize];
        for s in loads {
            let from = s.data(END, data).map_err(|()| BAD("a segment leaves the file"))?;
            let (at, len) = (s.p_vaddr(END) as usize, s.p_memsz(END) as usize);
            image.bytes.get_mut(at..at + from.len()).ok_or(BAD("a segment's size"))?.copy_from_slice(from);
            let flags = s.p_flags(END);
            let bits = [(elf::PF_R, 1), (elf::PF_W, 2), (elf::PF_X, 4)];
            let bits = bits.iter().filter(|b| flags & b.0 != 0).fold(0, |sum, b| sum | b.1);
            let pages = at / PAGE as usize..(at + len).div_ceil(PAGE as usize);
            access[pages].iter_mut().for_each(|page| *page |= bits);
        }
        for s in segments {
            match s.p_type(END) {
                elf::PT_TLS if s.p_memsz(END) != 0 => {
                    return Err(BAD("kernels have no thread-local variables"));
                }
                elf::PT_NOTE => image.notes.push((s.p_vaddr(END), s.p_memsz(END))),
                elf::PT_DYNAMIC => {
                    let entries = s.dynamic(END, data).map_err(|_| BAD("dynamic section"))?;
                    image.relocate(entries.unwrap_or(&[]))?;
                }
                _ => {}
            }
        }
        image.ranges = ranges(&access);
        Ok(image)
    }

    /// `len` bytes from `at` on.
    pub(crate) fn get(&self, at: u64, len: u64) -> Option<&[u8]> {
        let end = at.checked_add(len).filter(|&end| end <= self.bytes.len() as u64)?;
        Some(&self.bytes[at as usize..end as usize])
    }

    fn relocate(&mut self, entries: &[elf::Dyn64<Endianness>]) -> Result<(), CodeError> {
        let value =
            |tag: u32| entries.iter().find(|d| d.d_tag(END) == u64::from(tag)).map_or(0, |d| d.d_val(END));
        let (symbols, strings) = (value(elf::DT_SYMTAB), value(elf::DT_STRTAB));
        if value(elf::DT_REL) != 0 || value(DT_RELR) != 0 {
            return Err(BAD("relocations of an unknown kind"));
        }
        let tables = [(elf::DT_RELA, value(elf::DT_RELASZ)), (elf::DT_JMPREL, value(elf::DT_PLTRELSZ))];
        for (tag, bytes) in tables {
            let at = value(tag);
            for i in 0..bytes / 24 {
                let entry =
                    self.get(at.saturating_add(i * 24), 24).ok_or(BAD("relocations leave the object"))?;
                let mut words = [0u64; 3];
                for (word, chunk) in words.iter_mut().zip(entry.chunks_exact(8)) {
                    *word = u64::from_le_bytes(chunk.try_into().expect("8 bytes"));
                }
                let rela: &elf::Rela64<Endianness> =
                    object::pod::from_bytes(object::pod::bytes_of_slice(&words))
                        .map_err(|()| BAD("a relocation"))?
                        .0;
                let (offset, addend) = (rela.r_offset(END), rela.r_addend(END) as u64);
                let to = match rela.r_type(END, false) {
                    elf::R_X86_64_NONE => continue,
                    elf::R_X86_64_RELATIVE => self.base.wrapping_add(addend),
                    elf::R_X86_64_64 => {
                        self.symbol(symbols, strings, rela.r_sym(END, false))?.wrapping_add(addend)
                    }
                    elf::R_X86_64_GLOB_DAT | elf::R_X86_64_JUMP_SLOT => {
                        self.symbol(symbols, strings, rela.r_sym(END, false))?
                    }
                    _ => return Err(BAD("a relocation of an unknown kind")),
                };
                let at = usize::try_from(offset).map_err(|_| BAD("a relocation leaves the object"))?;
                self.bytes
                    .get_mut(at..at.saturating_add(8))
                    .ok_or(BAD("a relocation leaves the object"))?
                    .copy_from_slice(&to.to_le_bytes());
            }
        }
        Ok(())
    }

    /// Address of a dynamic symbol.
    fn symbol(&self, symbols: u64, strings: u64, index: u32) -> Result<u64, CodeError> {
        let entry = self.get(symbols.saturating_add(u64::from(index) * 24), 24).ok_or(BAD("a symbol"))?;
        let mut words = [0u64; 3];
        for (word, chunk) in words.iter_mut().zip(entry.chunks_exact(8)) {
            *word = u64::from_le_bytes(chunk.try_into().expect("8 bytes"));
        }
        let symbol: &elf::Sym64<Endianness> =
            object::pod::from_bytes(object::pod::bytes_of_slice(&words)).map_err(|()| BAD("a symbol"))?.0;
        if symbol.st_shndx(END) != elf::SHN_UNDEF {
            return Ok(self.base.wrapping_add(symbol.st_value(END)));
        }
        if symbol.st_bind() == elf::STB_WEAK {
            return Ok(0);
        }
        let at = strings.saturating_add(symbol.st_name(END).into());
        let rest = self.get(at, (self.bytes.len() as u64).saturating_sub(at)).unwrap_or(&[]);
        let name: Vec<u8> = rest.iter().copied().take_while(|&b| b != 0).take(200).collect();
        Err(CodeError::Undefined(demangle(&String::from_utf8_lossy(&name))))
    }
}

/// A C++ name as it stands in the source, where it can be had.
pub(crate) fn demangle(name: &str) -> String {
    addr2line::demangle_auto(name.into(), None).into_owned()
}

/// Pages of the same permissions, together.
fn ranges(access: &[u32]) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for (page, &access) in access.iter().enumerate() {
        let start = page as u64 * PAGE;
        match ranges.last_mut() {
            Some(last) if last.access == access && last.start + last.len == start => last.len += PAGE,
            _ => ranges.push(Range { start, len: PAGE, access }),
        }
    }
    ranges.retain(|r| r.access != 0);
    ranges
}
