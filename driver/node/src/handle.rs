//! Typed requests: each structure knows its number, and each request is one method.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use vinci_core::Errno;
use vinci_uapi::*;

use crate::mapping::Mapping;
use crate::node::Node;

mod sealed {
    pub trait Sealed {}
}

/// A structure of the contract that is the argument of exactly one request.
pub trait Request: Payload + sealed::Sealed {
    /// The request's number.
    const NUMBER: u32;
}

macro_rules! requests {
    ($($payload:ident => $number:ident),* $(,)?) => { $(
        impl sealed::Sealed for $payload {}
        impl Request for $payload {
            const NUMBER: u32 = $number;
        }
        const _: () = assert!($number >> 16 & 0x3fff == size_of::<$payload>() as u32);
    )* };
}

requests! {
    drm_vinci_dev_query => VINCI_IOCTL_DEV_QUERY,
    drm_vinci_vm_create => VINCI_IOCTL_VM_CREATE,
    drm_vinci_vm_destroy => VINCI_IOCTL_VM_DESTROY,
    drm_vinci_vm_map => VINCI_IOCTL_VM_MAP,
    drm_vinci_vm_unmap => VINCI_IOCTL_VM_UNMAP,
    drm_vinci_vm_peer => VINCI_IOCTL_VM_PEER,
    drm_vinci_bo_create => VINCI_IOCTL_BO_CREATE,
    drm_vinci_bo_userptr => VINCI_IOCTL_BO_USERPTR,
    drm_vinci_bo_info => VINCI_IOCTL_BO_INFO,
    drm_gem_close => IOCTL_GEM_CLOSE,
    drm_vinci_queue_create => VINCI_IOCTL_QUEUE_CREATE,
    drm_vinci_queue_reset => VINCI_IOCTL_QUEUE_RESET,
    drm_vinci_queue_resume => VINCI_IOCTL_QUEUE_RESUME,
    drm_vinci_queue_query => VINCI_IOCTL_QUEUE_QUERY,
    drm_vinci_wait => VINCI_IOCTL_WAIT,
    drm_vinci_event_read => VINCI_IOCTL_EVENT_READ,
    drm_vinci_telemetry => VINCI_IOCTL_TELEMETRY,
    drm_vinci_reset => VINCI_IOCTL_RESET,
    drm_vinci_inject => VINCI_IOCTL_INJECT,
    drm_vinci_code_load => VINCI_IOCTL_CODE_LOAD,
    drm_vinci_code_unload => VINCI_IOCTL_CODE_UNLOAD,
}

/// An open device with typed requests. Cheap to clone.
///
/// ```
/// use vinci_driver::{Embedded, Handle, uapi::*};
/// let dev = Handle::new(std::sync::Arc::new(Embedded::from_env()?));
/// let vm = dev.vm_create()?;
/// let bo = dev.bo_create(1 << 20, DRM_VINCI_PLACE_HBM, 0)?;
/// let base = dev.device_info()?.va_base;
/// dev.vm_map(vm, bo.handle, 0, base, bo.size, DRM_VINCI_MAP_READ | DRM_VINCI_MAP_WRITE)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    node: Arc<dyn Node>,
}

type Result<T> = std::result::Result<T, Errno>;

impl Handle {
    /// Wraps an open file.
    pub fn new(node: Arc<dyn Node>) -> Self {
        Self { node }
    }

    /// The open file itself.
    pub fn node(&self) -> &Arc<dyn Node> {
        &self.node
    }

    /// Executes a request.
    pub fn request<R: Request>(&self, r: &mut R) -> Result<()> {
        self.node.ioctl(R::NUMBER, r.bytes_mut())
    }

    /// Maps `len` bytes at an offset that a request answered.
    pub fn mmap(&self, offset: u64, len: u64) -> Result<Mapping> {
        self.node.mmap(offset, usize::try_from(len).map_err(|_| Errno::Inval)?)
    }

    fn query<T: Payload>(&self, topic: drm_vinci_query_topic, index: u32, mut value: T) -> Result<T> {
        let size = size_of::<T>() as u32;
        let data = value.bytes_mut().as_mut_ptr() as u64;
        self.request(&mut drm_vinci_dev_query { topic, index, size, pad: 0, data })?;
        Ok(value)
    }

    /// `DRM_VINCI_QUERY_DEVICE`: the module.
    pub fn device_info(&self) -> Result<drm_vinci_device_info> {
        self.query(DRM_VINCI_QUERY_DEVICE, 0, drm_vinci_device_info::zeroed())
    }

    /// `DRM_VINCI_QUERY_DIE`: one die. `NoEnt` if there is no such die.
    pub fn die_info(&self, die: u32) -> Result<drm_vinci_die_info> {
        self.query(DRM_VINCI_QUERY_DIE, die, drm_vinci_die_info::zeroed())
    }

