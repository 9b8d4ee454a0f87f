//! Copies and fills, synchronous and in the order of a stream.

use vinci::memory::{self, Addr};
use vinci::{DevicePtr, Rows, Stream};

use crate::abi::{Address, Handle, In, Out, need_address};
use crate::code::{Failure, INVALID_PARAM, RT_FEATURE_NOT_SUPPORT, Result, invalid, of_memory};
use crate::memory::Location;
use crate::{capture, context, stream};

const HOST_TO_HOST: u32 = 0;
const HOST_TO_DEVICE: u32 = 1;
const DEVICE_TO_HOST: u32 = 2;
const DEVICE_TO_DEVICE: u32 = 3;
const HOST_TO_BUF_TO_DEVICE: u32 = 5;
const INNER_DEVICE_TO_DEVICE: u32 = 6;
const INTER_DEVICE_TO_DEVICE: u32 = 7;

/// What an address is: device memory if it lies where device addresses are, host memory otherwise.
fn resolve(address: Address, name: &str) -> Result<Addr> {
    need_address(address, name)?;
    let info = vinci::Driver::get()?.info();
    let pointer = address as u64;
    let range = info.va_base..info.va_base + info.va_size;
    if range.contains(&pointer) || memory::lookup(DevicePtr(pointer)).is_some() {
        return Ok(Addr::Device(DevicePtr(pointer)));
    }
    // SAFETY: the program vouches that its own memory is what the arguments of the copy say, as in memcpy.
    Ok(unsafe { Addr::host(address as *mut u8) })
}

fn is_device(addr: Addr) -> bool {
    matches!(addr, Addr::Device(_))
}

/// Fails if `kind` is none, or says something else than the addresses do.
fn check_kind(kind: u32, dst: Addr, src: Addr) -> Result<()> {
    let (to, from) = match kind {
        HOST_TO_HOST => (false, false),
        HOST_TO_DEVICE | HOST_TO_BUF_TO_DEVICE => (true, false),
        DEVICE_TO_HOST => (false, true),
        DEVICE_TO_DEVICE | INNER_DEVICE_TO_DEVICE | INTER_DEVICE_TO_DEVICE => (true, true),
        _ => return Ok(()),
    };
    // Device memory at an address is beyond doubt. A host address that the device was told of may stand for
    // either side.
    let wrong = |addr: Addr, device: bool| match addr {
        Addr::Device(pointer) => {
            !device && memory::lookup(pointer).is_none_or(|found| found.device.is_some())
        }
        Addr::Host(pointer) => device && memory::lookup_host(pointer.as_ptr()).is_none(),
    };
    if wrong(dst, to) || wrong(src, from) {
        let side = |addr| if is_device(addr) { "device" } else { "host" };
        return Err(invalid(format!(
            "kind {kind} does not fit: the destination is {} memory and the source {} memory",
            side(dst),
            side(src)
        )));
    }
    Ok(())
}

fn check_kind_number(kind: u32) -> Result<()> {
    if kind > INTER_DEVICE_TO_DEVICE {
        return Err(Failure::new(INVALID_PARAM, format!("kind {kind} is not an aclrtMemcpyKind")));
    }
    Ok(())
}

fn check_room(room: usize, count: usize) -> Result<()> {
    if count > room {
        return Err(invalid(format!("count {count} is more than destMax {room}")));
    }
    Ok(())
}

/// Checks the arguments of a copy; `None` if there is nothing to copy.
fn ends(dst: Address, room: usize, src: Address, count: usize, kind: u32) -> Result<Option<(Addr, Addr)>> {
    if count == 0 {
        return Ok(None);
    }
    need_address(dst, "dst")?;
    need_address(src, "src")?;
    check_kind_number(kind)?;
    context::current()?;
    check_room(room, count)?;
    let (dst, src) = (resolve(dst, "dst")?, resolve(src, "src")?);
    check_kind(kind, dst, src)?;
    Ok(Some((dst, src)))
}

