use vinci::{Access, Buffer, DevicePtr, Error, FaultCause, PhysicalMemory, VirtualRange, memory};

use crate::{device, host, host_mut, pattern, stream};

#[test]
fn adjoining_parts_are_one_range() {
    let step = PhysicalMemory::granularity(&device()).unwrap();
    let range = VirtualRange::reserve(4 * step, 0, DevicePtr::NULL).unwrap();
    let pieces: Vec<_> = (0..3).map(|_| PhysicalMemory::create(&device(), step).unwrap()).collect();
    for (n, piece) in pieces.iter().enumerate() {
        range.map(n as u64 * step, step, piece, 0, Access::ReadWrite).unwrap();
    }
    let data = pattern(2 * step as usize, 1);
    let at = range.base().offset(step / 2);
    memory::copy(at.into(), host(&data), data.len() as u64).unwrap();
    let buffer = Buffer::<u8>::new(&device(), data.len()).unwrap();
    memory::copy(buffer.ptr().into(), at.into(), data.len() as u64).unwrap();
    assert!(buffer.to_vec().unwrap() == data);
    assert!(memory::memset(range.base().into(), 0, 3 * step + 1).is_err(), "past the last part");
}

#[test]
fn memory_keeps_its_bytes_while_it_moves() {
    let step = PhysicalMemory::granularity(&device()).unwrap();
    let page = PhysicalMemory::create(&device(), step).unwrap();
    let (a, b) = (
        VirtualRange::reserve(step, 0, DevicePtr::NULL).unwrap(),
        VirtualRange::reserve(step, 0, DevicePtr::NULL).unwrap(),
    );
    let first = a.map(0, step, &page, 0, Access::ReadWrite).unwrap();
    memory::memset(first.into(), 0x5a, step).unwrap();
    a.unmap(0).unwrap();
    assert!(matches!(a.unmap(0), Err(Error::InvalidHandle { .. })));
    let second = b.map(0, step, &page, 0, Access::Read).unwrap();
    drop(page);
    let mut out = vec![0u8; step as usize];
    memory::copy(host_mut(&mut out), second.into(), step).unwrap();
    assert!(out.iter().all(|&byte| byte == 0x5a));

    let stream = stream();
    stream.memset_async(second.into(), 0, 8).unwrap();
    let e = stream.synchronize(None).unwrap_err();
    assert!(matches!(&e, Error::Fault(fault) if fault.cause == FaultCause::Address && fault.write), "{e}");
    stream.reset().unwrap();
    b.set_access(0, Access::ReadWrite).unwrap();
    stream.memset_async(second.into(), 0, 8).unwrap();
    stream.synchronize(None).unwrap();
}

#[test]
fn bad_numbers_are_refused() {
    let step = PhysicalMemory::granularity(&device()).unwrap();
    assert!(PhysicalMemory::create(&device(), step + 1).is_err());
    assert!(VirtualRange::reserve(100, 0, DevicePtr::NULL).is_err());
    assert!(VirtualRange::reserve(step, 3, DevicePtr::NULL).is_err());
    let range = VirtualRange::reserve(2 * step, 0, DevicePtr::NULL).unwrap();
    let page = PhysicalMemory::create(&device(), step).unwrap();
    assert!(range.map(1, step, &page, 0, Access::ReadWrite).is_err());
    assert!(range.map(2 * step, step, &page, 0, Access::ReadWrite).is_err());
    assert!(range.map(0, 2 * step, &page, 0, Access::ReadWrite).is_err());
    range.map(0, step, &page, 0, Access::ReadWrite).unwrap();
    assert!(matches!(range.map(0, step, &page, 0, Access::ReadWrite), Err(Error::Busy { .. })));
}

#[test]
fn a_hint_is_taken_if_it_is_free() {
    let step = PhysicalMemory::granularity(&device()).unwrap();
    let base = {
        let range = VirtualRange::reserve(16 * step, 0, DevicePtr::NULL).unwrap();
        range.base()
    };
    // Another test may take it meanwhile; then the range lies elsewhere.
    let hinted = VirtualRange::reserve(16 * step, 0, base).unwrap();
    let other = VirtualRange::reserve(16 * step, 0, hinted.base()).unwrap();
    assert_ne!(other.base(), hinted.base());
}
