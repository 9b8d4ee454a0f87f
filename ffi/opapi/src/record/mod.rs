//! Records of operators: what each was called with and what it made, a file for each, in the folder that
//! `VINCI_RECORD` names (`vinci run --record`).
//!
//! Phase 1 keeps the arguments of an operator's declaration with its executor; phase 2 waits for the stream before and
//! after its launches, reads the tensors at both places and writes the file. An operator that cannot be recorded runs.

mod argument;
mod file;

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::{fs, io};

use parking_lot::Mutex;

use crate::error::{OpError, Result};
use crate::link;
use crate::program::Program;
pub use argument::{Argument, Named, Role};

/// The variable that names the folder.
const VARIABLE: &str = "VINCI_RECORD";

/// Where records go.
pub struct Recorder {
    folder: PathBuf,
    /// Of the last file.
    number: AtomicU64,
    /// What the log was told already.
    told: Mutex<BTreeSet<String>>,
}

impl Recorder {
    /// Makes the folder if need be. Numbers go on where a process before left off.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut last = 0;
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let number = name.to_string_lossy().split('-').next().and_then(|n| n.parse().ok());
            last = last.max(number.unwrap_or(0));
        }
        let (folder, told) = (folder.to_owned(), Mutex::default());
        Ok(Self { folder, number: AtomicU64::new(last), told })
    }

    /// Says something once.
    fn tell(&self, text: String) {
        if self.told.lock().insert(text.clone()) {
            link::warn(&format!("{VARIABLE}: {text}"));
        }
    }
}

/// False once it is known that nothing is recorded: all that a process without records looks at.
static MAY_BE_ON: AtomicBool = AtomicBool::new(true);

/// Whether operators are recorded.
pub fn is_on() -> bool {
    MAY_BE_ON.load(Ordering::Relaxed) && recorder().is_some()
}

#[cfg(not(test))]
fn recorder() -> Option<&'static Recorder> {
    static RECORDER: std::sync::OnceLock<Option<Recorder>> = std::sync::OnceLock::new();
    let open = || {
        let folder = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from)?;
        match Recorder::open(&folder) {
            Ok(recorder) => Some(recorder),
            Err(e) => {
                link::warn(&format!("{VARIABLE}: {}: {e}; nothing is recorded", folder.display()));
                None
            }
        }
    };
    let found = RECORDER.get_or_init(open).as_ref();
    MAY_BE_ON.store(found.is_some(), Ordering::Relaxed);
    found
}

#[cfg(test)]
thread_local! {
    /// In unit tests each thread has its own.
    pub static RECORDER: std::cell::Cell<Option<&'static Recorder>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
fn recorder() -> Option<&'static Recorder> {
    RECORDER.get()
}

/// Runs `launches` of operator `name` and records what was before and is after it.
#[cold]
pub fn around(
    name: &str,
    arguments: &[Named],
    program: &Program,
    stream: *mut c_void,
    launches: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let Some(recorder) = recorder() else { return launches() };
    if link::is_captured(stream).unwrap_or(false) {
        recorder.tell("operators that a stream captures are not recorded".into());
        return launches();
    }
    link::wait(stream).map_err(OpError::Runtime)?;
    let mut record = file::Record::new(name, arguments, program);
    let before = record.read_before();
    let result = launches().and_then(|()| link::wait(stream).map_err(OpError::Runtime));
    let after = if result.is_ok() { record.read_after() } else { Ok(()) };
    if let Err(what) = before.and(after) {
        recorder.tell(format!("{name}: {what}"));
    }
    let status = result.as_ref().map_or_else(OpError::code, |()| 0);
    if let Err(why) = record.write(recorder, status) {
        recorder.tell(format!("{}: {why}; what cannot be written is left out", recorder.folder.display()));
    }
    result
}
