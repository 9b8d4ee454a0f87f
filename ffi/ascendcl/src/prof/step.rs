//! Steps of a training.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::collect::{self, Step};
use crate::abi::{Handle, call, call_or, need_address};
use crate::code::{Failure, INVALID_PARAM};
use crate::handle::{Kind, Table};
use crate::stream;

/// The steps that a handle has begun.
static STEPS: Table<Arc<AtomicU64>> = Table::new(Kind::ProfStep);

#[unsafe(no_mangle)]
pub extern "C" fn aclprofCreateStepInfo() -> Handle {
    call_or("aclprofCreateStepInfo", 0, || STEPS.insert(Arc::default()))
}

#[unsafe(no_mangle)]
pub extern "C" fn aclprofDestroyStepInfo(handle: Handle) {
    if handle != 0 {
        call("aclprofDestroyStepInfo", || STEPS.remove(handle).map(drop));
    }
}

entry! {
    /// The time is the host's; the stream says which device the step is of.
    fn aclprofGetStepTimestamp(handle: Handle, tag: u32, stream: Handle) {
        const START: u32 = 0;
        const END: u32 = 1;
        need_address(handle, "stepInfo")?;
        let steps = STEPS.get(handle).map_err(|failure| failure.code(INVALID_PARAM))?;
        if tag > END {
            return Err(Failure::new(INVALID_PARAM, format!("there is no end {tag} of a step")));
        }
        let stream = stream::named(stream)?;
        let start = tag == START;
        let number = if start { steps.fetch_add(1, Ordering::AcqRel) + 1 } else { steps.load(Ordering::Acquire) };
        if number == 0 {
            return Err(Failure::new(INVALID_PARAM, "no step has begun"));
        }
        if collect::wants_marks() {
            let device = stream.stream.device().ordinal();
            collect::keep_step(Step { number, device, start, at: collect::here().1 });
        }
        Ok(())
    }
}
