//! `libacl_rt.so`, the newer name of AscendCL's runtime: every function that the headers in `ffi/include/acl` declare
//! for it jumps to libascendcl.so.
#![allow(non_snake_case)]
#![deny(unsafe_op_in_unsafe_fn)]

include!(concat!(env!("OUT_DIR"), "/names.rs"));