fn copy_async(
    dst: Address,
    room: usize,
    src: Address,
    count: usize,
    kind: u32,
    stream: &Stream,
) -> Result<()> {
    let Some((dst, src)) = ends(dst, room, src, count, kind)? else { return Ok(()) };
    if !is_device(dst) && !is_device(src) {
        return Err(Failure::new(RT_FEATURE_NOT_SUPPORT, "a stream does not copy from host to host memory"));
    }
    check_pageable(stream, [dst, src])?;
    stream.copy_async(dst, src, count as u64).map_err(of_memory)
}

/// A copy of pageable host memory waits for its end, which a capture may forbid.
fn check_pageable(stream: &Stream, ends: [Addr; 2]) -> Result<()> {
    let pageable =
        |end| matches!(end, Addr::Host(pointer) if memory::lookup_host(pointer.as_ptr()).is_none());
    if stream.is_recording() || !ends.into_iter().any(pageable) {
        return Ok(());
    }
    capture::check_blocking_async()
}

fn copy(dst: Address, room: usize, src: Address, count: usize, kind: u32) -> Result<()> {
    let Some((dst, src)) = ends(dst, room, src, count, kind)? else { return Ok(()) };
    capture::check_unsafe()?;
    memory::copy(dst, src, count as u64).map_err(of_memory)
}

/// The arguments of a two-dimensional copy, checked.
struct Plane {
    dst: Addr,
    src: Addr,
    rows: Rows,
}

fn plane(
    (dst, dst_pitch): (Address, usize),
    (src, src_pitch): (Address, usize),
    width: usize,
    height: usize,
    kind: u32,
) -> Result<Option<Plane>> {
    if width == 0 || height == 0 {
        return Ok(None);
    }
    if width > dst_pitch || width > src_pitch {
        return Err(invalid(format!(
            "width {width} is more than a pitch ({dst_pitch} to, {src_pitch} from)"
        )));
    }
    let span = |pitch: usize| pitch.checked_mul(height).filter(|span| *span <= isize::MAX as usize);
    if span(dst_pitch).is_none() || span(src_pitch).is_none() {
        return Err(invalid(format!("{height} rows of {dst_pitch} or {src_pitch} bytes fit no memory")));
    }
    let Some((dst, src)) = ends(dst, width, src, width, kind)? else { return Ok(None) };
    Ok(Some(Plane { dst, src, rows: Rows { width: width as u64, height: height as u64 } }))
}

fn fill_target(address: Address, room: usize, count: usize) -> Result<Option<Addr>> {
    if count == 0 {
        return Ok(None);
    }
    need_address(address, "devPtr")?;
    context::current()?;
    if count > room {
        return Err(invalid(format!("count {count} is more than maxCount {room}")));
    }
    resolve(address, "devPtr").map(Some)
}

/// A 32-bit fill: copies of a prepared pattern, each done by `copy(target, source, bytes)`.
fn fill_words(
    (address, room): (Address, usize),
    value: u32,
    count: usize,
    copy: impl Fn(Addr, Addr, u64) -> vinci::Result<()>,
) -> Result<()> {
    const PATTERN_WORDS: usize = 1 << 18;
    let bytes = count.checked_mul(4).ok_or_else(|| invalid(format!("N {count} is too large")))?;
    if !address.is_multiple_of(4) {
        let text = format!("ptr {address:#x} is not a multiple of 4");
        return Err(Failure::new(crate::code::RT_ADDR_UNALIGNED, text));
    }
    if fill_target(address, room, bytes)?.is_none() {
        return Ok(());
    }
    let words = vec![value; count.min(PATTERN_WORDS)];
    // SAFETY: copies only read it, and have taken pageable bytes before they return and `words` goes.
    let source = unsafe { Addr::host(words.as_ptr().cast_mut().cast()) };
    for start in (0..bytes).step_by(words.len() * 4) {
        let target = resolve(address + start, "ptr")?;
        copy(target, source, (bytes - start).min(words.len() * 4) as u64).map_err(of_memory)?;
    }
    Ok(())
}

