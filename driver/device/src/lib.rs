//! The Vinci NPU as software.
#![allow(dead_code)]
pub mod mmu;
mod quiesce;
pub mod shared;
mod stitch;
