//! What needs no device: data buffers, element types, float16, attributes, the log.

use std::ffi::c_char;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::abi::{Address, Handle, Out, Text, call_or, need_address};
use crate::code::{Failure, INVALID_PARAM, Result};
use crate::context;
use crate::handle::{Kind, Table};

static BUFFERS: Table<Arc<Mutex<DataBuffer>>> = Table::new(Kind::DataBuffer);

/// A note of an address and a size.
#[derive(Clone, Copy)]
struct DataBuffer {
    data: Address,
    size: usize,
}

fn buffer(handle: Handle) -> Result<DataBuffer> {
    need_address(handle, "dataBuffer")?;
    Ok(*BUFFERS.get(handle)?.lock())
}

#[unsafe(no_mangle)]
pub extern "C" fn aclCreateDataBuffer(data: Address, size: usize) -> Handle {
    call_or("aclCreateDataBuffer", 0, || BUFFERS.insert(Arc::new(Mutex::new(DataBuffer { data, size }))))
}

#[unsafe(no_mangle)]
pub extern "C" fn aclGetDataBufferAddr(handle: Handle) -> Address {
    call_or("aclGetDataBufferAddr", 0, || Ok(buffer(handle)?.data))
}

#[unsafe(no_mangle)]
pub extern "C" fn aclGetDataBufferSize(handle: Handle) -> u32 {
    call_or("aclGetDataBufferSize", 0, || Ok(buffer(handle)?.size as u32))
}

#[unsafe(no_mangle)]
pub extern "C" fn aclGetDataBufferSizeV2(handle: Handle) -> usize {
    call_or("aclGetDataBufferSizeV2", 0, || Ok(buffer(handle)?.size))
}

/// Bytes of an element; 0 for what has no size in whole bytes.
#[unsafe(no_mangle)]
pub extern "C" fn aclDataTypeSize(kind: i32) -> usize {
    match kind {
        2 | 4 | 12 | 34..=37 => 1,
        1 | 6 | 7 | 27 => 2,
        0 | 3 | 8 | 33 => 4,
        9 | 10 | 11 | 16 => 8,
        17 => 16,
        _ => 0,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn aclFloat16ToFloat(value: u16) -> f32 {
    half::f16::from_bits(value).to_f32()
}

#[unsafe(no_mangle)]
pub extern "C" fn aclFloatToFloat16(value: f32) -> u16 {
    half::f16::from_f32(value).to_bits()
}

/// The name of the chip; the text lives as long as the process.
#[unsafe(no_mangle)]
pub extern "C" fn aclrtGetSocName() -> *const c_char {
    static NAME: OnceLock<std::ffi::CString> = OnceLock::new();
    call_or("aclrtGetSocName", std::ptr::null(), || {
        let device = context::device(0)?;
        let name = || std::ffi::CString::new(device.info().soc_name.as_str()).unwrap_or_default();
        Ok(NAME.get_or_init(name).as_ptr())
    })
}

const INF_NAN: i32 = 0;
const BF16: i32 = 1;
const JIT_COMPILE: i32 = 2;
static ATTRIBUTES: [i32; 3] = [INF_NAN, BF16, JIT_COMPILE];

entry! {
    fn aclDestroyDataBuffer(handle: Handle) {
        need_address(handle, "dataBuffer")?;
        BUFFERS.remove(handle).map(drop)
    }

    fn aclUpdateDataBuffer(handle: Handle, data: Address, size: usize) {
        need_address(handle, "dataBuffer")?;
        *BUFFERS.get(handle)?.lock() = DataBuffer { data, size };
        Ok(())
    }

    fn aclGetCannAttributeList(list: Out<*const i32>, count: Out<usize>) {
        let (list, count) = (list.need("cannAttrList")?, count.need("num")?);
        list.put(ATTRIBUTES.as_ptr());
        count.put(ATTRIBUTES.len());
        Ok(())
    }

    /// Kernels compute with infinities and NaNs and know bfloat16; operators are never compiled.
    fn aclGetCannAttribute(attribute: i32, value: Out<i32>) {
        let place = value.need("value")?;
        place.put(match attribute {
            INF_NAN | BF16 => 1,
            JIT_COMPILE => 0,
            _ => return Err(Failure::new(INVALID_PARAM, format!("there is no attribute {attribute}"))),
        });
        Ok(())
    }

    fn aclGetDeviceCapability(device_id: u32, what: i32, value: Out<i64>) {
        let place = value.need("value")?;
        let device = context::device(device_id as i32)?;
        let info = device.info();
        place.put(match what {
            0 => i64::from(info.aic_cores),
            1 => i64::from(info.aiv_cores),
            2 => info.l2_bytes as i64,
            _ => return Err(Failure::new(INVALID_PARAM, format!("there is no device information {what}"))),
        });
        Ok(())
    }
}

/// One line on the standard error. The format is printed as it stands: its arguments are of types that only it
/// knows, and to read them is to trust it.
#[unsafe(no_mangle)]
pub extern "C" fn aclAppLog(level: u32, function: Text, file: Text, line: u32, format: Text) {
    let level = ["DEBUG", "INFO", "WARNING", "ERROR"].get(level as usize).copied().unwrap_or("ERROR");
    let shown = std::env::var("ASCEND_GLOBAL_LOG_LEVEL").ok().and_then(|text| text.parse::<usize>().ok());
    let rank = ["DEBUG", "INFO", "WARNING", "ERROR"].iter().position(|name| *name == level).unwrap_or(3);
    if rank >= shown.unwrap_or(3) {
        let text = |text: Text| text.maybe().unwrap_or_default();
        eprintln!("[{level}] {}:{line} {}: {}", text(file), text(function), text(format));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float16_rounds_to_nearest_even() {
        assert_eq!(aclFloatToFloat16(1.625), 0x3e80);
        assert_eq!(aclFloatToFloat16(65520.0), 0x7c00);
        assert_eq!(aclFloatToFloat16(1.0 + 1.0 / 2048.0), 0x3c00);
        for bits in 0..=u16::MAX {
            let value = aclFloat16ToFloat(bits);
            assert!(value.is_nan() || aclFloatToFloat16(value) == bits, "{bits:#x}");
        }
    }
}
