//! Attributes of a queue to be made.

use std::ffi::{CStr, CString, c_char};
use std::sync::Arc;

use parking_lot::Mutex;
use vinci_abi::abi::{Address, Handle, Out, call_or};
use vinci_abi::code::Result;
use vinci_abi::handle::{Kind, Table};

use crate::{invalid, named, read, write};

const LONGEST_NAME: usize = 127;
const DEPTHS: std::ops::RangeInclusive<u32> = 2..=8192;

const NAME: i32 = 0;
const DEPTH: i32 = 1;

pub struct Attr {
    name: Option<CString>,
    depth: u32,
}

impl Attr {
    /// What the queue is called, if the program says so.
    pub fn name(&self) -> Option<String> {
        self.name.as_ref().map(|name| name.to_string_lossy().into_owned())
    }

    /// Items that it holds.
    pub fn depth(&self) -> usize {
        self.depth as usize
    }
}

static ATTRS: Table<Arc<Mutex<Attr>>> = Table::new(Kind::QueueAttr);

/// The attributes that a handle names.
pub fn attr(handle: Handle) -> Result<Arc<Mutex<Attr>>> {
    named(&ATTRS, handle)
}

#[unsafe(no_mangle)]
pub extern "C" fn acltdtCreateQueueAttr() -> Handle {
    call_or("acltdtCreateQueueAttr", 0, || {
        ATTRS.insert(Arc::new(Mutex::new(Attr { name: None, depth: *DEPTHS.start() })))
    })
}

entry! {
    fn acltdtDestroyQueueAttr(handle: Handle) {
        attr(handle)?;
        ATTRS.remove(handle).map(drop)
    }

    fn acltdtSetQueueAttr(handle: Handle, what: i32, len: usize, param: Address) {
        let attr = attr(handle)?;
        match what {
            NAME => {
                let text: *const c_char = read(len, param, "param")?;
                if text.is_null() {
                    return Err(vinci_abi::abi::null("the name"));
                }
                // SAFETY: the program passes the address of a text's address.
                let name = unsafe { CStr::from_ptr(text) };
                if name.is_empty() || name.count_bytes() > LONGEST_NAME {
                    let bytes = name.count_bytes();
                    return Err(invalid(format!("a name of {bytes} bytes; it has 1 to {LONGEST_NAME}")));
                }
                attr.lock().name = Some(name.to_owned());
            }
            DEPTH => {
                let depth: u32 = read(len, param, "param")?;
                if !DEPTHS.contains(&depth) {
                    return Err(invalid(format!("depth {depth} is not in {DEPTHS:?}")));
                }
                attr.lock().depth = depth;
            }
            _ => return Err(invalid(format!("there is no attribute {what}"))),
        }
        Ok(())
    }

    fn acltdtGetQueueAttr(handle: Handle, what: i32, len: usize, size: Out<usize>, param: Address) {
        let attr = attr(handle)?;
        let (size, attr) = (size.need("paramRetSize")?, attr.lock());
        match what {
            NAME => {
                let name = attr.name.as_ref().map_or(std::ptr::null(), |name| name.as_ptr());
                write(len, param, "param", name)?;
                size.put(size_of::<*const c_char>());
            }
            DEPTH => {
                write(len, param, "param", attr.depth)?;
                size.put(size_of::<u32>());
            }
            _ => return Err(invalid(format!("there is no attribute {what}"))),
        }
        Ok(())
    }
}
