//! The ordered map against the standard library's.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vinci_core::tree::Tree;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_as_btree_map(steps in proptest::collection::vec((0..4u8, 0..200u64), 1..600)) {
        let (mut tree, mut model) = (Tree::default(), BTreeMap::new());
        for (kind, key) in steps {
            match kind {
                0 | 1 if !model.contains_key(&key) => {
                    tree.insert(key, key * 3).unwrap();
                    model.insert(key, key * 3);
                }
                2 => prop_assert_eq!(tree.remove(key), model.remove(&key)),
                _ => {}
            }
            prop_assert_eq!(tree.len(), model.len());
            prop_assert_eq!(tree.is_empty(), model.is_empty());
            prop_assert_eq!(tree.floor(key), model.range(..=key).next_back().map(|(&k, v)| (k, v)));
            prop_assert_eq!(tree.ceiling(key), model.range(key..).next().map(|(&k, v)| (k, v)));
        }
        let mut all: Vec<_> = tree.iter().map(|(k, &v)| (k, v)).collect();
        all.sort_unstable();
        prop_assert_eq!(all, model.into_iter().collect::<Vec<_>>());
    }
}

/// Keys in order, as a program that maps one range after the other makes them, stay cheap.
#[test]
fn ordered_keys_make_no_list() {
    let mut tree = Tree::default();
    for key in 0..200_000u64 {
        tree.insert(key << 12, key).unwrap();
    }
    // A list would take 10^10 steps here.
    for key in 0..200_000u64 {
        assert_eq!(tree.floor((key << 12) + 7), Some((key << 12, &key)));
    }
    for key in 0..200_000u64 {
        assert_eq!(tree.remove(key << 12), Some(key));
    }
    assert!(tree.is_empty() && tree.ceiling(0).is_none());
}
