//! Device memory that processes share by a key.

use std::collections::HashMap;

use parking_lot::Mutex;
use vinci::ipc::{self, Export};
use vinci::{Device, DevicePtr};

use crate::abi::{Address, In, Out, Text, TextOut, need_address};
use crate::code::{Failure, INVALID_PARAM, Result, invalid, of_memory};
use crate::context;

const DISABLE_PID_VALIDATION: u64 = 1;
const ENABLE_PEER_ACCESS: u64 = 1;
/// Bytes of a key, its zero among them.
const KEY: usize = 65;

/// What a key stands for in this process.
enum Shared {
    Exported(Export),
    Imported(DevicePtr),
}

static KEYS: Mutex<Option<HashMap<String, Shared>>> = Mutex::new(None);

/// Room for a key.
pub fn check_room(room: usize) -> Result<()> {
    if room < KEY {
        return Err(Failure::new(INVALID_PARAM, format!("len {room} is less than {KEY}")));
    }
    Ok(())
}

/// The processes of a list.
pub fn pids(list: In<i32>, count: usize) -> Result<Vec<i32>> {
    if count == 0 {
        return Err(Failure::new(INVALID_PARAM, "the number of processes is 0"));
    }
    let pids = list.slice(count, "pid")?;
    match pids.iter().find(|&&pid| pid <= 0) {
        Some(pid) => Err(invalid(format!("{pid} is not a process"))),
        None => Ok(pids),
    }
}

/// Lets work of `device` reach memory of `other`, which it may already.
pub fn enable_peer(device: &Device, other: &Device) -> Result<()> {
    if device.ordinal() != other.ordinal() && !device.peer_enabled(other) {
        device.enable_peer(other)?;
    }
    Ok(())
}

fn unknown(key: &str) -> Failure {
    invalid(format!("{key} is not a key of this process"))
}

entry! {
    /// The pages that hold the memory are shared as a whole.
    fn aclrtIpcMemGetExportKey(address: Address, size: usize, key: TextOut, room: usize, flags: u64) {
        need_address(address, "devPtr")?;
        if flags & !DISABLE_PID_VALIDATION != 0 {
            return Err(invalid(format!("flags {flags:#x} is not an ACL_RT_IPC_MEM_EXPORT_FLAG_")));
        }
        if size == 0 {
            return Err(Failure::new(INVALID_PARAM, "size is 0"));
        }
        check_room(room)?;
        context::current()?;
        let export = Export::memory(DevicePtr(address as u64), size as u64, flags != 0).map_err(of_memory)?;
        let name = export.key().to_string();
        key.put("key", room, &name)?;
        KEYS.lock().get_or_insert_default().insert(name, Shared::Exported(export));
        Ok(())
    }

    fn aclrtIpcMemSetImportPid(key: Text, list: In<i32>, count: usize) {
        let key = key.need("key")?;
        let list = pids(list, count)?;
        match KEYS.lock().get_or_insert_default().get(&key) {
            Some(Shared::Exported(export)) => {
                export.allow(&list);
                Ok(())
            }
            _ => Err(unknown(&key)),
        }
    }

    fn aclrtIpcMemImportByKey(out: Out<Address>, key: Text, flags: u64) {
        let (place, key) = (out.need("devPtr")?, key.need("key")?);
        if flags & !ENABLE_PEER_ACCESS != 0 {
            return Err(invalid(format!("flags {flags:#x} is not an ACL_RT_IPC_MEM_IMPORT_FLAG_")));
        }
        let (_, context) = context::current()?;
        let parsed = key.parse()?;
        let mut keys = KEYS.lock();
        let keys = keys.get_or_insert_default();
        if keys.contains_key(&key) {
            return Err(invalid(format!("this process exported or imported {key} already")));
        }
        let (address, device) = ipc::import_memory(parsed)?;
        keys.insert(key, Shared::Imported(address));
        if flags != 0 {
            enable_peer(&context.device, &device)?;
        }
        place.put(address.0 as Address);
        Ok(())
    }

    /// What other processes imported stays theirs.
    fn aclrtIpcMemClose(key: Text) {
        let key = key.need("key")?;
        match KEYS.lock().get_or_insert_default().remove(&key) {
            Some(Shared::Imported(address)) => ipc::unmap_memory(address).map_err(of_memory),
            Some(Shared::Exported(_)) => Ok(()),
            None => Err(unknown(&key)),
        }
    }
}
