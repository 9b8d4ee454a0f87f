//! Labels and switches: how a model instance that is built on streams decides what runs next.

use parking_lot::Mutex;
use vinci::graph::Condition;
use vinci::{DevicePtr, Label};

use crate::abi::{Address, Handle, In, Out, need_address};
use crate::code::{Failure, INVALID_PARAM, RT_STREAM_MODEL, Result, invalid};
use crate::handle::{Kind, Table};
use crate::{context, stream};

/// Labels of a process at most.
const MOST_LABELS: usize = 65535;

static LABELS: Table<Label> = Table::new(Kind::Label);
static LISTS: Table<std::sync::Arc<[Label]>> = Table::new(Kind::LabelList);
/// Labels that were set at a place: each can be set once.
static SET: Mutex<Vec<Handle>> = Mutex::new(Vec::new());

/// A stream that is bound to a model instance.
fn bound(handle: Handle, name: &str) -> Result<std::sync::Arc<stream::Stream>> {
    need_address(handle, name)?;
    let stream = stream::named(handle)?;
    if stream.stream.bound_to().is_none() {
        let text = format!("{name} {handle:#x} is not bound to a model instance");
        return Err(Failure::new(RT_STREAM_MODEL, text));
    }
    Ok(stream)
}

fn check_word(address: Address, size: u64, name: &'static str) -> Result<DevicePtr> {
    need_address(address, name)?;
    let pointer = DevicePtr(address as u64);
    vinci::memory::check_range(name, pointer, size).map_err(crate::code::of_memory)?;
    Ok(pointer)
}

entry! {
    fn aclrtCreateLabel(label: Out<Handle>) {
        let place = label.need("label")?;
        context::current()?;
        if LABELS.all().len() >= MOST_LABELS {
            return Err(Failure::new(
                crate::code::RT_MEMORY_ALLOCATION,
                format!("there are {MOST_LABELS} labels already"),
            ));
        }
        place.put(LABELS.insert(Label::new())?);
        Ok(())
    }

    fn aclrtDestroyLabel(label: Handle) {
        need_address(label, "label")?;
        LABELS.remove(label)?;
        SET.lock().retain(|set| *set != label);
        Ok(())
    }

    fn aclrtSetLabel(handle: Handle, stream: Handle) {
        need_address(handle, "label")?;
        let label = LABELS.get(handle)?;
        let stream = bound(stream, "stream")?;
        let mut set = SET.lock();
        if set.contains(&handle) {
            return Err(invalid(format!("label {handle:#x} is set already")));
        }
        stream.stream.set_label(label)?;
        set.push(handle);
        Ok(())
    }

    fn aclrtCreateLabelList(labels: In<Handle>, count: usize, list: Out<Handle>) {
        let place = list.need("labelList")?;
        if count == 0 || count > MOST_LABELS {
            return Err(invalid(format!("num {count} is not from 1 to {MOST_LABELS}")));
        }
        let labels = labels.slice(count, "labels")?;
        let labels = labels.into_iter().map(|label| LABELS.get(label)).collect::<Result<_>>()?;
        place.put(LISTS.insert(labels)?);
        Ok(())
    }

    fn aclrtDestroyLabelList(list: Handle) {
        need_address(list, "labelList")?;
        LISTS.remove(list).map(drop)
    }

    fn aclrtSwitchLabelByIndex(index: Address, count: u32, list: Handle, stream: Handle) {
        let index = check_word(index, 4, "ptr")?;
        need_address(list, "labelList")?;
        let labels = LISTS.get(list)?;
        let stream = bound(stream, "stream")?;
        if count as usize != labels.len() {
            return Err(invalid(format!("maxValue {count} is not the number of labels, {}", labels.len())));
        }
        Ok(stream.stream.switch_label(index, &labels)?)
    }

    fn aclrtActiveStream(active: Handle, stream: Handle) {
        let active = bound(active, "activeStream")?;
        let stream = bound(stream, "stream")?;
        Ok(stream.stream.activate(&active.stream)?)
    }

    fn aclrtSwitchStream(
        left: Address, condition: u32, right: Address, data_type: u32, to: Handle, other: Handle, stream: Handle,
    ) {
        let condition = match condition {
            0 => Condition::Equal,
            1 => Condition::NotEqual,
            2 => Condition::Greater,
            3 => Condition::GreaterOrEqual,
            4 => Condition::Less,
            5 => Condition::LessOrEqual,
            _ => return Err(invalid(format!("cond {condition} is not an aclrtCondition"))),
        };
        if data_type > 1 {
            return Err(invalid(format!("dataType {data_type} is not an aclrtCompareDataType")));
        }
        if other != 0 {
            return Err(Failure::new(INVALID_PARAM, "falseStream is not NULL"));
        }
        let wide = data_type == 1;
        let left = check_word(left, if wide { 8 } else { 4 }, "leftValue")?;
        let right = check_word(right, if wide { 8 } else { 4 }, "rightValue")?;
        let to = bound(to, "trueStream")?;
        let stream = bound(stream, "stream")?;
        Ok(stream.stream.switch_stream(left, condition, right, wide, &to.stream)?)
    }
}
