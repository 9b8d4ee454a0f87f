//! What the C libraries of Vinci share: how an entry point is declared and its pointers are checked ([`abi`]), the
//! handles that programs hold ([`handle`]), how threads wait ([`wait`]), CANN's error codes ([`code`]), the log
//! ([`journal`]) and how the profiler hears of calls ([`observe`]).
//!
//! A failure's sentence is kept by libascendcl.so, for `aclGetRecentErrMsg`; every other library is linked with it.

#[macro_use]
pub mod abi;
pub mod code;
pub mod handle;
pub mod journal;
pub mod observe;
pub mod wait;

#[cfg(test)]
mod testing {
    //! Stands in for libascendcl.so.

    use std::cell::RefCell;

    thread_local! {
        pub static RECENT: RefCell<String> = const { RefCell::new(String::new()) };
    }

    #[unsafe(no_mangle)]
    extern "C" fn vinci_set_error(_: i32, text: *const u8, len: usize) {
        // SAFETY: `report` passes a text of this length.
        let text = unsafe { std::slice::from_raw_parts(text, len) };
        RECENT.with(|r| *r.borrow_mut() = String::from_utf8_lossy(text).into_owned());
    }
}
