//! Links libprofapi.so with libascendcl.so.

fn main() {
    vinci_ffi_link::name("libprofapi.so");
    vinci_ffi_link::with("libascendcl.so", &["MsprofReportApi"]);
}
