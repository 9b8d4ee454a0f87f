//! Kernels that a stream can launch.

use std::sync::Arc;

use vinci_uapi::*;

use crate::driver::Driver;
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
///
/// ```
/// let kernel = vinci::Kernel::resident("nop")?;
/// assert_eq!(kernel.name(), "nop");
/// # Ok::<(), vinci::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Kernel(Arc<Resolved>);

#[derive(Debug)]
pub(crate) struct Resolved {
    name: Box<str>,
    id: u64,
    core_type: CoreType,
}

impl Resolved {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Name and cores.
    pub(crate) fn describe(&self) -> (Arc<str>, CoreType) {
        (Arc::from(&*self.name), self.core_type)
    }
}

impl Kernel {
    /// The resident kernel `name`. Names are resolved once per process.
    pub fn resident(name: &str) -> Result<Kernel> {
        let driver = Driver::get()?;
        if let Some(found) = driver.kernels.read().get(name) {
            return Ok(Kernel(found.clone()));
        }
        let op = "find kernel";
        if name.contains('\0') {
            return Err(Error::value(op, format!("{name:?} cannot be the name of a kernel")));
        }
        let info = driver
            .sys
            .kernel(name)?
            .ok_or_else(|| Error::value(op, format!("the device has no kernel {name:?}")))?;
        let core_type = match info.core_type {
            DRM_VINCI_CORE_AIC => CoreType::Aic,
            DRM_VINCI_CORE_AIV => CoreType::Aiv,
            _ => CoreType::Mix,
        };
        let resolved = Arc::new(Resolved { name: name.into(), id: info.kernel, core_type });
        driver.kernels.write().insert(name.into(), resolved.clone());
        Ok(Kernel(resolved))
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
