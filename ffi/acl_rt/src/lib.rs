//! `libacl_rt.so`, the newer name of AscendCL's runtime. It holds no state: every function jumps to the one of
//! the same name in `libascendcl.so`, so a process that loads both has one runtime.
//!
//! The names come from `ffi/include` (see `build.rs`). A load-time constructor opens `libascendcl.so`, found
//! beside this file or on the library path, and looks each name up; a jump through the table is all that a call
//! costs from then on. (An executable cannot link a library for symbols that only its NEEDED libraries define,
//! which is why these are functions and not a mere dependency.)
#![allow(non_snake_case)]
#![deny(unsafe_op_in_unsafe_fn)]

use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering};

macro_rules! forward {
    ($($index:literal $name:ident)*) => {
        const NAMES: &[&CStr] = &[$(
            match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a name holds no zero"),
            }
        ),*];

        $(
            /// Jumps to the function of this name in libascendcl.so; arguments and result pass untouched.
            ///
            /// # Safety
            /// As that function.
            #[unsafe(no_mangle)]
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name() {
                #[cfg(target_arch = "x86_64")]
                core::arch::naked_asm!("jmp qword ptr [rip + {table} + 8 * {index}]", table = sym TABLE, index = const $index);
                #[cfg(target_arch = "aarch64")]
                core::arch::naked_asm!(
                    "adrp x16, {table} + 8 * {index}",
                    "ldr x16, [x16, #:lo12:{table} + 8 * {index}]",
                    "br x16",
                    table = sym TABLE,
                    index = const $index,
                );
            }
        )*
    };
}

include!(concat!(env!("OUT_DIR"), "/names.rs"));

/// Where each function is, filled before anything of this library can be called.
static TABLE: [AtomicPtr<libc::c_void>; NAMES.len()] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; NAMES.len()];

#[used]
#[unsafe(link_section = ".init_array")]
static RESOLVE: extern "C" fn() = resolve;

extern "C" fn resolve() {
    // SAFETY: both arguments are as dlopen wants them.
    let library = unsafe { libc::dlopen(c"libascendcl.so".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if library.is_null() {
        // SAFETY: dlopen has just failed, so there is a text.
        fail(unsafe { CStr::from_ptr(libc::dlerror()) }.to_bytes());
    }
    for (slot, name) in TABLE.iter().zip(NAMES) {
        // SAFETY: the library is open and stays so; the name ends with a zero.
        let function = unsafe { libc::dlsym(library, name.as_ptr()) };
        if function.is_null() {
            fail(format!("libascendcl.so lacks {}", name.to_string_lossy()).as_bytes());
        }
        slot.store(function, Ordering::Relaxed);
    }
}

/// There is nobody yet to hand an error to, and calls would jump to address 0.
fn fail(text: &[u8]) -> ! {
    eprintln!("libacl_rt.so: {}", String::from_utf8_lossy(text));
    std::process::exit(127)
}
