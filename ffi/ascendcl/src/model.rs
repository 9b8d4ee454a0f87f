//! Model instances: graphs of tasks, captured from streams or built on streams that are bound to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use vinci::Graph;

use crate::abi::{Address, Handle, Out, Text, TextOut, need_address};
use crate::callback::Callback;
use crate::code::{
    Failure, RT_MODEL_CAPTURED, RT_MODEL_CONTEXT, RT_MODEL_EXECUTE, RT_MODEL_RUNNING, RT_STREAM_CAPTURED,
    RT_STREAM_MODEL, Result, invalid,
};
use crate::handle::{Kind, Table};
use crate::stream::{self, timeout_ms};
use crate::{capture, context, exception, model_task};

pub static MODELS: Table<Arc<Model>> = Table::new(Kind::Model);

/// A stream that a model instance can be bound to.
const STREAM_PERSISTENT: u32 = 0x04;
/// The stream starts with the model, or when it is activated.
const STREAM_HEAD: u32 = 0;
const STREAM_DEFAULT: u32 = 0x7fff_ffff;
/// Longest name that aclmdlRIGetName answers.
const LONGEST_NAME: usize = 512;

/// A model instance and what C programs attach to it.
pub struct Model {
    pub graph: Graph,
    context: Handle,
    /// The end of its tasks was marked.
    ended: AtomicBool,
    at_destroy: Mutex<Vec<(Callback, Address)>>,
}

pub fn insert(graph: Graph, context: Handle) -> Result<Handle> {
    let (ended, at_destroy) = Default::default();
    MODELS.insert(Arc::new(Model { graph, context, ended, at_destroy }))
}

/// The model instance that a program names; it must belong to the current context.
pub fn named(handle: Handle) -> Result<Arc<Model>> {
    need_address(handle, "modelRI")?;
    let model = MODELS.get(handle)?;
    let (current, _) = context::current()?;
    if model.context != current {
        let text = format!(
            "model instance {handle:#x} belongs to context {:#x}; context {current:#x} is current",
            model.context
        );
        return Err(Failure::new(RT_MODEL_CONTEXT, text));
    }
    Ok(model)
}

/// Ends the model instances of a context.
pub fn destroy_all(context: Handle) {
    for (handle, model) in MODELS.all() {
        if model.context == context && MODELS.remove(handle).is_ok() {
            finish(&model);
        }
    }
}

/// What goes with a model instance.
fn finish(model: &Model) {
    model.graph.unbind_all();
    capture::forget_groups(&model.graph);
    model_task::forget(&model.graph);
    for (callback, data) in std::mem::take(&mut *model.at_destroy.lock()) {
        callback(data);
    }
}

impl Model {
    fn check_built(&self) -> Result<()> {
        if self.graph.is_captured() {
            Err(invalid("the model instance was captured, not built"))
        } else {
            Ok(())
        }
    }

    /// Fails unless it can be executed.
    fn check_complete(&self) -> Result<()> {
        if self.graph.is_captured() || (self.ended.load(Ordering::Acquire) && self.graph.is_complete()) {
            return Ok(());
        }
        let text = "the model instance is not built: aclmdlRIEndTask and aclmdlRIBuildEnd complete it";
        Err(Failure::new(RT_MODEL_EXECUTE, text))
    }
}

/// A stream that is bound to `model`.
fn bound(handle: Handle, model: &Model) -> Result<Arc<stream::Stream>> {
    need_address(handle, "stream")?;
    let stream = stream::named(handle)?;
    if stream.stream.bound_to().is_none_or(|graph| graph != model.graph) {
        let text = format!("stream {handle:#x} is not bound to the model instance");
        return Err(Failure::new(RT_STREAM_MODEL, text));
    }
    Ok(stream)
}

