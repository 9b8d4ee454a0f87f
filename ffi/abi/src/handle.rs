//! Handles that C programs hold: numbers that a table turns into objects.
//!
//! A handle packs a tag, the kind of its object, the generation of its slot and the slot's index. A slot's
//! generation goes up when its object is destroyed, so an old handle is recognised for as long as it takes to
//! reuse the slot 2^24 times. Handles are no canonical addresses: to follow one is to crash.

use std::sync::OnceLock;

use parking_lot::{Mutex, RwLock};

use crate::code::{Failure, RT_INVALID_HANDLE, Result};

const TAG: u64 = 0x56;
const INDEX_BITS: u32 = 24;
const GENERATION_BITS: u32 = 24;
const CHUNK: usize = 256;
const CHUNKS: usize = 4096;

macro_rules! kinds {
    ($($kind:ident $name:literal),* $(,)?) => {
        /// What a handle can name.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Kind {
            $(#[doc = $name] $kind,)*
        }

        impl Kind {
            const ALL: &[Kind] = &[$(Kind::$kind),*];

            fn name(self) -> &'static str {
                match self {
                    $(Kind::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    Context "a context",
    Stream "a stream",
    Event "an event",
    Notify "a notify",
    PhysicalMemory "physical memory",
    MemPool "a memory pool",
    DataBuffer "a data buffer",
    AllocatorDesc "a description of an allocator",
    Model "a model instance",
    ModelStream "a stream of a model instance",
    ModelTask "a task of a model instance",
    TaskGroup "a task group",
    Label "a label",
    LabelList "a list of labels",
    DataItem "a data item",
    Dataset "a dataset",
    Channel "a channel",
    QueueAttr "attributes of a queue",
    QueueRoute "a route between queues",
    QueueRouteList "a list of routes",
    QueueRouteQuery "a question about routes",
    QueueBuffer "a buffer of a queue",
    TensorDesc "a description of a tensor",
    OpAttr "attributes of an operator",
    Communicator "a communicator",
    ProfConfig "a configuration of the profiler",
    ProfSubscription "a subscription of a model's operators",
    ProfStamp "a stamp of the profiler",
    ProfStep "steps of the profiler",
    ProfDomain "a domain of marks",
    Binary "a loaded binary",
    RawBinary "a binary",
    Function "a function of a binary",
    KernelArgs "a list of arguments",
}

impl Kind {
    /// In a handle; 0 is none.
    fn number(self) -> u64 {
        self as u64 + 1
    }

    fn of(handle: usize) -> Option<Kind> {
        let handle = handle as u64;
        let number = (handle >> (INDEX_BITS + GENERATION_BITS)) & 0xff;
        Kind::ALL.iter().copied().find(|kind| handle >> 56 == TAG && kind.number() == number)
    }
}

struct Slot<T> {
    generation: u32,
    object: Option<T>,
}

/// Slots, made together when the first of them is needed.
type Chunk<T> = OnceLock<Box<[RwLock<Slot<T>>]>>;

struct Free {
    indices: Vec<u32>,
    never_used: u32,
}

/// All live objects of a kind. `T` is cheap to clone, such as an `Arc`.
pub struct Table<T> {
    kind: Kind,
    chunks: [Chunk<T>; CHUNKS],
    free: Mutex<Free>,
}

impl<T: Clone> Table<T> {
    /// An empty table.
    pub const fn new(kind: Kind) -> Table<T> {
        let free = Mutex::new(Free { indices: Vec::new(), never_used: 0 });
        Table { kind, chunks: [const { OnceLock::new() }; CHUNKS], free }
    }

    /// Makes a handle for `object`.
    pub fn insert(&self, object: T) -> Result<usize> {
        let index = {
            let mut free = self.free.lock();
            match free.indices.pop() {
                Some(index) => index,
                None if (free.never_used as usize) < CHUNK * CHUNKS => {
                    free.never_used += 1;
                    free.never_used - 1
                }
                None => {
                    let text = format!(
                        "there are {} live objects that are {} already",
                        CHUNK * CHUNKS,
                        self.kind.name()
                    );
                    return Err(Failure::new(crate::code::RT_MEMORY_ALLOCATION, text));
                }
            }
        };
        let chunk = self.chunks[index as usize / CHUNK]
            .get_or_init(|| (0..CHUNK).map(|_| RwLock::new(Slot { generation: 1, object: None })).collect());
        let mut slot = chunk[index as usize % CHUNK].write();
        slot.object = Some(object);
        Ok(self.pack(index, slot.generation))
    }

    /// The object that `handle` names.
    #[inline]
    pub fn get(&self, handle: usize) -> Result<T> {
        match self.slot(handle) {
            Some((slot, generation, _)) => {
                let slot = slot.read();
                if slot.generation == generation
                    && let Some(object) = &slot.object
                {
                    return Ok(object.clone());
                }
                Err(self.unknown(handle))
            }
            None => Err(self.unknown(handle)),
        }
    }

    /// Ends `handle`; answers its object.
    pub fn remove(&self, handle: usize) -> Result<T> {
        let (slot, generation, index) = self.slot(handle).ok_or_else(|| self.unknown(handle))?;
        let object = {
            let mut slot = slot.write();
            if slot.generation != generation {
                return Err(self.unknown(handle));
            }
            let object = slot.object.take().ok_or_else(|| self.unknown(handle))?;
            slot.generation = (slot.generation + 1) & ((1 << GENERATION_BITS) - 1);
            object
        };
        self.free.lock().indices.push(index);
        Ok(object)
    }

    /// The live objects with their handles.
    pub fn all(&self) -> Vec<(usize, T)> {
        let used = self.free.lock().never_used;
        let live = |index: u32| {
            let slot = self.chunks[index as usize / CHUNK].get()?[index as usize % CHUNK].read();
            Some((self.pack(index, slot.generation), slot.object.clone()?))
        };
        (0..used).filter_map(live).collect()
    }

    fn pack(&self, index: u32, generation: u32) -> usize {
        let kind = self.kind.number() << (INDEX_BITS + GENERATION_BITS);
        (TAG << 56 | kind | u64::from(generation) << INDEX_BITS | u64::from(index)) as usize
    }

    #[inline]
    fn slot(&self, handle: usize) -> Option<(&RwLock<Slot<T>>, u32, u32)> {
        let bits = handle as u64;
        if bits >> (INDEX_BITS + GENERATION_BITS) != TAG << 8 | self.kind.number() {
            return None;
        }
        let index = (bits & ((1 << INDEX_BITS) - 1)) as usize;
        let generation = (bits >> INDEX_BITS) & ((1 << GENERATION_BITS) - 1);
        let chunk = self.chunks.get(index / CHUNK)?.get()?;
        Some((&chunk[index % CHUNK], generation as u32, index as u32))
    }

    #[cold]
    fn unknown(&self, handle: usize) -> Failure {
        let wanted = self.kind.name();
        let text = match Kind::of(handle) {
            Some(kind) if kind == self.kind => format!("{handle:#x} was {wanted} and is destroyed"),
            Some(kind) => format!("{handle:#x} is {}, not {wanted}", kind.name()),
            None if handle == 0 => format!("NULL is not {wanted}"),
            None => format!("{handle:#x} is not {wanted}"),
        };
        Failure::new(RT_INVALID_HANDLE, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static STREAMS: Table<u32> = Table::new(Kind::Stream);

    #[test]
    fn old_and_foreign_handles_are_told_apart() {
        let a = STREAMS.insert(1).unwrap();
        assert_eq!(STREAMS.get(a).unwrap(), 1);
        assert_eq!(STREAMS.remove(a).unwrap(), 1);
        assert!(STREAMS.get(a).unwrap_err().text.contains("destroyed"));
        assert!(STREAMS.remove(a).is_err());
        let b = STREAMS.insert(2).unwrap();
        assert_ne!(a, b);
        assert!(STREAMS.get(a).is_err());
        let events = Table::<u32>::new(Kind::Event);
        assert!(events.get(b).unwrap_err().text.contains("is a stream, not an event"));
        for wild in [0, 1, 0xdead_beef, usize::MAX, b ^ 1 << 60] {
            assert!(STREAMS.get(wild).is_err(), "{wild:#x}");
        }
    }

    #[test]
    fn threads_can_make_and_end_handles_together() {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for i in 0..1000 {
                        let handle = STREAMS.insert(thread * 1000 + i).unwrap();
                        assert_eq!(STREAMS.remove(handle).unwrap(), thread * 1000 + i);
                    }
                });
            }
        });
    }
}
