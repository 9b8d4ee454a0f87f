//! libge_runner.so, CANN's graph engine, holds nothing: torch_npu links it and calls none of its functions.
