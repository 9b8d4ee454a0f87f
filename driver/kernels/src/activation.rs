//! Activations of neural networks: functions of one value with up to three parameters, and gates.

use std::marker::PhantomData;

use vinci_hw::args::ArgsView;

use crate::lane::{Lane, LaneKind, lane_of};
use crate::simd::{Task, vectorize};
use crate::tile::map;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// A function of one float and its parameters.
pub trait Activation: Sync {
    /// The function.
    fn apply<L: Lane>(x: L, parameters: [L; 3]) -> L;
}

/// Declares an [`Activation`] type for each `Name = |x, parameters| expression`.
macro_rules! activations {
    ($($(#[$doc:meta])* $name:ident = |$x:ident, $p:pat_param| $e:expr;)*) => { $(
        $(#[$doc])*
        pub struct $name;
        impl Activation for $name {
            #[inline(always)]
            fn apply<L: Lane>($x: L, $p: [L; 3]) -> L { $e }
        }
    )* };
}

#[inline(always)]
fn c<L: Lane>(v: f64) -> L {
    L::from_f64(v)
}

/// eˣ − 1 without cancellation near 0: tanh(x/2) (eˣ + 1).
#[inline(always)]
fn exp_m1<L: Lane>(x: L) -> L {
    x.mul(c(0.5)).tanh().mul(x.exp().add(L::ONE))
}

/// ln(1 + e) without loss where e is small beside 1.
#[inline(always)]
fn log_p1<L: Lane>(e: L) -> L {
    let u = L::ONE.add(e);
    let d = u.sub(L::ONE);
    // The rounding of `u` is undone by the ratio; where it swallowed `e` whole, ln(1 + e) is e.
    if d == L::ZERO || u.sub(u) != L::ZERO { e } else { u.log().mul(e).div(d) }
}

/// ln(1 + eˣ).
#[inline(always)]
fn softplus<L: Lane>(x: L) -> L {
    x.larger(L::ZERO).add(log_p1(x.abs().neg().exp()))
}

/// x limited to 0..=6, after 3 was added, by 6.
#[inline(always)]
fn hard_gate<L: Lane>(x: L) -> L {
    x.add(c(3.0)).larger(L::ZERO).smaller(c(6.0)).mul(c(1.0 / 6.0))
}

#[inline(always)]
fn gelu_tanh<L: Lane>(x: L) -> L {
    // √(2/π)
    let inner = x.add(c::<L>(0.044_715).mul(x.mul(x).mul(x))).mul(c(0.797_884_560_802_865_4));
    x.mul(c(0.5)).mul(L::ONE.add(inner.tanh()))
}

#[inline(always)]
fn gelu_erf<L: Lane>(x: L) -> L {
    x.mul(c(0.5)).mul(L::ONE.add(x.mul(c(std::f64::consts::FRAC_1_SQRT_2)).erf()))
}

activations! {
    /// x, times the slope where it is negative
    LeakyRelu = |x, [slope, ..]| if x > L::ZERO { x } else { x.mul(slope) };
    /// scale x, or alpha scale (e^(input_scale x) − 1) where x is not positive
    Elu = |x, [alpha, scale, input_scale]| {
        let low = exp_m1(x.mul(input_scale)).mul(alpha.mul(scale));
        if x > L::ZERO { x.mul(scale) } else { low }
    };
    /// alpha (e^(x / alpha) − 1) where x is not positive
    Celu = |x, [alpha, ..]| if x > L::ZERO { x } else { exp_m1(x.div(alpha)).mul(alpha) };
    /// ln(1 + e^(beta x)) / beta; x itself where beta x is above the threshold
    Softplus = |x, [beta, threshold, _]| {
        let z = x.mul(beta);
        if z > threshold { x } else { softplus(z).div(beta) }
    };
    /// x, or the value where x is not above the threshold
    Threshold = |x, [threshold, value, _]| if x <= threshold { value } else { x };
    /// max(0, min(1, (x + 3) / 6))
    HardSigmoid = |x, _| hard_gate(x);
    /// x max(0, min(1, (x + 3) / 6))
    HardSwish = |x, _| x.mul(hard_gate(x));
    /// x Φ(x) by the tangent
    GeluTanh = |x, _| gelu_tanh(x);
    /// x Φ(x) by the error function
    GeluErf = |x, _| gelu_erf(x);
    /// x sigmoid(1.702 x)
    FastGelu = |x, _| x.mul(x.mul(c(1.702)).sigmoid());
    /// x sigmoid(beta x)
    Swish = |x, [beta, ..]| x.mul(x.mul(beta).sigmoid());
    /// x tanh(ln(1 + eˣ))
    Mish = |x, _| x.mul(softplus(x).tanh());
    /// x, or 0 within the limit
    HardShrink = |x, [limit, ..]| if x.abs() <= limit { L::ZERO } else { x };
    /// x moved towards 0 by the limit
    SoftShrink = |x, [limit, ..]| {
        if x > limit { x.sub(limit) } else if x < limit.neg() { x.add(limit) } else { x.mul(L::ZERO) }
    };
    /// ln sigmoid(x)
    LogSigmoid = |x, _| softplus(x.neg()).neg();
    /// max(x, 0)
    Relu = |x, _| if x < L::ZERO { L::ZERO } else { x };
    /// x sigmoid(x)
    Silu = |x, _| x.div(L::ONE.add(x.neg().exp()));
    /// 1 / (1 + e⁻ˣ)
    Sigmoid = |x, _| x.sigmoid();
}

struct ActivationTask<'a, A, L> {
    activation: PhantomData<A>,
    parameters: [L; 3],
    x: &'a [L],
    out: &'a mut [L],
}

impl<A: Activation, L: Lane> Task for ActivationTask<'_, A, L> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let p = self.parameters;
        self.out.iter_mut().zip(self.x).for_each(|(o, &x)| *o = A::apply(x, p));
    }
}

