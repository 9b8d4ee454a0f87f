//! An ordered map from addresses to values: a treap in one vector.
//!
//! The kernel has no `BTreeMap`, and a vector kept sorted costs a move of everything behind an insertion. The
//! only allocation is the vector's growth, which can fail without harm.

use alloc::vec::Vec;

use crate::errno::Result;
use crate::fallible::TryPush;

const NIL: u32 = u32::MAX;

struct Node<T> {
    key: u64,
    left: u32,
    right: u32,
    value: Option<T>,
}

/// See the module.
pub struct Tree<T> {
    nodes: Vec<Node<T>>,
    root: u32,
    free: u32,
    len: usize,
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self { nodes: Vec::new(), root: NIL, free: NIL, len: 0 }
    }
}

/// Heap priority of a key: a mixing function, so that ordered insertions make no list.
fn priority(key: u64) -> u64 {
    let mut z = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb)
}

impl<T> Tree<T> {
    /// Number of keys.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn node(&self, at: u32) -> &Node<T> {
        &self.nodes[at as usize]
    }

    /// Stores `value` under `key`, which is not in the map.
    pub fn insert(&mut self, key: u64, value: T) -> Result<()> {
        if self.free == NIL {
            let at = self.nodes.len() as u32;
            self.nodes.try_push(Node { key: 0, left: NIL, right: NIL, value: None })?;
            self.free = at;
        }
        let at = self.free;
        self.free = self.node(at).left;
        let (left, right) = (NIL, NIL);
        self.nodes[at as usize] = Node { key, left, right, value: Some(value) };
        self.len += 1;
        // Descend to the first node of lower priority, split it, and take its place.
        let (mut link, mut parent) = (self.root, None);
        while link != NIL && priority(self.node(link).key) >= priority(key) {
            let right = self.node(link).key < key;
            parent = Some((link, right));
            link = if right { self.node(link).right } else { self.node(link).left };
        }
        let (low, high) = self.split(link, key);
        (self.nodes[at as usize].left, self.nodes[at as usize].right) = (low, high);
        self.set_child(parent, at);
        Ok(())
    }

    fn set_child(&mut self, parent: Option<(u32, bool)>, child: u32) {
        match parent {
            None => self.root = child,
            Some((p, true)) => self.nodes[p as usize].right = child,
            Some((p, false)) => self.nodes[p as usize].left = child,
        }
    }

    /// Splits a subtree into keys below and above `key`.
    fn split(&mut self, mut at: u32, key: u64) -> (u32, u32) {
        let (mut low, mut high) = (NIL, NIL);
        let (mut low_end, mut high_end) = (None::<u32>, None::<u32>);
        while at != NIL {
            if self.node(at).key < key {
                match low_end {
                    None => low = at,
                    Some(p) => self.nodes[p as usize].right = at,
                }
                low_end = Some(at);
                at = self.node(at).right;
            } else {
                match high_end {
                    None => high = at,
                    Some(p) => self.nodes[p as usize].left = at,
                }
                high_end = Some(at);
                at = self.node(at).left;
            }
        }
        if let Some(p) = low_end {
            self.nodes[p as usize].right = NIL;
        }
        if let Some(p) = high_end {
            self.nodes[p as usize].left = NIL;
        }
        (low, high)
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: u64) -> Option<T> {
        let (mut at, mut parent) = (self.root, None);
        while at != NIL && self.node(at).key != key {
            let right = self.node(at).key < key;
            parent = Some((at, right));
            at = if right { self.node(at).right } else { self.node(at).left };
        }
        if at == NIL {
            return None;
        }
        let (mut a, mut b) = (self.node(at).left, self.node(at).right);
        // Merge the two subtrees into the place of the node.
        loop {
            if a == NIL || b == NIL {
                self.set_child(parent, if a == NIL { b } else { a });
                break;
            }
            if priority(self.node(a).key) >= priority(self.node(b).key) {
                self.set_child(parent, a);
                parent = Some((a, true));
                a = self.node(a).right;
            } else {
                self.set_child(parent, b);
                parent = Some((b, false));
                b = self.node(b).left;
            }
        }
        let node = &mut self.nodes[at as usize];
        node.left = self.free;
        self.free = at;
        self.len -= 1;
        node.value.take()
    }

    /// The last entry whose key is at most `key`.
    pub fn floor(&self, key: u64) -> Option<(u64, &T)> {
        let (mut at, mut best) = (self.root, NIL);
        while at != NIL {
            if self.node(at).key <= key {
                best = at;
                at = self.node(at).right;
            } else {
                at = self.node(at).left;
            }
        }
        (best != NIL).then(|| self.node(best)).and_then(|n| Some((n.key, n.value.as_ref()?)))
    }

    /// The first entry whose key is at least `key`.
    pub fn ceiling(&self, key: u64) -> Option<(u64, &T)> {
        let (mut at, mut best) = (self.root, NIL);
        while at != NIL {
            if self.node(at).key >= key {
                best = at;
                at = self.node(at).left;
            } else {
                at = self.node(at).right;
            }
        }
        (best != NIL).then(|| self.node(best)).and_then(|n| Some((n.key, n.value.as_ref()?)))
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.nodes.iter().filter_map(|n| Some((n.key, n.value.as_ref()?)))
    }
}
