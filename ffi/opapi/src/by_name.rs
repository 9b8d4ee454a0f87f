//! Operators by name: tensors come as an aclTensorDesc and an aclDataBuffer each, attributes as an aclopAttr. The program
//! is written and launched at once, its workspace borrowed from the stream's pool.

use std::ffi::{CStr, CString, c_char, c_void};

use crate::dtype::{self, DType};
use crate::error::{OpError, Result, invalid};
use crate::executor;
use crate::link;
use crate::ops::named::{self, Named};
use crate::program::Program;
use crate::view::{Base, View, dense_strides};

/// What [`vinci_by_name`] answers for a name that stands for nothing here.
const UNKNOWN: i32 = -1;

/// What a program passed for an operator.
pub struct Call {
    operator: &'static Named,
    inputs: Vec<Passed>,
    outputs: Vec<Passed>,
    attributes: *const c_void,
}

/// A tensor that a program passed.
enum Passed {
    /// None: one of no type or no data.
    Nothing,
    /// In device memory.
    Tensor(View),
    /// Integers that the program knows itself.
    Ints(Vec<i64>),
}

/// A tensor of one side by its name.
fn find<'a>(names: &[&str], all: &'a [Passed], name: &str) -> Option<&'a Passed> {
    all.get(names.iter().position(|n| *n == name)?)
}

fn tensor<'a>(names: &[&str], all: &'a [Passed], name: &str) -> Option<&'a View> {
    if let Some(Passed::Tensor(view)) = find(names, all, name) { Some(view) } else { None }
}

impl Call {
    /// An input that must be there.
    pub fn input(&self, name: &'static str) -> Result<&View> {
        self.given(name).ok_or(OpError::Null(name))
    }

    /// An input that may be missing.
    pub fn given(&self, name: &str) -> Option<&View> {
        tensor(self.operator.inputs, &self.inputs, name)
    }

    /// An output that must be there.
    pub fn output(&self, name: &'static str) -> Result<&View> {
        self.wanted(name).ok_or(OpError::Null(name))
    }

    /// An input of integers that the program passes in host memory.
    pub fn ints(&self, name: &'static str) -> Result<&[i64]> {
        match find(self.operator.inputs, &self.inputs, name) {
            Some(Passed::Ints(values)) => Ok(values),
            Some(Passed::Tensor(_)) => Err(invalid!("{name} lies in device memory; host memory is needed")),
            _ => Err(OpError::Null(name)),
        }
    }

    /// An output that may be missing.
    pub fn wanted(&self, name: &str) -> Option<&View> {
        tensor(self.operator.outputs, &self.outputs, name)
    }

    /// The bytes of an attribute of kind `kind`; `None` if it was not set.
    fn attribute(&self, name: &str, kind: u32) -> Result<Option<Vec<u8>>> {
        let name = CString::new(name).map_err(|e| OpError::Inner(e.to_string()))?;
        match link::attribute(self.attributes, &name).map_err(OpError::Runtime)? {
            (0, _) => Ok(None),
            (found, bytes) if found == kind => Ok(Some(bytes)),
            (found, _) => Err(invalid!("attribute {name:?} is of kind {found}; {kind} is needed")),
        }
    }

    fn word(&self, name: &str, kind: u32) -> Result<Option<[u8; 8]>> {
        let bytes = self.attribute(name, kind)?;
        bytes.map(|b| b.try_into().map_err(|_| invalid!("attribute {name} has no single value"))).transpose()
    }

    /// A truth value.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        Ok(self.word(name, 1)?.map_or(default, |b| i64::from_ne_bytes(b) != 0))
    }

    /// An integer.
    pub fn int(&self, name: &str, default: i64) -> Result<i64> {
        Ok(self.word(name, 2)?.map_or(default, i64::from_ne_bytes))
    }

    /// A float.
    pub fn float(&self, name: &str, default: f64) -> Result<f64> {
        Ok(self.word(name, 3)?.map_or(default, f64::from_ne_bytes))
    }

    /// A text.
    pub fn text(&self, name: &str, default: &str) -> Result<String> {
        let bytes = self.attribute(name, 5)?;
        Ok(bytes.map_or_else(|| default.to_owned(), |b| String::from_utf8_lossy(&b).into_owned()))
    }

    /// An attribute of which only one value is computed here, which is also the default.
    pub fn only<T: PartialEq + std::fmt::Debug>(name: &str, value: T, computed: T) -> Result<()> {
        if value == computed {
            Ok(())
        } else {
            Err(invalid!("attribute {name} is {value:?}; only {computed:?} is supported"))
        }
    }
}

/// Integers of host memory.
///
/// # Safety
/// `bytes` bytes can be read at `address`.
unsafe fn host_ints(name: &str, dtype: DType, n: u64, address: *const u8, bytes: usize) -> Result<Vec<i64>> {
    let size = dtype.size();
    let fits = n.checked_mul(size as u64).is_some_and(|needs| needs <= bytes as u64);
    if !matches!(dtype, DType::I32 | DType::I64) || !fits {
        return Err(invalid!(
            "{name} has {n} elements of {dtype:?} in {bytes} bytes of host memory; integers are needed"
        ));
    }
    let value = |i: usize| {
        // SAFETY: by this function's contract, element `i` is below `n`.
        unsafe {
            match dtype {
                DType::I32 => i64::from(address.add(i * size).cast::<i32>().read_unaligned()),
                _ => address.add(i * size).cast::<i64>().read_unaligned(),
            }
        }
    };
    Ok((0..n as usize).map(value).collect())
}

