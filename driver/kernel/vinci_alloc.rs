// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

//! What driver/core uses of Rust's `alloc` crate, over the kernel's allocator: it is compiled
//! against this crate under that name. Vectors grow where the caller asked for room before, and
//! nowhere else.
#![no_std]

pub mod vec {
    //! [`Vec`].

    use core::ops::{Deref, DerefMut};

    use kernel::alloc::AllocError;
    use kernel::alloc::{flags::GFP_KERNEL, KVVec};

    /// A contiguous growable array.
    pub struct Vec<T>(KVVec<T>);

    impl<T> Vec<T> {
        /// An empty one, which has no memory.
        pub const fn new() -> Self {
            Self(KVVec::new())
        }

        /// Makes room for `more` elements.
        pub fn try_reserve(&mut self, more: usize) -> Result<(), AllocError> {
            self.0.reserve(more, GFP_KERNEL)
        }

        /// As [`Vec::try_reserve`]; there may be room for more.
        pub fn try_reserve_exact(&mut self, more: usize) -> Result<(), AllocError> {
            self.try_reserve(more)
        }

        /// Appends to the room that was made.
        ///
        /// # Panics
        /// If there is none, which is a defect of the caller.
        pub fn push(&mut self, value: T) {
            assert!(
                self.0.push_within_capacity(value).is_ok(),
                "push without room"
            );
        }

        /// Takes the last element.
        pub fn pop(&mut self) -> Option<T> {
            self.0.pop()
        }

        /// Shortens it, or appends what `make` makes.
        pub fn resize_with(&mut self, len: usize, mut make: impl FnMut() -> T) {
            self.0.truncate(len);
            while self.0.len() < len {
                self.push(make());
            }
        }

        /// Shortens it, or appends copies.
        pub fn resize(&mut self, len: usize, value: T)
        where
            T: Clone,
        {
            self.resize_with(len, || value.clone());
        }
    }

    impl<T> Default for Vec<T> {
        fn default() -> Self {
            Self::new()
        }
    }

    impl<T> Deref for Vec<T> {
        type Target = [T];
        fn deref(&self) -> &[T] {
            &self.0
        }
    }

    impl<T> DerefMut for Vec<T> {
        fn deref_mut(&mut self) -> &mut [T] {
            &mut self.0
        }
    }

    impl<T> IntoIterator for Vec<T> {
        type Item = T;
        type IntoIter = <KVVec<T> as IntoIterator>::IntoIter;
        fn into_iter(self) -> Self::IntoIter {
            self.0.into_iter()
        }
    }

    impl<'a, T> IntoIterator for &'a Vec<T> {
        type Item = &'a T;
        type IntoIter = core::slice::Iter<'a, T>;
        fn into_iter(self) -> Self::IntoIter {
            self.iter()
        }
    }
}

pub mod collections {
    //! [`VecDeque`].

    use kernel::alloc::AllocError;

    use crate::vec::Vec;

    /// A queue in a ring.
    pub struct VecDeque<T> {
        ring: Vec<Option<T>>,
        head: usize,
        len: usize,
    }

    impl<T> VecDeque<T> {
        /// An empty one, which has no memory.
        pub const fn new() -> Self {
            Self {
                ring: Vec::new(),
                head: 0,
                len: 0,
            }
        }

        /// Elements.
        pub fn len(&self) -> usize {
            self.len
        }

        /// Whether there are none.
        pub fn is_empty(&self) -> bool {
            self.len == 0
        }

        /// Makes room for `more` elements.
        pub fn try_reserve(&mut self, more: usize) -> Result<(), AllocError> {
            let wanted = self.len + more;
            if wanted <= self.ring.len() {
                return Ok(());
            }
            let mut ring = Vec::new();
            let room = wanted.next_power_of_two();
            ring.try_reserve(room)?;
            for _ in 0..self.len {
                ring.push(self.take_first());
            }
            let len = ring.len();
            ring.resize_with(room, || None);
            *self = Self { ring, head: 0, len };
            Ok(())
        }

        fn take_first(&mut self) -> Option<T> {
            let room = self.ring.len();
            let first = self.ring.get_mut(self.head)?.take();
            self.head = (self.head + 1) % room;
            self.len -= usize::from(first.is_some());
            first
        }

        /// Appends to the room that was made.
        ///
        /// # Panics
        /// If there is none, which is a defect of the caller.
        pub fn push_back(&mut self, value: T) {
            assert!(self.len < self.ring.len(), "push_back without room");
            let at = (self.head + self.len) % self.ring.len();
            self.ring[at] = Some(value);
            self.len += 1;
        }

        /// Takes the first element.
        pub fn pop_front(&mut self) -> Option<T> {
            if self.len == 0 {
                None
            } else {
                self.take_first()
            }
        }

        /// Keeps what `keep` wants, in its order.
        pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
            for _ in 0..self.len {
                match self.pop_front() {
                    Some(value) if keep(&value) => self.push_back(value),
                    _ => {}
                }
            }
        }
    }
}
