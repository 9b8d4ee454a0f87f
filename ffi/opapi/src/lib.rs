//! libopapi.so: tensors, scalars and arrays as CANN's operator library takes them, and the two-phase aclnn
//! operators over them.
//!
//! Phase 1 (`aclnnXGetWorkspaceSize`) checks the arguments and writes a [`program::Program`]: launches of
//! resident kernels. Phase 2 (`aclnnX`) launches it on a stream. An operator is one line of [`ops`]: its name,
//! its arguments, and the function that writes its program; both C functions, the checks of the arguments and
//! the C header come from that line.
//!
//! [`by_name`] runs operators that programs call by their names in graphs, with descriptions and buffers, for
//! libacl_op_compiler.so: [`ops::named`] says what such a name stands for.
//!
//! The runtime lives in libascendcl.so; [`link`] is all that this library uses of it.
// The documentation of a C library's inside is for those who work on it.
#![allow(rustdoc::private_intra_doc_links)]

mod by_name;
mod complex;
mod dims;
mod dtype;
mod error;
mod executor;
#[cfg(test)]
mod host;
mod link;
mod objects;
mod ops;
mod program;
mod record;
mod tensor;
mod view;
