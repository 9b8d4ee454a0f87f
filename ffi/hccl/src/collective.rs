//! Collectives of one rank: what is sent comes back.

use vinci_abi::abi::{Address, Handle, In, need_address};
use vinci_abi::code::{Failure, Result};

use crate::code::{PARA, PTR, RUNTIME};
use crate::comm::check;

unsafe extern "C" {
    /// Of libascendcl.so, which checks the addresses and the handle.
    safe fn aclrtMemcpyAsync(
        to: Address,
        room: usize,
        from: Address,
        bytes: usize,
        kind: i32,
        stream: Handle,
    ) -> i32;
}

const DEVICE_TO_DEVICE: i32 = 3;

/// Bytes of an element of an `HcclDataType`.
fn size(data_type: i32) -> Result<usize> {
    match data_type {
        0 | 7 | 14..=17 => Ok(1),
        1 | 3 | 8 | 11 => Ok(2),
        2 | 4 | 9 => Ok(4),
        5 | 6 | 10 => Ok(8),
        12 => Ok(16),
        _ => Err(Failure::new(PARA, format!("there is no HcclDataType {data_type}"))),
    }
}

fn copy(from: Address, to: Address, count: u64, data_type: i32, comm: Handle, stream: Handle) -> Result<()> {
    check(comm)?;
    let bytes = usize::try_from(count).ok().and_then(|n| n.checked_mul(size(data_type).ok()?));
    size(data_type)?;
    let bytes = bytes.ok_or_else(|| Failure::new(PARA, format!("{count} elements")))?;
    if bytes == 0 || from == to {
        return Ok(());
    }
    need_address(from, "sendBuf").and_then(|()| need_address(to, "recvBuf")).map_err(|f| f.code(PTR))?;
    match aclrtMemcpyAsync(to, bytes, from, bytes, DEVICE_TO_DEVICE, stream) {
        0 => Ok(()),
        code => Err(Failure::new(RUNTIME, format!("the copy of {bytes} bytes answered {code}"))),
    }
}

fn root(rank: u32) -> Result<()> {
    if rank == 0 { Ok(()) } else { Err(Failure::new(PARA, format!("root {rank} of 1 rank"))) }
}

entry! {
    fn HcclAllReduce(from: Address, to: Address, count: u64, kind: i32, op: i32, comm: Handle, stream: Handle) {
        reduction(op)?;
        copy(from, to, count, kind, comm, stream)
    }

    fn HcclReduce(from: Address, to: Address, count: u64, kind: i32, op: i32, rank: u32, comm: Handle, stream: Handle) {
        reduction(op)?;
        root(rank)?;
        copy(from, to, count, kind, comm, stream)
    }

    fn HcclReduceScatter(from: Address, to: Address, count: u64, kind: i32, op: i32, comm: Handle, stream: Handle) {
        reduction(op)?;
        copy(from, to, count, kind, comm, stream)
    }

    fn HcclAllGather(from: Address, to: Address, count: u64, kind: i32, comm: Handle, stream: Handle) {
        copy(from, to, count, kind, comm, stream)
    }

    fn HcclScatter(from: Address, to: Address, count: u64, kind: i32, rank: u32, comm: Handle, stream: Handle) {
        root(rank)?;
        copy(from, to, count, kind, comm, stream)
    }

    fn HcclBroadcast(_data: Address, _count: u64, kind: i32, rank: u32, comm: Handle, _stream: Handle) {
        size(kind)?;
        root(rank)?;
        check(comm).map(drop)
    }

    fn HcclBarrier(comm: Handle, _stream: Handle) { check(comm).map(drop) }

    fn HcclAlltoAll(from: Address, count: u64, kind: i32, to: Address, _received: u64, _as: i32, comm: Handle, stream: Handle) {
        copy(from, to, count, kind, comm, stream)
    }

    fn HcclAlltoAllV(
        from: Address, counts: In<u64>, starts: In<u64>, kind: i32, to: Address, _received: In<u64>,
        to_starts: In<u64>, _as: i32, comm: Handle, stream: Handle,
    ) {
        let at = |starts: In<u64>, name: &str| Ok::<_, Failure>(starts.need(name)? as usize * size(kind)?);
        let (from_at, to_at) = (at(starts, "sdispls")?, at(to_starts, "rdispls")?);
        copy(from.wrapping_add(from_at), to.wrapping_add(to_at), counts.need("sendCounts")?, kind, comm, stream)
    }
}

/// Sum, product, largest, smallest: of one rank's values each is the value.
fn reduction(op: i32) -> Result<()> {
    if (0..=3).contains(&op) {
        Ok(())
    } else {
        Err(Failure::new(PARA, format!("there is no HcclReduceOp {op}")))
    }
}
