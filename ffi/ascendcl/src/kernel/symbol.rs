//! Kernels of the program itself: `vinci cc` puts code objects into its objects, which register them before main.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use vinci::{LaunchArgs, Module, ModuleKernel};

use super::binary;
use super::launch::{gather, launch};
use crate::abi::{Address, Handle, Out, Text};
use crate::code::{Result, invalid};
use crate::{context, device, stream};

/// A code object of the program, loaded with the first launch of one of its kernels.
struct Object {
    bytes: &'static [u8],
    module: Mutex<Option<Module>>,
}

/// A function of the program that stands for a kernel.
struct Symbol {
    object: Arc<Object>,
    name: String,
    kernel: OnceLock<ModuleKernel>,
}

/// Objects by number, from 1 on.
static OBJECTS: Mutex<Vec<Option<Arc<Object>>>> = Mutex::new(Vec::new());
static SYMBOLS: RwLock<Option<HashMap<Address, Arc<Symbol>>>> = RwLock::new(None);

fn object(number: usize) -> Option<Arc<Object>> {
    OBJECTS.lock().get(number.checked_sub(1)?)?.clone()
}

impl Object {
    fn module(&self) -> Result<Module> {
        let mut module = self.module.lock();
        match &*module {
            Some(module) => Ok(module.clone()),
            None => {
                let (_, context) = context::current()?;
                Ok(module.insert(Module::load(&context.device, self.bytes)?).clone())
            }
        }
    }
}

impl Symbol {
    fn kernel(&self) -> Result<ModuleKernel> {
        if let Some(kernel) = self.kernel.get() {
            return Ok(kernel.clone());
        }
        let kernel = self.object.module()?.kernel(&self.name);
        let kernel = kernel.ok_or_else(|| invalid(format!("the code object has no kernel {}", self.name)))?;
        Ok(self.kernel.get_or_init(|| kernel).clone())
    }
}

/// The kernel that a function of the program stands for, if it does.
pub fn kernel(address: Address) -> Result<Option<ModuleKernel>> {
    let found = SYMBOLS.read().as_ref().and_then(|all| all.get(&address).cloned());
    found.map(|symbol| symbol.kernel()).transpose()
}

entry! {
    /// Nothing of the device is touched: the process may be one that never uses it.
    fn vinci_code_register(bytes: *const u8, len: usize, code: Out<usize>) {
        let place = code.need("code")?;
        if bytes.is_null() {
            return Err(crate::abi::null("object"));
        }
        // SAFETY: the object is part of the program, which unregisters it before it goes.
        let bytes = unsafe { std::slice::from_raw_parts(bytes, len) };
        let mut objects = OBJECTS.lock();
        objects.push(Some(Arc::new(Object { bytes, module: Mutex::default() })));
        place.put(objects.len());
        Ok(())
    }

    fn vinci_code_symbol(code: usize, address: Address, name: Text) {
        let name = name.need("name")?;
        let object = object(code).ok_or_else(|| invalid(format!("no code object {code}")))?;
        let symbol = Arc::new(Symbol { object, name, kernel: OnceLock::new() });
        SYMBOLS.write().get_or_insert_default().insert(address, symbol);
        Ok(())
    }

    fn vinci_code_unregister(code: usize) {
        let gone = code.checked_sub(1).and_then(|i| OBJECTS.lock().get_mut(i)?.take());
        if let (Some(gone), Some(all)) = (gone, SYMBOLS.write().as_mut()) {
            all.retain(|_, symbol| !Arc::ptr_eq(&symbol.object, &gone));
            // At the end of the process the device is gone before its memory is: nothing is unloaded.
            std::mem::forget(gone);
        }
        Ok(())
    }

    fn vinci_code_launch(address: Address, blocks: u32, handle: Handle, args: *const *const u8) {
        let stream = stream::named(handle)?;
        let kernel = kernel(address)?.ok_or_else(|| invalid(format!("{address:#x} is no kernel")))?;
        // SAFETY: the compiler made the array: a pointer per parameter.
        let bytes = unsafe { gather(&kernel, args) }?;
        launch(&stream, &kernel, blocks, LaunchArgs::Bytes(&bytes, &[]), device::execute_timeout())
    }

    fn aclrtGetFuncBySymbol(address: Address, function: Out<Handle>) {
        let place = function.need("funcHandle")?;
        let kernel = kernel(address)?.ok_or_else(|| invalid(format!("{address:#x} is no kernel")))?;
        place.put(match binary::function_of(kernel.id()) {
            Some(known) => known,
            None => binary::adopt(kernel)?,
        });
        Ok(())
    }
}
