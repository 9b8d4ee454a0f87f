//! Notifies.

use std::time::Duration;

use vinci::Notify;

use crate::abi::{Handle, Out, need_address};
use crate::code::{Result, invalid};
use crate::handle::{Kind, Table};
use crate::{context, stream};

static NOTIFIES: Table<Notify> = Table::new(Kind::Notify);

fn get(notify: Handle) -> Result<Notify> {
    need_address(notify, "notify")?;
    NOTIFIES.get(notify)
}

entry! {
    fn aclrtCreateNotify(notify: Out<Handle>, flag: u64) {
        let place = notify.need("notify")?;
        if flag > 1 {
            return Err(invalid(format!("flag {flag:#x} is not an ACL_NOTIFY_ flag")));
        }
        let (_, context) = context::current()?;
        place.put(NOTIFIES.insert(Notify::new(&context.device)?)?);
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
}
