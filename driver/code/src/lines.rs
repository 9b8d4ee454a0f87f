//! From a program counter to a line of the kernel's source, by the object's DWARF.

use addr2line::gimli::{EndianSlice, LittleEndian, SectionId};
use addr2line::{Context, gimli};
use object::{Object, ObjectSection};

/// Our own headers: a check that fails in one of them is reported at the line that called it.
const HEADERS: &str = "include/ascendc/";

/// See the module.
pub struct Lines;

impl Lines {
    /// Whether the object has lines.
    pub fn are_in(file: &[u8]) -> bool {
        object::File::parse(file).is_ok_and(|f| f.section_by_name(".debug_line").is_some())
    }

    /// File and line of the instruction at `at`, and whether that is one of our headers.
    pub fn find(file: &[u8], at: u64) -> Option<(String, bool)> {
        let object = object::File::parse(file).ok()?;
        let section = |id: SectionId| {
            let data = object.section_by_name(id.name()).and_then(|s| s.data().ok()).unwrap_or(&[]);
            Ok::<_, gimli::Error>(EndianSlice::new(data, LittleEndian))
        };
        let context = Context::from_dwarf(gimli::Dwarf::load(section).ok()?).ok()?;
        let mut frames = context.find_frames(at).skip_all_loads().ok()?;
        let mut last = None;
        while let Ok(Some(frame)) = frames.next() {
            let Some(place) = frame.location else { continue };
            let (Some(name), Some(line)) = (place.file, place.line) else { continue };
            let ours = name.contains(HEADERS) || name.starts_with('<') || name.ends_with("/<kernels>");
            let short = name.rsplit('/').next().unwrap_or(name);
            last = Some((format!("{short}:{line}"), ours));
            if !ours {
                break;
            }
        }
        last
    }
}
