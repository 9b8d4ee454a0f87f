//! The profiler: `aclprof` and `mstx` functions. libmsprofiler.so and libms_tools_ext.so are other names of it.
//!
//! What is collected is real and nothing else is written: tasks as the device stamped them, calls as they were
//! timed, marks of the program. Everything is kept in memory from aclprofStart to aclprofStop, which writes it.

mod collect;
mod mark;
mod names;
mod step;
mod subscribe;
mod write;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::abi::{Handle, In, call_or};
use crate::code::{
    Failure, INVALID_FILE, INVALID_PARAM, PROF_ALREADY_RUN, PROF_API_CONFLICT, PROF_NOT_RUN, Result,
};
use crate::context;
use crate::handle::{Kind, Table};
use collect::Collection;
pub use collect::{operator_begin, operator_end, wants_operators};
pub use write::local_time;

/// How long aclprofStop waits for tasks that were submitted.
const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_PATH: usize = 4096;
const LONGEST_SETTING: usize = 256;

/// Bits of aclprofCreateConfig and what they ask for.
const KINDS: &[(u64, &str, &str)] = &[
    (ACL_API, "ACL_API", "calls of aclrt and aclnn functions"),
    (TASK_TIME, "TASK_TIME", "times of tasks"),
    (0x4, "AICORE_METRICS", "counters of the AI cores"),
    (0x8, "AICPU", "AI CPU tasks"),
    (0x10, "L2CACHE", "statistics of the L2 cache"),
    (0x20, "HCCL_TRACE", "collective communication"),
    (TRAINING_TRACE, "TRAINING_TRACE", "steps of a training"),
    (MSPROFTX, "MSPROFTX", "marks and ranges of the program"),
    (RUNTIME_API, "RUNTIME_API", "calls of the runtime"),
    (0x200, "GE_API_L0", "calls of the graph engine"),
    (TASK_TIME_L0, "TASK_TIME_L0", "times of tasks"),
    (0x1000, "TASK_MEMORY", "memory of tasks"),
    (TASK_TIME_L2, "TASK_TIME_L2", "times of tasks"),
    (0x4000, "OP_ATTR", "attributes of operators"),
    (TASK_TIME_L3, "TASK_TIME_L3", "times of tasks"),
    (0x0100_0000, "GE_API_L1", "calls of the graph engine"),
    (API_STATS, "API_STATS", "statistics of calls"),
    (0x8_0000_0000, "AICORE_SHAPE", "shapes of operators"),
];

const ACL_API: u64 = 0x1;
const TASK_TIME: u64 = 0x2;
const TRAINING_TRACE: u64 = 0x40;
const MSPROFTX: u64 = 0x80;
const RUNTIME_API: u64 = 0x100;
const TASK_TIME_L0: u64 = 0x800;
const TASK_TIME_L2: u64 = 0x2000;
const TASK_TIME_L3: u64 = 0x8000;
const API_STATS: u64 = 0x4_0000_0000;
const TASKS: u64 = TASK_TIME | TASK_TIME_L0 | TASK_TIME_L2 | TASK_TIME_L3;
const CALLS: u64 = ACL_API | RUNTIME_API | API_STATS;
/// What there is.
const COLLECTED: u64 = TASKS | CALLS | MSPROFTX | TRAINING_TRACE;

static CONFIGS: Table<Arc<Config>> = Table::new(Kind::ProfConfig);
static SESSION: Mutex<Option<Session>> = Mutex::new(None);

/// `aclprofConfig`.
#[derive(Debug)]
pub struct Config {
    devices: Vec<u32>,
    data: u64,
}

/// From aclprofInit to aclprofFinalize.
struct Session {
    path: PathBuf,
    settings: BTreeMap<u32, String>,
    running: Vec<(Handle, Collection)>,
}

/// Folders made by this process.
static FOLDERS: Mutex<u32> = Mutex::new(0);

fn not_running() -> Failure {
    Failure::new(PROF_NOT_RUN, "profiling is not initialised: call aclprofInit")
}

