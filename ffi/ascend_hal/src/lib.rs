//! `libascend_hal.so`: what clients ask of CANN's driver below AscendCL: how many devices there are, and which version
//! of this interface it is. torch_npu's profiler does.
#![allow(non_snake_case)]

#[macro_use]
extern crate vinci_abi;

use vinci_abi::abi::Out;
use vinci_abi::code::{Failure, Result};

/// `DRV_ERROR_NOT_SUPPORT`
const NOT_SUPPORT: i32 = 0xfffe;
/// `HAL_API_VERSION` of the driver that goes with the CANN whose interface the headers describe.
const API_VERSION: i32 = 0x07_23_1c;

unsafe extern "C" {
    fn aclrtGetDeviceCount(count: *mut u32) -> i32;
}

fn devices() -> Result<u32> {
    let mut count = 0;
    // SAFETY: the place is live.
    match unsafe { aclrtGetDeviceCount(&raw mut count) } {
        0 => Ok(count),
        code => Err(Failure::new(code, "the devices cannot be counted")),
    }
}

entry! {
    /// Answers how many devices (dies) there are.
    fn drvGetDevNum(count: Out<u32>) {
        let place = count.need("num_dev")?;
        place.put(devices()?);
        Ok(())
    }

    /// Answers the version of this interface.
    fn halGetAPIVersion(version: Out<i32>) {
        version.need("halAPIVersion")?.put(API_VERSION);
        Ok(())
    }

    /// Nothing is known by these numbers. Who asks for the frequency of a counter of cycles then takes the clock.
    fn halGetDeviceInfo(_device: u32, module: i32, info: i32, _value: Out<i64>) {
        let text = format!("halGetDeviceInfo: information {info} of module {module} is not supported");
        log::debug!("{text}");
        Err(Failure::new(NOT_SUPPORT, text))
    }
}
