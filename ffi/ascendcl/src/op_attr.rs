//! `aclopAttr`: the attributes of an operator by name. `vinci_attribute` reads one for libopapi.so, which runs these
//! operators.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::abi::{Handle, In, Out, Text, call, call_or, need_address};
use crate::code::{Failure, INVALID_PARAM, Result};
use crate::handle::{Kind, Table};

type Attributes = Arc<Mutex<BTreeMap<String, Value>>>;
static ATTRIBUTES: Table<Attributes> = Table::new(Kind::OpAttr);

#[derive(Clone)]
enum Value {
    Bool(bool),
    Int(i64),
    Float(f32),
    Type(i32),
    Text(String),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    /// Of a kind that no operator here reads.
    Unread,
}

impl Value {
    /// The number by which other libraries of Vinci know its kind; 0 is none.
    fn kind(&self) -> u32 {
        match self {
            Self::Bool(_) => 1,
            Self::Int(_) => 2,
            Self::Float(_) => 3,
            Self::Type(_) => 4,
            Self::Text(_) => 5,
            Self::Ints(_) => 6,
            Self::Floats(_) => 7,
            Self::Unread => 8,
        }
    }

    /// Numbers as eight bytes each, a text as it is.
    fn bytes(&self) -> Vec<u8> {
        let float = |v: &f32| f64::from(*v).to_ne_bytes();
        match self {
            Self::Bool(v) => i64::from(*v).to_ne_bytes().into(),
            Self::Int(v) => v.to_ne_bytes().into(),
            Self::Float(v) => float(v).into(),
            Self::Type(v) => i64::from(*v).to_ne_bytes().into(),
            Self::Text(v) => v.clone().into_bytes(),
            Self::Ints(v) => v.iter().flat_map(|v| v.to_ne_bytes()).collect(),
            Self::Floats(v) => v.iter().flat_map(float).collect(),
            Self::Unread => Vec::new(),
        }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn aclopCreateAttr() -> Handle {
    call_or("aclopCreateAttr", 0, || ATTRIBUTES.insert(Attributes::default()))
}

#[unsafe(no_mangle)]
pub extern "C" fn aclopDestroyAttr(handle: Handle) {
    call("aclopDestroyAttr", || match handle {
        0 => Ok(()),
        _ => ATTRIBUTES.remove(handle).map(drop),
    });
}

fn set(handle: Handle, name: Text, value: Value) -> Result<()> {
    need_address(handle, "attr")?;
    let name = name.need("attrName")?;
    ATTRIBUTES.get(handle)?.lock().insert(name, value);
    Ok(())
}

fn list<T: Copy>(count: i32, values: In<T>) -> Result<Vec<T>> {
    match usize::try_from(count) {
        Ok(0) => Ok(Vec::new()),
        Ok(n) => values.slice(n, "values"),
        Err(_) => Err(Failure::new(INVALID_PARAM, format!("{count} values"))),
    }
}

entry! {
    fn aclopSetAttrBool(handle: Handle, name: Text, value: u8) { set(handle, name, Value::Bool(value != 0)) }
    fn aclopSetAttrInt(handle: Handle, name: Text, value: i64) { set(handle, name, Value::Int(value)) }
    fn aclopSetAttrFloat(handle: Handle, name: Text, value: f32) { set(handle, name, Value::Float(value)) }
    fn aclopSetAttrDataType(handle: Handle, name: Text, value: i32) { set(handle, name, Value::Type(value)) }
    fn aclopSetAttrString(handle: Handle, name: Text, value: Text) {
        set(handle, name, Value::Text(value.need("attrValue")?))
    }
    fn aclopSetAttrListInt(handle: Handle, name: Text, count: i32, values: In<i64>) {
        set(handle, name, Value::Ints(list(count, values)?))
    }
    fn aclopSetAttrListFloat(handle: Handle, name: Text, count: i32, values: In<f32>) {
        set(handle, name, Value::Floats(list(count, values)?))
    }
    fn aclopSetAttrListBool(handle: Handle, name: Text, count: i32, values: In<u8>) {
        set(handle, name, list(count, values).map(|_| Value::Unread)?)
    }
    fn aclopSetAttrListDataType(handle: Handle, name: Text, count: i32, values: In<i32>) {
        set(handle, name, list(count, values).map(|_| Value::Unread)?)
    }
    fn aclopSetAttrListString(handle: Handle, name: Text, count: i32, values: In<usize>) {
        set(handle, name, list(count, values).map(|_| Value::Unread)?)
    }
    fn aclopSetAttrListListInt(handle: Handle, name: Text, lists: i32, counts: In<i32>, _values: In<usize>) {
        set(handle, name, list(lists, counts).map(|_| Value::Unread)?)
    }

    /// Reads an attribute: its kind (0 if it was not set), the bytes of its value, and the value where there is room
    /// for it. No attributes at all, a null handle, have none.
    fn vinci_attribute(handle: Handle, name: Text, kind: Out<u32>, to: Out<u8>, room: usize, len: Out<usize>) {
        let (kind, len) = (kind.need("kind")?, len.need("len")?);
        let name = name.need("name")?;
        let value = if handle == 0 { None } else { ATTRIBUTES.get(handle)?.lock().get(&name).cloned() };
        let bytes = value.as_ref().map(Value::bytes).unwrap_or_default();
        kind.put(value.as_ref().map_or(0, Value::kind));
        len.put(bytes.len());
        if let Some(place) = to.maybe().filter(|_| bytes.len() <= room) {
            place.put_all(&bytes);
        }
        Ok(())
    }
}
