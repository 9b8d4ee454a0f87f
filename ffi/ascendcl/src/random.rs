//! `aclrtRandomNumAsync`: random numbers and dropout masks, as one launch of a resident kernel.

use half::{bf16, f16};
use vinci::Kernel;
use vinci_hw::args::{ArgsBuilder, ArgsError, DType, TensorArg};

use crate::abi::{Address, Handle, In, need_address};
use crate::code::{
    Failure, INTERNAL_ERROR, INVALID_PARAM, RT_FEATURE_NOT_SUPPORT, Result, invalid, of_memory,
};
use crate::memory::check_device_range;
use crate::{device, exception, stream};

const DROPOUT: u32 = 0;
const UNIFORM: u32 = 1;
const NORMAL: u32 = 2;
const TRUNCATED_NORMAL: u32 = 3;

/// `aclrtRandomParaInfo`: a value, or the address of one.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Parameter {
    is_address: u8,
    bytes: [u8; 8],
    size: u8,
    reserved: [u8; 6],
}

/// `aclrtRandomNumTaskInfo`. The union of parameters is one, two or two of them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TaskInfo {
    dtype: i32,
    function: u32,
    parameters: [Parameter; 2],
    scratch: Address,
    result: Address,
    counter: Address,
    seed: Parameter,
    count: Parameter,
    reserved: [u8; 8],
}

const _: () = assert!(size_of::<Parameter>() == 16 && size_of::<TaskInfo>() == 104);

/// A parameter as the kernel takes it.
enum Value {
    Number(f64, i64),
    At(TensorArg),
}

impl Parameter {
    fn value(&self, dtype: DType, name: &str) -> Result<Value> {
        let word = u64::from_le_bytes(self.bytes);
        match self.is_address {
            0 => {
                let (low, int) = (word as u16, word as u32);
                Ok(match dtype {
                    DType::F32 => Value::Number(f32::from_bits(int).into(), 0),
                    DType::F16 => Value::Number(f16::from_bits(low).into(), 0),
                    DType::BF16 => Value::Number(bf16::from_bits(low).into(), 0),
                    DType::I32 => Value::Number(0.0, (int as i32).into()),
                    DType::U32 => Value::Number(0.0, int.into()),
                    _ => Value::Number(0.0, word as i64),
                })
            }
            1 => {
                check_device_range(word as Address, dtype.size())?;
                let tensor = TensorArg::new(word, dtype, &[1], &[1]);
                tensor.map(Value::At).ok_or_else(|| invalid(format!("{name} is at no address")))
            }
            other => Err(Failure::new(INVALID_PARAM, format!("isAddr {other} of {name} is neither 0 nor 1"))),
        }
    }
}

impl TaskInfo {
    fn dtype(&self) -> Result<DType> {
        let known = u32::try_from(self.dtype).ok().and_then(DType::from_raw);
        let integer = matches!(known, Some(DType::I32 | DType::U32 | DType::I64 | DType::U64));
        match known {
            Some(dtype @ (DType::F32 | DType::F16 | DType::BF16)) => Ok(dtype),
            Some(dtype) if integer && self.function == UNIFORM => Ok(dtype),
            _ => Err(invalid(format!(
                "data type {} has no random numbers of function {}",
                self.dtype, self.function
            ))),
        }
    }

    fn kernel(&self) -> Result<&'static str> {
        match self.function {
            DROPOUT => Ok("random_bits"),
            UNIFORM => Ok("random_uniform"),
            NORMAL => Ok("random_normal"),
            TRUNCATED_NORMAL => Ok("random_truncated_normal"),
            other => Err(invalid(format!("funcType {other} is not an aclrtRandomNumFuncType"))),
        }
    }

    /// How many numbers, or bits.
    fn count(&self) -> Result<u64> {
        if self.count.is_address != 0 {
            let text = "randomNum lies in memory; the shape of a launch is known when it is submitted";
            return Err(Failure::new(RT_FEATURE_NOT_SUPPORT, text));
        }
        match u64::from_le_bytes(self.count.bytes) {
            0 => Err(invalid("randomNum is 0")),
            count => Ok(count),
        }
    }
}

entry! {
    fn aclrtRandomNumAsync(info: In<TaskInfo>, handle: Handle, reserve: Address) {
        let info = info.need("taskInfo")?;
        if reserve != 0 {
            return Err(invalid("reserve is not NULL"));
        }
        let (kernel, dtype, count) = (info.kernel()?, info.dtype()?, info.count()?);
        need_address(info.result, "randomResultAddr")?;
        need_address(info.counter, "randomCounterAddr")?;
        let stream = stream::named(handle)?;
        let (element, elements) = match info.function {
            DROPOUT => (DType::U8, count.div_ceil(8)),
            _ => (dtype, count),
        };
        let bytes = elements.checked_mul(element.size() as u64).filter(|bytes| *bytes <= isize::MAX as u64);
        let bytes = bytes.ok_or_else(|| invalid(format!("{count} numbers fit no memory")))?;
        check_device_range(info.result, bytes as usize)?;
        check_device_range(info.counter, 16)?;
        let out = TensorArg::new(info.result as u64, element, &[elements as i64], &[1]);
        let counter = TensorArg::new(info.counter as u64, DType::U64, &[2], &[1]);
        let (Some(out), Some(counter)) = (out, counter) else {
            return Err(invalid(format!("{count} numbers are too many")));
        };
        let second = if info.function == DROPOUT { Value::Number(0.0, 0) } else { info.parameters[1].value(dtype, "the second parameter")? };
        let values = [info.parameters[0].value(dtype, "the first parameter")?, second, info.seed.value(DType::U64, "randomSeed")?];
        let mut args = ArgsBuilder::<160>::new();
        build(&mut args, &[out, counter], &values)
            .map_err(|e| Failure::new(INTERNAL_ERROR, e.to_string()))?;
        let kernel = Kernel::resident(kernel)?;
        let result = stream.stream.launch_with_timeout(&kernel, 1, args.finish(), device::execute_timeout());
        result.map_err(|error| {
            if matches!(error, vinci::Error::Fault(_)) { exception::failure_of(&stream, error) } else { of_memory(error) }
        })
    }
}

/// The argument block: see the kernels' own comment.
fn build<const N: usize>(
    args: &mut ArgsBuilder<N>,
    tensors: &[TensorArg],
    values: &[Value; 3],
) -> std::result::Result<(), ArgsError> {
    for tensor in tensors {
        args.tensor(tensor)?;
    }
    let mut in_memory = 0;
    for (bit, value) in values.iter().enumerate() {
        if let Value::At(tensor) = value {
            args.tensor(tensor)?;
            in_memory |= 1 << bit;
        }
    }
    let number = |value: &Value| match value {
        Value::Number(float, integer) => (*float, *integer),
        Value::At(_) => (0.0, 0),
    };
    let [(first, first_i), (second, second_i), (_, seed)] = values.each_ref().map(number);
    args.attr_i64(seed)?.attr_f64(first)?.attr_i64(first_i)?.attr_f64(second)?.attr_i64(second_i)?;
    args.attr_i64(in_memory)?;
    Ok(())
}
