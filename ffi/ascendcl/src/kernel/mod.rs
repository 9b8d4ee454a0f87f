//! Kernels that a program brings along: binaries, functions, arguments, launches.

pub mod args;
pub mod binary;
pub mod launch;
pub mod symbol;
pub mod text;
