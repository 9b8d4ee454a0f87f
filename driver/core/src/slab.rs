//! Objects under small ids that are never zero, and that are not used again soon after they are freed.

use alloc::vec::Vec;

use crate::errno::{Errno, Result};
use crate::fallible::TryPush;

/// Bits of an id that say which slot; the others count its uses.
pub const SLOT_BITS: u32 = 20;

struct Slot<T> {
    generation: u32,
    value: Option<T>,
    next_free: u32,
}

/// See the module.
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: u32,
    len: u32,
}

const NONE: u32 = u32::MAX;

/// The slot that an id names, counted from 1.
pub const fn slot_of(id: u32) -> u32 {
    id & ((1 << SLOT_BITS) - 1)
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: NONE, len: 0 }
    }
}

impl<T> Slab<T> {
    /// Number of objects.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Stores `value`; its id.
    pub fn insert(&mut self, value: T) -> Result<u32> {
        if self.free == NONE {
            if self.slots.len() >= (1 << SLOT_BITS) - 1 {
                return Err(Errno::NoSpc);
            }
            let at = self.slots.len() as u32;
            self.slots.try_push(Slot { generation: 0, value: None, next_free: NONE })?;
            self.free = at;
        }
        let at = self.free;
        let slot = &mut self.slots[at as usize];
        self.free = slot.next_free;
        slot.value = Some(value);
        self.len += 1;
        Ok((at + 1) | slot.generation << SLOT_BITS)
    }

    fn slot(&self, id: u32) -> Option<usize> {
        let at = slot_of(id).checked_sub(1)? as usize;
        let slot = self.slots.get(at)?;
        (slot.generation == id >> SLOT_BITS && slot.value.is_some()).then_some(at)
    }

    /// The object of an id.
    pub fn get(&self, id: u32) -> Option<&T> {
        self.slots[..].get(self.slot(id)?)?.value.as_ref()
    }

    /// The object of an id, to be changed.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let at = self.slot(id)?;
        self.slots[at].value.as_mut()
    }

    /// Takes the object out; the id names nothing from then on.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        let at = self.slot(id)?;
        let slot = &mut self.slots[at];
        let value = slot.value.take();
        self.len -= 1;
        slot.generation = (slot.generation + 1) & (u32::MAX >> SLOT_BITS);
        slot.next_free = self.free;
        self.free = at as u32;
        value
    }

    /// All ids and objects.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let id = |(at, s): (usize, &Slot<T>)| (at as u32 + 1) | s.generation << SLOT_BITS;
        self.slots.iter().enumerate().filter_map(move |(at, s)| Some((id((at, s)), s.value.as_ref()?)))
    }

    /// The object whose id has these low [`SLOT_BITS`] bits, whatever its generation.
    pub fn by_slot(&self, slot: u32) -> Option<&T> {
        self.slots.get(slot.checked_sub(1)? as usize)?.value.as_ref()
    }

    /// All ids and objects, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        let id = |at: usize, generation: u32| (at as u32 + 1) | generation << SLOT_BITS;
        self.slots
            .iter_mut()
            .enumerate()
            .filter_map(move |(at, s)| Some((id(at, s.generation), s.value.as_mut()?)))
    }

    /// All objects, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.iter_mut().map(|(_, value)| value)
    }

    /// Id of any object.
    pub fn first(&self) -> Option<u32> {
        self.iter().next().map(|(id, _)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_id_names_nothing() {
        let mut s = Slab::default();
        let (a, b) = (s.insert('a').unwrap(), s.insert('b').unwrap());
        assert!(a != 0 && a != b);
        assert_eq!((s.remove(a), s.remove(a), s.get(a)), (Some('a'), None, None));
        let c = s.insert('c').unwrap();
        assert!(c != a && s.get(a).is_none() && s.get(c) == Some(&'c') && s.len() == 2);
        assert_eq!(
            (s.by_slot(1), s.by_slot(2), s.by_slot(0), s.by_slot(3)),
            (Some(&'c'), Some(&'b'), None, None)
        );
        assert!(s.get(0).is_none() && s.get(u32::MAX).is_none());
    }
}
