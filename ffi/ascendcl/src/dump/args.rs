//! What operators were called with: a file of JSON for each distinct call.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde_json::json;

use super::file;
use super::launch::{Launch, Place};
use crate::code::{Failure, INVALID_FILE, INVALID_PARAM, Result};

/// Where calls are written, and which were.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    known: Mutex<BTreeSet<String>>,
}

impl Writer {
    pub fn new(folder: &Path) -> Result<Writer> {
        let made = std::fs::create_dir_all(folder).and_then(|()| folder.canonicalize());
        let folder =
            made.map_err(|e| Failure::new(INVALID_FILE, format!("path {}: {e}", folder.display())))?;
        Ok(Writer { folder, known: Mutex::default() })
    }
}

pub fn check_kind(kind: u32) -> Result<()> {
    const AICORE_ARGS: u32 = 1;
    if kind == AICORE_ARGS {
        return Ok(());
    }
    Err(Failure::new(INVALID_PARAM, format!("dumpType is {kind:#x}, not ACL_OP_DUMP_OP_AICORE_ARGS")))
}

/// Writes a call that is new.
pub fn write(writer: &Writer, launch: &Launch) -> Result<()> {
    let tensors = |outputs| {
        let tensor = |place: &Place| {
            json!({
                "data_type": place.acl_type, "format": "ND", "shape": place.dims, "strides": place.strides,
            })
        };
        launch.tensors.iter().filter(move |place| place.is_output == outputs).map(tensor).collect::<Vec<_>>()
    };
    let attrs: Vec<String> = launch.attrs.iter().map(|bits| format!("{bits:#018x}")).collect();
    let text = json!({
        "op_type": launch.kernel, "attributes": attrs, "inputs": tensors(false), "outputs": tensors(true),
    })
    .to_string();
    let number = {
        let mut known = writer.known.lock();
        if !known.insert(text.clone()) {
            return Ok(());
        }
        known.len()
    };
    let (pid, kernel) = (std::process::id(), &launch.kernel);
    file::put(&writer.folder.join(format!("{kernel}.{pid}.{number}.json")), text.as_bytes())
}