entry! {
    fn aclrtMemcpy(dst: Address, room: usize, src: Address, count: usize, kind: u32) {
        copy(dst, room, src, count, kind)
    }

    fn aclrtMemcpyAsync(dst: Address, room: usize, src: Address, count: usize, kind: u32, stream: Handle) {
        if kind == HOST_TO_HOST && count > 0 {
            return Err(Failure::new(RT_FEATURE_NOT_SUPPORT, "a stream does not copy from host to host memory"));
        }
        copy_async(dst, room, src, count, kind, &stream::named(stream)?.stream)
    }

    fn aclrtMemcpyAsyncWithCondition(
        dst: Address, room: usize, src: Address, count: usize, kind: u32, stream: Handle,
    ) {
        copy_async(dst, room, src, count, kind, &stream::named(stream)?.stream)
    }

    fn aclrtMemcpy2d(
        dst: Address, dst_pitch: usize, src: Address, src_pitch: usize, width: usize, height: usize, kind: u32,
    ) {
        let Some(p) = plane((dst, dst_pitch), (src, src_pitch), width, height, kind)? else { return Ok(()) };
        capture::check_unsafe()?;
        memory::copy_2d(p.dst, dst_pitch as u64, p.src, src_pitch as u64, p.rows).map_err(of_memory)
    }

    fn aclrtMemcpy2dAsync(
        dst: Address, dst_pitch: usize, src: Address, src_pitch: usize, width: usize, height: usize, kind: u32,
        stream: Handle,
    ) {
        let stream = stream::named(stream)?;
        let Some(p) = plane((dst, dst_pitch), (src, src_pitch), width, height, kind)? else { return Ok(()) };
        check_pageable(&stream.stream, [p.dst, p.src])?;
        stream.stream.copy_2d_async(p.dst, dst_pitch as u64, p.src, src_pitch as u64, p.rows).map_err(of_memory)
    }

    fn aclrtMemset(address: Address, room: usize, value: i32, count: usize) {
        let Some(target) = fill_target(address, room, count)? else { return Ok(()) };
        capture::check_unsafe()?;
        memory::memset(target, value as u8, count as u64).map_err(of_memory)
    }

    fn aclrtMemsetAsync(address: Address, room: usize, value: i32, count: usize, stream: Handle) {
        let stream = stream::named(stream)?;
        let Some(target) = fill_target(address, room, count)? else { return Ok(()) };
        stream.stream.memset_async(target, value as u8, count as u64).map_err(of_memory)
    }

    fn aclrtMemsetD32(address: Address, room: usize, value: u32, count: usize) {
        capture::check_unsafe()?;
        fill_words((address, room), value, count, memory::copy)
    }

    fn aclrtMemsetD32Async(address: Address, room: usize, value: u32, count: usize, stream: Handle) {
        let stream = stream::named(stream)?;
        fill_words((address, room), value, count, |target, source, bytes| {
            stream.stream.copy_async(target, source, bytes)
        })
    }

    fn aclrtMemcpyBatch(
        dsts: In<Address>, rooms: In<usize>, srcs: In<Address>, sizes: In<usize>, count: usize,
        attributes: In<BatchAttribute>, indexes: In<usize>, attribute_count: usize, failed: Out<usize>,
    ) {
        let batch = Batch::read(dsts, rooms, srcs, sizes, count)?;
        batch.check(attributes, indexes, attribute_count)?;
        batch.run(failed, |dst, room, src, size| copy(dst, room, src, size, KIND_DEFAULT))
    }

    fn aclrtMemcpyBatchAsync(
        dsts: In<Address>, rooms: In<usize>, srcs: In<Address>, sizes: In<usize>, count: usize,
        attributes: In<BatchAttribute>, indexes: In<usize>, attribute_count: usize, failed: Out<usize>,
        stream: Handle,
    ) {
        let stream = stream::named(stream)?;
        let batch = Batch::read(dsts, rooms, srcs, sizes, count)?;
        batch.check(attributes, indexes, attribute_count)?;
        batch.run(failed, |dst, room, src, size| copy_async(dst, room, src, size, KIND_DEFAULT, &stream.stream))
    }
}

