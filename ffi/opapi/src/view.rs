//! Strided views: what kernels get, before the address of a workspace is known.

use std::ops::Range;

use vinci_hw::args::{MAX_RANK, TensorArg};

use crate::dims::Dims;
use crate::dtype::DType;
use crate::error::{OpError, Result, invalid};

/// Where a view's first element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Device address.
    Device(u64),
    /// Bytes from the start of the workspace.
    Workspace(u64),
}

/// A strided view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// First element.
    pub base: Base,
    /// Element type.
    pub dtype: DType,
    /// Elements along each dimension.
    pub dims: Dims,
    /// Elements from one index to the next.
    pub strides: Dims,
}

/// Strides of a dense tensor.
pub fn dense_strides(dims: &[i64]) -> Dims {
    let mut strides = Dims::repeated(1, dims.len());
    for i in (1..dims.len()).rev() {
        strides[i - 1] = strides[i] * dims[i].max(1);
    }
    strides
}

/// The shape that two shapes broadcast to.
pub fn broadcast(a: &[i64], b: &[i64]) -> Result<Dims> {
    let rank = a.len().max(b.len());
    let at = |s: &[i64], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |j| s[j]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(invalid!("shapes {a:?} and {b:?} do not broadcast")),
        })
        .collect()
}

/// `dim` counted from the end if negative; scalars have one dimension to name.
pub fn wrap_dim(dim: i64, rank: usize) -> Result<usize> {
    let n = rank.max(1) as i64;
    if (-n..n).contains(&dim) {
        Ok((if dim < 0 { dim + n } else { dim }) as usize)
    } else {
        Err(invalid!("dimension {dim} of a tensor with {rank} dimensions"))
    }
}

impl View {
    /// Rank.
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// Number of elements.
    pub fn elements(&self) -> i64 {
        self.dims.iter().product()
    }

    /// Whether the elements lie one behind the other, the last dimension innermost.
    pub fn is_dense(&self) -> bool {
        let mut step = 1;
        self.dims.iter().zip(&self.strides).rev().all(|(&d, &s)| {
            let fits = d == 1 || s == step;
            step *= d.max(1);
            fits
        })
    }

    /// A dense view in another shape of as many elements.
    pub fn reshaped(&self, dims: &[i64]) -> Self {
        debug_assert!(self.is_dense() && self.elements() == dims.iter().product::<i64>());
        Self { dims: dims.into(), strides: dense_strides(dims), ..self.clone() }
    }

    /// The first `n` elements of a dense view in sequence.
    pub fn reshaped_part(&self, n: i64) -> Self {
        debug_assert!(self.is_dense() && self.elements() >= n);
        Self { dims: [n].into(), strides: [1].into(), ..self.clone() }
    }

    /// Its only element, without dimensions.
    pub fn one(&self) -> Self {
        Self { dims: Dims::new(), strides: Dims::new(), ..self.clone() }
    }

    /// The same elements repeated to `dims`.
    pub fn expand(&self, dims: &[i64]) -> Result<Self> {
        let skip = dims.len().checked_sub(self.rank());
        let skip = skip.ok_or_else(|| invalid!("shape {:?} does not broadcast to {dims:?}", self.dims))?;
        let mut strides = Dims::repeated(0, dims.len());
        for (i, (&d, &s)) in self.dims.iter().zip(&self.strides).enumerate() {
            strides[skip + i] = match d {
                _ if d == dims[skip + i] => s,
                1 => 0,
                _ => return Err(invalid!("shape {:?} does not broadcast to {dims:?}", self.dims)),
            };
        }
        Ok(Self { dims: dims.into(), strides, ..self.clone() })
    }

    /// Dimensions in another order: dimension `i` of the result is `order[i]` of this.
    pub fn permute(&self, order: &[i64]) -> Result<Self> {
        let order = order.iter().map(|&d| wrap_dim(d, self.rank())).collect::<Result<Vec<_>>>()?;
        let mut seen = vec![false; self.rank()];
        order.iter().for_each(|&d| seen[d] = true);
        if order.len() != self.rank() || seen.contains(&false) {
            return Err(invalid!("{order:?} is no order of {} dimensions", self.rank()));
        }
        let pick = |v: &[i64]| order.iter().map(|&d| v[d]).collect();
        Ok(Self { dims: pick(&self.dims), strides: pick(&self.strides), ..self.clone() })
    }

    /// The view with `1` put in at each of `dims` (ascending positions of the result).
    pub fn unsqueeze(&self, dims: &[usize]) -> Self {
        let mut v = self.clone();
        for &d in dims {
            v.dims.insert(d, 1);
            v.strides.insert(d, 0);
        }
        v
    }

    /// The view without dimension `dim`, which has one index.
    pub fn without(&self, dim: usize) -> Self {
        debug_assert_eq!(self.dims[dim], 1);
        let mut v = self.clone();
        v.dims.remove(dim);
        v.strides.remove(dim);
        v
    }

    /// The same view from another of its elements on.
    pub fn shifted(&self, elements: i64) -> Self {
        let bytes = elements.wrapping_mul(self.dtype.size() as i64);
        let base = match self.base {
            Base::Device(va) => Base::Device(va.wrapping_add_signed(bytes)),
            Base::Workspace(offset) => Base::Workspace(offset.wrapping_add_signed(bytes)),
        };
        Self { base, ..self.clone() }
    }

