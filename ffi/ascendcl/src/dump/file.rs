//! A dump file: eight bytes that say how long its description is, the description (a protobuf message), and the
//! bytes of the tensors, inputs before outputs.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use prost::Message;

use crate::code::{Failure, RT_FILE_WRITE, Result};

/// Bytes of a chunk at most.
const CHUNK: usize = 1 << 20;
const LONGEST_NAME: usize = 4096;

/// `acldumpChunk` without its data.
#[repr(C)]
pub struct Chunk {
    name: [u8; LONGEST_NAME],
    len: u32,
    is_last: u32,
    offset: i64,
    flag: i32,
}

/// Where the data of a chunk begins: what C calls the offset of its last member.
const DATA_AT: usize = std::mem::offset_of!(Chunk, flag) + 4;

pub type Callback = extern "C" fn(*const Chunk, i32) -> i32;

static CALLBACK: Mutex<Option<Callback>> = Mutex::new(None);

pub fn set_callback(callback: Option<Callback>) {
    *CALLBACK.lock() = callback;
}

#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    #[prost(uint64, repeated, tag = "1")]
    pub dim: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Output {
    #[prost(int32, tag = "1")]
    pub data_type: i32,
    #[prost(int32, tag = "2")]
    pub format: i32,
    #[prost(message, optional, tag = "3")]
    pub shape: Option<Shape>,
    #[prost(uint64, tag = "6")]
    pub size: u64,
    #[prost(message, optional, tag = "7")]
    pub original_shape: Option<Shape>,
    #[prost(uint64, tag = "9")]
    pub address: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Input {
    #[prost(int32, tag = "1")]
    pub data_type: i32,
    #[prost(int32, tag = "2")]
    pub format: i32,
    #[prost(message, optional, tag = "3")]
    pub shape: Option<Shape>,
    #[prost(uint64, tag = "5")]
    pub size: u64,
    #[prost(message, optional, tag = "6")]
    pub original_shape: Option<Shape>,
    #[prost(uint64, tag = "8")]
    pub address: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attr {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// The description.
#[derive(Clone, PartialEq, Message)]
pub struct Description {
    #[prost(string, tag = "1")]
    pub version: String,
    /// us since 1970.
    #[prost(uint64, tag = "2")]
    pub dump_time: u64,
    #[prost(message, repeated, tag = "3")]
    pub output: Vec<Output>,
    #[prost(message, repeated, tag = "4")]
    pub input: Vec<Input>,
    #[prost(string, tag = "6")]
    pub op_name: String,
    #[prost(message, repeated, tag = "7")]
    pub attr: Vec<Attr>,
    #[prost(string, tag = "9")]
    pub dfx_message: String,
}

impl Description {
    /// Of an operator, with no tensors yet.
    pub fn new(op_name: &str) -> Description {
        let version = "2.0".to_owned();
        Description { version, dump_time: now().1, op_name: op_name.to_owned(), ..Description::default() }
    }
}

/// ms and us since 1970.
pub fn now() -> (u64, u64) {
    let us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
    (us / 1000, us)
}

/// The number that the description has for an `aclDataType`.
pub fn data_type(acl: i32) -> i32 {
    match acl {
        0 => 1,
        1 => 2,
        2 => 3,
        3 => 7,
        4 => 4,
        6 => 5,
        7 => 6,
        8 => 9,
        9 => 8,
        10 => 10,
        11 => 12,
        12 => 11,
        16 | 17 | 27 => acl,
        29 => 28,
        33 => 32,
        _ => 0,
    }
}

fn shape(dims: &[u64]) -> Option<Shape> {
    Some(Shape { dim: dims.to_vec() })
}

/// A tensor with its bytes.
pub struct Tensor {
    pub is_output: bool,
    pub acl_type: i32,
    pub format: i32,
    pub dims: Vec<u64>,
    pub original_dims: Vec<u64>,
    pub address: u64,
    pub bytes: Vec<u8>,
}

/// Writes a dump to `path`, or gives it to the program's callback.
pub fn write(path: &Path, mut description: Description, tensors: &[Tensor]) -> Result<()> {
    for t in tensors {
        let (data_type, format, size) = (data_type(t.acl_type), t.format, t.bytes.len() as u64);
        let (shape, original_shape) = (shape(&t.dims), shape(&t.original_dims));
        if t.is_output {
            let output = Output { data_type, format, shape, size, original_shape, address: t.address };
            description.output.push(output);
        } else {
            let input = Input { data_type, format, shape, size, original_shape, address: t.address };
            description.input.push(input);
        }
    }
    let header = description.encode_to_vec();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    let parts = |outputs| tensors.iter().filter(move |t| t.is_output == outputs).map(|t| &t.bytes);
    parts(false).chain(parts(true)).for_each(|part| bytes.extend(part));
    let callback = *CALLBACK.lock();
    match callback {
        Some(callback) => tell(callback, path, &bytes),
        None => put(path, &bytes),
    }
}

/// Writes a file and the folders above it.
pub fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| File::create(path))
        .and_then(|mut file| file.write_all(bytes));
    written.map_err(|e| Failure::new(RT_FILE_WRITE, format!("dump {}: {e}", path.display())))
}

/// Gives the file to the callback in chunks.
fn tell(callback: Callback, path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.to_string_lossy();
    let name = &name.as_bytes()[..name.len().min(LONGEST_NAME - 1)];
    let chunks = bytes.chunks(CHUNK);
    let last = chunks.len() - 1;
    for (n, data) in chunks.enumerate() {
        // The structure and its data; words, so that it is aligned.
        let size = size_of::<Chunk>() + data.len();
        let mut room = vec![0u64; size.div_ceil(8)];
        let at = room.as_mut_ptr().cast::<u8>();
        // SAFETY: `room` has `size` bytes, which hold the structure and the data behind its members; zeros are a
        // valid structure.
        unsafe {
            let chunk = &mut *at.cast::<Chunk>();
            chunk.name[..name.len()].copy_from_slice(name);
            chunk.len = data.len() as u32;
            chunk.is_last = u32::from(n == last);
            chunk.offset = (n * CHUNK) as i64;
            std::ptr::copy_nonoverlapping(data.as_ptr(), at.add(DATA_AT), data.len());
        }
        let code = callback(at.cast(), size as i32);
        if code != 0 {
            return Err(Failure::new(RT_FILE_WRITE, format!("the dump callback answered {code}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_it_holds() {
        let path = std::env::temp_dir().join(format!("vinci-dump-{}/a/b", std::process::id()));
        let tensor = |is_output, bytes: &[u8]| Tensor {
            is_output,
            acl_type: 3,
            format: 2,
            dims: vec![2],
            original_dims: vec![2],
            address: 0x1000,
            bytes: bytes.to_vec(),
        };
        write(&path, Description::new("add"), &[tensor(true, &[1; 8]), tensor(false, &[2; 8])]).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::remove_dir_all(path.parent().unwrap().parent().unwrap()).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let description = Description::decode(&bytes[8..8 + header]).unwrap();
        assert_eq!((description.op_name.as_str(), description.input.len()), ("add", 1));
        assert_eq!((description.output[0].data_type, description.output[0].size), (7, 8));
        assert_eq!(bytes[8 + header..], [[2; 8], [1; 8]].concat(), "inputs come first");
    }
}