/// A tensor that a program passed.
///
/// # Safety
/// The buffer of one in host memory can be read.
unsafe fn passed(name: &str, description: *const c_void, buffer: *const c_void) -> Result<Passed> {
    /// Room for the constants of host memory, which are lists of dimensions.
    const ROOM: usize = 1024;
    let mut constant = [0; ROOM];
    let found = link::described(description, &mut constant).map_err(OpError::Runtime)?;
    let (address, bytes) = link::buffer(buffer);
    let dims = found.dims[..found.rank].to_vec();
    let known = found.constant != 0;
    if found.dtype < 0 || address == 0 && !dims.contains(&0) && !known {
        return Ok(Passed::Nothing);
    }
    let dtype = dtype::of(found.dtype);
    let dtype =
        dtype.ok_or_else(|| invalid!("{name} has aclDataType {}, which is not supported", found.dtype))?;
    let elements = dims.iter().try_fold(1u64, |n, &d| n.checked_mul(u64::try_from(d).ok()?));
    let elements = elements.ok_or_else(|| invalid!("{name} has shape {dims:?}"))?;
    if found.memory != 0 || known {
        let (from, bytes) =
            if known { (constant.as_ptr(), found.constant.min(ROOM)) } else { (address as *const u8, bytes) };
        // SAFETY: by this function's contract, or the constant's room.
        return unsafe { host_ints(name, dtype, elements, from, bytes) }.map(Passed::Ints);
    }
    if elements.checked_mul(dtype.size() as u64).is_none_or(|n| n > bytes as u64) {
        return Err(invalid!("{name} has shape {dims:?}, type {dtype:?} and a buffer of {bytes} bytes"));
    }
    let strides = dense_strides(&dims);
    Ok(Passed::Tensor(View { base: Base::Device(address), dtype, dims: dims.into(), strides }))
}

/// The tensors of one side.
///
/// # Safety
/// Both arrays hold `count` handles, and buffers in host memory can be read.
unsafe fn views(
    names: &[&'static str],
    count: i32,
    descriptions: *const *const c_void,
    buffers: *const *const c_void,
) -> Result<Vec<Passed>> {
    let n = usize::try_from(count).ok().filter(|n| *n <= names.len());
    let n = n.ok_or_else(|| invalid!("{count} tensors; at most {}: {names:?}", names.len()))?;
    if n > 0 && (descriptions.is_null() || buffers.is_null()) {
        return Err(OpError::Null("desc or buffers"));
    }
    let each = (0..n).map(|i| {
        // SAFETY: by this function's contract.
        unsafe { passed(names[i], *descriptions.add(i), *buffers.add(i)) }
    });
    each.collect()
}

/// Runs an operator by name: ACL_SUCCESS, an aclError whose sentence is set, or -1 for an unknown name.
///
/// # Safety
/// `name` is null or a text; the arrays are as long as their counts say; what is said to lie in host memory can be read.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)] // CANN's
pub unsafe extern "C" fn vinci_by_name(
    name: *const c_char,
    inputs: i32,
    input_descriptions: *const *const c_void,
    input_buffers: *const *const c_void,
    outputs: i32,
    output_descriptions: *const *const c_void,
    output_buffers: *const *const c_void,
    attributes: *const c_void,
    stream: *mut c_void,
) -> i32 {
    const INVALID_PARAM: i32 = 100_000;
    const INTERNAL_ERROR: i32 = 500_000;
    if name.is_null() {
        return UNKNOWN;
    }
    // SAFETY: by this function's contract.
    let Ok(text) = unsafe { CStr::from_ptr(name) }.to_str() else { return UNKNOWN };
    let Some(operator) = named::find(text) else { return UNKNOWN };
    let run = || {
        // SAFETY: by this function's contract.
        let (inputs, outputs) = unsafe {
            (
                views(operator.inputs, inputs, input_descriptions, input_buffers)?,
                views(operator.outputs, outputs, output_descriptions, output_buffers)?,
            )
        };
        execute(&Call { operator, inputs, outputs, attributes }, stream)
    };
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    let error = match result.unwrap_or_else(|_| Err(OpError::Inner("a panic was caught".into()))) {
        Ok(()) => return 0,
        // The runtime has set its sentence.
        Err(OpError::Runtime(code)) => return code,
        Err(error) => error,
    };
    let code = if matches!(error, OpError::Inner(_)) { INTERNAL_ERROR } else { INVALID_PARAM };
    link::set_error(code, &format!("operator {text}: {error}"));
    code
}

fn execute(call: &Call, stream: *mut c_void) -> Result<()> {
    if link::is_captured(stream).map_err(OpError::Runtime)? {
        return Err(invalid!("operators by name cannot be captured"));
    }
    let mut program = Program::default();
    (call.operator.build)(&mut program, call)?;
    let bytes = program.workspace;
    if bytes == 0 {
        return executor::execute(call.operator.name, &program, std::ptr::null_mut(), stream);
    }
    let workspace = link::borrow(bytes, stream).map_err(OpError::Runtime)?;
    let result = executor::execute(call.operator.name, &program, workspace as *mut c_void, stream);
    link::give_back(workspace, stream).map_err(OpError::Runtime)?;
    result
}
