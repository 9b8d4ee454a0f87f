//! What the host pays for an operator: submitted by itself, and as a part of a model instance that is replayed.

use std::time::Instant;

use anyhow::Result;

use super::acl::Acl;
use super::{Effort, Samples, median, turns};

/// Operators in the instance: as many as a ring takes without waiting for the device.
const OPERATORS: usize = 400;

/// ns of host time per operator. The device's time is not in it: it is waited for between measurements.
pub fn replay(effort: Effort) -> Result<(Samples, String)> {
    let acl = Acl::open()?;
    let add = acl.adder(64)?;
    acl.capture_begin()?;
    (0..OPERATORS).try_for_each(|_| acl.add(&add))?;
    let model = acl.capture_end()?;
    let per_operator = |submit: &dyn Fn() -> Result<()>| {
        let (start, mut times) = (Instant::now(), Vec::new());
        while start.elapsed() < effort.turn / 2 || times.is_empty() {
            let t = Instant::now();
            submit()?;
            times.push(t.elapsed().as_nanos() as f64 / OPERATORS as f64);
            acl.synchronize()?;
        }
        Ok(median(&times).unwrap_or(f64::NAN))
    };
    let ours = || per_operator(&|| acl.execute(model));
    let eager = || per_operator(&|| (0..OPERATORS).try_for_each(|_| acl.add(&add)));
    Ok((turns(effort, ours, Some(eager))?, "aclnnAdd, submitted each time".into()))
}
