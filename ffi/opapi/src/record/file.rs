//! A record's file: safetensors. The tensors are `in.NAME` and `out.NAME`, of lists `in.NAME.0` and so on, in their
//! logical shape. Its metadata are `operator`, `arguments` (a JSON object, in order), `status` (0, or the error's number) and
//! `process`.

use std::collections::HashMap;
use std::ffi::c_void;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError};
use serde_json::{Value, json};
use vinci_hw::args::TensorArg;

use super::Recorder;
use super::argument::{Argument, INT4, Named, Role, type_name};
use crate::dtype::DType;
use crate::link;
use crate::objects;
use crate::program::Program;
use crate::tensor::Tensor;
use crate::view::{Base, dense_strides};

/// A tensor's elements, one behind the other.
struct Elements {
    name: String,
    dtype: Dtype,
    dims: Vec<usize>,
    bytes: Vec<u8>,
}

/// A record in the making.
pub struct Record<'a> {
    name: &'a str,
    arguments: &'a [Named],
    /// Device addresses that the launches write.
    written: Vec<Range<u64>>,
    /// Handles of tensors whose shape comes with the result.
    found: Vec<usize>,
    elements: Vec<Elements>,
}

impl<'a> Record<'a> {
    /// Of one call.
    pub fn new(name: &'a str, arguments: &'a [Named], program: &Program) -> Self {
        let written = program.launches.iter().flat_map(|l| l.written()).collect();
        let found = program.found.iter().map(|f| f.tensor).collect();
        Self { name, arguments, written, found, elements: Vec::new() }
    }

    /// Reads what the operator may read. The error is a sentence.
    pub fn read_before(&mut self) -> Result<(), String> {
        self.read("in", |_, role, _| role != Role::Written, |_, tensor| tensor.clone())
    }

    /// Reads what it wrote, whatever its declaration says: some prototypes of CANN have constant outputs.
    pub fn read_after(&mut self) -> Result<(), String> {
        let found = std::mem::take(&mut self.found);
        let now = |handle, tensor: &Arc<Tensor>| match objects::tensor("", handle as *const c_void) {
            Ok(now) if found.contains(&handle) => now,
            _ => tensor.clone(),
        };
        let wanted = |written: &[Range<u64>], role, tensor: &Tensor| {
            let extent = tensor.view("").and_then(|view| view.arg()).ok().and_then(|arg| arg.extent());
            let own = extent.map_or(tensor.data..tensor.data, |(start, len)| start..start + len);
            role != Role::Read || written.iter().any(|w| w.start < own.end && own.start < w.end)
        };
        self.read("out", wanted, now)
    }

    fn read(
        &mut self,
        when: &str,
        wanted: impl Fn(&[Range<u64>], Role, &Tensor) -> bool,
        now: impl Fn(usize, &Arc<Tensor>) -> Arc<Tensor>,
    ) -> Result<(), String> {
        let mut result = Ok(());
        for (name, argument) in self.arguments {
            let name = plain(name);
            let several: Vec<_> = match argument {
                Argument::Value(_) => continue,
                Argument::Tensor(role, handle, tensor) => {
                    vec![(format!("{when}.{name}"), *role, *handle, tensor)]
                }
                Argument::Tensors(role, list) => {
                    let named = |(n, (handle, tensor)): (usize, &'a (usize, Arc<Tensor>))| {
                        (format!("{when}.{name}.{n}"), *role, *handle, tensor)
                    };
                    list.iter().enumerate().map(named).collect()
                }
            };
            for (name, role, handle, tensor) in several {
                if wanted(&self.written, role, tensor) {
                    match elements(name, &now(handle, tensor)) {
                        Ok(elements) => self.elements.extend(elements),
                        Err(what) => result = result.and(Err(what)),
                    }
                }
            }
        }
        result
    }

