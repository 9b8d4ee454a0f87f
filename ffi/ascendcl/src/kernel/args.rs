//! Lists of arguments that a program builds one by one.

use std::sync::Arc;

use parking_lot::Mutex;

use super::binary::{FUNCTIONS, Function};
use crate::abi::{Address, Handle, Out};
use crate::code::{Result, invalid};
use crate::handle::{Kind, Table};

static LISTS: Table<Arc<List>> = Table::new(Kind::KernelArgs);

/// Alignment of a placeholder's data.
const ALIGN: usize = 32;
/// Most bytes of an argument or a placeholder.
const MOST: usize = 128 << 10;

/// Where addresses of data go, and where the data is.
pub type Places = Vec<(u32, u32)>;

/// The arguments of one function.
pub struct List {
    pub function: Arc<Function>,
    of: Handle,
    params: Mutex<Params>,
}

#[derive(Default)]
struct Params {
    all: Vec<Param>,
    finished: bool,
}

struct Param {
    offset: usize,
    value: Value,
}

enum Value {
    Bytes(Vec<u8>),
    /// Data that the kernel gets the address of; words, so that it is aligned, and where the program fills it in.
    Placeholder(Option<(Box<[u64]>, usize)>),
}

impl Params {
    fn get(&mut self, handle: Handle) -> Result<&mut Param> {
        let param = handle.checked_sub(1).and_then(|i| self.all.get_mut(i));
        param.ok_or_else(|| invalid(format!("{handle:#x} is not a parameter of the list")))
    }
}

impl List {
    /// Adds a parameter; answers its handle.
    fn append(&self, size: usize, value: Value) -> Result<Handle> {
        let mut params = self.params.lock();
        let kernel = &self.function.kernel;
        if params.finished {
            return Err(invalid("the list is finished: aclrtKernelArgsInit begins a new one"));
        }
        let known = kernel.params();
        let n = params.all.len();
        let offset = match known.get(n) {
            Some(p) if size == p.size as usize => p.offset as usize,
            Some(p) => {
                return Err(invalid(format!(
                    "parameter {n} of kernel {} has {} bytes, {size} were given",
                    kernel.name(),
                    p.size
                )));
            }
            None => {
                return Err(invalid(format!("kernel {} has {} parameters", kernel.name(), known.len())));
            }
        };
        params.all.push(Param { offset, value });
        Ok(params.all.len())
    }

    /// The arguments as a launch takes them, with the places where addresses of data go.
    pub fn bytes(&self) -> Result<(Vec<u8>, Places)> {
        let params = self.params.lock();
        if !params.finished {
            return Err(invalid("the list is not finished: aclrtKernelArgsFinalize comes first"));
        }
        let mut bytes = vec![0u8; self.function.kernel.args_size()];
        let mut places = Vec::new();
        for param in &params.all {
            match &param.value {
                Value::Bytes(value) => bytes[param.offset..param.offset + value.len()].copy_from_slice(value),
                Value::Placeholder(None) => {}
                Value::Placeholder(Some((words, len))) => {
                    let at = bytes.len().next_multiple_of(ALIGN);
                    bytes.resize(at, 0);
                    bytes.extend(words.iter().flat_map(|word| word.to_ne_bytes()).take(*len));
                    places.push((param.offset as u32, at as u32));
                }
            }
        }
        Ok((bytes, places))
    }
}

/// The list that a handle names.
pub fn list(handle: Handle) -> Result<Arc<List>> {
    LISTS.get(handle)
}

/// Ends the lists of a function.
pub fn forget(function: Handle) {
    for (handle, list) in LISTS.all() {
        if list.of == function {
            let _ = LISTS.remove(handle);
        }
    }
}

/// A copy of `size` bytes of the program's.
fn value(from: *const u8, size: usize) -> Result<Vec<u8>> {
    if from.is_null() || size == 0 || size > MOST {
        return Err(invalid(format!("a parameter of {size} bytes at {from:p}")));
    }
    // SAFETY: the program vouches for `size` bytes.
    Ok(unsafe { std::slice::from_raw_parts(from, size) }.to_vec())
}

entry! {
    fn aclrtKernelArgsInit(function: Handle, args: Out<Handle>) {
        let place = args.need("argsHandle")?;
        let found = FUNCTIONS.get(function)?;
        place.put(LISTS.insert(Arc::new(List { function: found, of: function, params: Mutex::default() }))?);
        Ok(())
    }

    fn aclrtKernelArgsAppend(args: Handle, param: *const u8, size: usize, handle: Out<Handle>) {
        let place = handle.need("paramHandle")?;
        place.put(list(args)?.append(size, Value::Bytes(value(param, size)?))?);
        Ok(())
    }

    fn aclrtKernelArgsAppendPlaceHolder(args: Handle, handle: Out<Handle>) {
        let place = handle.need("paramHandle")?;
        place.put(list(args)?.append(8, Value::Placeholder(None))?);
        Ok(())
    }

    fn aclrtKernelArgsGetPlaceHolderBuffer(args: Handle, param: Handle, size: usize, buffer: Out<Address>) {
        let place = buffer.need("bufferAddr")?;
        let list = list(args)?;
        let mut params = list.params.lock();
        match &mut params.get(param)?.value {
            Value::Placeholder(data) if (1..=MOST).contains(&size) => {
                // The boxed words stay where they are until the list ends or asks anew.
                let words = vec![0u64; size.div_ceil(8)].into_boxed_slice();
                let (words, _) = data.insert((words, size));
                place.put(words.as_mut_ptr() as usize);
                Ok(())
            }
            Value::Placeholder(_) => Err(invalid(format!("a placeholder of {size} bytes"))),
            Value::Bytes(_) => Err(invalid("the parameter is not a placeholder")),
        }
    }

    fn aclrtKernelArgsParaUpdate(args: Handle, param: Handle, value: *const u8, size: usize) {
        let list = list(args)?;
        let new = self::value(value, size)?;
        let mut params = list.params.lock();
        match &mut params.get(param)?.value {
            Value::Bytes(old) if old.len() == new.len() => {
                *old = new;
                Ok(())
            }
            Value::Bytes(old) => Err(invalid(format!("the parameter has {} bytes, not {size}", old.len()))),
            Value::Placeholder(_) => Err(invalid("a placeholder's data is changed in its buffer")),
        }
    }

    fn aclrtKernelArgsFinalize(args: Handle) {
        let list = list(args)?;
        let mut params = list.params.lock();
        let (given, known) = (params.all.len(), list.function.kernel.params().len());
        if given != known {
            return Err(invalid(format!("kernel {} has {known} parameters, {given} were given", list.function.kernel.name())));
        }
        params.finished = true;
        Ok(())
    }
}