/// A text of a given length; C's own ends at a zero within it.
fn text(text: In<u8>, len: usize, most: usize, name: &str) -> Result<String> {
    if len == 0 || len > most {
        return Err(Failure::new(INVALID_PARAM, format!("{name} has {len} bytes, not 1 to {most}")));
    }
    let bytes = text.slice(len, name)?;
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(len);
    Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

fn folder(path: &str) -> Result<PathBuf> {
    let made = fs::create_dir_all(path).and_then(|()| fs::canonicalize(path));
    made.map_err(|e| Failure::new(INVALID_FILE, format!("folder {path}: {e}")))
}

fn make_config(devices: In<u32>, count: u32, events: Handle, data: u64) -> Result<Config> {
    if events != 0 {
        return Err(Failure::new(INVALID_PARAM, "aicoreEvents is not NULL"));
    }
    let unknown = KINDS.iter().fold(data, |rest, kind| rest & !kind.0);
    if unknown != 0 || data == 0 {
        return Err(Failure::new(INVALID_PARAM, format!("dataTypeConfig {data:#x} asks for nothing known")));
    }
    let devices = if count == 0 { Vec::new() } else { devices.slice(count as usize, "deviceIdList")? };
    for (at, &device) in devices.iter().enumerate() {
        context::device(device as i32)?;
        if devices[..at].contains(&device) {
            return Err(Failure::new(INVALID_PARAM, format!("device {device} is named twice")));
        }
    }
    for (bit, name, what) in KINDS {
        if data & bit & !COLLECTED != 0 {
            crate::unsupported::warn_once(name, &format!("{what}: not collected"));
        }
    }
    Ok(Config { devices, data })
}

fn stop(session: &mut Session, handle: Handle) -> Result<()> {
    let at = session.running.iter().position(|(running, _)| *running == handle);
    let (_, collection) =
        session.running.remove(at.ok_or_else(|| {
            Failure::new(PROF_NOT_RUN, "profiling was not started with this configuration")
        })?);
    let number = {
        let mut folders = FOLDERS.lock();
        *folders += 1;
        *folders
    };
    let data = collection.finish(PATIENCE);
    write::write(&session.path, number, &session.settings, &data)
        .map_err(|e| Failure::new(crate::code::WRITE_FILE, format!("{}: {e}", session.path.display())))?;
    Ok(())
}

/// The session and the configuration, if collecting can start with it.
fn check_start(session: Option<&mut Session>, handle: Handle) -> Result<(&mut Session, Arc<Config>)> {
    crate::abi::need_address(handle, "profilerConfig")?;
    let wanted = CONFIGS.get(handle).map_err(|failure| failure.code(INVALID_PARAM))?;
    let session = session.ok_or_else(not_running)?;
    let busy = |device: &&u32| session.running.iter().any(|(_, other)| other.config.devices.contains(device));
    if let Some(device) = wanted.devices.iter().find(busy) {
        return Err(Failure::new(PROF_ALREADY_RUN, format!("device {device} is profiled already")));
    }
    if session.running.iter().any(|(running, _)| *running == handle) {
        return Err(Failure::new(PROF_ALREADY_RUN, "profiling was started with this configuration"));
    }
    Ok((session, wanted))
}

/// At aclFinalize: writes what a program that forgot to stop has collected, while there are devices.
pub fn finalize() {
    let Some(mut session) = SESSION.lock().take() else { return };
    while let Some(&(handle, _)) = session.running.first() {
        if let Err(failure) = stop(&mut session, handle) {
            log::error!("profile: {}", failure.text);
        }
    }
}

/// True from aclprofInit to aclprofFinalize.
fn is_initialised() -> bool {
    SESSION.lock().is_some()
}

entry! {
    fn aclprofInit(path: In<u8>, len: usize) {
        let path = text(path, len, LONGEST_PATH, "profilerResultPath")?;
        if subscribe::is_subscribed() {
            return Err(Failure::new(PROF_API_CONFLICT, "a model is subscribed"));
        }
        let mut session = SESSION.lock();
        if session.is_some() {
            return Err(Failure::new(PROF_ALREADY_RUN, "profiling is initialised already"));
        }
        *session = Some(Session { path: folder(&path)?, settings: BTreeMap::new(), running: Vec::new() });
        Ok(())
    }

    fn aclprofFinalize() {
        let mut session = SESSION.lock().take().ok_or_else(not_running)?;
        while let Some(&(handle, _)) = session.running.first() {
            stop(&mut session, handle)?;
        }
        Ok(())
    }

    fn aclprofDestroyConfig(config: Handle) {
        crate::abi::need_address(config, "profilerConfig")?;
        CONFIGS.remove(config).map(drop).map_err(|failure| failure.code(INVALID_PARAM))
    }

    fn aclprofSetConfig(kind: u32, value: In<u8>, len: usize) {
        const PATH: u32 = 16;
        const END: u32 = 17;
        if kind == 0 || kind == 2 || kind >= END {
            return Err(Failure::new(INVALID_PARAM, format!("there is no setting {kind}")));
        }
        let value = text(value, len, LONGEST_SETTING, "config")?;
        let mut session = SESSION.lock();
        if kind == PATH {
            let path = folder(&value)?;
            match &mut *session {
                Some(session) => session.path = path,
                None => *session = Some(Session { path, settings: BTreeMap::new(), running: Vec::new() }),
            }
            return Ok(());
        }
        session.as_mut().ok_or_else(not_running)?.settings.insert(kind, value);
        Ok(())
    }

    fn aclprofWarmup(config: Handle) {
        let mut session = SESSION.lock();
        check_start(session.as_mut(), config)?;
        vinci::profile::Recording::start()?;
        Ok(())
    }

    fn aclprofStart(config: Handle) {
        let mut session = SESSION.lock();
        let (session, wanted) = check_start(session.as_mut(), config)?;
        session.running.push((config, Collection::start(wanted)?));
        Ok(())
    }

    fn aclprofStop(config: Handle) {
        crate::abi::need_address(config, "profilerConfig")?;
        CONFIGS.get(config).map_err(|failure| failure.code(INVALID_PARAM))?;
        stop(SESSION.lock().as_mut().ok_or_else(not_running)?, config)
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn aclprofCreateConfig(
    devices: In<u32>,
    count: u32,
    _metrics: u32,
    events: Handle,
    data: u64,
) -> Handle {
    call_or("aclprofCreateConfig", 0, || CONFIGS.insert(Arc::new(make_config(devices, count, events, data)?)))
}
