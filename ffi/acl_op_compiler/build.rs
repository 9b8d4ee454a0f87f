//! Links libacl_op_compiler.so with libascendcl.so, which keeps the sentences of failures and the system options, and with
//! libopapi.so, which has the operators.

fn main() {
    vinci_ffi_link::name("libacl_op_compiler.so");
    vinci_ffi_link::with("libascendcl.so", &["vinci_set_error", "aclrtSetSysParamOpt"]);
    vinci_ffi_link::with("libopapi.so", &["vinci_by_name"]);
}
