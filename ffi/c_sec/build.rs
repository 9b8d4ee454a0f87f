//! Names the library.

fn main() {
    vinci_ffi_link::name("libc_sec.so");
}
