//! Operators that fail: their tensors as they are when the fault is told of.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use vinci::Fault;

use super::file::{self, Description};
use super::launch::{Launch, Place, Shown};
use super::{Scene, config};

/// Launches of a stream that are remembered.
const REMEMBERED: usize = 4096;

/// A launch that may fail, as it was shown.
#[derive(Clone, Default)]
struct Kept {
    task: u64,
    name: Vec<u8>,
    args: Vec<u8>,
    outputs: usize,
}

/// By the stream's number.
static LAUNCHES: Mutex<Option<HashMap<u32, VecDeque<Kept>>>> = Mutex::new(None);

pub fn forget() {
    *LAUNCHES.lock() = None;
}

/// Remembers a launch that is about to be submitted.
pub fn remember(stream: &vinci::Stream, shown: Shown) {
    let mut all = LAUNCHES.lock();
    let of_stream = all.get_or_insert_default().entry(stream.id()).or_default();
    // Most programs run with this on: what is forgotten gives its memory.
    let oldest = if of_stream.len() == REMEMBERED { of_stream.pop_front() } else { None };
    let mut kept = oldest.unwrap_or_default();
    kept.name.clear();
    kept.name.extend_from_slice(shown.name);
    kept.args.clear();
    kept.args.extend_from_slice(shown.args);
    (kept.task, kept.outputs) = (stream.progress().0 + 1, shown.outputs);
    of_stream.push_back(kept);
}

/// Dumps the operator behind a fault, if it is known.
pub fn on_fault(fault: &Fault) {
    let Some(config) = config().filter(|config| matches!(config.scene, Scene::Failed(_))) else { return };
    let kept = {
        let all = LAUNCHES.lock();
        let of_stream = all.as_ref().and_then(|all| all.get(&fault.stream));
        of_stream.and_then(|launches| launches.iter().find(|kept| kept.task == fault.task)).cloned()
    };
    let Some(Kept { task, name, args, outputs }) = kept else { return };
    let Ok(launch) = Launch::read(Shown { name: &name, args: &args, outputs }) else { return };
    // A tensor that cannot be read may be why it failed.
    let tensors: Vec<_> = launch.tensors.iter().map(Place::read).filter_map(Result::ok).collect();
    let mut description = Description::new(&launch.kernel);
    description.dfx_message = fault.to_string();
    let (device, (ms, _)) = (fault.die, file::now());
    let folder = config.path.join("extra-info/data-dump").join(device.to_string());
    let path = folder.join(format!("{}.{}.{task}.{}.{ms}", launch.kernel, launch.kernel, fault.stream));
    match file::write(&path, description, &tensors) {
        Ok(()) => log::warn!("the operator that failed is dumped to {}", path.display()),
        Err(failure) => log::error!("{}", failure.text),
    }
}
