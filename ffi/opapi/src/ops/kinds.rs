//! Kinds of operator arguments: the C type, and the value that it is checked into.

use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;

use crate::dtype::{self, DType};
use crate::error::{Result, invalid};
use crate::objects;
use crate::record::{Argument, Role};
use crate::view::View;

/// A kind of argument.
pub trait Kind {
    /// As C passes it.
    type C;
    /// As builders get it.
    type Value;
    /// As the header writes it.
    #[cfg_attr(not(test), allow(dead_code))] // only the headers are made of it, and a test makes them
    const C_TYPE: &'static str;
    /// Checks an argument.
    fn get(arg: &'static str, c: Self::C) -> Result<Self::Value>;
    /// An argument as records have it.
    fn record(c: Self::C) -> Argument;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $role:ident $name:ident $c:ty => $value:ty, $text:literal, |$arg:ident, $x:ident| $get:expr;)*) => { $(
        $(#[$doc])*
        pub struct $name;
        impl Kind for $name {
            type C = $c;
            type Value = $value;
            const C_TYPE: &'static str = $text;
            fn get($arg: &'static str, $x: $c) -> Result<$value> {
                $get
            }
            fn record(c: $c) -> Argument {
                Argument::new(Role::$role, c)
            }
        }
    )* };
}

fn check<T>(_arg: &'static str, value: T) -> Result<T> {
    Ok(value)
}

/// Refuses a scalar with an imaginary part.
fn real(arg: &str, s: objects::Scalar) -> Result<objects::Scalar> {
    if s.imaginary == 0.0 {
        Ok(s)
    } else {
        Err(invalid!("{arg} is {} + {}i; a real number is needed", s.float, s.imaginary))
    }
}

