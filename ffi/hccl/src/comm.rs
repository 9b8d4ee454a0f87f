//! Communicators of one rank.

use std::ffi::{CStr, c_char};

use vinci_abi::abi::{Address, Handle, In, Out, Text, TextOut};
use vinci_abi::code::{Failure, Result};
use vinci_abi::handle::{Kind, Table};

use crate::code::{NOT_FOUND, NOT_SUPPORT, PARA, PTR};

/// Bytes of an `HcclRootInfo`.
const ROOT_INFO: usize = 4108;
/// Room for a communicator's name.
const NAME_ROOM: usize = 128;

static COMMS: Table<u64> = Table::new(Kind::Communicator);
static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// [`Ok`] for a communicator that lives.
pub fn check(comm: Handle) -> Result<u64> {
    COMMS.get(comm).map_err(|f| f.code(if comm == 0 { PTR } else { NOT_FOUND }))
}

fn create(ranks: u32, rank: u32, comm: Out<Handle>) -> Result<()> {
    let place = comm.need("comm").map_err(|f| f.code(PTR))?;
    if ranks == 0 || rank >= ranks {
        return Err(Failure::new(PARA, format!("rank {rank} of {ranks}")));
    }
    if ranks > 1 {
        let text = format!("a communicator of {ranks} ranks; only one rank is supported");
        log::warn!("libhccl.so: {text}");
        return Err(Failure::new(NOT_SUPPORT, text));
    }
    place.put(COMMS.insert(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))?);
    Ok(())
}

entry! {
    /// What the ranks of a communicator find each other by; one rank has nobody to find.
    fn HcclGetRootInfo(info: Out<[u8; ROOT_INFO]>) {
        info.need("rootInfo").map_err(|f| f.code(PTR))?.put([0; ROOT_INFO]);
        Ok(())
    }

    fn HcclCommInitRootInfo(ranks: u32, _info: Address, rank: u32, comm: Out<Handle>) { create(ranks, rank, comm) }

    fn HcclCommInitRootInfoConfig(ranks: u32, _info: Address, rank: u32, _config: Address, comm: Out<Handle>) {
        create(ranks, rank, comm)
    }

    fn HcclCommInitAll(devices: u32, _ids: In<i32>, comms: Out<Handle>) { create(devices, 0, comms) }

    fn HcclCommDestroy(comm: Handle) {
        check(comm)?;
        COMMS.remove(comm).map(drop)
    }

    fn HcclGetRankSize(comm: Handle, size: Out<u32>) {
        check(comm)?;
        size.need("rankSize").map_err(|f| f.code(PTR))?.put(1);
        Ok(())
    }

    fn HcclGetRankId(comm: Handle, rank: Out<u32>) {
        check(comm)?;
        rank.need("rank").map_err(|f| f.code(PTR))?.put(0);
        Ok(())
    }

    fn HcclGetCommName(comm: Handle, name: TextOut) {
        name.put("commName", NAME_ROOM, &format!("vinci_comm_{}", check(comm)?))
    }

    /// Copies that fail are reported by their stream, so a communicator has no errors of its own.
    fn HcclGetCommAsyncError(comm: Handle, error: Out<i32>) {
        check(comm)?;
        error.need("asyncError").map_err(|f| f.code(PTR))?.put(0);
        Ok(())
    }

    /// Whether results are the same from run to run: with one rank they are.
    fn HcclSetConfig(config: i32, _value: i64) {
        if config == 0 { Ok(()) } else { Err(Failure::new(PARA, format!("there is no configuration {config}"))) }
    }

    fn HcclGetConfig(config: i32, value: Out<i64>) {
        if config != 0 {
            return Err(Failure::new(PARA, format!("there is no configuration {config}")));
        }
        value.need("configValue").map_err(|f| f.code(PTR))?.put(1);
        Ok(())
    }

    fn HcclCommInitClusterInfo(file: Text, _rank: u32, _comm: Out<Handle>) {
        let text = format!("a communicator from {}; only one rank is supported", file.need("clusterInfo")?);
        Err(Failure::new(NOT_SUPPORT, text))
    }

    fn HcclCommInitClusterInfoConfig(file: Text, _rank: u32, _config: Address, _comm: Out<Handle>) {
        let text = format!("a communicator from {}; only one rank is supported", file.need("clusterInfo")?);
        Err(Failure::new(NOT_SUPPORT, text))
    }
}

/// A result in words.
#[unsafe(no_mangle)]
pub extern "C" fn HcclGetErrorString(code: i32) -> *const c_char {
    let text: &CStr = match code {
        0 => c"success",
        PARA => c"an argument is wrong",
        PTR => c"a pointer is null",
        NOT_SUPPORT => c"not supported",
        NOT_FOUND => c"no such communicator",
        crate::code::RUNTIME => c"the runtime failed",
        _ => c"an error",
    };
    text.as_ptr()
}
