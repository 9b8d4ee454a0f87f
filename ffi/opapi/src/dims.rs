//! A number for each dimension.

use std::fmt;
use std::ops::{Deref, DerefMut, RangeBounds};
use std::sync::Arc;

use smallvec::SmallVec;

/// Dimensions or strides: up to four without the heap, since each operator makes many.
#[derive(Clone, Default)]
pub struct Dims(SmallVec<[i64; 4]>);

impl Dims {
    /// None.
    pub fn new() -> Dims {
        Dims::default()
    }

    /// The same number for each of `rank` dimensions.
    pub fn repeated(number: i64, rank: usize) -> Dims {
        Dims(SmallVec::from_elem(number, rank))
    }

    /// Puts `new` where `range` was.
    pub fn splice(&mut self, range: impl RangeBounds<usize>, new: impl IntoIterator<Item = i64>) {
        let at = match range.start_bound() {
            std::ops::Bound::Included(&at) => at,
            std::ops::Bound::Excluded(&at) => at + 1,
            std::ops::Bound::Unbounded => 0,
        };
        self.0.drain(range);
        self.0.insert_many(at, new);
    }
}

impl Deref for Dims {
    type Target = SmallVec<[i64; 4]>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Dims {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl AsRef<[i64]> for Dims {
    fn as_ref(&self) -> &[i64] {
        &self.0
    }
}

impl<T: AsRef<[i64]> + ?Sized> PartialEq<T> for Dims {
    fn eq(&self, other: &T) -> bool {
        self.0[..] == *other.as_ref()
    }
}

impl PartialEq<Dims> for [i64] {
    fn eq(&self, other: &Dims) -> bool {
        *self == other.0[..]
    }
}

impl Eq for Dims {}

impl fmt::Debug for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromIterator<i64> for Dims {
    fn from_iter<I: IntoIterator<Item = i64>>(numbers: I) -> Dims {
        Dims(numbers.into_iter().collect())
    }
}

impl IntoIterator for Dims {
    type Item = i64;
    type IntoIter = smallvec::IntoIter<[i64; 4]>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Dims {
    type Item = &'a i64;
    type IntoIter = std::slice::Iter<'a, i64>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl From<&[i64]> for Dims {
    fn from(numbers: &[i64]) -> Dims {
        Dims(numbers.into())
    }
}

impl<const N: usize> From<[i64; N]> for Dims {
    fn from(numbers: [i64; N]) -> Dims {
        numbers[..].into()
    }
}

impl From<Vec<i64>> for Dims {
    fn from(numbers: Vec<i64>) -> Dims {
        numbers[..].into()
    }
}

impl From<Dims> for Arc<[i64]> {
    fn from(dims: Dims) -> Self {
        dims[..].into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splicing() {
        for (range, new, wanted) in [
            (1..2, vec![7, 8], vec![1, 7, 8, 3]),
            (0..3, vec![6], vec![6]),
            (3..3, vec![4, 5, 6], vec![1, 2, 3, 4, 5, 6]),
            (0..1, vec![], vec![2, 3]),
        ] {
            let mut dims = Dims::from([1, 2, 3]);
            dims.splice(range, new);
            assert_eq!(dims, wanted);
        }
    }
}
