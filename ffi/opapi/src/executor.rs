//! The two phases: a program is written and kept behind an executor's handle, then launched.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vinci_hw::args::ArgsBuilder;

use crate::error::{OpError, Result, invalid, status};
use crate::link;
use crate::objects::{self, Object};
use crate::program::{Found, Launch, Program};
use crate::view::{Base, View, dense_strides};

/// What phase 1 leaves for phase 2.
pub struct Executor {
    name: &'static str,
    program: Program,
    /// Stays after phase 2 until it is destroyed.
    repeatable: AtomicBool,
}

/// Words of the largest argument block: enough for a concatenation of 64 tensors.
const ARGS_WORDS: usize = 2 + 66 * 18 + 16;
/// Tensors and attributes of most launches, whose block is not worth clearing as many words.
const FEW: (usize, usize) = (5, 20);

/// Phase 1 of operator `name`: `write` checks the arguments and writes the program.
///
/// # Safety
/// Unless they are null, both places can be written.
pub unsafe fn prepare(
    name: &'static str,
    workspace_size: *mut u64,
    executor: *mut *mut c_void,
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
        let made = Executor { name, program, repeatable: AtomicBool::new(false) };
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
        if e.program.launches.is_empty() {
            return link::check_stream(stream).map_err(OpError::Runtime);
        }
        let wanted = link::observed();
        if wanted == 0 {
            e.program.launches.iter().try_for_each(|l| launch(l, workspace, stream))?;
            return settle(&e.program, workspace, stream);
        }
        link::operator_begin(name);
        let result = e.program.launches.iter().try_for_each(|l| {
            dump(l, workspace, stream, wanted, link::BEFORE)?;
            launch(l, workspace, stream)?;
            dump(l, workspace, stream, wanted, link::AFTER)
        });
        link::operator_end();
        result?;
        settle(&e.program, workspace, stream)
    })
}

/// Gives the tensors whose shape the data decide their shape.
fn settle(program: &Program, workspace: *mut c_void, stream: *mut c_void) -> Result<()> {
    program.found.iter().try_for_each(|f| resize(f, workspace as u64, stream))
}

fn launch(l: &Launch, workspace: *mut c_void, stream: *mut c_void) -> Result<()> {
    if l.views.len() <= FEW.0 && l.attrs.len() <= FEW.1 {
        return launch_in::<{ 2 + FEW.0 * 18 + FEW.1 }>(l, workspace, stream);
    }
    launch_in::<ARGS_WORDS>(l, workspace, stream)
}

fn launch_in<const WORDS: usize>(l: &Launch, workspace: *mut c_void, stream: *mut c_void) -> Result<()> {
    let full = |e: vinci_hw::args::ArgsError| OpError::Inner(e.to_string());
    let mut args = ArgsBuilder::<WORDS>::new();
    for view in &l.views {
        args.tensor(&view.arg(workspace as u64)?).map_err(full)?;
    }
    for &bits in &l.attrs {
        args.attr(bits).map_err(full)?;
    }
    link::launch(stream, l.kernel, args.finish()).map_err(OpError::Runtime)
}

/// Shows a launch to whoever dumps operators.
#[cold]
fn dump(l: &Launch, workspace: *mut c_void, stream: *mut c_void, wanted: u32, when: u32) -> Result<()> {
    if wanted & link::DUMPS == 0 {
        return Ok(());
    }
    let tensor = |(at, view): (usize, &View)| link::Tensor {
        address: match view.base {
            Base::Device(address) => address,
            Base::Workspace(offset) => workspace as u64 + offset,
        },
        dtype: view.dtype as i32,
        output: u32::from(at < l.outputs),
        rank: view.dims.len(),
        dims: view.dims.as_ptr(),
        strides: view.strides.as_ptr(),
    };
    let tensors: Vec<_> = l.views.iter().enumerate().map(tensor).collect();
    link::dump(stream, when, l.name, &tensors, &l.attrs).map_err(OpError::Runtime)
}

/// Waits for a number and gives a tensor the shape that it decides.
fn resize(found: &Found, workspace: u64, stream: *mut c_void) -> Result<()> {
    let address = found.count.arg(workspace)?.va;
    let count = link::read_back(stream, address).map_err(OpError::Runtime)?;
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
