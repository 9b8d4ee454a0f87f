//! What kernels print comes out when the program waits for their stream, through the program's own stdout, so that it
//! keeps its place between what the program prints.

use std::ffi::c_void;

use crate::stream::Stream;

unsafe extern "C" {
    /// Of the C library.
    static stdout: *mut libc::FILE;
}

/// Prints what the kernels of a stream have printed.
pub fn flush(stream: &Stream) {
    let text = stream.stream.take_text();
    if text.is_empty() {
        return;
    }
    // SAFETY: the C library's stream lives as long as the process; the bytes live during the call.
    unsafe {
        libc::fwrite(text.as_ptr().cast::<c_void>(), 1, text.len(), stdout);
        libc::fflush(stdout);
    }
}
