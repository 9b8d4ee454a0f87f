//! What CANN calls tasks, and numbers for names.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use vinci::CoreType;
use vinci::profile::{Direction, Task, Work};

use crate::abi::Text;

/// Names by their numbers.
static NAMES: Mutex<BTreeMap<u64, String>> = Mutex::new(BTreeMap::new());

/// The number of a name (FNV-1a).
fn number(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

/// The name of a number.
pub fn name_of(number: u64) -> Option<String> {
    NAMES.lock().get(&number).cloned()
}

#[unsafe(no_mangle)]
pub extern "C" fn aclprofStr2Id(text: Text) -> u64 {
    crate::abi::call_or("aclprofStr2Id", u64::MAX, || {
        let text = text.need("message")?;
        let number = number(&text);
        NAMES.lock().insert(number, text);
        Ok(number)
    })
}

/// "NllLossBackward" of "nll_loss_backward".
fn camel(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    };
    name.split('_').map(word).collect()
}

/// Type and name of the operator that a task is.
pub fn operator(task: &Task) -> (String, String) {
    let kind = match &task.work {
        Work::Kernel { name, .. } => camel(name),
        _ => task_type(&task.work).to_owned(),
    };
    let name = match &task.label {
        Some(label) => format!("{label}_{kind}"),
        None => kind.clone(),
    };
    (kind, name)
}

/// Cores, as op_summary names them.
pub fn core(core: CoreType) -> &'static str {
    match core {
        CoreType::Aic => "AI_CORE",
        CoreType::Aiv => "AI_VECTOR_CORE",
        CoreType::Mix => "MIX_AIC",
    }
}

/// The kind of a task, as task_time names it.
pub fn task_type(work: &Work) -> &'static str {
    match work {
        Work::Kernel { core: CoreType::Aic, .. } => "KERNEL_AICORE",
        Work::Kernel { core: CoreType::Aiv, .. } => "KERNEL_AIVEC",
        Work::Kernel { core: CoreType::Mix, .. } => "KERNEL_MIX_AIC",
        Work::Copy { .. } => "MEMCPY_ASYNC",
        Work::Fill { .. } => "MEMSET_ASYNC",
        Work::EventRecord => "EVENT_RECORD",
        Work::EventWait => "EVENT_WAIT",
        Work::NotifyRecord => "NOTIFY_RECORD",
        Work::NotifyWait => "NOTIFY_WAIT",
        Work::WriteValue => "WRITE_VALUE",
        Work::WaitValue => "WAIT_VALUE",
        Work::HostCall => "CALLBACK_LAUNCH",
        Work::Placeholder => "PLACE_HOLDER_SQE",
    }
}

/// Which way a copy goes.
pub fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::HostToDevice => "host to device",
        Direction::DeviceToHost => "device to host",
        Direction::DeviceToDevice => "device to device",
        Direction::HostToHost => "host to host",
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_of_kernels_are_types_of_operators() {
        assert_eq!(super::camel("nll_loss_backward"), "NllLossBackward");
        assert_eq!(super::camel("add"), "Add");
        assert_eq!(super::camel(""), "");
    }
}
