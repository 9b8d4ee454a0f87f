//! What needs no text of a program; the rest is a C program's in tests/conformance.

use std::ffi::{CStr, c_char};
use std::ptr::null;

use crate::by_name::*;
use crate::options::*;

#[unsafe(no_mangle)]
extern "C" fn vinci_set_error(_: i32, _: *const u8, _: usize) {}

/// Knows one name.
#[unsafe(no_mangle)]
unsafe extern "C" fn vinci_by_name(operator: *const c_char, inputs: i32) -> i32 {
    // SAFETY: the tests pass texts.
    if !operator.is_null() && unsafe { CStr::from_ptr(operator) } == c"Known" { inputs } else { -1 }
}

#[test]
fn unknown_operators_are_refused_and_known_ones_answer() {
    let run = |name: *const c_char| {
        // SAFETY: a text or null, and no tensors that are looked at.
        unsafe {
            let none = null();
            aclopCompileAndExecute(name, 7, none, none, 0, none, none, 0, 0, 0, null(), 0)
        }
    };
    assert_eq!(run(c"Known".as_ptr()), 7);
    assert_eq!(run(c"Unknown".as_ptr()), 200_006);
    assert_eq!(run(null()), 200_006);
}

#[test]
fn operators_are_never_compiled() {
    assert_eq!(aclGetCompileoptSize(10), "disable\0".len());
    assert_eq!(aclGetCompileoptSize(0), 1);
    assert_eq!(aclGetCompileoptSize(17), 0);
    assert_eq!((aclopSetCompileFlag(1), aclopSetCompileFlag(2)), (0, 100_000));
    assert_eq!((aclCreateGraphDumpOpt(), aclDestroyGraphDumpOpt()), (0, 200_006));
}
