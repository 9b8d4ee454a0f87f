//! The objects that programs hold by pointer. A pointer is a number that is looked up, never followed: one
//! that was destroyed, or that never was, names nothing.

use std::collections::HashMap;
use std::ffi::c_void;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

use crate::dtype::{DType, is_complex};
use crate::error::{OpError, Result, invalid};
use crate::executor::Executor;
use crate::program::Attr;
use crate::tensor::Tensor;

/// A value with a type.
#[derive(Clone, Copy, Debug)]
pub struct Scalar {
    /// Its type.
    pub dtype: DType,
    /// As a float.
    pub float: f64,
    /// As an integer.
    pub int: i64,
    /// Its imaginary part.
    pub imaginary: f64,
}

impl Scalar {
    /// A real number.
    pub fn real(dtype: DType, float: f64, int: i64) -> Self {
        Self { dtype, float, int, imaginary: 0.0 }
    }

    /// The pair of attributes that kernels which compute in `kind` take.
    pub fn attrs(self, kind: DType) -> Result<[Attr; 2]> {
        let second = match is_complex(kind) {
            true => Attr::Float(self.imaginary),
            false if self.imaginary == 0.0 => Attr::Int(self.int),
            false => return Err(invalid!("{} + {}i does not fit into {kind:?}", self.float, self.imaginary)),
        };
        Ok([Attr::Float(self.float), second])
    }
}

/// Anything that a handle can name.
#[derive(Clone)]
pub enum Object {
    /// aclTensor
    Tensor(Arc<Tensor>),
    /// aclScalar
    Scalar(Scalar),
    /// aclIntArray
    Ints(Arc<[i64]>),
    /// aclFloatArray
    Floats(Arc<[f32]>),
    /// aclBoolArray
    Bools(Arc<[bool]>),
    /// aclTensorList: the handles it owns
    Tensors(Arc<[usize]>),
    /// aclScalarList: the handles it owns
    Scalars(Arc<[usize]>),
    /// aclOpExecutor
    Executor(Arc<Executor>),
}

/// Handles look like addresses that no program has: the first page of a range that is never mapped.
const FIRST: usize = 0x7ac1_0000_0000_0000;
static NEXT: AtomicUsize = AtomicUsize::new(FIRST);
const SHARDS: usize = 16;
/// The objects of some handles.
type Shard = RwLock<Option<HashMap<usize, Object, BuildHasherDefault<ByNumber>>>>;
static TABLE: [Shard; SHARDS] = [const { RwLock::new(None) }; SHARDS];

/// A hash of numbers that are counted up or are addresses of this library: nobody else chooses them.
#[derive(Default)]
pub struct ByNumber(u64);

impl Hasher for ByNumber {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&b| self.write_usize(b.into()));
    }

    fn write_usize(&mut self, n: usize) {
        // Fibonacci's multiplier spreads what is close over the high bits, which tables look at.
        self.0 = (self.0.rotate_left(5) ^ n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

fn shard(handle: usize) -> &'static Shard {
    &TABLE[handle / 16 % SHARDS]
}

/// Gives an object a handle.
pub fn insert(object: Object) -> *mut c_void {
    let handle = NEXT.fetch_add(16, Ordering::Relaxed);
    shard(handle).write().get_or_insert_default().insert(handle, object);
    handle as *mut c_void
}

/// The object of a handle.
pub fn get(handle: *const c_void) -> Option<Object> {
    shard(handle as usize).read().as_ref()?.get(&(handle as usize)).cloned()
}

/// Takes an object away from its handle.
pub fn remove(handle: *const c_void) -> Option<Object> {
    shard(handle as usize).write().as_mut()?.remove(&(handle as usize))
}

macro_rules! lookup {
    ($($function:ident $variant:ident $type:ty, $name:literal;)*) => { $(
        #[doc = concat!("The ", $name, " behind argument `arg`.")]
        pub fn $function(arg: &'static str, handle: *const c_void) -> Result<$type> {
            if handle.is_null() {
                return Err(OpError::Null(arg));
            }
            match get(handle) {
                Some(Object::$variant(x)) => Ok(x),
                _ => Err(OpError::Handle(arg, $name)),
            }
        }
    )* };
}

lookup! {
    tensor Tensor Arc<Tensor>, "aclTensor";
    scalar Scalar Scalar, "aclScalar";
    ints Ints Arc<[i64]>, "aclIntArray";
    floats Floats Arc<[f32]>, "aclFloatArray";
    bools Bools Arc<[bool]>, "aclBoolArray";
    tensors Tensors Arc<[usize]>, "aclTensorList";
    scalars Scalars Arc<[usize]>, "aclScalarList";
    executor Executor Arc<Executor>, "aclOpExecutor";
}

/// Puts another object behind a live handle.
pub fn replace(handle: *const c_void, object: Object) {
    if let Some(slot) = shard(handle as usize).write().as_mut().and_then(|t| t.get_mut(&(handle as usize))) {
        *slot = object;
    }
}