    /// Writes the file, under the next number.
    pub fn write(&self, recorder: &Recorder, status: i32) -> io::Result<()> {
        // In the order of the declaration, which a map would lose.
        let argument = |(name, argument): &Named| format!("{}:{}", json!(plain(name)), describe(argument));
        let arguments = self.arguments.iter().map(argument).collect::<Vec<_>>().join(",");
        let metadata = HashMap::from([
            ("operator".into(), self.name.into()),
            ("arguments".into(), format!("{{{arguments}}}")),
            ("status".into(), status.to_string()),
            ("process".into(), std::process::id().to_string()),
        ]);
        fn view(e: &Elements) -> Result<(&String, TensorView<'_>), SafeTensorError> {
            Ok((&e.name, TensorView::new(e.dtype, e.dims.clone(), &e.bytes)?))
        }
        let views = self.elements.iter().map(view).collect::<Result<Vec<_>, _>>();
        let bytes = views.and_then(|views| safetensors::serialize(views, Some(metadata)));
        let bytes = bytes.map_err(io::Error::other)?;
        loop {
            let number = recorder.number.fetch_add(1, Ordering::Relaxed) + 1;
            let path = recorder.folder.join(format!("{number:06}-{}.safetensors", self.name));
            match File::create_new(path) {
                // Another process has this number.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                file => return file?.write_all(&bytes),
            }
        }
    }
}

/// Names that are words of Rust end with an underscore in the declarations.
fn plain(name: &str) -> &str {
    name.trim_end_matches('_')
}

/// A tensor's elements; `None` of a type that records have no name for.
fn elements(name: String, tensor: &Tensor) -> Result<Option<Elements>, String> {
    let failed = |code| format!("{name} could not be read ({code})");
    let read = |address, dtype: DType, dims: &[i64], strides: &[i64], bytes| match TensorArg::new(
        address, dtype, dims, strides,
    ) {
        Some(tensor) if bytes != 0 => link::read(&tensor, bytes),
        _ => Ok(Vec::new()),
    };
    if tensor.dtype == INT4 {
        // As it is stored: two elements in a byte.
        let stored = (tensor.storage.iter().product::<i64>().max(0) as u64).div_ceil(2) as i64;
        let bytes = read(tensor.data, DType::U8, &[stored], &[1], stored as usize).map_err(failed)?;
        return Ok(Some(Elements { name, dtype: Dtype::U8, dims: vec![bytes.len()], bytes }));
    }
    let Ok(view) = tensor.view("") else { return Ok(None) };
    let (Base::Device(address), Some(dtype)) = (view.base, file_type(view.dtype)) else { return Ok(None) };
    let bytes = view.elements() as usize * view.dtype.size();
    let bytes = read(address, view.dtype, &view.dims, &view.strides, bytes).map_err(failed)?;
    let dims = view.dims.iter().map(|&d| d as usize).collect();
    Ok(Some(Elements { name, dtype, dims, bytes }))
}

/// `None` of what safetensors has not.
fn file_type(dtype: DType) -> Option<Dtype> {
    Some(match dtype {
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::I8 => Dtype::I8,
        DType::I32 => Dtype::I32,
        DType::U8 => Dtype::U8,
        DType::I16 => Dtype::I16,
        DType::U16 => Dtype::U16,
        DType::U32 => Dtype::U32,
        DType::I64 => Dtype::I64,
        DType::U64 => Dtype::U64,
        DType::F64 => Dtype::F64,
        DType::Bool => Dtype::BOOL,
        DType::BF16 => Dtype::BF16,
        DType::C64 => Dtype::C64,
        DType::C128 => return None,
    })
}

fn describe(argument: &Argument) -> Value {
    match argument {
        Argument::Tensor(role, _, tensor) => describe_tensor(*role, tensor),
        Argument::Tensors(role, list) => {
            list.iter().map(|(_, tensor)| describe_tensor(*role, tensor)).collect()
        }
        Argument::Value(value) => value.clone(),
    }
}

fn describe_tensor(role: Role, tensor: &Tensor) -> Value {
    let role = match role {
        Role::Written => "written",
        Role::Updated => "updated",
        _ => "read",
    };
    let dtype = type_name(tensor.dtype);
    let mut about =
        json!({ "tensor": dtype, "shape": tensor.dims[..], "format": tensor.format, "role": role });
    if tensor.strides != dense_strides(&tensor.dims) {
        about["strides"] = json!(tensor.strides[..]);
    }
    if tensor.dtype == INT4 {
        about["offset"] = tensor.offset.into();
    }
    about
}
