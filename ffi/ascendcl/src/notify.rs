//! Notifies.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use vinci::Notify;
use vinci::ipc::{self, Export};

use crate::abi::{Handle, In, Out, Text, TextOut, need_address};
use crate::code::{Result, invalid};
use crate::handle::{Kind, Table};
use crate::{context, share, stream};

const DISABLE_PID_VALIDATION: u64 = 2;
const ENABLE_PEER_ACCESS: u64 = 2;

static NOTIFIES: Table<Arc<Made>> = Table::new(Kind::Notify);

/// A notify, and the key that was given away.
struct Made {
    notify: Notify,
    export: Mutex<Option<Export>>,
}

fn made(notify: Handle) -> Result<Arc<Made>> {
    need_address(notify, "notify")?;
    NOTIFIES.get(notify)
}

fn get(notify: Handle) -> Result<Notify> {
    made(notify).map(|made| made.notify.clone())
}

fn insert(notify: Notify) -> Result<Handle> {
    NOTIFIES.insert(Arc::new(Made { notify, export: Mutex::new(None) }))
}

entry! {
    fn aclrtCreateNotify(notify: Out<Handle>, flag: u64) {
        let place = notify.need("notify")?;
        if flag > 1 {
            return Err(invalid(format!("flag {flag:#x} is not an ACL_NOTIFY_ flag")));
        }
        let (_, context) = context::current()?;
        place.put(insert(Notify::shared(&context.device)?)?);
        Ok(())
    }

    fn aclrtDestroyNotify(notify: Handle) {
        need_address(notify, "notify")?;
        NOTIFIES.remove(notify).map(drop)
    }

    fn aclrtRecordNotify(notify: Handle, stream: Handle) {
        let notify = get(notify)?;
        stream::named(stream)?.stream.record_notify(&notify)?;
        Ok(())
    }

    /// The timeout is in seconds.
    fn aclrtWaitAndResetNotify(notify: Handle, stream: Handle, timeout: u32) {
        let notify = get(notify)?;
        let timeout = (timeout != 0).then(|| Duration::from_secs(timeout.into()));
        stream::named(stream)?.stream.wait_notify(&notify, timeout)?;
        Ok(())
    }

    fn aclrtGetNotifyId(notify: Handle, notify_id: Out<u32>) {
        let place = notify_id.need("notifyId")?;
        place.put(get(notify)?.id());
        Ok(())
    }

    fn aclrtNotifyGetExportKey(notify: Handle, key: TextOut, room: usize, flags: u64) {
        let made = made(notify)?;
        if flags & !DISABLE_PID_VALIDATION != 0 {
            return Err(invalid(format!("flags {flags:#x} is not an ACL_RT_NOTIFY_EXPORT_FLAG_")));
        }
        share::check_room(room)?;
        let mut export = made.export.lock();
        let export = match &mut *export {
            Some(export) => export,
            none => none.insert(Export::notify(&made.notify, flags != 0)?),
        };
        key.put("key", room, &export.key().to_string())
    }

    fn aclrtNotifySetImportPid(notify: Handle, list: In<i32>, count: usize) {
        let made = made(notify)?;
        let pids = share::pids(list, count)?;
        let export = made.export.lock();
        let export = export.as_ref().ok_or_else(|| invalid("the notify was not exported"))?;
        export.allow(&pids);
        Ok(())
    }

    fn aclrtNotifyImportByKey(notify: Out<Handle>, key: Text, flags: u64) {
        let (place, key) = (notify.need("notify")?, key.need("key")?);
        if flags & !ENABLE_PEER_ACCESS != 0 {
            return Err(invalid(format!("flags {flags:#x} is not an ACL_RT_NOTIFY_IMPORT_FLAG_")));
        }
        let (_, context) = context::current()?;
        let notify = ipc::import_notify(key.parse()?)?;
        if flags != 0 {
            share::enable_peer(&context.device, &notify.device())?;
        }
        place.put(insert(notify)?);
        Ok(())
    }
}
