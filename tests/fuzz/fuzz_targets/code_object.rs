//! A file that a program hands over as a code object: laid out, its notes read, its lines looked up.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vinci_code::CodeObject;

fuzz_target!(|file: &[u8]| {
    let _ = CodeObject::kernels_of(file);
    if let Ok(object) = CodeObject::parse(file, 0x7000_0000_0000) {
        let end = object.image.base + object.image.bytes.len() as u64;
        let ranges = &object.image.ranges;
        assert!(
            ranges.iter().all(|r| r.start + r.len <= end - object.image.base),
            "a range leaves the image"
        );
        let _ = object.line([object.image.base, end - 1, end]);
    }
});
