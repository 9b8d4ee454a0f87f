//! Libraries that hold no state of their own: each of their functions jumps to the one of the same name in
//! `libascendcl.so`, so a process that loads several of them has one runtime.
//!
//! A load-time constructor opens `libascendcl.so`, found beside the library or on the library path, and looks each
//! name up; a jump through the table is all that a call costs from then on. (An executable cannot link a library for
//! symbols that only its NEEDED libraries define, which is why these are functions and not a mere dependency.)

use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Where a function is, filled before anything of the library can be called.
pub type Slot = AtomicPtr<libc::c_void>;

/// Defines the functions that `vinci_ffi_link::forward` collected: `library` is this library's name, for messages.
#[macro_export]
macro_rules! forward {
    ($library:literal; $($index:literal $name:ident)*) => {
        const NAMES: &[&std::ffi::CStr] = &[$(
            match std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
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

        static TABLE: [$crate::Slot; NAMES.len()] =
            [const { $crate::Slot::new(std::ptr::null_mut()) }; NAMES.len()];

        #[used]
        #[unsafe(link_section = ".init_array")]
        static RESOLVE: extern "C" fn() = resolve;

        extern "C" fn resolve() {
            $crate::resolve($library, &TABLE, NAMES);
        }
    };
}

/// Looks the names up in libascendcl.so; a process in which one is missing ends here, as calls would jump to 0.
pub fn resolve(library: &str, table: &[Slot], names: &[&CStr]) {
    // SAFETY: both arguments are as dlopen wants them.
    let ascendcl = unsafe { libc::dlopen(c"libascendcl.so".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if ascendcl.is_null() {
        // SAFETY: dlopen has just failed, so there is a text.
        fail(library, &unsafe { CStr::from_ptr(libc::dlerror()) }.to_string_lossy());
    }
    for (slot, name) in table.iter().zip(names) {
        // SAFETY: the library is open and stays so; the name ends with a zero.
        let function = unsafe { libc::dlsym(ascendcl, name.as_ptr()) };
        if function.is_null() {
            fail(library, &format!("libascendcl.so lacks {}", name.to_string_lossy()));
        }
        slot.store(function, Ordering::Relaxed);
    }
}

/// There is nobody yet to hand an error to.
fn fail(library: &str, text: &str) -> ! {
    eprintln!("{library}: {text}");
    std::process::exit(127)
}
