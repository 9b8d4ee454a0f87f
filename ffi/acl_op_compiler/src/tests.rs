//! What needs no text of a program; the rest is a C program's in tests/conformance.

use crate::by_name::*;
use crate::options::*;

#[unsafe(no_mangle)]
extern "C" fn vinci_set_error(_: i32, _: *const u8, _: usize) {}

#[test]
fn operators_are_never_compiled() {
    assert_eq!(aclGetCompileoptSize(10), "disable\0".len());
    assert_eq!(aclGetCompileoptSize(0), 1);
    assert_eq!(aclGetCompileoptSize(17), 0);
    assert_eq!((aclopSetCompileFlag(1), aclopSetCompileFlag(2)), (0, 100_000));
    assert_eq!((aclCreateGraphDumpOpt(), aclDestroyGraphDumpOpt()), (0, 200_006));
}
