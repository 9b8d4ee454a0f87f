//! Operators by name: tensors come as an aclTensorDesc and an aclDataBuffer each, attributes as an aclopAttr. The program
//! is written and launched at once, its workspace borrowed from the stream's pool.

use std::ffi::{CStr, CString, c_char, c_void};

use crate::dtype;
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
    inputs: Vec<Option<View>>,
    outputs: Vec<Option<View>>,
    attributes: *const c_void,
}

/// Places of the tensors of one side.
fn find<'a>(names: &[&str], all: &'a [Option<View>], name: &str) -> Option<&'a View> {
    all.get(names.iter().position(|n| *n == name)?)?.as_ref()
}

impl Call {
    /// An input that must be there.
    pub fn input(&self, name: &'static str) -> Result<&View> {
        self.given(name).ok_or(OpError::Null(name))
    }

    /// An input that may be missing.
    pub fn given(&self, name: &str) -> Option<&View> {
        find(self.operator.inputs, &self.inputs, name)
    }

    /// An output that may be missing.
    pub fn wanted(&self, name: &str) -> Option<&View> {
        find(self.operator.outputs, &self.outputs, name)
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

/// The view of a tensor; `None` for one of no type or no data, which stands for a missing one.
fn view(name: &str, description: *const c_void, buffer: *const c_void) -> Result<Option<View>> {
    let found = link::described(description).map_err(OpError::Runtime)?;
    let (address, bytes) = link::buffer(buffer);
    let dims = found.dims[..found.rank].to_vec();
    if found.dtype < 0 || address == 0 && !dims.contains(&0) {
        return Ok(None);
    }
    let dtype = dtype::of(found.dtype);
    let dtype =
        dtype.ok_or_else(|| invalid!("{name} has aclDataType {}, which is not supported", found.dtype))?;
    if found.memory != 0 {
        return Err(invalid!("{name} lies in host memory"));
    }
    let elements = dims.iter().try_fold(1u64, |n, &d| n.checked_mul(u64::try_from(d).ok()?));
    let needs = elements.and_then(|n| n.checked_mul(dtype.size() as u64));
    if needs.is_none_or(|n| n > bytes as u64) {
        return Err(invalid!("{name} has shape {dims:?}, type {dtype:?} and a buffer of {bytes} bytes"));
    }
    let strides = dense_strides(&dims);
    Ok(Some(View { base: Base::Device(address), dtype, dims: dims.into(), strides }))
}

/// The tensors of one side.
///
/// # Safety
/// Both arrays hold `count` handles.
unsafe fn views(
    names: &[&'static str],
    count: i32,
    descriptions: *const *const c_void,
    buffers: *const *const c_void,
) -> Result<Vec<Option<View>>> {
    let n = usize::try_from(count).ok().filter(|n| *n <= names.len());
    let n = n.ok_or_else(|| invalid!("{count} tensors; at most {}: {names:?}", names.len()))?;
    if n > 0 && (descriptions.is_null() || buffers.is_null()) {
        return Err(OpError::Null("desc or buffers"));
    }
    let each = (0..n).map(|i| {
        // SAFETY: by this function's contract.
        let (description, buffer) = unsafe { (*descriptions.add(i), *buffers.add(i)) };
        view(names[i], description, buffer)
    });
    each.collect()
}

/// Runs an operator by name: ACL_SUCCESS, an aclError whose sentence is set, or -1 for an unknown name.
///
/// # Safety
/// `name` is null or a text; the arrays are as long as their counts say.
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
