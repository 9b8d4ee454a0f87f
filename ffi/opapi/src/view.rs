//! Strided views: what kernels get, before the address of a workspace is known.

use vinci_hw::args::{MAX_RANK, TensorArg};

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
    pub dims: Vec<i64>,
    /// Elements from one index to the next.
    pub strides: Vec<i64>,
}

/// Strides of a dense tensor.
pub fn dense_strides(dims: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; dims.len()];
    for i in (1..dims.len()).rev() {
        strides[i - 1] = strides[i] * dims[i].max(1);
    }
    strides
}

/// The shape that two shapes broadcast to.
pub fn broadcast(a: &[i64], b: &[i64]) -> Result<Vec<i64>> {
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

    /// The same elements repeated to `dims`.
    pub fn expand(&self, dims: &[i64]) -> Result<Self> {
        let skip = dims.len().checked_sub(self.rank());
        let skip = skip.ok_or_else(|| invalid!("shape {:?} does not broadcast to {dims:?}", self.dims))?;
        let mut strides = vec![0; dims.len()];
        for (i, (&d, &s)) in self.dims.iter().zip(&self.strides).enumerate() {
            strides[skip + i] = match d {
                _ if d == dims[skip + i] => s,
                1 => 0,
                _ => return Err(invalid!("shape {:?} does not broadcast to {dims:?}", self.dims)),
            };
        }
        Ok(Self { dims: dims.to_vec(), strides, ..self.clone() })
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

    /// For the kernel; `workspace` is the device address of the workspace.
    pub fn arg(&self, workspace: u64) -> Result<TensorArg> {
        let va = match self.base {
            Base::Device(va) => va,
            Base::Workspace(offset) => workspace + offset,
        };
        TensorArg::new(va, self.dtype, &self.dims, &self.strides).ok_or_else(|| {
            OpError::Invalid(format!("a tensor of {} dimensions; at most {MAX_RANK}", self.rank()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(dims: &[i64]) -> View {
        View { base: Base::Device(64), dtype: DType::F32, dims: dims.to_vec(), strides: dense_strides(dims) }
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
    fn permutation() {
        let p = view(&[2, 3, 4]).permute(&[2, 0, -2]).unwrap();
        assert_eq!((p.dims, p.strides), (vec![4, 2, 3], vec![1, 12, 4]));
        assert!(view(&[2, 3]).permute(&[0, 0]).is_err() && view(&[2, 3]).permute(&[0]).is_err());
    }
}
