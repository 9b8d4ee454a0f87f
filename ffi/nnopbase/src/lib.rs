//! libnnopbase.so holds nothing: it needs libopapi.so, where tensors, scalars and executors live, so a program
//! that links or opens it under this name finds them there.
