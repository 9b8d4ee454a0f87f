//! Pools: memory given out and taken back in the order of a stream.

use std::collections::HashMap;

use parking_lot::Mutex;
use vinci::{DevicePtr, Pool};

use crate::abi::{Address, Handle, In, Out, need_address};
use crate::code::{Failure, INVALID_PARAM, Result, invalid};
use crate::handle::{Kind, Table};
use crate::memory::Location;
use crate::{context, stream};

static POOLS: Table<Pool> = Table::new(Kind::MemPool);
/// The pool of each device for programs that name none.
static DEFAULTS: Mutex<Option<HashMap<u32, Pool>>> = Mutex::new(None);
/// The pool that an address came from, and the bytes asked for.
static GIVEN: Mutex<Option<HashMap<Address, Pool>>> = Mutex::new(None);

const DEVICE_LOCATION: u32 = 1;

/// `aclrtMemPoolProps`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Properties {
    allocation_type: u32,
    handle_type: u32,
    location: Location,
    most: usize,
    reserved: [u8; 32],
}

fn get(pool: Handle) -> Result<Pool> {
    need_address(pool, "memPool")?;
    POOLS.get(pool)
}

fn default_pool(device: &vinci::Device) -> Result<Pool> {
    let mut defaults = DEFAULTS.lock();
    let defaults = defaults.get_or_insert_default();
    if let Some(pool) = defaults.get(&device.ordinal()) {
        return Ok(pool.clone());
    }
    let pool = Pool::new(device)?;
    defaults.insert(device.ordinal(), pool.clone());
    Ok(pool)
}

entry! {
    fn aclrtMemPoolCreate(pool: Out<Handle>, properties: In<Properties>) {
        let place = pool.need("memPool")?;
        let properties = properties.need("poolProps")?;
        if properties.location.kind != DEVICE_LOCATION || properties.allocation_type != 0 {
            let text = format!(
                "location type {} is not a device, or allocation type {} is not pinned",
                properties.location.kind, properties.allocation_type
            );
            return Err(Failure::new(INVALID_PARAM, text));
        }
        place.put(POOLS.insert(Pool::new(&context::device(properties.location.id as i32)?)?)?);
        Ok(())
    }

    fn aclrtMemPoolDestroy(pool: Handle) {
        get(pool)?;
        POOLS.remove(pool).map(drop)
    }

    fn aclrtMemPoolMallocAsync(out: Out<Address>, size: usize, pool: Handle, stream: Handle) {
        let place = out.need("ptr")?;
        if size == 0 {
            return Err(Failure::new(INVALID_PARAM, "size is 0"));
        }
        let stream = stream::named(stream)?;
        let pool = if pool == 0 { default_pool(&stream.stream.device())? } else { get(pool)? };
        let address = pool.alloc_async(size as u64, &stream.stream)?.0 as Address;
        GIVEN.lock().get_or_insert_default().insert(address, pool);
        place.put(address);
        Ok(())
    }

    fn aclrtMemPoolFreeAsync(address: Address, stream: Handle) {
        need_address(address, "ptr")?;
        let stream = stream::named(stream)?;
        let mut given = GIVEN.lock();
        let given = given.get_or_insert_default();
        let pool = given.get(&address);
        let pool = pool.ok_or_else(|| invalid(format!("{address:#x} is not memory that a pool gave out")))?;
        let done = pool.free_async(DevicePtr(address as u64), &stream.stream);
        done.map_err(crate::code::of_memory)?;
        given.remove(&address);
        Ok(())
    }

    fn aclrtMemPoolTrimTo(pool: Handle, keep: usize) {
        Ok(get(pool)?.trim(keep as u64)?)
    }

    fn aclrtMemPoolSetAttr(pool: Handle, attribute: u32, value: In<u64>) {
        const RELEASE_THRESHOLD: u32 = 4;
        let pool = get(pool)?;
        match attribute {
            // How memory is reused: a pool always follows the order of streams, whatever these say.
            1..=3 => drop(value.need("value")?),
            RELEASE_THRESHOLD => pool.set_threshold(value.need("value")?),
            _ => return Err(Failure::new(INVALID_PARAM, format!("attribute {attribute} cannot be set"))),
        }
        Ok(())
    }

    fn aclrtMemPoolGetAttr(pool: Handle, attribute: u32, value: Out<u64>) {
        let place = value.need("value")?;
        let usage = get(pool)?.usage();
        place.put(match attribute {
            5 => usage.reserved,
            6 => usage.reserved_high,
            7 => usage.used,
            8 => usage.used_high,
            _ => return Err(Failure::new(INVALID_PARAM, format!("attribute {attribute} cannot be read"))),
        });
        Ok(())
    }
}
