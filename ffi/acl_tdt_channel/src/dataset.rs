//! Items (tensors) and datasets (lists of them).

use std::ffi::{CString, c_char};
use std::sync::Arc;

use parking_lot::Mutex;
use vinci_abi::abi::{Address, Handle, In, Out, call_or};
use vinci_abi::code::{Failure, INVALID_PARAM, Result};
use vinci_abi::handle::{Kind, Table};

/// Dimensions that an item can have.
const MOST_DIMS: usize = 128;

/// acltdtTensorType.
pub mod kind {
    pub const UNDEFINED: i32 = -1;
    pub const TENSOR: i32 = 0;
    pub const END_OF_SEQUENCE: i32 = 1;
    pub const ABNORMAL: i32 = 2;
    pub const SLICE: i32 = 3;
    pub const END_TENSOR: i32 = 4;
}

/// Where an item's data is.
#[derive(Debug)]
pub enum Data {
    /// In the program's memory.
    Borrowed(Address, usize),
    /// In ours: it was received. Words, so that it is aligned for every type.
    Owned(Vec<u64>, usize),
}

impl Data {
    fn size(&self) -> usize {
        match self {
            Data::Borrowed(_, size) | Data::Owned(_, size) => *size,
        }
    }

    fn address(&self) -> Address {
        match self {
            Data::Borrowed(at, _) => *at,
            Data::Owned(_, 0) => 0,
            Data::Owned(words, _) => words.as_ptr() as Address,
        }
    }

    /// A copy that does not need the program's memory.
    fn copied(&self) -> Data {
        let size = self.size();
        let mut words = vec![0u64; size.div_ceil(8)];
        if size != 0 {
            // SAFETY: an address that `acltdtCreateDataItem` was told holds that many bytes until the item is
            // sent, or our own vector; the destination has room.
            unsafe {
                std::ptr::copy_nonoverlapping(self.address() as *const u8, words.as_mut_ptr().cast(), size)
            };
        }
        Data::Owned(words, size)
    }
}

/// A tensor.
#[derive(Debug)]
pub struct Item {
    kind: i32,
    dtype: i32,
    dims: Vec<i64>,
    data: Data,
}

impl Item {
    /// As it travels.
    pub fn copied(&self) -> Item {
        Item { kind: self.kind, dtype: self.dtype, dims: self.dims.clone(), data: self.data.copied() }
    }
}

/// A list of items.
#[derive(Default)]
pub struct Dataset {
    items: Vec<usize>,
    /// The items were received, and go with the dataset.
    received: bool,
    name: CString,
}

static ITEMS: Table<Arc<Item>> = Table::new(Kind::DataItem);
pub static DATASETS: Table<Arc<Mutex<Dataset>>> = Table::new(Kind::Dataset);

fn invalid(text: impl Into<String>) -> Failure {
    Failure::new(INVALID_PARAM, text)
}

/// A handle that names nothing is a wrong parameter here.
pub fn named<T: Clone>(table: &Table<T>, handle: Handle) -> Result<T> {
    table.get(handle).map_err(|failure| failure.code(INVALID_PARAM))
}

impl Dataset {
    /// Copies of the items, to travel.
    pub fn copied(&self) -> Result<Vec<Item>> {
        self.items.iter().map(|&item| named(&ITEMS, item).map(|item| item.copied())).collect()
    }

    /// Fills an empty dataset with what came from the channel `name`.
    pub fn fill(&mut self, items: Vec<Item>, name: &str) -> Result<()> {
        if !self.items.is_empty() {
            return Err(invalid(format!("the dataset holds {} items already", self.items.len())));
        }
        self.received = true;
        self.name = CString::new(name).unwrap_or_default();
        for item in items {
            self.items.push(ITEMS.insert(Arc::new(item))?);
        }
        Ok(())
    }

    /// Whether it can be filled.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn acltdtCreateDataItem(
    kind: i32,
    dims: In<i64>,
    dim_num: usize,
    dtype: i32,
    data: Address,
    size: usize,
) -> Handle {
    call_or("acltdtCreateDataItem", 0, || {
        let tensor = matches!(kind, kind::TENSOR | kind::SLICE | kind::END_TENSOR);
        if !tensor && !matches!(kind, kind::END_OF_SEQUENCE | kind::ABNORMAL) {
            return Err(invalid(format!("tdtType {kind} is no type of tensor")));
        }
        if dim_num > MOST_DIMS {
            return Err(invalid(format!("{dim_num} dimensions; an item has {MOST_DIMS} at most")));
        }
        let dims = if dim_num == 0 { Vec::new() } else { dims.slice(dim_num, "dims")? };
        if let Some(d) = dims.iter().find(|&&d| d < 0) {
            return Err(invalid(format!("a dimension of {d}")));
        }
        if !tensor && (size != 0 || !dims.is_empty()) {
            return Err(invalid("an end of a sequence and a defect have neither dimensions nor data"));
        }
        if data == 0 && size != 0 {
            return Err(invalid(format!("data is NULL and its size {size}")));
        }
        ITEMS.insert(Arc::new(Item { kind, dtype, dims, data: Data::Borrowed(data, size) }))
    })
}

