//! Programs: the kernel launches that an operator comes to.

use std::ops::Range;

use smallvec::SmallVec;
use vinci_hw::args::{ArgsHeader, ArgsView, TensorArg, words};
use vinci_hw::uapi::Payload;

use crate::complex;
use crate::dtype::{DType, is_complex};
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
    /// How many of the tensors, the first ones, are outputs.
    pub outputs: usize,
    /// The argument block, in which tensors of the workspace have their offset for an address.
    block: Box<[u64]>,
    /// Words of the block that are such offsets.
    offsets: SmallVec<[u16; 8]>,
}

/// Words of a block that most launches do with: five tensors and twenty attributes.
type Words = SmallVec<[u64; 2 + 5 * 18 + 20]>;

impl Launch {
    fn new(kernel: &'static str, outputs: usize, views: &[&View], attrs: &[Attr]) -> Result<Launch> {
        let count = |n: usize| u16::try_from(n).map_err(|_| OpError::Inner(format!("{n} arguments")));
        let header = ArgsHeader::new(count(views.len())?, count(attrs.len())?);
        let mut block = Vec::with_capacity(header.bytes as usize / 8);
        let mut offsets = SmallVec::new();
        block.extend(words(header.bytes()));
        for view in views {
            if matches!(view.base, Base::Workspace(_)) {
                offsets.push(count(block.len())?);
            }
            // Its address is what a TensorArg has first.
            block.extend(words(view.arg()?.bytes()));
        }
        block.extend(attrs.iter().map(|a| a.bits()));
        let (name, kernel) = (kernel, link::kernel(kernel).map_err(OpError::Runtime)?);
        Ok(Launch { kernel, name, outputs, block: block.into(), offsets })
    }

    /// Device addresses that it writes outside of the workspace.
    pub fn written(&self) -> Vec<Range<u64>> {
        const HEADER: usize = size_of::<ArgsHeader>() / 8;
        const TENSOR: usize = size_of::<TensorArg>() / 8;
        let block: Vec<u8> = self.block.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let Ok(args) = ArgsView::new(&block) else { return Vec::new() };
        let in_workspace = |i: usize| self.offsets.iter().any(|&at| usize::from(at) == HEADER + i * TENSOR);
        let extent = |i| args.tensor(i).ok()?.extent();
        let outputs = (0..self.outputs).filter(|&i| !in_workspace(i));
        outputs.filter_map(extent).map(|(start, len)| start..start + len).collect()
    }

    /// Calls `with` with the argument block for a workspace at this device address.
    pub fn block<T>(&self, workspace: u64, with: impl FnOnce(&[u64]) -> T) -> T {
        if self.offsets.is_empty() {
            return with(&self.block);
        }
        let mut block = Words::from_slice(&self.block);
        for &at in &self.offsets {
            block[usize::from(at)] = block[usize::from(at)].wrapping_add(workspace);
        }
        with(&block)
    }
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
    pub launches: SmallVec<[Launch; 1]>,
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
        let views: SmallVec<[&View; 8]> = outputs.iter().chain(inputs).copied().collect();
        if views.iter().any(|v| is_complex(v.dtype)) {
            return complex::launch(self, kernel, outputs, inputs, attrs);
        }
        self.launches.push(Launch::new(kernel, outputs.len(), &views, attrs)?);
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
        View { base, dtype, dims: dims.into(), strides: dense_strides(dims) }
    }
}
