//! Queues.

use vinci_abi::abi::{Address, Handle, In, Out, need_address};
use vinci_abi::code::{FEATURE_UNSUPPORTED, Failure, RT_QUEUE_EMPTY, RT_QUEUE_FULL, Result};
use vinci_abi::wait::{Deadline, Watched};

use crate::attr::attr;
use crate::buffer::{Travelling, USER_BYTES};
use crate::invalid;
use crate::state::State;

const PERMISSIONS: u32 = 0b111;

/// Every queue of the process.
pub static STATE: Watched<State<Travelling>> = Watched::new(State::new());

fn push(queue: u32, item: &mut Option<Travelling>, timeout: i32) -> Result<()> {
    let full = || Err(Failure::new(RT_QUEUE_FULL, format!("queue {queue} had no room in time")));
    STATE.wait(Deadline::after_ms(timeout), |state| state.push(queue, item)).unwrap_or_else(full)
}

fn pop(queue: u32, timeout: i32, fits: impl Fn(&Travelling) -> Result<()>) -> Result<Travelling> {
    let empty = || Err(Failure::new(RT_QUEUE_EMPTY, format!("nothing came into queue {queue} in time")));
    STATE.wait(Deadline::after_ms(timeout), |state| state.pop(queue, &fits)).unwrap_or_else(empty)
}

entry! {
    fn acltdtCreateQueue(attributes: Handle, queue: Out<u32>) {
        let place = queue.need("qid")?;
        let attributes = attr(attributes)?;
        let (name, depth) = { let a = attributes.lock(); (a.name(), a.depth()) };
        place.put(STATE.lock().create(name, depth)?);
        Ok(())
    }

    fn acltdtDestroyQueue(queue: u32) {
        // Whoever waits finds that the queue is gone; what was in it goes without the lock.
        STATE.change(|state| state.destroy(queue)).map(drop)
    }

    fn acltdtEnqueue(queue: u32, buffer: Handle, timeout: i32) {
        STATE.lock().check(queue)?;
        let mut item = Some(Travelling::take(buffer)?);
        let result = push(queue, &mut item, timeout);
        // What did not get in is the program's again.
        if let Some(item) = item {
            item.arrive();
        }
        result
    }

    fn acltdtDequeue(queue: u32, buffer: Out<Handle>, timeout: i32) {
        let place = buffer.need("buf")?;
        place.put(pop(queue, timeout, |_| Ok(()))?.arrive());
        Ok(())
    }

    fn acltdtEnqueueData(queue: u32, data: Address, size: usize, user: In<u8>, user_size: usize, timeout: i32, reserved: u32) {
        STATE.lock().check(queue)?;
        if reserved != 0 {
            return Err(invalid(format!("rsv is {reserved}, not 0")));
        }
        if size == 0 || user_size > USER_BYTES {
            return Err(invalid(format!("{size} bytes of data with {user_size} of the {USER_BYTES} that travel along")));
        }
        let user = if user_size == 0 { Vec::new() } else { user.slice(user_size, "userData")? };
        push(queue, &mut Some(Travelling::copied(data, size, &user)?), timeout)
    }

    fn acltdtDequeueData(queue: u32, data: Address, size: usize, needed: Out<usize>, user: Address, user_size: usize, timeout: i32) {
        let needed = needed.need("retDataSize")?;
        need_address(data, "data")?;
        if user_size > USER_BYTES || user_size != 0 && user == 0 {
            return Err(invalid(format!("userData has {user_size} bytes at {user:#x}; {USER_BYTES} travel along")));
        }
        let long = std::cell::Cell::new(None);
        let item = pop(queue, timeout, |item| {
            if item.len() <= size {
                return Ok(());
            }
            long.set(Some(item.len()));
            Err(invalid(format!("{} bytes came, data has room for {size}", item.len())))
        });
        let item = match (item, long.get()) {
            (Ok(item), _) => item,
            (Err(failure), Some(len)) => {
                needed.put(len);
                return Err(failure);
            }
            (Err(failure), None) => return Err(failure),
        };
        needed.put(item.len());
        let bytes = item.copy_out(data);
        // SAFETY: the program passes room for `user_size` bytes, at most as many as travel along.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), user as *mut u8, user_size) };
        Ok(())
    }

    fn acltdtGrantQueue(queue: u32, process: i32, permission: u32, _timeout: i32) {
        STATE.lock().check(queue)?;
        if permission == 0 || permission & !PERMISSIONS != 0 {
            return Err(invalid(format!("permission {permission:#x} is none of 1, 2, 4 and their sums")));
        }
        if process != std::process::id() as i32 {
            return Err(Failure::new(FEATURE_UNSUPPORTED, "acltdtGrantQueue: queues are not shared between processes"));
        }
        Ok(())
    }

    fn acltdtAttachQueue(queue: u32, _timeout: i32, permission: Out<u32>) {
        let place = permission.need("permission")?;
        STATE.lock().check(queue)?;
        // Whoever can name a queue is the process that made it, and may do all.
        place.put(PERMISSIONS);
        Ok(())
    }
}