    /// `length` indices of dimension `dim`, from `start` on, every `step`-th.
    pub fn narrow(&self, dim: usize, start: i64, length: i64, step: i64) -> Self {
        let mut v = self.shifted(if length == 0 { 0 } else { start.wrapping_mul(self.strides[dim]) });
        v.dims[dim] = length;
        v.strides[dim] = v.strides[dim].wrapping_mul(step);
        v
    }

    /// The elements of dimension `dim` in the opposite order.
    pub fn flipped(&self, dim: usize) -> Self {
        self.narrow(dim, self.dims[dim] - 1, self.dims[dim], -1)
    }

    /// Dimension `dim` as several, outermost first, whose product it is.
    pub fn split(&self, dim: usize, parts: &[i64]) -> Self {
        let mut v = self.clone();
        v.dims.splice(dim..=dim, parts.iter().copied());
        let inner = dense_strides(parts).into_iter().map(|s| s.wrapping_mul(self.strides[dim]));
        v.strides.splice(dim..=dim, inner);
        v
    }

    /// Some neighbouring dimensions as one, if their elements are equally spaced.
    pub fn merged(&self, dims: Range<usize>) -> Option<Self> {
        let n: i64 = self.dims[dims.clone()].iter().product();
        let parts = self.dims[dims.clone()].iter().zip(&self.strides[dims.clone()]);
        let (mut stride, mut next) = (None, 0);
        // No element is anywhere.
        let is_empty = n == 0;
        for (&d, &s) in parts.rev().filter(|(d, _)| **d != 1) {
            if stride.is_some() && s != next && !is_empty {
                return None;
            }
            stride.get_or_insert(s);
            next = s.wrapping_mul(d);
        }
        let mut v = self.clone();
        v.dims.splice(dims.clone(), [n]);
        v.strides.splice(dims, [stride.unwrap_or(1)]);
        Some(v)
    }

    /// The elements of a dense view in another shape of as many.
    pub fn shaped(&self, dims: &[i64]) -> Self {
        debug_assert_eq!(self.strides, dense_strides(&self.dims));
        Self { dims: dims.into(), strides: dense_strides(dims), ..self.clone() }
    }

    /// Two dimensions exchanged.
    pub fn transposed(&self, a: usize, b: usize) -> Self {
        let mut v = self.clone();
        v.dims.swap(a, b);
        v.strides.swap(a, b);
        v
    }

    /// Its address; in the workspace, the offset there.
    pub fn place(&self) -> u64 {
        match self.base {
            Base::Device(place) | Base::Workspace(place) => place,
        }
    }

    /// For the kernel, at [`View::place`].
    pub fn arg(&self) -> Result<TensorArg> {
        let va = self.place();
        TensorArg::new(va, self.dtype, &self.dims, &self.strides).ok_or_else(|| {
            OpError::Invalid(format!("a tensor of {} dimensions; at most {MAX_RANK}", self.rank()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(dims: &[i64]) -> View {
        View { base: Base::Device(64), dtype: DType::F32, dims: dims.into(), strides: dense_strides(dims) }
    }

    #[test]
    fn broadcasting() {
        assert_eq!(broadcast(&[3, 1], &[2, 1, 4]).unwrap(), [2, 3, 4]);
        assert_eq!(broadcast(&[], &[0]).unwrap(), [0]);
        assert!(broadcast(&[2], &[3]).is_err());
        let e = view(&[3, 1]).expand(&[2, 3, 4]).unwrap();
        assert_eq!(e.strides, [0, 1, 0]);
        assert!(view(&[3]).expand(&[4]).is_err() && view(&[1, 3]).expand(&[3]).is_err());
    }

    #[test]
    fn parts() {
        let v = view(&[4, 6]);
        let n = v.narrow(1, 1, 2, 3);
        assert_eq!((n.base, &n.dims[..], &n.strides[..]), (Base::Device(68), &[4, 2][..], &[6, 3][..]));
        let f = v.flipped(0);
        assert_eq!((f.base, &f.strides[..]), (Base::Device(64 + 18 * 4), &[-6, 1][..]));
        let s = v.split(1, &[2, 3]);
        assert_eq!((&s.dims[..], &s.strides[..]), (&[4, 2, 3][..], &[6, 3, 1][..]));
        assert_eq!(s.merged(0..3).map(|m| (m.dims, m.strides)), Some(([24].into(), [1].into())));
        assert_eq!(v.transposed(0, 1).merged(0..2), None);
        assert_eq!(view(&[3, 1, 1]).merged(1..3).map(|m| m.dims), Some([3, 1].into()));
    }

    #[test]
    fn permutation() {
        let p = view(&[2, 3, 4]).permute(&[2, 0, -2]).unwrap();
        assert_eq!((&p.dims[..], &p.strides[..]), (&[4, 2, 3][..], &[1, 12, 4][..]));
        assert!(view(&[2, 3]).permute(&[0, 0]).is_err() && view(&[2, 3]).permute(&[0]).is_err());
    }
}
