//! Kernels that a program brings along: code objects, as `vinci cc` makes them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vinci_code::{CodeObject, Kind, Param};
use vinci_uapi::*;

use crate::driver::Driver;
use crate::{Buffer, CoreType, Device, DevicePtr, Error, LaunchOptions, Result, Stream, fork};

/// How long an unloaded module's launches are waited for.
const DRAIN: Duration = Duration::from_secs(10);

/// A code object that the device has loaded. Clones name the same object; the last one unloads it.
///
/// ```no_run
/// # use vinci::{Device, LaunchArgs, Module, Stream, StreamOptions};
/// let device = Device::get(0)?;
/// let module = Module::load(&device, &std::fs::read("add.o").unwrap())?;
/// let kernel = module.kernel("add").expect("the source has a kernel of that name");
/// let stream = Stream::new(&device, StreamOptions::default())?;
/// // SAFETY: the kernel takes one number.
/// unsafe { stream.launch_module(&kernel, 8, LaunchArgs::Bytes(&7u64.to_ne_bytes(), &[]), Default::default())? };
/// stream.synchronize(None)?;
/// # Ok::<(), vinci::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Module(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    driver: &'static Driver,
    code: u32,
    kernels: Vec<vinci_code::Kernel>,
    prints: bool,
}

/// A kernel of a [`Module`], which it keeps loaded.
#[derive(Clone, Debug)]
pub struct ModuleKernel {
    module: Module,
    index: usize,
}

/// The arguments of a launch, laid out as the kernel's parameters are ([`ModuleKernel::params`]).
#[derive(Clone, Copy, Debug)]
pub enum LaunchArgs<'a> {
    /// Bytes, which are copied. Each place is an argument (first number: its offset) that becomes the address of
    /// data among the same bytes (second number: the data's offset).
    Bytes(&'a [u8], &'a [(u32, u32)]),
    /// So many bytes of device memory, which are read when the kernel starts.
    Device(DevicePtr, usize),
}

impl Module {
    /// Loads a code object, and makes the cores of `device` ready for it; it can be launched on every device of the
    /// process. [`Error::InvalidValue`] says what is wrong with one that cannot be.
    pub fn load(device: &Device, bytes: &[u8]) -> Result<Module> {
        let op = "load code object";
        let driver = Driver::get()?;
        // The device checks for itself; here it is read for the names, and so that a refusal has a sentence.
        let object = CodeObject::parse(bytes, 0).map_err(|e| Error::value(op, e.to_string()))?;
        let there = Buffer::from_slice(device, bytes)?;
        let (code, _) =
            driver.sys.code_load(driver.vm, device.ordinal(), there.ptr().0, bytes.len() as u64)?;
        let CodeObject { kernels, made, .. } = object;
        Ok(Module(Arc::new(Inner { driver, code, kernels, prints: made.prints })))
    }

    /// The kernel `name`, as the linker sees it.
    pub fn kernel(&self, name: &str) -> Option<ModuleKernel> {
        let index = self.0.kernels.iter().position(|k| k.name == name)?;
        Some(ModuleKernel { module: self.clone(), index })
    }

    /// Kernel number `index`, in the order of the object's notes.
    pub fn kernel_at(&self, index: usize) -> Option<ModuleKernel> {
        (index < self.0.kernels.len()).then(|| ModuleKernel { module: self.clone(), index })
    }

    /// Names of its kernels, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.kernels.iter().map(|k| k.name.as_str())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if fork::is_child() {
            return;
        }
        // What was launched before still needs it.
        self.driver.marks().wait(Instant::now() + DRAIN);
        if let Err(e) = self.driver.sys.code_unload(self.driver.vm, self.code) {
            log::error!("unload code object {}: {e}", self.code);
        }
    }
}

impl ModuleKernel {
    fn raw(&self) -> &vinci_code::Kernel {
        &self.module.0.kernels[self.index]
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.raw().name
    }

    /// Its module.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// Its number in the module.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The device's id for it.
    pub fn id(&self) -> u64 {
        DRM_VINCI_KERNEL_OF_CODE | u64::from(self.module.0.code) << 32 | self.index as u64
    }

    /// Cores that it runs on.
    pub fn core_type(&self) -> CoreType {
        match self.raw().kind {
            Kind::Aic => CoreType::Aic,
            Kind::Any | Kind::Aiv => CoreType::Aiv,
            Kind::Mix11 | Kind::Mix12 => CoreType::Mix,
        }
    }

    /// Vector cores of a block that takes a cube core, too; 0 if it does not.
    pub fn vectors_per_cube(&self) -> u32 {
        match self.raw().kind {
            Kind::Mix11 => 1,
            Kind::Mix12 => 2,
            _ => 0,
        }
    }

    /// Bytes of its arguments.
    pub fn args_size(&self) -> usize {
        self.raw().args_size as usize
    }

    /// Its parameters: offset and size of each in the arguments.
    pub fn params(&self) -> &[Param] {
        &self.raw().params
    }

    /// Whether a kernel of the module prints.
    pub fn prints(&self) -> bool {
        self.module.0.prints
    }
}

impl Stream {
    /// Launches a kernel of a module on `blocks` blocks.
    ///
    /// # Safety
    /// The kernel may store to all device memory of the process that its arguments let it find.
    pub unsafe fn launch_module(
        &self,
        kernel: &ModuleKernel,
        blocks: u32,
        args: LaunchArgs<'_>,
        options: LaunchOptions,
    ) -> Result<()> {
        let op = "launch";
        if blocks == 0 {
            return Err(Error::value(op, format!("kernel {} on 0 blocks", kernel.name())));
        }
        let (len, va, places) = match args {
            LaunchArgs::Bytes(bytes, places) => (bytes.len(), 0, places),
            LaunchArgs::Device(ptr, len) => {
                self.check_args(op, ptr, len)?;
                (len, ptr.0, &[][..])
            }
        };
        if len < kernel.args_size() {
            let text = format!(
                "kernel {} takes {} bytes of arguments, {len} were given",
                kernel.name(),
                kernel.args_size()
            );
            return Err(Error::value(op, text));
        }
        let print = if kernel.prints() { self.text_address()? } else { 0 };
        let head = drm_vinci_code_args {
            places: places.len() as u32,
            bytes: len.next_multiple_of(8) as u32,
            va,
            print,
            workspace: 0,
        };
        let mut small = [0u8; 512];
        let mut large = Vec::new();
        let need = size_of_val(&head) + places.len() * 8 + if va == 0 { head.bytes as usize } else { 0 };
        let payload = match small.get_mut(..need) {
            Some(room) => room,
            None => {
                large.resize(need, 0);
                &mut large[..]
            }
        };
        let (to, rest) = payload.split_at_mut(size_of_val(&head));
        to.copy_from_slice(head.bytes());
        let (to, rest) = rest.split_at_mut(places.len() * 8);
        for (to, &(at, data)) in to.chunks_exact_mut(8).zip(places) {
            to.copy_from_slice(drm_vinci_code_place { at, data }.bytes());
        }
        if let LaunchArgs::Bytes(bytes, _) = args {
            rest[..len].copy_from_slice(bytes);
        }
        self.launch_raw(op, kernel.id(), kernel.name(), blocks, payload, options)?;
        if let Ok(Some(place)) = self.place(op) {
            *self.device().die().launched.lock() = Some((place, Instant::now()));
        }
        Ok(())
    }

    fn check_args(&self, op: &'static str, ptr: DevicePtr, len: usize) -> Result<()> {
        crate::memory::check_range(op, ptr, len.next_multiple_of(8).max(1) as u64).map(drop)
    }
}
