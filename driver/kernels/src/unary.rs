//! Functions of one value.

use std::marker::PhantomData;

use vinci_hw::args::ArgsView;

use crate::lane::{Lane, lane_of, with_lane};
use crate::simd::{Task, vectorize};
use crate::tile::map;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// A function of one value.
pub trait Unary: Sync {
    /// The function.
    fn apply<L: Lane>(x: L) -> L;
}

/// Declares a [`Unary`] type for each `Name = |x| expression`.
macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident = |$x:ident| $e:expr;)*) => { $(
        $(#[$doc])*
        pub struct $name;
        impl Unary for $name {
            #[inline(always)]
            fn apply<L: Lane>($x: L) -> L { $e }
        }
    )* };
}

unary! {
    /// −x
    Neg = |x| x.neg();
    /// |x|
    Abs = |x| x.abs();
    /// eˣ
    Exp = |x| x.exp();
    /// Natural logarithm
    Log = |x| x.log();
    /// √x
    Sqrt = |x| x.sqrt();
    /// 1/√x
    Rsqrt = |x| L::ONE.div(x.sqrt());
    /// 1/x
    Reciprocal = |x| L::ONE.div(x);
    /// max(x, 0)
    Relu = |x| if x < L::ZERO { L::ZERO } else { x };
    /// 1 / (1 + e⁻ˣ)
    Sigmoid = |x| x.sigmoid();
    /// Hyperbolic tangent
    Tanh = |x| x.tanh();
    /// x · sigmoid(x)
    Silu = |x| x.div(L::ONE.add(x.neg().exp()));
    /// x · Φ(x), Φ the normal distribution
    Gelu = |x| {
        let half = L::from_f64(0.5);
        x.mul(half).mul(L::ONE.add(x.mul(L::from_f64(std::f64::consts::FRAC_1_SQRT_2)).erf()))
    };
    /// Error function
    Erf = |x| x.erf();
    /// Sine
    Sin = |x| x.sin();
    /// Cosine
    Cos = |x| x.cos();
    /// Largest integer not above x
    Floor = |x| x.floor();
    /// Smallest integer not below x
    Ceil = |x| x.ceil();
    /// Nearest integer, ties to even
    Round = |x| x.round();
    /// Integer part
    Trunc = |x| x.trunc();
    /// −1, 0, 1 or NaN
    Sign = |x| x.sign();
    /// x²
    Square = |x| x.mul(x);
}

struct UnaryTask<'a, O, L> {
    op: PhantomData<O>,
    a: &'a [L],
    out: &'a mut [L],
}

impl<O: Unary, L: Lane> Task for UnaryTask<'_, O, L> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        // No closure: a large one would not be inlined, and then not be compiled for the level.
        let n = self.out.len();
        let a = &self.a[..n];
        for (i, out) in self.out.iter_mut().enumerate() {
            *out = O::apply(a[i]);
        }
    }
}

/// Tensors out, a; attribute compute type.
pub fn unary<O: Unary>(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    with_lane!(lane_of(args.attr_dtype(0)?), L => {
        map::<L, 1>(ctx, &out, [&a], &|_, [a], out| vectorize(UnaryTask { op: PhantomData::<O>, a, out }));
    });
    Ok(())
}
