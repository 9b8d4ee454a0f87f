//! Gradients of convolutions: windows as columns, then matrix products.

use std::sync::Arc;

use super::declare::operators;
use super::elementwise::check_shape;
use super::pointwise::into_dense;
use crate::dtype::DType;
use crate::error::{OpError, Result, invalid};
use crate::program::Attr::{Float, Int, Type};
use crate::program::{Attr, Program};
use crate::view::View;

operators! {
    "convolution_backward" { /// Gradients of a convolution to input, weight and bias, as outputMask asks.
        aclnnConvolutionBackward(gradOutput: Tensor, input: Tensor, weight: Tensor, biasSizes: OptInts, stride: Ints, padding: Ints, dilation: Ints, transposed: Bool, outputPadding: Ints, groups: Int32, outputMask: Bools, cubeMathType: Int8, gradInput: OptOut, gradWeight: OptOut, gradBias: OptOut) => convolution_backward; }
}

/// Sizes of windows, three each; dimensions that there are not have size 1.
pub struct Windows {
    /// Of the kernel.
    pub kernel: [i64; 3],
    /// From window to window.
    pub stride: [i64; 3],
    /// Zeros before the image.
    pub padding: [i64; 3],
    /// From element to element of the kernel.
    pub dilation: [i64; 3],
}

/// `v` for three dimensions: one value for all, or one for each of the last.
fn three(name: &str, v: &[i64], rank: usize, rest: i64) -> Result<[i64; 3]> {
    let mut all = [rest; 3];
    match v.len() {
        1 => all[3 - rank..].fill(v[0]),
        n if n == rank => all[3 - rank..].copy_from_slice(v),
        n => return Err(invalid!("{name} has {n} values for {rank} dimensions")),
    }
    Ok(all)
}

impl Windows {
    /// Of `rank` spatial dimensions.
    pub fn new(kernel: &[i64], stride: &[i64], padding: &[i64], dilation: &[i64], rank: usize) -> Result<Self> {
        Ok(Self {
            kernel: three("the kernel", kernel, rank, 1)?,
            stride: three("stride", stride, rank, 1)?,
            padding: three("padding", padding, rank, 0)?,
            dilation: three("dilation", dilation, rank, 1)?,
        })
    }

    /// As the kernels take them.
    pub fn attrs(&self) -> Vec<Attr> {
        [self.kernel, self.stride, self.padding, self.dilation].iter().flatten().map(|&v| Int(v)).collect()
    }

    /// Columns `[C, K, N, L]` in the workspace of an image `[N, C, D0, D1, D2]`, for `windows` windows.
    pub fn unfold(&self, p: &mut Program, image: &View, windows: [i64; 3]) -> Result<View> {
        let (columns, eight) = self.columns(p, image, windows)?;
        p.launch("unfold", &[&eight], &[image], &self.attrs())?;
        Ok(columns)
    }

    /// Room for columns `[C, K, N, L]`, and the view of it that the kernels take.
    pub fn columns(&self, p: &mut Program, image: &View, windows: [i64; 3]) -> Result<(View, View)> {
        let kind = if image.dtype == DType::F64 { DType::F64 } else { DType::F32 };
        let (k, w) = (self.kernel, windows);
        let dims = [image.dims[1], k[0], k[1], k[2], image.dims[0], w[0], w[1], w[2]];
        let columns = p.temporary(kind, &dims);
        let eight = columns.permute(&[4, 0, 1, 2, 3, 5, 6, 7])?;
        let k: i64 = k.iter().product();
        Ok((columns.reshaped(&[dims[0], k, dims[4], w.iter().product()]), eight))
    }

    /// Adds up columns that [`Self::columns`] made into `image`.
    pub fn fold(&self, p: &mut Program, image: &View, eight: &View) -> Result<()> {
        p.launch("fold", &[image], &[eight], &self.attrs())
    }
}

/// `[N, C, spatial…]` with three spatial dimensions.
pub fn five(name: &str, v: &View) -> Result<View> {
    match v.rank() {
        3..=5 => Ok(v.unsqueeze(&(2..2 + 5 - v.rank()).collect::<Vec<_>>())),
        _ => Err(invalid!("{name} has shape {:?}; 3 to 5 dimensions are needed", v.dims)),
    }
}

fn spatial(v: &View) -> [i64; 3] {
    [v.dims[2], v.dims[3], v.dims[4]]
}

/// Dense `[C, N, L]` of `[N, C, L0, L1, L2]`, in the type of sums.
fn by_channel(p: &mut Program, v: &View) -> Result<View> {
    let kind = if v.dtype == DType::F64 { DType::F64 } else { DType::F32 };
    let d = &v.dims;
    let copy = p.temporary(kind, &[d[1], d[0], d[2], d[3], d[4]]);
    p.launch("copy", &[&copy], &[&v.permute(&[1, 0, 2, 3, 4])?], &[])?;
    Ok(copy.reshaped(&[d[1], d[0], d[2] * d[3] * d[4]]))
}

/// A dense view `[channels, …]` as `[groups, channels / groups * inner, columns]`.
fn grouped(v: &View, groups: i64, columns: i64) -> View {
    v.reshaped(&[groups, v.elements() / (groups * columns).max(1), columns])
}

