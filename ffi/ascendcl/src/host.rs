//! Host memory that the device reaches: pinned, or the program's own and registered.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use vinci::AllocationKind;
use vinci::memory::{self, HostBuffer};

use crate::abi::{Address, In, Out, need_address};
use crate::code::{Failure, HOST_MEMORY_NOT_REGISTERED, INVALID_PARAM, Result, invalid};
use crate::context;
use crate::memory::{MallocConfig, check_config};

const MAPPED: u32 = 0x2;
const IOMEMORY: u32 = 0x4;
const READONLY: u32 = 0x8;
const PINNED: u32 = 0x1000_0000;

fn malloc(out: Out<Address>, size: usize) -> Result<()> {
    let place = out.need("hostPtr")?;
    if size == 0 {
        return Err(Failure::new(INVALID_PARAM, "size is 0"));
    }
    place.put(HostBuffer::new(size)?.into_raw() as Address);
    Ok(())
}

fn free(address: Address) -> Result<()> {
    need_address(address, "hostPtr")?;
    // SAFETY: the program gives the memory up, and no slice of it was ever lent to it.
    let buffer = unsafe { HostBuffer::from_raw(address as *mut u8) };
    PINNED_AND_REGISTERED.lock().remove(&address);
    buffer.map(drop).map_err(crate::code::of_memory)
}

fn register(address: Address, size: u64, read_only: bool) -> Result<Address> {
    need_address(address, "ptr")?;
    let bytes = usize::try_from(size).ok().filter(|bytes| *bytes > 0);
    let bytes = bytes.ok_or_else(|| Failure::new(INVALID_PARAM, format!("size is {size}")))?;
    if address.checked_add(bytes).is_none() {
        return Err(invalid(format!("{bytes} bytes at {address:#x} go past the end of the address space")));
    }
    context::current()?;
    if let Some(pointer) = register_pinned(address, size)? {
        return Ok(pointer);
    }
    // SAFETY: the program vouches that the memory stays until it unregisters it.
    let pointer = unsafe { memory::register_host(address as *mut u8, bytes, read_only) }?;
    Ok(pointer.0 as Address)
}

/// Pinned memory that a program registered besides: the device reaches it already.
static PINNED_AND_REGISTERED: Mutex<BTreeSet<Address>> = Mutex::new(BTreeSet::new());

/// Registers memory of aclrtMallocHost: its device address, or `None` if it is other memory.
fn register_pinned(address: Address, size: u64) -> Result<Option<Address>> {
    let found = memory::lookup_host(address as *const u8).filter(|a| a.kind == AllocationKind::Host);
    let Some((found, start)) = found.and_then(|a| a.host.map(|start| (a, start))) else { return Ok(None) };
    let offset = (address - start) as u64;
    if size > found.size - offset {
        let text =
            format!("{size} bytes at {address:#x} leave the pinned memory {start:#x}+{:#x}", found.size);
        return Err(invalid(text));
    }
    if !PINNED_AND_REGISTERED.lock().insert(address) {
        return Err(vinci::Error::AlreadyRegistered { addr: address as u64, bytes: size }.into());
    }
    Ok(Some((found.base.0 + offset) as Address))
}

entry! {
    fn aclrtMallocHost(out: Out<Address>, size: usize) {
        malloc(out, size)
    }

    fn aclrtMallocHostWithCfg(out: Out<Address>, size: u64, config: In<MallocConfig>) {
        check_config(config)?;
        malloc(out, size as usize)
    }

    fn aclrtFreeHost(address: Address) {
        free(address)
    }

    fn aclrtFreeHostWithDevSync(address: Address) {
        let (_, context) = context::current()?;
        context.device.synchronize(None)?;
        free(address)
    }

    fn aclrtHostRegister(address: Address, size: u64, kind: u32, out: Out<Address>) {
        let place = out.need("devPtr")?;
        if ![0, IOMEMORY, READONLY].contains(&kind) {
            return Err(Failure::new(INVALID_PARAM, format!("type {kind:#x} is not an aclrtHostRegisterType")));
        }
        place.put(register(address, size, kind == READONLY)?);
        Ok(())
    }

    fn aclrtHostRegisterV2(address: Address, size: u64, flags: u32) {
        if flags & !(MAPPED | IOMEMORY | READONLY | PINNED) != 0 {
            return Err(invalid(format!("flag {flags:#x} is not made of ACL_HOST_REG_ flags")));
        }
        register(address, size, flags & READONLY != 0)?;
        Ok(())
    }

    fn aclrtHostGetDevicePointer(host: Address, out: Out<Address>, flag: u32) {
        need_address(host, "pHost")?;
        let place = out.need("pDevice")?;
        if flag != 0 {
            return Err(invalid(format!("flag {flag:#x} is not 0")));
        }
        let pointer = memory::host_device_ptr(host as *mut u8);
        let pointer = pointer.map_err(|error| Failure::from(error).code(HOST_MEMORY_NOT_REGISTERED))?;
        place.put(pointer.0 as Address);
        Ok(())
    }

    fn aclrtHostUnregister(address: Address) {
        need_address(address, "ptr")?;
        if PINNED_AND_REGISTERED.lock().remove(&address) {
            return Ok(());
        }
        let done = memory::unregister_host(address as *mut u8);
        done.map_err(|error| Failure::from(error).code(HOST_MEMORY_NOT_REGISTERED))
    }

    /// Every engine of the device reaches registered host memory through the same address space.
    fn aclrtHostMemMapCapabilities(device_id: u32, engine: u32, capabilities: Out<u32>) {
        const LAST_ENGINE: u32 = 9;
        const SUPPORTED: u32 = 1;
        let place = capabilities.need("capabilities")?;
        context::device(device_id as i32)?;
        if engine > LAST_ENGINE {
            return Err(invalid(format!("there is no engine {engine}")));
        }
        place.put(SUPPORTED);
        Ok(())
    }
}
