//! The caller's memory, where the caller is this process: copied by the kernel, so that a bad pointer is an
//! error, as it is for an ioctl, and not a fault.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use vinci_core::{Errno, UserCopy};

/// Memory of this process by address.
pub(crate) struct OwnMemory;

type VmCall = unsafe extern "C" fn(
    libc::pid_t,
    *const libc::iovec,
    libc::c_ulong,
    *const libc::iovec,
    libc::c_ulong,
    libc::c_ulong,
) -> isize;

/// Copies between `len` bytes at `here` and at `there` with one of the process_vm calls; `false` if a sandbox
/// forbids it.
fn copy(call: VmCall, here: *mut u8, there: u64, len: usize) -> Result<bool, Errno> {
    if len == 0 {
        return Ok(true);
    }
    let local = libc::iovec { iov_base: here.cast(), iov_len: len };
    let remote = libc::iovec { iov_base: there as *mut libc::c_void, iov_len: len };
    // SAFETY: the local side is the caller's buffer; the kernel checks the other.
    let copied = unsafe { call(libc::getpid(), &local, 1, &remote, 1, 0) };
    match io::Error::last_os_error().raw_os_error() {
        _ if copied == len as isize => Ok(true),
        Some(libc::EPERM | libc::ENOSYS) if copied < 0 => Ok(false),
        _ => Err(Errno::Fault),
    }
}

fn memory_file(write: bool) -> Result<File, Errno> {
    File::options().read(!write).write(write).open("/proc/self/mem").map_err(|_| Errno::Fault)
}

impl UserCopy for OwnMemory {
    fn copy_in(&mut self, to: &mut [u8], from: u64) -> Result<(), Errno> {
        if copy(libc::process_vm_readv, to.as_mut_ptr(), from, to.len())? {
            return Ok(());
        }
        memory_file(false)?.read_exact_at(to, from).map_err(|_| Errno::Fault)
    }

    fn copy_out(&mut self, to: u64, from: &[u8]) -> Result<(), Errno> {
        if copy(libc::process_vm_writev, from.as_ptr().cast_mut(), to, from.len())? {
            return Ok(());
        }
        memory_file(true)?.write_all_at(from, to).map_err(|_| Errno::Fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_and_refuses_bad_pointers() {
        let mut there = [1u8, 2, 3, 4];
        let mut here = [0u8; 4];
        OwnMemory.copy_in(&mut here, there.as_ptr() as u64).unwrap();
        assert_eq!(here, [1, 2, 3, 4]);
        OwnMemory.copy_out(there.as_mut_ptr() as u64, &[9; 2]).unwrap();
        assert_eq!(std::hint::black_box(there), [9, 9, 3, 4]);
        assert_eq!(OwnMemory.copy_in(&mut here, 8), Err(Errno::Fault));
        assert_eq!(OwnMemory.copy_out(u64::MAX - 2, &here), Err(Errno::Fault));
        static CONSTANT: [u8; 4] = [7; 4];
        assert_eq!(
            OwnMemory.copy_out(CONSTANT.as_ptr() as u64, &here),
            Err(Errno::Fault),
            "read-only memory"
        );
    }
}
