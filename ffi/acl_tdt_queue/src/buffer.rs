//! Buffers: memory with a length of data, and a few bytes of the program's that travel with it.

use std::cell::UnsafeCell;
use std::sync::Arc;

use parking_lot::Mutex;
use vinci_abi::abi::{Address, Handle, Out, need_address};
use vinci_abi::code::{FEATURE_UNSUPPORTED, Failure, RT_MEMORY_ALLOCATION, Result};
use vinci_abi::handle::{Kind, Table};

use crate::state::Share;
use crate::{invalid, named};

/// Bytes of the program's.
pub const USER_BYTES: usize = 96;
const NORMAL_MEMORY: u32 = 0;
const DVPP_MEMORY: u32 = 1;

/// Memory that one or more buffers refer to. The program writes it through its address.
pub struct Memory(Box<[UnsafeCell<u64>]>, usize);

// SAFETY: only addresses are handed out; copies below are made while the buffer is not the program's, or at the
// program's request.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    fn new(size: usize) -> Result<Memory> {
        let words = size.div_ceil(8);
        let mut memory = Vec::new();
        if memory.try_reserve_exact(words).is_err() {
            return Err(Failure::new(
                RT_MEMORY_ALLOCATION,
                format!("no memory for a buffer of {size} bytes"),
            ));
        }
        memory.resize_with(words, || UnsafeCell::new(0));
        Ok(Memory(memory.into_boxed_slice(), size))
    }

    fn address(&self) -> Address {
        self.0.as_ptr() as Address
    }
}

/// Where a buffer is.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// With the program.
    Free,
    /// In a queue.
    Queued,
    /// In the chain of this head.
    Chained(Handle),
}

pub struct Inner {
    memory: Arc<Memory>,
    len: usize,
    user: [u8; USER_BYTES],
    place: Place,
    /// The buffers after this one, which is a head.
    chain: Vec<Handle>,
}

type Buffer = Arc<Mutex<Inner>>;

static BUFFERS: Table<Buffer> = Table::new(Kind::QueueBuffer);

fn make(memory: Arc<Memory>, len: usize, user: [u8; USER_BYTES]) -> Result<Handle> {
    let inner = Inner { memory, len, user, place: Place::Free, chain: Vec::new() };
    BUFFERS.insert(Arc::new(Mutex::new(inner)))
}

/// A buffer that the program has in hand, alone or as part of a chain.
fn in_hand(handle: Handle) -> Result<Buffer> {
    let buffer = named(&BUFFERS, handle)?;
    let head = match buffer.lock().place {
        Place::Chained(head) => Some(named(&BUFFERS, head)?),
        _ => None,
    };
    if head.as_ref().unwrap_or(&buffer).lock().place == Place::Queued {
        return Err(invalid(format!("buffer {handle:#x} is in a queue")));
    }
    Ok(buffer)
}

/// A buffer that stands for itself or for its chain.
fn head(handle: Handle) -> Result<Buffer> {
    let buffer = in_hand(handle)?;
    if let Place::Chained(head) = buffer.lock().place {
        return Err(invalid(format!("buffer {handle:#x} is part of the chain of {head:#x}")));
    }
    Ok(buffer)
}

/// A buffer on its way through queues: its handle is not the program's. Freed when dropped.
pub struct Travelling(Handle);

impl Travelling {
    /// Takes a buffer from the program.
    pub fn take(handle: Handle) -> Result<Travelling> {
        head(handle)?.lock().place = Place::Queued;
        Ok(Travelling(handle))
    }

    /// A new one with copies of data.
    pub fn copied(data: Address, len: usize, user: &[u8]) -> Result<Travelling> {
        let memory = Memory::new(len)?;
        if len != 0 {
            need_address(data, "data")?;
            // SAFETY: the program passes `len` readable bytes; the new memory is as long.
            unsafe { std::ptr::copy_nonoverlapping(data as *const u8, memory.address() as *mut u8, len) };
        }
        let mut bytes = [0; USER_BYTES];
        bytes[..user.len()].copy_from_slice(user);
        Travelling::take(make(Arc::new(memory), len, bytes)?)
    }

    /// Gives it to the program.
    pub fn arrive(self) -> Handle {
        let handle = self.0;
        std::mem::forget(self);
        if let Ok(buffer) = BUFFERS.get(handle) {
            buffer.lock().place = Place::Free;
        }
        handle
    }

    /// Bytes of data, of the whole chain.
    pub fn len(&self) -> usize {
        self.parts().iter().map(|part| part.lock().len).sum()
    }

    /// The data of the whole chain, to an address with room for it, and the head's bytes of the program's.
    pub fn copy_out(&self, to: Address) -> [u8; USER_BYTES] {
        let mut at = to;
        for part in self.parts() {
            let part = part.lock();
            // SAFETY: the caller compared the room with `len`; the memory holds `len` bytes.
            unsafe {
                std::ptr::copy_nonoverlapping(part.memory.address() as *const u8, at as *mut u8, part.len)
            };
            at += part.len;
        }
        self.parts().first().map_or([0; USER_BYTES], |head| head.lock().user)
    }

    fn parts(&self) -> Vec<Buffer> {
        let Ok(head) = BUFFERS.get(self.0) else { return Vec::new() };
        let rest: Vec<_> = head.lock().chain.iter().filter_map(|&part| BUFFERS.get(part).ok()).collect();
        std::iter::once(head).chain(rest).collect()
    }
}

