//! Elementwise kernels with an operand pattern of their own: selection, clamping, fused products.

use vinci_hw::args::{ArgsView, DType};

use crate::arith::Arith;
use crate::lane::{Lane, common_lane, with_lane};
use crate::simd::{Task, vectorize};
use crate::tile::map;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// A loop over three inputs.
struct Zip3<'a, L, F> {
    inputs: [&'a [L]; 3],
    out: &'a mut [L],
    f: F,
}

impl<L: Lane, F: Fn(L, L, L) -> L> Task for Zip3<'_, L, F> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let [a, b, c] = self.inputs;
        for (((o, &a), &b), &c) in self.out.iter_mut().zip(a).zip(b).zip(c) {
            *o = (self.f)(a, b, c);
        }
    }
}

/// Tensors out, self, t1, t2; attribute value: self + value · t1 · t2.
pub fn addcmul(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    fused(ctx, args, false)
}

/// Tensors out, self, t1, t2; attribute value: self + value · t1 / t2.
pub fn addcdiv(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    fused(ctx, args, true)
}

fn fused(ctx: &Ctx<'_>, args: &ArgsView<'_>, divide: bool) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    let b = Tensor::input(ctx, args, 2)?.same_dims(&out, 2)?;
    let c = Tensor::input(ctx, args, 3)?.same_dims(&out, 3)?;
    let value = args.attr_f64(0)?;
    with_lane!(common_lane(out.dtype, a.dtype), L => {
        let value = L::from_f64(value);
        map::<L, 3>(ctx, &out, [&a, &b, &c], &|_, inputs, out| {
            if divide {
                vectorize(Zip3 { inputs, out, f: |a: L, b: L, c: L| a.add(value.mul(b).div(c)) });
            } else {
                vectorize(Zip3 { inputs, out, f: |a: L, b: L, c: L| a.add(value.mul(b).mul(c)) });
            }
        });
    });
    Ok(())
}

/// Tensors out, a, b; attribute weight: the point between a (weight 0) and b (weight 1).
pub fn lerp_scalar(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    let b = Tensor::input(ctx, args, 2)?.same_dims(&out, 2)?;
    let weight = args.attr_f64(0)?;
    with_lane!(common_lane(out.dtype, a.dtype), L => {
        let (near, w, rest) = (weight.abs() < 0.5, L::from_f64(weight), L::from_f64(1.0 - weight));
        map::<L, 2>(ctx, &out, [&a, &b], &|_, [a, b], out| {
            // From the nearer end, so that weight 1 gives exactly b.
            if near {
                vectorize(Zip3 { inputs: [a, b, a], out, f: |a: L, b: L, _| a.add(w.mul(b.sub(a))) });
            } else {
                vectorize(Zip3 { inputs: [a, b, a], out, f: |a: L, b: L, _| b.sub(b.sub(a).mul(rest)) });
            }
        });
    });
    Ok(())
}

/// Tensors out, condition, a, b: a where the condition is not zero, b elsewhere.
pub fn select(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let cond = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    let a = Tensor::input(ctx, args, 2)?.same_dims(&out, 2)?;
    let b = Tensor::input(ctx, args, 3)?.same_dims(&out, 3)?;
    if !matches!(cond.dtype, DType::Bool | DType::U8 | DType::I8) {
        return Err(KernelFault::Unsupported("a condition that is neither bool nor of 8 bits"));
    }
    with_lane!(common_lane(a.dtype, b.dtype), L => {
        map::<L, 3>(ctx, &out, [&cond, &a, &b], &|_, inputs, out| {
            vectorize(Zip3 { inputs, out, f: |c: L, a: L, b: L| if c != L::ZERO { a } else { b } });
        });
    });
    Ok(())
}

/// Tensors out, a; attributes min, max: a limited to min..=max; max wins where they cross, NaN always.
pub fn clamp(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    let (low, high) = (args.attr_f64(0)?, args.attr_f64(1)?);
    with_lane!(common_lane(out.dtype, a.dtype), L => {
        let (low, high) = (L::from_f64(low), L::from_f64(high));
        map::<L, 1>(ctx, &out, [&a], &|_, [a], out| {
            vectorize(Zip3 { inputs: [a; 3], out, f: |a: L, _, _| a.larger(low).smaller(high) });
        });
    });
    Ok(())
}

/// Tensors grad_in, grad_out, self; attribute threshold: grad_out where self is above it, else 0.
pub fn threshold_backward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let grad = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    let x = Tensor::input(ctx, args, 2)?.same_dims(&out, 2)?;
    let threshold = args.attr_f64(0)?;
    with_lane!(common_lane(grad.dtype, x.dtype), L => {
        let t = L::from_f64(threshold);
        map::<L, 2>(ctx, &out, [&grad, &x], &|_, [g, x], out| {
            vectorize(Zip3 { inputs: [g, x, x], out, f: |g: L, x: L, _| if x <= t { L::ZERO } else { g } });
        });
    });
    Ok(())
}
