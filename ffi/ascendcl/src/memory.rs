//! Device memory: allocation, freeing, and what an address belongs to.

use vinci::memory;
use vinci::{Device, DevicePtr, Policy};

use crate::abi::{Address, In, Out, TextOut, need_address};
use crate::code::{Failure, INVALID_PARAM, Result, invalid};
use crate::context;

const LOCATION_HOST: u32 = 0;
const LOCATION_DEVICE: u32 = 1;
const LOCATION_UNREGISTERED: u32 = 2;
/// aclrtMemAttr up to this one name memory that a device has.
const LAST_MEM_ATTR: u32 = 17;

/// `aclrtMallocConfig`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MallocConfig {
    attributes: *const MallocAttribute,
    count: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct MallocAttribute {
    kind: u32,
    value: [u32; 2],
}

/// `aclrtMemLocation`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Location {
    pub id: u32,
    pub kind: u32,
}

/// `aclrtPtrAttributes`.
#[repr(C)]
pub struct PointerAttributes {
    location: Location,
    page_size: u32,
    reserved: [u32; 4],
}

/// `aclrtMemUsageInfo`.
#[repr(C)]
pub struct UsageInfo {
    name: [u8; 32],
    current: u64,
    peak: u64,
    reserved: [usize; 8],
}

fn policy(policy: u32) -> Policy {
    match policy & 0xff {
        1 | 4 | 6 | 7 => Policy::HugeOnly,
        2 | 5 => Policy::NormalOnly,
        // Outside the enumeration CANN decides by the size, which is what HUGE_FIRST does.
        _ => Policy::HugeFirst,
    }
}

fn malloc_on(device: &Device, out: Out<Address>, size: usize, kind: u32) -> Result<()> {
    let place = out.need("devPtr")?;
    if size == 0 {
        return Err(Failure::new(INVALID_PARAM, "size is 0"));
    }
    place.put(device.malloc(size as u64, policy(kind))?.0 as Address);
    Ok(())
}

fn malloc(out: Out<Address>, size: usize, kind: u32) -> Result<()> {
    let (_, context) = context::current()?;
    malloc_on(&context.device, out, size, kind)
}

fn free(address: Address) -> Result<()> {
    need_address(address, "devPtr")?;
    // The address is an argument here and not a handle, so CANN calls a wrong one an invalid parameter.
    Device::free(DevicePtr(address as u64)).map_err(crate::code::of_memory)
}

/// Attributes of a configuration: each must be one that is known.
pub fn check_config(config: In<MallocConfig>) -> Result<Option<u32>> {
    let Some(config) = config.maybe() else { return Ok(None) };
    let mut device = None;
    // SAFETY: the program vouches that `attributes` has `count` entries.
    let attributes = (0..config.count).map(|i| unsafe { config.attributes.add(i).read_unaligned() });
    if config.count > 0 && config.attributes.is_null() {
        return Err(crate::abi::null("cfg->attrs"));
    }
    for attribute in attributes {
        match attribute.kind {
            0 | 1 | 3 => {}
            2 => device = Some(attribute.value[0]),
            other => return Err(invalid(format!("there is no attribute {other} of an allocation"))),
        }
    }
    Ok(device)
}

