//! Functions of the surface that are not implemented: each says its name in the log, once, and answers
//! ACL_ERROR_FEATURE_UNSUPPORTED.

use parking_lot::Mutex;

use crate::abi::call_or;
use crate::code::{FEATURE_UNSUPPORTED, Failure, RT_FEATURE_NOT_SUPPORT};

/// Writes a warning about `name`, the first time.
pub fn warn_once(name: &'static str, text: &str) {
    static WARNED: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let mut warned = WARNED.lock();
    if !warned.contains(&name) {
        warned.push(name);
        log::warn!("{name}: {text}");
    }
}

/// The C calling conventions that Vinci runs on let the caller clear the arguments, so a function that reads none
/// can be called with any.
macro_rules! unsupported {
    ($($name:ident)*) => { entry! { $(
        fn $name() {
            warn_once(stringify!($name), "not supported");
            Err(Failure::new(FEATURE_UNSUPPORTED, "not supported in this version"))
        }
    )* } };
}

unsupported! {
    aclmdlRIAddCondTask
    aclmdlRICaptureToModelRIBegin
    aclmdlRICondHandleCreate
    aclmdlRICondHandleGetCondPtr
    aclmdlRIKernelTaskGetAttribute
    aclmdlRITaskGetParams
    aclmdlRITaskSetParams
    aclrtAllocBuf
    aclrtAppendBufChain
    aclrtBinaryGetDevAddress
    aclrtBinaryGetGlobal
    aclrtBinarySetExceptionCallback
    aclrtCacheLastTaskExtendInfo
    aclrtCacheLastTaskOpInfo
    aclrtCmoAsyncWithBarrier
    aclrtCmoAsyncWithDesc
    aclrtCmoGetDescSize
    aclrtCmoSetDesc
    aclrtCmoWaitBarrier
    aclrtCntNotifyCreate
    aclrtCntNotifyDestroy
    aclrtCntNotifyGetId
    aclrtCntNotifyRecord
    aclrtCntNotifyReset
    aclrtCntNotifyWaitWithTimeout
    aclrtCopyBufRef
    aclrtDestroyGroupInfo
    aclrtDeviceGetHostAtomicCapabilities
    aclrtDeviceGetLimit
    aclrtDeviceGetP2PAtomicCapabilities
    aclrtDeviceL2CacheFlush
    aclrtDeviceSetLimit
    aclrtFreeBuf
    aclrtFunctionGetAvailDynUbufPerBlock
    aclrtGetAllGroupInfo
    aclrtGetBufChainNum
    aclrtGetBufData
    aclrtGetBufDataLen
    aclrtGetBufFromChain
    aclrtGetBufUserData
    aclrtGetFunctionAddr
    aclrtGetFunctionSize
    aclrtGetGroupCount
    aclrtGetGroupInfoDetail
    aclrtGetHardwareSyncAddr
    aclrtGetMemUceInfo
    aclrtGetMemcpyDescSize
    aclrtGetSymbolAddress
    aclrtGetSymbolSize
    aclrtIpcMemImportPidInterServer
    aclrtIpcMemSetAttr
    aclrtKernelArgsGetHandleMemSize
    aclrtKernelArgsGetMemSize
    aclrtKernelArgsInitByUserMem
    aclrtLaunchSIMTKernelWithArgsArray
    aclrtLaunchSIMTKernelWithHostArgs
    aclrtMemManagedAdvise
    aclrtMemManagedGetAttr
    aclrtMemManagedGetAttrs
    aclrtMemManagedPrefetchAsync
    aclrtMemManagedPrefetchBatchAsync
    aclrtMemMapNoAccess
    aclrtMemMapSelectedLink
    aclrtMemMapSetLink
    aclrtMemP2PMap
    aclrtMemUceRepair
    aclrtMemcpyAsyncWithDesc
    aclrtMemcpyAsyncWithOffset
    aclrtMemcpyFromSymbol
    aclrtMemcpyFromSymbolAsync
    aclrtMemcpyToSymbol
    aclrtMemcpyToSymbolAsync
    aclrtNotifyBatchReset
    aclrtNotifySetImportPidInterServer
    aclrtNpuClearFloatOverFlowStatus
    aclrtNpuGetFloatOverFlowStatus
    aclrtPersistentTaskClean
    aclrtProfTrace
    aclrtRegisterCpuFunc
    aclrtRepairError
    aclrtReserveMemAddressNoUCMemory
    aclrtSetBufDataLen
    aclrtSetBufUserData
    aclrtSetDeviceTaskAbortCallback
    aclrtSetGroup
    aclrtSetMemcpyDesc
    aclrtSnapShotCallbackRegister
    aclrtSnapShotCallbackUnregister
    aclrtSnapShotProcessBackup
    aclrtSnapShotProcessLock
    aclrtSnapShotProcessRestore
    aclrtSnapShotProcessUnlock
    aclrtStreamStop
    aclrtTaskUpdateAsync
    aclrtUnuseStreamResInCurrentThread
    aclrtUseStreamResInCurrentThread
    rtDevBinaryRegister
    rtFunctionRegister
    rtGetC2cCtrlAddr
    rtKernelLaunch
}

#[unsafe(no_mangle)]
pub extern "C" fn aclrtCreateGroupInfo() -> usize {
    call_or("aclrtCreateGroupInfo", 0, || {
        warn_once("aclrtCreateGroupInfo", "not supported");
        Err(Failure::new(FEATURE_UNSUPPORTED, "not supported in this version"))
    })
}

entry! {
    /// As on the chips that the profiles describe: none of them has managed memory.
    fn aclrtMemAllocManaged() {
        Err(Failure::new(RT_FEATURE_NOT_SUPPORT, "the chip has no managed memory"))
    }
}
