//! The tools: `vinci` (info, run, trace, serve, top, bench, doctor) and `npu-smi`. The programs in `bin/` only parse arguments.

pub mod bench;
pub mod cc;
pub mod chips;
pub mod device;
pub mod doctor;
pub mod gdb;
pub mod home;
pub mod info;
pub mod layout;
pub mod msprof;
pub mod serve;
pub mod show;
pub mod smi;
pub mod top;
pub mod trace;