struct GateTask<'a, A, L> {
    activation: PhantomData<A>,
    parameters: [L; 3],
    inputs: [&'a [L]; 2],
    out: &'a mut [L],
}

impl<A: Activation, L: Lane> Task for GateTask<'_, A, L> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let (p, [a, b]) = (self.parameters, self.inputs);
        self.out.iter_mut().zip(a).zip(b).for_each(|((o, &a), &b)| *o = A::apply(a, p).mul(b));
    }
}

fn parameters<L: Lane>(args: &ArgsView<'_>) -> [L; 3] {
    std::array::from_fn(|i| L::from_f64(args.attr_f64(i).unwrap_or(0.0)))
}

/// Runs `$body` with the float lane of a type.
macro_rules! float_lane {
    ($dtype:expr, $L:ident => $body:expr) => {
        if lane_of($dtype) == LaneKind::F64 {
            type $L = f64;
            $body
        } else {
            type $L = f32;
            $body
        }
    };
}

/// Tensors out, x; attributes up to three parameters.
pub fn activation<A: Activation>(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let x = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    float_lane!(x.dtype, L => {
        let parameters = parameters::<L>(args);
        map::<L, 1>(ctx, &out, [&x], &|_, [x], out| {
            vectorize(ActivationTask { activation: PhantomData::<A>, parameters, x, out });
        });
    });
    Ok(())
}

/// Tensors out, a, b; attributes up to three parameters: the activation of a, times b.
pub fn gate<A: Activation>(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    let b = Tensor::input(ctx, args, 2)?.same_dims(&out, 2)?;
    float_lane!(a.dtype, L => {
        let parameters = parameters::<L>(args);
        map::<L, 2>(ctx, &out, [&a, &b], &|_, inputs, out| {
            vectorize(GateTask { activation: PhantomData::<A>, parameters, inputs, out });
        });
    });
    Ok(())
}
