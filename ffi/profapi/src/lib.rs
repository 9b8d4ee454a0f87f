//! libprofapi.so holds nothing: it needs libascendcl.so, which has the `Msprof` functions, so a program that opens
//! this name finds them there.