fn product(p: &mut Program, out: &View, a: &View, b: &View) -> Result<()> {
    p.launch("matmul", &[out], &[a, b], &[Float(1.0), Float(0.0), Int(0)])
}

fn turned(v: &View) -> Result<View> {
    v.permute(&[0, 2, 1])
}

#[allow(clippy::too_many_arguments)] // CANN's
fn convolution_backward(
    p: &mut Program,
    grad: View,
    x: View,
    weight: View,
    _bias_sizes: Option<Arc<[i64]>>,
    stride: Arc<[i64]>,
    padding: Arc<[i64]>,
    dilation: Arc<[i64]>,
    transposed: bool,
    _output_padding: Arc<[i64]>,
    groups: i32,
    mask: Arc<[bool]>,
    _cube_math_type: i8,
    grad_x: Option<View>,
    grad_w: Option<View>,
    grad_b: Option<View>,
) -> Result<()> {
    if mask.len() != 3 {
        return Err(invalid!("outputMask has {} values; three are needed", mask.len()));
    }
    let rank = x.rank().saturating_sub(2);
    if !(1..=3).contains(&rank) || grad.rank() != x.rank() || weight.rank() != x.rank() {
        return Err(invalid!("input {:?}, weight {:?} and gradOutput {:?} must have the same 3 to 5 dimensions", x.dims, weight.dims, grad.dims));
    }
    let groups = i64::from(groups);
    let windows = Windows::new(&weight.dims[2..], &stride, &padding, &dilation, rank)?;
    let k: i64 = windows.kernel.iter().product();
    let (x5, grad5) = (five("input", &x)?, five("gradOutput", &grad)?);
    // What the kernel slides over, and what stands at its positions.
    let (image, points) = if transposed { (&grad5, &x5) } else { (&x5, &grad5) };
    let fits = groups > 0
        && image.dims[0] == points.dims[0]
        && weight.dims[0] == points.dims[1]
        && weight.dims[1] * groups == image.dims[1]
        && points.dims[1] % groups == 0;
    if !fits {
        return Err(invalid!("input {:?}, weight {:?}, gradOutput {:?} and {groups} groups do not belong together", x.dims, weight.dims, grad.dims));
    }
    let places = points.dims[0] * spatial(points).iter().product::<i64>();
    let weight3 = |p: &mut Program| -> Result<View> {
        let w = super::pointwise::dense(p, &weight, weight.dtype)?;
        Ok(w.reshaped(&[groups, weight.dims[0] / groups, weight.dims[1] * k]))
    };
    let take = |i: usize, out: Option<View>, name| -> Result<Option<View>> {
        if mask[i] { out.ok_or(OpError::Null(name)).map(Some) } else { Ok(None) }
    };
    let grad_x = take(0, grad_x, "gradInput")?;
    let grad_w = take(1, grad_w, "gradWeight")?;
    if (grad_x.is_some() || grad_w.is_some()) && grad.elements() > 0 {
        let needs_columns = transposed || grad_w.is_some();
        let columns = if needs_columns { Some(windows.unfold(p, image, spatial(points))?) } else { None };
        let rows = by_channel(p, points)?;
        let rows = grouped(&rows, groups, places);
        if let Some(out) = &grad_x {
            check_shape(out, &x.dims)?;
            let w = weight3(p)?;
            if let (true, Some(columns)) = (transposed, &columns) {
                let sums = p.temporary(rows.dtype, &[x5.dims[1], x5.dims[0], spatial(&x5).iter().product()]);
                product(p, &grouped(&sums, groups, places), &w, &grouped(columns, groups, places))?;
                let d = &x5.dims;
                let back = sums.reshaped(&[d[1], d[0], d[2], d[3], d[4]]).permute(&[1, 0, 2, 3, 4])?;
                p.launch("copy", &[&five("gradInput", out)?], &[&back], &[])?;
            } else {
                let (columns, eight) = windows.columns(p, image, spatial(points))?;
                product(p, &grouped(&columns, groups, places), &turned(&w)?, &rows)?;
                windows.fold(p, &five("gradInput", out)?, &eight)?;
            }
        }
        if let (Some(out), Some(columns)) = (&grad_w, &columns) {
            check_shape(out, &weight.dims)?;
            into_dense(p, out, out.dtype, |p, o| {
                let o = o.reshaped(&[groups, weight.dims[0] / groups, weight.dims[1] * k]);
                product(p, &o, &rows, &turned(&grouped(columns, groups, places))?)
            })?;
        }
    }
    if let Some(out) = take(2, grad_b, "gradBias")? {
        check_shape(&out, &[grad.dims[1]])?;
        let dims: Vec<_> = (0..grad.rank()).map(|d| if d == 1 { grad.dims[1] } else { 1 }).collect();
        into_dense(p, &out, out.dtype, |p, o| {
            p.launch("reduce_sum", &[&o.reshaped(&dims)], &[&grad], &[Type(if grad.dtype == DType::F64 { DType::F64 } else { DType::F32 })])
        })?;
    }
    Ok(())
}
