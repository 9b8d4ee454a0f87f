//! Arguments of an operator's declaration, as phase 1 got them.

use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::dtype::DType;
use crate::objects::{self, Object, Scalar};
use crate::tensor::Tensor;

/// An argument and its name in the declaration.
pub type Named = (&'static str, Argument);

/// What an operator does with an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A tensor that it reads, as far as the declaration says.
    Read,
    /// A tensor that it writes.
    Written,
    /// A tensor that it reads and writes.
    Updated,
    /// A value.
    Value,
    /// An `aclDataType`.
    Type,
}

/// An argument.
pub enum Argument {
    /// A tensor with its handle: its shape may come with the result.
    Tensor(Role, usize, Arc<Tensor>),
    /// Tensors.
    Tensors(Role, Vec<(usize, Arc<Tensor>)>),
    /// Anything else, as JSON.
    Value(Value),
}

impl Argument {
    /// From what C passes.
    pub fn new(role: Role, c: impl Carried) -> Self {
        c.argument(role)
    }
}

/// Types of C that carry an argument.
pub trait Carried {
    /// What it is.
    fn argument(self, role: Role) -> Argument;
}

impl Carried for *const c_void {
    fn argument(self, role: Role) -> Argument {
        let tensor = |handle: usize| match objects::get(handle as *const c_void) {
            Some(Object::Tensor(tensor)) => Some((handle, tensor)),
            _ => None,
        };
        let scalar_of = |handle: &usize| match objects::get(*handle as *const c_void) {
            Some(Object::Scalar(s)) => scalar(s),
            _ => Value::Null,
        };
        Argument::Value(match objects::get(self) {
            Some(Object::Tensor(found)) => return Argument::Tensor(role, self as usize, found),
            Some(Object::Tensors(handles)) => {
                return Argument::Tensors(role, handles.iter().filter_map(|&h| tensor(h)).collect());
            }
            Some(Object::Scalar(s)) => scalar(s),
            Some(Object::Scalars(handles)) => handles.iter().map(scalar_of).collect(),
            Some(Object::Ints(values)) => json!(*values),
            Some(Object::Floats(values)) => values.iter().map(|&v| float(v.into())).collect(),
            Some(Object::Bools(values)) => json!(*values),
            Some(Object::Executor(_)) | None => Value::Null,
        })
    }
}

impl Carried for *mut c_void {
    fn argument(self, role: Role) -> Argument {
        self.cast_const().argument(role)
    }
}

impl Carried for *const c_char {
    fn argument(self, _: Role) -> Argument {
        if self.is_null() {
            return Argument::Value(Value::Null);
        }
        // SAFETY: the program passes a string that ends with a zero.
        let text = unsafe { CStr::from_ptr(self) };
        Argument::Value(text.to_string_lossy().into())
    }
}

impl Carried for f32 {
    fn argument(self, _: Role) -> Argument {
        Argument::Value(float(self.into()))
    }
}

impl Carried for f64 {
    fn argument(self, _: Role) -> Argument {
        Argument::Value(float(self))
    }
}

impl Carried for i32 {
    fn argument(self, role: Role) -> Argument {
        Argument::Value(if role == Role::Type { type_name(self).into() } else { self.into() })
    }
}

macro_rules! plain {
    ($($type:ty)*) => { $(impl Carried for $type {
        fn argument(self, _: Role) -> Argument {
            Argument::Value(self.into())
        }
    })* };
}

plain! { i64 u64 i8 bool }

/// JSON has no infinities and no NaN: those are texts.
fn float(v: f64) -> Value {
    if v.is_finite() { v.into() } else { v.to_string().into() }
}

fn scalar(s: Scalar) -> Value {
    let value = match s.dtype {
        d if d.is_float() => float(s.float),
        DType::Bool => (s.int != 0).into(),
        DType::U64 => (s.int as u64).into(),
        _ => s.int.into(),
    };
    json!({ "scalar": type_name(s.dtype as i32), "value": value })
}

/// As torch writes it, where torch has the type.
pub fn type_name(acl_type: i32) -> String {
    let name = match u32::try_from(acl_type).ok().and_then(DType::from_raw) {
        Some(DType::F32) => "float32",
        Some(DType::F16) => "float16",
        Some(DType::I8) => "int8",
        Some(DType::I32) => "int32",
        Some(DType::U8) => "uint8",
        Some(DType::I16) => "int16",
        Some(DType::U16) => "uint16",
        Some(DType::U32) => "uint32",
        Some(DType::I64) => "int64",
        Some(DType::U64) => "uint64",
        Some(DType::F64) => "float64",
        Some(DType::Bool) => "bool",
        Some(DType::BF16) => "bfloat16",
        Some(DType::C64) => "complex64",
        Some(DType::C128) => "complex128",
        None if acl_type == INT4 => "int4",
        None => return format!("aclDataType {acl_type}"),
    };
    name.into()
}

/// Two elements in a byte.
pub const INT4: i32 = 29;
