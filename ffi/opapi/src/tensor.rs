//! aclTensor, aclScalar, arrays and lists: the C functions that make, read and destroy them.

use std::ffi::c_void;
use std::sync::Arc;

use half::{bf16, f16};

use crate::dims::Dims;
use crate::dtype::{self, DType};
use crate::error::{OpError, Result, invalid, status};
use crate::objects::{self, Object, Scalar};
use crate::view::{Base, View};

/// What aclCreateTensor was told.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// aclDataType, also one that no operator here takes.
    pub dtype: i32,
    /// aclFormat.
    pub format: i32,
    /// View.
    pub dims: Dims,
    /// In elements.
    pub strides: Dims,
    /// In elements, from `data` to the first of the view.
    pub offset: i64,
    /// Of the storage.
    pub storage: Dims,
    /// Device address of the storage.
    pub data: u64,
}

impl Tensor {
    /// The view that kernels get.
    pub fn view(&self, arg: &'static str) -> Result<View> {
        let dtype = dtype::of(self.dtype);
        let dtype =
            dtype.ok_or_else(|| invalid!("{arg} has aclDataType {}, which is not supported", self.dtype))?;
        if self.data == 0 && self.dims.iter().all(|&d| d != 0) {
            return Err(invalid!("{arg} has no data: its device address is null"));
        }
        let first = self.data.wrapping_add_signed(self.offset.wrapping_mul(dtype.size() as i64));
        Ok(View { base: Base::Device(first), dtype, dims: self.dims.clone(), strides: self.strides.clone() })
    }
}

/// `n` values at `p`; `None` if `p` is null although there are some, or `n` cannot be.
///
/// # Safety
/// Unless it is null, `p` points to `n` values, which stay as they are while the slice lives.
unsafe fn values<'a, T>(p: *const T, n: u64) -> Option<&'a [T]> {
    match usize::try_from(n).ok()? {
        0 => Some(&[]),
        n if p.is_null() || n > 1 << 28 => None,
        // SAFETY: by this function's contract.
        n => Some(unsafe { std::slice::from_raw_parts(p, n) }),
    }
}

/// A tensor as C describes it.
///
/// # Safety
/// The arrays are as long as their counts say.
#[allow(clippy::too_many_arguments)] // CANN's
unsafe fn described(
    view_dims: *const i64,
    view_dims_num: u64,
    dtype: i32,
    stride: *const i64,
    offset: i64,
    format: i32,
    storage_dims: *const i64,
    storage_dims_num: u64,
    tensor_data: *mut c_void,
) -> Result<Object> {
    // SAFETY: by this function's contract.
    let (dims, storage, strides) = unsafe {
        let strides = if stride.is_null() { None } else { values(stride, view_dims_num) };
        (values(view_dims, view_dims_num), values(storage_dims, storage_dims_num), strides)
    };
    let dims = dims.ok_or(OpError::Null("viewDims"))?;
    let storage = storage.ok_or(OpError::Null("storageDims"))?;
    if dims.len() > vinci_hw::args::MAX_RANK {
        return Err(invalid!("{} dimensions; at most {}", dims.len(), vinci_hw::args::MAX_RANK));
    }
    // The storage's are only told back: programs have negative ones for a tensor of no elements.
    if dims.iter().any(|&d| d < 0) {
        return Err(invalid!("a negative dimension in {dims:?}"));
    }
    let strides = strides.map_or_else(|| crate::view::dense_strides(dims), Dims::from);
    let (dims, storage) = (dims.into(), storage.into());
    let data = tensor_data as u64;
    Ok(Object::Tensor(Arc::new(Tensor { dtype, format, dims, strides, offset, storage, data })))
}

/// Makes a tensor over `tensorData`; null if an argument cannot be.
///
/// # Safety
/// The arrays are as long as their counts say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aclCreateTensor(
    view_dims: *const i64,
    view_dims_num: u64,
    data_type: i32,
    stride: *const i64,
    offset: i64,
    format: i32,
    storage_dims: *const i64,
    storage_dims_num: u64,
    tensor_data: *mut c_void,
) -> *mut c_void {
    let mut made = std::ptr::null_mut();
    status("aclCreateTensor", || {
        // SAFETY: by this function's contract.
        made = objects::insert(unsafe {
            described(
                view_dims,
                view_dims_num,
                data_type,
                stride,
                offset,
                format,
                storage_dims,
                storage_dims_num,
                tensor_data,
            )
        }?);
        Ok(())
    });
    made
}

/// Makes a live tensor what `aclCreateTensor` would make of these arguments; executors made before keep the old one.
///
/// # Safety
/// The arrays are as long as their counts say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aclInitTensor(
    tensor: *mut c_void,
    view_dims: *const i64,
    view_dims_num: u64,
    data_type: i32,
    stride: *const i64,
    offset: i64,
    format: i32,
    storage_dims: *const i64,
    storage_dims_num: u64,
    tensor_data: *mut c_void,
) -> i32 {
    status("aclInitTensor", || {
        objects::tensor("tensor", tensor)?;
        // SAFETY: by this function's contract.
        objects::replace(tensor, unsafe {
            described(
                view_dims,
                view_dims_num,
                data_type,
                stride,
                offset,
                format,
                storage_dims,
                storage_dims_num,
                tensor_data,
            )
        }?);
        Ok(())
    })
}

