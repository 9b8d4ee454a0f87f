//! `aclTensorDesc` and `aclopAttr`: how programs describe operators by name. Such operators are refused (see
//! libacl_op_compiler.so), so descriptions can be read back and attributes are checked and let go.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::abi::{Handle, In, Out, Text, call, call_or, need_address};
use crate::code::{Failure, INVALID_PARAM, Result};
use crate::handle::{Kind, Table};

static DESCRIPTIONS: Table<Arc<Mutex<TensorDesc>>> = Table::new(Kind::TensorDesc);
static ATTRIBUTES: Table<()> = Table::new(Kind::OpAttr);

struct TensorDesc {
    data_type: i32,
    format: i32,
    dims: Vec<i64>,
}

/// Dimensions that a description has at most.
const MOST_DIMS: i32 = 128;

fn dims(count: i32, dims: In<i64>) -> Result<Vec<i64>> {
    match count {
        0 => Ok(Vec::new()),
        1..=MOST_DIMS => dims.slice(count as usize, "dims"),
        _ => Err(Failure::new(INVALID_PARAM, format!("{count} dimensions; at most {MOST_DIMS}"))),
    }
}

fn description(handle: Handle) -> Result<Arc<Mutex<TensorDesc>>> {
    need_address(handle, "desc")?;
    DESCRIPTIONS.get(handle)
}

#[unsafe(no_mangle)]
pub extern "C" fn aclCreateTensorDesc(data_type: i32, count: i32, values: In<i64>, format: i32) -> Handle {
    call_or("aclCreateTensorDesc", 0, || {
        let dims = dims(count, values)?;
        DESCRIPTIONS.insert(Arc::new(Mutex::new(TensorDesc { data_type, format, dims })))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn aclDestroyTensorDesc(handle: Handle) {
    call("aclDestroyTensorDesc", || match handle {
        0 => Ok(()),
        _ => DESCRIPTIONS.remove(handle).map(drop),
    });
}

/// The element type; `ACL_DT_UNDEFINED` of what is no description.
#[unsafe(no_mangle)]
pub extern "C" fn aclGetTensorDescType(handle: Handle) -> i32 {
    call_or("aclGetTensorDescType", -1, || Ok(description(handle)?.lock().data_type))
}

/// The format; `ACL_FORMAT_UNDEFINED` of what is no description.
#[unsafe(no_mangle)]
pub extern "C" fn aclGetTensorDescFormat(handle: Handle) -> i32 {
    call_or("aclGetTensorDescFormat", -1, || Ok(description(handle)?.lock().format))
}

#[unsafe(no_mangle)]
pub extern "C" fn aclGetTensorDescNumDims(handle: Handle) -> usize {
    call_or("aclGetTensorDescNumDims", 0, || Ok(description(handle)?.lock().dims.len()))
}

/// Elements; 0 where a dimension is not known.
#[unsafe(no_mangle)]
pub extern "C" fn aclGetTensorDescElementCount(handle: Handle) -> usize {
    call_or("aclGetTensorDescElementCount", 0, || {
        let known = description(handle)?
            .lock()
            .dims
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?));
        Ok(known.unwrap_or(0))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn aclGetTensorDescSize(handle: Handle) -> usize {
    let element = crate::base::aclDataTypeSize(aclGetTensorDescType(handle));
    aclGetTensorDescElementCount(handle).saturating_mul(element)
}

#[unsafe(no_mangle)]
pub extern "C" fn aclSetTensorDescName(handle: Handle, name: Text) {
    call("aclSetTensorDescName", || {
        description(handle)?;
        name.need("name").map(drop)
    });
}

#[unsafe(no_mangle)]
pub extern "C" fn aclopCreateAttr() -> Handle {
    call_or("aclopCreateAttr", 0, || ATTRIBUTES.insert(()))
}

#[unsafe(no_mangle)]
pub extern "C" fn aclopDestroyAttr(handle: Handle) {
    call("aclopDestroyAttr", || match handle {
        0 => Ok(()),
        _ => ATTRIBUTES.remove(handle),
    });
}

fn set(handle: Handle, name: Text) -> Result<()> {
    need_address(handle, "attr")?;
    name.need("attrName")?;
    ATTRIBUTES.get(handle)
}

fn set_list<T: Copy>(handle: Handle, name: Text, count: i32, values: In<T>) -> Result<()> {
    set(handle, name)?;
    match usize::try_from(count) {
        Ok(0) => Ok(()),
        Ok(n) => values.slice(n, "values").map(drop),
        Err(_) => Err(Failure::new(INVALID_PARAM, format!("{count} values"))),
    }
}

entry! {
    fn aclGetTensorDescDimV2(handle: Handle, index: usize, dim: Out<i64>) {
        let place = dim.need("dimSize")?;
        let description = description(handle)?;
        let description = description.lock();
        let n = description.dims.len();
        let dim = description.dims.get(index);
        place.put(*dim.ok_or_else(|| Failure::new(INVALID_PARAM, format!("dimension {index} of {n}")))?);
        Ok(())
    }

    fn aclSetTensorFormat(handle: Handle, format: i32) {
        description(handle)?.lock().format = format;
        Ok(())
    }

    fn aclSetTensorShape(handle: Handle, count: i32, values: In<i64>) {
        description(handle)?.lock().dims = dims(count, values)?;
        Ok(())
    }

    /// Whether the data will lie in device memory (0), in host memory (1) or is known to the compiler (2).
    fn aclSetTensorPlaceMent(handle: Handle, memory: i32) {
        description(handle)?;
        if (0..=2).contains(&memory) { Ok(()) } else { Err(Failure::new(INVALID_PARAM, format!("memory type {memory}"))) }
    }

    fn aclopSetAttrBool(handle: Handle, name: Text, _value: u8) { set(handle, name) }
    fn aclopSetAttrInt(handle: Handle, name: Text, _value: i64) { set(handle, name) }
    fn aclopSetAttrFloat(handle: Handle, name: Text, _value: f32) { set(handle, name) }
    fn aclopSetAttrDataType(handle: Handle, name: Text, _value: i32) { set(handle, name) }
    fn aclopSetAttrString(handle: Handle, name: Text, value: Text) {
        value.need("attrValue")?;
        set(handle, name)
    }
    fn aclopSetAttrListBool(handle: Handle, name: Text, count: i32, values: In<u8>) { set_list(handle, name, count, values) }
    fn aclopSetAttrListInt(handle: Handle, name: Text, count: i32, values: In<i64>) { set_list(handle, name, count, values) }
    fn aclopSetAttrListFloat(handle: Handle, name: Text, count: i32, values: In<f32>) { set_list(handle, name, count, values) }
    fn aclopSetAttrListDataType(handle: Handle, name: Text, count: i32, values: In<i32>) { set_list(handle, name, count, values) }
    fn aclopSetAttrListString(handle: Handle, name: Text, count: i32, values: In<usize>) { set_list(handle, name, count, values) }
    fn aclopSetAttrListListInt(handle: Handle, name: Text, lists: i32, counts: In<i32>, _values: In<usize>) {
        set_list(handle, name, lists, counts)
    }
}
