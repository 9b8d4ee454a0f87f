//! Rows that indices bring together or hand out: what routing to experts, and back, comes to.

use super::elementwise::check_shape;
use super::loss::need_float;
use super::movement::{constant, fill};
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::program::Attr::Int;
use crate::program::Program;
use crate::view::View;

/// Indices of any place.
pub const ANYWHERE: (i64, i64) = (0, i64::MAX);

/// Rows of `a` brought together: for each of `index`'s rows, the sum over its columns of the rows of `a` that it names.
pub struct Combine<'a> {
    /// `[R, H]`.
    pub a: &'a View,
    /// `[T, K]`.
    pub index: &'a View,
    /// `[T, K]`.
    pub weight: Option<&'a View>,
    /// `[E, H]` and `[T, K]`.
    pub bias: Option<(&'a View, &'a View)>,
    /// As the result.
    pub others: Vec<&'a View>,
    /// Indices that name rows; the first names row 0.
    pub range: (i64, i64),
}

impl Combine<'_> {
    /// out = the result, `[T, H]`.
    pub fn launch(self, p: &mut Program, out: &View) -> Result<()> {
        let [a, index] = [("rows", self.a), ("indices", self.index)].map(|(name, v)| matrix(name, v));
        let (a, index) = (a?, index?);
        need_float("rows", &a)?;
        need_float("out", out)?;
        check_shape(out, &[index.dims[0], a.dims[1]])?;
        let there = i64::from(self.weight.is_some()) + 2 * i64::from(self.bias.is_some());
        let bias = self.bias.iter().flat_map(|(b, e)| [*b, *e]);
        let inputs: Vec<_> = [&a, &index]
            .into_iter()
            .chain(self.weight)
            .chain(bias)
            .chain(self.others.iter().copied())
            .collect();
        for v in self.weight.into_iter().chain(self.bias.map(|b| b.1)) {
            check_pairs(v, &index)?;
        }
        for v in &self.others {
            check_shape(v, &out.dims)?;
        }
        let attrs = [Int(there), Int(self.others.len() as i64), Int(self.range.0), Int(self.range.1)];
        p.launch("moe_combine", &[out], &inputs, &attrs)
    }
}

/// The rows of `g`, times weights, in the places that `index` names; places that none names become 0.
pub struct Spread<'a> {
    /// `[T, H]`.
    pub g: &'a View,
    /// `[T, K]`.
    pub index: &'a View,
    /// `[T, K]`.
    pub weight: Option<&'a View>,
    /// `[R, H]`, and its weight's gradient, `[T, K]`.
    pub slope: Option<(&'a View, &'a View)>,
    /// `[E, H]` and `[T, K]`, which count in the gradient.
    pub bias: Option<(&'a View, &'a View)>,
    /// Indices that name rows; the first names row 0.
    pub range: (i64, i64),
}

impl Spread<'_> {
    /// Writes `out`, `[R, H]`.
    pub fn launch(self, p: &mut Program, out: &View) -> Result<()> {
        let (g, index) = (matrix("tokens", self.g)?, matrix("indices", self.index)?);
        if out.rank() != 2 || out.dims[1] != g.dims[1] || index.dims[0] != g.dims[0] {
            return Err(invalid!(
                "tokens of shape {:?}, indices {:?} and rows {:?}",
                g.dims,
                index.dims,
                out.dims
            ));
        }
        for v in self.weight.into_iter().chain(self.slope.map(|s| s.1)).chain(self.bias.map(|b| b.1)) {
            check_pairs(v, &index)?;
        }
        if let Some((a, _)) = self.slope {
            check_shape(a, &out.dims)?;
        }
        fill(p, out.clone(), constant(0))?;
        let there = i64::from(self.weight.is_some())
            + 2 * i64::from(self.bias.is_some())
            + 4 * i64::from(self.slope.is_some());
        let outputs: Vec<_> = [out].into_iter().chain(self.slope.map(|s| s.1)).collect();
        let bias = self.bias.iter().flat_map(|(b, e)| [*b, *e]);
        let inputs: Vec<_> =
            [&g, &index].into_iter().chain(self.weight).chain(self.slope.map(|s| s.0)).chain(bias).collect();
        p.launch("moe_spread", &outputs, &inputs, &[Int(there), Int(self.range.0), Int(self.range.1)])
    }
}

fn matrix(name: &str, v: &View) -> Result<View> {
    if v.rank() == 2 {
        Ok(v.clone())
    } else {
        Err(invalid!("{name} have shape {:?}; a matrix is needed", v.dims))
    }
}

/// One value for each token and expert of its.
fn check_pairs(v: &View, index: &View) -> Result<()> {
    if v.dims == index.dims {
        Ok(())
    } else {
        Err(invalid!("shape {:?} for tokens and experts {:?}", v.dims, index.dims))
    }
}

/// Indices, one for each token and expert of its, as `[T, K]`: a vector along the rows, or down the columns.
pub fn pairs(index: &View, k: i64, columns: bool) -> Result<View> {
    if matches!(index.dtype, DType::I32 | DType::I64) && k > 0 {
        match index.dims[..] {
            [n] if n % k == 0 && columns => return Ok(index.split(0, &[k, n / k]).transposed(0, 1)),
            [n] if n % k == 0 => return Ok(index.split(0, &[n / k, k])),
            [t, l] if l == k && !columns => return Ok(index.split(0, &[t])),
            [t, l] if l == k && index.is_dense() => return Ok(index.reshaped(&[k, t]).transposed(0, 1)),
            _ => {}
        }
    }
    Err(invalid!("row indices of shape {:?} and type {:?} for {k} experts a token", index.dims, index.dtype))
}
