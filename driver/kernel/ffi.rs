// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

//! The C half, see `vinci.h`.

use kernel::ffi::{c_char, c_int, c_void};

/// `struct vinci_segment`
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) bus: u64,
    pub(crate) bytes: u64,
}

/// `struct vinci_range`
#[repr(C)]
pub(crate) struct Range {
    pub(crate) pages: *mut c_void,
    pub(crate) start: u64,
    pub(crate) bytes: u64,
    pub(crate) buffer: u32,
    pub(crate) queue: u32,
    pub(crate) generation: u32,
}

/// `struct vinci_usage`
#[repr(C)]
#[derive(Default)]
pub(crate) struct Usage {
    pub(crate) hbm: [u64; 8],
    pub(crate) host: u64,
    pub(crate) busy_ns: [u64; 3],
    pub(crate) queues: u32,
    pub(crate) dies: u32,
}

extern "C" {
    pub(crate) fn vinci_drm_alloc(pdev: *mut c_void, queues: u32) -> *mut c_void;
    pub(crate) fn vinci_drm_register(drm: *mut c_void, npu: *const c_void) -> c_int;
    pub(crate) fn vinci_drm_unplug(drm: *mut c_void);
    pub(crate) fn vinci_doorbell_generation(drm: *mut c_void, queue: u32) -> u32;
    pub(crate) fn vinci_doorbell_revoke(drm: *mut c_void, queue: u32, offset: u64);

    pub(crate) fn vinci_pages_alloc(bytes: u64, together: bool) -> *mut c_void;
    pub(crate) fn vinci_pages_get(pages: *mut c_void);
    pub(crate) fn vinci_pages_put(pages: *mut c_void);
    pub(crate) fn vinci_pages_address(pages: *mut c_void) -> *mut c_void;
    pub(crate) fn vinci_pages_map(dev: *mut c_void, pages: *mut c_void) -> *mut c_void;
    pub(crate) fn vinci_pin(dev: *mut c_void, addr: u64, bytes: u64, readonly: bool)
        -> *mut c_void;
    pub(crate) fn vinci_sg_count(sg: *mut c_void) -> u32;
    pub(crate) fn vinci_sg_fill(sg: *mut c_void, to: *mut Segment);
    pub(crate) fn vinci_sg_free(sg: *mut c_void);

    pub(crate) fn vinci_coredump(dev: *mut c_void, data: *const c_void, bytes: usize);
    pub(crate) fn vinci_trace_hung(dev: *mut c_void, queue: u32, die: u32, entry: u64);
    pub(crate) fn vinci_trace_state(dev: *mut c_void, what: *const c_char);
}