entry! {
    fn aclmdlRIBuildBegin(model: Out<Handle>, flag: u32) {
        let place = model.need("modelRI")?;
        if flag != 0 {
            return Err(invalid(format!("flag {flag:#x} is not 0")));
        }
        let (handle, context) = context::current()?;
        place.put(insert(Graph::new(&context.device)?, handle)?);
        Ok(())
    }

    fn aclmdlRIBindStream(model: Handle, handle: Handle, flag: u32) {
        let model = named(model)?;
        need_address(handle, "stream")?;
        model.check_built()?;
        let stream = stream::named(handle)?;
        if flag != STREAM_HEAD && flag != STREAM_DEFAULT {
            return Err(invalid(format!("flag {flag:#x} is not an ACL_MODEL_STREAM_FLAG_")));
        }
        if stream.flags() & STREAM_PERSISTENT == 0 {
            let text = format!("stream {handle:#x} was made without ACL_STREAM_PERSISTENT");
            return Err(invalid(text));
        }
        if stream.stream.bound_to().is_some() {
            return Err(invalid(format!("stream {handle:#x} is bound to a model instance already")));
        }
        Ok(model.graph.bind(&stream.stream, flag == STREAM_HEAD)?)
    }

    fn aclmdlRIUnbindStream(model: Handle, handle: Handle) {
        let model = named(model)?;
        model.check_built()?;
        let stream = bound(handle, &model)?;
        Ok(model.graph.unbind(&stream.stream)?)
    }

    fn aclmdlRIEndTask(model: Handle, handle: Handle) {
        let model = named(model)?;
        model.check_built()?;
        let stream = bound(handle, &model)?;
        model.graph.end_lane(&stream.stream)?;
        model.ended.store(true, Ordering::Release);
        Ok(())
    }

    fn aclmdlRIBuildEnd(model: Handle, reserve: Address) {
        let model = named(model)?;
        if reserve != 0 {
            return Err(invalid("reserve is not NULL"));
        }
        model.check_built()?;
        Ok(model.graph.finish()?)
    }

    fn aclmdlRIExecute(model: Handle, timeout: i32) {
        let timeout = timeout_ms(timeout)?;
        let model = named(model)?;
        model.check_built()?;
        model.check_complete()?;
        Ok(model.graph.run(timeout)?)
    }

    fn aclmdlRIExecuteAsync(model: Handle, handle: Handle) {
        let model = named(model)?;
        model.check_complete()?;
        let stream = stream::named(handle)?;
        if stream.stream.capture().is_some() {
            let text = format!("stream {handle:#x} is being captured");
            return Err(Failure::new(RT_STREAM_CAPTURED, text));
        }
        if stream.flags() & STREAM_PERSISTENT != 0 {
            let text = format!("stream {handle:#x} was made with ACL_STREAM_PERSISTENT; it runs no model instances");
            return Err(invalid(text));
        }
        model.graph.replay(&stream.stream).map_err(|error| exception::failure_of(&stream, error))
    }

    fn aclmdlRIAbort(model: Handle) {
        let model = named(model)?;
        model.check_built()?;
        Ok(model.graph.abort()?)
    }

    fn aclmdlRIDestroy(handle: Handle) {
        let model = named(handle)?;
        if model.graph.is_captured() && !model.graph.is_complete() {
            let text = format!("model instance {handle:#x} is being captured; aclmdlRICaptureEnd comes first");
            return Err(Failure::new(RT_MODEL_CAPTURED, text));
        }
        if model.graph.is_running() {
            let text = format!("model instance {handle:#x} is being executed");
            return Err(Failure::new(RT_MODEL_RUNNING, text));
        }
        MODELS.remove(handle)?;
        finish(&model);
        Ok(())
    }

    fn aclmdlRISetName(model: Handle, name: Text) {
        let model = named(model)?;
        model.graph.set_name(&name.need("name")?);
        Ok(())
    }

    /// A name that is too long for the room is cut.
    fn aclmdlRIGetName(model: Handle, room: u32, name: TextOut) {
        let model = named(model)?;
        if room == 0 {
            return Err(invalid("maxLen is 0"));
        }
        let mut text = model.graph.name();
        let mut end = text.len().min(LONGEST_NAME - 1).min(room as usize - 1);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        name.put("name", room as usize, &text)
    }

    fn aclmdlRIGetId(model: Handle, id: Out<u32>) {
        let model = named(model)?;
        id.need("modelRIId")?.put(model.graph.id());
        Ok(())
    }

    fn aclmdlRIDestroyRegisterCallback(model: Handle, callback: Option<Callback>, data: Address) {
        let model = named(model)?;
        let callback = callback.ok_or_else(|| crate::abi::null("func"))?;
        model.at_destroy.lock().push((callback, data));
        Ok(())
    }

    fn aclmdlRIDestroyUnregisterCallback(model: Handle, callback: Option<Callback>) {
        let model = named(model)?;
        let callback = callback.ok_or_else(|| crate::abi::null("func"))?;
        let mut callbacks = model.at_destroy.lock();
        let position = callbacks.iter().position(|(known, _)| std::ptr::fn_addr_eq(*known, callback));
        let position = position.ok_or_else(|| invalid("the callback is not registered"))?;
        callbacks.remove(position);
        Ok(())
    }
}
