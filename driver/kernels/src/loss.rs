//! The negative log likelihood loss, forward and backward.

use vinci_hw::args::{ArgsError, ArgsView, DType};

use crate::lane::{Lane, Load};
use crate::tile::map;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// Attribute `reduction`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reduction {
    None,
    Mean,
    Sum,
}

/// What both directions share: classes, their weights, and which row wants which class.
struct Classes {
    rows: usize,
    classes: i64,
    target: Tensor,
    weight: Tensor,
    reduction: Reduction,
    ignored: i64,
}

/// Reads element `index` of a vector.
fn element<L: Lane>(t: &Tensor, load: Load<L>, index: usize) -> L {
    let mut v = [L::ZERO];
    // SAFETY: callers keep `index` below the length of the resolved vector; a scalar has stride 0 and index 0.
    unsafe { load(t.at(index as isize * t.strides[0]), 1, &mut v) };
    v[0]
}

impl Classes {
    fn new(
        ctx: &Ctx<'_>,
        args: &ArgsView<'_>,
        input: &Tensor,
        target: usize,
        weight: usize,
    ) -> Result<Self, KernelFault> {
        let reduction = match args.attr(0)? {
            0 => Reduction::None,
            1 => Reduction::Mean,
            2 => Reduction::Sum,
            _ => return Err(KernelFault::Unsupported("a reduction other than none, mean and sum")),
        };
        let ignored = args.attr_i64(1)?;
        let (target_arg, weight_arg) = (target, weight);
        let target = Tensor::input(ctx, args, target_arg)?;
        let weight = Tensor::input(ctx, args, weight_arg)?;
        if input.rank != 2 || target.dims() != &input.dims[..1] || target.dtype.is_float() {
            return Err(ArgsError::BadTensor(target_arg).into());
        }
        if weight.dims() != &input.dims[1..2] {
            return Err(ArgsError::BadTensor(weight_arg).into());
        }
        let (rows, classes) = (input.dims[0], input.dims[1] as i64);
        Ok(Self { rows, classes, target, weight, reduction, ignored })
    }

    /// An exception unless each row's class exists or is the ignored one.
    fn check(&self) -> Result<(), KernelFault> {
        let load = i64::loader(self.target.dtype);
        let wrong = |&class: &i64| class != self.ignored && !(0..self.classes).contains(&class);
        match (0..self.rows).map(|row| element(&self.target, load, row)).find(wrong) {
            None => Ok(()),
            Some(value) => Err(KernelFault::Exception { what: "class index out of range", value }),
        }
    }

    /// Calls `each(row, class, weight)` for the rows that count. Others may write the targets since
    /// [`Self::check`], so only a class in range is used.
    fn for_rows(&self, mut each: impl FnMut(usize, usize, f64)) {
        let (targets, weights) = (i64::loader(self.target.dtype), f64::loader(self.weight.dtype));
        for row in 0..self.rows {
            let class = element(&self.target, targets, row);
            if class != self.ignored && (0..self.classes).contains(&class) {
                each(row, class as usize, element(&self.weight, weights, class as usize));
            }
        }
    }
}

fn matrix_element(t: &Tensor, load: Load<f64>, row: usize, column: usize) -> f64 {
    let mut v = [0.0];
    // SAFETY: callers keep row and column below the dimensions of the resolved matrix.
    unsafe { load(t.at(row as isize * t.strides[0] + column as isize * t.strides[1]), 1, &mut v) };
    v[0]
}

fn put(t: &Tensor, offset: isize, v: f64) {
    // SAFETY: callers pass offsets of elements of the resolved tensor.
    unsafe { f64::storer(t.dtype)(t.at(offset), 1, &[v]) };
}

fn fill_zero(ctx: &Ctx<'_>, t: &Tensor) {
    map::<f32, 0>(ctx, t, [], &|_, [], out| out.fill(0.0));
}

/// Tensors out (scalar, or `[N]` where nothing is reduced), total_weight (scalar), input `[N, C]`, target
/// `[N]`, weight `[C]`; attributes reduction (0 none, 1 mean, 2 sum), ignore_index.
pub fn nll_loss(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let total_weight = Tensor::output(ctx, args, 1)?;
    let input = Tensor::input(ctx, args, 2)?;
    let classes = Classes::new(ctx, args, &input, 3, 4)?;
    let per_row = classes.reduction == Reduction::None;
    if total_weight.count != 1 {
        return Err(ArgsError::BadTensor(1).into());
    }
    if (per_row && out.dims() != &input.dims[..1]) || (!per_row && out.count != 1) {
        return Err(ArgsError::BadTensor(0).into());
    }
    classes.check()?;
    if per_row {
        fill_zero(ctx, &out);
    }
    let load = f64::loader(input.dtype);
    let (mut loss, mut total) = (0.0, 0.0);
    classes.for_rows(|row, class, weight| {
        let term = -weight * matrix_element(&input, load, row, class);
        if per_row {
            put(&out, row as isize * out.strides[0], term);
        }
        loss += term;
        total += weight;
    });
    match classes.reduction {
        Reduction::None => total = 0.0,
        Reduction::Mean => put(&out, 0, loss / total),
        Reduction::Sum => put(&out, 0, loss),
    }
    put(&total_weight, 0, total);
    Ok(())
}

/// Tensors grad_in `[N, C]`, grad_out (scalar or `[N]`), input `[N, C]`, target `[N]`, weight `[C]`,
/// total_weight (scalar); attributes reduction, ignore_index.
pub fn nll_loss_backward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let grad_in = Tensor::output(ctx, args, 0)?;
    let grad_out = Tensor::input(ctx, args, 1)?;
    let input = Tensor::input(ctx, args, 2)?.same_dims(&grad_in, 2)?;
    let classes = Classes::new(ctx, args, &input, 3, 4)?;
    let total_weight = Tensor::input(ctx, args, 5)?;
    let per_row = classes.reduction == Reduction::None;
    if total_weight.count != 1 {
        return Err(ArgsError::BadTensor(5).into());
    }
    if (per_row && grad_out.dims() != &input.dims[..1]) || (!per_row && grad_out.count != 1) {
        return Err(ArgsError::BadTensor(1).into());
    }
    if !matches!(grad_in.dtype, DType::F32 | DType::F64 | DType::F16 | DType::BF16) {
        return Err(KernelFault::Unsupported("a gradient of integers"));
    }
    let grads = f64::loader(grad_out.dtype);
    let scale = match classes.reduction {
        Reduction::Mean => 1.0 / element(&total_weight, f64::loader(total_weight.dtype), 0),
        Reduction::None | Reduction::Sum => 1.0,
    };
    classes.check()?;
    fill_zero(ctx, &grad_in);
    classes.for_rows(|row, class, weight| {
        let grad = element(&grad_out, grads, if per_row { row } else { 0 });
        let offset = row as isize * grad_in.strides[0] + class as isize * grad_in.strides[1];
        put(&grad_in, offset, -weight * grad * scale);
    });
    Ok(())
}
