//! Memory that a kernel needs while it runs, kept by its thread from call to call: fresh pages cost more than
//! many a kernel.

use std::cell::Cell;
use std::marker::PhantomData;
use std::thread::LocalKey;

use crate::lane::Lane;

/// What a thread keeps of one buffer, bytes; a larger one is given back.
const KEPT: usize = 32 << 20;

/// 64 bytes, aligned for whole vectors.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u64; 8]);

/// A thread's place for a buffer.
pub struct Store(Cell<Vec<Line>>);

impl Store {
    /// An empty one.
    pub const fn new() -> Self {
        Self(Cell::new(Vec::new()))
    }
}

/// A buffer of `T` of unspecified values, aligned for vectors. It leaves its store while in use: a thread that
/// waits for others may begin another kernel.
pub struct Scratch<T> {
    lines: Vec<Line>,
    home: &'static LocalKey<Store>,
    elements: usize,
    element: PhantomData<T>,
}

/// Numbers for which all bits are values.
pub trait Plain: Copy {}
impl<L: Lane> Plain for L {}
impl Plain for u32 {}

impl<T: Plain> Scratch<T> {
    /// `elements` of the store `home`.
    pub fn take(home: &'static LocalKey<Store>, elements: usize) -> Self {
        let mut lines = home.with(|store| store.0.take());
        let wanted = (elements * size_of::<T>()).div_ceil(size_of::<Line>());
        if lines.len() < wanted {
            lines.resize(wanted, Line([0; 8]));
        }
        Self { lines, home, elements, element: PhantomData }
    }

    /// All of it.
    pub fn slice(&mut self) -> &mut [T] {
        // SAFETY: initialised memory of at least that size, aligned for every number; `T` is plain.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.elements) }
    }
}

impl<T> Drop for Scratch<T> {
    fn drop(&mut self) {
        if self.lines.len() <= KEPT / size_of::<Line>() {
            self.home.with(|store| store.0.set(std::mem::take(&mut self.lines)));
        }
    }
}
