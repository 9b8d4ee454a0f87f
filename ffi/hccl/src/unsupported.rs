//! What makes sense only between ranks, or with memory that ranks share.

use parking_lot::Mutex;
use vinci_abi::code::Failure;

use crate::code::NOT_SUPPORT;

fn warn_once(name: &'static str) {
    static WARNED: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let mut warned = WARNED.lock();
    if !warned.contains(&name) {
        warned.push(name);
        log::warn!("{name}: not supported");
    }
}

/// The C calling conventions that Vinci runs on let the caller clear the arguments, so a function that reads none
/// can be called with any.
macro_rules! unsupported {
    ($($name:ident)*) => { entry! { $(
        fn $name() {
            warn_once(stringify!($name));
            Err(Failure::new(NOT_SUPPORT, "not supported in this version"))
        }
    )* } };
}

unsupported! {
    HcclSend HcclRecv HcclBatchSendRecv HcclAllGatherV HcclReduceScatterV HcclAlltoAllVC HcclCreateSubCommConfig
    HcclCommActivateCommMemory HcclCommDeactivateCommMemory HcclCommDeregister HcclCommExchangeMem HcclCommRegister
    HcclCommResume HcclCommSuspend HcclCommSetMemoryRange HcclCommUnsetMemoryRange HcclCommWorkingDevNicSet
}
