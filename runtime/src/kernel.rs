//! Kernels that a stream can launch.

use std::sync::Arc;

use crate::{Error, Result};

/// Cores that a kernel runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoreType {
    /// Cube cores.
    Aic,
    /// Vector cores.
    Aiv,
    /// Both.
    Mix,
}

/// A kernel, resolved to the device's id for it.
#[derive(Clone, Debug)]
pub struct Kernel(pub(crate) Arc<Resolved>);

#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) name: Box<str>,
    pub(crate) id: u64,
    pub(crate) core_type: CoreType,
}

impl Kernel {
    /// The resident kernel `name`. Names are resolved once per process.
    pub fn resident(_name: &str) -> Result<Kernel> {
        Err(Error::NotSupported("Kernel::resident"))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The device's id for it.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Cores that it runs on.
    pub fn core_type(&self) -> CoreType {
        self.0.core_type
    }
}