entry! {
    fn aclrtMalloc(out: Out<Address>, size: usize, policy: u32) {
        malloc(out, size, policy)
    }

    fn aclrtMallocAlign32(out: Out<Address>, size: usize, policy: u32) {
        malloc(out, size, policy)
    }

    fn aclrtMallocCached(out: Out<Address>, size: usize, policy: u32) {
        malloc(out, size, policy)
    }

    fn aclrtMallocWithCfg(out: Out<Address>, size: usize, policy: u32, config: In<MallocConfig>) {
        match check_config(config)? {
            Some(ordinal) => malloc_on(&context::device(ordinal as i32)?, out, size, policy),
            None => malloc(out, size, policy),
        }
    }

    fn aclrtMallocForTaskScheduler(out: Out<Address>, size: usize, policy: u32, config: In<MallocConfig>) {
        check_config(config)?;
        malloc(out, size, policy)
    }

    fn aclrtFree(address: Address) {
        free(address)
    }

    fn aclrtFreeWithDevSync(address: Address) {
        let (_, context) = context::current()?;
        context.device.synchronize(None)?;
        free(address)
    }

    fn aclrtGetMemInfo(kind: u32, free: Out<usize>, total: Out<usize>) {
        let (free, total) = (free.need("free")?, total.need("total")?);
        if kind > LAST_MEM_ATTR {
            return Err(Failure::new(INVALID_PARAM, format!("attr {kind} is not an aclrtMemAttr")));
        }
        let (_, context) = context::current()?;
        let info = context.device.mem_info()?;
        free.put(info.free as usize);
        total.put(info.total as usize);
        Ok(())
    }

    /// One entry: what this process holds.
    fn aclrtGetMemUsageInfo(device_id: i32, info: Out<UsageInfo>, room: usize, count: Out<usize>) {
        let (place, count) = (info.need("memUsageInfo")?, count.need("outputNum")?);
        if room == 0 {
            return Err(Failure::new(INVALID_PARAM, "inputNum is 0"));
        }
        let held = context::device(device_id)?.telemetry()?.hbm_process;
        let mut name = [0; 32];
        name[..7].copy_from_slice(b"process");
        place.put(UsageInfo { name, current: held, peak: held, reserved: [0; 8] });
        count.put(1);
        Ok(())
    }

    fn aclrtPointerGetAttributes(address: Address, attributes: Out<PointerAttributes>) {
        need_address(address, "ptr")?;
        let place = attributes.need("attributes")?;
        let (id, kind) = match find(address) {
            Some(Found { device: Some(ordinal), .. }) => (ordinal, LOCATION_DEVICE),
            Some(Found { device: None, .. }) => (0, LOCATION_HOST),
            None => (0, LOCATION_UNREGISTERED),
        };
        let page_size = if kind == LOCATION_DEVICE { vinci::Driver::get()?.info().page_size as u32 } else { 4096 };
        place.put(PointerAttributes { location: Location { id, kind }, page_size, reserved: [0; 4] });
        Ok(())
    }

    fn aclrtMemGetAddressRange(address: Address, base: Out<Address>, size: Out<usize>) {
        need_address(address, "ptr")?;
        let found = find(address).ok_or_else(|| invalid(format!("{address:#x} lies in no allocation")))?;
        if let Some(place) = base.maybe() {
            place.put(found.base);
        }
        if let Some(place) = size.maybe() {
            place.put(found.size);
        }
        Ok(())
    }

    fn aclrtCheckMemType(addresses: In<Address>, count: u32, kinds: u32, result: Out<u32>, reserve: u32) {
        const DEVICE: u32 = 0x2;
        const ALL: u32 = 0x2 | 0x8 | 0x10;
        let place = result.need("checkResult")?;
        if kinds == 0 || kinds & !ALL != 0 || reserve != 0 || count == 0 {
            return Err(invalid(format!("size {count}, memType {kinds:#x} or reserve {reserve} is out of range")));
        }
        let addresses = addresses.slice(count as usize, "addrList")?;
        let on_device = |address: &Address| find(*address).is_some_and(|found| found.device.is_some());
        place.put(u32::from(kinds & DEVICE != 0 && addresses.iter().all(on_device)));
        Ok(())
    }

    /// Nothing to do: the caches of the device are coherent.
    fn aclrtMemFlush(address: Address, size: usize) {
        check_device_range(address, size)
    }

    /// Nothing to do: the caches of the device are coherent.
    fn aclrtMemInvalidate(address: Address, size: usize) {
        check_device_range(address, size)
    }

    /// A hint; the model has no cache that it would fill.
    fn aclrtCmoAsync(address: Address, size: usize, kind: u32, stream: crate::abi::Handle) {
        if kind > 3 {
            return Err(invalid(format!("there is no cache operation {kind}")));
        }
        crate::stream::named(stream)?;
        check_device_range(address, size)
    }

    fn aclrtDeviceGetUuid(device_id: i32, uuid: Out<[u8; 16]>) {
        let place = uuid.need("uuid")?;
        let device = context::device(device_id)?;
        let mut bytes = [0; 16];
        let serial = vinci::Driver::get()?.info().serial.as_bytes();
        let length = serial.len().min(15);
        bytes[..length].copy_from_slice(&serial[..length]);
        bytes[15] = device.ordinal() as u8;
        place.put(bytes);
        Ok(())
    }

    fn aclrtDeviceGetPCIBusId(device_id: i32, text: TextOut, room: i32) {
        context::device(device_id)?;
        let room = usize::try_from(room).unwrap_or(0);
        text.put("pciBusId", room, &vinci::Driver::get()?.info().pci_address)
    }
}

/// What lies at an address, of the device or of host memory that the device knows.
pub struct Found {
    pub base: Address,
    pub size: usize,
    /// The device whose memory it is; `None` for host memory.
    pub device: Option<u32>,
}

pub fn find(address: Address) -> Option<Found> {
    let as_device = memory::lookup(DevicePtr(address as u64));
    let found = as_device.or_else(|| memory::lookup_host(address as *const u8))?;
    let base = if as_device.is_some() { found.base.0 as Address } else { found.host.unwrap_or_default() };
    let device = found.device.map(|device| device.ordinal());
    Some(Found { base, size: found.size as usize, device })
}

/// Fails unless `size` bytes from `address` on are device memory.
pub fn check_device_range(address: Address, size: usize) -> Result<()> {
    need_address(address, "devPtr")?;
    memory::check_range("address", DevicePtr(address as u64), size as u64).map_err(crate::code::of_memory)?;
    Ok(())
}
