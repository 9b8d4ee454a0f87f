//! Collects the names that the headers declare: the one list of the surface.

fn main() {
    vinci_ffi_link::name("libacl_rt.so");
    // Only what libascendcl.so exports: other headers there belong to libraries of their own.
    vinci_ffi_link::forward(
        "libacl_rt.so",
        &["acl/acl_base_rt.h", "acl/acl_rt_allocator.h", "acl/acl_rt_memory_soma.h", "acl/rt"],
    );
}
