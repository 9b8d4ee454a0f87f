//! Tensors that the program saves itself.

use std::path::Path;

use vinci::{Addr, DevicePtr, memory};

use super::file::{self, Description, Tensor};
use crate::code::{Failure, INVALID_PARAM, Result};
use crate::prof;

const MOST_DIMS: usize = 25;
const MOST_TENSORS: usize = 1 << 16;

/// `acldumpTensorInfo`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct TensorInfo {
    kind: u32,
    size: usize,
    format: i32,
    acl_type: i32,
    address: u64,
    address_kind: u32,
    placement: u32,
    args_offset: u32,
    rank: u32,
    original_rank: u32,
    shape: [u64; MOST_DIMS],
    original_shape: [u64; MOST_DIMS],
}

fn wrong(text: String) -> Failure {
    Failure::new(INVALID_PARAM, text)
}

fn read(info: &TensorInfo) -> Result<Tensor> {
    const INPUT: u32 = 0;
    const RAW: u32 = 2;
    const DEVICE: u32 = 0;
    if info.address == 0 || info.size == 0 {
        return Err(wrong(format!("a tensor of {} bytes at {:#x}", info.size, info.address)));
    }
    if info.address_kind != RAW || info.placement != DEVICE {
        return Err(wrong("a tensor that is not device memory at a raw address".into()));
    }
    let (rank, original) = (info.rank as usize, info.original_rank as usize);
    if rank > MOST_DIMS || original > MOST_DIMS {
        return Err(wrong(format!("{} dimensions are more than {MOST_DIMS}", rank.max(original))));
    }
    let from = DevicePtr(info.address);
    // Before anything is made that large.
    memory::check_range("dump", from, info.size as u64).map_err(crate::code::of_memory)?;
    let mut bytes = vec![0u8; info.size];
    // SAFETY: `bytes` lives until the copy is done, and nobody else has it.
    let to = unsafe { Addr::host(bytes.as_mut_ptr()) };
    memory::copy(to, from.into(), info.size as u64).map_err(crate::code::of_memory)?;
    Ok(Tensor {
        is_output: info.kind != INPUT,
        acl_type: info.acl_type,
        format: info.format,
        dims: info.shape[..rank].to_vec(),
        original_dims: info.original_shape[..original].to_vec(),
        address: info.address,
        bytes,
    })
}

/// Writes `<folder>/<name>.custom.<time>`.
pub fn save(
    folder: &Path,
    name: &str,
    tag: Option<String>,
    tensors: *const TensorInfo,
    count: usize,
) -> Result<()> {
    let is_inside = |part: std::path::Component| {
        matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir)
    };
    if name.is_empty() || !Path::new(name).components().all(is_inside) {
        return Err(wrong(format!("fileName \"{name}\" does not name a file below the folder")));
    }
    if tensors.is_null() || count == 0 || count > MOST_TENSORS {
        return Err(wrong(format!("{count} tensors at {tensors:p}")));
    }
    // SAFETY: the program vouches for `count` of them; no alignment is assumed.
    let infos = (0..count).map(|n| unsafe { tensors.add(n).read_unaligned() });
    let read = infos.map(|info| read(&info)).collect::<Result<Vec<_>>>()?;
    let (ms, _) = file::now();
    let mut description = Description::new(name);
    description.dfx_message = tag.unwrap_or_default();
    let time = format!("{}{:03}", prof::local_time(ms * 1_000_000), ms % 1000);
    file::write(&folder.join(format!("{name}.custom.{time}")), description, &read)
}
