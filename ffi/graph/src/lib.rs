//! libgraph.so, CANN's graph descriptions, holds nothing: torch_npu links it and calls none of its functions.
