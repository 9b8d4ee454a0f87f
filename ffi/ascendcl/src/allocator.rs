//! Allocators of the program, attached to streams. Operators would ask for them; here they are kept and told.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::abi::{Address, Handle, Out, call_or, need_address};
use crate::code::{Failure, INVALID_PARAM, Result};
use crate::handle::{Kind, Table};
use crate::stream::STREAMS;

static DESCRIPTIONS: Table<Arc<Mutex<Allocator>>> = Table::new(Kind::AllocatorDesc);
/// By stream.
static REGISTERED: Mutex<Option<HashMap<Handle, (Handle, Allocator)>>> = Mutex::new(None);

/// The program's object and functions, which are given back as they came.
#[derive(Clone, Copy, Default)]
struct Allocator {
    object: Address,
    alloc: Address,
    free: Address,
    alloc_advise: Address,
    address_of_block: Address,
}

#[unsafe(no_mangle)]
pub extern "C" fn aclrtAllocatorCreateDesc() -> Handle {
    call_or("aclrtAllocatorCreateDesc", 0, || DESCRIPTIONS.insert(Arc::default()))
}

fn set(
    description: Handle,
    value: Address,
    name: &str,
    field: impl FnOnce(&mut Allocator) -> &mut Address,
) -> Result<()> {
    need_address(description, "allocatorDesc")?;
    need_address(value, name)?;
    *field(&mut DESCRIPTIONS.get(description)?.lock()) = value;
    Ok(())
}

entry! {
    fn aclrtAllocatorDestroyDesc(description: Handle) {
        need_address(description, "allocatorDesc")?;
        DESCRIPTIONS.remove(description).map(drop)
    }

    fn aclrtAllocatorSetObjToDesc(description: Handle, object: Address) {
        set(description, object, "allocator", |a| &mut a.object)
    }

    fn aclrtAllocatorSetAllocFuncToDesc(description: Handle, f: Address) {
        set(description, f, "func", |a| &mut a.alloc)
    }

    fn aclrtAllocatorSetFreeFuncToDesc(description: Handle, f: Address) {
        set(description, f, "func", |a| &mut a.free)
    }

    fn aclrtAllocatorSetAllocAdviseFuncToDesc(description: Handle, f: Address) {
        set(description, f, "func", |a| &mut a.alloc_advise)
    }

    fn aclrtAllocatorSetGetAddrFromBlockFuncToDesc(description: Handle, f: Address) {
        set(description, f, "func", |a| &mut a.address_of_block)
    }

    fn aclrtAllocatorRegister(stream: Handle, description: Handle) {
        need_address(stream, "stream")?;
        need_address(description, "allocatorDesc")?;
        STREAMS.get(stream)?;
        let allocator = *DESCRIPTIONS.get(description)?.lock();
        if [allocator.object, allocator.alloc, allocator.free, allocator.address_of_block].contains(&0) {
            let text = "the description lacks its object or one of its functions";
            return Err(Failure::new(INVALID_PARAM, text));
        }
        REGISTERED.lock().get_or_insert_default().insert(stream, (description, allocator));
        Ok(())
    }

    fn aclrtAllocatorUnregister(stream: Handle) {
        need_address(stream, "stream")?;
        STREAMS.get(stream)?;
        REGISTERED.lock().get_or_insert_default().remove(&stream);
        Ok(())
    }

    fn aclrtAllocatorGetByStream(
        stream: Handle, description: Out<Handle>, object: Out<Address>, alloc: Out<Address>, free: Out<Address>,
        alloc_advise: Out<Address>, address_of_block: Out<Address>,
    ) {
        need_address(stream, "stream")?;
        STREAMS.get(stream)?;
        let registered = REGISTERED.lock().as_ref().and_then(|all| all.get(&stream).copied());
        let (handle, allocator) = registered
            .ok_or_else(|| Failure::new(INVALID_PARAM, format!("stream {stream:#x} has no allocator")))?;
        let answers = [
            (description, handle),
            (object, allocator.object),
            (alloc, allocator.alloc),
            (free, allocator.free),
            (alloc_advise, allocator.alloc_advise),
            (address_of_block, allocator.address_of_block),
        ];
        for (out, value) in answers {
            if let Some(place) = out.maybe() {
                place.put(value);
            }
        }
        Ok(())
    }
}
