use vinci::{Addr, Buffer, Device, Error, HostBuffer, Kernel, Rows, memory};

use crate::{device, fill_args, host, host_mut, pattern, stream};

const SIZES: [usize; 8] = [1, 7, 4096, 65_536, 65_537, 1 << 20, (3 << 20) + 5, 33 << 20];

#[test]
fn pageable_memory_goes_there_and_back() {
    for len in SIZES {
        let data = pattern(len, 1);
        let buffer = Buffer::from_slice(&device(), &data).unwrap();
        assert!(buffer.to_vec().unwrap() == data, "{len} bytes");
    }
}

#[test]
fn pinned_memory_goes_there_and_back_in_a_stream() {
    let stream = stream();
    for len in SIZES {
        let mut out = HostBuffer::new(len).unwrap();
        let mut from = HostBuffer::new(len).unwrap();
        from.copy_from_slice(&pattern(len, 2));
        let buffer = Buffer::<u8>::new(&device(), len).unwrap();
        stream.copy_async(buffer.ptr().into(), host(&from), len as u64).unwrap();
        stream.copy_async(host_mut(&mut out), buffer.ptr().into(), len as u64).unwrap();
        stream.synchronize(None).unwrap();
        assert!(out[..] == from[..], "{len} bytes");
    }
}

#[test]
fn unaligned_ends() {
    let data = pattern(100_003, 3);
    let buffer = Buffer::from_slice(&device(), &data).unwrap();
    let other = Buffer::<u8>::new(&device(), data.len()).unwrap();
    for (dst, src, len) in [(1u64, 3u64, 1usize), (7, 13, 70_001), (511, 1, 513)] {
        memory::copy(other.ptr().offset(dst).into(), buffer.ptr().offset(src).into(), len as u64).unwrap();
        let mut back = vec![0; len + 3];
        memory::copy(host_mut(&mut back[3..]), other.ptr().offset(dst).into(), len as u64).unwrap();
        assert!(back[3..] == data[src as usize..src as usize + len]);
    }
}

#[test]
fn overlapping_copies_are_memmove() {
    let data = pattern(300_000, 4);
    for (dst, src) in [(0usize, 1000usize), (1000, 0)] {
        let buffer = Buffer::from_slice(&device(), &data).unwrap();
        let len = 299_000;
        memory::copy(
            buffer.ptr().offset(dst as u64).into(),
            buffer.ptr().offset(src as u64).into(),
            len as u64,
        )
        .unwrap();
        let mut expected = data.clone();
        expected.copy_within(src..src + len, dst);
        assert!(buffer.to_vec().unwrap() == expected, "{src} to {dst}");
    }
}

#[test]
fn host_to_host() {
    let (data, mut out) = (pattern(5000, 5), vec![0u8; 5000]);
    memory::copy(host_mut(&mut out), host(&data), 5000).unwrap();
    assert_eq!(out, data);
    let (data, mut out) = (pattern(200_000, 6), vec![0u8; 200_000]);
    stream().copy_async(host_mut(&mut out), host(&data), 200_000).unwrap();
    assert!(out == data, "pageable memory is done when the call returns");
}

#[test]
fn between_dies_needs_leave() {
    if Device::count().unwrap() < 2 {
        return;
    }
    let other = Device::get(1).unwrap();
    let data = pattern(1 << 20, 7);
    let here = Buffer::from_slice(&device(), &data).unwrap();
    let there = Buffer::<u8>::new(&other, data.len()).unwrap();
    let copy = || memory::copy(there.ptr().into(), here.ptr().into(), data.len() as u64);
    assert_eq!(copy(), Err(Error::PeerNotEnabled { from: 0, to: 1 }));
    // Kernels are refused as well, before they stop the stream.
    let (stream, fill) = (stream(), Kernel::resident("fill").unwrap());
    let launch = || stream.launch(&fill, 1, &fill_args(there.ptr().0, data.len() as i64, 7));
    assert_eq!(launch(), Err(Error::PeerNotEnabled { from: 0, to: 1 }));
    stream.synchronize(None).unwrap();
    assert!(device().can_access_peer(&other).unwrap());
    assert!(!device().can_access_peer(&device()).unwrap());
    device().enable_peer(&other).unwrap();
    assert!(matches!(device().enable_peer(&other), Err(Error::PeerState { .. })));
    copy().unwrap();
    assert!(there.to_vec().unwrap() == data);
    launch().unwrap();
    stream.synchronize(None).unwrap();
    assert!(there.to_vec().unwrap() == vec![7; data.len()]);
    device().disable_peer(&other).unwrap();
    assert!(matches!(device().disable_peer(&other), Err(Error::PeerState { .. })));
    assert_eq!(copy(), Err(Error::PeerNotEnabled { from: 0, to: 1 }));
}

