//! Launches as libopapi.so shows them, and reading their tensors.

use std::cell::RefCell;
use std::path::PathBuf;

use vinci::{Addr, DevicePtr, memory};
use vinci_hw::args::{ArgsError, ArgsView, TensorArg};

use super::file::{self, Description, Tensor};
use super::{Config, Scene, args, failed};
use crate::abi::Handle;
use crate::code::{Failure, INVALID_PARAM, Result};
use crate::{base, stream, unsupported};

const BEFORE: u32 = 0;
/// A bit of `vinci_observed`: launches are to be shown before they are made.
pub const BEFOREHAND: u32 = 2;
/// And after that.
pub const AFTERWARDS: u32 = 4;
const ND: i32 = 2;

/// A launch as it is shown.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// Of the kernel.
    pub name: &'a [u8],
    /// Its argument block.
    pub args: &'a [u8],
    /// How many of the tensors, the first ones, are outputs.
    pub outputs: usize,
}

/// A tensor's place.
#[derive(Clone, Debug)]
pub struct Place {
    pub address: u64,
    pub acl_type: i32,
    pub is_output: bool,
    pub dims: Vec<i64>,
    pub strides: Vec<i64>,
}

/// A launch.
#[derive(Clone, Debug)]
pub struct Launch {
    pub kernel: String,
    pub tensors: Vec<Place>,
    pub attrs: Vec<u64>,
}

impl Launch {
    pub fn read(shown: Shown) -> Result<Launch> {
        let wrong = |e: ArgsError| Failure::new(INVALID_PARAM, e.to_string());
        let view = ArgsView::new(shown.args).map_err(wrong)?;
        let place = |at| view.tensor(at).map(|t| Place::of(&t, at < shown.outputs));
        let tensors = (0..view.tensor_count()).map(place).collect::<std::result::Result<_, _>>();
        let attrs = (0..view.attr_count()).map(|at| view.attr(at)).collect::<std::result::Result<_, _>>();
        let kernel = String::from_utf8_lossy(shown.name).into_owned();
        Ok(Launch { kernel, tensors: tensors.map_err(wrong)?, attrs: attrs.map_err(wrong)? })
    }
}

impl Place {
    pub fn of(tensor: &TensorArg, is_output: bool) -> Place {
        let (dims, strides) = (tensor.dims().to_vec(), tensor.strides().to_vec());
        Place { address: tensor.va, acl_type: tensor.dtype as i32, is_output, dims, strides }
    }

    /// Reads the elements, one behind the other.
    pub fn read(&self) -> Result<Tensor> {
        let size = base::aclDataTypeSize(self.acl_type) as i64;
        let dims: Vec<u64> = self.dims.iter().map(|&d| d.max(0) as u64).collect();
        let count: i64 = self.dims.iter().product();
        let mut bytes = Vec::new();
        if count > 0 {
            // The range that the strides span.
            let span = |sign: i64| -> i64 {
                let reach = |(d, s): (&i64, &i64)| (d - 1) * s;
                self.dims.iter().zip(&self.strides).map(reach).filter(|r| r * sign > 0).sum()
            };
            let (low, high) = (span(-1), span(1));
            let mut range = vec![0u8; ((high - low + 1) * size) as usize];
            let from = DevicePtr(self.address.wrapping_add_signed(low * size));
            // SAFETY: `range` lives until the copy is done, and nobody else has it.
            let to = unsafe { Addr::host(range.as_mut_ptr()) };
            memory::copy(to, from.into(), range.len() as u64).map_err(crate::code::of_memory)?;
            bytes = gather(&range, -low, &self.dims, &self.strides, size as usize);
        }
        let (is_output, acl_type, address) = (self.is_output, self.acl_type, self.address);
        Ok(Tensor { is_output, acl_type, format: ND, original_dims: dims.clone(), dims, address, bytes })
    }
}

/// The elements of a strided view of `range`, whose first element is number `first` there.
fn gather(range: &[u8], first: i64, dims: &[i64], strides: &[i64], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut index = vec![0i64; dims.len()];
    loop {
        let at = first + index.iter().zip(strides).map(|(i, s)| i * s).sum::<i64>();
        let at = at as usize * size;
        out.extend_from_slice(&range[at..at + size]);
        let Some(axis) = (0..dims.len()).rev().find(|&axis| {
            index[axis] += 1;
            let carries = index[axis] == dims[axis];
            if carries {
                index[axis] = 0;
            }
            !carries
        }) else {
            return out;
        };
        debug_assert!(axis < dims.len());
    }
}

thread_local! {
    /// Inputs of the launch under way on this thread.
    static INPUTS: RefCell<Vec<Tensor>> = const { RefCell::new(Vec::new()) };
}

/// Takes a launch into account, before and after it.
pub fn show(handle: Handle, when: u32, shown: Shown) -> Result<()> {
    let stream = stream::named(handle)?;
    let (config, writer) = super::readers();
    if when == BEFORE
        && let Some(writer) = writer
    {
        args::write(&writer, &Launch::read(shown)?)?;
    }
    let Some(config) = config else { return Ok(()) };
    if stream.stream.is_recording() {
        unsupported::warn_once("dump", "launches that a stream captures are not dumped");
        return Ok(());
    }
    match config.scene {
        Scene::Failed(_) if when == BEFORE => failed::remember(&stream.stream, shown),
        Scene::Failed(_) => {}
        Scene::Data => {
            let launch = Launch::read(shown)?;
            stream.stream.synchronize(None)?;
            let wanted = |place: &&Place| match when {
                BEFORE => config.mode.inputs && !place.is_output,
                _ => config.mode.outputs && place.is_output,
            };
            let read = launch.tensors.iter().filter(wanted).map(Place::read).collect::<Result<Vec<_>>>()?;
            if when == BEFORE {
                INPUTS.with(|own| *own.borrow_mut() = read);
            } else {
                let mut tensors = INPUTS.with(|own| std::mem::take(&mut *own.borrow_mut()));
                tensors.extend(read);
                let path = file_of(&config, &stream.stream, &launch.kernel);
                file::write(&path, Description::new(&launch.kernel), &tensors)?;
            }
        }
    }
    Ok(())
}

/// `<path>/<time>/<device>/<type>.<name>.<task>.<stream>.<us>`
fn file_of(config: &Config, stream: &vinci::Stream, kernel: &str) -> PathBuf {
    let (_, us) = file::now();
    let (device, task, id) = (stream.device().ordinal(), stream.progress().0, stream.id());
    let folder = config.path.join(config.begun.as_str()).join(device.to_string());
    folder.join(format!("{kernel}.{kernel}.{task}.{id}.{us}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_read_in_their_order() {
        let range: Vec<u8> = (0..12).collect();
        assert_eq!(gather(&range, 0, &[2, 3], &[3, 1], 1), [0, 1, 2, 3, 4, 5]);
        assert_eq!(gather(&range, 0, &[3, 2], &[1, 3], 1), [0, 3, 1, 4, 2, 5], "transposed");
        assert_eq!(gather(&range, 5, &[3], &[-1], 2), [10, 11, 8, 9, 6, 7], "backwards");
        assert_eq!(gather(&range, 0, &[2], &[0], 1), [0, 0], "broadcast");
        assert_eq!(gather(&range, 0, &[], &[], 4), [0, 1, 2, 3], "a scalar");
    }
}
