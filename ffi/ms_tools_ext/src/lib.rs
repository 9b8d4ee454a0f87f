//! `libms_tools_ext.so`, the name under which frameworks open the `mstx` functions, which are in libascendcl.so's
//! `prof`.
#![allow(non_snake_case)]
#![deny(unsafe_op_in_unsafe_fn)]

include!(concat!(env!("OUT_DIR"), "/names.rs"));
