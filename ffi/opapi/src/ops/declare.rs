//! `operators!`: what turns a line into the two C functions of an operator and its declaration.

/// An operator as the header shows it.
#[cfg(test)]
pub struct Declaration {
    /// C name.
    pub name: &'static str,
    /// File in aclnnop/, without `aclnn_` and `.h`.
    pub header: &'static str,
    /// Sentence for the header.
    pub doc: &'static str,
    /// C type and name of each argument.
    pub args: &'static [(&'static str, &'static str)],
}

/// Declares the operators of a family, once in its file.
///
/// A line is `name(argument: Kind, …) => builder;` under its C header, with a sentence before it. The kinds are
/// types of [`kinds`](super::kinds); the builder gets the [`Program`](crate::program::Program) to write and the
/// checked arguments.
macro_rules! operators {
    ($($header:literal { $($(#[doc = $doc:literal])+ $name:ident($($arg:ident: $kind:ident),*) => $build:expr;)* })*) => {
        $($( paste::paste! {
            #[doc = "Phase 1."]
            $(#[doc = $doc])+
            ///
            /// # Safety
            /// Unless they are null, `workspace_size` and `executor` can be written.
            #[unsafe(no_mangle)]
            #[allow(non_snake_case, clippy::too_many_arguments)]
            pub unsafe extern "C" fn [<$name GetWorkspaceSize>](
                $($arg: <$crate::ops::kinds::$kind as $crate::ops::kinds::Kind>::C,)*
                workspace_size: *mut u64,
                executor: *mut *mut std::ffi::c_void,
            ) -> i32 {
                let arguments = || {
                    vec![$((stringify!($arg), <$crate::ops::kinds::$kind as $crate::ops::kinds::Kind>::record($arg))),*]
                };
                // SAFETY: by this function's contract.
                unsafe {
                    $crate::executor::prepare(stringify!($name), workspace_size, executor, arguments, |program| {
                        $(let $arg = <$crate::ops::kinds::$kind as $crate::ops::kinds::Kind>::get(stringify!($arg), $arg)?;)*
                        ($build)(program, $($arg),*)
                    })
                }
            }

            /// Phase 2: launches what phase 1 prepared on `stream`.
            #[unsafe(no_mangle)]
            pub extern "C" fn $name(
                workspace: *mut std::ffi::c_void,
                workspace_size: u64,
                executor: *mut std::ffi::c_void,
                stream: *mut std::ffi::c_void,
            ) -> i32 {
                $crate::executor::run(stringify!($name), workspace, workspace_size, executor, stream)
            }
        } )*)*

        /// This family's operators, for the headers and the list in docs/.
        #[cfg(test)]
        pub const DECLARATIONS: &[$crate::ops::declare::Declaration] = &[$($( $crate::ops::declare::Declaration {
            name: stringify!($name),
            header: $header,
            doc: concat!($($doc),+),
            args: &[$((<$crate::ops::kinds::$kind as $crate::ops::kinds::Kind>::C_TYPE, stringify!($arg))),*],
        } ),*),*];
    };
}
pub(crate) use operators;
