//! `aclTensorDesc`: how programs describe the tensors of operators by name. `vinci_described` shows one to libopapi.so,
//! which runs these operators.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::abi::{Handle, In, Out, Text, call, call_or, need_address};
use crate::code::{Failure, INVALID_PARAM, Result};
use crate::handle::{Kind, Table};

static DESCRIPTIONS: Table<Arc<Mutex<TensorDesc>>> = Table::new(Kind::TensorDesc);

struct TensorDesc {
    data_type: i32,
    format: i32,
    dims: Vec<i64>,
    /// `aclMemType`: where the data lie.
    memory: i32,
    /// A value that the program gave with the description.
    constant: Option<Vec<u8>>,
}

/// A description as other libraries of Vinci see it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Described {
    data_type: i32,
    /// `aclMemType`.
    memory: i32,
    rank: usize,
    dims: [i64; SHOWN_DIMS],
    /// Bytes of the constant; 0 if there is none.
    constant: usize,
}

/// Dimensions of what operators take.
const SHOWN_DIMS: usize = 8;

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
        let made = TensorDesc { data_type, format, dims, memory: 0, constant: None };
        DESCRIPTIONS.insert(Arc::new(Mutex::new(made)))
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

    /// The shape that the format makes of the dimensions. This device keeps every format as it keeps ND, so nothing
    /// comes of it.
    fn aclSetTensorShape(handle: Handle, count: i32, values: In<i64>) {
        description(handle)?;
        dims(count, values).map(drop)
    }

    /// Whether the data will lie in device memory (0), in host memory (1) or is known to the compiler (2).
    fn aclSetTensorPlaceMent(handle: Handle, memory: i32) {
        let description = description(handle)?;
        if !(0..=2).contains(&memory) {
            return Err(Failure::new(INVALID_PARAM, format!("memory type {memory}")));
        }
        description.lock().memory = memory;
        Ok(())
    }

    /// A value that is known when the operator is described; it is copied.
    fn aclSetTensorConst(handle: Handle, data: In<u8>, len: usize) {
        let description = description(handle)?;
        let bytes = data.slice(len, "dataBuffer")?;
        description.lock().constant = Some(bytes);
        Ok(())
    }

    /// Shows a description, and its constant where there is room for it.
    fn vinci_described(handle: Handle, shown: Out<Described>, constant: Out<u8>, room: usize) {
        let place = shown.need("described")?;
        let description = description(handle)?;
        let description = description.lock();
        let rank = description.dims.len();
        let mut dims = [0; SHOWN_DIMS];
        let few = dims.get_mut(..rank);
        let few = few.ok_or_else(|| Failure::new(INVALID_PARAM, format!("{rank} dimensions; operators take {SHOWN_DIMS}")))?;
        few.copy_from_slice(&description.dims);
        let bytes = description.constant.as_deref().unwrap_or_default();
        if let Some(place) = constant.maybe().filter(|_| bytes.len() <= room) {
            place.put_all(bytes);
        }
        let TensorDesc { data_type, memory, .. } = *description;
        place.put(Described { data_type, memory, rank, dims, constant: bytes.len() });
        Ok(())
    }
}
