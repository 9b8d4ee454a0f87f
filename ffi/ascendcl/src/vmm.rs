//! Virtual memory by hand: reserved addresses, physical memory, and the mappings between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use vinci::DevicePtr;
use vinci::ipc::{self, Export, Key};
use vinci::memory::{Access, PhysicalMemory, VirtualRange};

use crate::abi::{Address, Handle, In, Out, need_address};
use crate::code::{Failure, INVALID_PARAM, RT_FEATURE_NOT_SUPPORT, Result, invalid};
use crate::context;
use crate::handle::{Kind, Table};
use crate::memory::Location;
use crate::share;

static PHYSICAL: Table<Arc<Physical>> = Table::new(Kind::PhysicalMemory);
static RANGES: Mutex<BTreeMap<Address, Range>> = Mutex::new(BTreeMap::new());

const DISABLE_PID_VALIDATION: u64 = 1;
const SHARE_HANDLE_DEFAULT: u32 = 1;
const SHARE_HANDLE_FABRIC: u32 = 2;
const HOST_LOCATION: u32 = 0;
const DEVICE_LOCATION: u32 = 1;
const ACCESS_READ: u32 = 1;
const ACCESS_READ_WRITE: u32 = 3;

/// `aclrtPhysicalMemProp`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Properties {
    handle_type: u32,
    allocation_type: u32,
    memory_attribute: u32,
    location: Location,
    reserve: u64,
}

/// `aclrtMemAccessDesc`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct AccessDescription {
    flags: u32,
    location: Location,
    reserved: [u8; 12],
}

struct Physical {
    memory: PhysicalMemory,
    properties: Properties,
    /// The handle that was given away.
    export: Mutex<Option<Export>>,
    /// It came from another process.
    imported: bool,
}

/// Reserved addresses, and what is mapped there by its offset.
struct Range {
    range: VirtualRange,
    mappings: BTreeMap<usize, Mapping>,
}

struct Mapping {
    size: usize,
    physical: Arc<Physical>,
    access: u32,
}

fn insert(memory: PhysicalMemory, properties: Properties, imported: bool) -> Result<Handle> {
    PHYSICAL.insert(Arc::new(Physical { memory, properties, export: Mutex::new(None), imported }))
}

/// A handle for other processes, which is good until the memory is freed here.
fn export(handle: Handle, flags: u64) -> Result<u64> {
    need_address(handle, "handle")?;
    if flags & !DISABLE_PID_VALIDATION != 0 {
        return Err(invalid(format!("flags {flags:#x} is not an ACL_RT_VMM_EXPORT_FLAG_")));
    }
    let physical = PHYSICAL.get(handle)?;
    let mut export = physical.export.lock();
    if export.is_some() || physical.imported {
        return Err(invalid("the memory has a shareable handle already"));
    }
    let made = Export::physical(&physical.memory, flags != 0)?;
    Ok(export.insert(made).key().to_number())
}

fn allow(shareable: u64, list: In<i32>, count: usize) -> Result<()> {
    let pids = share::pids(list, count)?;
    for (_, physical) in PHYSICAL.all() {
        if let Some(export) = physical.export.lock().as_ref().filter(|e| e.key().to_number() == shareable) {
            export.allow(&pids);
            return Ok(());
        }
    }
    Err(invalid(format!("{shareable:#x} is not a shareable handle of this process")))
}

fn import(shareable: u64) -> Result<Handle> {
    let memory = ipc::import_physical(Key::from_number(shareable))?;
    let location = Location { id: memory.device().ordinal(), kind: DEVICE_LOCATION };
    let properties =
        Properties { handle_type: 0, allocation_type: 0, memory_attribute: 0, location, reserve: 0 };
    insert(memory, properties, true)
}

/// Handles that are good in other servers too are not supported: there is one.
fn check_type(kind: u32) -> Result<()> {
    match kind {
        SHARE_HANDLE_DEFAULT => Ok(()),
        SHARE_HANDLE_FABRIC => {
            Err(Failure::new(RT_FEATURE_NOT_SUPPORT, "shareable handles across servers are not supported"))
        }
        other => Err(invalid(format!("there is no type {other} of shareable handles"))),
    }
}

