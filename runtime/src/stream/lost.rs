//! What a queue that was lost leaves to be done: others wait for its records, and would for ever.

use std::sync::Arc;
use std::time::Duration;

use vinci_hw::sqe::Sqe;

use super::queue::{BATCH, Queue};
use crate::Error;
use crate::driver::Driver;

/// How long the records may take.
const LIMIT: Duration = Duration::from_secs(5);

/// After something was lost: makes the records of every lost queue of the process.
pub(crate) fn make_all_records(driver: &'static Driver) {
    let lost: Vec<Arc<Queue>> =
        driver.queues.read().iter().filter(|queue| queue.is_lost()).cloned().collect();
    lost.iter().for_each(|queue| make_records(driver, queue));
}

/// Makes the records that `queue` did not come to, if it is lost, so that streams which wait for them go on; the error
/// is its own stream's. A queue made for it does that, on the same die, or on another if that one takes none.
pub(crate) fn make_records(driver: &'static Driver, queue: &Queue) {
    let mut records = &queue.take_lost_records(|cookie| driver.callbacks.forget(cookie))[..];
    while !records.is_empty() {
        let others = (0..driver.dies.len() as u32).filter(|&die| die != queue.die());
        let helper = std::iter::once(queue.die())
            .chain(others)
            .find_map(|die| Queue::create(driver, die, queue.stream(), 0).ok());
        let Some(helper) = helper else {
            log::error!("{queue:?} is lost; what waits for its records waits for ever: no die takes a queue");
            return;
        };
        let done = run(&helper, records);
        if let Err(e) = helper.destroy() {
            log::debug!("{helper:?}: {e}");
        }
        // One whose memory is gone stopped the helper: nobody can wait for it.
        records = records.get(done + 1..).unwrap_or_default();
    }
}

/// Runs records in order; how many were made.
fn run(helper: &Queue, records: &[Sqe]) -> usize {
    let op = "record";
    for batch in records.chunks(BATCH) {
        let ran = helper.submit_batch(op, batch).and_then(|last| helper.wait(last, Some(LIMIT), op));
        match ran {
            Ok(()) => {}
            Err(Error::Fault(_)) => return (helper.completed() as usize).min(records.len()),
            Err(e) => {
                log::error!("records of a lost stream are not made: {e}");
                break;
            }
        }
    }
    records.len()
}