/// Makes a scalar of the value at `value`; null if the type is unknown.
///
/// # Safety
/// Unless it is null, `value` points to a value of the type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aclCreateScalar(value: *mut c_void, data_type: i32) -> *mut c_void {
    let mut made = std::ptr::null_mut();
    status("aclCreateScalar", || {
        if value.is_null() {
            return Err(OpError::Null("value"));
        }
        let dtype = dtype::of(data_type);
        let dtype = dtype.ok_or_else(|| invalid!("aclDataType {data_type} is not supported for a scalar"))?;
        let mut imaginary = 0.0;
        macro_rules! read {
            ($($dtype:ident $type:ty),*) => {
                match dtype {
                    // SAFETY: by this function's contract; the value need not be aligned.
                    $(DType::$dtype => unsafe { let v = value.cast::<$type>().read_unaligned(); (v as f64, v as i64) },)*
                    // SAFETY: as above.
                    DType::F16 => unsafe { let v = value.cast::<f16>().read_unaligned().to_f64(); (v, v as i64) },
                    // SAFETY: as above.
                    DType::BF16 => unsafe { let v = value.cast::<bf16>().read_unaligned().to_f64(); (v, v as i64) },
                    // SAFETY: as above, for two.
                    DType::C64 => unsafe {
                        let [re, im] = value.cast::<[f32; 2]>().read_unaligned();
                        imaginary = f64::from(im);
                        (f64::from(re), re as i64)
                    },
                    // SAFETY: as above, for two.
                    DType::C128 => unsafe {
                        let [re, im] = value.cast::<[f64; 2]>().read_unaligned();
                        imaginary = im;
                        (re, re as i64)
                    },
                    // SAFETY: as above; any byte but 0 is true.
                    DType::Bool => unsafe { let v = value.cast::<u8>().read() != 0; (f64::from(u8::from(v)), i64::from(v)) },
                }
            };
        }
        let (float, int) =
            read!(F32 f32, F64 f64, I8 i8, I16 i16, I32 i32, I64 i64, U8 u8, U16 u16, U32 u32, U64 u64);
        made = objects::insert(Object::Scalar(Scalar { dtype, float, int, imaginary }));
        Ok(())
    });
    made
}

macro_rules! arrays {
    ($($create:ident $destroy:ident $size:ident $variant:ident $lookup:ident $type:ty;)*) => { $(
        /// Makes an array of `size` values; null if `value` is null although there are some.
        ///
        /// # Safety
        /// `value` points to `size` values.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $create(value: *const $type, size: u64) -> *mut c_void {
            let mut made = std::ptr::null_mut();
            status(stringify!($create), || {
                // SAFETY: by this function's contract.
                let values = unsafe { values(value, size) }.ok_or(OpError::Null("value"))?;
                made = objects::insert(Object::$variant(values.into()));
                Ok(())
            });
            made
        }

        /// Destroys an array.
        #[unsafe(no_mangle)]
        pub extern "C" fn $destroy(array: *const c_void) -> i32 {
            destroy(stringify!($destroy), array, |o| matches!(o, Object::$variant(_)))
        }

        /// Stores the number of values at `size`.
        ///
        /// # Safety
        /// Unless it is null, `size` can be written.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $size(array: *const c_void, size: *mut u64) -> i32 {
            status(stringify!($size), || {
                let n = objects::$lookup("array", array)?.len() as u64;
                // SAFETY: by this function's contract.
                unsafe { put("size", size, n) }
            })
        }
    )* };
}

arrays! {
    aclCreateIntArray aclDestroyIntArray aclGetIntArraySize Ints ints i64;
    aclCreateFloatArray aclDestroyFloatArray aclGetFloatArraySize Floats floats f32;
    aclCreateBoolArray aclDestroyBoolArray aclGetBoolArraySize Bools bools bool;
}

macro_rules! lists {
    ($($create:ident $destroy:ident $variant:ident $item:ident $what:literal;)*) => { $(
        /// Makes a list that owns its elements; null if one of them is not live.
        ///
        /// # Safety
        /// `value` points to `size` handles.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $create(value: *const *const c_void, size: u64) -> *mut c_void {
            let mut made = std::ptr::null_mut();
            status(stringify!($create), || {
                // SAFETY: by this function's contract.
                let handles = unsafe { values(value, size) }.ok_or(OpError::Null("value"))?;
                if !handles.iter().all(|&h| matches!(objects::get(h), Some(Object::$item(_)))) {
                    return Err(OpError::Handle("value", $what));
                }
                let handles: Vec<_> = handles.iter().map(|&h| h as usize).collect();
                made = objects::insert(Object::$variant(handles.into()));
                Ok(())
            });
            made
        }

        /// Destroys a list and its elements.
        #[unsafe(no_mangle)]
        pub extern "C" fn $destroy(list: *const c_void) -> i32 {
            if let Some(Object::$variant(handles)) = objects::get(list) {
                handles.iter().for_each(|&h| drop(objects::remove(h as *const c_void)));
            }
            destroy(stringify!($destroy), list, |o| matches!(o, Object::$variant(_)))
        }
    )* };
}

