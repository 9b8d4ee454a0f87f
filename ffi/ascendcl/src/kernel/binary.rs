//! Loaded binaries and their functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use vinci::{Module, ModuleKernel};

use crate::abi::{Handle, In, Out, Text, TextOut};
use crate::code::{FEATURE_UNSUPPORTED, Failure, INVALID_FILE, PARSE_FILE, Result, invalid};
use crate::context;
use crate::handle::{Kind, Table};

pub static BINARIES: Table<Arc<Binary>> = Table::new(Kind::Binary);
pub static FUNCTIONS: Table<Arc<Function>> = Table::new(Kind::Function);
/// Binaries that are not loaded yet (aclrtCreateBinary).
static RAW: Table<Arc<Vec<u8>>> = Table::new(Kind::RawBinary);

/// A loaded binary.
pub struct Binary {
    pub module: Module,
    /// Handles given out for its functions, by index.
    functions: Mutex<BTreeMap<usize, Handle>>,
}

/// A function of a binary.
pub struct Function {
    pub kernel: ModuleKernel,
    pub binary: Handle,
}

/// The options of `aclrtBinaryLoadFrom…`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LoadOption {
    kind: u32,
    value: [u32; 4],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct LoadOptions {
    options: usize,
    count: usize,
}

const LAZY_LOAD: u32 = 1;
const MAGIC: u32 = 2;
const CPU_KERNEL_MODE: u32 = 3;

fn check_options(options: In<LoadOptions>) -> Result<()> {
    let Some(options) = options.maybe() else { return Ok(()) };
    if options.count > 16 {
        return Err(invalid(format!("{} options", options.count)));
    }
    for i in 0..options.count {
        // SAFETY: `In` is a pointer; the program vouches for `count` options there.
        let option: In<LoadOption> =
            unsafe { std::mem::transmute(options.options + i * size_of::<LoadOption>()) };
        match option.need("options")?.kind {
            LAZY_LOAD | MAGIC => {}
            CPU_KERNEL_MODE => {
                return Err(Failure::new(FEATURE_UNSUPPORTED, "kernels of control cores are not supported"));
            }
            other => return Err(invalid(format!("there is no load option {other}"))),
        }
    }
    Ok(())
}

/// Loads a binary into the current context.
fn load(bytes: &[u8]) -> Result<Handle> {
    let (_, context) = context::current()?;
    let module = Module::load(&context.device, bytes).map_err(|e| match e {
        vinci::Error::InvalidValue { .. } => Failure::new(PARSE_FILE, e.to_string()),
        other => other.into(),
    })?;
    BINARIES.insert(Arc::new(Binary { module, functions: Mutex::default() }))
}

/// The handle of a kernel of a binary; the same one each time.
pub fn function(handle: Handle, binary: &Binary, kernel: ModuleKernel) -> Result<Handle> {
    let mut functions = binary.functions.lock();
    if let Some(&known) = functions.get(&kernel.index()) {
        return Ok(known);
    }
    let index = kernel.index();
    let made = FUNCTIONS.insert(Arc::new(Function { kernel, binary: handle }))?;
    functions.insert(index, made);
    Ok(made)
}

/// The function whose kernel the device knows as `id`.
pub fn function_of(id: u64) -> Option<Handle> {
    FUNCTIONS.all().into_iter().find(|(_, f)| f.kernel.id() == id).map(|(handle, _)| handle)
}

/// Makes a handle for a kernel that no handle was asked for.
pub fn adopt(kernel: ModuleKernel) -> Result<Handle> {
    FUNCTIONS.insert(Arc::new(Function { kernel, binary: 0 }))
}

fn bytes(data: *const u8, len: usize) -> Result<Vec<u8>> {
    if data.is_null() || len == 0 {
        return Err(invalid("the binary has no bytes"));
    }
    // SAFETY: the program vouches for `len` bytes at `data`.
    Ok(unsafe { std::slice::from_raw_parts(data, len) }.to_vec())
}

