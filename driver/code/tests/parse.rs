//! Whatever a program hands over as a code object is answered, and what it is not is said.

use proptest::prelude::*;
use vinci_code::{CodeError, CodeObject};

/// The head of an ELF file for `machine`, with program headers behind it.
fn elf(machine: u16, kind: u16, segments: u16) -> Vec<u8> {
    let mut head = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    head.extend(kind.to_le_bytes());
    head.extend(machine.to_le_bytes());
    head.extend(1u32.to_le_bytes());
    head.extend(0u64.to_le_bytes());
    head.extend(64u64.to_le_bytes());
    head.extend(0u64.to_le_bytes());
    head.extend(0u32.to_le_bytes());
    for half in [64, 56, segments, 64, 0, 0] {
        head.extend(u16::to_le_bytes(half));
    }
    head
}

fn refusal(bytes: &[u8]) -> String {
    CodeObject::parse(bytes, 0).err().expect("refused").to_string()
}

#[test]
fn what_it_is_not_is_said() {
    assert!(refusal(b"hello").contains("not an ELF object"));
    // What CANN's compiler makes is for another machine.
    let text = refusal(&elf(0x1029, 3, 0));
    assert!(text.contains("0x1029") && text.contains("vinci cc"), "{text}");
    assert!(refusal(&elf(62, 2, 0)).contains("without notes"));
    assert!(refusal(&elf(62, 3, 0)).contains("segments"));
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        prop_assert!(CodeObject::parse(&bytes, 0).is_err());
    }

    #[test]
    fn any_segments_are_answered(
        segments in proptest::collection::vec((0u32..8, 0u32..8, 0u64..0x3000, 0u64..0x3000, 0u64..0x3000, 0u64..0x3000), 0..6),
        tail in proptest::collection::vec(any::<u8>(), 0..8192),
    ) {
        let mut bytes = elf(62, 3, segments.len() as u16);
        for (kind, flags, offset, va, in_file, in_memory) in segments {
            bytes.extend(kind.to_le_bytes());
            bytes.extend(flags.to_le_bytes());
            for word in [offset, va, va, in_file, in_memory, 4096] {
                bytes.extend(word.to_le_bytes());
            }
        }
        bytes.extend(tail);
        // Only a note of ours makes it an object, and random bytes hold none.
        let answer = CodeObject::parse(&bytes, 0x1000);
        prop_assert!(!matches!(answer, Err(CodeError::NotElf(_)) | Ok(_)));
    }
}
