//! Tensors as rows: some dimensions lead from row to row, the others along one.

use crate::lane::Lane;
use crate::tile::{Sink, Source};
use crate::view::{Tensor, Walk};

/// A tensor as rows.
#[derive(Clone)]
pub struct Rows {
    tensor: Tensor,
    /// Leads from row to row.
    pub others: Walk,
    /// Leads along a row.
    pub along: Walk,
}

impl Rows {
    /// Rows along the dimensions for which `is_along` holds, in the order of the dimensions.
    pub fn new(tensor: &Tensor, is_along: impl Fn(usize) -> bool) -> Self {
        let (mut others, mut along) = (Walk::default(), Walk::default());
        for d in 0..tensor.rank {
            let walk = if is_along(d) { &mut along } else { &mut others };
            walk.push(tensor.dims[d], tensor.strides[d]);
        }
        Self { tensor: *tensor, others, along }
    }

    /// Reads row number `row`.
    pub fn source<L: Lane>(&self, row: usize) -> Source<L> {
        Source::part(&self.tensor, self.others.offset(row), &self.along)
    }

    /// Writes row number `row`.
    pub fn sink<L: Lane>(&self, row: usize) -> Sink<L> {
        Sink::part(&self.tensor, self.others.offset(row), &self.along)
    }
}