    /// `DRM_VINCI_QUERY_KERNEL`: id of a resident kernel. `NoEnt` if there is none of that name.
    pub fn kernel(&self, name: &str) -> Result<drm_vinci_kernel_info> {
        let mut info = drm_vinci_kernel_info::zeroed();
        if name.len() >= info.name.len() {
            return Err(Errno::NoEnt);
        }
        info.name.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from as _);
        self.query(DRM_VINCI_QUERY_KERNEL, 0, info)
    }

    /// `DRM_VINCI_QUERY_CLOCK`: both clocks of a die.
    pub fn clock(&self, die: u32) -> Result<drm_vinci_clock_info> {
        self.query(DRM_VINCI_QUERY_CLOCK, die, drm_vinci_clock_info::zeroed())
    }

    /// `DRM_VINCI_QUERY_PROCESS`: who has the device open. `NoEnt` past the last.
    pub fn process(&self, index: u32) -> Result<drm_vinci_process_info> {
        self.query(DRM_VINCI_QUERY_PROCESS, index, drm_vinci_process_info::zeroed())
    }

    /// `DRM_IOCTL_VINCI_VM_CREATE`: a new address space.
    pub fn vm_create(&self) -> Result<u32> {
        let mut a = drm_vinci_vm_create::zeroed();
        self.request(&mut a)?;
        Ok(a.vm_id)
    }

    /// `DRM_IOCTL_VINCI_VM_DESTROY`. `Busy` while queues use it.
    pub fn vm_destroy(&self, vm_id: u32) -> Result<()> {
        self.request(&mut drm_vinci_vm_destroy { vm_id, pad: 0 })
    }

    /// `DRM_IOCTL_VINCI_VM_MAP`. `Exist` if the range overlaps a mapping.
    pub fn vm_map(&self, vm_id: u32, handle: u32, offset: u64, va: u64, size: u64, flags: u32) -> Result<()> {
        self.request(&mut drm_vinci_vm_map { vm_id, handle, flags, pad: 0, offset, va, size })
    }

    /// `DRM_IOCTL_VINCI_VM_UNMAP`. `Inval` if the range cuts a mapping.
    pub fn vm_unmap(&self, vm_id: u32, va: u64, size: u64) -> Result<()> {
        self.request(&mut drm_vinci_vm_unmap { vm_id, pad: 0, va, size })
    }

    /// `DRM_IOCTL_VINCI_VM_PEER`: opens or closes the way from one die to another's HBM.
    pub fn vm_peer(&self, vm_id: u32, from_die: u32, to_die: u32, enable: bool) -> Result<()> {
        self.request(&mut drm_vinci_vm_peer { vm_id, from_die, to_die, enable: enable.into() })
    }

    /// `DRM_IOCTL_VINCI_BO_CREATE`. `NoMem` if there is no room.
    pub fn bo_create(
        &self,
        size: u64,
        placement: drm_vinci_placement,
        die: u32,
    ) -> Result<drm_vinci_bo_create> {
        let mut a = drm_vinci_bo_create { size, placement, die, ..drm_vinci_bo_create::zeroed() };
        self.request(&mut a)?;
        Ok(a)
    }

    /// `DRM_IOCTL_VINCI_BO_USERPTR`: a buffer object of the caller's own pages, which must stay mapped until it
    /// is closed. `Fault` if they are not mapped.
    pub fn bo_userptr(&self, addr: u64, size: u64, readonly: bool) -> Result<u32> {
        let flags = if readonly { DRM_VINCI_USERPTR_READONLY } else { 0 };
        let mut a = drm_vinci_bo_userptr { addr, size, flags, handle: 0 };
        self.request(&mut a)?;
        Ok(a.handle)
    }

    /// `DRM_IOCTL_GEM_CLOSE`: drops a handle; the memory goes with its last mapping.
    pub fn bo_close(&self, handle: u32) -> Result<()> {
        self.request(&mut drm_gem_close { handle, pad: 0 })
    }

    /// `DRM_IOCTL_PRIME_HANDLE_TO_FD`: a descriptor that other open files of the device, in whatever process, can
    /// import. `flags` are `O_CLOEXEC` and `O_RDWR`.
    pub fn prime_export(&self, handle: u32, flags: u32) -> Result<OwnedFd> {
        let mut a = drm_prime_handle { handle, flags, fd: -1 };
        self.node.ioctl(IOCTL_PRIME_HANDLE_TO_FD, a.bytes_mut())?;
        // SAFETY: the request made it for the caller.
        if a.fd >= 0 { Ok(unsafe { OwnedFd::from_raw_fd(a.fd) }) } else { Err(Errno::Proto) }
    }

    /// `DRM_IOCTL_PRIME_FD_TO_HANDLE`: a handle of what a descriptor stands for; the one that this file has, if it
    /// has one. `Inval` if it is nothing of this device.
    pub fn prime_import(&self, fd: &impl AsFd) -> Result<u32> {
        let mut a = drm_prime_handle { handle: 0, flags: 0, fd: fd.as_fd().as_raw_fd() };
        self.node.ioctl(IOCTL_PRIME_FD_TO_HANDLE, a.bytes_mut())?;
        Ok(a.handle)
    }

    /// `DRM_IOCTL_VINCI_BO_INFO`.
    pub fn bo_info(&self, handle: u32) -> Result<drm_vinci_bo_info> {
        let mut a = drm_vinci_bo_info { handle, ..drm_vinci_bo_info::zeroed() };
        self.request(&mut a)?;
        Ok(a)
    }

    /// `DRM_IOCTL_VINCI_QUEUE_CREATE`: a queue of `entries` entries on a die.
    pub fn queue_create(
        &self,
        vm_id: u32,
        die: u32,
        priority: u32,
        entries: u32,
    ) -> Result<drm_vinci_queue_create> {
        let mut a =
            drm_vinci_queue_create { vm_id, die, priority, entries, ..drm_vinci_queue_create::zeroed() };
        self.request(&mut a)?;
        Ok(a)
    }

    /// `DRM_IOCTL_VINCI_QUEUE_DESTROY`, after the entry in flight.
    pub fn queue_destroy(&self, queue_id: u32) -> Result<()> {
        self.node.ioctl(VINCI_IOCTL_QUEUE_DESTROY, drm_vinci_queue_id { queue_id, pad: 0 }.bytes_mut())
    }

    /// `DRM_IOCTL_VINCI_QUEUE_KICK`: wakes the scheduler of a queue that has new entries.
    pub fn queue_kick(&self, queue_id: u32) -> Result<()> {
        self.node.ioctl(VINCI_IOCTL_QUEUE_KICK, drm_vinci_queue_id { queue_id, pad: 0 }.bytes_mut())
    }

    /// `DRM_IOCTL_VINCI_QUEUE_RESET`: how many entries were dropped.
    pub fn queue_reset(&self, queue_id: u32) -> Result<u64> {
        let mut a = drm_vinci_queue_reset { queue_id, flags: 0, dropped: 0 };
        self.request(&mut a)?;
        Ok(a.dropped)
    }

    /// `DRM_IOCTL_VINCI_QUEUE_RESUME`: lets a queue go on behind a host call.
    pub fn queue_resume(&self, queue_id: u32, entry: u64) -> Result<()> {
        self.request(&mut drm_vinci_queue_resume { queue_id, pad: 0, entry })
    }

    /// `DRM_IOCTL_VINCI_QUEUE_QUERY`: state, fence and last fault.
    pub fn queue_query(&self, queue_id: u32) -> Result<drm_vinci_queue_query> {
        let mut a = drm_vinci_queue_query { queue_id, ..drm_vinci_queue_query::zeroed() };
        self.request(&mut a)?;
        Ok(a)
    }

    /// `DRM_IOCTL_VINCI_WAIT`: sleeps until a fence value. `Time`, or `Io` if the queue is faulted, or `NoDev`
    /// if it was lost. A negative timeout waits for ever.
    pub fn wait(&self, queue_id: u32, value: u64, timeout_ns: i64) -> Result<()> {
        self.request(&mut drm_vinci_wait { queue_id, flags: 0, value, timeout_ns })
    }

    /// `DRM_IOCTL_VINCI_EVENT_READ`: the oldest event, and how many were lost before it. `Time` if none came.
    pub fn event_read(&self, timeout_ns: i64) -> Result<(drm_vinci_event, u64)> {
        let mut a = drm_vinci_event_read { timeout_ns, ..drm_vinci_event_read::zeroed() };
        self.request(&mut a)?;
        Ok((a.event, a.lost))
    }

    /// `DRM_IOCTL_VINCI_CODE_LOAD`: the number of the code object that lies at `va`, and how many kernels it has.
    /// `Inval` if the device cannot use it.
    pub fn code_load(&self, vm_id: u32, die: u32, va: u64, size: u64) -> Result<(u32, u32)> {
        let mut a = drm_vinci_code_load { vm_id, die, va, size, ..drm_vinci_code_load::zeroed() };
        self.request(&mut a)?;
        Ok((a.code_id, a.kernels))
    }

    /// `DRM_IOCTL_VINCI_CODE_UNLOAD`, after its kernels that run.
    pub fn code_unload(&self, vm_id: u32, code_id: u32) -> Result<()> {
        self.request(&mut drm_vinci_code_unload { vm_id, code_id })
    }

    /// `DRM_IOCTL_VINCI_TELEMETRY`: sensors and counters of a die.
    pub fn telemetry(&self, die: u32) -> Result<drm_vinci_telemetry> {
        let mut a = drm_vinci_telemetry { die, ..drm_vinci_telemetry::zeroed() };
        self.request(&mut a)?;
        Ok(a)
    }

    /// `DRM_IOCTL_VINCI_RESET` of one die.
    pub fn reset_die(&self, die: u32) -> Result<()> {
        self.request(&mut drm_vinci_reset { scope: DRM_VINCI_RESET_DIE, die })
    }

    /// `DRM_IOCTL_VINCI_RESET` of the function.
    pub fn reset_function(&self) -> Result<()> {
        self.request(&mut drm_vinci_reset { scope: DRM_VINCI_RESET_FUNCTION, die: 0 })
    }

    /// `DRM_IOCTL_VINCI_INJECT`: makes an error happen.
    pub fn inject(&self, kind: drm_vinci_inject_kind, die: u32, vm_id: u32, address: u64) -> Result<()> {
        self.request(&mut drm_vinci_inject { kind, die, vm_id, pad: 0, address })
    }
}
