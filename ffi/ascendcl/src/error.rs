//! What failed last, per thread: the code for `aclrtGetLastError`, the sentences for `aclGetRecentErrMsg`.

use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char};

use crate::abi::call;
use crate::code::{Failure, INVALID_PARAM};

/// Sentences that a thread keeps until it asks; older ones go first.
const KEPT: usize = 16;
const THREAD_LEVEL: i32 = 0;

thread_local! {
    static LAST: Cell<i32> = const { Cell::new(0) };
    static RECENT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// What the last `aclGetRecentErrMsg` answered: its pointer is good until the next.
    static ANSWERED: RefCell<CString> = RefCell::new(CString::default());
}

/// Makes `code` the thread's last error and `text` its latest sentence.
pub fn set(code: i32, text: String) {
    // A thread that is ending has no thread-locals any more, and nobody left to ask.
    let _ = LAST.try_with(|last| last.set(code));
    let _ = RECENT.try_with(|recent| {
        let mut recent = recent.borrow_mut();
        if recent.len() == KEPT {
            recent.remove(0);
        }
        recent.push(text);
    });
}

/// The sentences since the last call, oldest first.
pub fn recent() -> Option<String> {
    let lines = RECENT.with(|recent| std::mem::take(&mut *recent.borrow_mut()));
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[unsafe(no_mangle)]
pub extern "C" fn aclGetRecentErrMsg() -> *const c_char {
    let Some(text) = recent() else { return std::ptr::null() };
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    ANSWERED.with(|answered| {
        *answered.borrow_mut() = text;
        answered.borrow().as_ptr()
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn aclrtPeekAtLastError(level: i32) -> i32 {
    last(level, false)
}

#[unsafe(no_mangle)]
pub extern "C" fn aclrtGetLastError(level: i32) -> i32 {
    last(level, true)
}

fn last(level: i32, clear: bool) -> i32 {
    if level != THREAD_LEVEL {
        return call("aclrtGetLastError", || {
            Err(Failure::new(INVALID_PARAM, format!("there is no level {level}")))
        });
    }
    let code = LAST.get();
    if clear {
        LAST.set(0);
    }
    code
}