/// Answers something of an item.
fn of_item<T>(name: &'static str, item: Handle, fallback: T, get: impl FnOnce(&Item) -> T) -> T {
    call_or(name, fallback, || named(&ITEMS, item).map(|item| get(&item)))
}

#[unsafe(no_mangle)]
pub extern "C" fn acltdtGetTensorTypeFromItem(item: Handle) -> i32 {
    of_item("acltdtGetTensorTypeFromItem", item, kind::UNDEFINED, |item| item.kind)
}

#[unsafe(no_mangle)]
pub extern "C" fn acltdtGetDataTypeFromItem(item: Handle) -> i32 {
    const UNDEFINED: i32 = -1;
    of_item("acltdtGetDataTypeFromItem", item, UNDEFINED, |item| item.dtype)
}

#[unsafe(no_mangle)]
pub extern "C" fn acltdtGetDataAddrFromItem(item: Handle) -> Address {
    of_item("acltdtGetDataAddrFromItem", item, 0, |item| item.data.address())
}

#[unsafe(no_mangle)]
pub extern "C" fn acltdtGetDataSizeFromItem(item: Handle) -> usize {
    of_item("acltdtGetDataSizeFromItem", item, 0, |item| item.data.size())
}

#[unsafe(no_mangle)]
pub extern "C" fn acltdtGetDimNumFromItem(item: Handle) -> usize {
    of_item("acltdtGetDimNumFromItem", item, 0, |item| item.dims.len())
}

#[unsafe(no_mangle)]
pub extern "C" fn acltdtCreateDataset() -> Handle {
    call_or("acltdtCreateDataset", 0, || DATASETS.insert(Arc::default()))
}

#[unsafe(no_mangle)]
pub extern "C" fn acltdtGetDataItem(dataset: Handle, index: usize) -> Handle {
    call_or("acltdtGetDataItem", 0, || {
        let dataset = named(&DATASETS, dataset)?;
        let items = &dataset.lock().items;
        items.get(index).copied().ok_or_else(|| invalid(format!("item {index} of {}", items.len())))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn acltdtGetDatasetSize(dataset: Handle) -> usize {
    call_or("acltdtGetDatasetSize", 0, || Ok(named(&DATASETS, dataset)?.lock().items.len()))
}

#[unsafe(no_mangle)]
pub extern "C" fn acltdtGetDatasetName(dataset: Handle) -> *const c_char {
    call_or("acltdtGetDatasetName", std::ptr::null(), || Ok(named(&DATASETS, dataset)?.lock().name.as_ptr()))
}

entry! {
    fn acltdtDestroyDataItem(item: Handle) {
        named(&ITEMS, item)?;
        let owned = DATASETS.all().into_iter().any(|(_, set)| {
            let set = set.lock();
            set.received && set.items.contains(&item)
        });
        if owned {
            return Err(invalid("the item was received and goes with its dataset"));
        }
        ITEMS.remove(item).map(drop)
    }

    fn acltdtGetDimsFromItem(item: Handle, dims: Out<i64>, room: usize) {
        let item = named(&ITEMS, item)?;
        if item.dims.is_empty() {
            return Ok(());
        }
        if room < item.dims.len() {
            return Err(invalid(format!("dims has room for {room} numbers, {} are needed", item.dims.len())));
        }
        dims.need("dims")?.put_all(&item.dims);
        Ok(())
    }

    fn acltdtGetSliceInfoFromItem(item: Handle, slices: Out<usize>, slice: Out<usize>) {
        named(&ITEMS, item)?;
        let (slices, slice) = (slices.need("sliceNum")?, slice.need("sliceId")?);
        // Nothing is sliced here: a channel carries tensors of any size whole.
        slices.put(0);
        slice.put(0);
        Ok(())
    }

    fn acltdtDestroyDataset(dataset: Handle) {
        named(&DATASETS, dataset)?;
        let set = DATASETS.remove(dataset)?;
        let set = set.lock();
        if set.received {
            set.items.iter().for_each(|&item| drop(ITEMS.remove(item)));
        }
        Ok(())
    }

    fn acltdtAddDataItem(dataset: Handle, item: Handle) {
        named(&ITEMS, item)?;
        let dataset = named(&DATASETS, dataset)?;
        let mut dataset = dataset.lock();
        if dataset.received {
            return Err(invalid("the dataset was received; what is sent goes into one of the program's own"));
        }
        dataset.items.push(item);
        Ok(())
    }
}
