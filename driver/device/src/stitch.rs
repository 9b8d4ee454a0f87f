//! Linear views: one host mapping over pieces of memory that lie side by side in device addresses only.
//!
//! A kernel walks a tensor with one pointer, so a tensor that spans several physical pieces (expandable
//! segments, the virtual-memory API, pages of a guest) needs them side by side on the host too.

use std::io;
use std::os::fd::AsRawFd;

use memmap2::{MmapOptions, MmapRaw};

use crate::mmu::Target;
use crate::shared::Shared;

/// Maps `pieces` (device address, bytes, target; adjacent, in order) one behind the other.
pub fn view(hbm: &[Shared], pieces: &[(u64, u64, Target)]) -> io::Result<MmapRaw> {
    let total: u64 = pieces.iter().map(|p| p.1).sum();
    let map = MmapRaw::from(MmapOptions::new().len(total as usize).no_reserve_swap().map_anon()?);
    let mut at = 0usize;
    for &(_, len, target) in pieces {
        let (die, offset) = match target {
            Target::Hbm { die, offset } => (die, offset),
            Target::Host { addr } => {
                // A length of 0 leaves the old mapping and makes another one of the same pages, if they are shared.
                // SAFETY: as below; `addr` leads to mapped memory, or nothing is done.
                let p = unsafe {
                    let to = map.as_mut_ptr().add(at);
                    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
                    libc::mremap(addr as *mut libc::c_void, 0, len as usize, flags, to)
                };
                if p == libc::MAP_FAILED {
                    return Err(io::Error::last_os_error());
                }
                at += len as usize;
                continue;
            }
            Target::Window { .. } => {
                return Err(io::Error::other("another process's memory cannot be part of a linear view"));
            }
        };
        hbm[die as usize].pieces(offset, len, |fd, from, len| {
            // SAFETY: the fixed range lies inside `map`, which this function owns and nobody else knows yet; the
            // file range lies inside the memfd, as `AddressSpace::map` checked.
            let p = unsafe {
                libc::mmap(
                    map.as_mut_ptr().add(at).cast(),
                    len as usize,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_NORESERVE,
                    fd.as_raw_fd(),
                    from as libc::off_t,
                )
            };
            if p == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            at += len as usize;
            Ok(())
        })?;
    }
    Ok(map)
}