impl Drop for Travelling {
    fn drop(&mut self) {
        remove(self.0);
    }
}

impl Share for Travelling {
    fn share(&self) -> Result<Self> {
        let handle = share(&BUFFERS.get(self.0)?)?;
        Travelling::take(handle)
    }
}

/// Buffers of the same memory as a buffer and its chain.
fn share(buffer: &Buffer) -> Result<Handle> {
    let (copy, chain) = {
        let b = buffer.lock();
        (make(b.memory.clone(), b.len, b.user)?, b.chain.clone())
    };
    for part in chain {
        let part = share(&BUFFERS.get(part)?)?;
        BUFFERS.get(part)?.lock().place = Place::Chained(copy);
        BUFFERS.get(copy)?.lock().chain.push(part);
    }
    Ok(copy)
}

/// Ends a buffer and its chain.
fn remove(handle: Handle) {
    if let Ok(buffer) = BUFFERS.remove(handle) {
        let chain = std::mem::take(&mut buffer.lock().chain);
        chain.into_iter().for_each(|part| drop(BUFFERS.remove(part)));
    }
}

/// Checks that `size` bytes at `offset` are some of the program's.
fn user_range(size: usize, offset: usize) -> Result<std::ops::Range<usize>> {
    let end = offset.checked_add(size).filter(|&end| end <= USER_BYTES);
    let text = || invalid(format!("{size} bytes at {offset} of the {USER_BYTES} that travel with a buffer"));
    end.map(|end| offset..end).ok_or_else(text)
}

entry! {
    fn acltdtAllocBuf(size: usize, kind: u32, buffer: Out<Handle>) {
        let place = buffer.need("buf")?;
        match kind {
            NORMAL_MEMORY if size == 0 => return Err(invalid("a buffer of 0 bytes")),
            NORMAL_MEMORY => {}
            DVPP_MEMORY => {
                return Err(Failure::new(FEATURE_UNSUPPORTED, "acltdtAllocBuf: memory for media (ACL_TDT_DVPP_MEM)"));
            }
            _ => return Err(invalid(format!("there is no memory of type {kind}"))),
        }
        place.put(make(Arc::new(Memory::new(size)?), 0, [0; USER_BYTES])?);
        Ok(())
    }

    fn acltdtFreeBuf(buffer: Handle) {
        head(buffer)?;
        remove(buffer);
        Ok(())
    }

    fn acltdtGetBufData(buffer: Handle, data: Out<Address>, size: Out<usize>) {
        let buffer = in_hand(buffer)?;
        let (data, size, buffer) = (data.need("dataPtr")?, size.need("size")?, buffer.lock());
        data.put(buffer.memory.address());
        size.put(buffer.memory.1);
        Ok(())
    }

    fn acltdtSetBufDataLen(buffer: Handle, len: usize) {
        let buffer = in_hand(buffer)?;
        let mut buffer = buffer.lock();
        let size = buffer.memory.1;
        if len > size {
            return Err(invalid(format!("{len} bytes of data in a buffer of {size}")));
        }
        buffer.len = len;
        Ok(())
    }

    fn acltdtGetBufDataLen(buffer: Handle, len: Out<usize>) {
        let buffer = in_hand(buffer)?;
        len.need("len")?.put(buffer.lock().len);
        Ok(())
    }

    fn acltdtGetBufUserData(buffer: Handle, to: Address, size: usize, offset: usize) {
        let buffer = in_hand(buffer)?;
        need_address(to, "dataPtr")?;
        let range = user_range(size, offset)?;
        // SAFETY: the program passes room for `size` bytes, and the range is as long.
        unsafe { std::ptr::copy_nonoverlapping(buffer.lock().user[range].as_ptr(), to as *mut u8, size) };
        Ok(())
    }

    fn acltdtSetBufUserData(buffer: Handle, from: Address, size: usize, offset: usize) {
        let buffer = in_hand(buffer)?;
        need_address(from, "dataPtr")?;
        let range = user_range(size, offset)?;
        // SAFETY: the program passes `size` readable bytes, and the range is as long.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, buffer.lock().user[range].as_mut_ptr(), size) };
        Ok(())
    }

    fn acltdtCopyBufRef(buffer: Handle, copy: Out<Handle>) {
        let buffer = head(buffer)?;
        copy.need("newBuf")?.put(share(&buffer)?);
        Ok(())
    }

    fn acltdtAppendBufChain(chain: Handle, buffer: Handle) {
        let (first, part) = (head(chain)?, head(buffer)?);
        if chain == buffer {
            return Err(invalid("a buffer cannot follow itself"));
        }
        if !part.lock().chain.is_empty() {
            return Err(invalid(format!("buffer {buffer:#x} is the head of a chain")));
        }
        part.lock().place = Place::Chained(chain);
        first.lock().chain.push(buffer);
        Ok(())
    }

    fn acltdtGetBufChainNum(chain: Handle, number: Out<u32>) {
        let first = head(chain)?;
        number.need("num")?.put(first.lock().chain.len() as u32 + 1);
        Ok(())
    }

    fn acltdtGetBufFromChain(chain: Handle, index: u32, buffer: Out<Handle>) {
        let first = head(chain)?;
        let place = buffer.need("buf")?;
        let all = first.lock().chain.len() + 1;
        let part = if index == 0 { Some(chain) } else { first.lock().chain.get(index as usize - 1).copied() };
        place.put(part.ok_or_else(|| invalid(format!("buffer {index} of a chain of {all}")))?);
        Ok(())
    }
}