entry! {
    fn aclrtBinaryLoadFromFile(path: Text, options: In<LoadOptions>, binary: Out<Handle>) {
        let place = binary.need("binHandle")?;
        let path = path.need("binPath")?;
        check_options(options)?;
        let bytes = std::fs::read(&path).map_err(|e| Failure::new(INVALID_FILE, format!("{path}: {e}")))?;
        place.put(load(&bytes).map_err(|f| Failure { text: format!("{path}: {}", f.text), ..f })?);
        Ok(())
    }

    fn aclrtBinaryLoadFromData(data: *const u8, len: usize, options: In<LoadOptions>, binary: Out<Handle>) {
        let place = binary.need("binHandle")?;
        check_options(options)?;
        place.put(load(&bytes(data, len)?)?);
        Ok(())
    }

    fn aclrtBinaryLoad(raw: Handle, binary: Out<Handle>) {
        let place = binary.need("binHandle")?;
        place.put(load(&RAW.get(raw)?)?);
        Ok(())
    }

    fn aclrtDestroyBinary(raw: Handle) {
        RAW.remove(raw).map(drop)
    }

    fn aclrtBinaryUnLoad(binary: Handle) {
        let gone = BINARIES.remove(binary)?;
        for handle in gone.functions.lock().values() {
            super::args::forget(*handle);
            let _ = FUNCTIONS.remove(*handle);
        }
        Ok(())
    }

    fn aclrtBinaryGetFunction(binary: Handle, name: Text, function: Out<Handle>) {
        let place = function.need("funcHandle")?;
        let name = name.need("kernelName")?;
        let found = BINARIES.get(binary)?;
        let kernel = found.module.kernel(&name).ok_or_else(|| {
            let names: Vec<&str> = found.module.names().take(8).collect();
            invalid(format!("the binary has no kernel {name:?}; it has {}", names.join(", ")))
        })?;
        place.put(self::function(binary, &found, kernel)?);
        Ok(())
    }

    /// The entry is the kernel's number in the binary.
    fn aclrtBinaryGetFunctionByEntry(binary: Handle, entry: u64, function: Out<Handle>) {
        let place = function.need("funcHandle")?;
        let found = BINARIES.get(binary)?;
        let kernel = usize::try_from(entry).ok().and_then(|i| found.module.kernel_at(i));
        let kernel = kernel.ok_or_else(|| invalid(format!("the binary has no kernel number {entry}")))?;
        place.put(self::function(binary, &found, kernel)?);
        Ok(())
    }

    fn aclrtFunctionGetBinary(function: Handle, binary: Out<Handle>) {
        let place = binary.need("binHandle")?;
        place.put(FUNCTIONS.get(function)?.binary);
        Ok(())
    }

    fn aclrtGetFunctionName(function: Handle, room: u32, name: TextOut) {
        let found = FUNCTIONS.get(function)?;
        name.put("name", room as usize, found.kernel.name())
    }

    fn aclrtGetFunctionAttribute(function: Handle, attribute: u32, value: Out<i64>) {
        const TYPE: u32 = 1;
        const RATIO: u32 = 2;
        let place = value.need("attrValue")?;
        let kernel = &FUNCTIONS.get(function)?.kernel;
        place.put(match attribute {
            TYPE => match kernel.core_type() {
                vinci::CoreType::Aic => 1,
                vinci::CoreType::Aiv => 2,
                vinci::CoreType::Mix => 3,
            },
            // Cube cores above, vector cores below.
            RATIO => 1 << 16 | i64::from(kernel.vectors_per_cube()),
            other => return Err(invalid(format!("there is no attribute {other} of a function"))),
        });
        Ok(())
    }

    fn aclrtFunctionGetParamCount(function: Handle, count: Out<usize>) {
        let place = count.need("paramCount")?;
        place.put(super::launch::kernel_of(function)?.params().len());
        Ok(())
    }

    fn aclrtFunctionGetParamInfo(function: Handle, index: usize, offset: Out<usize>, size: Out<usize>) {
        let (offset, size) = (offset.need("paramOffset")?, size.need("paramSize")?);
        let kernel = super::launch::kernel_of(function)?;
        let param = kernel.params().get(index);
        let param = param.ok_or_else(|| invalid(format!("kernel {} has no parameter {index}", kernel.name())))?;
        offset.put(param.offset as usize);
        size.put(param.size as usize);
        Ok(())
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn aclrtCreateBinary(data: *const u8, len: usize) -> usize {
    crate::abi::call_or("aclrtCreateBinary", 0, || RAW.insert(Arc::new(bytes(data, len)?)))
}
