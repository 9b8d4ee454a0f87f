//! Compile options: one text each, for the whole process.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use vinci_abi::abi::{Text, TextOut, call_or};
use vinci_abi::code::{Failure, INVALID_PARAM, Result};

/// The largest `aclCompileOpt`.
const LAST_OPTION: u32 = 16;
/// `ACL_OP_JIT_COMPILE`: whether operators are compiled for the shapes that come. They never are here.
const JIT_COMPILE: u32 = 10;

static OPTIONS: Mutex<BTreeMap<u32, String>> = Mutex::new(BTreeMap::new());

fn check(option: u32) -> Result<()> {
    if option > LAST_OPTION {
        return Err(Failure::new(INVALID_PARAM, format!("there is no compile option {option}")));
    }
    Ok(())
}

/// What was set, or what holds when nothing was.
fn value(option: u32) -> Result<String> {
    check(option)?;
    let set = OPTIONS.lock().get(&option).cloned();
    Ok(set.unwrap_or_else(|| if option == JIT_COMPILE { "disable".into() } else { String::new() }))
}

/// Bytes that [`aclGetCompileopt`] needs, the closing zero among them; 0 for an option that is none.
#[unsafe(no_mangle)]
pub extern "C" fn aclGetCompileoptSize(option: u32) -> usize {
    call_or("aclGetCompileoptSize", 0, || Ok(value(option)?.len() + 1))
}

entry! {
    fn aclGetCompileopt(option: u32, text: TextOut, room: usize) {
        text.put("value", room, &value(option)?)
    }

    fn aclSetCompileopt(option: u32, text: Text) {
        check(option)?;
        let text = text.need("value")?;
        if option == JIT_COMPILE && !matches!(text.as_str(), "enable" | "disable") {
            return Err(Failure::new(INVALID_PARAM, format!("ACL_OP_JIT_COMPILE is \"enable\" or \"disable\", not {text:?}")));
        }
        OPTIONS.lock().insert(option, text);
        Ok(())
    }

    /// 0 compiles for fixed shapes, 1 for shapes in a range; kept for nobody, since nothing is compiled.
    fn aclopSetCompileFlag(flag: i32) {
        if matches!(flag, 0 | 1) { Ok(()) } else { Err(Failure::new(INVALID_PARAM, format!("compile flag {flag}; 0 and 1 are known"))) }
    }
}
