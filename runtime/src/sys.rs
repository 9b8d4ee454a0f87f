//! The driver's requests, with its errno turned into [`Error`] under the name of the operation that asked.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::fd::OwnedFd;

use parking_lot::Mutex;
use vinci_driver::{Errno, Handle, Mapping};
use vinci_uapi::*;

use crate::{Error, Result};

/// Flags of descriptors, as open(2) has them.
const O_CLOEXEC: u32 = nix::libc::O_CLOEXEC as u32;
const O_RDWR: u32 = nix::libc::O_RDWR as u32;

/// A buffer object of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BoHandle(pub(crate) u32);

/// What `BO_CREATE` answers.
pub(crate) struct NewBo {
    pub(crate) handle: BoHandle,
    pub(crate) size: u64,
    pub(crate) mmap_offset: u64,
}

/// The open node, and how often each object was imported: the driver answers one and the same handle.
pub(crate) struct Sys(Handle, Mutex<HashMap<u32, u32>>);

impl std::fmt::Debug for Sys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sys({})", self.0.node().describe())
    }
}

/// Names the operation in an error.
trait Asked<T> {
    fn asked(self, op: &'static str) -> Result<T>;
}

impl<T> Asked<T> for std::result::Result<T, Errno> {
    fn asked(self, op: &'static str) -> Result<T> {
        self.map_err(|errno| match errno {
            Errno::OwnerDead => Error::Forked,
            errno => Error::Driver { op, errno },
        })
    }
}

impl Sys {
    pub(crate) fn open() -> Result<Sys> {
        let node = vinci_driver::open().map_err(|e| Error::NoDevice(e.to_string()))?;
        Ok(Sys(Handle::new(node), Mutex::default()))
    }

    pub(crate) fn device_info(&self) -> Result<drm_vinci_device_info> {
        self.0.device_info().asked("open")
    }

    pub(crate) fn die_info(&self, die: u32) -> Result<drm_vinci_die_info> {
        self.0.die_info(die).asked("open")
    }

    /// `None` if the device has no kernel of that name.
    pub(crate) fn kernel(&self, name: &str) -> Result<Option<drm_vinci_kernel_info>> {
        match self.0.kernel(name) {
            Err(Errno::NoEnt | Errno::Inval) => Ok(None),
            other => other.map(Some).asked("find kernel"),
        }
    }

    pub(crate) fn clock(&self, die: u32) -> Result<drm_vinci_clock_info> {
        self.0.clock(die).asked("read clock")
    }

    /// `None` past the last process.
    pub(crate) fn process(&self, index: u32) -> Result<Option<drm_vinci_process_info>> {
        match self.0.process(index) {
            Err(Errno::NoEnt) => Ok(None),
            other => other.map(Some).asked("list processes"),
        }
    }

    pub(crate) fn vm_create(&self) -> Result<u32> {
        self.0.vm_create().asked("open")
    }

    /// Maps `size` bytes of `bo` from `offset` on; `flags` are `DRM_VINCI_MAP_*`.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn vm_map(
        &self,
        op: &'static str,
        vm_id: u32,
        bo: BoHandle,
        flags: u32,
        offset: u64,
        va: u64,
        size: u64,
    ) -> Result<()> {
        self.0.vm_map(vm_id, bo.0, offset, va, size, flags).asked(op)
    }

    pub(crate) fn vm_unmap(&self, op: &'static str, vm_id: u32, va: u64, size: u64) -> Result<()> {
        self.0.vm_unmap(vm_id, va, size).asked(op)
    }

    pub(crate) fn vm_peer(
        &self,
        op: &'static str,
        vm_id: u32,
        from: u32,
        to: u32,
        enable: bool,
    ) -> Result<()> {
        self.0.vm_peer(vm_id, from, to, enable).asked(op)
    }

    /// `placement` is a `DRM_VINCI_PLACE_*`; a die without room is [`Error::OutOfMemory`].
    pub(crate) fn bo_create(&self, op: &'static str, placement: u32, die: u32, bytes: u64) -> Result<NewBo> {
        match self.0.bo_create(bytes, placement, die) {
            Err(Errno::NoMem) if placement == DRM_VINCI_PLACE_HBM => {
                let free = self.telemetry(die).map_or(0, |t| t.hbm_total.saturating_sub(t.hbm_used));
                Err(Error::OutOfMemory { die, asked: bytes, free })
            }
            other => other.asked(op).map(|bo| NewBo {
                handle: BoHandle(bo.handle),
                size: bo.size,
                mmap_offset: bo.mmap_offset,
            }),
        }
    }

    /// Pins host pages; both numbers are multiples of the page size.
    pub(crate) fn bo_userptr(
        &self,
        op: &'static str,
        addr: u64,
        size: u64,
        read_only: bool,
    ) -> Result<BoHandle> {
        match self.0.bo_userptr(addr, size, read_only) {
            Err(Errno::Fault) => {
                Err(Error::value(op, format!("host memory {addr:#x}..{:#x} is not mapped", addr + size)))
            }
            other => other.asked(op).map(BoHandle),
        }
    }

