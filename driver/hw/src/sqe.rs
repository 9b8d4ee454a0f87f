//! Builders for queue entries: one per opcode, so that no caller fills the union by hand.

use vinci_uapi::*;

/// A queue entry, 64 bytes.
pub type Sqe = drm_vinci_sqe;

fn entry(opcode: drm_vinci_opcode, words: [u64; 7]) -> Sqe {
    Sqe {
        opcode: opcode as u8,
        flags: 0,
        compare: 0,
        blocks: 0,
        __bindgen_anon_1: drm_vinci_sqe__bindgen_ty_1 { words },
    }
}

/// The seven payload words of an entry.
pub fn words(sqe: &Sqe) -> [u64; 7] {
    // SAFETY: every member of the union covers the same 56 bytes with integers.
    unsafe { sqe.__bindgen_anon_1.words }
}

/// Changes what an entry of [`event_record`] stores or one of [`event_wait`] waits for.
pub fn set_value(sqe: &mut Sqe, value: u64) {
    let mut w = words(sqe);
    w[1] = value;
    sqe.__bindgen_anon_1.words = w;
}

/// Makes the device store a [`drm_vinci_stamp`] at device address `stamp` when the entry is complete.
pub fn set_stamp(sqe: &mut Sqe, stamp: u64) {
    let mut w = words(sqe);
    w[6] = stamp;
    sqe.__bindgen_anon_1.words = w;
    sqe.flags |= DRM_VINCI_SQE_TIMED as u8;
}

/// Takes back [`set_stamp`].
pub fn clear_stamp(sqe: &mut Sqe) {
    set_stamp(sqe, 0);
    sqe.flags &= !(DRM_VINCI_SQE_TIMED as u8);
}

/// An entry that does nothing.
pub fn placeholder() -> Sqe {
    entry(DRM_VINCI_OP_PLACEHOLDER, [0; 7])
}

/// Runs kernel `id` on `blocks` blocks with `args_size` bytes of arguments at device address `args`.
pub fn kernel(id: u64, blocks: u32, args: u64, args_size: u32, timeout_ms: u32) -> Sqe {
    let sizes = u64::from(args_size) | u64::from(timeout_ms) << 32;
    Sqe { blocks, ..entry(DRM_VINCI_OP_KERNEL, [id, args, sizes, 0, 0, 0, 0]) }
}

/// Limits the cores that an entry of [`kernel`] may occupy; 0 is all of them.
pub fn set_cores(sqe: &mut Sqe, aic: u32, aiv: u32) {
    let mut w = words(sqe);
    w[3] = u64::from(aic) | u64::from(aiv) << 32;
    sqe.__bindgen_anon_1.words = w;
}

/// Copies `bytes` from `src` to `dst`.
pub fn copy(dst: u64, src: u64, bytes: u64) -> Sqe {
    copy_2d(dst, bytes, src, bytes, bytes, 1)
}

/// Copies `height` rows of `width` bytes.
pub fn copy_2d(dst: u64, dst_pitch: u64, src: u64, src_pitch: u64, width: u64, height: u64) -> Sqe {
    entry(DRM_VINCI_OP_COPY, [dst, src, width, height, dst_pitch, src_pitch, 0])
}

/// Stores `value` into `bytes` bytes at `dst`.
pub fn fill(dst: u64, bytes: u64, value: u8) -> Sqe {
    entry(DRM_VINCI_OP_FILL, [dst, bytes, u64::from(value), 0, 0, 0, 0])
}

/// Stores both clocks behind the word at `addr`, then `value` into it.
pub fn event_record(addr: u64, value: u64) -> Sqe {
    entry(DRM_VINCI_OP_EVENT_RECORD, [addr, value, 0, 0, 0, 0, 0])
}

/// Waits until the word at `addr` is at least `value`; `timeout_ms` 0 waits for ever.
pub fn event_wait(addr: u64, value: u64, timeout_ms: u64) -> Sqe {
    entry(DRM_VINCI_OP_EVENT_WAIT, [addr, value, timeout_ms, 0, 0, 0, 0])
}

/// Sets the notify word at `addr`.
pub fn notify_record(addr: u64) -> Sqe {
    entry(DRM_VINCI_OP_NOTIFY_RECORD, [addr, 1, 0, 0, 0, 0, 0])
}

/// Waits for the notify word at `addr` and clears it; `timeout_ms` 0 waits for ever.
pub fn notify_wait(addr: u64, timeout_ms: u64) -> Sqe {
    entry(DRM_VINCI_OP_NOTIFY_WAIT, [addr, 1, timeout_ms, 0, 0, 0, 0])
}

/// Stores `value` at `addr`.
pub fn write_value(addr: u64, value: u64) -> Sqe {
    entry(DRM_VINCI_OP_WRITE_VALUE, [addr, value, 0, 0, 0, 0, 0])
}

/// Waits until the word at `addr` compares with `value`; `timeout_ms` 0 waits for ever.
pub fn wait_value(addr: u64, value: u64, compare: drm_vinci_compare, timeout_ms: u64) -> Sqe {
    Sqe { compare: compare as u16, ..entry(DRM_VINCI_OP_WAIT_VALUE, [addr, value, timeout_ms, 0, 0, 0, 0]) }
}

/// Posts an event with `cookie` and holds the queue until the host answers.
pub fn host_call(cookie: u64) -> Sqe {
    entry(DRM_VINCI_OP_HOST_CALL, [cookie, 0, 0, 0, 0, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_fields_land_where_the_header_says() {
        let sqe = kernel(9, 48, 0x1000, 176, 250);
        // SAFETY: all members are integers.
        let k = unsafe { sqe.__bindgen_anon_1.kernel };
        assert_eq!((sqe.blocks, k.id, k.args, k.args_size, k.timeout_ms), (48, 9, 0x1000, 176, 250));
    }

    #[test]
    fn the_value_of_an_event_can_be_changed() {
        let mut sqe = event_wait(0x1000, 1, 20);
        set_value(&mut sqe, 7);
        assert_eq!(words(&sqe), words(&event_wait(0x1000, 7, 20)));
    }

    #[test]
    fn copy_fields_land_where_the_header_says() {
        let sqe = copy_2d(1, 2, 3, 4, 5, 6);
        // SAFETY: all members are integers.
        let c = unsafe { sqe.__bindgen_anon_1.copy };
        assert_eq!((c.dst, c.dst_pitch, c.src, c.src_pitch, c.width, c.height), (1, 2, 3, 4, 5, 6));
    }
}
