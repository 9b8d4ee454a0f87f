//! The operators, a file for each family. In it one line each: name, arguments, and the function that writes its
//! program; below them the builders that only this family uses.
//!
//! Argument kinds are the types of [`kinds`]; `Out` and `Ref` are tensors that the operator writes. To add an
//! operator, add its line under its header and, if no builder fits, a builder. To add a family, name its file
//! below. Then `VINCI_BLESS=1 cargo test -p opapi headers` writes the C headers and docs/operators.md anew.

mod declare;
mod elementwise;
mod kinds;
mod moe_rows;
pub mod named;
mod pointwise;

/// Names the files of the families.
macro_rules! families {
    ($($family:ident)*) => {
        $(mod $family;)*
        #[cfg(test)]
        #[allow(unused_imports)] // a family may have no test of its own operators
        use {$($family::*),*};

        /// All operators by family, for the headers and the list in docs/.
        #[cfg(test)]
        const FAMILIES: &[(&str, &[declare::Declaration])] =
            &[$((stringify!($family), $family::DECLARATIONS)),*];
    };
}

families! {
    activation
    activation_forms
    arithmetic
    attention
    attention_forms
    attention_training
    batch_norm
    bits
    border
    comparison
    complex
    conv
    conv_gradient
    criterion
    foreach
    functions
    gradient
    grouped
    grouped_quant
    index
    index_forms
    layout
    linalg
    linear
    loss
    moe
    moe_permute
    moe_routing
    movement
    norm
    norm_fused
    norm_gradient
    optimizer
    order
    pairs
    pool
    product_forms
    quant
    quant_matmul
    quantise
    random
    recurrent
    reduce
    resample
    rotary
    sampling
    selection
    special
    statistics
    swiglu_quant
    sync_norm
    variants
}

#[cfg(test)]
mod case_tests;
#[cfg(test)]
mod complex_tests;
#[cfg(test)]
mod data;
#[cfg(test)]
mod data_tests;
#[cfg(test)]
mod forms_tests;
#[cfg(test)]
mod header_tests;
#[cfg(test)]
mod moe_permute_tests;
#[cfg(test)]
mod moe_tests;
#[cfg(test)]
mod named_tests;
#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod quant_tests;
#[cfg(test)]
mod record_tests;
#[cfg(test)]
mod sampling_tests;
#[cfg(test)]
mod sync_norm_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod training_tests;