/// Runs `body` on the range that `address` lies in, and the offset in it.
fn within<T>(address: Address, body: impl FnOnce(&mut Range, usize) -> Result<T>) -> Result<T> {
    need_address(address, "virPtr")?;
    let mut ranges = RANGES.lock();
    let found = ranges.range_mut(..=address).next_back();
    match found {
        Some((base, range)) if address - base < range.range.size() as usize => body(range, address - base),
        _ => Err(invalid(format!("{address:#x} lies in no reserved range"))),
    }
}

/// Runs `body` on the mapping that starts at `address`.
fn mapping<T>(address: Address, body: impl FnOnce(&mut Range, usize) -> Result<T>) -> Result<T> {
    within(address, |range, offset| {
        if !range.mappings.contains_key(&offset) {
            return Err(invalid(format!("no mapping starts at {address:#x}")));
        }
        body(range, offset)
    })
}

fn device_of(properties: &Properties) -> Result<vinci::Device> {
    match properties.location.kind {
        DEVICE_LOCATION => context::device(properties.location.id as i32),
        HOST_LOCATION => {
            Err(Failure::new(RT_FEATURE_NOT_SUPPORT, "physical memory of the host is not supported"))
        }
        other => Err(invalid(format!("location type {other} is neither host nor device"))),
    }
}

