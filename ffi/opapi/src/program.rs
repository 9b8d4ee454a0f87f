//! Programs: the kernel launches that an operator comes to.

use crate::dtype::DType;
use crate::error::{OpError, Result};
use crate::link;
use crate::view::{Base, View, dense_strides};

/// An attribute of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Attr {
    /// Integer, boolean, dimension.
    Int(i64),
    /// Float.
    Float(f64),
    /// Element type.
    Type(DType),
}

impl Attr {
    /// Its 64 bits.
    pub fn bits(self) -> u64 {
        match self {
            Self::Int(v) => v as u64,
            Self::Float(v) => v.to_bits(),
            Self::Type(v) => v as u64,
        }
    }
}

/// One launch.
#[derive(Debug)]
pub struct Launch {
    /// Resident kernel.
    pub kernel: u64,
    /// Its name.
    pub name: &'static str,
    /// Outputs, then inputs.
    pub views: Vec<View>,
    /// How many of them are outputs.
    pub outputs: usize,
    /// Attributes.
    pub attrs: Vec<u64>,
}

/// An output whose first dimension is known only when the launches are done.
#[derive(Debug)]
pub struct Found {
    /// Handle of the tensor.
    pub tensor: usize,
    /// Where the number will be: one int64 of the workspace.
    pub count: View,
    /// The dimensions, the found one being `None`.
    pub dims: Vec<Option<i64>>,
}

/// The launches of an operator, in order, and the workspace they share.
#[derive(Debug, Default)]
pub struct Program {
    /// In order.
    pub launches: Vec<Launch>,
    /// Outputs that take their shape from what was found.
    pub found: Vec<Found>,
    /// Bytes.
    pub workspace: u64,
}

impl Program {
    /// Appends a launch. One whose outputs are all empty does nothing and is left out.
    pub fn launch(
        &mut self,
        kernel: &'static str,
        outputs: &[&View],
        inputs: &[&View],
        attrs: &[Attr],
    ) -> Result<()> {
        if !outputs.is_empty() && outputs.iter().all(|o| o.elements() == 0) {
            return Ok(());
        }
        let (name, kernel) = (kernel, link::kernel(kernel).map_err(OpError::Runtime)?);
        let views = outputs.iter().chain(inputs).map(|&v| v.clone()).collect();
        let attrs = attrs.iter().map(|a| a.bits()).collect();
        self.launches.push(Launch { kernel, name, views, outputs: outputs.len(), attrs });
        Ok(())
    }

    /// A place for a number that a kernel finds.
    pub fn counter(&mut self) -> View {
        self.temporary(DType::I64, &[1])
    }

    /// A dense tensor in the workspace.
    pub fn temporary(&mut self, dtype: DType, dims: &[i64]) -> View {
        let base = Base::Workspace(self.workspace);
        let bytes = dims.iter().product::<i64>().max(1) as u64 * dtype.size() as u64;
        self.workspace += bytes.next_multiple_of(512);
        View { base, dtype, dims: dims.to_vec(), strides: dense_strides(dims) }
    }
}
