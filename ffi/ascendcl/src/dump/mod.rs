//! Dumps: inputs and outputs of operators, of those that failed, and what operators were called with.
//! libascend_dump.so is another name of it.
//!
//! libopapi.so shows each launch before and after it (`vinci_dump`). To read what an operator was given and what it
//! made, the stream is waited for at both places: who dumps asks for that. Those that fail are remembered only.

mod args;
mod config;
mod custom;
mod failed;
mod file;
mod launch;

use std::ffi::{CString, c_char};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::abi::{Text, TextOut};
use crate::code::{DUMP_NOT_RUN, Failure, INVALID_PARAM, REPEAT_INITIALIZE, Result, UNINITIALIZE};
use crate::{context, system};
pub use config::{Config, Scene};
pub use failed::on_fault;
pub use launch::{Place, Shown, show};

static STATE: Mutex<State> =
    Mutex::new(State { config: None, by_init: false, initialised: false, args: None });
/// When launches must be shown: [`launch::BEFOREHAND`], [`launch::AFTERWARDS`].
static WANTED: AtomicU32 = AtomicU32::new(0);

struct State {
    config: Option<Arc<Config>>,
    /// The configuration came with aclInit.
    by_init: bool,
    /// aclmdlInitDump was called.
    initialised: bool,
    /// Where aclopStartDumpArgs writes.
    args: Option<Arc<args::Writer>>,
}

impl State {
    fn changed(&self) {
        let before = self.config.is_some() || self.args.is_some();
        let after = self.config.as_ref().is_some_and(|config| config.scene == Scene::Data);
        let bit = |wanted, bit| if wanted { bit } else { 0 };
        WANTED.store(bit(before, launch::BEFOREHAND) | bit(after, launch::AFTERWARDS), Ordering::Release);
    }
}

/// When launches are to be shown, as bits of `vinci_observed`.
pub fn wanted() -> u32 {
    WANTED.load(Ordering::Relaxed)
}

fn config() -> Option<Arc<Config>> {
    STATE.lock().config.clone()
}

/// Takes the "dump" object of the file that aclInit reads.
pub fn configure_by_init(json: &serde_json::Value) -> Result<()> {
    let found = config::read(json)?;
    let mut state = STATE.lock();
    state.by_init = found.is_some();
    state.config = found.map(Arc::new);
    state.changed();
    Ok(())
}

/// Forgets everything, at aclFinalize.
pub fn finalize() {
    let mut state = STATE.lock();
    *state = State { config: None, by_init: false, initialised: false, args: None };
    state.changed();
    failed::forget();
}

/// Who wants to know of launches: the dumps of tensors, and of arguments.
fn readers() -> (Option<Arc<Config>>, Option<Arc<args::Writer>>) {
    let state = STATE.lock();
    (state.config.clone(), state.args.clone())
}

fn need_init() -> Result<()> {
    if system::is_initialised() {
        return Ok(());
    }
    Err(Failure::new(UNINITIALIZE, "AscendCL is not initialised: call aclInit"))
}

fn not_running() -> Failure {
    Failure::new(DUMP_NOT_RUN, "dumps are not initialised: call aclmdlInitDump")
}

/// `<dump_path>/extra-info/data-dump/<device>`.
fn failed_path(config: &Config) -> Result<PathBuf> {
    let device = context::current()?.1.device.ordinal();
    Ok(config.path.join("extra-info/data-dump").join(device.to_string()))
}

/// The configuration, if it asks for dumps of failed operators.
fn failed_config() -> Result<Arc<Config>> {
    let none = || Failure::new(DUMP_NOT_RUN, "dumps of failed operators are not configured (\"dump_scene\")");
    config().filter(|config| matches!(config.scene, Scene::Failed(_))).ok_or_else(none)
}

entry! {
    fn aclmdlInitDump() {
        need_init()?;
        let mut state = STATE.lock();
        if state.by_init || state.initialised {
            return Err(Failure::new(REPEAT_INITIALIZE, "dumps are initialised already"));
        }
        state.initialised = true;
        Ok(())
    }

    fn aclmdlSetDump(path: Text) {
        need_init()?;
        let path = path.need("dumpCfgPath")?;
        if !STATE.lock().initialised {
            return Err(not_running());
        }
        let found = config::read(&system::read_json(&path)?.1)?;
        let mut state = STATE.lock();
        state.config = found.map(Arc::new);
        state.changed();
        Ok(())
    }

    fn aclmdlFinalizeDump() {
        need_init()?;
        let mut state = STATE.lock();
        if !state.initialised {
            return Err(not_running());
        }
        state.initialised = false;
        state.config = None;
        state.changed();
        Ok(())
    }

    fn acldumpRegCallback(callback: Option<file::Callback>, flag: i32) {
        let callback = callback.ok_or_else(|| crate::abi::null("messageCallback"))?;
        if flag != 0 {
            return Err(Failure::new(INVALID_PARAM, format!("flag is {flag}, not 0")));
        }
        file::set_callback(Some(callback));
        Ok(())
    }

    fn aclopStartDumpArgs(kind: u32, path: Text) {
        args::check_kind(kind)?;
        let path = path.need("path")?;
        let mut state = STATE.lock();
        if state.args.is_some() {
            return Err(Failure::new(REPEAT_INITIALIZE, "arguments of operators are dumped already"));
        }
        state.args = Some(Arc::new(args::Writer::new(Path::new(&path))?));
        state.changed();
        Ok(())
    }

    fn aclopStopDumpArgs(kind: u32) {
        args::check_kind(kind)?;
        let mut state = STATE.lock();
        if state.args.take().is_none() {
            return Err(Failure::new(DUMP_NOT_RUN, "arguments of operators are not dumped"));
        }
        state.changed();
        Ok(())
    }

    fn acldumpGetExceptionInfoPath(path: TextOut, room: usize) {
        let folder = failed_path(&*failed_config()?)?;
        path.put("path", room, &format!("{}/", folder.display()))
    }

    fn acldumpSaveExceptionInfo(name: Text, tag: Text, tensors: *const custom::TensorInfo, count: usize) {
        custom::save(&failed_path(&*failed_config()?)?, &name.need("fileName")?, tag.maybe(), tensors, count)
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn acldumpUnregCallback() {
    file::set_callback(None);
}

#[unsafe(no_mangle)]
pub extern "C" fn acldumpGetPath(kind: u32) -> *const c_char {
    const DATA: u32 = 4;
    /// Texts that programs were given live as long as the process.
    static GIVEN: Mutex<Vec<CString>> = Mutex::new(Vec::new());
    let path = config().and_then(|config| match config.scene {
        Scene::Data if kind == DATA => Some(config.path.clone()),
        Scene::Failed(own) if kind == own => Some(config.path.clone()),
        _ => None,
    });
    let Some(path) = path.and_then(|path| CString::new(path.to_string_lossy().into_owned()).ok()) else {
        return std::ptr::null();
    };
    let mut given = GIVEN.lock();
    if !given.contains(&path) {
        given.push(path.clone());
    }
    given.iter().find(|known| **known == path).map_or(std::ptr::null(), |known| known.as_ptr())
}
