//! libruntime.so holds nothing: it needs libascendcl.so, which has the `rt` functions, so a program that opens this
//! name finds them there.
