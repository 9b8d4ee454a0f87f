//! Gives the library its name.

fn main() {
    vinci_ffi_link::name("libge_runner.so");
}
