//! The tools: `vinci` (info, run, bench, doctor) and `npu-smi`. The programs in `bin/` only parse arguments.

pub mod bench;
pub mod cc;
pub mod chips;
pub mod doctor;
pub mod home;
pub mod info;
pub mod serve;
pub mod show;
pub mod smi;
