//! The userspace interface of the Vinci driver.
//!
//! [`bindings`] is generated from `include/drm/vinci_accel.h`, which is the contract and documents every
//! field; nobody edits it by hand. `tests/bindings.rs` regenerates it and compares
//! (`VINCI_BLESS=1 cargo test -p vinci-uapi` writes it anew).
#![no_std]

#[allow(missing_docs, non_camel_case_types, non_upper_case_globals, clippy::all, clippy::undocumented_unsafe_blocks)]
#[rustfmt::skip]
pub mod bindings;

pub use bindings::*;

/// Marks the structures of the contract: plain data, valid for every bit pattern, no implicit padding.
///
/// # Safety
/// The type must be `repr(C)`, hold integers (or arrays and unions of them) only and have no padding that the
/// compiler chose.
pub unsafe trait Payload: Copy + 'static {
    /// A value with every byte zero.
    fn zeroed() -> Self {
        // SAFETY: the trait's contract makes all-zero a valid value.
        unsafe { core::mem::zeroed() }
    }

    /// The bytes of the value.
    fn bytes(&self) -> &[u8] {
        // SAFETY: plain data without padding, so every byte is initialised.
        unsafe { core::slice::from_raw_parts(core::ptr::from_ref(self).cast(), size_of::<Self>()) }
    }

    /// The bytes of the value, to be written.
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and every bit pattern is valid.
        unsafe { core::slice::from_raw_parts_mut(core::ptr::from_mut(self).cast(), size_of::<Self>()) }
    }

    /// Reads a value from bytes that are at least as long, at any alignment.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut value = Self::zeroed();
        value.bytes_mut().copy_from_slice(bytes.get(..size_of::<Self>())?);
        Some(value)
    }
}

macro_rules! payload {
    ($($name:ident),* $(,)?) => { $(
        // SAFETY: generated repr(C) structure of integers; the header pads explicitly (tests/bindings.rs
        // compiles it with -Werror=padded).
        unsafe impl Payload for $name {}
    )* };
}

payload! {
    drm_vinci_dev_query,
    drm_vinci_device_info,
    drm_vinci_die_info,
    drm_vinci_kernel_info,
    drm_vinci_clock_info,
    drm_vinci_process_info,
    drm_vinci_vm_create,
    drm_vinci_vm_destroy,
    drm_vinci_vm_map,
    drm_vinci_vm_unmap,
    drm_vinci_vm_peer,
    drm_vinci_bo_create,
    drm_vinci_bo_userptr,
    drm_vinci_bo_info,
    drm_vinci_sqe,
    drm_vinci_queue_doorbell,
    drm_vinci_queue_fence,
    drm_vinci_queue_create,
    drm_vinci_queue_id,
    drm_vinci_queue_reset,
    drm_vinci_queue_resume,
    drm_vinci_fault,
    drm_vinci_queue_query,
    drm_vinci_wait,
    drm_vinci_event,
    drm_vinci_event_read,
    drm_vinci_telemetry,
    drm_vinci_reset,
    drm_vinci_inject,
    drm_vinci_code_load,
    drm_vinci_code_unload,
    drm_vinci_code_args,
    drm_vinci_code_place,
    drm_gem_close,
    drm_prime_handle,
}
