//! `libascend_dump.so`, the name under which programs link dumps of operators, which are in libascendcl.so's `dump`.
#![allow(non_snake_case)]
#![deny(unsafe_op_in_unsafe_fn)]

include!(concat!(env!("OUT_DIR"), "/names.rs"));
