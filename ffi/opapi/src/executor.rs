//! The two phases: a program is written and kept behind an executor's handle, then launched.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{OpError, Result, invalid, status};
use crate::link;
use crate::objects::{self, Object};
use crate::program::{Found, Launch, Program};
use crate::record::{self, Named};
use crate::view::dense_strides;

/// What phase 1 leaves for phase 2.
pub struct Executor {
    name: &'static str,
    program: Program,
    /// The arguments, if they are recorded.
    arguments: Option<Vec<Named>>,
    /// Stays after phase 2 until it is destroyed.
    repeatable: AtomicBool,
}

/// Phase 1 of operator `name`: `write` checks the arguments and writes the program; `arguments` gives them for a record.
///
/// # Safety
/// Unless they are null, both places can be written.
pub unsafe fn prepare(
    name: &'static str,
    workspace_size: *mut u64,
    executor: *mut *mut c_void,
    arguments: impl FnOnce() -> Vec<Named>,
    write: impl FnOnce(&mut Program) -> Result<()>,
) -> i32 {
    status(name, || {
        if workspace_size.is_null() {
            return Err(OpError::Null("workspaceSize"));
        }
        if executor.is_null() {
            return Err(OpError::Null("executor"));
        }
        let mut program = Program::default();
        write(&mut program)?;
        let bytes = program.workspace;
        let arguments = record::is_on().then(arguments);
        let made = Executor { name, program, arguments, repeatable: AtomicBool::new(false) };
        // SAFETY: by this function's contract.
        unsafe {
            workspace_size.write(bytes);
            executor.write(objects::insert(Object::Executor(Arc::new(made))));
        }
        Ok(())
    })
}

/// Phase 2 of operator `name`: launches the program, and frees the executor unless it is repeatable.
pub fn run(
    name: &'static str,
    workspace: *mut c_void,
    size: u64,
    executor: *mut c_void,
    stream: *mut c_void,
) -> i32 {
    status(name, || {
        let e = objects::executor("executor", executor)?;
        if e.name != name {
            return Err(invalid!("the executor was made by {}GetWorkspaceSize", e.name));
        }
        if !e.repeatable.load(Ordering::Acquire) {
            objects::remove(executor);
        }
        let need = e.program.workspace;
        if need != 0 && (workspace.is_null() || size < need) {
            return Err(invalid!(
                "the workspace has {size} bytes at {workspace:p}; phase 1 asked for {need}"
            ));
        }
        match &e.arguments {
            None => execute(name, &e.program, workspace, stream),
            Some(arguments) => record::around(name, arguments, &e.program, stream, || {
                execute(name, &e.program, workspace, stream)
            }),
        }
    })
}

/// Launches a program as operator `name`.
pub fn execute(name: &str, program: &Program, workspace: *mut c_void, stream: *mut c_void) -> Result<()> {
    if program.launches.is_empty() {
        return link::check_stream(stream).map_err(OpError::Runtime);
    }
    let place = workspace as u64;
    match link::observed() {
        0 => program.launches.iter().try_for_each(|l| launch(l, place, stream))?,
        wanted => observed(name, program, place, stream, wanted)?,
    }
    program.found.iter().try_for_each(|f| resize(f, place, stream))
}

/// Launches with whoever wants to know told of it.
fn observed(name: &str, program: &Program, workspace: u64, stream: *mut c_void, wanted: u32) -> Result<()> {
    let show = |l: &Launch, bit, when| match wanted & bit {
        0 => Ok(()),
        _ => l.block(workspace, |args| link::dump(stream, when, l.name, l.outputs, args)),
    };
    if wanted & link::OPERATORS != 0 {
        link::operator_begin(name);
    }
    let result = program.launches.iter().try_for_each(|l| {
        show(l, link::BEFOREHAND, link::BEFORE).map_err(OpError::Runtime)?;
        launch(l, workspace, stream)?;
        show(l, link::AFTERWARDS, link::AFTER).map_err(OpError::Runtime)
    });
    if wanted & link::OPERATORS != 0 {
        link::operator_end();
    }
    result
}

fn launch(l: &Launch, workspace: u64, stream: *mut c_void) -> Result<()> {
    l.block(workspace, |args| link::launch(stream, l.kernel, args)).map_err(OpError::Runtime)
}

/// Waits for a number and gives a tensor the shape that it decides.
fn resize(found: &Found, workspace: u64, stream: *mut c_void) -> Result<()> {
    let count = link::read_back(stream, workspace + found.count.place()).map_err(OpError::Runtime)?;
    let handle = found.tensor as *const c_void;
    let mut tensor = (*objects::tensor("out", handle)?).clone();
    tensor.dims = found.dims.iter().map(|d| d.unwrap_or(count)).collect();
    tensor.strides = dense_strides(&tensor.dims);
    objects::replace(handle, Object::Tensor(Arc::new(tensor)));
    Ok(())
}

/// Lets an executor be used for phase 2 more than once.
#[unsafe(no_mangle)]
pub extern "C" fn aclSetAclOpExecutorRepeatable(executor: *mut c_void) -> i32 {
    status("aclSetAclOpExecutorRepeatable", || {
        objects::executor("executor", executor)?.repeatable.store(true, Ordering::Release);
        Ok(())
    })
}

/// Destroys a repeatable executor, or one whose phase 2 never came.
#[unsafe(no_mangle)]
pub extern "C" fn aclDestroyAclOpExecutor(executor: *mut c_void) -> i32 {
    status("aclDestroyAclOpExecutor", || {
        objects::executor("executor", executor)?;
        objects::remove(executor);
        Ok(())
    })
}

/// Initialises the operator library; there is nothing to do.
///
/// The argument is the path of a configuration that this library has no use for.
#[unsafe(no_mangle)]
pub extern "C" fn aclnnInit(_config_path: *const std::ffi::c_char) -> i32 {
    0
}

/// The counterpart of `aclnnInit`.
#[unsafe(no_mangle)]
pub extern "C" fn aclnnFinalize() -> i32 {
    0
}