entry! {
    fn aclrtMemcpyBatchV2(
        dsts: In<Address>, rooms: In<usize>, srcs: In<Address>, sizes: In<usize>, count: usize,
        attributes: In<BatchAttribute>, indexes: In<usize>, attribute_count: usize,
    ) {
        let batch = Batch::read(dsts, rooms, srcs, sizes, count)?;
        batch.check(attributes, indexes, attribute_count)?;
        batch.run(Out::null(), |dst, room, src, size| copy(dst, room, src, size, KIND_DEFAULT))
    }

    fn aclrtMemcpyBatchAsyncV2(
        dsts: In<Address>, rooms: In<usize>, srcs: In<Address>, sizes: In<usize>, count: usize,
        attributes: In<BatchAttribute>, indexes: In<usize>, attribute_count: usize, stream: Handle,
    ) {
        let stream = stream::named(stream)?;
        let batch = Batch::read(dsts, rooms, srcs, sizes, count)?;
        batch.check(attributes, indexes, attribute_count)?;
        batch.run(Out::null(), |dst, room, src, size| copy_async(dst, room, src, size, KIND_DEFAULT, &stream.stream))
    }
}

const KIND_DEFAULT: u32 = 4;

/// `aclrtMemcpyBatchAttr`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BatchAttribute {
    dst: Location,
    src: Location,
    reserved: [u8; 16],
}

/// The ranges of a batch of copies.
struct Batch {
    dsts: Vec<Address>,
    rooms: Vec<usize>,
    srcs: Vec<Address>,
    sizes: Vec<usize>,
}

impl Batch {
    fn read(
        dsts: In<Address>,
        rooms: In<usize>,
        srcs: In<Address>,
        sizes: In<usize>,
        count: usize,
    ) -> Result<Batch> {
        if count == 0 {
            return Err(invalid("numBatches is 0"));
        }
        Ok(Batch {
            dsts: dsts.slice(count, "dsts")?,
            rooms: rooms.slice(count, "destMaxs")?,
            srcs: srcs.slice(count, "srcs")?,
            sizes: sizes.slice(count, "sizes")?,
        })
    }

    /// Attributes start at ascending positions, the first at 0. Where the data lies is found from the addresses.
    fn check(&self, attributes: In<BatchAttribute>, indexes: In<usize>, count: usize) -> Result<()> {
        if count == 0 {
            return Err(invalid("numAttrs is 0"));
        }
        attributes.slice(count, "attrs")?;
        let indexes = indexes.slice(count, "attrsIndexes")?;
        let ascending = indexes.is_sorted_by(|a, b| a < b) && indexes[0] == 0;
        if !ascending || indexes[count - 1] >= self.dsts.len() {
            return Err(invalid(format!(
                "attrsIndexes {indexes:?} do not rise from 0 to below {}",
                self.dsts.len()
            )));
        }
        Ok(())
    }

    fn run(
        &self,
        failed: Out<usize>,
        copy: impl Fn(Address, usize, Address, usize) -> Result<()>,
    ) -> Result<()> {
        let (position, result) = (0..self.dsts.len())
            .map(|i| (i, copy(self.dsts[i], self.rooms[i], self.srcs[i], self.sizes[i])))
            .find(|(_, result)| result.is_err())
            .unwrap_or((usize::MAX, Ok(())));
        if let Some(place) = failed.maybe() {
            place.put(position);
        }
        result.map_err(|failure| Failure { text: format!("copy {position}: {}", failure.text), ..failure })
    }
}
