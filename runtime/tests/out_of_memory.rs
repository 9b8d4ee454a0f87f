//! A die without room says so, and everything else goes on.

use vinci::{Buffer, Device, DevicePtr, Error, PhysicalMemory, Policy};

#[test]
fn a_full_die_recovers() {
    let device = Device::get(0).unwrap();
    let mut kept = Buffer::from_slice(&device, &[5u8; 1000]).unwrap();
    for piece in [1u64 << 30, 20 << 20] {
        let mut taken: Vec<DevicePtr> = Vec::new();
        let e = loop {
            match device.malloc(piece, Policy::default()) {
                Ok(ptr) => taken.push(ptr),
                Err(e) => break e,
            }
            assert!(taken.len() as u64 * piece <= device.info().hbm_bytes, "more than there is");
        };
        let Error::OutOfMemory { die: 0, asked, free } = e else { panic!("{e}") };
        assert_eq!(asked, piece);
        assert!(free < piece * 2, "{free} bytes are free");
        assert!(taken.len() as u64 * piece > device.info().hbm_bytes / 10 * 9, "{} pieces", taken.len());
        assert!(matches!(PhysicalMemory::create(&device, 2 << 30), Err(Error::OutOfMemory { .. })));
        kept.upload(&[6; 1000]).unwrap();
        assert_eq!(kept.to_vec().unwrap(), [6; 1000]);
        taken.into_iter().for_each(|ptr| Device::free(ptr).unwrap());
        let again = device.malloc(piece, Policy::default()).unwrap();
        Device::free(again).unwrap();
    }
    if Device::count().unwrap() > 1 {
        let other = Device::get(1).unwrap();
        assert!(other.mem_info().unwrap().free > other.info().hbm_bytes / 10 * 9);
    }
    let ptr = device.malloc(100, Policy::default()).unwrap();
    assert!(device.free_all().unwrap() >= 100);
    assert!(Device::free(ptr).is_err(), "free_all had it");
    assert_eq!(kept.to_vec().unwrap(), [6; 1000], "a Buffer is its owner's");
}
