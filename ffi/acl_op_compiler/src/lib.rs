//! `libacl_op_compiler.so`: the options of CANN's operator compiler, which programs set and read back, and its
//! entry points for operators by name.
//!
//! Nothing is compiled here: kernels are resident in the device. So options are kept but change nothing, and `libopapi.so`
//! runs an operator by name, or it answers ACL_ERROR_FEATURE_UNSUPPORTED.
#![allow(non_snake_case)]

#[macro_use]
extern crate vinci_abi;

mod by_name;
mod options;
#[cfg(test)]
mod tests;
