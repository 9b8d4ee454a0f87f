//! Channels.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use vinci_abi::abi::{Handle, Out, Text, call_or};
use vinci_abi::code::{
    FAILURE, Failure, INVALID_PARAM, RT_INVALID_DEVICEID, RT_QUEUE_EMPTY, RT_QUEUE_FULL, Result,
};
use vinci_abi::handle::{Kind, Table};
use vinci_abi::wait::{Deadline, Watched};

use crate::dataset::{DATASETS, Item, named};

const LONGEST_NAME: usize = 127;
const USUAL_CAPACITY: usize = 128;
const CAPACITIES: std::ops::RangeInclusive<usize> = 2..=8192;

/// A bounded queue of datasets.
struct Channel {
    device: u32,
    name: String,
    capacity: usize,
    state: Watched<State>,
}

#[derive(Default)]
struct State {
    sets: VecDeque<Vec<Item>>,
    stopped: bool,
}

static CHANNELS: Table<Arc<Channel>> = Table::new(Kind::Channel);
/// Held while a channel is made, so that two threads do not take one name.
static MAKING: Mutex<()> = Mutex::new(());

unsafe extern "C" {
    safe fn aclrtGetDeviceCount(count: *mut u32) -> i32;
}

impl Channel {
    fn stopped(&self) -> Failure {
        Failure::new(FAILURE, format!("channel {:?} is stopped", self.name))
    }

    fn send(&self, mut set: Option<Vec<Item>>, until: Deadline) -> Result<()> {
        let sent = self.state.wait(until, |state| {
            if state.stopped {
                return Some(Err(self.stopped()));
            }
            (state.sets.len() < self.capacity).then(|| {
                state.sets.extend(set.take());
                Ok(())
            })
        });
        sent.unwrap_or_else(|| {
            let text = format!("channel {:?} holds {} datasets, as many as it can", self.name, self.capacity);
            Err(Failure::new(RT_QUEUE_FULL, text))
        })
    }

    fn receive(&self, until: Deadline) -> Result<Vec<Item>> {
        let received = self.state.wait(until, |state| {
            if state.stopped {
                return Some(Err(self.stopped()));
            }
            state.sets.pop_front().map(Ok)
        });
        received.unwrap_or_else(|| {
            Err(Failure::new(RT_QUEUE_EMPTY, format!("nothing came through channel {:?} in time", self.name)))
        })
    }
}

fn create(device: u32, name: Text, capacity: usize) -> Result<Handle> {
    let name = name.need("name")?;
    if name.is_empty() || name.len() > LONGEST_NAME {
        let text = format!("a name of {} bytes; it has 1 to {LONGEST_NAME}", name.len());
        return Err(Failure::new(INVALID_PARAM, text));
    }
    if !CAPACITIES.contains(&capacity) {
        let text = format!("capacity {capacity} is not in {CAPACITIES:?}");
        return Err(Failure::new(INVALID_PARAM, text));
    }
    let mut devices = 0;
    if aclrtGetDeviceCount(&mut devices) != 0 || device >= devices {
        return Err(Failure::new(RT_INVALID_DEVICEID, format!("device {device} of {devices}")));
    }
    let _making = MAKING.lock();
    if CHANNELS.all().iter().any(|(_, c)| c.name == name && c.device == device) {
        let text = format!("device {device} has a channel {name:?} already");
        return Err(Failure::new(INVALID_PARAM, text));
    }
    CHANNELS.insert(Arc::new(Channel { device, name, capacity, state: Watched::new(State::default()) }))
}

#[unsafe(no_mangle)]
pub extern "C" fn acltdtCreateChannel(device: u32, name: Text) -> Handle {
    call_or("acltdtCreateChannel", 0, || create(device, name, USUAL_CAPACITY))
}

#[unsafe(no_mangle)]
pub extern "C" fn acltdtCreateChannelWithCapacity(device: u32, name: Text, capacity: usize) -> Handle {
    call_or("acltdtCreateChannelWithCapacity", 0, || create(device, name, capacity))
}

entry! {
    fn acltdtStopChannel(channel: Handle) {
        named(&CHANNELS, channel)?.state.change(|state| state.stopped = true);
        Ok(())
    }

    fn acltdtDestroyChannel(channel: Handle) {
        named(&CHANNELS, channel)?;
        // Whoever waits on it still holds it.
        CHANNELS.remove(channel)?.state.change(|state| state.stopped = true);
        Ok(())
    }

    fn acltdtCleanChannel(channel: Handle) {
        named(&CHANNELS, channel)?.state.change(|state| state.sets.clear());
        Ok(())
    }

    fn acltdtSendTensor(channel: Handle, dataset: Handle, timeout: i32) {
        let channel = named(&CHANNELS, channel)?;
        let set = named(&DATASETS, dataset)?.lock().copied()?;
        if set.is_empty() {
            return Err(Failure::new(INVALID_PARAM, "the dataset has no items"));
        }
        channel.send(Some(set), Deadline::after_ms(timeout))
    }

    fn acltdtReceiveTensor(channel: Handle, dataset: Handle, timeout: i32) {
        let channel = named(&CHANNELS, channel)?;
        let dataset = named(&DATASETS, dataset)?;
        if !dataset.lock().is_empty() {
            return Err(Failure::new(INVALID_PARAM, "the dataset is not empty"));
        }
        let set = channel.receive(Deadline::after_ms(timeout))?;
        dataset.lock().fill(set, &channel.name)
    }

    fn acltdtQueryChannelSize(channel: Handle, size: Out<usize>) {
        let channel = named(&CHANNELS, channel)?;
        size.need("size")?.put(channel.state.lock().sets.len());
        Ok(())
    }
}