#[test]
fn rows() {
    let (src_pitch, dst_pitch) = (120u64, 90u64);
    for rows in [Rows { width: 80, height: 50 }, Rows { width: 77, height: 3000 }] {
        let data = pattern((src_pitch * rows.height) as usize, 8);
        let buffer =
            Buffer::from_slice(&device(), &vec![0xaau8; (dst_pitch * rows.height) as usize]).unwrap();
        memory::copy_2d(buffer.ptr().into(), dst_pitch, host(&data), src_pitch, rows).unwrap();
        let on_device = buffer.to_vec().unwrap();
        let mut out = vec![0xbbu8; (src_pitch * rows.height) as usize];
        memory::copy_2d(host_mut(&mut out), src_pitch, buffer.ptr().into(), dst_pitch, rows).unwrap();
        for row in 0..rows.height as usize {
            let (width, src, dst) = (rows.width as usize, row * src_pitch as usize, row * dst_pitch as usize);
            assert!(on_device[dst..dst + width] == data[src..src + width]);
            assert!(on_device[dst + width..dst + dst_pitch as usize].iter().all(|&b| b == 0xaa));
            assert!(out[src..src + width] == data[src..src + width]);
            assert!(out[src + width..src + src_pitch as usize].iter().all(|&b| b == 0xbb));
        }
    }
    let wide = Rows { width: 100, height: 2 };
    let data = [0u8; 300];
    let buffer = Buffer::<u8>::new(&device(), 300).unwrap();
    let e = memory::copy_2d(buffer.ptr().into(), 90, host(&data), 100, wide).unwrap_err();
    assert!(e.to_string().contains("wider than the destination's pitch of 90"), "{e}");
}

#[test]
fn fills() {
    let mut buffer = Buffer::from_slice(&device(), &[1u8; 1000]).unwrap();
    memory::memset(buffer.ptr().offset(3).into(), 9, 994).unwrap();
    let mut expected = vec![9; 1000];
    expected[..3].fill(1);
    expected[997..].fill(1);
    assert_eq!(buffer.to_vec().unwrap(), expected);
    buffer.upload(&[1; 1000]).unwrap();
    memory::memset_2d(buffer.ptr(), 100, 5, Rows { width: 10, height: 10 }).unwrap();
    let out = buffer.to_vec().unwrap();
    assert!(out.iter().enumerate().all(|(n, &byte)| byte == if n % 100 < 10 { 5 } else { 1 }));
    let mut data = vec![0u8; 100_000];
    stream().memset_async(host_mut(&mut data), 3, 100_000).unwrap();
    assert!(data.iter().all(|&byte| byte == 3));
}

#[test]
fn the_end_of_an_allocation_is_the_end() {
    let buffer = Buffer::from_slice(&device(), &[1u8; 1000]).unwrap();
    let mut data = vec![2u8; 2000];
    for e in [
        memory::copy(buffer.ptr().into(), host(&data), 1001).unwrap_err(),
        memory::copy(host_mut(&mut data), buffer.ptr().offset(1).into(), 1000).unwrap_err(),
        stream().memset_async(buffer.ptr().into(), 0, 1001).unwrap_err(),
        memory::copy_2d(buffer.ptr().into(), 500, host(&data), 500, Rows { width: 1, height: 3 })
            .unwrap_err(),
    ] {
        assert!(matches!(e, Error::InvalidValue { .. }), "{e}");
    }
    let e = memory::copy(Addr::Device(vinci::DevicePtr(0x10)), host(&data), 8).unwrap_err();
    assert!(matches!(e, Error::InvalidHandle { handle: 0x10, .. }), "{e}");
    assert_eq!(buffer.to_vec().unwrap(), [1; 1000]);
}