    /// A descriptor of an object, for another process.
    pub(crate) fn prime_export(&self, op: &'static str, bo: BoHandle) -> Result<OwnedFd> {
        match self.0.prime_export(bo.0, O_CLOEXEC | O_RDWR) {
            Err(Errno::OpNotSupp) => Err(Error::NotSupported("sharing between processes by this driver")),
            other => other.asked(op),
        }
    }

    /// The object of another process's descriptor; each import is closed once.
    pub(crate) fn prime_import(&self, op: &'static str, fd: &OwnedFd) -> Result<BoHandle> {
        let mut imports = self.1.lock();
        match self.0.prime_import(fd) {
            Err(Errno::Inval) => Err(Error::value(op, "it is on another device")),
            Err(Errno::OpNotSupp) => Err(Error::NotSupported("sharing between processes by this driver")),
            other => {
                let handle = other.asked(op)?;
                *imports.entry(handle).or_default() += 1;
                Ok(BoHandle(handle))
            }
        }
    }

    pub(crate) fn bo_info(&self, op: &'static str, bo: BoHandle) -> Result<drm_vinci_bo_info> {
        self.0.bo_info(bo.0).asked(op)
    }

    pub(crate) fn close(&self, bo: BoHandle) {
        let mut imports = self.1.lock();
        if let Entry::Occupied(mut count) = imports.entry(bo.0) {
            *count.get_mut() -= 1;
            if *count.get() != 0 {
                return;
            }
            count.remove();
        }
        if let Err(e) = self.0.bo_close(bo.0) {
            log::error!("buffer object {}: {e}", bo.0);
        }
    }

    pub(crate) fn queue_create(
        &self,
        op: &'static str,
        vm_id: u32,
        die: u32,
        priority: u32,
        entries: u32,
    ) -> Result<drm_vinci_queue_create> {
        self.0.queue_create(vm_id, die, priority, entries).asked(op)
    }

    pub(crate) fn queue_destroy(&self, queue_id: u32) -> Result<()> {
        loop {
            match self.0.queue_destroy(queue_id) {
                // A signal came while an entry was on the cores.
                Err(Errno::Intr) => {}
                done => return done.asked("destroy stream"),
            }
        }
    }

    /// Answers how many entries did not run.
    pub(crate) fn queue_reset(&self, queue_id: u32) -> Result<u64> {
        self.0.queue_reset(queue_id).asked("reset stream")
    }

    pub(crate) fn queue_kick(&self, op: &'static str, queue_id: u32) -> Result<()> {
        self.0.queue_kick(queue_id).asked(op)
    }

    pub(crate) fn queue_resume(&self, queue_id: u32, entry: u64) -> Result<()> {
        self.0.queue_resume(queue_id, entry).asked("callback")
    }

    pub(crate) fn queue_query(&self, queue_id: u32) -> Result<drm_vinci_queue_query> {
        self.0.queue_query(queue_id).asked("query stream")
    }

    /// Sleeps until a fence value; the bare errno: Time, Io, NoDev, Intr or a caller's mistake.
    pub(crate) fn wait(&self, queue_id: u32, value: u64, timeout_ns: i64) -> std::result::Result<(), Errno> {
        self.0.wait(queue_id, value, timeout_ns)
    }

    /// The oldest event and how many before it were lost; waits for one.
    pub(crate) fn event_read(&self) -> Result<(drm_vinci_event, u64)> {
        loop {
            match self.0.event_read(-1) {
                Err(Errno::Intr | Errno::Time) => {}
                other => return other.asked("read events"),
            }
        }
    }

    /// Number of the code object and how many kernels it has.
    pub(crate) fn code_load(&self, vm_id: u32, die: u32, va: u64, size: u64) -> Result<(u32, u32)> {
        self.0.code_load(vm_id, die, va, size).asked("load code object")
    }

    pub(crate) fn code_unload(&self, vm_id: u32, code_id: u32) -> Result<()> {
        self.0.code_unload(vm_id, code_id).asked("unload code object")
    }

    pub(crate) fn telemetry(&self, die: u32) -> Result<drm_vinci_telemetry> {
        self.0.telemetry(die).asked("read telemetry")
    }

    pub(crate) fn reset_die(&self, die: u32) -> Result<()> {
        self.0.reset_die(die).asked("reset device")
    }

    /// `kind` is a `DRM_VINCI_INJECT_*`.
    pub(crate) fn inject(&self, kind: u32, die: u32, vm_id: u32, address: u64) -> Result<()> {
        self.0.inject(kind, die, vm_id, address).asked("inject error")
    }

    pub(crate) fn mmap(&self, op: &'static str, offset: u64, len: u64) -> Result<Mapping> {
        self.0.mmap(offset, len).asked(op)
    }
}