kinds! {
    /// A tensor that is read.
    Read Tensor *const c_void => View, "const aclTensor *", |arg, x| objects::tensor(arg, x)?.view(arg);
    /// A tensor that is written.
    Written Out *mut c_void => View, "aclTensor *", |arg, x| objects::tensor(arg, x)?.view(arg);
    /// A tensor that is read and written.
    Updated Ref *mut c_void => View, "aclTensor *", |arg, x| objects::tensor(arg, x)?.view(arg);
    /// A tensor that is read, or null.
    Read OptTensor *const c_void => Option<View>, "const aclTensor *", |arg, x| {
        if x.is_null() { Ok(None) } else { objects::tensor(arg, x)?.view(arg).map(Some) }
    };
    /// A tensor that is written, or null.
    Written OptOut *mut c_void => Option<View>, "aclTensor *", |arg, x| {
        if x.is_null() { Ok(None) } else { objects::tensor(arg, x)?.view(arg).map(Some) }
    };
    /// A tensor that is read and written, or null.
    Updated OptRef *mut c_void => Option<View>, "aclTensor *", |arg, x| OptOut::get(arg, x);
    /// A tensor that is written and takes its shape from what is found: its view and its handle.
    Written Found *mut c_void => (View, usize), "aclTensor *", |arg, x| Ok((objects::tensor(arg, x)?.view(arg)?, x as usize));
    /// As [`Found`], or null.
    Written OptFound *mut c_void => Option<(View, usize)>, "aclTensor *", |arg, x| {
        if x.is_null() { Ok(None) } else { Ok(Some((objects::tensor(arg, x)?.view(arg)?, x as usize))) }
    };
    /// A real scalar.
    Value Scalar *const c_void => objects::Scalar, "const aclScalar *", |arg, x| real(arg, objects::scalar(arg, x)?);
    /// A real scalar or null.
    Value OptScalar *const c_void => Option<objects::Scalar>, "const aclScalar *", |arg, x| {
        if x.is_null() { Ok(None) } else { Scalar::get(arg, x).map(Some) }
    };
    /// A scalar that may be complex.
    Value Number *const c_void => objects::Scalar, "const aclScalar *", |arg, x| objects::scalar(arg, x);
    /// As [`Number`], or null.
    Value OptNumber *const c_void => Option<objects::Scalar>, "const aclScalar *", |arg, x| {
        if x.is_null() { Ok(None) } else { objects::scalar(arg, x).map(Some) }
    };
    /// A tensor whose type may be one that is packed, with several elements in a byte.
    Read Packed *const c_void => Arc<crate::tensor::Tensor>, "const aclTensor *", |arg, x| objects::tensor(arg, x);
    /// A tensor that is written and whose type may be one that is packed.
    Written OutPacked *mut c_void => Arc<crate::tensor::Tensor>, "aclTensor *", |arg, x| objects::tensor(arg, x);
    /// As [`OutPacked`], or null.
    Written OptOutPacked *mut c_void => Option<Arc<crate::tensor::Tensor>>, "aclTensor *", |arg, x| {
        if x.is_null() { Ok(None) } else { objects::tensor(arg, x).map(Some) }
    };
    /// Integers or null.
    Value OptInts *const c_void => Option<Arc<[i64]>>, "const aclIntArray *", |arg, x| {
        if x.is_null() { Ok(None) } else { objects::ints(arg, x).map(Some) }
    };
    /// Tensors that are written.
    Updated OutTensors *mut c_void => Vec<View>, "aclTensorList *", |arg, x| Tensors::get(arg, x);
    /// Tensors that are written, or null.
    Updated OptOutTensors *mut c_void => Option<Vec<View>>, "aclTensorList *", |arg, x| {
        if x.is_null() { Ok(None) } else { Tensors::get(arg, x).map(Some) }
    };
    /// Tensors that are read, or null.
    Read OptTensors *const c_void => Option<Vec<View>>, "const aclTensorList *", |arg, x| {
        if x.is_null() { Ok(None) } else { Tensors::get(arg, x).map(Some) }
    };
    /// Text, or null.
    Value Text *const c_char => String, "char *", |_arg, x| {
        if x.is_null() {
            return Ok(String::new());
        }
        // SAFETY: the program passes a string that ends with a zero.
        Ok(unsafe { CStr::from_ptr(x) }.to_string_lossy().into_owned())
    };
    /// A number.
    Value Double f64 => f64, "double", |arg, x| check(arg, x);
    /// Integers.
    Value Ints *const c_void => Arc<[i64]>, "const aclIntArray *", |arg, x| objects::ints(arg, x);
    /// Truth values.
    Value Bools *const c_void => Arc<[bool]>, "const aclBoolArray *", |arg, x| objects::bools(arg, x);
    /// Truth values or null.
    Value OptBools *const c_void => Option<Arc<[bool]>>, "const aclBoolArray *", |arg, x| {
        if x.is_null() { Ok(None) } else { objects::bools(arg, x).map(Some) }
    };
    /// Real scalars.
    Value Scalars *const c_void => Vec<objects::Scalar>, "const aclScalarList *", |arg, x| {
        objects::scalars(arg, x)?.iter().map(|&h| real(arg, objects::scalar(arg, h as *const c_void)?)).collect()
    };
    /// Tensors that are read.
    Read Tensors *const c_void => Vec<View>, "const aclTensorList *", |arg, x| {
        objects::tensors(arg, x)?.iter().map(|&h| objects::tensor(arg, h as *const c_void)?.view(arg)).collect()
    };
    /// An integer.
    Value Int i64 => i64, "int64_t", |arg, x| check(arg, x);
    /// An integer that is never negative.
    Value UInt u64 => u64, "uint64_t", |arg, x| check(arg, x);
    /// A float.
    Value Float f32 => f32, "float", |arg, x| check(arg, x);
    /// A small integer.
    Value Int8 i8 => i8, "int8_t", |arg, x| check(arg, x);
    /// An int.
    Value Int32 i32 => i32, "int", |arg, x| check(arg, x);
    /// A truth value.
    Value Bool bool => bool, "bool", |arg, x| check(arg, x);
    /// An element type.
    Type Type i32 => DType, "aclDataType", |arg, x| {
        dtype::of(x).ok_or_else(|| invalid!("{arg}: aclDataType {x} is not supported"))
    };
}
