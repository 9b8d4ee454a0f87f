//! Operators by name: libopapi.so runs those that it knows, the others are refused, each with its name in the log, once.

use std::ffi::{CStr, c_char};

use parking_lot::Mutex;
use vinci_abi::abi::{Address, Handle, Text, call, call_or};
use vinci_abi::code::{FEATURE_UNSUPPORTED, Failure, Result};

unsafe extern "C" {
    /// Of libopapi.so: runs an operator by name; -1 for a name that it does not know.
    fn vinci_by_name(
        operator: *const c_char,
        inputs: i32,
        input_descriptions: *const Handle,
        input_buffers: *const Handle,
        outputs: i32,
        output_descriptions: *const Handle,
        output_buffers: *const Handle,
        attributes: Handle,
        stream: Handle,
    ) -> i32;
}

fn refuse(function: &'static str, operator: Option<String>) -> Result<()> {
    static WARNED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let what = match operator {
        Some(name) => format!("{function}: operator {name} by name is not supported"),
        None => format!("{function}: not supported"),
    };
    let mut warned = WARNED.lock();
    if !warned.contains(&what) {
        log::warn!("{what}");
        warned.push(what.clone());
    }
    Err(Failure::new(FEATURE_UNSUPPORTED, what))
}

// Of what is refused, the arguments behind the name are not read: the calling conventions that Vinci runs on let the
// caller clear them.
entry! {
    fn aclopCompile(operator: Text) { refuse("aclopCompile", operator.maybe()) }
    fn aclGenGraphAndDumpForOp(operator: Text) { refuse("aclGenGraphAndDumpForOp", operator.maybe()) }
    fn aclDestroyGraphDumpOpt() { refuse("aclDestroyGraphDumpOpt", None) }
}

/// Defines the two functions that run an operator. The second gives outputs whose shape the data decide their shape;
/// no operator here has such.
macro_rules! execute {
    ($($name:ident)*) => { $(
        /// Runs an operator by name. Nothing is compiled, so engine, flag and path of the compiler say nothing.
        ///
        /// # Safety
        /// Unless it is null, `operator` is a text; the arrays are as long as their counts say.
        #[unsafe(no_mangle)]
        #[allow(clippy::too_many_arguments)] // CANN's
        pub unsafe extern "C" fn $name(
            operator: *const c_char,
            inputs: i32,
            input_descriptions: *const Handle,
            input_buffers: *const Handle,
            outputs: i32,
            output_descriptions: *const Handle,
            output_buffers: *const Handle,
            attributes: Handle,
            _engine: i32,
            _flag: i32,
            _path: *const c_char,
            stream: Handle,
        ) -> i32 {
            // SAFETY: by this function's contract.
            let code = unsafe {
                vinci_by_name(
                    operator,
                    inputs,
                    input_descriptions,
                    input_buffers,
                    outputs,
                    output_descriptions,
                    output_buffers,
                    attributes,
                    stream,
                )
            };
            if code != -1 {
                return code;
            }
            // SAFETY: as above.
            let operator = (!operator.is_null()).then(|| unsafe { CStr::from_ptr(operator) });
            let operator = operator.map(|text| text.to_string_lossy().into_owned());
            call(stringify!($name), || refuse(stringify!($name), operator))
        }
    )* };
}

execute! { aclopCompileAndExecute aclopCompileAndExecuteV2 }

/// Options of a dump, which is not made: null.
#[unsafe(no_mangle)]
pub extern "C" fn aclCreateGraphDumpOpt() -> Address {
    call_or("aclCreateGraphDumpOpt", 0, || refuse("aclCreateGraphDumpOpt", None).map(|()| 0))
}