lists! {
    aclCreateTensorList aclDestroyTensorList Tensors Tensor "aclTensor";
    aclCreateScalarList aclDestroyScalarList Scalars Scalar "aclScalar";
}

fn destroy(name: &str, handle: *const c_void, right_kind: fn(&Object) -> bool) -> i32 {
    status(name, || {
        if handle.is_null() {
            return Err(OpError::Null("handle"));
        }
        match objects::get(handle) {
            Some(o) if right_kind(&o) => {
                objects::remove(handle);
                Ok(())
            }
            _ => Err(OpError::Handle("handle", "object of this kind")),
        }
    })
}

/// Destroys a tensor; its memory is the program's.
#[unsafe(no_mangle)]
pub extern "C" fn aclDestroyTensor(tensor: *const c_void) -> i32 {
    destroy("aclDestroyTensor", tensor, |o| matches!(o, Object::Tensor(_)))
}

/// Destroys a scalar.
#[unsafe(no_mangle)]
pub extern "C" fn aclDestroyScalar(scalar: *const c_void) -> i32 {
    destroy("aclDestroyScalar", scalar, |o| matches!(o, Object::Scalar(_)))
}

/// Stores `value` at `to`.
///
/// # Safety
/// Unless it is null, `to` can be written.
unsafe fn put<T>(arg: &'static str, to: *mut T, value: T) -> Result<()> {
    if to.is_null() {
        return Err(OpError::Null(arg));
    }
    // SAFETY: by this function's contract.
    unsafe { to.write(value) };
    Ok(())
}

/// A copy of dimensions that the program frees with `delete[]`, as CANN has it: from the C heap.
///
/// # Safety
/// Unless they are null, both places can be written.
pub unsafe fn put_dims(dims: &[i64], to: *mut *mut i64, num: *mut u64) -> Result<()> {
    unsafe extern "C" {
        fn malloc(bytes: usize) -> *mut c_void;
    }
    if to.is_null() || num.is_null() {
        return Err(OpError::Null("dims"));
    }
    // SAFETY: the block holds the dimensions; the places can be written by this function's contract.
    unsafe {
        let copy = malloc((dims.len() * 8).max(8)).cast::<i64>();
        if copy.is_null() {
            return Err(OpError::Inner("out of host memory".into()));
        }
        std::ptr::copy_nonoverlapping(dims.as_ptr(), copy, dims.len());
        to.write(copy);
        num.write(dims.len() as u64);
    }
    Ok(())
}

macro_rules! tensor_dims {
    ($($function:ident $field:ident;)*) => { $(
        #[doc = concat!("Answers the tensor's ", stringify!($field), " as an array that the program frees.")]
        ///
        /// # Safety
        /// Unless they are null, both places can be written.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $function(tensor: *const c_void, to: *mut *mut i64, num: *mut u64) -> i32 {
            status(stringify!($function), || {
                let t = objects::tensor("tensor", tensor)?;
                // SAFETY: by this function's contract.
                unsafe { put_dims(&t.$field, to, num) }
            })
        }
    )* };
}

tensor_dims! {
    aclGetViewShape dims;
    aclGetViewStrides strides;
    aclGetStorageShape storage;
}

macro_rules! tensor_field {
    ($($function:ident $field:ident $type:ty;)*) => { $(
        #[doc = concat!("Answers the tensor's ", stringify!($field), ".")]
        ///
        /// # Safety
        /// Unless it is null, the place can be written.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $function(tensor: *const c_void, to: *mut $type) -> i32 {
            status(stringify!($function), || {
                let t = objects::tensor("tensor", tensor)?;
                // SAFETY: by this function's contract.
                unsafe { put("value", to, t.$field) }
            })
        }
    )* };
}

tensor_field! {
    aclGetViewOffset offset i64;
    aclGetFormat format i32;
    aclGetDataType dtype i32;
}

/// Answers the device address that a tensor was made over.
///
/// # Safety
/// Unless it is null, the place can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aclGetRawTensorAddr(tensor: *const c_void, addr: *mut *mut c_void) -> i32 {
    status("aclGetRawTensorAddr", || {
        let t = objects::tensor("tensor", tensor)?;
        // SAFETY: by this function's contract.
        unsafe { put("addr", addr, t.data as *mut c_void) }
    })
}

/// Moves a tensor to another device address; executors made before keep the old one.
#[unsafe(no_mangle)]
pub extern "C" fn aclSetRawTensorAddr(tensor: *mut c_void, addr: *mut c_void) -> i32 {
    status("aclSetRawTensorAddr", || {
        let mut t = (*objects::tensor("tensor", tensor)?).clone();
        t.data = addr as u64;
        objects::replace(tensor, Object::Tensor(Arc::new(t)));
        Ok(())
    })
}
