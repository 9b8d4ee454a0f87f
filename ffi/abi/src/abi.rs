//! The border to C: how an entry point is declared, and how pointers that come in are checked.

use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use crate::code::{Failure, INTERNAL_ERROR, INVALID_PARAM, REPEAT_INITIALIZE, RT_DRV_INTERNAL_ERROR, Result};

/// A handle as it comes in: a number of pointer size that is looked up and never followed.
pub type Handle = usize;
/// A device or host address that is calculated with but not followed here.
pub type Address = usize;

/// Declares entry points that return `aclError`. The body is a block of type [`Result<()>`].
#[macro_export]
macro_rules! entry {
    ($($(#[$attr:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block)*) => {$(
        $(#[$attr])*
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($($arg: $ty),*) -> i32 {
            $crate::abi::call(stringify!($name), move || -> $crate::code::Result<()> { $body })
        }
    )*};
}

/// Runs the body of an entry point: refuses in a forked child, stops panics, reports failures.
pub fn call(name: &'static str, body: impl FnOnce() -> Result<()>) -> i32 {
    crate::journal::start();
    // Locks may be held for ever in a child, so nothing may be touched there.
    if vinci::is_forked_child() {
        return report(name, Failure::new(RT_DRV_INTERNAL_ERROR, vinci::Error::Forked.to_string()));
    }
    let observed = crate::observe::begin();
    let code = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => 0,
        Ok(Err(failure)) => report(name, failure),
        Err(panic) => report(name, Failure::new(INTERNAL_ERROR, panic_text(panic.as_ref()))),
    };
    if let Some((observer, begun)) = observed {
        observer(name, begun, vinci::profile::now_ns());
    }
    code
}

/// As [`call`], for entry points that return something else than a code.
pub fn call_or<T>(name: &'static str, fallback: T, body: impl FnOnce() -> Result<T>) -> T {
    let mut result = None;
    call(name, || body().map(|value| result = Some(value)));
    result.unwrap_or(fallback)
}

unsafe extern "C" {
    /// Of libascendcl.so: makes a code and a sentence the calling thread's last.
    safe fn vinci_set_error(code: i32, text: *const u8, len: usize);
}

/// Keeps a failure of the entry point `name` for the calling thread; answers its code.
pub fn report(name: &str, failure: Failure) -> i32 {
    let Failure { code, text } = failure;
    // A second aclInit is not a fault of the program: CANN documents that it may be ignored.
    if code != REPEAT_INITIALIZE {
        let text = format!("EZ9999: {name} returns {code}: {text}");
        vinci_set_error(code, text.as_ptr(), text.len());
    }
    code
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the runtime panicked: {}", text.unwrap_or("no message"))
}

/// Where a result goes. Only C makes one, and C vouches that it is null or valid for a write of `T`.
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T> Out<T> {
    /// No place.
    pub const fn null() -> Out<T> {
        Out(std::ptr::null_mut())
    }

    /// The place, if there is one.
    pub fn need(self, name: &str) -> Result<Place<T>> {
        self.maybe().ok_or_else(|| null(name))
    }

    /// As [`Out::need`], where null is allowed.
    pub fn maybe(self) -> Option<Place<T>> {
        NonNull::new(self.0).map(Place)
    }
}

/// A place for a result that is not null.
pub struct Place<T>(NonNull<T>);

impl<T: Copy> Place<T> {
    /// What the program has stored there, for an argument that goes both ways.
    pub fn get(&self) -> T {
        // SAFETY: as in `put`; the program vouches that an argument of both ways holds a value.
        unsafe { self.0.as_ptr().read_unaligned() }
    }

    /// Stores `values` one behind the other.
    pub fn put_all(self, values: &[T]) {
        for (at, value) in values.iter().enumerate() {
            // SAFETY: the caller of the entry point vouches for room for as many values as it says there is, and
            // no more are passed here.
            unsafe { self.0.as_ptr().add(at).write_unaligned(*value) }
        }
    }
}

impl<T> Place<T> {
    /// Stores the result.
    pub fn put(self, value: T) {
        // SAFETY: the caller of the entry point vouches for it (see `Out`); no alignment is assumed.
        unsafe { self.0.as_ptr().write_unaligned(value) }
    }
}

/// A value that the program passes by address. Only C makes one, and C vouches that it is null or readable.
#[repr(transparent)]
pub struct In<T>(*const T);

impl<T: Copy> In<T> {
    /// A copy of the value.
    pub fn need(self, name: &str) -> Result<T> {
        self.maybe().ok_or_else(|| null(name))
    }

    /// As [`In::need`], where null is allowed.
    pub fn maybe(self) -> Option<T> {
        // SAFETY: the caller of the entry point vouches for it (see `In`); no alignment is assumed.
        (!self.0.is_null()).then(|| unsafe { self.0.read_unaligned() })
    }

    /// A copy of `len` values.
    pub fn slice(self, len: usize, name: &str) -> Result<Vec<T>> {
        if self.0.is_null() {
            return Err(null(name));
        }
        // SAFETY: as above, for `len` values: the program passes the length with the pointer.
        Ok((0..len).map(|i| unsafe { self.0.add(i).read_unaligned() }).collect())
    }
}

/// A zero-terminated text of the program.
#[repr(transparent)]
pub struct Text(*const c_char);

impl Text {
    /// The text.
    pub fn need(self, name: &str) -> Result<String> {
        self.maybe().ok_or_else(|| null(name))
    }

    /// As [`Text::need`], where null is allowed.
    pub fn maybe(self) -> Option<String> {
        // SAFETY: the caller of the entry point vouches that it is null or a zero-terminated text.
        (!self.0.is_null()).then(|| unsafe { CStr::from_ptr(self.0) }.to_string_lossy().into_owned())
    }
}

/// Room for a text that the program passes.
#[repr(transparent)]
pub struct TextOut(*mut c_char);

impl TextOut {
    /// Stores `text` and its terminating zero, if `room` bytes are enough.
    pub fn put(self, name: &str, room: usize, text: &str) -> Result<()> {
        if self.0.is_null() {
            return Err(null(name));
        }
        if text.len() >= room {
            let needs = text.len() + 1;
            return Err(Failure::new(
                INVALID_PARAM,
                format!("{name} has room for {room} bytes, {needs} are needed"),
            ));
        }
        // SAFETY: the caller of the entry point vouches for `room` bytes, and the text with its zero fits.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr(), self.0.cast(), text.len());
            self.0.add(text.len()).write(0);
        }
        Ok(())
    }
}

/// A null pointer where there must be none.
pub fn null(name: &str) -> Failure {
    Failure::new(INVALID_PARAM, format!("{name} is NULL"))
}

/// [`INVALID_PARAM`] unless the address is something.
pub fn need_address(address: Address, name: &str) -> Result<()> {
    if address == 0 { Err(null(name)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    entry! {
        fn test_panics(value: usize) { panic!("value {value}") }
    }

    #[test]
    fn a_panic_becomes_a_code_and_a_sentence() {
        assert_eq!(test_panics(7), INTERNAL_ERROR);
        assert!(crate::testing::RECENT.with(|r| r.borrow().contains("value 7")));
    }

    #[test]
    fn text_that_does_not_fit_is_refused() {
        let mut room = [1 as c_char; 4];
        assert!(TextOut(room.as_mut_ptr()).put("name", 4, "four").is_err());
        assert!(TextOut(room.as_mut_ptr()).put("name", 4, "fou").is_ok());
        assert_eq!(room[3], 0);
    }
}
