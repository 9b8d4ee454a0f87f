//! Operators by name: refused, each with its name in the log, once.

use parking_lot::Mutex;
use vinci_abi::abi::{Address, Text, call_or};
use vinci_abi::code::{FEATURE_UNSUPPORTED, Failure, Result};

fn refuse(function: &'static str, operator: Option<String>) -> Result<()> {
    static WARNED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let what = match operator {
        Some(name) => format!("{function}: operator {name} by name; only aclnn operators are supported"),
        None => format!("{function}: not supported"),
    };
    let mut warned = WARNED.lock();
    if !warned.contains(&what) {
        log::warn!("{what}");
        warned.push(what.clone());
    }
    Err(Failure::new(FEATURE_UNSUPPORTED, what))
}

// The arguments behind the name are not read: the calling conventions that Vinci runs on let the caller clear them.
entry! {
    fn aclopCompile(operator: Text) { refuse("aclopCompile", operator.maybe()) }
    fn aclopCompileAndExecute(operator: Text) { refuse("aclopCompileAndExecute", operator.maybe()) }
    fn aclopCompileAndExecuteV2(operator: Text) { refuse("aclopCompileAndExecuteV2", operator.maybe()) }
    fn aclGenGraphAndDumpForOp(operator: Text) { refuse("aclGenGraphAndDumpForOp", operator.maybe()) }
    fn aclDestroyGraphDumpOpt() { refuse("aclDestroyGraphDumpOpt", None) }
}

/// Options of a dump, which is not made: null.
#[unsafe(no_mangle)]
pub extern "C" fn aclCreateGraphDumpOpt() -> Address {
    call_or("aclCreateGraphDumpOpt", 0, || refuse("aclCreateGraphDumpOpt", None).map(|()| 0))
}
