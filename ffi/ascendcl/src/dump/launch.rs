//! Launches as libopapi.so shows them, and reading their tensors.

use std::cell::RefCell;
use std::path::PathBuf;

use vinci::{Addr, DevicePtr, memory};

use super::file::{self, Description, Tensor};
use super::{Config, Scene, args, failed};
use crate::abi::Handle;
use crate::code::{Failure, INVALID_PARAM, Result};
use crate::{base, stream, unsupported};

const BEFORE: u32 = 0;
const ND: i32 = 2;
const MOST_TENSORS: usize = 1024;
const MOST_DIMS: usize = 64;

/// A tensor of a launch, as libopapi.so lays it out.
#[derive(Clone, Copy)]
#[repr(C)]
struct ShownTensor {
    address: u64,
    acl_type: i32,
    output: u32,
    rank: usize,
    dims: *const i64,
    strides: *const i64,
}

/// A launch, as libopapi.so lays it out.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Shown {
    name: *const u8,
    name_len: usize,
    tensors: *const ShownTensor,
    tensors_len: usize,
    attrs: *const u64,
    attrs_len: usize,
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

/// Values that another library of Vinci vouches for.
///
/// # Safety
/// `data` is readable for `len` values.
unsafe fn list<T: Copy>(data: *const T, len: usize) -> Vec<T> {
    if len == 0 || data.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(data, len) }.to_vec()
}

impl Launch {
    /// # Safety
    /// What `shown` names is readable.
    unsafe fn read(shown: Shown) -> Result<Launch> {
        if shown.tensors_len > MOST_TENSORS {
            return Err(Failure::new(INVALID_PARAM, format!("{} tensors", shown.tensors_len)));
        }
        // SAFETY: the caller's promise.
        let (name, tensors, attrs) = unsafe {
            (
                list(shown.name, shown.name_len),
                list(shown.tensors, shown.tensors_len),
                list(shown.attrs, shown.attrs_len),
            )
        };
        let place = |t: ShownTensor| {
            let rank = t.rank.min(MOST_DIMS);
            Place {
                address: t.address,
                acl_type: t.acl_type,
                is_output: t.output != 0,
                // SAFETY: as above.
                dims: unsafe { list(t.dims, rank) },
                // SAFETY: as above.
                strides: unsafe { list(t.strides, rank) },
            }
        };
        let kernel = String::from_utf8_lossy(&name).into_owned();
        Ok(Launch { kernel, tensors: tensors.into_iter().map(place).collect(), attrs })
    }
}

impl Place {
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
///
/// # Safety
/// What `shown` names is readable.
pub unsafe fn show(handle: Handle, when: u32, shown: Shown) -> Result<()> {
    let stream = stream::named(handle)?;
    // SAFETY: the caller's promise.
    let launch = unsafe { Launch::read(shown) }?;
    if when == BEFORE
        && let Some(writer) = super::STATE.lock().args.clone()
    {
        args::write(&writer, &launch)?;
    }
    let Some(config) = super::config() else { return Ok(()) };
    if stream.stream.is_recording() {
        unsupported::warn_once("dump", "launches that a stream captures are not dumped");
        return Ok(());
    }
    match config.scene {
        Scene::Failed(_) if when == BEFORE => failed::remember(&stream.stream, launch),
        Scene::Failed(_) => {}
        Scene::Data => {
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
