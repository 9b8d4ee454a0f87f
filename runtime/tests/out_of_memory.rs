//! A die without room says so, and everything else goes on.

use vinci::{
    Buffer, Device, DevicePtr, Error, FaultCause, Kernel, PhysicalMemory, Policy, Stream, StreamOptions,
};
use vinci_hw::args::{ArgsBuilder, DType, TensorArg};

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
        assert!(free < device.info().hbm_bytes / 16, "{free} bytes are free");
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

    // A large allocation has a mapping of its own: freed, it is gone for kernels too.
    let stream = Stream::new(&device, StreamOptions::default()).unwrap();
    let ptr = device.malloc(40 << 20, Policy::default()).unwrap();
    Device::free(ptr).unwrap();
    let mut args: ArgsBuilder = ArgsBuilder::new();
    args.tensor(&TensorArg::new(ptr.0, DType::U8, &[8], &[1]).unwrap()).unwrap();
    args.attr_f64(1.0).unwrap().attr_i64(1).unwrap();
    stream.launch(&Kernel::resident("fill").unwrap(), 1, args.finish()).unwrap();
    let e = stream.synchronize(None).unwrap_err();
    assert!(matches!(&e, Error::Fault(fault) if fault.cause == FaultCause::Address), "{e}");
}
