//! `aclrtReduceAsync`: a copy that adds, or keeps the larger or smaller, as one launch of a resident kernel.

use vinci::Kernel;
use vinci_hw::args::{ArgsBuilder, ArgsError, DType, TensorArg};

use crate::abi::{Address, Handle};
use crate::code::{
    Failure, INTERNAL_ERROR, INVALID_PARAM, RT_FEATURE_NOT_SUPPORT, Result, invalid, of_memory,
};
use crate::memory::check_device_range;
use crate::{base, exception, stream};

const SUM: u32 = 10;
const MAX: u32 = 11;
const MIN: u32 = 12;
const EQUAL: u32 = 13;

fn kernel_of(kind: u32) -> Result<&'static str> {
    match kind {
        SUM => Ok("add"),
        MAX => Ok("maximum"),
        MIN => Ok("minimum"),
        EQUAL => Err(Failure::new(RT_FEATURE_NOT_SUPPORT, "no kernel reduces to equality")),
        _ => Err(Failure::new(INVALID_PARAM, format!("kind {kind} is not an aclrtReduceKind"))),
    }
}

/// The types that the copy engines of the chips reduce.
fn type_of(kind: i32) -> Result<DType> {
    let known = u32::try_from(kind).ok().and_then(DType::from_raw);
    match known {
        Some(
            dtype
            @ (DType::I8 | DType::I16 | DType::I32 | DType::U32 | DType::F16 | DType::BF16 | DType::F32),
        ) => Ok(dtype),
        _ => Err(Failure::new(RT_FEATURE_NOT_SUPPORT, format!("data type {kind} is not reduced by copies"))),
    }
}

entry! {
    fn aclrtReduceAsync(
        dst: Address, src: Address, bytes: u64, kind: u32, dtype: i32, stream: Handle, reserve: Address,
    ) {
        let (kernel, element) = (kernel_of(kind)?, type_of(dtype)?);
        let size = base::aclDataTypeSize(dtype) as u64;
        if reserve != 0 || bytes == 0 || !bytes.is_multiple_of(size) {
            return Err(invalid(format!("count {bytes} is not a multiple of {size} above 0, or reserve is not NULL")));
        }
        let stream = stream::named(stream)?;
        check_device_range(dst, bytes as usize)?;
        check_device_range(src, bytes as usize)?;
        let tensor = |address: Address| {
            let tensor = TensorArg::new(address as u64, element, &[(bytes / size) as i64], &[1]);
            tensor.ok_or_else(|| invalid(format!("{bytes} bytes are too many")))
        };
        let (dst, src) = (tensor(dst)?, tensor(src)?);
        let mut args = ArgsBuilder::<128>::new();
        let built = |args: &mut ArgsBuilder<128>| -> std::result::Result<(), ArgsError> {
            args.tensor(&dst)?.tensor(&dst)?.tensor(&src)?;
            // alpha, as a float and as an integer
            args.attr_dtype(element)?.attr_f64(1.0)?.attr_i64(1)?;
            Ok(())
        };
        built(&mut args).map_err(|error| Failure::new(INTERNAL_ERROR, format!("arguments of {kernel}: {error:?}")))?;
        let kernel = Kernel::resident(kernel)?;
        stream.stream.launch(&kernel, 1, args.finish()).map_err(|error| {
            if matches!(error, vinci::Error::Fault(_)) { exception::failure_of(&stream, error) } else { of_memory(error) }
        })
    }
}
