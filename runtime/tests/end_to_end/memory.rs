use vinci::{AllocationKind, Buffer, Device, DevicePtr, Error, HostBuffer, Policy, memory};

use crate::{device, host};

#[test]
fn malloc_is_aligned_and_known() {
    for (bytes, policy) in [
        (1, Policy::NormalOnly),
        (513, Policy::HugeFirst),
        (3 << 20, Policy::HugeOnly),
        (64 << 20, Policy::HugeFirst),
    ] {
        let ptr = device().malloc(bytes, policy).unwrap();
        let align = if policy == Policy::HugeOnly { 2 << 20 } else { 512 };
        assert_eq!(ptr.0 % align, 0);
        let found = memory::lookup(ptr.offset(bytes - 1)).unwrap();
        assert_eq!((found.base, found.size, found.kind), (ptr, bytes, AllocationKind::Device));
        assert_eq!(found.device, Some(device()));
        let begun = bytes.next_multiple_of(512);
        assert!(memory::check_range("test", ptr, begun).is_ok(), "a card would not notice");
        assert!(memory::check_range("test", ptr, begun + 1).is_err());
        Device::free(ptr).unwrap();
        assert!(memory::lookup(ptr).is_none());
    }
}

#[test]
fn allocations_do_not_overlap() {
    let mut live: Vec<(u64, u64)> = Vec::new();
    for n in 0..500u64 {
        let bytes = 1 + n * 977 % 70_000;
        let ptr = device().malloc(bytes, Policy::default()).unwrap();
        assert!(live.iter().all(|&(at, len)| ptr.0 + bytes <= at || at + len <= ptr.0));
        live.push((ptr.0, bytes));
        if n % 3 == 0 {
            let (at, _) = live.swap_remove((n as usize * 7) % live.len());
            Device::free(DevicePtr(at)).unwrap();
        }
    }
    for (at, _) in live {
        Device::free(DevicePtr(at)).unwrap();
    }
}

#[test]
fn bad_sizes_and_bad_frees_are_told_apart() {
    assert!(matches!(device().malloc(0, Policy::default()), Err(Error::InvalidValue { .. })));
    assert!(matches!(device().malloc(1 << 60, Policy::default()), Err(Error::OutOfMemory { .. })));
    let ptr = device().malloc(4096, Policy::default()).unwrap();
    let inside = Device::free(ptr.offset(8)).unwrap_err();
    assert!(matches!(inside, Error::InvalidValue { .. }), "{inside}");
    assert!(inside.to_string().contains("lies inside"));
    Device::free(ptr).unwrap();
    assert_eq!(
        Device::free(ptr),
        Err(Error::InvalidHandle { op: "free", what: "device allocation", handle: ptr.0 })
    );
    let buffer = Buffer::<u8>::new(&device(), 100).unwrap();
    assert!(matches!(Device::free(buffer.ptr()), Err(Error::InvalidValue { .. })), "a Buffer frees itself");
}

#[test]
fn freed_memory_cannot_be_copied() {
    let ptr = device().malloc(1 << 20, Policy::default()).unwrap();
    Device::free(ptr).unwrap();
    let data = [0u8; 16];
    let e = memory::copy(ptr.into(), host(&data), 16).unwrap_err();
    assert!(matches!(e, Error::InvalidHandle { .. }), "{e}");
}

#[test]
fn mem_info_counts_large_blocks() {
    // Other tests of this process allocate too, but nothing as large.
    let bytes = 4u64 << 30;
    let before = device().mem_info().unwrap();
    let ptr = device().malloc(bytes, Policy::default()).unwrap();
    let during = device().mem_info().unwrap();
    Device::free(ptr).unwrap();
    assert_eq!(before.total, device().info().hbm_bytes);
    assert!(before.free - during.free > bytes / 2, "{before:?} {during:?}");
}

#[test]
fn host_buffers_are_zero_and_known() {
    let mut buffer = HostBuffer::new(10_000).unwrap();
    assert!(buffer.iter().all(|&byte| byte == 0));
    buffer[9_999] = 1;
    let at = buffer.as_mut_ptr();
    let found = memory::lookup_host(at.wrapping_add(9_999)).unwrap();
    assert_eq!((found.kind, found.size, found.device), (AllocationKind::Host, 10_000, None));
    let raw = buffer.into_raw();
    assert_eq!(raw, at);
    // SAFETY: taken back once.
    drop(unsafe { HostBuffer::from_raw(raw) }.unwrap());
    assert!(memory::lookup_host(at).is_none());
    // SAFETY: refused.
    assert!(matches!(unsafe { HostBuffer::from_raw(raw) }, Err(Error::InvalidHandle { .. })));
}

#[test]
fn registered_memory_is_pinned_once() {
    let mut data = vec![7u8; 100_000];
    // SAFETY: unregistered below, before the memory goes.
    let va = unsafe { memory::register_host(data.as_mut_ptr(), data.len(), false) }.unwrap();
    // SAFETY: refused.
    let again = unsafe { memory::register_host(data[5000..].as_mut_ptr(), 10, false) };
    assert!(matches!(again, Err(Error::AlreadyRegistered { .. })), "{again:?}");
    assert_eq!(memory::host_device_ptr(data[100..].as_mut_ptr()).unwrap(), va.offset(100));
    let buffer = Buffer::<u8>::new(&device(), data.len()).unwrap();
    memory::copy(buffer.ptr().into(), va.into(), data.len() as u64).unwrap();
    assert_eq!(buffer.to_vec().unwrap(), data);
    let past = memory::copy(buffer.ptr().into(), host(&data[1..]), data.len() as u64).unwrap_err();
    assert!(matches!(past, Error::InvalidValue { .. }), "{past}");
    memory::unregister_host(data.as_mut_ptr()).unwrap();
    assert!(matches!(memory::unregister_host(data.as_mut_ptr()), Err(Error::InvalidHandle { .. })));
    assert!(memory::host_device_ptr(data.as_mut_ptr()).is_err());
}

#[test]
fn memory_freed_in_use_is_not_given_out_before_the_work_is_done() {
    let stream = crate::stream();
    let gate = Buffer::from_slice(&device(), &[0u64]).unwrap();
    stream.wait_value(gate.ptr(), 1, vinci::Compare::Eq).unwrap();
    let ptr = device().malloc(3 << 20, Policy::default()).unwrap();
    stream.memset_async(ptr.into(), 0xee, 3 << 20).unwrap();
    Device::free(ptr).unwrap();
    let mut others = Vec::new();
    for _ in 0..8 {
        let mut other = Buffer::<u8>::new(&device(), 3 << 20).unwrap();
        other.upload(&vec![1; 3 << 20]).unwrap();
        others.push(other);
    }
    memory::copy(gate.ptr().into(), host(&1u64.to_le_bytes()), 8).unwrap();
    stream.synchronize(None).unwrap();
    for other in others {
        assert!(other.to_vec().unwrap().iter().all(|&byte| byte == 1));
    }
}

#[test]
fn empty_and_too_small_buffers() {
    let mut empty = Buffer::<f64>::new(&device(), 0).unwrap();
    assert!(empty.is_empty() && empty.to_vec().unwrap().is_empty());
    assert!(matches!(empty.upload(&[1.0]), Err(Error::InvalidValue { .. })));
}