entry! {
    fn aclrtReserveMemAddress(out: Out<Address>, size: usize, alignment: usize, hint: Address, flags: u64) {
        let place = out.need("virPtr")?;
        if size == 0 || alignment != 0 || flags > 1 {
            return Err(Failure::new(
                INVALID_PARAM,
                format!("size {size} is 0, alignment {alignment} is not 0, or flags {flags:#x} is above 1"),
            ));
        }
        context::current()?;
        let page = vinci::Driver::get()?.info().page_size;
        let size = (size as u64).checked_next_multiple_of(page);
        let size = size.ok_or_else(|| invalid("size is too large"))?;
        let range = VirtualRange::reserve(size, page, DevicePtr(hint as u64))?;
        let base = range.base().0 as Address;
        RANGES.lock().insert(base, Range { range, mappings: BTreeMap::new() });
        place.put(base);
        Ok(())
    }

    fn aclrtReleaseMemAddress(address: Address) {
        need_address(address, "virPtr")?;
        let mut ranges = RANGES.lock();
        let Some(range) = ranges.get(&address) else {
            return Err(invalid(format!("no reserved range starts at {address:#x}")));
        };
        if !range.mappings.is_empty() {
            let count = range.mappings.len();
            return Err(invalid(format!("{count} mappings are left in the range at {address:#x}")));
        }
        ranges.remove(&address);
        Ok(())
    }

    fn aclrtMallocPhysical(handle: Out<Handle>, size: usize, properties: In<Properties>, flags: u64) {
        let place = handle.need("handle")?;
        let properties = properties.need("prop")?;
        if size == 0 || flags != 0 {
            return Err(Failure::new(INVALID_PARAM, format!("size {size} is 0, or flags {flags:#x} is not")));
        }
        let memory = PhysicalMemory::create(&device_of(&properties)?, size as u64)?;
        place.put(insert(memory, properties, false)?);
        Ok(())
    }

    /// The memory goes with its last mapping.
    fn aclrtFreePhysical(handle: Handle) {
        need_address(handle, "handle")?;
        PHYSICAL.remove(handle).map(drop)
    }

    fn aclrtMapMem(address: Address, size: usize, offset: usize, handle: Handle, flags: u64) {
        need_address(handle, "handle")?;
        if size == 0 || offset != 0 || flags != 0 {
            return Err(Failure::new(
                INVALID_PARAM,
                format!("size {size} is 0, or offset {offset} or flags {flags:#x} is not"),
            ));
        }
        let physical = PHYSICAL.get(handle)?;
        within(address, |range, at| {
            range.range.map(at as u64, size as u64, &physical.memory, 0, Access::ReadWrite)?;
            range.mappings.insert(at, Mapping { size, physical, access: ACCESS_READ_WRITE });
            Ok(())
        })
    }

    fn aclrtUnmapMem(address: Address) {
        mapping(address, |range, at| {
            range.range.unmap(at as u64)?;
            range.mappings.remove(&at);
            Ok(())
        })
    }

    fn aclrtMemSetAccess(address: Address, size: usize, descriptions: In<AccessDescription>, count: usize) {
        if size == 0 || count == 0 {
            return Err(Failure::new(INVALID_PARAM, format!("size {size} or count {count} is 0")));
        }
        for description in descriptions.slice(count, "desc")? {
            if description.location.kind != DEVICE_LOCATION {
                return Err(Failure::new(RT_FEATURE_NOT_SUPPORT, "access is set for devices only"));
            }
            context::device(description.location.id as i32)?;
            let access = match description.flags {
                ACCESS_READ => Access::Read,
                ACCESS_READ_WRITE => Access::ReadWrite,
                other => return Err(invalid(format!("flags {other:#x} are neither read nor read and write"))),
            };
            mapping(address, |range, at| {
                let mapped = &range.mappings[&at];
                if mapped.size != size {
                    return Err(invalid(format!("the mapping has {} bytes, not {size}", mapped.size)));
                }
                range.range.set_access(at as u64, access)?;
                if let Some(mapped) = range.mappings.get_mut(&at) {
                    mapped.access = description.flags;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn aclrtMemGetAccess(address: Address, location: In<Location>, flags: Out<u64>) {
        let place = flags.need("flag")?;
        let location = location.need("location")?;
        context::device(location.id as i32)?;
        place.put(mapping(address, |range, at| Ok(u64::from(range.mappings[&at].access)))?);
        Ok(())
    }

    fn aclrtMemGetAllocationGranularity(properties: In<Properties>, option: u32, granularity: Out<usize>) {
        let place = granularity.need("granularity")?;
        let properties = properties.need("prop")?;
        if option > 1 {
            return Err(Failure::new(INVALID_PARAM, format!("there is no granularity option {option}")));
        }
        place.put(PhysicalMemory::granularity(&device_of(&properties)?)? as usize);
        Ok(())
    }

    fn aclrtMemRetainAllocationHandle(address: Address, handle: Out<Handle>) {
        let place = handle.need("handle")?;
        let physical = mapping(address, |range, at| Ok(range.mappings[&at].physical.clone()))?;
        place.put(PHYSICAL.insert(physical)?);
        Ok(())
    }

    fn aclrtMemGetAllocationPropertiesFromHandle(handle: Handle, properties: Out<Properties>) {
        need_address(handle, "handle")?;
        let place = properties.need("prop")?;
        place.put(PHYSICAL.get(handle)?.properties);
        Ok(())
    }

    fn aclrtMemExportToShareableHandle(handle: Handle, kind: u32, flags: u64, shareable: Out<u64>) {
        let place = shareable.need("shareableHandle")?;
        if kind != 0 {
            return Err(invalid(format!("handleType {kind} is not ACL_MEM_HANDLE_TYPE_NONE")));
        }
        place.put(export(handle, flags)?);
        Ok(())
    }

    fn aclrtMemExportToShareableHandleV2(handle: Handle, flags: u64, kind: u32, shareable: Out<u64>) {
        let place = shareable.need("shareableHandle")?;
        check_type(kind)?;
        place.put(export(handle, flags)?);
        Ok(())
    }

    fn aclrtMemSetPidToShareableHandle(shareable: u64, list: In<i32>, count: usize) {
        allow(shareable, list, count)
    }

    fn aclrtMemSetPidToShareableHandleV2(shareable: In<u64>, kind: u32, list: In<i32>, count: usize) {
        check_type(kind)?;
        allow(shareable.need("shareableHandle")?, list, count)
    }

    /// The memory stays on the device where it is; another device needs access to that as to any peer.
    fn aclrtMemImportFromShareableHandle(shareable: u64, device_id: i32, handle: Out<Handle>) {
        let place = handle.need("handle")?;
        context::device(device_id)?;
        place.put(import(shareable)?);
        Ok(())
    }

    fn aclrtMemImportFromShareableHandleV2(shareable: In<u64>, kind: u32, flags: u64, handle: Out<Handle>) {
        let place = handle.need("handle")?;
        check_type(kind)?;
        if flags != 0 {
            return Err(invalid(format!("flags {flags:#x} is not 0")));
        }
        place.put(import(shareable.need("shareableHandle")?)?);
        Ok(())
    }
}
